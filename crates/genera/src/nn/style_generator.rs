//! A small style-based generator of images that grows: Karras, Laine and Aila, "StyleGAN" (arXiv:1812.04948), Karras et al.,
//! "Progressive Growing" (arXiv:1710.10196).
//!
//! ```text
//! w = mapping(z)
//! block    h ← AdaIN(lrelu(conv₃(h) + b · n), w),   n ~ N(0, I) over pixels, b one number a channel
//! AdaIN    (1 + s) (h − mean h) / √(var h + ε) + t  over each channel of each image,  (s, t) = A w + a
//! stage    two blocks, the first of all but the first stage after a bilinear doubling
//! image    tanh(conv₁(h));  while a stage fades in  (1 − α) up(image before) + α image
//! ```

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use genera_kernels::{self as kernels, Activation, ConvOptions, activate, upsample_nearest2x};
use genera_rng::Rng;

use super::{Conv2d, Linear, Mlp, MlpConfig, init};
use crate::traits::{Net, Rows};

/// The side of the first stage.
pub const FIRST: usize = 4;
/// `ε` of the instance normalisation.
const EPSILON: f32 = 1e-5;

/// How far a network has grown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grown {
    /// The newest stage, counted from 0: images of side `4 · 2^stage`.
    pub stage: usize,
    /// `α`: how much of the newest stage there is, from 0 to 1.
    pub alpha: f64,
}

impl Grown {
    /// The side of its images.
    pub fn side(self) -> usize {
        FIRST << self.stage
    }

    /// `image` with as much of its detail as has faded in: `(1 − α) up(down(image)) + α image`.
    pub fn faded(self, image: Tensor<4>) -> Tensor<4> {
        if self.stage == 0 || self.alpha >= 1.0 {
            return image;
        }
        self.blend(kernels::avg_pool2x2(image.clone()), image)
    }

    /// `(1 − α) up(before) + α image`.
    fn blend(self, before: Tensor<4>, image: Tensor<4>) -> Tensor<4> {
        upsample_nearest2x(before) * (1.0 - self.alpha) + image * self.alpha
    }
}

/// What a [`StyleGenerator`] looks like.
#[derive(Clone, Debug, PartialEq)]
pub struct StyleGeneratorConfig {
    /// The length of `z`.
    pub latents: usize,
    /// Widths of the hidden layers of the mapping.
    pub mapping: Vec<usize>,
    /// The length of `w`.
    pub style: usize,
    /// Channels of each stage; those of the learnt constant are the first.
    pub channels: Vec<usize>,
    /// Channels of an image.
    pub colours: usize,
}

impl StyleGeneratorConfig {
    /// Fresh weights; the network is at its first stage.
    pub fn init(&self, rng: &mut Rng, device: &Device) -> StyleGenerator {
        let Self { latents, style, ref channels, colours, .. } = *self;
        let mapping =
            MlpConfig { inputs: latents, hidden: self.mapping.clone(), outputs: style, activation: Activation::Relu };
        let inputs = channels[..1].iter().chain(channels);
        let stage = |(inputs, outputs): (&usize, &usize), rng: &mut Rng| StyleStage {
            block1: StyleBlock::new(*inputs, *outputs, style, rng, device),
            block2: StyleBlock::new(*outputs, *outputs, style, rng, device),
            to_rgb: Conv2d::new(*outputs, colours, 1, ConvOptions::same(1), rng, device),
        };
        StyleGenerator {
            mapping: mapping.init(rng, device),
            constant: init::normal([channels[0], FIRST, FIRST], 1.0, rng, device),
            stages: inputs.zip(channels).map(|pair| stage(pair, rng)).collect(),
            grown: Grown { stage: 0, alpha: 1.0 },
        }
    }
}

/// A mapping from noise to styles, and a synthesis of images from styles and noise.
#[derive(Module, Debug)]
pub struct StyleGenerator {
    mapping: Mlp,
    /// Where every image starts, `[C, 4, 4]`.
    constant: Param<Tensor<3>>,
    stages: Vec<StyleStage>,
    #[module(skip)]
    grown: Grown,
}

#[derive(Module, Debug)]
struct StyleStage {
    block1: StyleBlock,
    block2: StyleBlock,
    to_rgb: Conv2d,
}

#[derive(Module, Debug)]
struct StyleBlock {
    conv: Conv2d,
    /// `b`, `[C]`.
    noise: Param<Tensor<1>>,
    /// From `w` to `(s, t)`.
    style: Linear,
}

impl StyleGenerator {
    /// The network grown so far, with its weights.
    ///
    /// # Panics
    /// If there is no such stage.
    pub fn at(self, grown: Grown) -> Self {
        assert!(grown.stage < self.stages.len(), "stage {} of {}", grown.stage, self.stages.len());
        Self { grown, ..self }
    }

    /// How far it has grown.
    pub fn grown(&self) -> Grown {
        self.grown
    }

    /// Blocks in use; each has a style.
    pub fn layers(&self) -> usize {
        2 * (self.grown.stage + 1)
    }

    /// Numbers of noise that one image takes.
    pub fn noise(&self) -> usize {
        (0..=self.grown.stage).map(|stage| 2 * (FIRST << stage).pow(2)).sum()
    }

    /// `w`: `[B, latents] -> [B, W]`.
    pub fn styles(&self, z: Rows) -> Rows {
        self.mapping.forward(z)
    }

    /// An image of the style `style(l)`, `[B, W]`, in each layer `l`, from noise `[B, noise()]`: `[B, S, S, colours]`, each
    /// value in `(-1, 1)`.
    pub fn synthesise(&self, style: impl Fn(usize) -> Rows, noise: Rows) -> Tensor<4> {
        let (rows, mut first, mut before) = (noise.dims()[0], 0, None);
        let start: Tensor<4> = self.constant.val().permute([1, 2, 0]).unsqueeze_dim(0);
        let mut h = start.repeat_dim(0, rows);
        for (stage, layers) in self.stages[..=self.grown.stage].iter().enumerate() {
            if stage > 0 {
                h = bilinear2x(h);
            }
            let side = FIRST << stage;
            for (layer, block) in (2 * stage..).zip([&layers.block1, &layers.block2]) {
                let here = noise.clone().narrow(1, first, side * side).reshape([rows, side, side, 1]);
                h = block.forward(h, style(layer), here);
                first += side * side;
            }
            if stage + 1 == self.grown.stage && self.grown.alpha < 1.0 {
                before = Some(layers.image(h.clone()));
            }
        }
        let image = self.stages[self.grown.stage].image(h);
        match before {
            Some(before) => self.grown.blend(before, image),
            None => image,
        }
    }
}

impl StyleStage {
    fn image(&self, h: Tensor<4>) -> Tensor<4> {
        activate(self.to_rgb.forward(h), Activation::Tanh)
    }
}

impl StyleBlock {
    fn new(inputs: usize, outputs: usize, style: usize, rng: &mut Rng, device: &Device) -> Self {
        Self {
            conv: Conv2d::new(inputs, outputs, 3, ConvOptions::same(3), rng, device),
            noise: init::constant([outputs], 0.0, device),
            style: Linear::new(style, 2 * outputs, rng, device),
        }
    }

    /// `[B, S, S, inputs], [B, W], [B, S, S, 1] -> [B, S, S, C]`.
    fn forward(&self, h: Tensor<4>, style: Rows, noise: Tensor<4>) -> Tensor<4> {
        let h = self.conv.forward(h) + noise * self.noise.val().unsqueeze::<4>();
        let h = activate(h, Activation::LeakyRelu);
        let (rows, channels, device) = (h.dims()[0], h.dims()[3], h.device());
        let (ones, zeros) = (Tensor::ones([channels], &device), Tensor::zeros([channels], &device));
        let normal = kernels::group_norm(h, ones, zeros, channels, EPSILON, Activation::Identity);
        let style: Tensor<4> = self.style.forward(style).reshape([rows, 1, 1, 2 * channels]);
        let (scale, shift) = (style.clone().narrow(3, 0, channels), style.narrow(3, channels, channels));
        normal * (scale + 1.0) + shift
    }
}

/// PyTorch's `interpolate(x, scale_factor=2, mode="bilinear")`: `[B, H, W, C] -> [B, 2 H, 2 W, C]`.
fn bilinear2x(x: Tensor<4>) -> Tensor<4> {
    doubled(doubled(x, 1), 2)
}

/// Each value as two along `axis`: three quarters of it, and a quarter of its neighbour on that side.
fn doubled(x: Tensor<4>, axis: usize) -> Tensor<4> {
    let mut shape = x.dims();
    let n = shape[axis];
    let piece = |first: usize, count: usize| x.clone().narrow(axis, first, count);
    let (before, after) = (Tensor::cat(vec![piece(0, 1), piece(0, n - 1)], axis), {
        Tensor::cat(vec![piece(1, n - 1), piece(n - 1, 1)], axis)
    });
    let own = x * 0.75;
    shape[axis] = 2 * n;
    Tensor::stack::<5>(vec![before * 0.25 + own.clone(), after * 0.25 + own], axis + 1).reshape(shape)
}
