//! Langevin dynamics in steps, unadjusted: fast, and a little wrong.

use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::{McmcError, noise_like};
use crate::traits::{Rows, Score};

/// The Euler-Maruyama chain of `dx = ½ ∇log p dt + dw`, whose step `η` is a stretch of time.
///
/// It forgets its start and settles near `p`, not on it: see [`Langevin::stationary_variance`]. Modes that no path of
/// likely points joins keep the shares that the start gave them, whatever their weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Langevin {
    /// `η`, the variance of the noise of a step.
    pub step: f64,
    /// How many steps.
    pub steps: usize,
}

impl Langevin {
    /// # Errors
    /// No steps, a step that is not positive.
    pub fn check(&self) -> Result<(), McmcError> {
        McmcError::unless(self.steps > 0, "langevin.steps", self.steps as f64, "at least 1")?;
        McmcError::unless(self.step > 0.0 && self.step.is_finite(), "langevin.step", self.step, "positive")
    }

    /// Moves the chains `x`, `[B, F] -> [B, F]`; `observe` sees them after every step.
    pub fn run(&self, score: &dyn Score, mut x: Rows, rng: &mut Rng, observe: &mut dyn FnMut(usize, &Rows)) -> Rows {
        for step in 0..self.steps {
            let noise = noise_like(&x, rng);
            x = x.clone() + score.score(x) * (0.5 * self.step) + noise * self.step.sqrt();
            observe(step, &x);
        }
        x
    }

    /// The variance in which chains settle on a normal density of variance `v`: `v / (1 − η / 4v)`, from
    /// `x' = (1 − η/2v) x + √η ε`. None if they never settle, for `η ≥ 4v`.
    pub fn stationary_variance(&self, v: f64) -> Option<f64> {
        (self.step < 4.0 * v).then(|| v / (1.0 - self.step / (4.0 * v)))
    }
}
