//! The conditional MLP.

use std::error::Error;

use burn::tensor::{Device, Tensor};
use genera::Rng;
use genera::nn::{Activation, ConditionalMlp, ConditionalMlpConfig};
use genera::traits::Net;
use serde::Deserialize;

use super::squared_error;
use super::unet::conditioned;
use crate::given::Given;
use crate::work::Task;

#[derive(Deserialize)]
struct Config {
    features: usize,
    width: usize,
    layers: usize,
}

pub fn init(net: serde_json::Value, rng: &mut Rng, device: &Device) -> Result<ConditionalMlp, Box<dyn Error>> {
    let Config { features, width, layers } = serde_json::from_value(net)?;
    Ok(ConditionalMlpConfig { width, layers, activation: Activation::Selu }.init(features, None, rng, device))
}

impl Task for ConditionalMlp {
    fn loss(&self, given: &Given) -> Tensor<1> {
        squared_error(self.forward(conditioned(given)), given.get("target"))
    }
}
