//! Autoencoders whose latents are whole numbers.

use genera::burn::module::Module;
use genera::burn::tensor::Device;
use genera::stages::VqTraining;
use genera::train::Descent;
use genera::vae::vq::{DiscreteVae, DiscreteVaeConfig, VqVae, VqVaeConfig};
use genera_rng::Rng;

use super::vae::check_likelihood;
use super::{Offers, Trainee, descent};
use crate::data::Data;
use crate::failure::{Failure, Outcome};
use crate::recipe::Recipe;

impl Offers for DiscreteVae {}

impl Trainee for VqTraining<VqVae> {
    fn parameters(&self) -> usize {
        self.model().num_params()
    }
}

/// A vector-quantised autoencoder of the recipe's images.
pub fn quantised(
    config: &VqVaeConfig,
    recipe: &Recipe,
    data: &Data,
    rng: &mut Rng,
    device: &Device,
) -> Outcome<Box<dyn Trainee>> {
    check_likelihood(&config.likelihood, data)?;
    let model = config.init(image(data)?, rng, device)?;
    Ok(Box::new(VqTraining::new(Descent::new(model, recipe.train.descent(), recipe.train.steps)?)))
}

/// A discrete variational autoencoder of the recipe's images.
pub fn relaxed(
    config: &DiscreteVaeConfig,
    recipe: &Recipe,
    data: &Data,
    rng: &mut Rng,
    device: &Device,
) -> Outcome<Box<dyn Trainee>> {
    check_likelihood(&config.likelihood, data)?;
    descent(config.init(image(data)?, rng, device)?, recipe)
}

/// The shape `[C, H, W]` of the data.
pub fn image(data: &Data) -> Outcome<[usize; 3]> {
    let shape = data.shape();
    shape
        .as_slice()
        .try_into()
        .map_err(|_| Failure::new(format!("model: codes are of images, not of rows of shape {shape:?}")))
}
