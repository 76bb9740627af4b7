//! Stochastic differential equations with additive noise, one a row.
//!
//! ```text
//! dx = f(x, t) dt + g(t) dw
//! Euler-Maruyama   x + f(x, t) h + g(t) Δw                                                  strong order 1, weak 1
//! Heun             x + ½ (f(x, t) + f(x̃, t + h)) h + ½ (g(t) + g(t + h)) Δw, x̃ the step above      strong 1, weak 2
//! ```
//!
//! Noise that does not depend on the state makes Itô and Stratonovich one, and Euler's rule as good as Milstein's
//! (Kloeden and Platen, "Numerical solution of stochastic differential equations", 1992, chapter 10). `Δw` comes from a
//! [`Brownian`] path, which belongs to the row: a finer grid follows the same path, and other rows do not matter. Time
//! may run backwards, for equations that are written so.
//!
//! The density of `x` follows a partial differential equation, which [`fokker_planck`] solves on a grid.

mod brownian;
pub mod fokker_planck;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use brownian::Brownian;

use crate::traits::Rows;

/// `dx = f(x, t) dt + g(t) dw`.
pub trait Sde {
    /// `f(x, t)`: `[B, F] -> [B, F]`.
    fn drift(&self, x: Rows, t: f64) -> Rows;
    /// `g(t)`.
    fn diffusion(&self, t: f64) -> f64;
}

/// How to take a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// One evaluation of the drift.
    #[default]
    EulerMaruyama,
    /// Two evaluations.
    Heun,
}

impl Scheme {
    /// Follows `x`, `[B, F]`, over the times of `grid`, in either direction; `observe` sees every time after the first.
    pub fn simulate(
        self,
        sde: &dyn Sde,
        x: Rows,
        grid: &[f64],
        brownian: &mut Brownian,
        observe: &mut dyn FnMut(f64, &Rows),
    ) -> Rows {
        grid.windows(2).fold(x, |x, pair| {
            let (t, h) = (pair[0], pair[1] - pair[0]);
            let dw = brownian.increment(pair[0], pair[1], &x.device());
            let drift = sde.drift(x.clone(), t);
            let ahead = x.clone() + drift.clone() * h + dw.clone() * sde.diffusion(t);
            let next = match self {
                Self::EulerMaruyama => ahead,
                Self::Heun => {
                    let g = 0.5 * (sde.diffusion(t) + sde.diffusion(pair[1]));
                    x + (drift + sde.drift(ahead, pair[1])) * (0.5 * h) + dw * g
                }
            };
            observe(pair[1], &next);
            next
        })
    }
}
