//! Diffusion models: one table of schedules, targets and solvers.
//!
//! ```text
//! x_t = α x₀ + σ ε        a Schedule gives the Level (α, σ) of each time
//! F(c_in x_t, c_noise)    what the network computes; a Target says what it means:
//! x̂₀ = c_skip x_t + c_out F
//! x_T → … → x₀            a Solver walks down a list of levels, asking for x̂₀ at each
//! ```
//!
//! DDPM, DDIM, NCSN, the VE, VP and sub-VP equations, EDM and flow matching are rows of this table; guidance wraps a
//! denoiser, and the probability flow gives any of them an exact likelihood. Everything without a gradient is `f64` on the host.

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::traits::Rows;

mod bound;
mod churn;
mod class_mixture;
mod classified;
mod clip;
mod config;
mod consistency;
mod continuous_bound;
mod convert;
mod corrector;
mod coupling;
mod decoder;
mod differentiable;
mod flow;
mod given;
mod grid;
mod guidance;
mod levels;
mod mixture;
mod model;
mod ncsn;
mod noisy_classifier;
mod observed;
#[cfg(test)]
mod parity;
mod reflow;
mod sampler;
mod schedule;
mod step;
mod stochastic;
mod target;
mod times;
mod transition;
mod translated;

pub use bound::VariationalBound;
pub use churn::Churn;
pub use class_mixture::{ClassMixture, ClassPart, GivenClass};
pub use classified::Classified;
pub use clip::Clip;
pub use config::DiffusionConfig;
pub use consistency::{Consistency, ConsistencyConfig, Distillation, DistillationError, PairWeighting};
pub use continuous_bound::{Bound, ContinuousBound};
pub use corrector::{Corrector, StepSize};
pub use coupling::Coupling;
pub use decoder::log_probability;
pub use differentiable::Differentiable;
pub use flow::ProbabilityFlow;
pub use given::Given;
pub use grid::{Finish, Spacing};
pub use guidance::{ClassScore, ClassifierGuided, Guidance, Guided, Known};
pub use levels::{Levels, Rates, Slope};
pub use mixture::MixtureDenoiser;
pub use model::Diffusion;
pub use ncsn::{LadderError, geometric, largest_distance, ratio_for, step_size_for};
pub use noisy_classifier::NoisyClassifier;
pub use observed::{Observation, Observed, Replaced};
pub use reflow::Reflow;
pub use sampler::{Moment, Sampler, Solver};
pub use schedule::Schedule;
pub use target::{Coefficients, Target, Weighting};
pub use times::Times;
pub use transition::{Transition, Variance};
pub use translated::Translated;

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
    /// A probability flow that cannot be followed.
    #[error(transparent)]
    Flow(#[from] crate::ode::OdeError),
    /// Two settings that exclude each other.
    #[error("{0}")]
    Combination(&'static str),
    /// Noise that the network was never shown.
    #[error(
        "the schedule asks for noise (sigma/alpha) from {:.4} to {:.4}, but the network was trained from {:.4} to {:.4}: \
         bring the ends of the schedule within that",
        .asked[0], .asked[1], .known[0], .known[1]
    )]
    Unseen {
        /// Its range of `σ/α`.
        asked: [f64; 2],
        /// That of training.
        known: [f64; 2],
    },
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

/// The rows of these samples; one row alone is that of every sample.
fn of_samples(rows: &Rows, samples: &[usize]) -> Rows {
    if rows.dims()[0] == 1 {
        return rows.clone();
    }
    let places: Vec<i32> = samples.iter().map(|sample| *sample as i32).collect();
    rows.clone().select(0, Tensor::from_data(TensorData::from(places.as_slice()), &rows.device()))
}

/// Nothing if `ok`; otherwise the error that names the setting.
fn within(ok: bool, name: &'static str, value: f64, needed: &'static str) -> Result<(), DiffusionError> {
    if ok { Ok(()) } else { Err(DiffusionError::Range { name, value, needed }) }
}
