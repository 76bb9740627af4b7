//! The time and the class as the vector that every residual block sees.

use std::f64::consts::TAU;

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use genera_rng::Rng;

use super::config::{ClassEmbedType, TimeEmbeddingType, UNetConfig};
use crate::nn::embed::sin_cos;
use crate::nn::{Embedding, Halves, TimestepEmbedding, init, sinusoids};

/// The frequencies of [`Fourier`] features are normal with this deviation, as in Song et al. (arXiv:2011.13456).
const FOURIER_SCALE: f32 = 16.0;

/// The time as a vector: `[B] -> [B, width]`.
#[derive(Module, Debug)]
pub(super) enum TimeProjection {
    Positional(Positional),
    Fourier(Fourier),
    Learned(Embedding),
}

impl TimeProjection {
    pub(super) fn new(config: &UNetConfig, rng: &mut Rng, device: &Device) -> Self {
        let channels = config.block_out_channels[0];
        match config.time_embedding_type {
            TimeEmbeddingType::Positional => Self::Positional(Positional {
                width: channels,
                shift: config.freq_shift.into(),
                halves: if config.flip_sin_to_cos { Halves::CosSin } else { Halves::SinCos },
            }),
            TimeEmbeddingType::Fourier => {
                let weight = init::normal([channels], FOURIER_SCALE, rng, device).set_require_grad(false);
                Self::Fourier(Fourier { weight })
            }
            TimeEmbeddingType::Learned => {
                let times = config.num_train_timesteps.unwrap_or_default();
                Self::Learned(Embedding::new(times, channels, rng, device))
            }
        }
    }

    /// Length of the vector.
    pub(super) fn width(config: &UNetConfig) -> usize {
        match config.time_embedding_type {
            TimeEmbeddingType::Fourier => 2 * config.block_out_channels[0],
            TimeEmbeddingType::Positional | TimeEmbeddingType::Learned => config.block_out_channels[0],
        }
    }

    pub(super) fn forward(&self, time: Tensor<1>) -> Tensor<2> {
        match self {
            Self::Positional(Positional { width, shift, halves }) => sinusoids(time, *width, *shift, *halves),
            Self::Fourier(Fourier { weight }) => {
                let angles = time.log().unsqueeze_dim(1) * weight.val().unsqueeze() * TAU;
                sin_cos(angles, Halves::SinCos)
            }
            Self::Learned(table) => table.forward(time.round().int()),
        }
    }
}

/// Sinusoids with fixed frequencies.
#[derive(Module, Debug)]
pub(super) struct Positional {
    #[module(skip)]
    width: usize,
    #[module(skip)]
    shift: f64,
    #[module(skip)]
    halves: Halves,
}

/// Sinusoids of the logarithm with random frequencies, which stay as they were drawn.
#[derive(Module, Debug)]
pub(super) struct Fourier {
    weight: Param<Tensor<1>>,
}

/// The class as a vector: `[B] -> [B, width]`.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there are few, and a box is no module")]
pub(super) enum ClassEmbedding {
    Table(Embedding),
    Timestep(TimestepEmbedding),
}

impl ClassEmbedding {
    pub(super) fn new(config: &UNetConfig, rng: &mut Rng, device: &Device) -> Option<Self> {
        let width = config.time_width();
        match (config.class_embed_type, config.num_class_embeds) {
            (Some(ClassEmbedType::Timestep), _) => {
                Some(Self::Timestep(TimestepEmbedding::new(TimeProjection::width(config), width, rng, device)))
            }
            (None, Some(classes)) => Some(Self::Table(Embedding::new(classes, width, rng, device))),
            (None, None) => None,
        }
    }

    pub(super) fn forward(&self, labels: Tensor<1, Int>, time_proj: &TimeProjection) -> Tensor<2> {
        match self {
            Self::Table(table) => table.forward(labels),
            Self::Timestep(net) => net.forward(time_proj.forward(labels.float())),
        }
    }
}
