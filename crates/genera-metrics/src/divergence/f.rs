//! The table of f-divergences.

use std::f64::consts::LN_2;

use serde::{Deserialize, Serialize};

/// A divergence `D_f(p‖q) = E_q f(p/q)`, with the convex function `f`, its conjugate `f*(t) = sup_u (u t − f(u))`, and
/// the optimal `T = f'(p/q)`.
///
/// | | f(u) | f*(t) | dom f* | f'(u) | output g(v) |
/// |---|---|---|---|---|---|
/// | forward KL | u ln u | e^{t−1} | ℝ | ln u + 1 | v |
/// | reverse KL | −ln u | −1 − ln(−t) | t < 0 | −1/u | −e^{−v} |
/// | Pearson χ² | (u−1)² | t²/4 + t, −1 below −2 | ℝ | 2(u−1) | v |
/// | squared Hellinger | (√u−1)² | t/(1−t) | t < 1 | 1 − 1/√u | 1 − e^{−v} |
/// | Jensen–Shannon | u ln u − (u+1) ln((1+u)/2) | −ln(2−e^t) | t < ln 2 | ln(2u/(1+u)) | ln 2 − ln(1+e^{−v}) |
/// | GAN | u ln u − (u+1) ln(u+1) | −ln(1−e^t) | t < 0 | ln(u/(1+u)) | −ln(1+e^{−v}) |
/// | total variation | abs(u−1)/2 | t, −½ below −½ | t ≤ ½ | ±½ | ½ tanh v |
///
/// The conjugates are over `u ≥ 0`. The Jensen–Shannon row is twice `½KL(p‖m) + ½KL(q‖m)`, as in its literature; the
/// GAN's `f(1) = −2 ln 2` makes its divergence that row less `2 ln 2`, the value of the game for the best discriminator.
/// Squared Hellinger is `∫(√p−√q)²`, between 0 and 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FDivergence {
    /// `KL(p‖q)`.
    ForwardKl,
    /// `KL(q‖p)`.
    ReverseKl,
    /// Pearson's χ².
    Pearson,
    /// `∫(√p−√q)²`.
    SquaredHellinger,
    /// `KL(p‖m) + KL(q‖m)`, `m = (p+q)/2`.
    JensenShannon,
    /// The value of the original game: Goodfellow et al. (arXiv:1406.2661).
    Gan,
    /// `½∫|p−q|`.
    TotalVariation,
}

impl FDivergence {
    /// The whole table.
    pub const ALL: [Self; 7] = [
        Self::ForwardKl,
        Self::ReverseKl,
        Self::Pearson,
        Self::SquaredHellinger,
        Self::JensenShannon,
        Self::Gan,
        Self::TotalVariation,
    ];

    /// `f(u)` for `u ≥ 0`; its limit at zero.
    pub fn f(self, u: f64) -> f64 {
        self.term(u.ln(), 0.0)
    }

    /// `f'(u)`: the best `T` where `p/q = u`. At `u = 1` the total variation's subgradient 0.
    pub fn derivative(self, u: f64) -> f64 {
        match self {
            Self::ForwardKl => u.ln() + 1.0,
            Self::ReverseKl => -1.0 / u,
            Self::Pearson => 2.0 * (u - 1.0),
            Self::SquaredHellinger => 1.0 - 1.0 / u.sqrt(),
            Self::JensenShannon => LN_2 - (1.0 / u).ln_1p(),
            Self::Gan => -(1.0 / u).ln_1p(),
            Self::TotalVariation if u == 1.0 => 0.0,
            Self::TotalVariation => 0.5 * (u - 1.0).signum(),
        }
    }

    /// `f*(t)`; infinite outside of its domain.
    pub fn conjugate(self, t: f64) -> f64 {
        match self {
            Self::ForwardKl => (t - 1.0).exp(),
            Self::ReverseKl if t < 0.0 => -1.0 - (-t).ln(),
            Self::Pearson if t < -2.0 => -1.0,
            Self::Pearson => t * t / 4.0 + t,
            Self::SquaredHellinger if t < 1.0 => t / (1.0 - t),
            // −ln(2 − e^t) = −ln(1 + (1 − e^t)), exact near zero.
            Self::JensenShannon if t < LN_2 => -(-t.exp_m1()).ln_1p(),
            Self::Gan if t < 0.0 => -(-t.exp_m1()).ln(),
            Self::TotalVariation if t <= 0.5 => t.max(-0.5),
            _ if t.is_nan() => t,
            _ => f64::INFINITY,
        }
    }

    /// The supremum of the domain of `f*`, and whether it belongs to it.
    pub fn domain_end(self) -> (f64, bool) {
        match self {
            Self::ForwardKl | Self::Pearson => (f64::INFINITY, false),
            Self::ReverseKl | Self::Gan => (0.0, false),
            Self::SquaredHellinger => (1.0, false),
            Self::JensenShannon => (LN_2, false),
            Self::TotalVariation => (0.5, true),
        }
    }

    /// `g(v)`: a network's output as a point of the domain of `f*` (Nowozin et al., table 6).
    pub fn output(self, v: f64) -> f64 {
        match self {
            Self::ForwardKl | Self::Pearson => v,
            Self::ReverseKl => -(-v).exp(),
            Self::SquaredHellinger => 1.0 - (-v).exp(),
            Self::JensenShannon => LN_2 - softplus(-v),
            Self::Gan => -softplus(-v),
            Self::TotalVariation => 0.5 * v.tanh(),
        }
    }

    /// `q f(p/q)` from logarithms, with the limits where `p` or `q` is zero: the integrand of the divergence.
    pub fn term(self, log_p: f64, log_q: f64) -> f64 {
        let (p, q) = (log_p.exp(), log_q.exp());
        let zero = f64::NEG_INFINITY;
        if log_p == zero && log_q == zero {
            return 0.0;
        }
        // x (a − b), zero where x is.
        let times = |x: f64, a: f64, b: f64| if x == 0.0 { 0.0 } else { x * (a - b) };
        match self {
            Self::ForwardKl => times(p, log_p, log_q),
            Self::ReverseKl => times(q, log_q, log_p),
            Self::Pearson if log_q == zero => f64::INFINITY,
            Self::Pearson => (2.0 * log_p - log_q).exp() - 2.0 * p + q,
            Self::SquaredHellinger => ((0.5 * log_p).exp() - (0.5 * log_q).exp()).powi(2),
            Self::JensenShannon | Self::Gan => {
                let log_sum = log_add(log_p, log_q);
                let log_mean = if self == Self::Gan { log_sum } else { log_sum - LN_2 };
                times(p, log_p, log_mean) + times(q, log_q, log_mean)
            }
            Self::TotalVariation => 0.5 * (p - q).abs(),
        }
    }
}

/// `ln(1 + eˣ)`.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// `ln(eᵃ + eᵇ)`, not both −∞.
fn log_add(a: f64, b: f64) -> f64 {
    a.max(b) + (-(a - b).abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The functions as they stand in the table.
    fn plain(divergence: FDivergence, u: f64) -> f64 {
        match divergence {
            FDivergence::ForwardKl => u * u.ln(),
            FDivergence::ReverseKl => -u.ln(),
            FDivergence::Pearson => (u - 1.0).powi(2),
            FDivergence::SquaredHellinger => (u.sqrt() - 1.0).powi(2),
            FDivergence::JensenShannon => u * u.ln() - (u + 1.0) * ((1.0 + u) / 2.0).ln(),
            FDivergence::Gan => u * u.ln() - (u + 1.0) * (u + 1.0).ln(),
            FDivergence::TotalVariation => (u - 1.0).abs() / 2.0,
        }
    }

    #[test]
    fn functions_slopes_and_conjugates_belong_together() {
        for divergence in FDivergence::ALL {
            for u in [0.01, 0.3, 0.9, 1.2, 3.0, 50.0] {
                let f = plain(divergence, u);
                assert!((divergence.f(u) - f).abs() < 1e-12 * f.abs().max(1.0), "{divergence:?} {u}");
                // The slope, and Fenchel's equality f*(f'(u)) = u f'(u) − f(u).
                let t = divergence.derivative(u);
                let slope = (plain(divergence, u * (1.0 + 1e-6)) - plain(divergence, u * (1.0 - 1e-6))) / (2e-6 * u);
                assert!((t - slope).abs() < 1e-6 * slope.abs().max(1.0), "{divergence:?} {u}: {t} {slope}");
                let gap = divergence.conjugate(t) - (u * t - f);
                assert!(gap.abs() < 1e-9 * (u * t).abs().max(1.0), "{divergence:?} {u}: {gap}");
            }
        }
    }

    #[test]
    fn conjugates_are_suprema_on_their_domains() {
        for divergence in FDivergence::ALL {
            for v in [-3.0, -1.0, -0.2, 0.0, 0.4, 2.0] {
                let t = divergence.output(v);
                let (end, closed) = divergence.domain_end();
                assert!(t < end || (closed && t <= end), "{divergence:?}: g({v}) = {t} is outside");
                // A fine grid of u, and the limit at zero.
                let grid = (0..=40_000).map(|i| (f64::from(i) / 2_000.0 - 12.0).exp());
                let supremum = grid.map(|u| u * t - divergence.f(u)).fold(-divergence.f(0.0), f64::max);
                let found = divergence.conjugate(t);
                assert!(
                    (found - supremum).abs() < 1e-4 * found.abs().max(1.0),
                    "{divergence:?} {t}: {found} {supremum}"
                );
            }
            let (end, closed) = divergence.domain_end();
            if end.is_finite() {
                assert_eq!(divergence.conjugate(end).is_finite(), closed, "{divergence:?}");
                assert_eq!(divergence.conjugate(end + 1e-9), f64::INFINITY);
            }
            assert!(divergence.conjugate(f64::NAN).is_nan());
        }
        assert_eq!(FDivergence::Pearson.conjugate(-5.0), -1.0);
        assert_eq!(FDivergence::TotalVariation.conjugate(-5.0), -0.5);
    }

    #[test]
    fn limits_at_zero() {
        let zero = f64::NEG_INFINITY;
        let limits = FDivergence::ALL.map(|divergence| (divergence.f(0.0), divergence.term(0.0, zero)));
        let infinite = f64::INFINITY;
        let expected =
            [(0.0, infinite), (infinite, 0.0), (1.0, infinite), (1.0, 1.0), (LN_2, LN_2), (0.0, 0.0), (0.5, 0.5)];
        for ((found, expected), divergence) in limits.iter().zip(expected).zip(FDivergence::ALL) {
            let close = |a: f64, b: f64| a == b || (a - b).abs() < 1e-15;
            assert!(close(found.0, expected.0) && close(found.1, expected.1), "{divergence:?}: {found:?} {expected:?}");
            assert_eq!(divergence.term(zero, zero), 0.0);
        }
        // Far in the tails, where probabilities underflow, the terms stay finite.
        assert!(
            FDivergence::ALL.iter().all(|d| d.term(-800.0, -900.0).is_finite() && d.term(-5000.0, -4000.0).is_finite())
        );
    }
}
