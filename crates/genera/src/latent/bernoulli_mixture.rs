//! Mixtures of Bernoulli vectors, for bits.
//!
//! ```text
//! p(x) = Σₖ πₖ Π_d m_kd^{x_d} (1 − m_kd)^{1 − x_d}
//! M step   πₖ = Σᵢ ξᵢₖ / n,   mₖ = Σᵢ ξᵢₖ xᵢ / Σᵢ ξᵢₖ, held within [ε, 1 − ε]
//! ```
//!
//! Bishop, "Pattern Recognition and Machine Learning", section 9.3.3. Held at a bound, the M step is still a maximum, so
//! the likelihood still never falls.

use burn::tensor::{Device, Tensor, TensorData};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::em::taken;
use super::matrix::tensor;
use super::start::clusters;
use super::{Em, LatentError, Maximised, Named, Points, choose, log_sum_exp};
use crate::traits::{Density, Rows, Sample};

/// What a mixture looks like before it has seen data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BernoulliMixtureConfig {
    /// `K`.
    pub components: usize,
    /// `ε`: no bit is surer than this.
    pub floor: f64,
}

impl Default for BernoulliMixtureConfig {
    fn default() -> Self {
        Self { components: 10, floor: 1e-3 }
    }
}

impl BernoulliMixtureConfig {
    /// Equal components halfway between the means of clusters and that of all rows.
    ///
    /// # Errors
    /// No rows, values that are no bits, fewer distinct rows than components, or a floor outside `(0, ½)`.
    pub fn init(&self, x: &Rows, rng: &mut Rng) -> Result<BernoulliMixture, LatentError> {
        if !(self.floor > 0.0 && self.floor < 0.5) {
            return Err(LatentError::Range { name: "floor", value: self.floor, needed: "between 0 and 0.5" });
        }
        let points = Points::gather(std::iter::once(x))?;
        if let Some(row) = points.rows().position(|row| row.iter().any(|v| *v != 0.0 && *v != 1.0)) {
            return Err(LatentError::NotBinary(row));
        }
        let (centres, _) = clusters(&points, self.components, rng)?;
        let mean = points.mean();
        let halfway = centres.chunks_exact(points.width).flat_map(|c| c.iter().zip(&mean).map(|(x, m)| 0.5 * (x + m)));
        let means = self.held(halfway.collect());
        let weights = vec![1.0 / self.components as f64; self.components];
        Ok(BernoulliMixture { config: *self, weights, means, device: x.device().inner() })
    }

    fn held(&self, mut means: Vec<f64>) -> Vec<f64> {
        means.iter_mut().for_each(|m| *m = m.clamp(self.floor, 1.0 - self.floor));
        means
    }
}

/// A mixture of independent bits.
#[derive(Clone, Debug)]
pub struct BernoulliMixture {
    config: BernoulliMixtureConfig,
    weights: Vec<f64>,
    means: Vec<f64>,
    device: Device,
}

impl BernoulliMixture {
    /// `mₖ`, `[K, D]`.
    pub fn means(&self) -> &[f64] {
        &self.means
    }

    /// `log πₖ p(x|k)` of each component, for all rows: `[N, K]`.
    fn log_joint(&self, x: &Points) -> Vec<f64> {
        // log p(x|k) = Σ log(1 − m) + Σ x logit(m)
        let parts: Vec<(f64, Vec<f64>)> = (self.means.chunks_exact(x.width).zip(&self.weights))
            .map(|(means, weight)| {
                let off: f64 = means.iter().map(|m| (-m).ln_1p()).sum();
                (weight.ln() + off, means.iter().map(|m| m.ln() - (-m).ln_1p()).collect())
            })
            .collect();
        let of_row = |row: &[f64]| {
            let of_part =
                |(off, logits): &(f64, Vec<f64>)| off + row.iter().zip(logits).map(|(x, l)| x * l).sum::<f64>();
            parts.iter().map(of_part).collect::<Vec<f64>>()
        };
        x.rows().flat_map(of_row).collect()
    }
}

impl Em for BernoulliMixture {
    fn step(&self, x: &Points) -> Maximised<Self> {
        let (n, count) = (x.count(), self.weights.len());
        let mut xi = self.log_joint(x);
        for row in xi.chunks_exact_mut(count) {
            let total = log_sum_exp(row);
            row.iter_mut().for_each(|log| *log = (*log - total).exp());
        }
        let column = |k: usize| xi.iter().skip(k).step_by(count).copied();
        let (mut mended, mut weights, mut means) = (0, Vec::new(), Vec::new());
        for k in 0..count {
            let total: f64 = column(k).sum();
            if total < 1e-8 {
                mended += 1;
                let logs = self.log_likelihoods(x);
                let worst = (0..n).min_by(|a, b| logs[*a].total_cmp(&logs[*b])).unwrap_or(0);
                means.extend(x.row(worst).iter().zip(x.mean()).map(|(x, m)| 0.5 * (x + m)));
                weights.push(1.0 / n as f64);
            } else {
                means.extend(x.weighted_mean(column(k)));
                weights.push(total / n as f64);
            }
        }
        let total: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= total);
        let means = self.config.held(means);
        Maximised { model: Self { config: self.config, weights, means, device: self.device.clone() }, mended }
    }

    fn log_likelihoods(&self, x: &Points) -> Vec<f64> {
        self.log_joint(x).chunks_exact(self.weights.len()).map(log_sum_exp).collect()
    }

    fn parameters(&self) -> Named {
        let count = self.weights.len();
        vec![
            ("weights", vec![count], self.weights.clone()),
            ("means", vec![count, self.means.len() / count], self.means.clone()),
        ]
    }

    fn with_parameters(&self, parameters: Named) -> Self {
        let [weights, means] = ["weights", "means"].map(|name| taken(&parameters, name));
        Self { weights, means, ..self.clone() }
    }
}

impl Density for BernoulliMixture {
    fn log_prob(&self, x: Rows) -> Tensor<1> {
        let logs: Vec<f32> = self.log_likelihoods(&Points::new(&x)).into_iter().map(|v| v as f32).collect();
        Tensor::from_data(TensorData::from(logs.as_slice()), &x.device())
    }
}

impl Sample for BernoulliMixture {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        let width = self.means.len() / self.weights.len();
        let mut values = Vec::with_capacity(n * width);
        for mut stream in rng.streams(n) {
            let k = choose(&self.weights, &mut stream);
            let means = &self.means[k * width..(k + 1) * width];
            values.extend(means.iter().map(|m| f64::from(u8::from(stream.uniform() < *m))));
        }
        tensor(&values, width, &self.device)
    }
}
