//! The learner of a vector-quantised autoencoder: a descent, and after every step what its codes learn without a gradient.

use burn::module::Module;
use genera_rng::Rng;

use super::Coding;
use crate::train::Descent;
use crate::traits::{Batch, Learner, Rows, Scalars, StepError, View};
use crate::vae::vq::VqVae;
use crate::weights::{Weights, WeightsError};

/// A vector-quantised autoencoder in training.
pub struct VqTraining {
    descent: Descent<VqVae>,
}

impl VqTraining {
    /// Before the first step of `descent`.
    pub fn new(descent: Descent<VqVae>) -> Self {
        Self { descent }
    }

    /// The model to use.
    pub fn model(&self) -> &VqVae {
        self.descent.model()
    }
}

impl Coding for VqTraining {
    type Codec = VqVae;

    fn codec(&self) -> &VqVae {
        self.model()
    }

    fn steps_taken(&self) -> u64 {
        self.descent.steps_taken()
    }
}

impl Learner for VqTraining {
    fn step(&mut self, batches: Vec<Batch>, rng: &mut Rng) -> Result<Scalars, StepError> {
        let rows: Vec<Rows> = batches.iter().map(|batch| batch.x.clone()).collect();
        let scalars = self.descent.step(batches, rng)?;
        self.descent.change(|mut model| {
            let plain = model.clone().valid();
            let z = Rows::cat(rows.into_iter().map(|x| plain.vectors(x)).collect(), 0);
            model.quantiser = model.quantiser.clone().updated(&z, &mut rng.fork("codes"));
            model
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
