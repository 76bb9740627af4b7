//! Divergences of tables of logarithms: probabilities of outcomes, or densities on the cells of a grid.

use serde::{Deserialize, Serialize};

use super::FDivergence;
use crate::MetricError;
use crate::error::require;

/// A divergence of `p` from `q`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Divergence {
    /// A row of the table of f-divergences.
    F(FDivergence),
    /// `½ KL(p‖m) + ½ KL(q‖m)` with `m = (p+q)/2`, in `[0, ln 2]`.
    JensenShannon,
    /// Amari's α-divergence: `KL(p‖q)` at 1, `KL(q‖p)` at −1, twice the squared Hellinger distance at 0.
    Alpha(f64),
}

impl Divergence {
    /// `KL(p‖q)`.
    pub const FORWARD_KL: Self = Self::F(FDivergence::ForwardKl);
    /// `KL(q‖p)`.
    pub const REVERSE_KL: Self = Self::F(FDivergence::ReverseKl);

    /// The integrand from `log p` and `log q`; its integral is the divergence of normalised densities.
    pub(super) fn term(self, log_p: f64, log_q: f64) -> f64 {
        match self {
            Self::F(divergence) => divergence.term(log_p, log_q),
            Self::JensenShannon => 0.5 * FDivergence::JensenShannon.term(log_p, log_q),
            Self::Alpha(1.0) => FDivergence::ForwardKl.term(log_p, log_q),
            Self::Alpha(-1.0) => FDivergence::ReverseKl.term(log_p, log_q),
            Self::Alpha(a) => {
                let (of_p, of_q) = (0.5 * (1.0 + a), 0.5 * (1.0 - a));
                let weighted =
                    |weight: f64, log: f64| if log == f64::NEG_INFINITY && weight == 0.0 { 0.0 } else { weight * log };
                let product = match (log_p == f64::NEG_INFINITY, log_q == f64::NEG_INFINITY) {
                    (true, true) => 0.0,
                    _ => (weighted(of_p, log_p) + weighted(of_q, log_q)).exp(),
                };
                // 1 − ∫ as ∫ of a difference that is never negative inside of (−1, 1): no digits are lost near its ends.
                (of_p * log_p.exp() + of_q * log_q.exp() - product) / (of_p * of_q)
            }
        }
    }
}

/// The divergence of two discrete distributions over the same outcomes, in nats where it is one of logarithms.
///
/// # Errors
/// No outcomes or different numbers of them, a probability that is negative or not finite, or a sum that is not one.
pub fn discrete(divergence: Divergence, p: &[f64], q: &[f64]) -> Result<f64, MetricError> {
    if p.is_empty() || p.len() != q.len() {
        return Err(MetricError::Length { len: q.len(), n: p.len(), d: 1 });
    }
    for (row, distribution) in [p, q].into_iter().enumerate() {
        if let Some(bad) = distribution.iter().find(|x| !(x.is_finite() && **x >= 0.0)) {
            return Err(MetricError::Probabilities { row, why: format!("it holds {bad}") });
        }
        let sum: f64 = distribution.iter().sum();
        if (sum - 1.0).abs() > 1e-6 {
            return Err(MetricError::Probabilities { row, why: format!("it adds up to {sum}") });
        }
    }
    Ok(p.iter().zip(q).map(|(p, q)| divergence.term(p.ln(), q.ln())).sum())
}

/// The divergence of two densities whose logarithms are known at the centres of cells of one volume: a Riemann sum.
///
/// # Errors
/// No cells or different numbers of them, a NaN, or a volume that is not positive.
pub fn on_grid(divergence: Divergence, log_p: &[f64], log_q: &[f64], volume: f64) -> Result<f64, MetricError> {
    if log_p.is_empty() || log_p.len() != log_q.len() {
        return Err(MetricError::Length { len: log_q.len(), n: log_p.len(), d: 1 });
    }
    require(volume > 0.0 && volume.is_finite(), "the volume of a cell", volume, "positive")?;
    for (column, logs) in [log_p, log_q].into_iter().enumerate() {
        if let Some(row) = logs.iter().position(|log| log.is_nan()) {
            return Err(MetricError::NotFinite { row, column, value: f64::NAN });
        }
    }
    Ok(volume * log_p.iter().zip(log_q).map(|(log_p, log_q)| divergence.term(*log_p, *log_q)).sum::<f64>())
}

#[cfg(test)]
mod tests {
    use std::f64::consts::LN_2;

    use super::*;

    #[test]
    fn by_hand() {
        let (p, q) = ([0.5, 0.5, 0.0], [0.25, 0.25, 0.5]);
        let of = |divergence| discrete(divergence, &p, &q).unwrap();
        assert!((of(Divergence::FORWARD_KL) - LN_2).abs() < 1e-15);
        assert_eq!(of(Divergence::REVERSE_KL), f64::INFINITY);
        assert!((of(Divergence::F(FDivergence::TotalVariation)) - 0.5).abs() < 1e-15);
        // Σ (p−q)²/q = 1/4 + 1/4 + 1/2.
        assert!((of(Divergence::F(FDivergence::Pearson)) - 1.0).abs() < 1e-15);
        assert!((of(Divergence::F(FDivergence::SquaredHellinger)) - (2.0 - 2.0_f64.sqrt())).abs() < 1e-15);
        // m = (3/8, 3/8, 1/4).
        let js = 0.5 * (4.0_f64 / 3.0).ln() + 0.5 * (0.5 * (2.0_f64 / 3.0).ln() + 0.5 * LN_2);
        assert!((of(Divergence::JensenShannon) - js).abs() < 1e-15);
        assert!((of(Divergence::F(FDivergence::Gan)) - (2.0 * js - 2.0 * LN_2)).abs() < 1e-15);
    }

    #[test]
    fn laws() {
        let (p, q) = ([0.1, 0.2, 0.3, 0.4], [0.3, 0.3, 0.2, 0.2]);
        let all = FDivergence::ALL.map(Divergence::F).into_iter();
        let alphas = [-3.0, -1.0, -0.5, 0.0, 0.3, 1.0, 2.0].map(Divergence::Alpha);
        for divergence in all.chain(alphas).chain([Divergence::JensenShannon]) {
            let none = if divergence == Divergence::F(FDivergence::Gan) { -2.0 * LN_2 } else { 0.0 };
            assert!((discrete(divergence, &p, &p).unwrap() - none).abs() < 1e-14, "{divergence:?}");
            assert!(discrete(divergence, &p, &q).unwrap() > none, "{divergence:?}");
        }
        let of = |divergence, p: &[f64], q: &[f64]| discrete(divergence, p, q).unwrap();
        // Duality and limits of the α-divergence.
        for a in [0.3, 0.9, 2.0] {
            assert!((of(Divergence::Alpha(a), &p, &q) - of(Divergence::Alpha(-a), &q, &p)).abs() < 1e-14);
        }
        for (a, limit) in [(1.0, Divergence::FORWARD_KL), (-1.0, Divergence::REVERSE_KL)] {
            assert_eq!(of(Divergence::Alpha(a), &p, &q), of(limit, &p, &q));
            let near = of(Divergence::Alpha(a * (1.0 - 1e-7)), &p, &q);
            assert!((near - of(limit, &p, &q)).abs() < 1e-7, "{near}");
        }
        let hellinger = of(Divergence::F(FDivergence::SquaredHellinger), &p, &q);
        assert!((of(Divergence::Alpha(0.0), &p, &q) - 2.0 * hellinger).abs() < 1e-15);
        // Disjoint supports: Jensen–Shannon ends at ln 2, α at 4/(1−a²).
        let apart = ([1.0, 0.0], [0.0, 1.0]);
        assert!((of(Divergence::JensenShannon, &apart.0, &apart.1) - LN_2).abs() < 1e-15);
        assert!((of(Divergence::Alpha(0.5), &apart.0, &apart.1) - 4.0 / 0.75).abs() < 1e-14);
        assert_eq!(of(Divergence::FORWARD_KL, &apart.0, &apart.1), f64::INFINITY);
    }

    #[test]
    fn refusals() {
        let kl = Divergence::FORWARD_KL;
        assert!(discrete(kl, &[], &[]).is_err() && discrete(kl, &[1.0], &[0.5, 0.5]).is_err());
        assert!(discrete(kl, &[1.5, -0.5], &[0.5, 0.5]).unwrap_err().to_string().contains("-0.5"));
        assert!(discrete(kl, &[0.5, 0.5], &[0.5, 0.4]).unwrap_err().to_string().contains("row 1"));
        assert!(on_grid(kl, &[0.0], &[f64::NAN], 1.0).is_err() && on_grid(kl, &[0.0], &[0.0], 0.0).is_err());
    }
}
