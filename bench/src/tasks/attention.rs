//! The attention block of a U-Net.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera::Rng;
use genera::nn::{GroupNorm, Linear, images, rows};
use genera_kernels::{AttentionMask, attention};
use serde::Deserialize;

use super::squared_error;
use crate::given::Given;
use crate::work::Task;

#[derive(Deserialize)]
pub struct Config {
    shape: [usize; 3],
    groups: usize,
    heads: usize,
}

#[derive(Module, Debug)]
pub struct Attention {
    group_norm: GroupNorm,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    #[module(skip)]
    shape: [usize; 3],
    #[module(skip)]
    heads: usize,
}

impl Config {
    pub fn init(&self, rng: &mut Rng, device: &Device) -> Attention {
        let channels = self.shape[0];
        let mut linear = || Linear::new(channels, channels, rng, device);
        Attention {
            group_norm: GroupNorm::new(self.groups, channels, 1e-5, device),
            to_q: linear(),
            to_k: linear(),
            to_v: linear(),
            to_out: linear(),
            shape: self.shape,
            heads: self.heads,
        }
    }
}

impl Task for Attention {
    fn loss(&self, given: &Given) -> Tensor<1> {
        let x = images(given.get("x"), self.shape);
        let [batch, height, width, channels] = x.dims();
        let h: Tensor<3> = self.group_norm.forward(x.clone().reshape([batch, height * width, channels]));
        let split = |y: Tensor<3>| y.reshape([0, 0, self.heads as i32, -1]).swap_dims(1, 2);
        let (q, k) = (split(self.to_q.forward(h.clone())), split(self.to_k.forward(h.clone())));
        let v = split(self.to_v.forward(h));
        let scale = 1.0 / (q.dims()[3] as f32).sqrt();
        let h: Tensor<3> = attention(q, k, v, scale, AttentionMask::Full).swap_dims(1, 2).flatten(2, 3);
        let y = x + self.to_out.forward(h).reshape([batch, height, width, channels]);
        squared_error(rows(y), given.get("target"))
    }
}
