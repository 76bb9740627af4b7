//! A variational autoencoder of bits: Kingma and Welling (arXiv:1312.6114).

use std::error::Error;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera::Rng;
use genera::nn::{Activation, Mlp, MlpConfig};
use genera::vae::{Decoder, GaussianEncoder, LikelihoodConfig, StandardNormal, VaeConfig};
use serde::Deserialize;

use crate::given::Given;
use crate::work::Task;

#[derive(Deserialize)]
pub struct Config {
    features: usize,
    latents: usize,
    hidden: Vec<usize>,
}

/// Its weights are those of both networks, so that they have the same names in PyTorch.
#[derive(Module, Debug)]
pub struct Vae {
    encoder: GaussianEncoder<Mlp>,
    decoder: Decoder<Mlp>,
    #[module(skip)]
    latents: usize,
}

impl Config {
    pub fn init(self, rng: &mut Rng, device: &Device) -> Result<Vae, Box<dyn Error>> {
        let Self { features, latents, hidden } = self;
        let net = |inputs, hidden, outputs, rng: &mut Rng| {
            MlpConfig { inputs, hidden, outputs, activation: Activation::Relu }.init(rng, device)
        };
        let encoder = net(features, hidden.clone(), 2 * latents, rng);
        let decoder = net(latents, hidden.into_iter().rev().collect(), features, rng);
        let decoder = Decoder::new(decoder, LikelihoodConfig::Bernoulli, device)?;
        Ok(Vae { encoder: GaussianEncoder::new(encoder), decoder, latents })
    }
}

impl Task for Vae {
    fn loss(&self, given: &Given) -> Tensor<1> {
        let (x, eps): (Tensor<2>, Tensor<2>) = (given.get("x"), given.get("eps"));
        let prior = StandardNormal::new(self.latents, &x.device());
        let vae = VaeConfig::new(self.latents).init(self.encoder.clone(), self.decoder.clone(), prior);
        let terms = vae.expect("latents, which there are").terms(x, None, eps);
        (terms.divergence - terms.log_likelihood).mean()
    }
}
