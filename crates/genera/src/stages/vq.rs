//! The learner of a model with books of codes: a descent, and after every step what the books learn without a gradient.

use burn::module::Module;
use genera_rng::Rng;

use super::Coding;
use crate::train::Descent;
use crate::traits::{Batch, Learner, Model, Rows, Scalars, StepError, View};
use crate::vae::vq::{Quantising, VqVae};
use crate::weights::{Weights, WeightsError};

/// A model with books of codes in training.
pub struct VqTraining<M = VqVae> {
    descent: Descent<M>,
}

impl<M: Model + Module + Quantising> VqTraining<M> {
    /// Before the first step of `descent`.
    pub fn new(descent: Descent<M>) -> Self {
        Self { descent }
    }

    /// The model to use.
    pub fn model(&self) -> &M {
        self.descent.model()
    }
}

impl<M: Model + Module + Quantising> Coding for VqTraining<M> {
    type Codec = M;

    fn codec(&self) -> &M {
        self.model()
    }

    fn steps_taken(&self) -> u64 {
        self.descent.steps_taken()
    }
}

impl<M: Model + Module + Quantising> Learner for VqTraining<M> {
    fn step(&mut self, batches: Vec<Batch>, rng: &mut Rng) -> Result<Scalars, StepError> {
        let rows: Vec<Rows> = batches.iter().map(|batch| batch.x.clone()).collect();
        let scalars = self.descent.step(batches, rng)?;
        self.descent.change(|model| {
            let plain = model.clone().valid();
            model.revised(&plain, Rows::cat(rows, 0), rng)
        });
        Ok(scalars)
    }

    fn view(&self) -> View<'_> {
        self.descent.view()
    }

    fn save(&self) -> Vec<(&'static str, Weights)> {
        self.descent.save()
    }

    fn load(&mut self, groups: &[(String, Weights)]) -> Result<(), WeightsError> {
        self.descent.load(groups)
    }
}
