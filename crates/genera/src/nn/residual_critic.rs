//! A residual critic of images, as in Miyato et al., "Spectral Normalization for Generative Adversarial Networks"
//! (arXiv:1802.05957, table 4).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera_kernels::{Activation, ConvOptions, activate, avg_pool2x2};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::derivative::Linearised;
use super::{Conv2d, Linear, Scorer, image};
use crate::traits::{Net, Rows};

/// What a [`ResidualCritic`] looks like, apart from the data it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResidualCriticConfig {
    /// Channels of every block.
    pub channels: usize,
    /// Blocks that halve the image.
    pub halvings: usize,
    /// Blocks behind them that keep its size.
    pub blocks: usize,
}

impl ResidualCriticConfig {
    /// Fresh weights for images of `shape` `[C, H, W]`. Halvings leave out a last odd row or column.
    pub fn init(&self, shape: [usize; 3], rng: &mut Rng, device: &Device) -> ResidualCritic {
        let block = |i: usize, rng: &mut Rng| {
            let inputs = if i == 0 { shape[0] } else { self.channels };
            ResidualCriticBlock::new(inputs, self.channels, (i == 0, i < self.halvings), rng, device)
        };
        let count = self.halvings + self.blocks;
        let features = if count == 0 { shape[0] } else { self.channels };
        ResidualCritic {
            blocks: (0..count).map(|i| block(i, rng)).collect(),
            output: Linear::new(features, 1, rng, device),
            shape,
        }
    }
}

/// Residual blocks, ReLU, the sum over the image, and a linear map: `[B, C · H · W] -> [B, 1]`. No normalisation, so that
/// rows do not see each other.
#[derive(Module, Debug)]
pub struct ResidualCritic {
    pub(super) blocks: Vec<ResidualCriticBlock>,
    pub(super) output: Linear,
    #[module(skip)]
    pub(super) shape: [usize; 3],
}

/// `shortcut(x) + conv₂(relu(conv₁(relu x)))`, both halved or neither; the first block has no ReLU before its image.
#[derive(Module, Debug)]
pub(super) struct ResidualCriticBlock {
    pub(super) conv1: Conv2d,
    pub(super) conv2: Conv2d,
    /// A 1x1 convolution, where the block changes the number of channels or the size. It comes after the halving, with
    /// which it commutes.
    pub(super) shortcut: Option<Conv2d>,
    #[module(skip)]
    pub(super) first: bool,
    #[module(skip)]
    pub(super) halves: bool,
}

impl ResidualCriticBlock {
    fn new(inputs: usize, channels: usize, (first, halves): (bool, bool), rng: &mut Rng, device: &Device) -> Self {
        let conv = |inputs, kernel, rng: &mut Rng| {
            Conv2d::new(inputs, channels, kernel, ConvOptions::same(kernel), rng, device)
        };
        let (conv1, conv2) = (conv(inputs, 3, rng), conv(channels, 3, rng));
        let shortcut = (halves || inputs != channels).then(|| conv(inputs, 1, rng));
        Self { conv1, conv2, shortcut, first, halves }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let halved = |h: Tensor<4>| if self.halves { avg_pool2x2(h) } else { h };
        let start = if self.first { x.clone() } else { activate(x.clone(), Activation::Relu) };
        let inner = self.conv2.forward(activate(self.conv1.forward(start), Activation::Relu));
        let short = halved(x);
        let short = self.shortcut.as_ref().map_or_else(|| short.clone(), |conv| conv.forward(short.clone()));
        halved(inner) + short
    }
}

impl Scorer for ResidualCritic {
    fn features(&self, x: Rows) -> Rows {
        let h = self.blocks.iter().fold(image::images(x, self.shape), |h, block| block.forward(h));
        let [rows, height, width, channels] = h.dims();
        activate(h, Activation::Relu).reshape([rows, height * width, channels]).sum_dim(1).squeeze_dim(1)
    }

    fn linearise_features(&self, x: Rows) -> Linearised<'_, Rows, Rows> {
        self.linearise_hidden(x)
    }

    fn output(&self) -> &Linear {
        &self.output
    }
}

impl Net for ResidualCritic {
    fn forward(&self, x: Rows) -> Rows {
        self.output.forward(self.features(x))
    }
}
