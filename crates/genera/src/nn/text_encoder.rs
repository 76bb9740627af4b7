//! A transformer over the symbols of a text, with normalisation before each part.
//!
//! ```text
//! h = e(x_1), .., e(x_L) + p,   n times h = h + attend(norm(h)), h = h + W₂ f(W₁ norm(h)),   norm(h)
//! ```
//!
//! Each symbol attends to all others but padding (Vaswani et al., arXiv:1706.03762; before as in CLIP's text encoder,
//! Radford et al., arXiv:2103.00020, but without its causal mask). Blocks are named as in PyTorch's `TransformerEncoder`
//! with `norm_first=True` and GELU.

use burn::module::{Module, Param};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use genera_kernels::{self as kernels, Activation, AttentionMask};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::unet::{ConfigError, require};
use super::{Embedding, LayerNorm, Linear, init};

/// The symbol that stands after the end of a text.
pub const PADDING: u8 = 0;
/// The symbol that stands at the end of a text.
pub const END: u8 = 1;
/// What is added to the score of padding: its weight is then exactly zero.
const HIDDEN: f32 = -1e9;
/// The standard deviation of fresh embeddings.
const EMBEDDING_DEVIATION: f32 = 0.1;

/// What a [`TextEncoder`] looks like, apart from the alphabet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextEncoderConfig {
    /// The most symbols of a text, its end included.
    pub length: usize,
    /// Width of the states.
    pub width: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Heads of attention, which divide the width.
    pub heads: usize,
    /// The width inside a block's perceptron, in widths.
    pub expansion: usize,
}

impl Default for TextEncoderConfig {
    fn default() -> Self {
        Self { length: 40, width: 64, layers: 2, heads: 4, expansion: 2 }
    }
}

impl TextEncoderConfig {
    /// Fresh weights for texts of `symbols` symbols, padding and the end included.
    ///
    /// # Errors
    /// The first key whose value does not fit.
    pub fn init(&self, symbols: usize, rng: &mut Rng, device: &Device) -> Result<TextEncoder, ConfigError> {
        let &Self { length, width, layers, heads, expansion } = self;
        for (key, value) in [("length", length), ("width", width), ("heads", heads), ("expansion", expansion)] {
            require((1..=1 << 14).contains(&value), key, value, || "use 1 to 16384".into())?;
        }
        require(width.is_multiple_of(heads), "heads", heads, || format!("does not divide the width, {width}"))?;
        let embedding =
            |count, rng: &mut Rng| Embedding { weight: init::normal([count, width], EMBEDDING_DEVIATION, rng, device) };
        let norm = || LayerNorm::new(width, 1e-5, device);
        let (token_embedding, position_embedding) = (embedding(symbols, rng), embedding(length, rng));
        let layer = |rng: &mut Rng| Layer {
            norm1: norm(),
            self_attn: SelfAttention {
                in_proj_weight: init::fan_in_uniform([3 * width, width], width, rng, device),
                in_proj_bias: init::constant([3 * width], 0.0, device),
                out_proj: Linear::new(width, width, rng, device),
                heads,
            },
            norm2: norm(),
            linear1: Linear::new(width, expansion * width, rng, device),
            linear2: Linear::new(expansion * width, width, rng, device),
        };
        Ok(TextEncoder {
            token_embedding,
            position_embedding,
            layers: (0..layers).map(|_| layer(rng)).collect(),
            norm: norm(),
        })
    }
}

/// Texts as states: `[B, L] -> [B, L, width]`.
#[derive(Module, Debug)]
pub struct TextEncoder {
    token_embedding: Embedding,
    position_embedding: Embedding,
    layers: Vec<Layer>,
    norm: LayerNorm,
}

/// What a network sees of texts.
#[derive(Clone, Debug)]
pub struct TextStates {
    /// A vector for each symbol: `[B, L, E]`.
    pub states: Tensor<3>,
    /// What is added to the score of a symbol, so that padding is not looked at: `[B, L]`.
    pub hidden: Tensor<2>,
}

impl TextEncoder {
    /// The most symbols of a text.
    pub fn length(&self) -> usize {
        self.position_embedding.weight.lazy_shape()[0]
    }

    /// The width of a state.
    pub fn width(&self) -> usize {
        self.position_embedding.weight.lazy_shape()[1]
    }

    /// The states of texts, whose symbols all are in the alphabet, padded to a common length of at most
    /// [`TextEncoder::length`].
    pub fn forward(&self, texts: &[&[u8]]) -> TextStates {
        let device = self.token_embedding.weight.device();
        let (rows, length, width) = (texts.len(), texts.first().map_or(0, |text| text.len()), self.width());
        let symbols: Vec<i32> = texts.iter().flat_map(|text| text.iter().map(|symbol| i32::from(*symbol))).collect();
        let hidden: Vec<f32> = symbols.iter().map(|s| if *s == i32::from(PADDING) { HIDDEN } else { 0.0 }).collect();
        let hidden = Tensor::<2>::from_data(TensorData::new(hidden, [rows, length]), &device);
        let symbols = Tensor::<1, Int>::from_data(TensorData::from(symbols.as_slice()), &device);
        let h = self.token_embedding.forward(symbols).reshape([rows, length, width]);
        let places = self.position_embedding.weight.val().narrow(0, 0, length).unsqueeze::<3>();
        let h = self.layers.iter().fold(h + places, |h, layer| layer.forward(h, &hidden));
        TextStates { states: self.norm.forward(h), hidden }
    }

    /// The state at the end of each text: `[B, width]`.
    pub fn ends(&self, texts: &[&[u8]]) -> Tensor<2> {
        let TextStates { states, .. } = self.forward(texts);
        let [rows, length, width] = states.dims();
        let place = |(row, text): (usize, &&[u8])| {
            (row * length + text.iter().position(|symbol| *symbol == END).unwrap_or(0)) as i32
        };
        let places: Vec<i32> = texts.iter().enumerate().map(place).collect();
        let places = Tensor::<1, Int>::from_data(TensorData::from(places.as_slice()), &states.device());
        states.reshape([rows * length, width]).select(0, places)
    }
}

/// PyTorch's `TransformerEncoderLayer`.
#[derive(Module, Debug)]
struct Layer {
    self_attn: SelfAttention,
    linear1: Linear,
    linear2: Linear,
    norm1: LayerNorm,
    norm2: LayerNorm,
}

/// PyTorch's `MultiheadAttention` of a sequence to itself.
#[derive(Module, Debug)]
struct SelfAttention {
    in_proj_weight: Param<Tensor<2>>,
    in_proj_bias: Param<Tensor<1>>,
    out_proj: Linear,
    #[module(skip)]
    heads: usize,
}

impl Layer {
    fn forward(&self, x: Tensor<3>, hidden: &Tensor<2>) -> Tensor<3> {
        let x = x.clone() + self.self_attn.forward(self.norm1.forward(x), hidden);
        x.clone() + self.linear2.forward(self.linear1.forward_into(self.norm2.forward(x), Activation::Gelu))
    }
}

impl SelfAttention {
    fn forward(&self, x: Tensor<3>, hidden: &Tensor<2>) -> Tensor<3> {
        let (weight, bias) = (self.in_proj_weight.val(), self.in_proj_bias.val());
        let all = kernels::linear(x, weight, Some(bias), Activation::Identity);
        let width = all.dims()[2] / 3;
        let [q, k, v] = [0, 1, 2].map(|part| split(all.clone().narrow(2, part * width, width), self.heads));
        self.out_proj.forward(joined(attend(q, k, v, Some(hidden))))
    }
}

/// The channels of each head: `[B, T, heads · d] -> [B, heads, T, d]`.
pub(super) fn split(x: Tensor<3>, heads: usize) -> Tensor<4> {
    x.reshape([0, 0, heads as i32, -1]).swap_dims(1, 2)
}

/// What [`split`] divided: `[B, heads, T, d] -> [B, T, heads · d]`.
pub(super) fn joined(x: Tensor<4>) -> Tensor<3> {
    x.swap_dims(1, 2).flatten(2, 3)
}

/// `softmax(q kᵀ / √d + hidden) v` of each head: `[B, heads, T, d], [B, heads, L, d] -> [B, heads, T, d]`.
pub(super) fn attend(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, hidden: Option<&Tensor<2>>) -> Tensor<4> {
    let scale = 1.0 / (q.dims()[3] as f32).sqrt();
    match hidden {
        None => kernels::attention(q, k, v, scale, AttentionMask::Full),
        Some(hidden) => {
            let scores = q.matmul(k.swap_dims(2, 3)) * scale + hidden.clone().unsqueeze_dims::<4>(&[1, 2]);
            softmax(scores, 3).matmul(v)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attention_is_a_mean_by_the_weights_of_what_is_not_hidden() {
        let (device, mut rng) = (Device::flex(), Rng::new(0));
        let [heads, queries, keys, width] = [2, 3, 4, 5];
        let mut draw = |length: usize| rng.normal(heads, length * width);
        let (q, k, v) = (draw(queries), draw(keys), draw(keys));
        let tensor =
            |x: &[f32], length| Tensor::<4>::from_data(TensorData::new(x.to_vec(), [1, heads, length, width]), &device);
        let hidden = Tensor::<2>::from_data([[0.0, HIDDEN, 0.0, HIDDEN]], &device);
        let found = attend(tensor(&q, queries), tensor(&k, keys), tensor(&v, keys), Some(&hidden));
        let found = found.try_into_vec_as::<f32>().unwrap();
        for (head, query) in (0..heads).flat_map(|head| (0..queries).map(move |query| (head, query))) {
            let at = |x: &[f32], length: usize, row: usize, i: usize| f64::from(x[(head * length + row) * width + i]);
            let score = |key| (0..width).map(|i| at(&q, queries, query, i) * at(&k, keys, key, i)).sum::<f64>();
            let weight = |key| (score(key) / (width as f64).sqrt()).exp();
            let whole: f64 = [0, 2].map(weight).iter().sum();
            for i in 0..width {
                let exact = [0, 2].map(|key| weight(key) * at(&v, keys, key, i)).iter().sum::<f64>() / whole;
                assert!((at(&found, queries, query, i) - exact).abs() < 1e-5);
            }
        }
    }
}
