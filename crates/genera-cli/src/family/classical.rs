//! Estimators without networks: their training is one reading of the data.

use genera::burn::tensor::Device;
use genera::classical::{Collector, Estimator};

use super::Trainee;
use crate::data::Data;
use crate::failure::{Failure, Outcome};
use crate::recipe::Recipe;

impl Trainee for Collector {
    fn parameters(&self) -> usize {
        Collector::parameters(self)
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
