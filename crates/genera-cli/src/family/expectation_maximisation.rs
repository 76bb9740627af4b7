//! Models that expectation maximisation fits, exactly (no gradient, every step over the rows of its batch) or with a
//! network for the posterior.

use genera::burn::tensor::Device;
use genera::latent::{
    AmortisedMixture, AmortisedMixtureConfig, BernoulliMixtureConfig, Em, ExpectationMaximisation, FactorConfig,
    GaussianMixtureConfig,
};
use genera_rng::Rng;

use super::{Offers, Trainee, descent};
use crate::data::{Data, tensor};
use crate::failure::Outcome;
use crate::recipe::Recipe;

impl<M: Em + Send> Trainee for ExpectationMaximisation<M> {
    fn parameters(&self) -> usize {
        self.model().parameters().iter().map(|(.., values)| values.len()).sum()
    }
}

impl Offers for AmortisedMixture {}

/// A mixture of Gaussians with a network for its posterior, which starts from all training rows.
pub fn amortised_mixture(
    config: &AmortisedMixtureConfig,
    recipe: &Recipe,
    data: &Data,
    rng: &mut Rng,
    device: &Device,
) -> Outcome<Box<dyn Trainee>> {
    descent(config.init(&all(data, device)?, rng)?, recipe)
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
