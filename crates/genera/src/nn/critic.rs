//! A convolutional critic: one score for each image.

use burn::module::Module;
use burn::tensor::Device;
use genera_kernels::{Activation, ConvOptions, activate};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::derivative::Linearised;
use super::{Conv2d, Linear, Scorer, image};
use crate::traits::{Net, Rows};

/// What a [`ConvCritic`] looks like, apart from the data it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConvCriticConfig {
    /// Channels after each convolution.
    pub channels: Vec<usize>,
}

impl Default for ConvCriticConfig {
    fn default() -> Self {
        Self { channels: vec![64, 128, 256] }
    }
}

/// A 3x3 convolution that halves the image.
const HALVING: ConvOptions = ConvOptions { stride: [2; 2], padding: [[1; 2]; 2], dilation: [1; 2], groups: 1 };

impl ConvCriticConfig {
    /// Fresh weights for images of `shape` `[C, H, W]`.
    pub fn init(&self, shape: [usize; 3], rng: &mut Rng, device: &Device) -> ConvCritic {
        let inputs = [shape[0]].into_iter().chain(self.channels.iter().copied());
        let layers = inputs.zip(&self.channels).map(|(i, o)| Conv2d::new(i, *o, 3, HALVING, rng, device)).collect();
        // With a padding of one, a side of n becomes one of n / 2, rounded up.
        let [height, width] = self.channels.iter().fold([shape[1], shape[2]], |size, _| size.map(|n| n.div_ceil(2)));
        let features = self.channels.last().copied().unwrap_or(shape[0]) * height * width;
        ConvCritic { layers, output: Linear::new(features, 1, rng, device), shape }
    }
}

/// Convolutions of stride two with leaky ReLU, as in Radford et al., "DCGAN" (arXiv:1511.06434) but without batch
/// normalisation, which a gradient penalty forbids (Gulrajani et al., arXiv:1704.00028); then a linear map:
/// `[B, C · H · W] -> [B, 1]`.
#[derive(Module, Debug)]
pub struct ConvCritic {
    pub(super) layers: Vec<Conv2d>,
    pub(super) output: Linear,
    #[module(skip)]
    pub(super) shape: [usize; 3],
}

impl Scorer for ConvCritic {
    fn features(&self, x: Rows) -> Rows {
        let h = self
            .layers
            .iter()
            .fold(image::images(x, self.shape), |h, layer| activate(layer.forward(h), Activation::LeakyRelu));
        image::rows(h)
    }

    fn linearise_features(&self, x: Rows) -> Linearised<'_, Rows, Rows> {
        self.linearise_hidden(x)
    }

    fn output(&self) -> &Linear {
        &self.output
    }
}

impl Net for ConvCritic {
    fn forward(&self, x: Rows) -> Rows {
        self.output.forward(self.features(x))
    }
}
