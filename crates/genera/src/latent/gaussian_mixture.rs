//! Mixtures of Gaussians.
//!
//! ```text
//! p(x) = Σₖ πₖ N(x; μₖ, Σₖ)
//! E step   ξᵢₖ = πₖ N(xᵢ; μₖ, Σₖ) / Σⱼ πⱼ N(xᵢ; μⱼ, Σⱼ)
//! M step   πₖ = Σᵢ ξᵢₖ / n,  μₖ = Σᵢ ξᵢₖ xᵢ / Σᵢ ξᵢₖ,  Σₖ = Σᵢ ξᵢₖ (xᵢ − μₖ)(xᵢ − μₖ)ᵀ / Σᵢ ξᵢₖ
//! ```
//!
//! All in logarithms. A component without rows starts again at the row that the mixture explains worst, and a covariance
//! below the floor is lifted onto it: both are counted.

use burn::tensor::{Device, Tensor, TensorData};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::matrix::{Cholesky, tensor};
use super::start::clusters;
use super::{Em, LOG_TAU, LatentError, Maximised, Named, Points, choose, log_sum_exp};
use crate::traits::{Density, Rows, Sample};

/// Which covariances are possible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Covariance {
    /// `σₖ² I`.
    Spherical,
    /// One variance for each dimension of each component.
    Diagonal,
    /// Any.
    #[default]
    Full,
    /// One matrix for all components.
    Tied,
}

/// What a mixture looks like before it has seen data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GaussianMixtureConfig {
    /// `K`.
    pub components: usize,
    /// Which covariances are possible.
    pub covariance: Covariance,
    /// The smallest variance of a component; full covariances that are singular are lifted by it.
    pub floor: f64,
}

impl Default for GaussianMixtureConfig {
    fn default() -> Self {
        Self { components: 8, covariance: Covariance::Full, floor: 1e-6 }
    }
}

impl GaussianMixtureConfig {
    /// Equal components around the means of clusters, whose covariances are spherical.
    ///
    /// # Errors
    /// No rows, values that are not finite, fewer distinct rows than components, or a floor that is not positive.
    pub fn init(&self, x: &Rows, rng: &mut Rng) -> Result<GaussianMixture, LatentError> {
        if !(self.floor > 0.0 && self.floor.is_finite()) {
            return Err(LatentError::Range { name: "floor", value: self.floor, needed: "positive" });
        }
        let points = Points::gather(std::iter::once(x))?;
        let (means, spread) = clusters(&points, self.components, rng)?;
        let variance = (spread / points.width as f64).max(self.floor);
        let d = points.width;
        let identity = |_| (0..d * d).map(move |at| if at / d == at % d { variance } else { 0.0 });
        let count = self.components;
        let covariances = match self.covariance {
            Covariance::Spherical => vec![variance; count],
            Covariance::Diagonal => vec![variance; count * d],
            Covariance::Full => (0..count).flat_map(identity).collect(),
            Covariance::Tied => identity(0).collect(),
        };
        Ok(GaussianMixture::new(*self, vec![1.0 / count as f64; count], means, covariances, &x.device().inner()))
    }
}

/// A mixture of Gaussians.
#[derive(Clone, Debug)]
pub struct GaussianMixture {
    config: GaussianMixtureConfig,
    width: usize,
    weights: Vec<f64>,
    means: Vec<f64>,
    covariances: Vec<f64>,
    parts: Vec<Shape>,
    device: Device,
}

/// A covariance, ready to be divided by.
#[derive(Clone, Debug)]
enum Shape {
    /// The variance of each dimension.
    Diagonal(Vec<f64>),
    Full(Cholesky),
}

impl Shape {
    /// `log N(away; 0, Σ)`.
    fn log_density(&self, away: &[f64]) -> f64 {
        let (square, log_det): (f64, f64) = match self {
            Self::Diagonal(variances) => {
                (away.iter().zip(variances).map(|(a, v)| a * a / v).sum(), variances.iter().map(|v| v.ln()).sum())
            }
            Self::Full(factor) => (factor.whiten(away).iter().map(|a| a * a).sum(), factor.log_det()),
        };
        -0.5 * (square + log_det + away.len() as f64 * LOG_TAU)
    }

    /// `Σ^{1/2} eps`.
    fn scale(&self, eps: &[f64]) -> Vec<f64> {
        match self {
            Self::Diagonal(variances) => eps.iter().zip(variances).map(|(e, v)| e * v.sqrt()).collect(),
            Self::Full(factor) => factor.times(eps),
        }
    }
}

impl GaussianMixture {
    fn new(
        config: GaussianMixtureConfig,
        weights: Vec<f64>,
        means: Vec<f64>,
        mut covariances: Vec<f64>,
        device: &Device,
    ) -> Self {
        let width = means.len() / weights.len();
        let mut shape = |k: usize| match config.covariance {
            Covariance::Spherical => Shape::Diagonal(vec![covariances[k]; width]),
            Covariance::Diagonal => Shape::Diagonal(covariances[k * width..(k + 1) * width].to_vec()),
            Covariance::Full => Shape::Full(lifted(&mut covariances, k, width, config.floor).0),
            Covariance::Tied => Shape::Full(lifted(&mut covariances, 0, width, config.floor).0),
        };
        let parts = (0..weights.len()).map(&mut shape).collect();
        Self { config, width, weights, means, covariances, parts, device: device.clone() }
    }

    /// `πₖ`.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// `μₖ`, `[K, D]`.
    pub fn means(&self) -> &[f64] {
        &self.means
    }

    /// The covariances: `[K]` spherical, `[K, D]` diagonal, `[K, D, D]` full, `[D, D]` tied.
    pub fn covariances(&self) -> &[f64] {
        &self.covariances
    }

    /// `ξᵢₖ` of each row: `[N, K]`.
    pub fn responsibilities(&self, x: &Points) -> Vec<f64> {
        let of_row = |row| {
            let joint = self.log_joint(row);
            let total = log_sum_exp(&joint);
            joint.into_iter().map(move |log| (log - total).exp())
        };
        x.rows().flat_map(of_row).collect()
    }

    /// `log πₖ N(x; μₖ, Σₖ)` of each component.
    fn log_joint(&self, x: &[f64]) -> Vec<f64> {
        let parts = self.parts.iter().zip(&self.weights).zip(self.means.chunks_exact(self.width));
        parts
            .map(|((part, weight), mean)| {
                let away: Vec<f64> = x.iter().zip(mean).map(|(x, m)| x - m).collect();
                weight.ln() + part.log_density(&away)
            })
            .collect()
    }
}

/// The factor of covariance `k`, which is lifted by the floor until it has one, and by how many floors.
fn lifted(covariances: &mut [f64], k: usize, d: usize, floor: f64) -> (Cholesky, usize) {
    let matrix = &mut covariances[k * d * d..(k + 1) * d * d];
    let (mut lift, mut lifts) = (floor, 0);
    loop {
        match Cholesky::new(matrix, d) {
            // A variance that is left over below the floor is a singular one that rounding kept alive.
            Some(factor) if (0..d).all(|i| matrix[i * d + i] >= 0.5 * floor) => return (factor, lifts),
            _ => {}
        }
        (0..d).for_each(|i| matrix[i * d + i] += lift);
        lift *= 10.0;
        lifts += 1;
    }
}

impl Em for GaussianMixture {
    fn step(&self, x: &Points) -> Maximised<Self> {
        let (n, d, count) = (x.count(), self.width, self.weights.len());
        let xi = self.responsibilities(x);
        let column = |k: usize| xi.iter().skip(k).step_by(count).copied();
        let (mut mended, mut weights, mut means) = (0, Vec::with_capacity(count), Vec::with_capacity(count * d));
        let mut full: Vec<Vec<f64>> = Vec::with_capacity(count);
        let mut worst: Vec<usize> = Vec::new();
        let all = std::cell::OnceCell::new();
        for k in 0..count {
            let total: f64 = column(k).sum();
            weights.push(total / n as f64);
            if total < 1e-8 {
                // Without rows: start again at a row that is explained badly, as wide as all the data.
                mended += 1;
                if worst.is_empty() {
                    let logs = self.log_likelihoods(x);
                    worst = (0..n).collect();
                    worst.sort_by(|a, b| logs[*b].total_cmp(&logs[*a]));
                }
                means.extend(x.row(worst.pop().unwrap_or(0)));
                weights[k] = 1.0 / n as f64;
                full.push(all.get_or_init(|| x.weighted_covariance(&x.mean(), std::iter::repeat_n(1.0, n))).clone());
                continue;
            }
            let mean = x.weighted_mean(column(k));
            full.push(x.weighted_covariance(&mean, column(k)));
            means.extend(mean);
        }
        let total: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= total);
        let diagonal = |matrix: &Vec<f64>| (0..d).map(|i| matrix[i * d + i]).collect::<Vec<f64>>();
        let mut covariances: Vec<f64> = match self.config.covariance {
            Covariance::Spherical => full.iter().map(|m| diagonal(m).iter().sum::<f64>() / d as f64).collect(),
            Covariance::Diagonal => full.iter().flat_map(diagonal).collect(),
            Covariance::Full => full.concat(),
            Covariance::Tied => (0..d * d).map(|at| full.iter().zip(&weights).map(|(m, w)| w * m[at]).sum()).collect(),
        };
        mended += match self.config.covariance {
            Covariance::Spherical | Covariance::Diagonal => {
                let below = covariances.iter_mut().filter(|variance| **variance < self.config.floor);
                below.map(|variance| *variance = self.config.floor).count()
            }
            Covariance::Full => (0..count).filter(|k| lifted(&mut covariances, *k, d, self.config.floor).1 > 0).count(),
            Covariance::Tied => usize::from(lifted(&mut covariances, 0, d, self.config.floor).1 > 0),
        };
        Maximised { model: Self::new(self.config, weights, means, covariances, &self.device), mended }
    }

    fn log_likelihoods(&self, x: &Points) -> Vec<f64> {
        x.rows().map(|row| log_sum_exp(&self.log_joint(row))).collect()
    }

    fn parameters(&self) -> Named {
        let (count, d) = (self.weights.len(), self.width);
        let shape = match self.config.covariance {
            Covariance::Spherical => vec![count],
            Covariance::Diagonal => vec![count, d],
            Covariance::Full => vec![count, d, d],
            Covariance::Tied => vec![d, d],
        };
        vec![
            ("weights", vec![count], self.weights.clone()),
            ("means", vec![count, d], self.means.clone()),
            ("covariances", shape, self.covariances.clone()),
        ]
    }

    fn with_parameters(&self, parameters: Named) -> Self {
        let [weights, means, covariances] =
            ["weights", "means", "covariances"].map(|name| super::em::taken(&parameters, name));
        Self::new(self.config, weights, means, covariances, &self.device)
    }
}

impl Density for GaussianMixture {
    fn log_prob(&self, x: Rows) -> Tensor<1> {
        let logs: Vec<f32> = self.log_likelihoods(&Points::new(&x)).into_iter().map(|v| v as f32).collect();
        Tensor::from_data(TensorData::from(logs.as_slice()), &x.device())
    }
}

impl Sample for GaussianMixture {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        let mut values = Vec::with_capacity(n * self.width);
        for mut stream in rng.streams(n) {
            let k = choose(&self.weights, &mut stream);
            let eps: Vec<f64> = (0..self.width).map(|_| stream.normal()).collect();
            let mean = &self.means[k * self.width..(k + 1) * self.width];
            values.extend(self.parts[k].scale(&eps).iter().zip(mean).map(|(e, m)| m + e));
        }
        tensor(&values, self.width, &self.device)
    }
}
