//! Mixtures of Gaussians that learn by gradient: of the likelihood, or of a bound with an amortised posterior.
//!
//! ```text
//! likelihood    max log Σₖ πₖ N(x; μₖ, Σₖ)
//! joint         max L = Σₖ q(k|x) (log πₖ + log N(x; μₖ, Σₖ) − log q(k|x)),   q(k|x) = softmax(net(x))ₖ
//! alternating   the same by turns: some steps of q alone (E), then as many of π, μ, Σ alone (M)
//! ```
//!
//! `log p(x) − L = KL(q ‖ p(k|x))`: variational EM reaches what exact EM reaches once the network has caught up. The
//! precision is `Σₖ⁻¹ = AₖᵀAₖ` with `Aₖ` lower triangular and a positive diagonal `e^{aₖᵢᵢ}`; `π = softmax(logits)`.

use burn::module::{Module, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::matrix::tensor;
use super::start::clusters;
use super::{LOG_TAU, LatentError, Points, choose};
use crate::nn::{Activation, Mlp, MlpConfig};
use crate::traits::{Batch, Density, Loss, Model, Net, Rows, Sample, View};

/// What the gradient is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum MixtureObjective {
    /// The likelihood itself; there is no posterior network to learn.
    Likelihood,
    /// The bound, with respect to everything at once.
    #[default]
    Joint,
    /// The bound, with respect to `q` for so many steps, then with respect to the mixture for as many.
    Alternating {
        /// Steps of one turn.
        steps: u64,
    },
}

/// What a mixture looks like before it has seen data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AmortisedMixtureConfig {
    /// `K`.
    pub components: usize,
    /// Hidden layers of the network of `q`.
    pub hidden: Vec<usize>,
    /// What the gradient is of.
    pub objective: MixtureObjective,
}

impl Default for AmortisedMixtureConfig {
    fn default() -> Self {
        Self { components: 8, hidden: vec![100; 3], objective: MixtureObjective::Joint }
    }
}

impl AmortisedMixtureConfig {
    /// Equal spherical components around the means of clusters of `x`, and a fresh network.
    ///
    /// # Errors
    /// No rows, values that are not finite, fewer distinct rows than components, or turns of no steps.
    pub fn init(&self, x: &Rows, rng: &mut Rng) -> Result<AmortisedMixture, LatentError> {
        if self.objective == (MixtureObjective::Alternating { steps: 0 }) {
            return Err(LatentError::Range { name: "objective.alternating.steps", value: 0.0, needed: "at least 1" });
        }
        let points = Points::gather(std::iter::once(x))?;
        let (means, spread) = clusters(&points, self.components, rng)?;
        let (count, d, device) = (self.components, points.width, x.device().inner());
        // Clusters of equal rows have no width; that of single precision keeps the precision finite.
        let log_precision = -0.5 * (spread / d as f64).max(1e-6).ln();
        let factors = (0..count * d * d).map(|at| if at / d % d == at % d { log_precision as f32 } else { 0.0 });
        let parameter = |values: Vec<f32>, shape: Vec<usize>| TensorData::new(values, shape);
        let means = means.iter().map(|mean| *mean as f32).collect();
        let net = MlpConfig { inputs: d, hidden: self.hidden.clone(), outputs: count, activation: Activation::Relu };
        Ok(AmortisedMixture {
            posterior: net.init(rng, &device),
            logits: Param::from_data(parameter(vec![0.0; count], vec![count]), &device),
            means: Param::from_data(parameter(means, vec![count, d]), &device),
            factors: Param::from_data(parameter(factors.collect(), vec![count, d, d]), &device),
            objective: self.objective,
        })
    }
}

/// A mixture of Gaussians and a network that says which component a row comes from.
#[derive(Module, Debug)]
pub struct AmortisedMixture {
    /// The logits of `q(k|x)`: `[B, D] -> [B, K]`.
    posterior: Mlp,
    /// `[K]`.
    logits: Param<Tensor<1>>,
    /// `[K, D]`.
    means: Param<Tensor<2>>,
    /// `aₖ`, of which the lower triangle and the logarithm of the diagonal count: `[K, D, D]`.
    factors: Param<Tensor<3>>,
    #[module(skip)]
    objective: MixtureObjective,
}

impl AmortisedMixture {
    /// `log q(k|x)`: `[B, D] -> [B, K]`.
    pub fn log_posterior(&self, x: Rows) -> Rows {
        log_softmax(self.posterior.forward(x), 1)
    }

    /// `log πₖ N(x; μₖ, Σₖ)`: `[B, D] -> [B, K]`.
    pub fn log_joint(&self, x: Rows) -> Rows {
        let ([rows, d], [count, ..]) = (x.dims(), self.means.dims());
        let away = x.unsqueeze_dim::<3>(1) - self.means.val().unsqueeze(); // [B, K, D]
        let away = away.swap_dims(0, 1); // [K, B, D]
        let (lower, log_diagonal) = self.triangles();
        let white = away.matmul((lower + diagonal(log_diagonal.clone().exp())).swap_dims(1, 2)); // A (x − μ)
        let square: Rows = white.square().sum_dim(2).reshape([count, rows]).swap_dims(0, 1);
        let constant: Rows = log_diagonal.sum_dim(1).reshape([1, count]) - 0.5 * d as f64 * LOG_TAU;
        log_softmax(self.logits.val(), 0).unsqueeze::<2>() + constant - square * 0.5
    }

    /// The strict lower triangles, `[K, D, D]`, and the logarithms of the diagonals, `[K, D]`, of all factors.
    fn triangles(&self) -> (Tensor<3>, Tensor<2>) {
        let factors = self.factors.val();
        let [count, d, _] = factors.dims();
        let mask = |of: fn(usize, usize) -> bool| {
            let values: Vec<f32> = (0..d * d).map(|at| f32::from(u8::from(of(at / d, at % d)))).collect();
            Tensor::<3>::from_data(TensorData::new(values, [1, d, d]), &factors.device())
        };
        let diagonal = factors.clone() * mask(|i, j| i == j);
        (factors.clone() * mask(|i, j| j < i), diagonal.sum_dim(2).reshape([count, d]))
    }

    /// The bound `L` with posterior `log_q`: `[B, K], [B, K] -> [B]`.
    fn bound(log_joint: Rows, log_q: Rows) -> Tensor<1> {
        (log_q.clone().exp() * (log_joint - log_q)).sum_dim(1).squeeze_dim(1)
    }
}

/// `[K, D] -> [K, D, D]`.
fn diagonal(values: Tensor<2>) -> Tensor<3> {
    let [_, d] = values.dims();
    values.clone().unsqueeze_dim::<3>(2) * Tensor::<2>::eye(d, &values.device()).unsqueeze()
}

/// `log Σₖ exp` of each row: `[B, K] -> [B]`.
fn log_sum_exp(x: Rows) -> Tensor<1> {
    let most = x.clone().detach().max_dim(1);
    ((x - most.clone()).exp().sum_dim(1).log() + most).squeeze_dim(1)
}

impl Density for AmortisedMixture {
    fn log_prob(&self, x: Rows) -> Tensor<1> {
        log_sum_exp(self.log_joint(x))
    }
}

impl Sample for AmortisedMixture {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        let host = |data: TensorData| data.iter::<f32>().map(f64::from).collect::<Vec<f64>>();
        let weights = host(log_softmax(self.logits.val(), 0).exp().to_data());
        let (means, [_, d]) = (host(self.means.val().to_data()), self.means.dims());
        let (lower, log_diagonal) = self.triangles();
        let (lower, log_diagonal) = (host(lower.to_data()), host(log_diagonal.to_data()));
        let mut values = Vec::with_capacity(n * d);
        for mut stream in rng.streams(n) {
            let k = choose(&weights, &mut stream);
            // A x = eps, from the first row on.
            let mut x: Vec<f64> = Vec::with_capacity(d);
            for i in 0..d {
                let row = &lower[(k * d + i) * d..(k * d + i) * d + i];
                let known: f64 = row.iter().zip(&x).map(|(a, x)| a * x).sum();
                x.push((stream.normal() - known) * (-log_diagonal[k * d + i]).exp());
            }
            values.extend(x.iter().zip(&means[k * d..]).map(|(x, mean)| x + mean));
        }
        tensor(&values, d, &self.means.device())
    }
}

impl Model for AmortisedMixture {
    fn loss(&self, batch: Batch, rng: &mut Rng) -> Loss {
        self.loss_at(0, batch, rng)
    }

    fn loss_at(&self, step: u64, batch: Batch, _rng: &mut Rng) -> Loss {
        let log_joint = self.log_joint(batch.x.clone());
        let mean = |x: &Tensor<1>| f64::from(x.clone().mean().into_scalar::<f32>());
        let log_p = mean(&log_sum_exp(log_joint.clone()));
        let bound = match self.objective {
            MixtureObjective::Likelihood => log_sum_exp(log_joint),
            MixtureObjective::Joint => Self::bound(log_joint, self.log_posterior(batch.x)),
            MixtureObjective::Alternating { steps } => {
                let log_q = self.log_posterior(batch.x);
                if (step / steps).is_multiple_of(2) {
                    Self::bound(log_joint.detach(), log_q)
                } else {
                    Self::bound(log_joint, log_q.detach())
                }
            }
        };
        let gap = log_p - mean(&bound);
        Loss { value: bound.mean().neg(), parts: vec![("log-likelihood", log_p), ("posterior-kl", gap)] }
    }

    fn view(&self) -> View<'_> {
        View { sample: Some(self), density: Some(self), ..View::default() }
    }
}
