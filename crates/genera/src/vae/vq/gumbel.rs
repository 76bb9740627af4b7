//! Draws from categorical distributions, and their relaxation.
//!
//! ```text
//! g = −log(−log u)                                  density e^{−x − e^{−x}}
//! argmax_k (log π_k + g_k) ~ Cat(π)                 Gumbel-max
//! c = softmax((log π + g) / τ)                      Gumbel-softmax: exact as τ → 0, smooth and biased for large τ
//! straight through: onehot(argmax c) forward, ∂c backward
//! ```
//!
//! Jang, Gu and Poole (arXiv:1611.01144); Maddison, Mnih and Teh (arXiv:1611.00712).

use burn::tensor::activation::softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::super::VaeError;
use super::super::error::within;
use crate::traits::Rows;

/// `τ` as training goes on: from `start` to `end` in `steps`, by the same factor at every step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Temperature {
    /// At the first step.
    pub start: f64,
    /// From step `steps` on.
    pub end: f64,
    /// How long it falls.
    pub steps: u64,
}

impl Default for Temperature {
    fn default() -> Self {
        Self { start: 1.0, end: 1.0 / 16.0, steps: 2000 }
    }
}

impl Temperature {
    /// `τ` at `step`.
    pub fn at(&self, step: u64) -> f64 {
        let done = if step >= self.steps { 1.0 } else { step as f64 / self.steps as f64 };
        self.start * (self.end / self.start).powf(done)
    }

    pub(super) fn check(&self) -> Result<(), VaeError> {
        for (name, value) in [("temperature.start", self.start), ("temperature.end", self.end)] {
            within(value > 0.0 && value.is_finite(), name, value, "positive")?;
        }
        Ok(())
    }
}

/// Gumbel noise: `[rows, width]`.
pub fn gumbel(rows: usize, width: usize, rng: &mut Rng, device: &Device) -> Rows {
    let noise = |mut stream: genera_rng::Stream| {
        (0..width).map(move |_| -(-(stream.uniform().max(f64::MIN_POSITIVE)).ln()).ln() as f32)
    };
    let values: Vec<f32> = rng.streams(rows).flat_map(noise).collect();
    Tensor::from_data(TensorData::new(values, [rows, width]), device)
}

/// `argmax (logits + noise)`: a draw of each row's categorical distribution if the noise is Gumbel's. `[N, K] -> [N]`.
pub fn gumbel_max(logits: Rows, noise: Rows) -> Tensor<1, Int> {
    (logits + noise).argmax(1).squeeze_dim(1)
}

/// The relaxed draw at `temperature`; forward what `sharpness` says. `[N, K] -> [N, K]`.
pub fn gumbel_softmax(logits: Rows, noise: Rows, temperature: f64, sharpness: Sharpness) -> Rows {
    let soft = softmax((logits + noise) / temperature, 1);
    match sharpness {
        Sharpness::Soft => soft,
        Sharpness::StraightThrough => {
            let hard: Rows = soft.clone().detach().argmax(1).squeeze_dim::<1>(1).one_hot::<2>(soft.dims()[1]).float();
            soft.clone() + (hard - soft).detach()
        }
    }
}

/// What a relaxed draw is forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sharpness {
    /// The relaxation itself.
    #[default]
    Soft,
    /// The corner it is nearest to.
    StraightThrough,
}

#[cfg(test)]
mod tests {
    use super::super::super::host;
    use super::*;

    #[test]
    fn draws_have_their_probabilities() {
        let (pi, n) = ([0.5_f64, 0.3, 0.15, 0.05], 20_000);
        let device = Device::default();
        let logits = Rows::from_floats([pi.map(|p| p.ln() as f32 + 2.0)], &device).repeat_dim(0, n);
        let draws = gumbel_max(logits, gumbel(n, 4, &mut Rng::new(3), &device));
        let mut counts = [0.0; 4];
        draws.to_data().iter::<i64>().for_each(|k| counts[k as usize] += 1.0);
        let chi2: f64 = (0..4).map(|k| (counts[k] - n as f64 * pi[k]).powi(2) / (n as f64 * pi[k])).sum();
        assert!(chi2 < 16.3, "chi-square {chi2} with 3 degrees of freedom: {counts:?}"); // p = 0.001
    }

    #[test]
    fn noise_has_gumbel_s_moments() {
        let x = host(&gumbel(50_000, 2, &mut Rng::new(3), &Device::default()));
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / x.len() as f64;
        assert!((mean - 0.577_216).abs() < 0.02 && (variance - 1.644_934).abs() < 0.05, "{mean} {variance}");
    }

    #[test]
    fn relaxed_draws_are_the_formula_and_sharpen() {
        let device = Device::default();
        let (logits, noise) =
            (Rows::from_floats([[0.1, -0.4, 1.0]], &device), Rows::from_floats([[0.5, 1.2, -0.3]], &device));
        let terms = |tau: f64| {
            let e = [0.6, 0.8, 0.7].map(|v: f64| (v / tau).exp());
            e.map(|v| v / e.iter().sum::<f64>())
        };
        for tau in [0.5, 1.0, 3.0] {
            let found = host(&gumbel_softmax(logits.clone(), noise.clone(), tau, Sharpness::Soft));
            assert!(found.iter().zip(terms(tau)).all(|(a, b)| (a - b).abs() < 1e-6));
        }
        let cold = host(&gumbel_softmax(logits.clone(), noise.clone(), 0.01, Sharpness::Soft));
        assert!((cold[1] - 1.0).abs() < 1e-3);
        let hard = host(&gumbel_softmax(logits, noise, 1.0, Sharpness::StraightThrough));
        assert!(hard.iter().zip([0.0, 1.0, 0.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{hard:?}");
    }

    /// The gradient of `E f(c)` in the logits: biased and quiet when hot, exact and loud when cold.
    #[test]
    fn heat_trades_variance_for_bias() {
        let (device, n, value) = (Device::default(), 40_000, [1.0_f64, -2.0, 4.0]);
        let logits = [0.2_f64, 0.5, -0.3];
        let total: f64 = logits.iter().map(|l| l.exp()).sum();
        let pi = logits.map(|l| l.exp() / total);
        // f = Σ v_k c_k², so that corners give v: ∂E f/∂l_j = π_j (v_j − E v).
        let expected: f64 = (0..3).map(|k| pi[k] * value[k]).sum();
        let exact = pi[0] * (value[0] - expected);
        let noise = gumbel(n, 3, &mut Rng::new(7), &device);
        let found = [0.1, 0.5, 2.0].map(|tau| {
            let rows = Rows::from_floats([logits.map(|l| l as f32)], &device).repeat_dim(0, n);
            let rows = Tensor::from_inner(rows).require_grad();
            let c = gumbel_softmax(rows.clone(), noise.clone(), tau, Sharpness::Soft);
            let f = c.square() * Rows::from_floats([value.map(|v| v as f32)], &device);
            let slope = host(&rows.grad(&f.sum().backward()).unwrap());
            let first: Vec<f64> = slope.iter().step_by(3).copied().collect();
            let mean = first.iter().sum::<f64>() / n as f64;
            (mean - exact, first.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / n as f64)
        });
        assert!(found[0].1 > found[1].1 && found[1].1 > found[2].1, "{found:?}");
        assert!(found[0].0.abs() < 0.05 && found[2].0.abs() > found[0].0.abs(), "{found:?}");
    }

    #[test]
    fn temperatures_fall_by_a_factor() {
        let t = Temperature { start: 1.0, end: 0.25, steps: 100 };
        assert_eq!([0, 50, 100, 1000].map(|step| t.at(step)), [1.0, 0.5, 0.25, 0.25]);
        assert_eq!(Temperature { steps: 0, ..t }.at(0), 0.25);
        assert!(Temperature { end: 0.0, ..t }.check().is_err());
    }
}
