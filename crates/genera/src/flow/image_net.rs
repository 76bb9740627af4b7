//! The convolutional networks of image couplings.
//!
//! ```text
//! RealNVP   conv 3x3 → B × (h + conv1(relu(conv3(relu(conv1(h)))))) → relu → conv 3x3
//! Glow      conv 3x3 → relu → conv 1x1 → relu → conv 3x3
//! ```
//!
//! The last convolution starts at zero and its output is multiplied by `e^{3 c}` with a learned `c` a channel (Glow,
//! arXiv:1807.03039): couplings start as the identity. Glow's activation normalisations inside the network are left
//! out, and images are padded with zeros.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use genera_kernels::{Activation, ConvOptions, activate};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::Seen;
use crate::nn::init::constant;
use crate::nn::{Conv2d, images, rows};
use crate::traits::{Net, Rows};

/// What lies between the first and the last convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// One 1x1 convolution: Glow.
    Pointwise,
    /// So many residual blocks: RealNVP.
    Residual(usize),
}

/// What an [`ImageNet`] looks like, apart from its images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageNetConfig {
    /// `[C, H, W]` of what it sees.
    pub shape: [usize; 3],
    /// Width of the context.
    pub context: usize,
    /// Channels between.
    pub channels: usize,
    /// What lies between.
    pub body: Body,
    /// Channels that it gives.
    pub outputs: usize,
}

impl ImageNetConfig {
    /// Fresh weights; the last convolution is zero.
    pub fn init(&self, rng: &mut Rng, device: &Device) -> ImageNet {
        let Self { shape, context, channels, body, outputs } = *self;
        let mut conv =
            |inputs, outputs, kernel| Conv2d::new(inputs, outputs, kernel, ConvOptions::same(kernel), rng, device);
        let conv_in = conv(shape[0] + context, channels, 3);
        let (point, blocks) = match body {
            Body::Pointwise => (Some(conv(channels, channels, 1)), Vec::new()),
            Body::Residual(count) => {
                let block = |_| Block {
                    conv_1: conv(channels, channels, 1),
                    conv_2: conv(channels, channels, 3),
                    conv_3: conv(channels, channels, 1),
                };
                (None, (0..count).map(block).collect())
            }
        };
        let mut conv_out = conv(channels, outputs, 3);
        conv_out.weight = constant([outputs, channels, 3, 3], 0.0, device);
        conv_out.bias = Some(constant([outputs], 0.0, device));
        ImageNet { conv_in, point, blocks, conv_out, log_scale: constant([outputs], 0.0, device), shape }
    }
}

/// A network from images to images of the same size: `[B, C · H · W] -> [B, C' · H · W]`.
#[derive(Module, Debug)]
pub struct ImageNet {
    conv_in: Conv2d,
    point: Option<Conv2d>,
    blocks: Vec<Block>,
    conv_out: Conv2d,
    /// `c`: the output is multiplied by `e^{3 c}`. `[C']`.
    log_scale: Param<Tensor<1>>,
    #[module(skip)]
    shape: [usize; 3],
}

impl Net<Seen> for ImageNet {
    fn forward(&self, Seen { x, context }: Seen) -> Rows {
        let mut image = images(x, self.shape); // [B, H, W, C]
        if let Some(context) = context {
            let [batch, height, width, _] = image.dims();
            let extra = context.dims()[1];
            let context = context.unsqueeze_dims::<4>(&[1, 2]).expand([batch, height, width, extra]);
            image = Tensor::cat(vec![image, context], 3);
        }
        let mut h = self.conv_in.forward(image);
        if let Some(point) = &self.point {
            h = point.forward(activate(h, Activation::Relu));
        }
        let h = self.blocks.iter().fold(h, |h, block| block.forward(h));
        let out = self.conv_out.forward(activate(h, Activation::Relu));
        rows(out * (self.log_scale.val() * 3.0).exp().unsqueeze())
    }
}

/// `h + conv1(relu(conv3(relu(conv1(h)))))`.
#[derive(Module, Debug)]
struct Block {
    conv_1: Conv2d,
    conv_2: Conv2d,
    conv_3: Conv2d,
}

impl Block {
    fn forward(&self, h: Tensor<4>) -> Tensor<4> {
        let inner = activate(self.conv_1.forward(h.clone()), Activation::Relu);
        let inner = activate(self.conv_2.forward(inner), Activation::Relu);
        self.conv_3.forward_onto(inner, h)
    }
}
