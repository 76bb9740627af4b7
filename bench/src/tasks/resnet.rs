//! Pre-activation residual blocks with group normalisation: He et al., "Identity Mappings" (arXiv:1603.05027).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera::Rng;
use genera::nn::{Activation, Conv2d, ConvOptions, GroupNorm, images, rows};
use serde::Deserialize;

use super::squared_error;
use crate::given::Given;
use crate::work::Task;

#[derive(Deserialize)]
pub struct Config {
    shape: [usize; 3],
    channels: usize,
    blocks: usize,
    groups: usize,
}

#[derive(Module, Debug)]
pub struct ResNet {
    conv_in: Conv2d,
    blocks: Vec<Block>,
    norm: GroupNorm,
    conv_out: Conv2d,
    #[module(skip)]
    shape: [usize; 3],
}

#[derive(Module, Debug)]
struct Block {
    norm1: GroupNorm,
    conv1: Conv2d,
    norm2: GroupNorm,
    conv2: Conv2d,
}

impl Config {
    pub fn init(&self, rng: &mut Rng, device: &Device) -> ResNet {
        let &Self { shape, channels, blocks, groups } = self;
        let norm = || GroupNorm::new(groups, channels, 1e-5, device);
        let mut conv = |inputs, outputs| Conv2d::new(inputs, outputs, 3, ConvOptions::same(3), rng, device);
        ResNet {
            conv_in: conv(shape[0], channels),
            blocks: (0..blocks)
                .map(|_| Block {
                    norm1: norm(),
                    conv1: conv(channels, channels),
                    norm2: norm(),
                    conv2: conv(channels, channels),
                })
                .collect(),
            norm: norm(),
            conv_out: conv(channels, shape[0]),
            shape,
        }
    }
}

impl Task for ResNet {
    fn loss(&self, given: &Given) -> Tensor<1> {
        let h = self.conv_in.forward(images(given.get("x"), self.shape));
        let h = self.blocks.iter().fold(h, |x, block| {
            let h = block.conv1.forward(block.norm1.forward_into(x.clone(), Activation::Silu));
            block.conv2.forward_onto(block.norm2.forward_into(h, Activation::Silu), x)
        });
        let y = self.conv_out.forward(self.norm.forward_into(h, Activation::Silu));
        squared_error(rows(y), given.get("target"))
    }
}
