//! Densities of numbers with levels: variational and importance-weighted dequantisation.
//!
//! ```text
//! log P(l) ≥ E log (1/S) Σ_s p((l + u_s) / K) / (K^F q(u_s | l)),   u_s ~ q(u | l) on (0, 1)^F
//! ```
//!
//! With `S = 1` the variational bound of Ho et al., "Flow++" (arXiv:1902.00275), with more draws the importance-weighted
//! one of Hoogeboom, Cohen and Tomczak (arXiv:2001.11235), which grows with `S`. A uniform `q` gives uniform
//! dequantisation ([`Dequantised`](super::Dequantised)). Here `q` is a [`Dequantiser`], which starts as that.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::base::log_sum_exp;
use super::dequantiser::affine;
use super::{Dequantiser, Flow, FlowError, Layer, Noise, NoiseConfig, Univariate};
use crate::caution::sampler;
use crate::traits::{Batch, Caution, Cautious, Density, Loss, LowerBound, Model, Rows, Sample, View};

/// The flow of the noise, apart from what its data say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DequantiserConfig {
    /// Couplings.
    pub layers: usize,
    /// Hidden layers of each of their networks.
    pub hidden: Vec<usize>,
    /// What moves a number.
    #[serde(default = "affine")]
    pub univariate: Univariate,
    /// `S` while training.
    #[serde(default = "one")]
    pub draws: usize,
    /// `S` of the bound on held-out rows.
    #[serde(default = "one")]
    pub bound_samples: usize,
}

fn one() -> usize {
    1
}

impl DequantiserConfig {
    /// `flow`, a density of `(0, 1)^F`, as a model of rows of whole numbers `0 .. levels − 1`.
    ///
    /// # Errors
    /// The first setting that has no meaning, by itself or with these data.
    pub fn init(
        &self,
        flow: Flow<Vec<Layer>, Noise>,
        features: usize,
        levels: usize,
        rng: &mut Rng,
        device: &Device,
    ) -> Result<VariationalDequantisation, FlowError> {
        FlowError::unless(self.draws > 0, "draws", self.draws, "at least 1")?;
        FlowError::unless(self.bound_samples > 0, "bound_samples", self.bound_samples, "at least 1")?;
        let Self { layers, ref hidden, univariate, draws, bound_samples } = *self;
        let noise = NoiseConfig { layers, hidden: hidden.clone(), univariate }.init(features, levels, rng, device)?;
        Ok(VariationalDequantisation { flow, noise, draws, bound_samples })
    }
}

/// A flow as a model of whole numbers, with a flow that fills the gaps between them.
#[derive(Module, Debug)]
pub struct VariationalDequantisation {
    /// `p`, a density of `(0, 1)^F`.
    pub flow: Flow<Vec<Layer>, Noise>,
    /// `q`.
    noise: Dequantiser,
    #[module(skip)]
    draws: usize,
    #[module(skip)]
    bound_samples: usize,
}

impl VariationalDequantisation {
    /// The model with the data-dependent layers of its flow started from a batch of whole numbers.
    pub fn started(self, batch: &Batch, rng: &mut Rng) -> Self {
        let (u, _) = self.noise.draw(&batch.x, rng);
        let x = (batch.x.clone() + u) * (1.0 / self.levels());
        Self { flow: self.flow.started(&Batch { x, labels: batch.labels.clone() }), ..self }
    }

    /// `K`.
    fn levels(&self) -> f64 {
        self.noise.levels() as f64
    }

    /// `log p((l + u) / K) − F log K − log q(u | l)` for one draw of `u`: `[B, F] -> [B]`.
    fn log_weight(&self, levels: &Rows, rng: &mut Rng) -> Tensor<1> {
        let (u, log_q) = self.noise.draw(levels, rng);
        let y = (levels.clone() + u) * (1.0 / self.levels());
        let features = levels.dims()[1] as f64;
        self.flow.log_prob(y) - log_q - features * self.levels().ln()
    }

    /// The levels that numbers in (0, 1) belong to.
    fn whole(&self, y: Rows) -> Rows {
        (y * self.levels()).floor().clamp(0.0, self.levels() - 1.0)
    }

    /// The bound of `draws` draws: `[B, F] -> [B]`.
    fn bound(&self, levels: &Rows, draws: usize, rng: &mut Rng) -> Tensor<1> {
        let weights = (0..draws).map(|_| self.log_weight(levels, rng).unsqueeze_dim::<2>(1)).collect();
        log_sum_exp(Tensor::cat(weights, 1)) - (draws as f64).ln()
    }
}

impl LowerBound for VariationalDequantisation {
    fn lower_bound(&self, x: Rows, rng: &mut Rng) -> Vec<f64> {
        self.bound(&x, self.bound_samples, rng).to_data().iter::<f32>().map(f64::from).collect()
    }
}

impl Sample for VariationalDequantisation {
    /// Whole numbers as rows.
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        self.whole(self.flow.sample(n, rng))
    }
}

impl Cautious for VariationalDequantisation {
    fn with_caution(&self, caution: Caution) -> Option<Box<dyn Sample + '_>> {
        let flow = self.flow.with_caution(caution)?;
        Some(sampler(move |n, rng| self.whole(flow.sample(n, rng))))
    }
}

impl Model for VariationalDequantisation {
    fn loss(&self, batch: Batch, rng: &mut Rng) -> Loss {
        Loss { value: self.bound(&batch.x, self.draws, rng).mean().neg(), parts: Vec::new() }
    }

    fn view(&self) -> View<'_> {
        View { sample: Some(self), cautious: Some(self), lower_bound: Some(self), ..View::default() }
    }
}
