//! The exact denoiser of a Gaussian mixture: the oracle against which solvers and bounds are tested.
//!
//! ```text
//! p(x₀) = Σ_k w_k N(m_k, diag v_k)      x_t | k ~ N(α m_k, α² v_k + σ²)
//! E[x₀ | x_t] = Σ_k p(k | x_t) (m_k + α v_k / (α² v_k + σ²) (x_t − α m_k))
//! ∇ log p(x_t) = (α E[x₀ | x_t] − x_t) / σ²      (Tweedie)
//! ```
//!
//! Computed in double precision on the host.

use burn::tensor::{Device, Tensor, TensorData};
use genera_rng::Rng;

use super::{Differentiable, DiffusionError, Level, host, within};
use crate::traits::{Denoise, Rows, Sample};

/// A mixture of Gaussians with diagonal covariances, and everything that diffusion asks of it.
#[derive(Clone, Debug)]
pub struct MixtureDenoiser {
    parts: Vec<Part>,
    device: Device,
}

#[derive(Clone, Debug)]
struct Part {
    weight: f64,
    mean: Vec<f64>,
    variance: Vec<f64>,
}

impl MixtureDenoiser {
    /// The mixture of `(weight, mean, variance)`, with weights normalised, whose samples live on `device`.
    ///
    /// # Errors
    /// No part, parts of different or no width, a weight or variance that is not positive, a mean that is not finite.
    pub fn new(parts: &[(f64, Vec<f64>, Vec<f64>)], device: &Device) -> Result<Self, DiffusionError> {
        let width = parts.first().map_or(0, |part| part.1.len());
        if width == 0 || parts.iter().any(|(_, mean, variance)| mean.len() != width || variance.len() != width) {
            return Err(DiffusionError::Combination("a mixture needs parts, all of one positive width"));
        }
        for (weight, mean, variance) in parts {
            within(*weight > 0.0 && weight.is_finite(), "a weight of the mixture", *weight, "positive")?;
            for v in variance {
                within(*v > 0.0 && v.is_finite(), "a variance of the mixture", *v, "positive")?;
            }
            for m in mean {
                within(m.is_finite(), "a mean of the mixture", *m, "finite")?;
            }
        }
        let total: f64 = parts.iter().map(|part| part.0).sum();
        let parts = parts.iter().map(|(weight, mean, variance)| Part {
            weight: weight / total,
            mean: mean.clone(),
            variance: variance.clone(),
        });
        Ok(Self { parts: parts.collect(), device: device.clone() })
    }

    /// `log p(x_t)` in nats of one point.
    pub fn log_density(&self, x: &[f64], level: Level) -> f64 {
        log_sum(&self.log_joint(x, level))
    }

    /// `E[x₀ | x_t]` of one point.
    pub fn mean(&self, x: &[f64], level: Level) -> Vec<f64> {
        let Level { alpha, sigma, .. } = level;
        let joint = self.log_joint(x, level);
        let total = log_sum(&joint);
        let mut mean = vec![0.0; x.len()];
        for (part, log) in self.parts.iter().zip(joint) {
            let responsibility = (log - total).exp();
            for ((out, x), (m, v)) in mean.iter_mut().zip(x).zip(part.mean.iter().zip(&part.variance)) {
                *out += responsibility * (m + alpha * v / (alpha * alpha * v + sigma * sigma) * (x - alpha * m));
            }
        }
        mean
    }

    /// `∇ log p(x_t)` of one point.
    pub fn score(&self, x: &[f64], level: Level) -> Vec<f64> {
        let Level { alpha, sigma, .. } = level;
        let mean = self.mean(x, level);
        mean.iter().zip(x).map(|(x0, x)| (alpha * x0 - x) / (sigma * sigma)).collect()
    }

    /// `log (w_k p(x_t | k))` of each part.
    fn log_joint(&self, x: &[f64], Level { alpha, sigma, .. }: Level) -> Vec<f64> {
        let log_normal = |x: f64, m: f64, v: f64| {
            let variance = alpha * alpha * v + sigma * sigma;
            -0.5 * ((x - alpha * m).powi(2) / variance + (std::f64::consts::TAU * variance).ln())
        };
        let of_part = |part: &Part| {
            let values = x.iter().zip(part.mean.iter().zip(&part.variance));
            part.weight.ln() + values.map(|(x, (m, v))| log_normal(*x, *m, *v)).sum::<f64>()
        };
        self.parts.iter().map(of_part).collect()
    }
}

/// `log Σ exp`.
pub(super) fn log_sum(logs: &[f64]) -> f64 {
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most + logs.iter().map(|log| (log - most).exp()).sum::<f64>().ln()
}

impl Denoise for MixtureDenoiser {
    fn denoise(&self, x: Rows, levels: &[Level]) -> Rows {
        let ([rows, width], device) = (x.dims(), x.device());
        let values: Vec<f64> = host(&x).into_iter().map(f64::from).collect();
        let means = values.chunks_exact(width).zip(levels).flat_map(|(row, level)| self.mean(row, *level));
        let means: Vec<f32> = means.map(|v| v as f32).collect();
        Tensor::from_data(TensorData::new(means, [rows, width]), &device)
    }

    fn denoise_some(&self, _: &[usize], x: Rows, levels: &[Level]) -> Rows {
        self.denoise(x, levels)
    }
}

impl MixtureDenoiser {
    /// `vᵀ ∂E[x₀ | x_t]/∂x_t` of one point:
    ///
    /// ```text
    /// Σ_k r_k (α v_k / c_k ⊙ v + (v·m_k(x)) (s_k − s)),   c_k = α² v_k + σ²,  s_k = −(x − α m_k) / c_k,  s = Σ_k r_k s_k
    /// ```
    ///
    /// with the responsibilities `r_k` and the means `m_k(x)` of the parts given `x`.
    fn pull(&self, x: &[f64], level: Level, v: &[f64]) -> Vec<f64> {
        let Level { alpha, sigma, .. } = level;
        let joint = self.log_joint(x, level);
        let total = log_sum(&joint);
        let (mut out, mut along_all) = (vec![0.0; x.len()], 0.0);
        let mut mean_score = vec![0.0; x.len()];
        for (part, log) in self.parts.iter().zip(joint) {
            let r = (log - total).exp();
            let spread = |i: usize| alpha * alpha * part.variance[i] + sigma * sigma;
            let score = |i: usize| -(x[i] - alpha * part.mean[i]) / spread(i);
            // m_k(x) = m_k − α v_k s_k.
            let along: f64 = (0..x.len()).map(|i| v[i] * (part.mean[i] - alpha * part.variance[i] * score(i))).sum();
            for (i, (out, mean_score)) in out.iter_mut().zip(&mut mean_score).enumerate() {
                *out += r * (alpha * part.variance[i] / spread(i) * v[i] + along * score(i));
                *mean_score += r * score(i);
            }
            along_all += r * along;
        }
        out.iter().zip(mean_score).map(|(out, score)| out - along_all * score).collect()
    }
}

impl Differentiable for MixtureDenoiser {
    fn denoise_and_pull(&self, _: &[usize], x: Rows, levels: &[Level], cotangents: Vec<Rows>) -> (Rows, Vec<Rows>) {
        let ([rows, width], device) = (x.dims(), x.device());
        let points: Vec<f64> = host(&x).into_iter().map(f64::from).collect();
        let pull = |v: Rows| -> Rows {
            let v: Vec<f64> = host(&v).into_iter().map(f64::from).collect();
            let of_rows = points.chunks_exact(width).zip(v.chunks_exact(width)).zip(levels);
            let pulled = of_rows.flat_map(|((x, v), level)| self.pull(x, *level, v)).map(|v| v as f32);
            Tensor::from_data(TensorData::new(pulled.collect::<Vec<f32>>(), [rows, width]), &device)
        };
        let pulled = cotangents.into_iter().map(pull).collect();
        (self.denoise(x, levels), pulled)
    }
}

impl Sample for MixtureDenoiser {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        let width = self.parts[0].mean.len();
        let mut values = Vec::with_capacity(n * width);
        for mut stream in rng.streams(n) {
            let mut left = stream.uniform();
            let part = self.parts.iter().find(|part| {
                left -= part.weight;
                left < 0.0
            });
            let part = part.unwrap_or(&self.parts[0]);
            values.extend(part.mean.iter().zip(&part.variance).map(|(m, v)| (m + v.sqrt() * stream.normal()) as f32));
        }
        Tensor::from_data(TensorData::new(values, [n, width]), &self.device)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Schedule;
    use super::*;

    #[test]
    fn the_derivative_is_that_of_the_mean() {
        let parts = [(0.3, vec![1.0, -2.0], vec![0.2, 0.5]), (0.7, vec![-1.0, 0.5], vec![1.0, 0.1])];
        let mixture = MixtureDenoiser::new(&parts, &Default::default()).unwrap();
        let levels = Schedule::linear(100).levels().unwrap();
        let (x, v) = ([0.4, -0.6], [0.7, -1.3]);
        for level in [levels.training(0), levels.training(20), levels.training(99), levels.clean()] {
            let pulled = mixture.pull(&x, level, &v);
            for axis in 0..2 {
                let along = |by: f64| {
                    let mut x = x;
                    x[axis] += by;
                    mixture.mean(&x, level).iter().zip(v).map(|(m, v)| m * v).sum::<f64>()
                };
                let slope = (along(1e-5) - along(-1e-5)) / 2e-5;
                assert!((slope - pulled[axis]).abs() < 1e-6 * slope.abs().max(1.0), "{level:?}: {slope} {pulled:?}");
            }
        }
    }

    #[test]
    fn the_mean_and_the_score_are_gradients_of_the_log_density() {
        let parts = [(0.3, vec![1.0, -2.0], vec![0.2, 0.5]), (0.7, vec![-1.0, 0.5], vec![1.0, 0.1])];
        let mixture = MixtureDenoiser::new(&parts, &Default::default()).unwrap();
        let levels = Schedule::linear(100).levels().unwrap();
        for index in [0, 10, 50, 99] {
            let level = levels.training(index);
            let x = [0.4, -0.6];
            let score = mixture.score(&x, level);
            for axis in 0..2 {
                let moved = |by: f64| {
                    let mut x = x;
                    x[axis] += by;
                    mixture.log_density(&x, level)
                };
                let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!((slope - score[axis]).abs() < 1e-6 * score[axis].abs().max(1.0));
            }
        }
    }
}
