//! Classifiers, whose last hidden layer measures distances between images.

use genera::burn::tensor::Device;
use genera::features::{Classifier, ClassifierConfig};
use genera_rng::Rng;

use super::Offers;
use crate::data::Data;
use crate::failure::{Failure, Outcome};

impl Offers for Classifier {
    fn classifier(&self) -> Option<&Classifier> {
        Some(self)
    }
}

/// A fresh classifier for `data`.
pub fn init(config: &ClassifierConfig, data: &Data, rng: &mut Rng, device: &Device) -> Outcome<Classifier> {
    check(config, data)?;
    Ok(config.init(rng, device)?)
}

fn check(config: &ClassifierConfig, data: &Data) -> Outcome {
    let (shape, classes) = (data.shape(), data.classes());
    if shape != config.shape {
        return Err(Failure::new(format!(
            "model.shape is {:?}, but the data have rows of shape {shape:?}",
            config.shape
        )));
    }
    if classes.is_none_or(|classes| classes > config.classes) {
        let found = classes.map_or_else(|| "none".to_owned(), |classes| classes.to_string());
        return Err(Failure::new(format!("model.classes is {}, but the data have {found}", config.classes)));
    }
    Ok(())
}
