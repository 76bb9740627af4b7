//! The critic of a Wasserstein GAN with gradient penalty: Gulrajani et al. (arXiv:1704.00028).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera::Rng;
use genera::nn::{Activation, Conv2d, ConvOptions, Linear, images, rows};
use genera_kernels::{LEAKY_SLOPE, activate, conv_transpose2d};
use serde::Deserialize;

use crate::given::Given;
use crate::work::Task;

#[derive(Deserialize)]
pub struct Config {
    shape: [usize; 3],
    channels: Vec<usize>,
    penalty: f32,
}

#[derive(Module, Debug)]
pub struct Critic {
    layers: Vec<Conv2d>,
    output: Linear,
    #[module(skip)]
    shape: [usize; 3],
    #[module(skip)]
    penalty: f32,
}

const HALVING: ConvOptions = ConvOptions { stride: [2; 2], padding: [[1; 2]; 2], dilation: [1; 2], groups: 1 };

impl Config {
    pub fn init(&self, rng: &mut Rng, device: &Device) -> Critic {
        let inputs = [self.shape[0]].into_iter().chain(self.channels.iter().copied());
        let layers: Vec<_> =
            inputs.zip(&self.channels).map(|(i, o)| Conv2d::new(i, *o, 3, HALVING, rng, device)).collect();
        let [height, width] = self.channels.iter().fold([self.shape[1], self.shape[2]], |size, _| {
            HALVING.output_size(size, [3; 2]).expect("a kernel of three fits a padded image")
        });
        let features = self.channels.last().map_or(1, |channels| channels * height * width);
        let output = Linear::new(features, 1, rng, device);
        Critic { layers, output, shape: self.shape, penalty: self.penalty }
    }
}

impl Critic {
    /// The score of each row and the values of the hidden layers.
    fn forward(&self, x: Tensor<2>) -> (Tensor<2>, Vec<Tensor<4>>) {
        let mut hidden = vec![images(x, self.shape)];
        for layer in &self.layers {
            let h = hidden[hidden.len() - 1].clone();
            hidden.push(activate(layer.forward(h), Activation::LeakyRelu));
        }
        (self.output.forward(rows(hidden[hidden.len() - 1].clone())), hidden)
    }

    /// The gradient of each row's score, spelled out: slopes of a piecewise linear function are constants.
    fn slope(&self, hidden: &[Tensor<4>]) -> Tensor<4> {
        let [_, height, width, channels] = hidden[hidden.len() - 1].dims();
        let seed = images(self.output.weight.val(), [channels, height, width]);
        let pairs = hidden.windows(2).zip(&self.layers).rev();
        pairs.fold(seed, |gradient, (pair, layer)| {
            let slopes = pair[1].clone().detach().greater_elem(0.0).float() * (1.0 - LEAKY_SLOPE) + LEAKY_SLOPE;
            let [_, height, width, _] = pair[0].dims();
            conv_transpose2d(gradient * slopes, layer.weight.val(), None, [height, width], HALVING)
        })
    }
}

impl Task for Critic {
    fn loss(&self, given: &Given) -> Tensor<1> {
        let (real, fake, share): (Tensor<2>, Tensor<2>, Tensor<2>) =
            (given.get("real"), given.get("fake"), given.get("share"));
        let between = real.clone() * share.clone() + fake.clone() * (-share + 1.0);
        let (_, hidden) = self.forward(between);
        let length = (rows(self.slope(&hidden)).square().sum_dim(1) + 1e-12).sqrt();
        let penalty = (length - 1.0).square().mean();
        self.forward(fake).0.mean() - self.forward(real).0.mean() + penalty * self.penalty
    }
}
