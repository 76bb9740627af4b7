//! Networks for encoders and decoders: perceptrons, convolutions, and residual convolutions.
//!
//! An encoder of images keeps their size in its first layer and halves it in every further one; a decoder goes the same
//! way back with transposed convolutions. The residual kind puts blocks `x + conv(norm(relu(conv(norm x))))` after every
//! layer. Normalisation is over groups of channels, where the models of the literature have batch norm, so that a row does
//! not see its batch.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use genera_kernels::{self as kernels, Activation, activate};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::VaeError;
use super::error::{some, within};
use crate::nn::{Conv2d, ConvOptions, GroupNorm, Linear, Mlp, MlpConfig, images, rows};
use crate::traits::{Net, Rows};

/// An encoder's or a decoder's network, as recipes write it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum NetConfig {
    /// A perceptron.
    Mlp {
        /// Widths of the encoder's hidden layers; the decoder has them in reverse.
        hidden: Vec<usize>,
    },
    /// Convolutions, with residual blocks between if there are any.
    Conv {
        /// Channels of the encoder's layers; the first keeps the size of the image, each other halves it.
        channels: Vec<usize>,
        /// Residual blocks after every layer.
        #[serde(default)]
        blocks: usize,
    },
}

impl NetConfig {
    /// A network from rows of `shape`, beside which `beside` further numbers stand, to `outputs` numbers.
    ///
    /// # Errors
    /// A width of zero, convolutions of what is no image, or more halvings than the image has.
    pub fn encoder(
        &self,
        shape: &[usize],
        beside: usize,
        outputs: usize,
        rng: &mut Rng,
        device: &Device,
    ) -> Result<Network, VaeError> {
        self.check()?;
        match self {
            Self::Mlp { hidden } => {
                let inputs = shape.iter().product::<usize>() + beside;
                Ok(Network::Mlp(mlp(inputs, hidden.clone(), outputs).init(rng, device)))
            }
            Self::Conv { channels, blocks } => {
                let shape = image(shape, beside)?;
                Ok(Network::Encoder(ConvEncoder::new(shape, channels, *blocks, outputs, rng, device)))
            }
        }
    }

    /// A network from `latents` numbers, beside which `beside` further ones stand, to `parameters` for each value of
    /// rows of `shape`.
    ///
    /// # Errors
    /// As [`NetConfig::encoder`].
    pub fn decoder(
        &self,
        latents: usize,
        beside: usize,
        shape: &[usize],
        parameters: usize,
        rng: &mut Rng,
        device: &Device,
    ) -> Result<Network, VaeError> {
        self.check()?;
        match self {
            Self::Mlp { hidden } => {
                let outputs = parameters * shape.iter().product::<usize>();
                let hidden = hidden.iter().rev().copied().collect();
                Ok(Network::Mlp(mlp(latents + beside, hidden, outputs).init(rng, device)))
            }
            Self::Conv { channels, blocks } => {
                let [c, h, w] = image(shape, 0)?;
                let shape = [c * parameters, h, w];
                Ok(Network::Decoder(ConvDecoder::new(latents + beside, channels, *blocks, shape, rng, device)))
            }
        }
    }

    fn check(&self) -> Result<(), VaeError> {
        let (Self::Mlp { hidden: widths } | Self::Conv { channels: widths, .. }) = self;
        widths.iter().try_for_each(|width| some("a width of the network", *width))?;
        match self {
            Self::Mlp { .. } => Ok(()),
            Self::Conv { channels, .. } => some("the number of channels", channels.len()),
        }
    }
}

fn mlp(inputs: usize, hidden: Vec<usize>, outputs: usize) -> MlpConfig {
    MlpConfig { inputs, hidden, outputs, activation: Activation::Relu }
}

/// The shape of an image beside which nothing stands.
fn image(shape: &[usize], beside: usize) -> Result<[usize; 3], VaeError> {
    within(beside == 0, "the number of classes beside an image", beside as f64, "0 for convolutions; take an mlp")?;
    shape.try_into().map_err(|_| VaeError::Combination("convolutions are for images `[C, H, W]`; take an mlp"))
}

/// What [`NetConfig`] describes.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub enum Network {
    /// A perceptron.
    Mlp(Mlp),
    /// Images to numbers.
    Encoder(ConvEncoder),
    /// Numbers to images.
    Decoder(ConvDecoder),
}

impl Net for Network {
    fn forward(&self, x: Rows) -> Rows {
        match self {
            Self::Mlp(net) => net.forward(x),
            Self::Encoder(net) => net.forward(x),
            Self::Decoder(net) => net.forward(x),
        }
    }
}

/// The size of an image after all halvings.
pub(super) fn smallest(shape: [usize; 3], channels: &[usize]) -> [usize; 2] {
    sizes(shape, channels.len() - 1)[channels.len() - 1]
}

/// A 3x3 convolution that halves the image.
fn halving() -> ConvOptions {
    ConvOptions { stride: [2; 2], ..ConvOptions::same(3) }
}

/// The sizes of an image before and after each halving, largest first.
fn sizes([_, height, width]: [usize; 3], halvings: usize) -> Vec<[usize; 2]> {
    let halved = |size: &[usize; 2]| Some(size.map(|side| side.div_ceil(2)));
    std::iter::successors(Some([height, width]), halved).take(halvings + 1).collect()
}

/// The halvings of an encoder: `[B, C · H · W] -> [B, h, w, channels]`.
#[derive(Module, Debug)]
pub(super) struct Down {
    convs: Vec<Conv2d>,
    blocks: Vec<Block>,
    #[module(skip)]
    shape: [usize; 3],
}

impl Down {
    pub(super) fn new(shape: [usize; 3], channels: &[usize], blocks: usize, rng: &mut Rng, device: &Device) -> Self {
        let inputs = std::iter::once(shape[0]).chain(channels.iter().copied());
        let convs = inputs.zip(channels).enumerate().map(|(i, (inputs, outputs))| {
            let options = if i == 0 { ConvOptions::same(3) } else { halving() };
            Conv2d::new(inputs, *outputs, 3, options, rng, device)
        });
        let convs = convs.collect();
        Self { convs, blocks: Block::after_each(channels, blocks, rng, device), shape }
    }

    pub(super) fn forward(&self, x: Rows) -> Tensor<4> {
        self.forward_image(images(x, self.shape))
    }

    /// The same of images: `[B, H, W, C] -> [B, h, w, channels]`.
    pub(super) fn forward_image(&self, x: Tensor<4>) -> Tensor<4> {
        let each = self.blocks.len() / self.convs.len();
        self.convs.iter().enumerate().fold(x, |h, (i, conv)| {
            let h = activate(conv.forward(h), Activation::Relu);
            self.blocks[i * each..(i + 1) * each].iter().fold(h, |h, block| block.forward(h))
        })
    }
}

/// The doublings of a decoder: `[B, h, w, channels] -> [B, C · H · W]`.
#[derive(Module, Debug)]
pub(super) struct Up {
    blocks: Vec<Block>,
    doubling: Vec<Doubling>,
    output: Conv2d,
    #[module(skip)]
    shape: [usize; 3],
}

impl Up {
    pub(super) fn new(channels: &[usize], blocks: usize, shape: [usize; 3], rng: &mut Rng, device: &Device) -> Self {
        let back: Vec<usize> = channels.iter().rev().copied().collect();
        Self {
            blocks: Block::after_each(&back, blocks, rng, device),
            doubling: back.windows(2).map(|pair| Doubling::new(pair[0], pair[1], rng, device)).collect(),
            output: Conv2d::new(back[back.len() - 1], shape[0], 3, ConvOptions::same(3), rng, device),
            shape,
        }
    }

    pub(super) fn forward(&self, h: Tensor<4>) -> Rows {
        rows(self.forward_image(h))
    }

    /// The same as images: `[B, h, w, channels] -> [B, H, W, C]`.
    pub(super) fn forward_image(&self, h: Tensor<4>) -> Tensor<4> {
        let sizes = sizes(self.shape, self.doubling.len());
        let each = self.blocks.len() / (self.doubling.len() + 1);
        let refine =
            |h: Tensor<4>, i: usize| self.blocks[i * each..(i + 1) * each].iter().fold(h, |h, block| block.forward(h));
        let larger = sizes.iter().rev().skip(1);
        let h = self.doubling.iter().zip(larger).enumerate().fold(refine(h, 0), |h, (i, (layer, size))| {
            refine(activate(layer.forward(h, *size), Activation::Relu), i + 1)
        });
        self.output.forward(h)
    }
}

/// Convolutions, then a linear map: `[B, C · H · W] -> [B, outputs]`.
#[derive(Module, Debug)]
pub struct ConvEncoder {
    down: Down,
    output: Linear,
}

impl ConvEncoder {
    fn new(
        shape: [usize; 3],
        channels: &[usize],
        blocks: usize,
        outputs: usize,
        rng: &mut Rng,
        device: &Device,
    ) -> Self {
        let down = Down::new(shape, channels, blocks, rng, device);
        let [height, width] = smallest(shape, channels);
        let flat = channels[channels.len() - 1] * height * width;
        Self { down, output: Linear::new(flat, outputs, rng, device) }
    }
}

impl Net for ConvEncoder {
    fn forward(&self, x: Rows) -> Rows {
        self.output.forward(rows(self.down.forward(x)))
    }
}

/// A linear map, then transposed convolutions: `[B, inputs] -> [B, C · H · W]`.
#[derive(Module, Debug)]
pub struct ConvDecoder {
    input: Linear,
    up: Up,
    #[module(skip)]
    smallest: [usize; 3],
}

impl ConvDecoder {
    fn new(
        inputs: usize,
        channels: &[usize],
        blocks: usize,
        shape: [usize; 3],
        rng: &mut Rng,
        device: &Device,
    ) -> Self {
        let ([height, width], last) = (smallest(shape, channels), channels[channels.len() - 1]);
        Self {
            input: Linear::new(inputs, last * height * width, rng, device),
            up: Up::new(channels, blocks, shape, rng, device),
            smallest: [last, height, width],
        }
    }
}

impl Net for ConvDecoder {
    fn forward(&self, z: Rows) -> Rows {
        let h = activate(self.input.forward(z), Activation::Relu);
        self.up.forward(images(h, self.smallest))
    }
}

/// A 3x3 transposed convolution that doubles the image, PyTorch's `ConvTranspose2d` with stride 2 and padding 1.
#[derive(Module, Debug)]
struct Doubling {
    /// `[inputs, outputs, 3, 3]`.
    weight: Param<Tensor<4>>,
    /// `[outputs]`.
    bias: Param<Tensor<1>>,
}

impl Doubling {
    fn new(inputs: usize, outputs: usize, rng: &mut Rng, device: &Device) -> Self {
        // The shape and the numbers that PyTorch starts from: those of a convolution from `outputs` to `inputs`.
        let Conv2d { weight, .. } = Conv2d::new(outputs, inputs, 3, halving(), rng, device);
        Self { weight, bias: Param::from_tensor(Tensor::zeros([outputs], device)) }
    }

    fn forward(&self, x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
        kernels::conv_transpose2d(x, self.weight.val(), Some(self.bias.val()), size, halving())
    }
}

/// `x + conv(norm(relu(conv(norm x))))`.
#[derive(Module, Debug)]
struct Block {
    norm1: GroupNorm,
    conv1: Conv2d,
    norm2: GroupNorm,
    conv2: Conv2d,
}

impl Block {
    /// `count` after each of the layers with these channels.
    fn after_each(channels: &[usize], count: usize, rng: &mut Rng, device: &Device) -> Vec<Self> {
        channels.iter().flat_map(|c| std::iter::repeat_n(*c, count)).map(|c| Self::new(c, rng, device)).collect()
    }

    fn new(channels: usize, rng: &mut Rng, device: &Device) -> Self {
        // The largest of the usual numbers of groups that divides the channels.
        let groups = [8, 4, 2].into_iter().find(|groups| channels.is_multiple_of(*groups)).unwrap_or(1);
        let norm = || GroupNorm::new(groups, channels, 1e-5, device);
        let (norm1, norm2) = (norm(), norm());
        let mut conv = || Conv2d::new(channels, channels, 3, ConvOptions::same(3), rng, device);
        Self { norm1, conv1: conv(), norm2, conv2: conv() }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let h = self.conv1.forward(self.norm1.forward_into(x.clone(), Activation::Relu));
        self.conv2.forward_onto(self.norm2.forward_into(h, Activation::Relu), x)
    }
}
