//! Four estimators of the gradient of `E_q f(z)` in the parameters of a Gaussian `q`, and their variances side by side.
//!
//! ```text
//! reparametrised     ∂f/∂z ∂z/∂φ,                 z = μ + σ ε
//! score function     (f(z) − b) ∇_φ log q(z)       Williams 1992; b = 0
//!   with mean        b = the mean of the other draws
//!   with best        b_j = E[f g_j²] / E[g_j²],    g = ∇_φ log q: the constant of least variance for each parameter
//! ```
//!
//! For `N(μ, diag σ²)`: `∇_μ log q = ε/σ` and `∇_{log σ} log q = ε² − 1`. All four have the same mean. The best baseline
//! is estimated from the same draws, which biases it by O(1/n).

use burn::tensor::{Device, Tensor, TensorData};
use genera_rng::Rng;

use super::host;
use crate::traits::Rows;

/// How the gradient is estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Estimator {
    /// Through the draw.
    Reparametrised,
    /// By the score function.
    Score,
    /// The same, less the mean of the other draws.
    ScoreWithMean,
    /// The same, less the constant of least variance.
    ScoreWithBest,
}

/// A gradient by one estimator: with respect to the means first, then to the logarithms of the deviations, `[2 L]`.
#[derive(Clone, Debug, PartialEq)]
pub struct GradientEstimate {
    /// Which one.
    pub estimator: Estimator,
    /// The mean over draws.
    pub mean: Vec<f64>,
    /// The variance of one draw.
    pub variance: Vec<f64>,
}

/// All four, from the same `draws` of `N(mean, diag e^{2 log_std})`; `f` is differentiable, `[N, L] -> [N]`.
pub fn gradient_estimates(
    mean: &[f64],
    log_std: &[f64],
    f: impl Fn(Rows) -> Tensor<1>,
    draws: usize,
    rng: &mut Rng,
    device: &Device,
) -> Vec<GradientEstimate> {
    let latents = mean.len();
    let std: Vec<f64> = log_std.iter().map(|v| v.exp()).collect();
    let eps: Vec<f64> = rng.normal(draws, latents).into_iter().map(f64::from).collect();
    let z = eps.chunks_exact(latents.max(1)).flat_map(|eps| (0..latents).map(|j| (mean[j] + std[j] * eps[j]) as f32));
    let data = TensorData::new(z.collect::<Vec<f32>>(), [draws, latents]);
    let z = Rows::from_data(data, &device.clone().inner().autodiff()).require_grad();
    let value = f(z.clone());
    let values = host(&value);
    let slopes = z.grad(&value.sum().backward()).map_or_else(|| vec![0.0; draws * latents], |slope| host(&slope));

    let paths = |i: usize, j: usize| {
        let at = i * latents + j % latents;
        if j < latents { slopes[at] } else { slopes[at] * std[j - latents] * eps[at] }
    };
    let score = |i: usize, j: usize| {
        let at = i * latents + j % latents;
        if j < latents { eps[at] / std[j] } else { eps[at] * eps[at] - 1.0 }
    };
    let total: f64 = values.iter().sum();
    let others = |i: usize| (total - values[i]) / (draws - 1).max(1) as f64;
    let best: Vec<f64> = (0..2 * latents)
        .map(|j| {
            let weigh = |i: usize| score(i, j).powi(2);
            (0..draws).map(|i| values[i] * weigh(i)).sum::<f64>() / (0..draws).map(weigh).sum::<f64>()
        })
        .collect();
    let estimate = |estimator, of: &dyn Fn(usize, usize) -> f64| {
        let moments = (0..2 * latents).map(|j| {
            let mean = (0..draws).map(|i| of(i, j)).sum::<f64>() / draws as f64;
            let square = (0..draws).map(|i| (of(i, j) - mean).powi(2)).sum::<f64>();
            (mean, square / (draws - 1).max(1) as f64)
        });
        let (mean, variance) = moments.unzip();
        GradientEstimate { estimator, mean, variance }
    };
    vec![
        estimate(Estimator::Reparametrised, &paths),
        estimate(Estimator::Score, &|i, j| values[i] * score(i, j)),
        estimate(Estimator::ScoreWithMean, &|i, j| (values[i] - others(i)) * score(i, j)),
        estimate(Estimator::ScoreWithBest, &|i, j| (values[i] - best[j]) * score(i, j)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_agree_and_their_variances_are_ordered() {
        // E |z - a|² + 5 has the gradients 2 (μ - a) and 2 σ².
        let (mean, log_std, a) = ([0.5, -1.0], [0.1, -0.6], [2.0_f32, 1.0]);
        let device = Device::default();
        let f = |z: Rows| {
            let away = z - Rows::from_floats([a], &device);
            super::super::row_sum(away.square()) + 5.0
        };
        let draws = 40_000;
        let found = gradient_estimates(&mean, &log_std, f, draws, &mut Rng::new(4), &device);
        let exact = [2.0 * (0.5 - 2.0), 2.0 * (-1.0 - 1.0), 2.0 * (0.2_f64).exp(), 2.0 * (-1.2_f64).exp()];
        for estimate in &found {
            for j in 0..4 {
                let error = (estimate.variance[j] / draws as f64).sqrt();
                let (mean, exact) = (estimate.mean[j], exact[j]);
                assert!((mean - exact).abs() < 4.5 * error + 1e-4, "{:?} {j}: {mean} {exact}", estimate.estimator);
            }
        }
        let total: Vec<f64> = found.iter().map(|estimate| estimate.variance.iter().sum()).collect();
        assert!(total[0] < total[3] && total[3] < total[2] && total[2] < total[1], "{total:?}");
        // By hand: Var of ∂f/∂z₀ = 2 (z₀ - a₀) is 4 σ₀².
        assert!((found[0].variance[0] - 4.0 * 0.2_f64.exp()).abs() < 0.2);
    }
}
