//! The exponential moving average of the weights, which generative models are sampled with.
//!
//! ```text
//! a ← a + (1 - d_t)(θ - a),    d_t = d, or min(d, (1 + t) / (10 + t)) with warm-up
//! ```
//!
//! `t` counts the updates before this one. The warm-up is TensorFlow's `num_updates` rule, which diffusers follows too.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Tensor;
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

    /// # Errors
    /// A decay outside `[0, 1)`.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        below_one("ema.decay", self.decay)
    }
}

/// The averages of a module's trained parameters, by path, each `[N]`. They are no module, so that nothing shares their
/// memory and the optimiser can move them in place, in the pass that moves the parameters.
#[derive(Clone, Debug)]
pub(crate) struct Average(BTreeMap<String, Tensor<1>>);

impl Average {
    /// The parameters as they are.
    pub fn of(module: &impl Module) -> Self {
        let trained = parameters(module).into_iter().filter(|(_, parameter)| parameter.trained);
        Self(trained.map(|(path, parameter)| (path, parameter.value)).collect())
    }

    /// The average of the parameter at `path`, taken out to be [put](Self::put) back.
    pub fn take(&mut self, path: &str) -> Option<Tensor<1>> {
        self.0.remove(path)
    }

    /// Keeps the average of the parameter at `path`.
    pub fn put(&mut self, path: &str, average: Tensor<1>) {
        self.0.insert(path.to_owned(), average);
    }

    /// `module` with the averages in place of its trained parameters.
    pub fn in_place_of<M: Module>(&self, module: M) -> M {
        map_parameters(module, |path, value| self.0.get(path).cloned().unwrap_or(value))
    }
}
