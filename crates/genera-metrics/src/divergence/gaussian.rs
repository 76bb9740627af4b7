//! Divergences of normal distributions in closed form.
//!
//! ```text
//! KL(N₀‖N₁) = ½ (tr Σ₁⁻¹Σ₀ + δᵀ Σ₁⁻¹ δ − d + ln |Σ₁|/|Σ₀|),   δ = μ₁ − μ₀
//! ∫ N₀ˢ N₁^{1−s} = |Σ₀|^{(1−s)/2} |Σ₁|^{s/2} |Σ_s|^{−1/2} exp(−½ s(1−s) δᵀ Σ_s⁻¹ δ),   Σ_s = (1−s)Σ₀ + sΣ₁
//! ```
//!
//! The second integral (Chernoff's) is finite where `Σ_s` is positive definite, and gives the Hellinger distance
//! (`s = ½`), Pearson's χ² (`s = 2`) and every α-divergence.

use super::{Divergence, FDivergence};
use crate::MetricError;

/// A normal distribution with a positive definite covariance.
#[derive(Clone, Debug, PartialEq)]
pub struct Gaussian {
    mean: Vec<f64>,
    /// Row-major `[d, d]`.
    covariance: Vec<f64>,
}

impl Gaussian {
    /// From a mean, `[d]`, and a covariance, row-major `[d, d]`.
    ///
    /// # Errors
    /// Lengths that do not fit, or a covariance that is not symmetric and positive definite.
    pub fn new(mean: Vec<f64>, covariance: Vec<f64>) -> Result<Self, MetricError> {
        let d = mean.len();
        if d == 0 {
            return Err(MetricError::Empty { n: 1, d });
        }
        if covariance.len() != d * d {
            return Err(MetricError::Length { len: covariance.len(), n: d, d });
        }
        if let Some(column) = mean.iter().position(|x| !x.is_finite()) {
            return Err(MetricError::NotFinite { row: 0, column, value: mean[column] });
        }
        let scale = covariance.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        let asymmetric = |i: usize| (covariance[i] - covariance[i % d * d + i / d]).abs() > 1e-9 * scale;
        if (0..d * d).any(asymmetric) {
            return Err(MetricError::Covariance { why: "it is not symmetric".to_owned() });
        }
        match cholesky(&covariance, d) {
            Some(_) => Ok(Self { mean, covariance }),
            None => Err(MetricError::Covariance { why: "it is not positive definite".to_owned() }),
        }
    }

    /// `log N(x)` in nats.
    ///
    /// # Errors
    /// A point of another dimension.
    pub fn log_density(&self, x: &[f64]) -> Result<f64, MetricError> {
        self.same_dimension(x.len())?;
        let d = self.mean.len();
        let factor = cholesky(&self.covariance, d).unwrap_or_default();
        let delta: Vec<f64> = x.iter().zip(&self.mean).map(|(x, mean)| x - mean).collect();
        Ok(-0.5 * (squared_norm(&factor, &delta) + log_determinant(&factor, d) + d as f64 * std::f64::consts::TAU.ln()))
    }

    /// The divergence of `self` from `other`, in closed form; none where there is none (Jensen–Shannon, the GAN's, total
    /// variation).
    ///
    /// # Errors
    /// Different dimensions.
    pub fn divergence(&self, other: &Self, divergence: Divergence) -> Result<Option<f64>, MetricError> {
        self.same_dimension(other.mean.len())?;
        Ok(Some(match divergence {
            Divergence::F(FDivergence::ForwardKl) | Divergence::Alpha(1.0) => self.kl(other),
            Divergence::F(FDivergence::ReverseKl) | Divergence::Alpha(-1.0) => other.kl(self),
            Divergence::F(FDivergence::SquaredHellinger) => 2.0 * -self.log_overlap(other, 0.5).exp_m1(),
            Divergence::F(FDivergence::Pearson) => self.log_overlap(other, 2.0).exp_m1(),
            Divergence::Alpha(a) => 4.0 / (1.0 - a * a) * -self.log_overlap(other, 0.5 * (1.0 + a)).exp_m1(),
            Divergence::F(FDivergence::JensenShannon | FDivergence::Gan | FDivergence::TotalVariation)
            | Divergence::JensenShannon => return Ok(None),
        }))
    }

    fn kl(&self, other: &Self) -> f64 {
        let d = self.mean.len();
        let (own, theirs) =
            (cholesky(&self.covariance, d).unwrap_or_default(), cholesky(&other.covariance, d).unwrap_or_default());
        let delta: Vec<f64> = other.mean.iter().zip(&self.mean).map(|(a, b)| a - b).collect();
        // tr Σ₁⁻¹ L₀L₀ᵀ = Σ over the columns of L₀ of their norms in Σ₁⁻¹.
        let column = |j: usize| (0..d).map(|i| own[i * d + j]).collect::<Vec<f64>>();
        let trace: f64 = (0..d).map(|j| squared_norm(&theirs, &column(j))).sum();
        0.5 * (trace + squared_norm(&theirs, &delta) - d as f64 + log_determinant(&theirs, d)
            - log_determinant(&own, d))
    }

    /// `ln ∫ selfˢ other^{1−s}`; infinite where the integral is.
    fn log_overlap(&self, other: &Self, s: f64) -> f64 {
        let d = self.mean.len();
        let mixed: Vec<f64> =
            self.covariance.iter().zip(&other.covariance).map(|(own, theirs)| (1.0 - s) * own + s * theirs).collect();
        let Some(factor) = cholesky(&mixed, d) else { return f64::INFINITY };
        let delta: Vec<f64> = other.mean.iter().zip(&self.mean).map(|(a, b)| a - b).collect();
        let log = |of: &Self| log_determinant(&cholesky(&of.covariance, d).unwrap_or_default(), d);
        0.5 * ((1.0 - s) * log(self) + s * log(other)
            - log_determinant(&factor, d)
            - s * (1.0 - s) * squared_norm(&factor, &delta))
    }

    fn same_dimension(&self, right: usize) -> Result<(), MetricError> {
        let left = self.mean.len();
        if left == right { Ok(()) } else { Err(MetricError::Dimensions { left, right }) }
    }
}

/// The lower triangular `L` with `L Lᵀ = a`, if `a` is positive definite.
fn cholesky(a: &[f64], d: usize) -> Option<Vec<f64>> {
    let mut l = vec![0.0; d * d];
    for i in 0..d {
        for j in 0..=i {
            let rest = a[i * d + j] - (0..j).map(|k| l[i * d + k] * l[j * d + k]).sum::<f64>();
            l[i * d + j] = match i == j {
                true if rest > 0.0 && rest.is_finite() => rest.sqrt(),
                true => return None,
                false => rest / l[j * d + j],
            };
        }
    }
    Some(l)
}

/// `xᵀ (L Lᵀ)⁻¹ x`.
fn squared_norm(l: &[f64], x: &[f64]) -> f64 {
    let d = x.len();
    let mut y = Vec::with_capacity(d);
    for (i, x) in x.iter().enumerate() {
        y.push((x - (0..i).map(|k| l[i * d + k] * y[k]).sum::<f64>()) / l[i * d + i]);
    }
    y.iter().map(|y| y * y).sum()
}

/// `ln |L Lᵀ|`.
fn log_determinant(l: &[f64], d: usize) -> f64 {
    2.0 * (0..d).map(|i| l[i * d + i].ln()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::super::on_grid;
    use super::*;

    #[test]
    fn closed_forms_are_the_integrals() {
        let p = Gaussian::new(vec![0.5, -0.3], vec![0.8, 0.2, 0.2, 0.5]).unwrap();
        let q = Gaussian::new(vec![-0.2, 0.4], vec![0.6, -0.1, -0.1, 0.9]).unwrap();
        let side = 400;
        let at = |i: usize| -16.0 + (i as f64 + 0.5) * 32.0 / side as f64;
        let points = (0..side * side).map(|i| [at(i / side), at(i % side)]);
        let (log_p, log_q): (Vec<f64>, Vec<f64>) =
            points.map(|x| (p.log_density(&x).unwrap(), q.log_density(&x).unwrap())).unzip();
        let volume = (32.0 / side as f64).powi(2);
        let closed =
            [FDivergence::ForwardKl, FDivergence::ReverseKl, FDivergence::SquaredHellinger, FDivergence::Pearson];
        let alphas = [-1.2, -0.5, 0.0, 0.7, 1.3].map(Divergence::Alpha);
        for divergence in closed.map(Divergence::F).into_iter().chain(alphas) {
            let (found, expected) =
                (p.divergence(&q, divergence).unwrap().unwrap(), on_grid(divergence, &log_p, &log_q, volume).unwrap());
            assert!((found - expected).abs() < 1e-7 * expected.max(1.0), "{divergence:?}: {found} {expected}");
        }
        assert_eq!(p.divergence(&q, Divergence::JensenShannon), Ok(None));
    }

    #[test]
    fn in_one_dimension_by_hand() {
        let normal = |mean: f64, deviation: f64| Gaussian::new(vec![mean], vec![deviation * deviation]).unwrap();
        let kl = normal(1.0, 2.0).divergence(&normal(0.0, 1.0), Divergence::FORWARD_KL).unwrap().unwrap();
        assert!((kl - (0.5 * (4.0 + 1.0 - 1.0) - 2.0_f64.ln())).abs() < 1e-14);
        // χ² of equal variances is exp(δ²/σ²) − 1; of too wide a distribution it is infinite.
        let pearson = Divergence::F(FDivergence::Pearson);
        let chi = normal(0.7, 1.0).divergence(&normal(0.0, 1.0), pearson).unwrap().unwrap();
        assert!((chi - 0.49_f64.exp_m1()).abs() < 1e-14);
        assert_eq!(normal(0.0, 1.5).divergence(&normal(0.0, 1.0), pearson), Ok(Some(f64::INFINITY)));
    }

    #[test]
    fn refusals() {
        assert!(Gaussian::new(vec![], vec![]).is_err() && Gaussian::new(vec![0.0], vec![]).is_err());
        assert!(Gaussian::new(vec![0.0; 2], vec![1.0, 0.5, 0.4, 1.0]).unwrap_err().to_string().contains("symmetric"));
        assert!(Gaussian::new(vec![0.0; 2], vec![1.0, 2.0, 2.0, 1.0]).unwrap_err().to_string().contains("definite"));
        assert!(Gaussian::new(vec![f64::NAN], vec![1.0]).is_err());
        let (one, two) = (
            Gaussian::new(vec![0.0], vec![1.0]).unwrap(),
            Gaussian::new(vec![0.0; 2], vec![1.0, 0.0, 0.0, 1.0]).unwrap(),
        );
        assert!(one.divergence(&two, Divergence::FORWARD_KL).is_err() && two.log_density(&[0.0]).is_err());
    }
}
