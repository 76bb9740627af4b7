//! Numbers as vectors: sinusoids of the time, and the small network that diffusion models read them with.
//!
//! `e(t) = [sin(ω₀ t), .., sin(ω_{h-1} t), cos(ω₀ t), .., cos(ω_{h-1} t)]` with `ω_i = 10000^(-i / (h - shift))` and
//! `h = width / 2`: Vaswani et al. (arXiv:1706.03762), as in Ho et al. (arXiv:2006.11239). Times should span about a
//! thousand: all sinusoids of times below one are nearly constant.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use genera_kernels::Activation;
use genera_rng::Rng;

use super::{Embedding, Linear};

/// Which sinusoids, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halves {
    /// Sines first.
    SinCos,
    /// Cosines first.
    CosSin,
}

/// `e(t)` of each time, padded with a zero if `width` is odd: `[B] -> [B, width]`.
pub fn sinusoids(time: Tensor<1>, width: usize, shift: f64, halves: Halves) -> Tensor<2> {
    let half = width / 2;
    // Single precision throughout, as in the reference: at times of a thousand the rounding of the frequencies
    // shows in the fifth digit, and networks have been trained with it.
    let rate = -(10_000.0_f64.ln()) as f32;
    let frequencies: Vec<f32> = (0..half).map(|i| (rate * i as f32 / (half as f64 - shift) as f32).exp()).collect();
    let frequencies = Tensor::<2>::from_data(TensorData::new(frequencies, [1, half]), &time.device());
    let embedding = sin_cos(time.unsqueeze_dim(1) * frequencies, halves);
    match width % 2 {
        0 => embedding,
        _ => embedding.pad([(0, 0), (0, 1)], 0.0),
    }
}

/// Sines and cosines of `angles` side by side: `[B, N] -> [B, 2 N]`.
pub(super) fn sin_cos(angles: Tensor<2>, halves: Halves) -> Tensor<2> {
    let (sin, cos) = genera_kernels::sin_cos(angles);
    let parts = match halves {
        Halves::SinCos => vec![sin, cos],
        Halves::CosSin => vec![cos, sin],
    };
    Tensor::cat(parts, 1)
}

/// Linear, SiLU, linear.
#[derive(Module, Debug)]
pub struct TimestepEmbedding {
    /// The first map.
    pub linear_1: Linear,
    /// The second map.
    pub linear_2: Linear,
}

impl TimestepEmbedding {
    /// Fresh weights.
    pub fn new(inputs: usize, outputs: usize, rng: &mut Rng, device: &Device) -> Self {
        Self {
            linear_1: Linear::new(inputs, outputs, rng, device),
            linear_2: Linear::new(outputs, outputs, rng, device),
        }
    }

    /// `[B, inputs] -> [B, outputs]`.
    pub fn forward(&self, embedding: Tensor<2>) -> Tensor<2> {
        self.linear_2.forward(self.linear_1.forward_into(embedding, Activation::Silu))
    }
}

/// What a residual network is conditioned on: the time, and the class where there is one.
#[derive(Module, Debug)]
pub struct Condition {
    time: TimestepEmbedding,
    label: Option<Embedding>,
}

impl Condition {
    /// Fresh weights; `classes` is the number of classes of a class-conditional network.
    pub fn new(width: usize, classes: Option<usize>, rng: &mut Rng, device: &Device) -> Self {
        Self {
            time: TimestepEmbedding::new(width, width, rng, device),
            label: classes.map(|classes| Embedding::new(classes, width, rng, device)),
        }
    }

    /// The sum of both embeddings, of the time alone where there are no labels: `[B], [B] -> [B, width]`.
    pub fn forward(&self, time: Tensor<1>, labels: Option<Tensor<1, Int>>) -> Tensor<2> {
        let width = self.time.linear_1.weight.dims()[1];
        add_labels(self.time.forward(sinusoids(time, width, 0.0, Halves::SinCos)), self.label.as_ref(), labels)
    }
}

/// `embedding`, plus that of the labels if the network and the input have them.
pub(super) fn add_labels(embedding: Tensor<2>, table: Option<&Embedding>, labels: Option<Tensor<1, Int>>) -> Tensor<2> {
    match table.zip(labels) {
        Some((table, labels)) => embedding + table.forward(labels),
        None => embedding,
    }
}
