//! Pictures and texts in one space, each picture near its own text: CLIP, Radford et al., "Learning Transferable Visual Models
//! From Natural Language Supervision" (arXiv:2103.00020).
//!
//! ```text
//! u_i = W_u picture(x_i),  v_j = W_v text(y_j),  both over their norms;   l_ij = e^t u_i · v_j
//! loss = 1/2 (mean_i −log softmax_j(l_ij)[i] + mean_j −log softmax_i(l_ij)[j])
//! ```
//!
//! `t` is learnt and starts at `log 1/0.07`; `e^t` is at most 100, as there. Projections and `t` are named as in the CLIP of
//! Hugging Face's transformers. A picture goes through the stages of the [`Classifier`](super::Classifier); a text is read by
//! a [`TextEncoder`] and taken at its end.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use genera_kernels::cross_entropy;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::classifier::Stage;
use crate::nn::unet::{ConfigError, require};
use crate::nn::{Activation, END, Linear, PADDING, TextEncoder, TextEncoderConfig, images, init, rows};
use crate::traits::{Batch, Loss, Model, Rows, View};

/// `1/0.07`, the scale that training starts from.
const SCALE: f32 = 14.285_714;
/// The largest scale.
const LARGEST: f32 = 100.0;
/// Rows that are seen at once: matrix products round differently for different numbers of rows.
const AT_ONCE: usize = 64;

/// Both encoders, apart from what the data say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClipConfig {
    /// The channels of each stage of the picture's encoder, multiples of 8; each halves the picture.
    pub channels: Vec<usize>,
    /// The width of its hidden layer.
    pub width: usize,
    /// What reads texts.
    pub text: TextEncoderConfig,
    /// The dimensions of the common space.
    pub dimensions: usize,
}

impl Default for ClipConfig {
    fn default() -> Self {
        Self { channels: vec![32, 64], width: 128, text: TextEncoderConfig::default(), dimensions: 64 }
    }
}

impl ClipConfig {
    /// Fresh weights for pictures of `shape` `[C, H, W]` and texts of `symbols` symbols; no text is known yet.
    ///
    /// # Errors
    /// The first key whose value does not fit.
    pub fn init(&self, shape: [usize; 3], symbols: usize, rng: &mut Rng, device: &Device) -> Result<Clip, ConfigError> {
        for (key, size) in [("width", self.width), ("dimensions", self.dimensions)] {
            require((1..=1 << 14).contains(&size), key, size, || "use 1 to 16384".into())?;
        }
        for size in &self.channels {
            let fits = (8..=1 << 14).contains(size) && size.is_multiple_of(8);
            require(fits, "channels", size, || "use multiples of 8 up to 16384".into())?;
        }
        let [inputs, height, width] = shape;
        let (halvings, most) = (self.channels.len(), height.min(width).max(1).ilog2() as usize);
        require(halvings <= most, "channels", format!("{:?}", self.channels), || {
            format!("at most {most} stages halve pictures of {height}x{width}")
        })?;
        let before = std::iter::once(&inputs).chain(&self.channels);
        let stages = before.zip(&self.channels).map(|(inputs, outputs)| Stage::new(*inputs, *outputs, rng, device));
        let stages: Vec<Stage> = stages.collect();
        let flat = self.channels.last().unwrap_or(&inputs) * (height >> halvings) * (width >> halvings);
        let vision_model = Vision { stages, hidden: Linear::new(flat, self.width, rng, device), shape };
        let text_model = self.text.init(symbols, rng, device)?;
        let mut projection = |inputs| Linear { bias: None, ..Linear::new(inputs, self.dimensions, rng, device) };
        let (visual_projection, text_projection) = (projection(self.width), projection(self.text.width));
        let logit_scale = init::constant([1], SCALE.ln(), device);
        Ok(Clip { vision_model, text_model, visual_projection, text_projection, logit_scale, texts: Vec::new() })
    }
}

/// Pictures and texts in one space.
#[derive(Module, Debug)]
pub struct Clip {
    vision_model: Vision,
    text_model: TextEncoder,
    visual_projection: Linear,
    text_projection: Linear,
    /// `t`.
    logit_scale: Param<Tensor<1>>,
    /// What the labels of batches stand for.
    #[module(skip)]
    texts: Vec<Vec<u8>>,
}

#[derive(Module, Debug)]
struct Vision {
    stages: Vec<Stage>,
    hidden: Linear,
    #[module(skip)]
    shape: [usize; 3],
}

impl Clip {
    /// The same model, to whose batches label `i` means `texts[i]`: symbols, an end, and padding up to [`Clip::length`].
    pub fn reading(self, texts: Vec<Vec<u8>>) -> Self {
        Self { texts, ..self }
    }

    /// How long texts are, with their padding.
    pub fn length(&self) -> usize {
        self.text_model.length()
    }

    /// Pictures as directions, by a forward pass for each 64 of them: `[B, F] -> [B, D]`.
    pub fn pictures(&self, x: Rows) -> Rows {
        let [n, features] = x.dims();
        let piece = |first: usize| {
            let rows = AT_ONCE.min(n - first);
            let zeros = Tensor::zeros([AT_ONCE - rows, features], &x.device());
            let part = x.clone().narrow(0, first, rows);
            let filled = if rows < AT_ONCE { Tensor::cat(vec![part, zeros], 0) } else { part };
            self.see(filled).narrow(0, 0, rows)
        };
        let pieces: Vec<Rows> = (0..n).step_by(AT_ONCE).map(piece).collect();
        if pieces.is_empty() { x } else { Tensor::cat(pieces, 0) }
    }

    /// Texts as directions, as [`Clip::pictures`]: `B texts -> [B, D]`.
    pub fn texts(&self, texts: &[&[u8]]) -> Rows {
        let silence = self.silence();
        let piece = |part: &[&[u8]]| {
            let mut filled = part.to_vec();
            filled.resize(AT_ONCE, &silence);
            self.read(&filled).narrow(0, 0, part.len())
        };
        let pieces: Vec<Rows> = texts.chunks(AT_ONCE).map(piece).collect();
        let device = self.logit_scale.device();
        if pieces.is_empty() { Tensor::zeros([0, 1], &device) } else { Tensor::cat(pieces, 0) }
    }

    fn see(&self, x: Rows) -> Rows {
        let Vision { stages, hidden, shape } = &self.vision_model;
        let image = stages.iter().fold(images(x, *shape), |image, stage| stage.forward(image));
        unit(self.visual_projection.forward(hidden.forward_into(rows(image), Activation::Silu)))
    }

    fn read(&self, texts: &[&[u8]]) -> Rows {
        unit(self.text_projection.forward(self.text_model.ends(texts)))
    }

    fn silence(&self) -> Vec<u8> {
        let mut silence = vec![PADDING; self.length()];
        silence[0] = END;
        silence
    }
}

/// Each row over its norm.
fn unit(x: Rows) -> Rows {
    let norm = x.clone().square().sum_dim(1).clamp_min(1e-12).sqrt();
    x / norm
}

/// `l_ij`: `[B, D], [B, D] -> [B, B]`, rows of unit norm.
fn logits(pictures: Rows, texts: Rows, logit_scale: Tensor<1>) -> Tensor<2> {
    let scale = logit_scale.exp().clamp_max(LARGEST).unsqueeze_dim::<2>(1);
    pictures.matmul(texts.transpose()) * scale
}

/// The loss of pictures and texts of the same number, rows of unit norm, at `t`: `[B, D], [B, D], [1] -> [1]`.
pub fn contrastive_loss(pictures: Rows, texts: Rows, logit_scale: Tensor<1>) -> Tensor<1> {
    symmetric(logits(pictures, texts, logit_scale))
}

fn symmetric(logits: Tensor<2>) -> Tensor<1> {
    let own: Vec<i32> = (0..logits.dims()[0] as i32).collect();
    let own = Tensor::<1, Int>::from_data(TensorData::from(own.as_slice()), &logits.device());
    let of_pictures = cross_entropy(logits.clone(), own.clone()).mean();
    (of_pictures + cross_entropy(logits.transpose(), own).mean()) * 0.5
}

impl Model for Clip {
    /// In nats. Its part `accuracy` is the share of pictures whose own text is the nearest of the batch's; `scale` is `e^t`.
    fn loss(&self, batch: Batch, _rng: &mut Rng) -> Loss {
        let silence = self.silence();
        let labels = batch.labels.unwrap_or_else(|| vec![usize::MAX; batch.x.dims()[0]]);
        let texts: Vec<&[u8]> =
            labels.iter().map(|label| self.texts.get(*label).unwrap_or(&silence).as_slice()).collect();
        let logits = logits(self.see(batch.x), self.read(&texts), self.logit_scale.val());
        let scale = self.logit_scale.val().into_scalar::<f32>().exp().min(LARGEST);
        let parts = vec![("accuracy", accuracy(logits.clone().inner())), ("scale", f64::from(scale))];
        Loss { value: symmetric(logits), parts }
    }

    fn view(&self) -> View<'_> {
        View::default()
    }
}

/// The share of rows whose largest number stands on the diagonal.
fn accuracy(logits: Tensor<2>) -> f64 {
    let n = logits.dims()[0];
    let values = logits.try_into_vec_as::<f32>().expect("the device lost its data");
    let right = |(i, row): &(usize, &[f32])| row.iter().all(|value| *value <= row[*i]);
    values.chunks_exact(n.max(1)).enumerate().filter(right).count() as f64 / n.max(1) as f64
}
