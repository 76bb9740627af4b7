//! The exponential moving average of the weights, which generative models are sampled with.
//!
//! ```text
//! a ← a + (1 - d_t)(θ - a),    d_t = d, or min(d, (1 + t) / (10 + t)) with warm-up
//! ```
//!
//! `t` counts the updates before this one. The warm-up is TensorFlow's `num_updates` rule, which diffusers follows too.

use burn::module::Module;
use serde::{Deserialize, Serialize};

use super::error::{ConfigError, below_one};
use super::parameters::{map_parameters, parameters};

/// How the weights are averaged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ema {
    /// `d`: what of the average stays at each step.
    pub decay: f64,
    /// Whether early steps, when the average is mostly the initial weights, keep less of it.
    #[serde(default = "yes")]
    pub warmup: bool,
}

fn yes() -> bool {
    true
}

impl Ema {
    /// `d_t` for the update that follows `t` others.
    pub fn decay_at(&self, t: u64) -> f64 {
        if self.warmup { self.decay.min((1.0 + t as f64) / (10.0 + t as f64)) } else { self.decay }
    }

    /// The average once `model` has been taken in, after `t` others. Parameters that are not trained are copied.
    pub fn update<M: Module>(&self, average: M, model: &M, t: u64) -> M {
        let mut latest = parameters(model);
        let share = 1.0 - self.decay_at(t);
        map_parameters(average, |name, average| match latest.remove(name) {
            Some(latest) if latest.trained => average.clone() + (latest.value - average) * share,
            Some(latest) => latest.value,
            None => average,
        })
    }

    /// # Errors
    /// A decay outside `[0, 1)`.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        below_one("ema.decay", self.decay)
    }
}
