//! Langevin dynamics down a ladder of noise levels.
//!
//! Where noise joins all modes, chains find their true shares; as it falls, they follow them. The size of a step is
//! relative to one of the levels, and texts differ in which: Song and Ermon (arXiv:1907.05600) take the smallest, some
//! lecture notes the largest. The two are one family with `ε` scaled by the square of the ratio of the levels.

use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::{Langevin, McmcError};
use crate::traits::{Rows, Score};

/// The level that step sizes are relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reference {
    /// `σ_ref` is the smallest level (Song and Ermon).
    Smallest,
    /// `σ_ref` is the largest level.
    Largest,
}

/// Langevin dynamics at every level of a ladder, from the largest to the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Annealed {
    /// `ε`: the step at the level of reference.
    pub step: f64,
    /// Steps at each level.
    pub steps: usize,
    /// Which level that is.
    pub reference: Reference,
}

impl Annealed {
    /// # Errors
    /// No steps, a step that is not positive.
    pub fn check(&self) -> Result<(), McmcError> {
        Langevin { step: self.step, steps: self.steps }.check()
    }

    /// `η = ε σ² / σ_ref²` where the ladder reaches from `smallest` to `largest`.
    pub fn step_at(&self, sigma: f64, smallest: f64, largest: f64) -> f64 {
        let reference = match self.reference {
            Reference::Smallest => smallest,
            Reference::Largest => largest,
        };
        self.step * (sigma / reference).powi(2)
    }

    /// Moves the chains `x` down `sigmas`, largest first, with `score(i)` that of level `i`: `[B, F] -> [B, F]`.
    pub fn run<'a>(
        &self,
        sigmas: &[f64],
        score: impl Fn(usize) -> Box<dyn Score + 'a>,
        x: Rows,
        rng: &mut Rng,
    ) -> Rows {
        let (Some(&largest), Some(&smallest)) = (sigmas.first(), sigmas.last()) else { return x };
        sigmas.iter().enumerate().fold(x, |x, (level, &sigma)| {
            let langevin = Langevin { step: self.step_at(sigma, smallest, largest), steps: self.steps };
            langevin.run(&*score(level), x, rng, &mut |_, _| ())
        })
    }
}
