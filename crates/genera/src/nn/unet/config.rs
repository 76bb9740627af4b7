//! The configuration of a [`UNet`](super::UNet): the keys, values and defaults of diffusers' `UNet2DModel` 0.42.

use genera_kernels::Activation;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::super::activation::ActivationName;
use super::attention::Heads;
use super::resnet::Style;

/// A configuration that no network can be made from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value}: {problem}")]
pub struct ConfigError {
    /// The key that has to change.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

/// How the time becomes a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeEmbeddingType {
    /// Sinusoids of the time itself.
    Positional,
    /// Sinusoids of the logarithm of the noise level, with random frequencies; the output is divided by the level.
    Fourier,
    /// A table with one vector for each of `num_train_timesteps` times.
    Learned,
}

/// A level on the way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DownBlockType {
    /// Residual blocks, then a convolution of stride two.
    #[serde(alias = "UNetResDownBlock2D")]
    DownBlock2D,
    /// Residual blocks, each with attention, then a convolution of stride two.
    #[serde(alias = "UNetResAttnDownBlock2D")]
    AttnDownBlock2D,
    /// Residual blocks, the last of which halves the image.
    #[serde(alias = "UNetResResnetDownsampleBlock2D")]
    ResnetDownsampleBlock2D,
    /// Residual blocks, each with attention to itself and to a text, then a convolution of stride two.
    CrossAttnDownBlock2D,
}

/// The level at the bottom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MidBlockType {
    /// Two residual blocks, with attention between.
    UNetMidBlock2D,
    /// Two residual blocks, with attention to itself and to a text between.
    UNetMidBlock2DCrossAttn,
}

/// A level on the way up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpBlockType {
    /// Residual blocks, then doubling and a convolution.
    #[serde(alias = "UNetResUpBlock2D")]
    UpBlock2D,
    /// Residual blocks, each with attention, then doubling and a convolution.
    #[serde(alias = "UNetResAttnUpBlock2D")]
    AttnUpBlock2D,
    /// Residual blocks, the last of which doubles the image.
    #[serde(alias = "UNetResResnetUpsampleBlock2D")]
    ResnetUpsampleBlock2D,
    /// Residual blocks, each with attention to itself and to a text, then doubling and a convolution.
    CrossAttnUpBlock2D,
}

/// What changes the resolution after a level with attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResampleType {
    /// A convolution.
    Conv,
    /// A residual block.
    Resnet,
}

/// How the time enters a residual block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeScaleShift {
    /// Added before the second normalisation.
    Default,
    /// As scale and shift after the second normalisation.
    ScaleShift,
}

/// What the labels mean, where `num_class_embeds` does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassEmbedType {
    /// A number that is embedded like the time.
    Timestep,
}

/// What a [`UNet`](super::UNet) looks like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UNetConfig {
    /// Height and width of the images; written as one number where they are equal.
    #[serde(with = "sample_size")]
    pub sample_size: Option<[usize; 2]>,
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Whether the input is mapped from `[0, 1]` to `[-1, 1]` first.
    pub center_input_sample: bool,
    /// How the time becomes a vector.
    pub time_embedding_type: TimeEmbeddingType,
    /// Width of the time embedding; four times the first of `block_out_channels` if absent.
    pub time_embedding_dim: Option<usize>,
    /// The shift in the exponents of the sinusoids' frequencies.
    pub freq_shift: i32,
    /// Whether cosines come before sines.
    pub flip_sin_to_cos: bool,
    /// The levels from fine to coarse.
    pub down_block_types: Vec<DownBlockType>,
    /// The level at the bottom, if there is one.
    pub mid_block_type: Option<MidBlockType>,
    /// The levels from coarse to fine.
    pub up_block_types: Vec<UpBlockType>,
    /// Channels of each level from fine to coarse.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks of each level on the way down; there is one more on the way up.
    pub layers_per_block: usize,
    /// What the outputs of the level at the bottom are divided by.
    pub mid_block_scale_factor: f64,
    /// Zeros around the image in convolutions of stride two: 1, or 0 for one row and column after the last alone.
    pub downsample_padding: usize,
    /// What halves the image after `AttnDownBlock2D`.
    pub downsample_type: ResampleType,
    /// What doubles the image after `AttnUpBlock2D`.
    pub upsample_type: ResampleType,
    /// The probability of dropout; only 0 is supported.
    pub dropout: f64,
    /// The activation of the residual blocks: `silu`, `relu` or `gelu`.
    #[serde(with = "ActivationName")]
    pub act_fn: Activation,
    /// Width of an attention head; all channels in one head if absent.
    pub attention_head_dim: Option<usize>,
    /// Groups of the normalisations.
    pub norm_num_groups: usize,
    /// Groups of the normalisation before the attention at the bottom.
    pub attn_norm_num_groups: Option<usize>,
    /// What is added to variances.
    pub norm_eps: f64,
    /// How the time enters a residual block.
    pub resnet_time_scale_shift: TimeScaleShift,
    /// Whether there is attention at the bottom.
    pub add_attention: bool,
    /// What the labels mean, if they are not classes.
    pub class_embed_type: Option<ClassEmbedType>,
    /// Number of classes of a class-conditional network.
    pub num_class_embeds: Option<usize>,
    /// Number of times that a learnt time embedding has vectors for.
    pub num_train_timesteps: Option<usize>,
    /// Width of the states of a text, if blocks attend to one: the key of diffusers' `UNet2DConditionModel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cross_attention_dim: Option<usize>,
}

impl Default for UNetConfig {
    fn default() -> Self {
        use {DownBlockType::*, UpBlockType::*};
        Self {
            sample_size: None,
            in_channels: 3,
            out_channels: 3,
            center_input_sample: false,
            time_embedding_type: TimeEmbeddingType::Positional,
            time_embedding_dim: None,
            freq_shift: 0,
            flip_sin_to_cos: true,
            down_block_types: vec![DownBlock2D, AttnDownBlock2D, AttnDownBlock2D, AttnDownBlock2D],
            mid_block_type: Some(MidBlockType::UNetMidBlock2D),
            up_block_types: vec![AttnUpBlock2D, AttnUpBlock2D, AttnUpBlock2D, UpBlock2D],
            block_out_channels: vec![224, 448, 672, 896],
            layers_per_block: 2,
            mid_block_scale_factor: 1.0,
            downsample_padding: 1,
            downsample_type: ResampleType::Conv,
            upsample_type: ResampleType::Conv,
            dropout: 0.0,
            act_fn: Activation::Silu,
            attention_head_dim: Some(8),
            norm_num_groups: 32,
            attn_norm_num_groups: None,
            norm_eps: 1e-5,
            resnet_time_scale_shift: TimeScaleShift::Default,
            add_attention: true,
            class_embed_type: None,
            num_class_embeds: None,
            num_train_timesteps: None,
            cross_attention_dim: None,
        }
    }
}

impl UNetConfig {
    /// This configuration for images of `shape` `[C, H, W]`, and for labels if there are `classes`.
    pub fn on(self, [channels, height, width]: [usize; 3], classes: Option<usize>) -> Self {
        let sample_size = Some([height, width]);
        Self { sample_size, in_channels: channels, out_channels: channels, num_class_embeds: classes, ..self }
    }

    /// Whether a block attends to a text.
    pub fn attends_to_text(&self) -> bool {
        self.down_block_types.contains(&DownBlockType::CrossAttnDownBlock2D)
            || self.up_block_types.contains(&UpBlockType::CrossAttnUpBlock2D)
            || self.mid_block_type == Some(MidBlockType::UNetMidBlock2DCrossAttn)
    }

    /// Width of the time embedding.
    pub(super) fn time_width(&self) -> usize {
        self.time_embedding_dim.unwrap_or(4 * self.block_out_channels[0])
    }

    /// The attention heads on `channels` channels.
    pub(super) fn heads(&self, channels: usize) -> Heads {
        let width = self.attention_head_dim.unwrap_or(channels);
        Heads { count: channels / width, width, eps: self.norm_eps as f32 }
    }

    /// What its residual blocks have in common.
    pub(super) fn style(&self) -> Style {
        Style {
            groups: self.norm_num_groups,
            eps: self.norm_eps as f32,
            activation: self.act_fn,
            time: Some((self.time_width(), self.resnet_time_scale_shift)),
        }
    }
}

/// Height and width, written as one number where they are equal.
pub(in crate::nn) mod sample_size {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Size {
        Square(usize),
        Sides([usize; 2]),
    }

    pub fn serialize<S: Serializer>(size: &Option<[usize; 2]>, serializer: S) -> Result<S::Ok, S::Error> {
        size.map(|[h, w]| if h == w { Size::Square(h) } else { Size::Sides([h, w]) }).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[usize; 2]>, D::Error> {
        Ok(Option::<Size>::deserialize(deserializer)?.map(|size| match size {
            Size::Square(side) => [side; 2],
            Size::Sides(sides) => sides,
        }))
    }
}
