//! A posterior through inverse autoregressive steps.
//!
//! ```text
//! z₀ = μ + σ ε,   log q₀ = log N(ε) − Σ log σ
//! z_t = g ⊙ z_{t−1} + (1 − g) ⊙ m,   log q_t = log q_{t−1} − Σ log g,   [m, s] = net_t(z_{t−1}, h),  g = sigmoid(s + 1.5)
//! ```
//!
//! Kingma et al., "Improving Variational Inference with Inverse Autoregressive Flow" (arXiv:1606.04934), the numerically
//! stable form. `m_i` and `s_i` see `z_j` for `j < i` and the whole of `h`, which the encoder gives beside `μ` and
//! `log σ`. The order turns round between steps.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use genera_kernels::{self as kernels, Activation};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::{Encode, Gaussian, Posterior, repeat, row_sum};
use crate::nn::Linear;
use crate::traits::{Net, Rows};

/// What opens the gate at first, so that a fresh step changes little.
const OPEN: f64 = 1.5;

/// The steps of an [`InverseFlowEncoder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InverseFlowConfig {
    /// How many.
    pub steps: usize,
    /// The width of each step's hidden layer.
    pub hidden: usize,
    /// The length of `h`.
    pub context: usize,
}

impl Default for InverseFlowConfig {
    fn default() -> Self {
        Self { steps: 2, hidden: 128, context: 64 }
    }
}

impl InverseFlowConfig {
    /// How many numbers the encoder's network gives: `2 L` and the context.
    pub fn outputs(&self, latents: usize) -> usize {
        2 * latents + self.context
    }

    /// Around a network with [`InverseFlowConfig::outputs`] outputs.
    pub fn init<N: Module>(&self, net: N, latents: usize, rng: &mut Rng, device: &Device) -> InverseFlowEncoder<N> {
        let steps = (0..self.steps).map(|_| Step::new(latents, self, rng, device)).collect();
        InverseFlowEncoder { net, steps, latents }
    }
}

/// An encoder whose posterior is a chain of inverse autoregressive steps.
#[derive(Module, Debug)]
pub struct InverseFlowEncoder<N: Module> {
    /// The network.
    pub net: N,
    steps: Vec<Step>,
    #[module(skip)]
    latents: usize,
}

impl<N: Module + Net> Encode for InverseFlowEncoder<N> {
    type Posterior = InverseFlowPosterior;

    fn posterior(&self, x: Rows) -> InverseFlowPosterior {
        let output = self.net.forward(x);
        let context = output.dims()[1] - 2 * self.latents;
        InverseFlowPosterior {
            base: Gaussian::from_output(output.clone().narrow(1, 0, 2 * self.latents)),
            context: output.narrow(1, 2 * self.latents, context),
            steps: self.steps.clone(),
        }
    }
}

/// The posterior of an [`InverseFlowEncoder`].
#[derive(Clone, Debug)]
pub struct InverseFlowPosterior {
    base: Gaussian,
    /// `h`, `[B, H]`.
    context: Rows,
    steps: Vec<Step>,
}

impl Posterior for InverseFlowPosterior {
    fn draw(&self, eps: Rows) -> (Rows, Tensor<1>) {
        let start = self.base.draw(eps);
        self.steps.iter().fold(start, |(z, log_q), step| {
            let (z, log_gate) = step.forward(z, self.context.clone());
            (z.flip([1]), log_q - row_sum(log_gate))
        })
    }

    fn latents(&self) -> usize {
        self.base.latents()
    }

    /// Where `ε = 0` goes.
    fn mean(&self) -> Rows {
        self.draw(self.base.mean.zeros_like()).0
    }

    fn repeat(&self, k: usize) -> Self {
        Self { base: self.base.repeat(k), context: repeat(self.context.clone(), k), steps: self.steps.clone() }
    }
}

/// Two masked layers: number `i` of the output sees the numbers before `i` of the input.
#[derive(Module, Debug)]
struct Step {
    input: Linear,
    context: Linear,
    output: Linear,
    /// From the context to the output, which the first latent has nothing else to look at.
    skip: Linear,
    #[module(skip)]
    latents: usize,
}

impl Step {
    fn new(latents: usize, config: &InverseFlowConfig, rng: &mut Rng, device: &Device) -> Self {
        let InverseFlowConfig { hidden, context, .. } = *config;
        Self {
            input: Linear::new(latents, hidden, rng, device),
            context: Linear::new(context, hidden, rng, device),
            output: Linear::new(hidden, 2 * latents, rng, device),
            skip: Linear::new(context, 2 * latents, rng, device),
            latents,
        }
    }

    /// `z_t` and `log g`: `[B, L], [B, H] -> [B, L], [B, L]`.
    fn forward(&self, z: Rows, context: Rows) -> (Rows, Rows) {
        let latents = self.latents;
        // Hidden unit k sees the inputs up to number `degree(k)` and is seen by the outputs after it.
        let degree = |k: usize| k % latents.saturating_sub(1).max(1);
        let hidden = masked(&self.input, z.clone(), |k, j| j <= degree(k)) + self.context.forward(context.clone());
        let hidden = kernels::activate(hidden, Activation::Relu);
        let output = masked(&self.output, hidden, |i, k| i % latents > degree(k)) + self.skip.forward(context);
        let (mean, s) = (output.clone().narrow(1, 0, latents), output.narrow(1, latents, latents) + OPEN);
        // log σ(s) = -softplus(-s)
        let log_gate = kernels::activate(s.neg(), Activation::Softplus).neg();
        let gate = log_gate.clone().exp();
        ((z - mean.clone()) * gate + mean, log_gate)
    }
}

/// The layer with the weights that `sees` forbids held at zero.
fn masked(layer: &Linear, x: Rows, sees: impl Fn(usize, usize) -> bool) -> Rows {
    let [outputs, inputs] = layer.weight.val().dims();
    let mask =
        (0..outputs).flat_map(|o| (0..inputs).map(move |i| (o, i))).map(|(o, i)| f32::from(u8::from(sees(o, i))));
    let mask: Rows =
        Tensor::from_data(TensorData::new(mask.collect::<Vec<f32>>(), [outputs, inputs]), &x.device().inner());
    kernels::linear(x, layer.weight.val() * mask, layer.bias.as_ref().map(Param::val), Activation::Identity)
}

#[cfg(test)]
mod tests {
    use super::super::host;
    use super::*;

    /// `log |det ∂z/∂ε|` by finite differences of a chain in three dimensions against `log N(ε) − log q`.
    #[test]
    fn the_density_is_that_of_the_change_of_variables() {
        let (mut rng, device) = (Rng::new(3), Device::default());
        let config = InverseFlowConfig { steps: 2, hidden: 9, context: 4 };
        let steps: Vec<Step> = (0..2).map(|_| Step::new(3, &config, &mut rng, &device)).collect();
        let mut tensor = |width| super::super::noise(1, width, &mut rng, &device);
        let base = Gaussian { mean: tensor(3), log_std: tensor(3) * 0.3 };
        let q = InverseFlowPosterior { base, context: tensor(4), steps };
        let eps = [0.3_f32, -0.8, 1.1];
        let at = |eps: [f32; 3]| q.draw(Rows::from_floats([eps], &device));
        let h = 1e-2;
        let columns: Vec<Vec<f64>> = (0..3)
            .map(|j| {
                let moved = |by: f32| host(&at(std::array::from_fn(|i| eps[i] + if i == j { by } else { 0.0 })).0);
                moved(h).iter().zip(moved(-h)).map(|(a, b)| (a - b) / (2.0 * f64::from(h))).collect()
            })
            .collect();
        let c = |i: usize, j: usize| columns[j][i];
        let det = c(0, 0) * (c(1, 1) * c(2, 2) - c(1, 2) * c(2, 1)) - c(0, 1) * (c(1, 0) * c(2, 2) - c(1, 2) * c(2, 0))
            + c(0, 2) * (c(1, 0) * c(2, 1) - c(1, 1) * c(2, 0));
        let log_normal = eps.iter().map(|e| -0.5 * f64::from(*e).powi(2) - super::super::HALF_LOG_TAU).sum::<f64>();
        let found = host(&at(eps).1)[0];
        assert!((found - (log_normal - det.abs().ln())).abs() < 5e-3, "{found} {}", log_normal - det.abs().ln());
    }

    #[test]
    fn a_step_sees_only_what_comes_before() {
        for latents in [1, 2, 5] {
            let (mut rng, device) = (Rng::new(3), Device::default());
            let config = InverseFlowConfig { steps: 1, hidden: 16, context: 2 };
            let step = Step::new(latents, &config, &mut rng, &device);
            let (z, context) =
                (super::super::noise(1, latents, &mut rng, &device), super::super::noise(1, 2, &mut rng, &device));
            let before = host(&step.forward(z.clone(), context.clone()).1);
            for j in 0..latents {
                let mut values = host(&z);
                values[j] += 1.0;
                let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
                let moved = Tensor::from_data(TensorData::new(values, [1, latents]), &device);
                let after = host(&step.forward(moved, context.clone()).1);
                assert_eq!(before[..=j], after[..=j], "{latents} {j}");
                assert!(j + 1 == latents || before[j + 1..] != after[j + 1..]);
            }
        }
    }
}
