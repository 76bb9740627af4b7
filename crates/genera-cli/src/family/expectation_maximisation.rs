//! Models that expectation maximisation fits: no gradient, every step over the rows of its batch.

use genera::burn::tensor::Device;
use genera::latent::{BernoulliMixtureConfig, Em, ExpectationMaximisation, FactorConfig, GaussianMixtureConfig};
use genera_rng::Rng;

use super::Trainee;
use crate::data::{Data, tensor};
use crate::failure::Outcome;

impl<M: Em + Send> Trainee for ExpectationMaximisation<M> {
    fn parameters(&self) -> usize {
        self.model().parameters().iter().map(|(.., values)| values.len()).sum()
    }
}

/// A mixture of Gaussians that starts from all training rows.
pub fn gaussian_mixture(
    config: &GaussianMixtureConfig,
    data: &Data,
    rng: &mut Rng,
    device: &Device,
) -> Outcome<Box<dyn Trainee>> {
    let model = config.init(&all(data, device)?, rng)?;
    Ok(Box::new(ExpectationMaximisation::new(model)))
}

/// A mixture of bits that starts from all training rows.
pub fn bernoulli_mixture(
    config: &BernoulliMixtureConfig,
    data: &Data,
    rng: &mut Rng,
    device: &Device,
) -> Outcome<Box<dyn Trainee>> {
    let model = config.init(&all(data, device)?, rng)?;
    Ok(Box::new(ExpectationMaximisation::new(model)))
}

/// Principal components or factors that start from all training rows.
pub fn factors(config: &FactorConfig, data: &Data, rng: &mut Rng, device: &Device) -> Outcome<Box<dyn Trainee>> {
    let model = config.init(&all(data, device)?, rng)?;
    Ok(Box::new(ExpectationMaximisation::new(model)))
}

fn all(data: &Data, device: &Device) -> Outcome<genera::traits::Rows> {
    Ok(tensor(data.first_rows(data.train(), usize::MAX)?, data.train().features(), device))
}
