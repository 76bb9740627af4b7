//! One convolution.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera::Rng;
use genera::nn::{Conv2d, ConvOptions};
use serde::Deserialize;

use crate::given::Given;
use crate::work::{Output, Task};

#[derive(Deserialize)]
pub struct Config {
    shape: [usize; 3],
    channels: usize,
    kernel: usize,
}

#[derive(Module, Debug)]
pub struct Conv {
    conv: Conv2d,
}

impl Config {
    pub fn init(&self, rng: &mut Rng, device: &Device) -> Conv {
        let options = ConvOptions::same(self.kernel);
        Conv { conv: Conv2d::new(self.shape[0], self.channels, self.kernel, options, rng, device) }
    }
}

impl Task for Conv {
    fn loss(&self, given: &Given) -> Tensor<1> {
        self.conv.forward(given.get("x")).square().mean()
    }

    /// The input is already in the layout of networks, as it would be inside one.
    fn sample(&self, given: &Given) -> Output {
        Output::Image(self.conv.forward(given.get("x")))
    }
}
