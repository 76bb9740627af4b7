//! Networks that draw images from a vector: transposed convolutions, and residual blocks.
//!
//! Where the papers have batch normalisation, these normalise over groups of channels, so that a sample does not depend on
//! what else is drawn and nothing has to be averaged for sampling.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use genera_kernels::{self as kernels, Activation, ConvOptions, activate, upsample_nearest2x};
use genera_rng::Rng;

use super::{Conv2d, GroupNorm, Linear, image};
use crate::traits::{Net, Rows};

/// A 4x4 transposed convolution that doubles the image, PyTorch's `ConvTranspose2d(.., 4, 2, 1)`:
/// `[B, H, W, inputs] -> [B, 2 H, 2 W, outputs]`.
#[derive(Module, Debug)]
pub struct Doubling {
    /// `[inputs, outputs, 4, 4]`.
    pub weight: Param<Tensor<4>>,
    /// `[outputs]`.
    pub bias: Param<Tensor<1>>,
}

/// The convolution whose transpose it is.
const HALVING: ConvOptions = ConvOptions { stride: [2; 2], padding: [[1; 2]; 2], dilation: [1; 2], groups: 1 };

impl Doubling {
    /// Fresh weights, uniform on `±1/√(outputs · 16)`, as in PyTorch.
    pub fn new(inputs: usize, outputs: usize, rng: &mut Rng, device: &Device) -> Self {
        let Conv2d { weight, .. } = Conv2d::new(outputs, inputs, 4, HALVING, rng, device);
        Self { weight, bias: super::init::constant([outputs], 0.0, device) }
    }

    /// `[B, H, W, inputs] -> [B, 2 H, 2 W, outputs]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, height, width, _] = x.dims();
        kernels::conv_transpose2d(x, self.weight.val(), Some(self.bias.val()), [2 * height, 2 * width], HALVING)
    }
}

/// Groups for so many channels: the largest of the usual numbers that divides them.
fn norm(channels: usize, device: &Device) -> GroupNorm {
    let groups = [8, 4, 2].into_iter().find(|groups| channels.is_multiple_of(*groups)).unwrap_or(1);
    GroupNorm::new(groups, channels, 1e-5, device)
}

/// The generator of Radford, Metz and Chintala, "DCGAN" (arXiv:1511.06434): a linear map, then transposed convolutions with
/// ReLU between and tanh at the end: `[B, inputs] -> [B, C · H · W]`, each value in `(-1, 1)`.
#[derive(Module, Debug)]
pub struct DcganGenerator {
    project: Linear,
    norms: Vec<GroupNorm>,
    layers: Vec<Doubling>,
    #[module(skip)]
    first: [usize; 3],
}

impl DcganGenerator {
    /// Fresh weights. `channels` are those before each doubling; sides of `shape` `[C, H, W]` are multiples of
    /// `2^channels.len()`.
    pub fn new(inputs: usize, channels: &[usize], shape: [usize; 3], rng: &mut Rng, device: &Device) -> Self {
        let first = smallest(channels[0], shape, channels.len());
        let outputs = channels[1..].iter().copied().chain([shape[0]]);
        Self {
            project: Linear::new(inputs, first.iter().product(), rng, device),
            norms: channels.iter().map(|width| norm(*width, device)).collect(),
            layers: channels.iter().zip(outputs).map(|(i, o)| Doubling::new(*i, o, rng, device)).collect(),
            first,
        }
    }
}

/// `[channels, h, w]` before so many doublings to an image of `shape`.
fn smallest(channels: usize, [_, height, width]: [usize; 3], doublings: usize) -> [usize; 3] {
    [channels, height >> doublings, width >> doublings]
}

impl Net for DcganGenerator {
    fn forward(&self, z: Rows) -> Rows {
        let start = image::images(self.project.forward(z), self.first);
        let h = self
            .norms
            .iter()
            .zip(&self.layers)
            .fold(start, |h, (norm, layer)| layer.forward(norm.forward_into(h, Activation::Relu)));
        image::rows(activate(h, Activation::Tanh))
    }
}

/// The generator of Miyato et al. (arXiv:1802.05957, table 4): a linear map, residual blocks that double the image, and tanh
/// at the end: `[B, inputs] -> [B, C · H · W]`, each value in `(-1, 1)`.
#[derive(Module, Debug)]
pub struct ResidualGenerator {
    project: Linear,
    blocks: Vec<UpBlock>,
    norm: GroupNorm,
    output: Conv2d,
    #[module(skip)]
    first: [usize; 3],
}

impl ResidualGenerator {
    /// Fresh weights. Sides of `shape` `[C, H, W]` are multiples of `2^doublings`.
    pub fn new(
        inputs: usize,
        channels: usize,
        doublings: usize,
        shape: [usize; 3],
        rng: &mut Rng,
        device: &Device,
    ) -> Self {
        let first = smallest(channels, shape, doublings);
        Self {
            project: Linear::new(inputs, first.iter().product(), rng, device),
            blocks: (0..doublings).map(|_| UpBlock::new(channels, rng, device)).collect(),
            norm: norm(channels, device),
            output: Conv2d::new(channels, shape[0], 3, ConvOptions::same(3), rng, device),
            first,
        }
    }
}

impl Net for ResidualGenerator {
    fn forward(&self, z: Rows) -> Rows {
        let start = image::images(self.project.forward(z), self.first);
        let h = self.blocks.iter().fold(start, |h, block| block.forward(h));
        let h = self.output.forward(self.norm.forward_into(h, Activation::Relu));
        image::rows(activate(h, Activation::Tanh))
    }
}

/// `conv₃(up x) + conv₂(relu(norm(conv₁(up(relu(norm x))))))`.
#[derive(Module, Debug)]
struct UpBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    norm2: GroupNorm,
    conv2: Conv2d,
    shortcut: Conv2d,
}

impl UpBlock {
    fn new(channels: usize, rng: &mut Rng, device: &Device) -> Self {
        let conv =
            |kernel, rng: &mut Rng| Conv2d::new(channels, channels, kernel, ConvOptions::same(kernel), rng, device);
        Self {
            norm1: norm(channels, device),
            conv1: conv(3, rng),
            norm2: norm(channels, device),
            conv2: conv(3, rng),
            shortcut: conv(1, rng),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        // The 1x1 convolution commutes with the doubling and costs a quarter before it.
        let short = upsample_nearest2x(self.shortcut.forward(x.clone()));
        let inner = self.conv1.forward(upsample_nearest2x(self.norm1.forward_into(x, Activation::Relu)));
        self.conv2.forward_onto(self.norm2.forward_into(inner, Activation::Relu), short)
    }
}
