//! A vector-quantised autoencoder of bits: van den Oord, Vinyals and Kavukcuoglu (arXiv:1711.00937).

use std::error::Error;

use burn::tensor::{Device, Tensor};
use genera::Rng;
use genera::traits::{Batch, Model};
use genera::vae::LikelihoodConfig;
use genera::vae::vq::{GridConfig, QuantiserConfig, VqVae, VqVaeConfig};
use serde::Deserialize;

use crate::given::Given;
use crate::work::Task;

#[derive(Deserialize)]
pub struct Config {
    shape: [usize; 3],
    channels: Vec<usize>,
    codes: usize,
    width: usize,
}

impl Config {
    pub fn init(self, rng: &mut Rng, device: &Device) -> Result<VqVae, Box<dyn Error>> {
        let Self { shape, channels, codes, width } = self;
        let config = VqVaeConfig {
            net: GridConfig { channels, blocks: 0 },
            quantiser: QuantiserConfig { codes, width, ..QuantiserConfig::default() },
            likelihood: LikelihoodConfig::Bernoulli,
            reconstruction: 1.0,
        };
        Ok(config.init(shape, rng, device)?)
    }
}

impl Task for VqVae {
    fn loss(&self, given: &Given) -> Tensor<1> {
        Model::loss(self, Batch { x: given.get("x"), labels: None }, &mut Rng::new(0)).value
    }
}
