//! Markov chains that a score drives: many at once, one a row.
//!
//! ```text
//! Langevin      x' = x + η/2 ∇log p(x) + √η ε                      Roberts and Tweedie (1996)
//! Metropolis    the same as a proposal, taken with probability min(1, p(x') q(x|x') / (p(x) q(x'|x)))
//! annealed      Langevin down a ladder of noise levels, η_i = ε σ_i² / σ_ref²      arXiv:1907.05600
//! ```
//!
//! `η` is the variance of the noise of a step: what other texts call a step of `η/2` (Song and Ermon's `α`, and half of
//! what the seminars write as `2 · base`). Row `i` of every draw of noise belongs to chain `i`, so a chain does not know
//! how many others there are. Whether chains have arrived is for `genera_metrics::chain_diagnostics` to say.

mod annealed;
mod langevin;
mod metropolis;
#[cfg(test)]
mod tests;
mod walk;

use burn::tensor::{Device, Tensor, TensorData};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

pub use annealed::{Annealed, Reference};
pub use langevin::Langevin;
pub use metropolis::{Metropolis, Moves};
pub use walk::Walk;

use crate::traits::{Rows, Score};

/// A log-density that is known up to a constant, and its gradient.
pub trait Potential {
    /// `log p(x) + constant` of each row, `[B]`, and `∇ log p(x)`, `[B, F]`.
    fn log_density_and_score(&self, x: Rows) -> (Tensor<1>, Rows);
}

/// `log p` as a tensor expression `[B, F] -> [B]`, differentiated by autodiff.
#[derive(Clone, Copy, Debug)]
pub struct ByAutodiff<F>(pub F);

impl<F: Fn(Rows) -> Tensor<1>> Potential for ByAutodiff<F> {
    fn log_density_and_score(&self, x: Rows) -> (Tensor<1>, Rows) {
        let x = Tensor::from_inner(if x.is_autodiff() { x.inner() } else { x }).require_grad();
        let log = (self.0)(x.clone());
        // Rows do not mix, so the gradient of the sum holds that of every row.
        let gradient = x.grad(&log.clone().sum().backward());
        (log.inner(), gradient.unwrap_or_else(|| x.inner().zeros_like()))
    }
}

impl<F: Fn(Rows) -> Tensor<1>> Score for ByAutodiff<F> {
    fn score(&self, x: Rows) -> Rows {
        self.log_density_and_score(x).1
    }
}

/// Where chains start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// Uniform on a box `[low, high]^F`.
    Uniform {
        /// The lower side.
        low: f64,
        /// The upper side.
        high: f64,
    },
    /// Normal around the origin.
    Normal {
        /// The standard deviation.
        deviation: f64,
    },
}

impl Start {
    /// `n` starts of length `features`: `[n, F]`. Row `i` does not depend on `n`.
    pub fn draw(&self, [n, features]: [usize; 2], rng: &mut Rng, device: &Device) -> Rows {
        let values = match *self {
            Self::Normal { deviation } => rng.normal(n, features).into_iter().map(|z| z * deviation as f32).collect(),
            Self::Uniform { low, high } => {
                let uniform = rng.uniform(n, features).into_iter();
                uniform.map(|u| (low + (high - low) * f64::from(u)) as f32).collect::<Vec<f32>>()
            }
        };
        Tensor::from_data(TensorData::new(values, [n, features]), device)
    }

    /// # Errors
    /// A box without inside, a deviation that is negative.
    pub fn check(&self) -> Result<(), McmcError> {
        match *self {
            Self::Uniform { low, high } => {
                McmcError::unless(low.is_finite() && high > low && high.is_finite(), "start.high", high, "above low")
            }
            Self::Normal { deviation } => {
                let ok = deviation >= 0.0 && deviation.is_finite();
                McmcError::unless(ok, "start.deviation", deviation, "at least 0")
            }
        }
    }
}

/// Settings of a chain that make no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{name} is {value}; it must be {needed}")]
pub struct McmcError {
    /// The setting.
    name: &'static str,
    /// What was given.
    value: f64,
    /// What would be right.
    needed: &'static str,
}

impl McmcError {
    /// Nothing if `ok`; otherwise the error that names the setting.
    pub(crate) fn unless(ok: bool, name: &'static str, value: f64, needed: &'static str) -> Result<(), Self> {
        if ok { Ok(()) } else { Err(Self { name, value, needed }) }
    }
}

/// Standard normal noise like `x`: one draw of `rng`.
fn noise_like(x: &Rows, rng: &mut Rng) -> Rows {
    let [n, features] = x.dims();
    Tensor::from_data(TensorData::new(rng.normal(n, features), [n, features]), &x.device())
}

/// The values of `x`, row-major.
fn host<const D: usize>(x: &Tensor<D>) -> Vec<f32> {
    x.to_data().convert::<f32>().iter::<f32>().collect()
}
