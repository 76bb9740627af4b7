//! The learning rate as a pure function of the step, so that resuming needs no state.
//!
//! With `w` steps of warm-up, `n` steps in all and `p = (s - w) / (n - w)`, the rate of step `s` (from zero) is the
//! optimiser's times
//!
//! - during warm-up, `(s + 1) / (w + 1)`;
//! - constant: 1; linear: `f + (1 - f)(1 - p)`; cosine: `f + (1 - f)(1 + cos πp) / 2` (SGDR without restarts, Loshchilov
//!   and Hutter, arXiv:1608.03983); step: `γ^⌊(s - w) / every⌋`.

use std::f64::consts::PI;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::error::{ConfigError, not_negative, positive};

/// How the learning rate moves through training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RateSchedule {
    /// The same throughout.
    Constant {
        /// Steps of linear rise at the start.
        #[serde(default)]
        warmup: u64,
    },
    /// Half a period of the cosine, down to `floor` times the optimiser's rate.
    Cosine {
        /// Steps of linear rise at the start.
        #[serde(default)]
        warmup: u64,
        /// The factor that is approached at the end.
        #[serde(default)]
        floor: f64,
    },
    /// A straight line down to `floor` times the optimiser's rate.
    Linear {
        /// Steps of linear rise at the start.
        #[serde(default)]
        warmup: u64,
        /// The factor that is approached at the end.
        #[serde(default)]
        floor: f64,
    },
    /// Times `gamma` after each `every` steps.
    Step {
        /// Steps of linear rise at the start.
        #[serde(default)]
        warmup: u64,
        /// Steps between two drops.
        every: NonZeroU64,
        /// The factor of one drop.
        gamma: f64,
    },
}

impl Default for RateSchedule {
    fn default() -> Self {
        Self::Constant { warmup: 0 }
    }
}

impl RateSchedule {
    /// The factor of the optimiser's learning rate at `step`, counted from zero, of `steps` in all.
    pub fn factor(&self, step: u64, steps: u64) -> f64 {
        let warmup = self.warmup();
        if step < warmup {
            return (step + 1) as f64 / (warmup + 1) as f64;
        }
        let after = step - warmup;
        let progress = (after as f64 / steps.saturating_sub(warmup).max(1) as f64).min(1.0);
        match *self {
            Self::Constant { .. } => 1.0,
            Self::Cosine { floor, .. } => floor + (1.0 - floor) * 0.5 * (1.0 + (PI * progress).cos()),
            Self::Linear { floor, .. } => floor + (1.0 - floor) * (1.0 - progress),
            Self::Step { every, gamma, .. } => gamma.powf((after / every) as f64),
        }
    }

    /// # Errors
    /// A negative or infinite factor.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        match *self {
            Self::Constant { .. } => Ok(()),
            Self::Cosine { floor, .. } | Self::Linear { floor, .. } => not_negative("floor", floor),
            Self::Step { gamma, .. } => positive("gamma", gamma),
        }
    }

    fn warmup(&self) -> u64 {
        match *self {
            Self::Constant { warmup }
            | Self::Cosine { warmup, .. }
            | Self::Linear { warmup, .. }
            | Self::Step { warmup, .. } => warmup,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_forms() {
        let close = |schedule: RateSchedule, step, value: f64| {
            let factor = schedule.factor(step, 110);
            assert!((factor - value).abs() < 1e-12, "{schedule:?} at {step}: {factor}, not {value}");
        };
        let cosine = RateSchedule::Cosine { warmup: 10, floor: 0.2 };
        let linear = RateSchedule::Linear { warmup: 10, floor: 0.2 };
        let step = RateSchedule::Step { warmup: 10, every: NonZeroU64::new(40).unwrap(), gamma: 0.1 };
        for schedule in [cosine, linear, step, RateSchedule::Constant { warmup: 10 }] {
            close(schedule, 0, 1.0 / 11.0);
            close(schedule, 9, 10.0 / 11.0);
            close(schedule, 10, 1.0);
        }
        for (at, value) in [(35, 0.2 + 0.4 * (1.0 + 0.5_f64.sqrt())), (60, 0.6), (110, 0.2), (1000, 0.2)] {
            close(cosine, at, value);
        }
        for (at, value) in [(35, 0.8), (60, 0.6), (110, 0.2), (1000, 0.2)] {
            close(linear, at, value);
        }
        for (at, value) in [(49, 1.0), (50, 0.1), (89, 0.1), (90, 0.01)] {
            close(step, at, value);
        }
        close(RateSchedule::default(), 0, 1.0);
        close(RateSchedule::Constant { warmup: u64::MAX - 1 }, 5, 0.0);
    }

    #[test]
    fn a_warm_up_longer_than_training_is_no_error() {
        assert!(RateSchedule::Cosine { warmup: 10, floor: 0.0 }.factor(4, 5).is_finite());
    }
}
