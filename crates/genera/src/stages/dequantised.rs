//! A diffusion of rows with levels, and the noise between the levels, learnt with it.
//!
//! ```text
//! x = 2 l / (K − 1) − 1     y = x + (u − ½) 2 / (K − 1),  u ~ q(u | l) on (0, 1)^F
//! log P(l) ≥ E [log p(y) − log q(u | l)] + F log (2 / (K − 1))
//! ```
//!
//! Variational dequantisation (Ho et al., arXiv:1902.00275) of a diffusion, as of Song, Durkan, Murray and Ermon
//! (arXiv:2101.09258). The rows `x` are levels on `[−1, 1]`, and `y` rounds to them, so that whatever is drawn or removed
//! of noise is in the numbers of any other diffusion. `log p(y)` is that of the probability flow, or the diffusion's
//! bound on it. Both descend one objective, a mean over dimensions:
//!
//! ```text
//! E w(t) |F − F*|² + (1/F) E log q(u | l),   w the likelihood weighting
//! ```
//!
//! the bound in continuous time but for what its ends add, which hardly depends on the noise where the least noisy level is
//! finer than the bins.

use burn::module::Module;
use burn::tensor::Tensor;
use genera_rng::Rng;

use crate::diffusion::{Diffusion, DiffusionError, Given, Variance, Weighting};
use crate::flow::Dequantiser;
use crate::nn::Conditioned;
use crate::ode::Scored;
use crate::traits::{Batch, Loss, LowerBound, Model, Net, Rows, View};

/// A diffusion of numbers as a model of levels, with learnt noise between them.
#[derive(Module, Debug)]
pub struct DequantisedDiffusion<N: Module> {
    /// `p`, of numbers about `[−1, 1]`.
    pub diffusion: Diffusion<N>,
    /// `q`.
    noise: Dequantiser,
}

impl<N: Module + Net<Conditioned, Rows>> DequantisedDiffusion<N> {
    /// `diffusion` with `noise` between the levels of its rows.
    ///
    /// # Errors
    /// A diffusion that is not trained on the bound by which noise is learnt, or that speaks of levels itself.
    pub fn new(diffusion: Diffusion<N>, noise: Dequantiser) -> Result<Self, DiffusionError> {
        let config = diffusion.config();
        let refuse = |why| Err(DiffusionError::Combination(why));
        if config.weighting != Weighting::Likelihood {
            return refuse(
                "noise between levels is learnt by a bound of the likelihood; set weighting = \"likelihood\" and \
                 times = \"continuous\"",
            );
        }
        if config.variance == Variance::Learned {
            return refuse("with noise between levels, what is learnt is a bound already; take a fixed variance");
        }
        if config.data_levels.is_some() {
            return refuse("noise fills the gaps between levels, so the data of the diffusion have none: data_levels");
        }
        Ok(Self { diffusion, noise })
    }

    /// The numbers that the diffusion sees in the place of rows of levels, and `log q(u | l)`: `[B, F] -> ([B, F], [B])`.
    /// Makes one draw of `rng`.
    pub fn filled(&self, x: &Rows, rng: &mut Rng) -> (Rows, Tensor<1>) {
        let top = self.noise.levels() as f64 - 1.0;
        let levels = ((x.clone() + 1.0) * (0.5 * top)).round().clamp(0.0, top);
        let (u, log_q) = self.noise.draw(&levels, rng);
        (x.clone() + (u - 0.5) * (2.0 / top), log_q)
    }

    /// `F log (2 / (K − 1))`.
    fn log_jacobian(&self) -> f64 {
        let bin = 2.0 / (self.noise.levels() as f64 - 1.0);
        self.diffusion.config().features as f64 * bin.ln()
    }

    /// A bound on `log P(l)` in nats by the probability flow, from one draw of the noise, for given classes as in
    /// [`Diffusion::given`]: `[B, F] -> B numbers`. Its mean over draws is a bound, one draw may be above.
    pub fn flow_bound(&self, x: &Rows, labels: &[usize], rng: &mut Rng) -> Scored {
        let (y, log_q) = self.filled(x, rng);
        let scored = self.diffusion.flow_likelihood(y, labels);
        Scored { nats: self.with_noise(scored.nats, &log_q), ..scored }
    }

    /// Bounds of levels from those of the numbers in their place.
    fn with_noise(&self, nats: Vec<f64>, log_q: &Tensor<1>) -> Vec<f64> {
        let jacobian = self.log_jacobian();
        let log_q = log_q.to_data().convert::<f32>();
        nats.into_iter().zip(log_q.iter::<f32>()).map(|(nats, log_q)| nats - f64::from(log_q) + jacobian).collect()
    }

    fn bounded(&self, of: &dyn LowerBound, x: &Rows, rng: &mut Rng) -> Vec<f64> {
        let (y, log_q) = self.filled(x, rng);
        self.with_noise(of.lower_bound(y, rng), &log_q)
    }

    /// The same model for given classes, as [`Diffusion::given`].
    pub fn given(&self, labels: Vec<usize>) -> GivenDequantised<'_, N> {
        GivenDequantised { model: self, given: self.diffusion.given(labels) }
    }
}

impl<N: Module + Net<Conditioned, Rows>> LowerBound for DequantisedDiffusion<N> {
    /// On `log P(l)`, by the diffusion's own bound.
    fn lower_bound(&self, x: Rows, rng: &mut Rng) -> Vec<f64> {
        self.bounded(&self.diffusion, &x, rng)
    }
}

impl<N: Module + Net<Conditioned, Rows>> Model for DequantisedDiffusion<N> {
    fn loss(&self, batch: Batch, rng: &mut Rng) -> Loss {
        let (y, log_q) = self.filled(&batch.x, rng);
        let negative_entropy = log_q.mean() * (1.0 / self.diffusion.config().features as f64);
        let entropy = -f64::from(negative_entropy.clone().into_scalar::<f32>());
        // The noise learns too, because `y` carries its gradient into the error.
        let Loss { value, mut parts } = self.diffusion.loss(Batch { x: y, labels: batch.labels }, rng);
        parts.push(("noise-entropy", entropy));
        Loss { value: value + negative_entropy, parts }
    }

    fn view(&self) -> View<'_> {
        View { lower_bound: Some(self), ..self.diffusion.view() }
    }
}

/// A dequantised diffusion for given classes: partial application.
#[derive(Clone, Debug)]
pub struct GivenDequantised<'a, N: Module> {
    model: &'a DequantisedDiffusion<N>,
    given: Given<'a, N>,
}

impl<N: Module + Net<Conditioned, Rows>> LowerBound for GivenDequantised<'_, N> {
    fn lower_bound(&self, x: Rows, rng: &mut Rng) -> Vec<f64> {
        self.model.bounded(&self.given, &x, rng)
    }
}
