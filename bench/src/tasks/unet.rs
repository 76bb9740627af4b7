//! The U-Net.

use std::error::Error;

use genera::Rng;
use genera::burn::tensor::{Device, Tensor};
use genera::nn::{Conditioned, UNet, UNetConfig};
use genera::traits::Net;

use super::squared_error;
use crate::given::Given;
use crate::work::{Output, Task};

pub fn init(net: serde_json::Value, rng: &mut Rng, device: &Device) -> Result<UNet, Box<dyn Error>> {
    Ok(serde_json::from_value::<UNetConfig>(net)?.init(rng, device)?)
}

impl Task for UNet {
    fn loss(&self, given: &Given) -> Tensor<1> {
        squared_error(self.forward(conditioned(given)), given.get("target"))
    }

    fn sample(&self, given: &Given) -> Output {
        let next = given.get::<2>("x") * 0.9 + self.forward(conditioned(given)) * 0.1;
        Output::Number(squared_error(next, given.get("target")))
    }
}

pub fn conditioned(given: &Given) -> Conditioned {
    Conditioned { x: given.get("x"), time: given.get("time"), labels: None }
}
