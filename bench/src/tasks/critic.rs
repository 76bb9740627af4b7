//! The critic of a Wasserstein GAN with gradient penalty: Gulrajani et al. (arXiv:1704.00028).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera::Rng;
use genera::nn::derivative::input_gradient;
use genera::nn::{ConvCritic, ConvCriticConfig};
use genera::traits::Net;
use serde::Deserialize;

use crate::given::Given;
use crate::work::Task;

#[derive(Deserialize)]
pub struct Config {
    shape: [usize; 3],
    channels: Vec<usize>,
    penalty: f32,
}

/// Its weights are those of the critic, so that they have the same names in PyTorch.
#[derive(Module, Debug)]
pub struct Critic {
    critic: ConvCritic,
    #[module(skip)]
    penalty: f32,
}

impl Config {
    pub fn init(self, rng: &mut Rng, device: &Device) -> Critic {
        let critic = ConvCriticConfig { channels: self.channels }.init(self.shape, rng, device);
        Critic { critic, penalty: self.penalty }
    }
}

impl Task for Critic {
    fn loss(&self, given: &Given) -> Tensor<1> {
        let (real, fake): (Tensor<2>, Tensor<2>) = (given.get("real"), given.get("fake"));
        let share: Tensor<2> = given.get("share");
        let between = real.clone() * share.clone() + fake.clone() * (-share + 1.0);
        let (_, slope) = input_gradient(&self.critic, between);
        let penalty = ((slope.square().sum_dim(1) + 1e-12).sqrt() - 1.0).square().mean();
        self.critic.forward(fake).mean() - self.critic.forward(real).mean() + penalty * self.penalty
    }
}
