//! The steps of the equation that runs noise backwards.
//!
//! ```text
//! dx = (f x − g² s) dt + g dw,  s = ∇log p_t(x) = (α x̂₀ − x) / σ²,  time falling by h
//! euler-maruyama     x − (f x − g² s) h + g Δw                                          Song et al., 2011.13456
//! stochastic-heun    the mean of that drift at both ends, and of g
//! reverse-diffusion  x − ((ρ − 1) x − v s) + √v ε, ρ = α/α', v = σ² − ρ² σ'²             (the same, algorithm 2)
//! ```
//!
//! `ρ` and `v` are those of the forward kernel between the two levels. On a chain of betas the last is the predictor of
//! the paper, `(2 − √(1−β)) x + β s + √β ε`.

use super::{Level, Rates};
use crate::traits::Rows;

/// `∇log p_t(x)`, from the expected clean rows.
pub(super) fn score(x: &Rows, x0: &Rows, level: Level) -> Rows {
    (x0.clone() * level.alpha - x.clone()) / (level.sigma * level.sigma)
}

/// `f x − g² s`.
fn drift(x: &Rows, x0: &Rows, level: Level, rates: Rates) -> Rows {
    x.clone() * rates.drift - score(x, x0, level) * rates.diffusion.powi(2)
}

/// Back by `h`, with the Brownian increment `dw`.
pub(super) fn euler_maruyama(x: &Rows, x0: &Rows, level: Level, rates: Rates, h: f64, dw: Rows) -> Rows {
    x.clone() - drift(x, x0, level, rates) * h + dw * rates.diffusion
}

/// One end of a step: where it is, what the rows and the clean rows are there, and how they move.
#[derive(Clone, Copy)]
pub(super) struct End<'a> {
    pub x: &'a Rows,
    pub x0: &'a Rows,
    pub level: Level,
    pub rates: Rates,
}

/// Back by `h`; the lower end is that of Euler-Maruyama's step with the same increment.
pub(super) fn heun(upper: End<'_>, lower: End<'_>, h: f64, dw: Rows) -> Rows {
    let drifts = [upper, lower].map(|end| drift(end.x, end.x0, end.level, end.rates));
    let [above, below] = drifts;
    upper.x.clone() - (above + below) * (0.5 * h) + dw * (0.5 * (upper.rates.diffusion + lower.rates.diffusion))
}

/// From one level to another, with standard normal `eps`.
pub(super) fn reverse_diffusion(x: &Rows, x0: &Rows, from: Level, to: Level, eps: Rows) -> Rows {
    let ratio = from.alpha / to.alpha;
    let variance = (from.sigma.powi(2) - (ratio * to.sigma).powi(2)).max(0.0);
    x.clone() * (2.0 - ratio) + score(x, x0, from) * variance + eps * variance.sqrt()
}
