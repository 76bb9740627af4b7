//! Autoencoders whose posterior has no density: what a recipe says of them.

// The derivation of modules looks for the library by this name.
use genera::burn;
use genera::burn::module::{Module, ModuleDisplay};
use genera::burn::tensor::{Device, Tensor};
use genera::gan::{Avb, AvbConfig, Bend, Emit, ImplicitAutoencoder};
use genera::train::{DescentConfig, OptimizerConfig};
use genera::traits::Rows;
use genera::vae::{Decode, Decoder, Likelihood, LikelihoodConfig, NetConfig, Network, Observe};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::vae::check_likelihood;
use super::{Offers, Trainee};
use crate::data::Data;
use crate::failure::{Failure, Outcome};
use crate::recipe::Recipe;

/// An implicit encoder, a decoder and an adversary, apart from what the data say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdversarialVaeSpec {
    /// The encoder and its adversary.
    pub encoder: AvbConfig,
    /// What the latents say of a row.
    pub decoder: ImplicitDecoderSpec,
    /// How the adversary learns; as the autoencoder, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critic_optimizer: Option<OptimizerConfig>,
}

/// What the latents say of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ImplicitDecoderSpec {
    /// `N(z₁ + z₀², deviation²)`: known, and its posterior too.
    Bend {
        /// Of a point given its latents.
        deviation: f64,
    },
    /// A network.
    Network {
        /// The network that it is turned round from.
        net: NetConfig,
        /// What it gives.
        likelihood: LikelihoodConfig,
        /// What a sample is.
        #[serde(default)]
        observe: Observe,
    },
}

/// A decoder of the autoencoders with a density, for one without.
#[derive(Module, Debug)]
struct Emitter {
    decoder: Decoder<Network>,
    #[module(skip)]
    observe: Observe,
}

impl Emit for Emitter {
    fn log_likelihood(&self, x: Rows, z: Rows) -> Tensor<1> {
        self.decoder.likelihood(z).log_prob(x)
    }

    fn draw(&self, z: Rows, rng: &mut Rng) -> Rows {
        let likelihood = self.decoder.likelihood(z);
        match self.observe {
            Observe::Sample => likelihood.sample(rng),
            Observe::Mean => likelihood.mean(),
        }
    }
}

impl Trainee for Avb<Bend> {
    fn parameters(&self) -> usize {
        self.model().encoder.num_params()
    }

    fn offers(&self) -> &dyn Offers {
        self
    }
}

impl Offers for Avb<Bend> {
    fn bent(&self) -> Option<&ImplicitAutoencoder<Bend>> {
        Some(self.model())
    }
}

impl Trainee for Avb<Emitter> {
    fn parameters(&self) -> usize {
        self.model().num_params()
    }
}

impl AdversarialVaeSpec {
    /// A fresh model for the recipe's data.
    pub fn trainee(&self, recipe: &Recipe, data: &Data, rng: &mut Rng, device: &Device) -> Outcome<Box<dyn Trainee>> {
        match &self.decoder {
            ImplicitDecoderSpec::Bend { deviation } => {
                if data.shape() != [1] || self.encoder.latents != Bend::LATENTS {
                    let why = "a bend is for points on the line, and has two latents";
                    return Err(Failure::new(format!("model.decoder: {why}; set model.encoder.latents to 2")));
                }
                Ok(Box::new(self.begin(Bend::new(*deviation, device)?, recipe, data, rng, device)?))
            }
            ImplicitDecoderSpec::Network { net, likelihood, observe } => {
                check_likelihood(likelihood, data)?;
                let net = net.decoder(self.encoder.latents, 0, &data.shape(), likelihood.parameters(), rng, device)?;
                let emitter = Emitter { decoder: Decoder::new(net, *likelihood, device)?, observe: *observe };
                Ok(Box::new(self.begin(emitter, recipe, data, rng, device)?))
            }
        }
    }

    fn begin<D: Module + ModuleDisplay>(
        &self,
        decoder: D,
        recipe: &Recipe,
        data: &Data,
        rng: &mut Rng,
        device: &Device,
    ) -> Outcome<Avb<D>> {
        let model = recipe.train.descent();
        let critic = DescentConfig { optimizer: self.critic_optimizer.unwrap_or(model.optimizer), ema: None, ..model };
        let features = data.shape().iter().product();
        Ok(self.encoder.init(features, decoder, [model, critic], recipe.train.steps, rng, device)?)
    }
}
