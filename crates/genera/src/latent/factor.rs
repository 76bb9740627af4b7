//! Probabilistic principal components and factor analysis: a linear map of a normal latent, plus noise.
//!
//! ```text
//! x = W z + μ + ε,   ε ~ N(0, Ψ):   p(x) = N(μ, W Wᵀ + Ψ)
//! M = I + Wᵀ Ψ⁻¹ W,   p(z|x) = N(M⁻¹ Wᵀ Ψ⁻¹ (x − μ), M⁻¹)
//! PPCA   Ψ = σ² I; in closed form W = U (Λ − σ² I)^{1/2} R, σ² the mean of the other eigenvalues
//! ```
//!
//! Tipping and Bishop, "Probabilistic Principal Component Analysis" (1999); Rubin and Thayer (1982) for the steps of factor
//! analysis. With `Ψ = σ² I` the posterior is their `N(M⁻¹ Wᵀ (x − μ), σ² M⁻¹)` with `M = Wᵀ W + σ² I`.

use burn::tensor::{Device, Tensor, TensorData};
use faer::{Mat, Side};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::em::taken;
use super::matrix::{Cholesky, tensor};
use super::{Em, LOG_TAU, LatentError, Maximised, Named, Points};
use crate::traits::{Codec, Density, Rows, Sample};

/// What `Ψ` may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Noise {
    /// `σ² I`: probabilistic principal components.
    #[default]
    Isotropic,
    /// Any diagonal: factor analysis.
    Diagonal,
}

/// What a model looks like before it has seen data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FactorConfig {
    /// `Q`: the length of `z`.
    pub factors: usize,
    /// What `Ψ` may be.
    pub noise: Noise,
    /// The smallest variance of the noise.
    pub floor: f64,
}

impl Default for FactorConfig {
    fn default() -> Self {
        Self { factors: 2, noise: Noise::Isotropic, floor: 1e-6 }
    }
}

impl FactorConfig {
    /// Small random loadings, and noise with the variances of the data.
    ///
    /// # Errors
    /// No rows, values that are not finite, or a number of factors that is not between 1 and the dimensions less one.
    pub fn init(&self, x: &Rows, rng: &mut Rng) -> Result<FactorModel, LatentError> {
        let points = self.check(x)?;
        let (d, q) = (points.width, self.factors);
        let mean = points.mean();
        let covariance = points.weighted_covariance(&mean, std::iter::repeat_n(1.0, points.count()));
        let variances: Vec<f64> = (0..d).map(|i| covariance[i * d + i]).collect();
        let scale = (variances.iter().sum::<f64>() / (d * q) as f64).sqrt().max(self.floor.sqrt());
        let loadings = rng.normal(d, q).into_iter().map(|v| 0.3 * scale * f64::from(v)).collect();
        let noise = self.noise(variances).0;
        Ok(FactorModel::new(*self, mean, loadings, noise, &x.device().inner()))
    }

    /// The maximum of the likelihood of [`Noise::Isotropic`] noise.
    ///
    /// # Errors
    /// As [`FactorConfig::init`].
    pub fn closed_form(&self, x: &Rows) -> Result<FactorModel, LatentError> {
        let points = self.check(x)?;
        let (d, q) = (points.width, self.factors);
        let mean = points.mean();
        let covariance = points.weighted_covariance(&mean, std::iter::repeat_n(1.0, points.count()));
        let matrix = Mat::from_fn(d, d, |i, j| covariance[i * d + j]);
        // A symmetric matrix of finite numbers has eigenvalues; the algorithm gives up on others only.
        let Ok(eigen) = matrix.self_adjoint_eigen(Side::Lower) else { return Err(LatentError::NotFinite(0)) };
        let values = eigen.S().column_vector();
        let variance = ((0..d - q).map(|i| values[i]).sum::<f64>() / (d - q) as f64).max(self.floor);
        let u = eigen.U();
        // In rising order: the largest are the last.
        let loading = |at: usize| {
            let (row, factor) = (at / q, d - 1 - at % q);
            u[(row, factor)] * (values[factor] - variance).max(0.0).sqrt()
        };
        let loadings = (0..d * q).map(loading).collect();
        let config = Self { noise: Noise::Isotropic, ..*self };
        Ok(FactorModel::new(config, mean, loadings, vec![variance; d], &x.device().inner()))
    }

    fn check(&self, x: &Rows) -> Result<Points, LatentError> {
        if !(self.floor > 0.0 && self.floor.is_finite()) {
            return Err(LatentError::Range { name: "floor", value: self.floor, needed: "positive" });
        }
        let points = Points::gather(std::iter::once(x))?;
        let (width, factors) = (points.width, self.factors);
        if factors == 0 || factors >= width {
            return Err(LatentError::Factors { factors, width, most: width.saturating_sub(1) });
        }
        Ok(points)
    }

    /// The noise that these variances are, and how many were held at the floor.
    fn noise(&self, variances: Vec<f64>) -> (Vec<f64>, usize) {
        let variances = match self.noise {
            Noise::Diagonal => variances,
            Noise::Isotropic => vec![variances.iter().sum::<f64>() / variances.len() as f64; variances.len()],
        };
        let held = variances.iter().filter(|v| **v < self.floor).count();
        (variances.into_iter().map(|v| v.max(self.floor)).collect(), held)
    }
}

/// A linear Gaussian model of rows.
#[derive(Clone, Debug)]
pub struct FactorModel {
    config: FactorConfig,
    mean: Vec<f64>,
    /// `W`, `[D, Q]`.
    loadings: Vec<f64>,
    /// The diagonal of `Ψ`, `[D]`.
    noise: Vec<f64>,
    /// `M`.
    precision: Cholesky,
    device: Device,
}

impl FactorModel {
    fn new(config: FactorConfig, mean: Vec<f64>, loadings: Vec<f64>, noise: Vec<f64>, device: &Device) -> Self {
        let q = config.factors;
        let entry = |at: usize| {
            let (i, j) = (at / q, at % q);
            let product = loadings.chunks_exact(q).zip(&noise).map(|(row, psi)| row[i] * row[j] / psi);
            product.sum::<f64>() + f64::from(u8::from(i == j))
        };
        let matrix: Vec<f64> = (0..q * q).map(entry).collect();
        // I plus a square is positive definite, unless it overflowed; then the likelihood is not finite and says so.
        let identity = || (0..q * q).map(|at| f64::from(u8::from(at / q == at % q))).collect::<Vec<f64>>();
        let precision = Cholesky::new(&matrix, q).or_else(|| Cholesky::new(&identity(), q));
        let precision = precision.expect("the identity is positive definite");
        Self { config, mean, loadings, noise, precision, device: device.clone() }
    }

    /// `W`, `[D, Q]`.
    pub fn loadings(&self) -> &[f64] {
        &self.loadings
    }

    /// The diagonal of `Ψ`.
    pub fn noise(&self) -> &[f64] {
        &self.noise
    }

    /// The covariance of `p(z|x)`, the same for every row: `[Q, Q]`.
    pub fn posterior_covariance(&self) -> Vec<f64> {
        self.precision.inverse()
    }

    /// The mean of `p(z|x)`.
    pub fn posterior_mean(&self, x: &[f64]) -> Vec<f64> {
        self.precision.solve(&self.projected(&self.away(x)))
    }

    fn away(&self, x: &[f64]) -> Vec<f64> {
        x.iter().zip(&self.mean).map(|(x, m)| x - m).collect()
    }

    /// `Wᵀ Ψ⁻¹ v`.
    fn projected(&self, v: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.config.factors];
        for (row, (v, psi)) in self.loadings.chunks_exact(out.len()).zip(v.iter().zip(&self.noise)) {
            out.iter_mut().zip(row).for_each(|(out, w)| *out += w * v / psi);
        }
        out
    }
}

impl Em for FactorModel {
    fn step(&self, x: &Points) -> Maximised<Self> {
        let (d, q) = (x.width, self.config.factors);
        // The mean first: it is the best one for any covariance.
        let mean = x.mean();
        let s = x.weighted_covariance(&mean, std::iter::repeat_n(1.0, x.count()));
        // β = M⁻¹ Wᵀ Ψ⁻¹ row by row: column i is what the unit vector i is projected to.
        let beta: Vec<Vec<f64>> = (0..d)
            .map(|i| {
                let row = &self.loadings[i * q..(i + 1) * q];
                self.precision.solve(&row.iter().map(|w| w / self.noise[i]).collect::<Vec<f64>>())
            })
            .collect(); // [D][Q], transposed
        let s_beta: Vec<f64> = (0..d * q) // S βᵀ, [D, Q]
            .map(|at| (0..d).map(|k| s[(at / q) * d + k] * beta[k][at % q]).sum())
            .collect();
        let covariance = self.posterior_covariance();
        let second: Vec<f64> = (0..q * q) // E z zᵀ = M⁻¹ + β S βᵀ
            .map(|at| covariance[at] + (0..d).map(|k| beta[k][at / q] * s_beta[k * q + at % q]).sum::<f64>())
            .collect();
        let Some(second) = Cholesky::new(&second, q) else { return Maximised { model: self.clone(), mended: 1 } };
        let loadings: Vec<f64> = s_beta.chunks_exact(q).flat_map(|row| second.solve(row)).collect();
        let left = |i: usize| {
            let explained = (0..q).map(|j| loadings[i * q + j] * s_beta[i * q + j]).sum::<f64>();
            s[i * d + i] - explained
        };
        let (noise, mended) = self.config.noise((0..d).map(left).collect());
        Maximised { model: Self::new(self.config, mean, loadings, noise, &self.device), mended }
    }

    fn log_likelihoods(&self, x: &Points) -> Vec<f64> {
        let log_det = self.noise.iter().map(|psi| psi.ln()).sum::<f64>() + self.precision.log_det();
        let constant = log_det + x.width as f64 * LOG_TAU;
        let of_row = |row| {
            let away = self.away(row);
            let own: f64 = away.iter().zip(&self.noise).map(|(a, psi)| a * a / psi).sum();
            let explained: f64 = self.precision.whiten(&self.projected(&away)).iter().map(|v| v * v).sum();
            -0.5 * (own - explained + constant)
        };
        x.rows().map(of_row).collect()
    }

    fn parameters(&self) -> Named {
        let (d, q) = (self.mean.len(), self.config.factors);
        vec![
            ("mean", vec![d], self.mean.clone()),
            ("loadings", vec![d, q], self.loadings.clone()),
            ("noise", vec![d], self.noise.clone()),
        ]
    }

    fn with_parameters(&self, parameters: Named) -> Self {
        let [mean, loadings, noise] = ["mean", "loadings", "noise"].map(|name| taken(&parameters, name));
        Self::new(self.config, mean, loadings, noise, &self.device)
    }
}

impl Density for FactorModel {
    fn log_prob(&self, x: Rows) -> Tensor<1> {
        let logs: Vec<f32> = self.log_likelihoods(&Points::new(&x)).into_iter().map(|v| v as f32).collect();
        Tensor::from_data(TensorData::from(logs.as_slice()), &x.device())
    }
}

impl Sample for FactorModel {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        let (d, q) = (self.mean.len(), self.config.factors);
        let mut values = Vec::with_capacity(n * d);
        for mut stream in rng.streams(n) {
            let z: Vec<f64> = (0..q).map(|_| stream.normal()).collect();
            values.extend((0..d).map(|i| {
                let linear: f64 = self.loadings[i * q..(i + 1) * q].iter().zip(&z).map(|(w, z)| w * z).sum();
                self.mean[i] + linear + self.noise[i].sqrt() * stream.normal()
            }));
        }
        tensor(&values, d, &self.device)
    }
}

impl Codec for FactorModel {
    type Code = Rows;

    /// The mean of each posterior.
    fn encode(&self, x: Rows) -> Rows {
        let codes: Vec<f64> = Points::new(&x).rows().flat_map(|row| self.posterior_mean(row)).collect();
        tensor(&codes, self.config.factors, &self.device)
    }

    /// `W z + μ`.
    fn decode(&self, code: Rows) -> Rows {
        let q = self.config.factors;
        let of_code = |z: &[f64]| {
            let linear = |row: &[f64]| row.iter().zip(z).map(|(w, z)| w * z).sum::<f64>();
            let rows = self.loadings.chunks_exact(q).zip(&self.mean);
            rows.map(|(row, m)| m + linear(row)).collect::<Vec<f64>>()
        };
        let values: Vec<f64> = Points::new(&code).rows().flat_map(of_code).collect();
        tensor(&values, self.mean.len(), &self.device)
    }
}
