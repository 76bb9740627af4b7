//! Diffusion models: one table of schedules, targets and solvers.
//!
//! ```text
//! x_t = α x₀ + σ ε        a Schedule gives the Level (α, σ) of each time
//! F(c_in x_t, c_noise)    what the network computes; a Target says what it means:
//! x̂₀ = c_skip x_t + c_out F
//! x_T → … → x₀            a Solver walks down a list of levels, asking for x̂₀ at each
//! ```
//!
//! DDPM, DDIM, EDM and flow matching are rows of this table. Everything without a gradient is `f64` on the host.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

mod bound;
mod clip;
mod config;
mod decoder;
mod grid;
mod mixture;
mod model;
mod sampler;
mod schedule;
mod target;
mod transition;

pub use bound::VariationalBound;
pub use clip::Clip;
pub use config::{DiffusionConfig, Times};
pub use decoder::log_probability;
pub use grid::{Finish, Spacing};
pub use mixture::MixtureDenoiser;
pub use model::{Diffusion, Given};
pub use sampler::{Moment, Sampler, Solver};
pub use schedule::{Levels, Schedule};
pub use target::{Coefficients, Target, Weighting};
pub use transition::{Transition, Variance};

/// One noise level: `x_t = alpha x₀ + sigma eps`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// The coordinate on which a network is conditioned: the index `t` of discrete schedules, a time otherwise.
    pub time: f64,
    /// The factor of the data.
    pub alpha: f64,
    /// The standard deviation of the noise.
    pub sigma: f64,
}

impl Level {
    /// The signal-to-noise ratio `α² / σ²`; infinite for clean data.
    pub fn snr(&self) -> f64 {
        (self.alpha / self.sigma).powi(2)
    }

    /// The standard deviation of `x_t` for data of unit variance, `√(α² + σ²)`: the scale from which sampling starts.
    pub fn scale(&self) -> f64 {
        self.alpha.hypot(self.sigma)
    }
}

/// Settings of a diffusion that make no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DiffusionError {
    /// A chain too short to be one.
    #[error("the schedule has {0} steps; a chain needs at least 2 and at most 10000000")]
    Steps(usize),
    /// A beta that is no probability-like number.
    #[error(
        "beta at step {step} is {beta}; every beta must lie strictly between 0 and 1: mend the betas or take more steps"
    )]
    Beta {
        /// The step.
        step: usize,
        /// Its beta.
        beta: f64,
    },
    /// A number out of its range.
    #[error("{name} is {value}; it must be {needed}")]
    Range {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: f64,
        /// What would be right.
        needed: &'static str,
    },
    /// Two settings that exclude each other.
    #[error("{0}")]
    Combination(&'static str),
    /// A number of sampling steps that the chain cannot serve.
    #[error("{asked} sampling steps of a chain of {steps}: {needed}")]
    SamplingSteps {
        /// The number asked for.
        asked: usize,
        /// The length of the chain.
        steps: usize,
        /// What would be right.
        needed: &'static str,
    },
}

/// The values of `x`, row-major.
fn host<const D: usize>(x: &Tensor<D>) -> Vec<f32> {
    x.to_data().convert::<f32>().iter::<f32>().collect()
}

/// Nothing if `ok`; otherwise the error that names the setting.
fn within(ok: bool, name: &'static str, value: f64, needed: &'static str) -> Result<(), DiffusionError> {
    if ok { Ok(()) } else { Err(DiffusionError::Range { name, value, needed }) }
}
