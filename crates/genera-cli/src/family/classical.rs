//! Estimators without networks: their training is one reading of the data.

use genera::burn::tensor::Device;
use genera::classical::{Collector, Estimator};
use genera::features::Classifier;
use genera::traits::{Denoise, Density, LowerBound, Sample};

use super::Trainee;
use crate::data::Data;
use crate::failure::{Failure, Outcome};
use crate::recipe::Recipe;

impl Trainee for Collector {
    fn parameters(&self) -> usize {
        Collector::parameters(self)
    }

    fn denoise_given(&self, _labels: Vec<usize>) -> Option<Box<dyn Denoise + '_>> {
        None
    }

    fn sample_given(&self, _labels: Vec<usize>) -> Option<Box<dyn Sample + '_>> {
        None
    }

    fn density_given(&self, _labels: Vec<usize>) -> Option<Box<dyn Density + '_>> {
        None
    }

    fn lower_bound_given(&self, _labels: Vec<usize>) -> Option<Box<dyn LowerBound + '_>> {
        None
    }

    fn classifier(&self) -> Option<&Classifier> {
        None
    }
}

/// An estimator of `data`, none of which it has seen.
pub fn init(estimator: Estimator, recipe: &Recipe, data: &Data, device: &Device) -> Outcome<Box<dyn Trainee>> {
    let (read, rows) = (recipe.train.steps * recipe.train.batch_size as u64, data.train().len() as u64);
    if read > rows {
        return Err(Failure::new(format!(
            "train: {} steps of {} rows read some of the {rows} rows twice, which counts them twice; take fewer steps",
            recipe.train.steps, recipe.train.batch_size
        )));
    }
    Ok(Box::new(Collector::new(estimator, data.train().features(), device)))
}
