//! Noise that is added before each step of a deterministic solver, and taken away again by it.
//!
//! ```text
//! γ = min(churn / steps, √2 − 1) for σ from low to high, σ̂ = (1 + γ) σ, x̂ = x + √(σ̂² − σ²) scale ε
//! ```
//!
//! Karras et al., 2206.00364, algorithm 2. Only for schedules that keep the data's scale, whose `σ` is all there is to
//! raise.

use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::sampler::noise;
use super::{DiffusionError, Level, Levels, within};
use crate::traits::Rows;

/// How much noise is stirred in.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Churn {
    /// `S_churn`: all of it, spread over the steps.
    pub amount: f64,
    /// `S_tmin`: the smallest `σ` that is raised.
    #[serde(default)]
    pub low: f64,
    /// `S_tmax`: the largest `σ` that is raised; all larger ones too, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// `S_noise`: the standard deviation of the noise.
    #[serde(default = "one")]
    pub scale: f64,
}

fn one() -> f64 {
    1.0
}

impl Churn {
    pub(super) fn validate(&self) -> Result<(), DiffusionError> {
        within(self.amount >= 0.0 && self.amount.is_finite(), "churn.amount", self.amount, "at least 0")?;
        within(self.low >= 0.0, "churn.low", self.low, "at least 0")?;
        let high = self.high.unwrap_or(f64::INFINITY);
        within(high >= self.low, "churn.high", high, "at least churn.low")?;
        within(self.scale > 0.0 && self.scale.is_finite(), "churn.scale", self.scale, "positive")
    }

    /// The level `from` raised, in a chain of `steps` steps.
    pub(super) fn raised(&self, from: Level, steps: usize, levels: &Levels) -> Level {
        if from.sigma < self.low || from.sigma > self.high.unwrap_or(f64::INFINITY) {
            return from;
        }
        let gamma = (self.amount / steps as f64).min(std::f64::consts::SQRT_2 - 1.0);
        let sigma = from.sigma * (1.0 + gamma);
        Level { time: levels.time_of(sigma), sigma, ..from }
    }

    /// Rows at `from` brought up to `raised`.
    pub(super) fn stir(&self, x: Rows, from: Level, raised: Level, rng: &mut Rng) -> Rows {
        if raised.sigma <= from.sigma {
            return x;
        }
        let more = (raised.sigma.powi(2) - from.sigma.powi(2)).sqrt() * self.scale;
        let eps = noise(x.dims(), rng, &x.device());
        x + eps * more
    }
}
