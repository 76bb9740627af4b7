//! Numbers that move with the step: the weight of the divergence, and the nats it is allowed.
//!
//! ```text
//! constant   β_t = β                                         β-VAE: Higgins et al. 2017
//! linear     β_t = β min(1, t / T)                           Bowman et al., arXiv:1511.06349
//! cyclic     β_t = β min(1, (t mod P) / (r P))               Fu et al., arXiv:1903.10145
//! capacity   loss = −log p(x|z) + γ |KL − C min(1, t / T)|   Burgess et al., arXiv:1804.03599
//! ```

use serde::{Deserialize, Serialize};

use super::VaeError;
use super::error::{some, within};

/// The weight of the divergence as training goes on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Annealing {
    /// Always `beta`.
    Constant {
        /// `β`; 1 gives the bound itself.
        beta: f64,
    },
    /// From zero to `beta` in `steps`.
    Linear {
        /// `β` in the end.
        beta: f64,
        /// `T`.
        steps: u64,
    },
    /// From zero to `beta` in the first part of every period.
    Cyclic {
        /// `β` at the top.
        beta: f64,
        /// `P`, in steps.
        period: u64,
        /// `r`: the part of a period in which it rises.
        rise: f64,
    },
}

impl Default for Annealing {
    fn default() -> Self {
        Self::Constant { beta: 1.0 }
    }
}

impl Annealing {
    /// `β_t`.
    pub fn weight(&self, step: u64) -> f64 {
        match *self {
            Self::Constant { beta } => beta,
            Self::Linear { beta, steps } => beta * ramp(step as f64, steps as f64),
            Self::Cyclic { beta, period, rise } => beta * ramp((step % period.max(1)) as f64, rise * period as f64),
        }
    }

    pub(super) fn check(&self) -> Result<(), VaeError> {
        let (Self::Constant { beta } | Self::Linear { beta, .. } | Self::Cyclic { beta, .. }) = *self;
        within(beta >= 0.0 && beta.is_finite(), "beta", beta, "zero or more")?;
        match *self {
            Self::Constant { .. } | Self::Linear { .. } => Ok(()),
            Self::Cyclic { period, rise, .. } => {
                some("period", period as usize)?;
                within((0.0..=1.0).contains(&rise), "rise", rise, "between 0 and 1")
            }
        }
    }
}

/// A divergence that is asked for, growing from zero.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// `C`, in nats a row.
    pub nats: f64,
    /// `T`.
    pub steps: u64,
    /// `γ`: the weight of the distance from it.
    pub weight: f64,
}

impl Capacity {
    /// `C_t`.
    pub fn at(&self, step: u64) -> f64 {
        self.nats * ramp(step as f64, self.steps as f64)
    }

    pub(super) fn check(&self) -> Result<(), VaeError> {
        within(self.nats >= 0.0 && self.nats.is_finite(), "capacity.nats", self.nats, "zero or more")?;
        within(self.weight > 0.0 && self.weight.is_finite(), "capacity.weight", self.weight, "positive")
    }
}

/// `min(1, t / T)`, one if `T` is zero.
fn ramp(t: f64, whole: f64) -> f64 {
    if t >= whole { 1.0 } else { t / whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_follow_their_formulas() {
        let linear = Annealing::Linear { beta: 2.0, steps: 10 };
        assert_eq!([0, 5, 10, 99].map(|t| linear.weight(t)), [0.0, 1.0, 2.0, 2.0]);
        let cyclic = Annealing::Cyclic { beta: 1.0, period: 10, rise: 0.5 };
        assert_eq!([0, 1, 5, 9, 10, 11].map(|t| cyclic.weight(t)), [0.0, 0.2, 1.0, 1.0, 0.0, 0.2]);
        assert_eq!(Annealing::Linear { beta: 3.0, steps: 0 }.weight(0), 3.0);
        assert_eq!(Annealing::default().weight(7), 1.0);
        let capacity = Capacity { nats: 20.0, steps: 100, weight: 5.0 };
        assert_eq!([0, 50, 200].map(|t| capacity.at(t)), [0.0, 10.0, 20.0]);
        assert!(Annealing::Cyclic { beta: 1.0, period: 0, rise: 0.5 }.check().is_err());
        assert!(Annealing::Constant { beta: f64::NAN }.check().is_err());
    }
}
