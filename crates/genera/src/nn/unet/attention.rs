//! Attention between the pixels of an image.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera_kernels::{AttentionMask, attention};
use genera_rng::Rng;

use super::resnet::divide;
use crate::nn::{GroupNorm, Linear};

/// How attention is divided, and what its normalisation adds to variances.
#[derive(Clone, Copy, Debug)]
pub(in crate::nn) struct Heads {
    pub count: usize,
    pub width: usize,
    pub eps: f32,
}

/// `(x + W_o softmax(q kᵀ / √d) v) / divisor` with `q, k, v` linear in the normalised pixels: Vaswani et al.
/// (arXiv:1706.03762) as in Ho et al. (arXiv:2006.11239), appendix B.
#[derive(Module, Debug)]
pub(in crate::nn) struct Attention {
    group_norm: Option<GroupNorm>,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Vec<Linear>,
    #[module(skip)]
    heads: usize,
    #[module(skip)]
    divisor: f64,
}

impl Attention {
    /// With a normalisation of so many `groups` first, if there is one.
    pub(in crate::nn) fn new(
        channels: usize,
        groups: Option<usize>,
        Heads { count, width, eps }: Heads,
        divisor: f64,
        rng: &mut Rng,
        device: &Device,
    ) -> Self {
        let mut inner = || Linear::new(channels, count * width, rng, device);
        let [to_q, to_k, to_v] = [inner(), inner(), inner()];
        Self {
            group_norm: groups.map(|groups| GroupNorm::new(groups, channels, eps, device)),
            to_q,
            to_k,
            to_v,
            to_out: vec![Linear::new(count * width, channels, rng, device)],
            heads: count,
            divisor,
        }
    }

    /// `[B, H, W, C] -> [B, H, W, C]`.
    pub(in crate::nn) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, height, width, channels] = x.dims();
        let pixels = x.clone().reshape([batch, height * width, channels]);
        let pixels = match &self.group_norm {
            Some(norm) => norm.forward(pixels),
            None => pixels,
        };
        // [B, T, heads · d] -> [B, heads, T, d]
        let split = |y: Tensor<3>| y.reshape([0, 0, self.heads as i32, -1]).swap_dims(1, 2);
        let (q, k) = (split(self.to_q.forward(pixels.clone())), split(self.to_k.forward(pixels.clone())));
        let v = split(self.to_v.forward(pixels));
        let scale = 1.0 / (q.dims()[3] as f32).sqrt();
        let y: Tensor<3> = attention(q, k, v, scale, AttentionMask::Full).swap_dims(1, 2).flatten(2, 3);
        let y = self.to_out.iter().fold(y, |y, layer| layer.forward(y));
        divide(x + y.reshape([batch, height, width, channels]), self.divisor)
    }
}
