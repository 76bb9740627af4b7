//! The steps without noise, as functions of two levels.

use super::Level;
use crate::traits::Rows;

/// `(σ'/σ) x + (α' − α σ'/σ) x̂₀`.
pub(super) fn euler(x: &Rows, x0: &Rows, from: Level, to: Level) -> Rows {
    let left = to.sigma / from.sigma;
    x.clone() * left + x0.clone() * (to.alpha - from.alpha * left)
}

/// The growth of `log(α/σ)`.
pub(super) fn log_step(from: Level, to: Level) -> f64 {
    (to.alpha / to.sigma).ln() - (from.alpha / from.sigma).ln()
}

/// The coordinates in which Heun's rule is applied: `x / scale` as a function of `σ / scale`.
#[derive(Clone, Copy)]
pub(super) enum Frame {
    /// `scale = α`.
    Data,
    /// `scale = α + σ`.
    Line,
}

impl Frame {
    pub fn of(chain: &[Level]) -> Self {
        // A chain that starts with next to no signal would begin at `σ / α` in the thousands, and one step from there
        // to a common level is no small step.
        if chain.iter().any(|level| level.alpha < 1e-3 * level.sigma) { Self::Line } else { Self::Data }
    }

    fn scale(self, level: Level) -> f64 {
        match self {
            Self::Data => level.alpha,
            Self::Line => level.alpha + level.sigma,
        }
    }
}

/// With `z = x / scale` and `u = σ / scale` the slope is `(z − x̂₀) / u`; `ahead` is Euler's step from `x`.
pub(super) fn heun(x: &Rows, ahead: Rows, x0_ahead: Rows, frame: Frame, from: Level, to: Level) -> Rows {
    let (here, there) = (frame.scale(from), frame.scale(to));
    let grown = 1.0 - (from.sigma / here) / (to.sigma / there);
    x.clone() * (0.5 * there / here) + ahead * (0.5 + 0.5 * grown) - x0_ahead * (0.5 * there * grown)
}
