//! A critic that grows with its generator: Karras et al., "Progressive Growing" (arXiv:1710.10196).
//!
//! ```text
//! start    h = conv₁(x);  while a stage fades in  α block(conv₁(x)) + (1 − α) conv₁'(down x)
//! block    lrelu(down(conv₃(lrelu(conv₃(h)))))
//! end      linear(lrelu(conv₄(lrelu(conv₃(h)))))    conv₄ without padding: a linear map of a 4 x 4 image
//! ```

use burn::module::Module;
use burn::tensor::Device;
use genera_kernels::ConvOptions;
use genera_rng::Rng;

use super::derivative::Linearised;
use super::style_generator::{FIRST, Grown};
use super::{Conv2d, Linear, Scorer};
use crate::traits::Rows;

/// What a [`GrowingCritic`] looks like.
#[derive(Clone, Debug, PartialEq)]
pub struct GrowingCriticConfig {
    /// Channels at each stage, from the smallest image.
    pub channels: Vec<usize>,
    /// Channels of an image.
    pub colours: usize,
}

impl GrowingCriticConfig {
    /// Fresh weights; the network is at its first stage.
    pub fn init(&self, rng: &mut Rng, device: &Device) -> GrowingCritic {
        let channels = &self.channels;
        let conv = |inputs, outputs, kernel, rng: &mut Rng| {
            Conv2d::new(inputs, outputs, kernel, ConvOptions::same(kernel), rng, device)
        };
        let block = |pair: &[usize], rng: &mut Rng| GrowingCriticBlock {
            conv1: conv(pair[1], pair[1], 3, rng),
            conv2: conv(pair[1], pair[0], 3, rng),
        };
        let width = channels[0];
        GrowingCritic {
            from_rgb: channels.iter().map(|width| conv(self.colours, *width, 1, rng)).collect(),
            blocks: channels.windows(2).map(|pair| block(pair, rng)).collect(),
            conv: conv(width, width, 3, rng),
            dense: Linear::new(width * FIRST * FIRST, width, rng, device),
            output: Linear::new(width, 1, rng, device),
            colours: self.colours,
            grown: Grown { stage: 0, alpha: 1.0 },
        }
    }
}

/// A score of images of the side it has grown to: `[B, colours · S · S] -> [B, 1]`.
#[derive(Module, Debug)]
pub struct GrowingCritic {
    /// One a stage.
    pub(super) from_rgb: Vec<Conv2d>,
    /// One a stage but the first.
    pub(super) blocks: Vec<GrowingCriticBlock>,
    pub(super) conv: Conv2d,
    pub(super) dense: Linear,
    pub(super) output: Linear,
    #[module(skip)]
    pub(super) colours: usize,
    #[module(skip)]
    pub(super) grown: Grown,
}

#[derive(Module, Debug)]
pub(super) struct GrowingCriticBlock {
    pub(super) conv1: Conv2d,
    pub(super) conv2: Conv2d,
}

impl GrowingCritic {
    /// The network grown so far, with its weights.
    ///
    /// # Panics
    /// If there is no such stage.
    pub fn at(self, grown: Grown) -> Self {
        assert!(grown.stage < self.from_rgb.len(), "stage {} of {}", grown.stage, self.from_rgb.len());
        Self { grown, ..self }
    }
}

impl Scorer for GrowingCritic {
    fn features(&self, x: Rows) -> Rows {
        self.linearise_hidden(x).value
    }

    fn linearise_features(&self, x: Rows) -> Linearised<'_, Rows, Rows> {
        self.linearise_hidden(x)
    }

    fn output(&self) -> &Linear {
        &self.output
    }
}
