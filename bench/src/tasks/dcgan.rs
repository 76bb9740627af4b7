//! A step of both players of a DCGAN at once: Radford, Metz and Chintala (arXiv:1511.06434).
//!
//! The generator paints once; the critic sees data, the samples as constants, and, its own weights constant, the samples again.
//! The sum of both losses then has each player's gradient, and one optimiser moves both.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera::Rng;
use genera::nn::{ConvCritic, ConvCriticConfig, DcganGenerator};
use genera::traits::Net;
use genera_kernels::{Activation, activate};
use serde::Deserialize;

use crate::given::Given;
use crate::work::Task;

#[derive(Deserialize)]
pub struct Config {
    shape: [usize; 3],
    latents: usize,
    generator: Vec<usize>,
    critic: Vec<usize>,
}

#[derive(Module, Debug)]
pub struct Dcgan {
    generator: DcganGenerator,
    critic: ConvCritic,
}

impl Config {
    pub fn init(self, rng: &mut Rng, device: &Device) -> Dcgan {
        let generator = DcganGenerator::new(self.latents, &self.generator, self.shape, rng, device);
        let critic = ConvCriticConfig { channels: self.critic }.init(self.shape, rng, device);
        Dcgan { generator, critic }
    }
}

impl Task for Dcgan {
    fn loss(&self, given: &Given) -> Tensor<1> {
        let (real, noise): (Tensor<2>, Tensor<2>) = (given.get("real"), given.get("noise"));
        let fake = self.generator.forward(noise);
        let softplus = |score: Tensor<2>| activate(score, Activation::Softplus).mean();
        let seen = fake.clone().detach();
        let critic = softplus(-self.critic.forward(real)) + softplus(self.critic.forward(seen));
        critic + softplus(-self.critic.valid().forward(fake))
    }
}
