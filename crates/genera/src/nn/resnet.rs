//! A residual network of images that is conditioned on time, with no change of resolution.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera_kernels::{Activation, ConvOptions, activate};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::embed::Condition;
use super::{Conditioned, Conv2d, Linear, image};
use crate::traits::{Net, Rows};

/// What a [`ConditionalResNet`] looks like, apart from the data it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConditionalResNetConfig {
    /// Channels of the residual stream.
    pub channels: usize,
    /// Number of residual blocks.
    pub blocks: usize,
    /// Width of the time embedding.
    pub width: usize,
}

impl Default for ConditionalResNetConfig {
    fn default() -> Self {
        Self { channels: 64, blocks: 4, width: 128 }
    }
}

impl ConditionalResNetConfig {
    /// Fresh weights for images of `shape` `[C, H, W]`, and for labels if there are `classes`.
    pub fn init(&self, shape: [usize; 3], classes: Option<usize>, rng: &mut Rng, device: &Device) -> ConditionalResNet {
        let conv = |inputs, outputs, rng: &mut Rng| Conv2d::new(inputs, outputs, 3, ConvOptions::same(3), rng, device);
        ConditionalResNet {
            condition: Condition::new(self.width, classes, rng, device),
            conv_in: conv(shape[0], self.channels, rng),
            blocks: (0..self.blocks).map(|_| Block::new(self.channels, self.width, rng, device)).collect(),
            conv_out: conv(self.channels, shape[0], rng),
            shape,
        }
    }
}

/// Residual blocks between two convolutions: `[B, C · H · W] -> [B, C · H · W]`.
#[derive(Module, Debug)]
pub struct ConditionalResNet {
    pub(super) condition: Condition,
    pub(super) conv_in: Conv2d,
    pub(super) blocks: Vec<Block>,
    pub(super) conv_out: Conv2d,
    #[module(skip)]
    pub(super) shape: [usize; 3],
}

impl Net<Conditioned> for ConditionalResNet {
    fn forward(&self, Conditioned { x, time, labels }: Conditioned) -> Rows {
        let embedding = self.condition.forward(time, labels);
        let h = self.conv_in.forward(image::images(x, self.shape));
        let h = self.blocks.iter().fold(h, |h, block| block.forward(h, embedding.clone()));
        image::rows(self.conv_out.forward(h))
    }
}

/// `h + f(h + W e)`, where `f` is a 1x1, a 3x3 and a 1x1 convolution with ReLU between.
#[derive(Module, Debug)]
pub(super) struct Block {
    pub(super) time: Linear,
    pub(super) conv_1: Conv2d,
    pub(super) conv_2: Conv2d,
    pub(super) conv_3: Conv2d,
}

impl Block {
    fn new(channels: usize, width: usize, rng: &mut Rng, device: &Device) -> Self {
        let conv =
            |kernel, rng: &mut Rng| Conv2d::new(channels, channels, kernel, ConvOptions::same(kernel), rng, device);
        Self {
            time: Linear::new(width, channels, rng, device),
            conv_1: conv(1, rng),
            conv_2: conv(3, rng),
            conv_3: conv(1, rng),
        }
    }

    fn forward(&self, h: Tensor<4>, embedding: Rows) -> Tensor<4> {
        let time: Tensor<4> = self.time.forward(embedding).unsqueeze_dims(&[1, 2]);
        let inner = activate(self.conv_1.forward(h.clone() + time), Activation::Relu);
        let inner = activate(self.conv_2.forward(inner), Activation::Relu);
        self.conv_3.forward_onto(inner, h)
    }
}
