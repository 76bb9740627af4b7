//! Attention of an image to itself and to a text: diffusers' `Transformer2DModel` with one `BasicTransformerBlock`.
//!
//! ```text
//! h = W_in norm(x)
//! h = h + attn1(norm1 h, norm1 h);   h = h + attn2(norm2 h, text);   h = h + ff(norm3 h)
//! x + W_out h
//! ```
//!
//! Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (arXiv:2112.10752), section 3.3: queries
//! come from the image, keys and values from the text. Names of the weights are those of `UNet2DConditionModel`.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera_kernels::{Activation, ConvOptions, activate};
use genera_rng::Rng;

use super::attention::Heads;
use crate::nn::text_encoder::{TextStates, attend, joined, split};
use crate::nn::{Conv2d, GroupNorm, LayerNorm, Linear};

/// What diffusers adds to variances before the projection in.
const EPS: f32 = 1e-6;

/// `[B, H, W, C] -> [B, H, W, C]`.
#[derive(Module, Debug)]
pub(super) struct TextTransformer {
    norm: GroupNorm,
    proj_in: Conv2d,
    transformer_blocks: Vec<TransformerBlock>,
    proj_out: Conv2d,
}

impl TextTransformer {
    /// For texts whose states are `text` wide.
    pub(super) fn new(
        channels: usize,
        groups: usize,
        heads: Heads,
        text: usize,
        rng: &mut Rng,
        device: &Device,
    ) -> Self {
        let conv = |rng: &mut Rng| Conv2d::new(channels, channels, 1, ConvOptions::default(), rng, device);
        Self {
            norm: GroupNorm::new(groups, channels, EPS, device),
            proj_in: conv(rng),
            transformer_blocks: vec![TransformerBlock::new(channels, heads, text, rng, device)],
            proj_out: conv(rng),
        }
    }

    /// Without a text, the image attends to itself alone.
    pub(super) fn forward(&self, x: Tensor<4>, text: Option<&TextStates>) -> Tensor<4> {
        let [batch, height, width, channels] = x.dims();
        let h = self.proj_in.forward(self.norm.forward(x.clone()));
        let h = h.reshape([batch, height * width, channels]);
        let h = self.transformer_blocks.iter().fold(h, |h, block| block.forward(h, text));
        self.proj_out.forward_onto(h.reshape([batch, height, width, channels]), x)
    }
}

#[derive(Module, Debug)]
struct TransformerBlock {
    norm1: LayerNorm,
    attn1: Attention,
    norm2: LayerNorm,
    attn2: Attention,
    norm3: LayerNorm,
    ff: FeedForward,
}

impl TransformerBlock {
    fn new(channels: usize, heads: Heads, text: usize, rng: &mut Rng, device: &Device) -> Self {
        let norm = || LayerNorm::new(channels, 1e-5, device);
        let inner = 4 * channels;
        Self {
            norm1: norm(),
            attn1: Attention::new([channels, channels], heads, rng, device),
            norm2: norm(),
            attn2: Attention::new([channels, text], heads, rng, device),
            norm3: norm(),
            ff: FeedForward {
                net: vec![
                    FeedForwardPart::Gate(Gate { proj: Linear::new(channels, 2 * inner, rng, device) }),
                    FeedForwardPart::Dropout(Dropout {}),
                    FeedForwardPart::Linear(Linear::new(inner, channels, rng, device)),
                ],
            },
        }
    }

    fn forward(&self, h: Tensor<3>, text: Option<&TextStates>) -> Tensor<3> {
        let normal = self.norm1.forward(h.clone());
        let h = h + self.attn1.forward(normal.clone(), normal, None);
        let h = match text {
            Some(TextStates { states, hidden }) => {
                h.clone() + self.attn2.forward(self.norm2.forward(h), states.clone(), Some(hidden))
            }
            None => h,
        };
        h.clone() + self.ff.net.iter().fold(self.norm3.forward(h), |h, part| part.forward(h))
    }
}

/// `W_o softmax(q kᵀ / √d) v + b`.
#[derive(Module, Debug)]
struct Attention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Vec<Linear>,
    #[module(skip)]
    heads: usize,
}

impl Attention {
    /// From `channels` to what is `context` wide.
    fn new([channels, context]: [usize; 2], heads: Heads, rng: &mut Rng, device: &Device) -> Self {
        let inner = heads.count * heads.width;
        let mut linear = |inputs| Linear { bias: None, ..Linear::new(inputs, inner, rng, device) };
        let [to_q, to_k, to_v] = [linear(channels), linear(context), linear(context)];
        let to_out = vec![Linear::new(inner, channels, rng, device)];
        Self { to_q, to_k, to_v, to_out, heads: heads.count }
    }

    /// `[B, T, C], [B, L, E] -> [B, T, C]`.
    fn forward(&self, x: Tensor<3>, context: Tensor<3>, hidden: Option<&Tensor<2>>) -> Tensor<3> {
        let q = split(self.to_q.forward(x), self.heads);
        let k = split(self.to_k.forward(context.clone()), self.heads);
        let v = split(self.to_v.forward(context), self.heads);
        self.to_out.iter().fold(joined(attend(q, k, v, hidden)), |y, layer| layer.forward(y))
    }
}

/// `W₂ (a · gelu(b))` with `a, b = W₁ h`: Shazeer, "GLU Variants Improve Transformer" (arXiv:2002.05202).
#[derive(Module, Debug)]
struct FeedForward {
    net: Vec<FeedForwardPart>,
}

#[derive(Module, Debug)]
enum FeedForwardPart {
    Gate(Gate),
    Dropout(Dropout),
    Linear(Linear),
}

#[derive(Module, Debug)]
struct Gate {
    proj: Linear,
}

/// What holds the place of dropout, of which there is none.
#[derive(Module, Debug)]
struct Dropout {}

impl FeedForwardPart {
    fn forward(&self, h: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Gate(Gate { proj }) => {
                let both = proj.forward(h);
                let width = both.dims()[2] / 2;
                both.clone().narrow(2, 0, width) * activate(both.narrow(2, width, width), Activation::Gelu)
            }
            Self::Dropout(_) => h,
            Self::Linear(linear) => linear.forward(h),
        }
    }
}
