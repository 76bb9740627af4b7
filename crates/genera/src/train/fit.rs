//! The training loop.

use std::ops::{ControlFlow, Range};

use genera_rng::Rng;

use crate::traits::{Batch, Learner, Scalars, StepError};

/// Someone who watches training, and may end it: a log, a progress bar, a keeper of checkpoints.
pub trait Observer {
    /// Called after step `step` (counted from zero) has been taken. `Break` ends the loop.
    fn after_step(&mut self, step: u64, scalars: &Scalars, learner: &dyn Learner) -> ControlFlow<()>;
}

impl<F: FnMut(u64, &Scalars, &dyn Learner) -> ControlFlow<()>> Observer for F {
    fn after_step(&mut self, step: u64, scalars: &Scalars, learner: &dyn Learner) -> ControlFlow<()> {
        self(step, scalars, learner)
    }
}

/// How a loop without errors ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every step was taken.
    Finished,
    /// The observer ended it after this step.
    Stopped(u64),
}

/// The step at which training broke down.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("step {step}: {source}")]
pub struct FitError {
    /// Counted from zero; its update was not made.
    pub step: u64,
    /// Why.
    pub source: StepError,
}

/// Takes `steps`, step `s` on the micro-batches `batches(s)` with the noise of `rng.fork("step").at(s)`.
///
/// Nothing else carries over from step to step but the learner's own state, so a loop that starts at step `s` with the
/// state saved before it repeats an uninterrupted one bit for bit.
///
/// Small networks train faster when the caller is a thread of rayon's pool (`rayon::scope(|_| fit(..))`): every tensor
/// operation then skips waking the pool from outside. With three hidden layers of 128 that is a fifth to a third of a
/// step, from 8 rows to 512.
///
/// # Errors
/// The first step with a loss or gradient that is not finite; the learner is then as before that step.
pub fn fit(
    learner: &mut dyn Learner,
    steps: Range<u64>,
    mut batches: impl FnMut(u64) -> Vec<Batch>,
    rng: &Rng,
    observer: &mut impl Observer,
) -> Result<Outcome, FitError> {
    let noise = rng.fork("step");
    for step in steps {
        let scalars = learner.step(batches(step), &mut noise.at(step)).map_err(|source| FitError { step, source })?;
        if observer.after_step(step, &scalars, learner).is_break() {
            return Ok(Outcome::Stopped(step));
        }
    }
    Ok(Outcome::Finished)
}
