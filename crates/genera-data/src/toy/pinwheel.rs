//! The pinwheel: f = (1 + 0.3 ε, 0.1 δ), turned clockwise by a = 2πk/5 + ¼ exp f₀ on arm k, times 2.
//!
//! The map from f to x has the Jacobian determinant 4·(1 + ¼ exp(f₀) f₁), so
//! p(x) = (1/5) Σ_f N(f₀; 1, 0.3²) N(f₁; 0, 0.1²) / |4 + exp(f₀) f₁| over every f that an arm takes to x. With f at angle θ
//! and radius ρ = |x|/2 those are the roots of θ − ¼ exp(ρ cos θ) = φ + 2πk/5, φ being the angle of x.

use std::f64::consts::{PI, TAU};

use genera_rng::Stream;

use super::log_normal;
use crate::mixture::log_sum_exp;

pub(super) const ARMS: usize = 5;
const RATE: f64 = 0.25;

pub(super) fn draw(stream: &mut Stream) -> ([f64; 2], u16) {
    let arm = stream.below(ARMS);
    let f = [1.0 + 0.3 * stream.normal(), 0.1 * stream.normal()];
    let (sin, cos) = libm::sincos(TAU * arm as f64 / ARMS as f64 + RATE * libm::exp(f[0]));
    ([2.0 * (f[0] * cos + f[1] * sin), 2.0 * (f[1] * cos - f[0] * sin)], arm as u16)
}

pub(super) fn log_density(x: [f64; 2]) -> f64 {
    const STEPS: usize = 64;
    let (rho, phi) = (0.5 * x[0].hypot(x[1]), x[1].atan2(x[0]));
    let gap = TAU / ARMS as f64;
    // In units of the gap between arms, f reaches x where this is a whole number.
    let turn = |theta: f64| (theta - RATE * (rho * theta.cos()).exp() - phi) / gap;
    let theta = |step: usize| -PI + TAU * step as f64 / STEPS as f64;
    let mut terms = Vec::new();
    for step in 0..STEPS {
        let (from, to) = (theta(step), theta(step + 1));
        let (a, b) = (turn(from), turn(to));
        // Whole numbers k in (a, b]; too far out, where exp overflows, there is no mass and nothing to find.
        let (first, last) = (a.min(b).floor() + 1.0, a.max(b).floor());
        if !(last - first).is_finite() || last - first > 1e3 {
            return f64::NEG_INFINITY;
        }
        for k in 0..(last - first + 1.0).max(0.0) as usize {
            let theta = bisect(|theta| turn(theta) - (first + k as f64), from, to);
            let f = [rho * theta.cos(), rho * theta.sin()];
            let stretch = (4.0 * (1.0 + RATE * f[0].exp() * f[1])).abs();
            terms.push(log_normal(f[0] - 1.0, 0.3) + log_normal(f[1], 0.1) - stretch.ln());
        }
    }
    log_sum_exp(terms.into_iter()) - (ARMS as f64).ln()
}

/// A root of `f` between two points where its signs differ, to rounding error.
fn bisect(f: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    let rising = f(high) > 0.0;
    for _ in 0..52 {
        let middle = 0.5 * (low + high);
        if (f(middle) > 0.0) == rising {
            high = middle;
        } else {
            low = middle;
        }
    }
    0.5 * (low + high)
}
