//! The configurations: the keys, values and defaults of diffusers' `AutoencoderKL` and `VQModel` 0.42.

use genera_kernels::Activation;
use serde::{Deserialize, Serialize};

use super::super::activation::ActivationName;
use super::super::unet::{ConfigError, Style, require, sample_size};
use super::coder::CoderConfig;

/// No width, size or count of a sensible network is larger.
const LARGEST: usize = 1 << 20;

/// A level of an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DownEncoderBlock {
    /// Residual blocks.
    #[serde(rename = "DownEncoderBlock2D")]
    Plain,
    /// Residual blocks, each with attention.
    #[serde(rename = "AttnDownEncoderBlock2D")]
    Attention,
}

/// A level of a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpDecoderBlock {
    /// Residual blocks.
    #[serde(rename = "UpDecoderBlock2D")]
    Plain,
    /// Residual blocks, each with attention.
    #[serde(rename = "AttnUpDecoderBlock2D")]
    Attention,
}

/// How a decoder normalises; only groups are supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormType {
    /// Groups of channels.
    Group,
}

/// What an [`AutoencoderKl`](super::AutoencoderKl) looks like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoencoderKlConfig {
    /// Channels of the images that are encoded.
    pub in_channels: usize,
    /// Channels of the images that are decoded.
    pub out_channels: usize,
    /// The levels of the encoder from fine to coarse.
    pub down_block_types: Vec<DownEncoderBlock>,
    /// The levels of the decoder from coarse to fine.
    pub up_block_types: Vec<UpDecoderBlock>,
    /// Channels of each level from fine to coarse.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks of each level of the encoder; the decoder has one more.
    pub layers_per_block: usize,
    /// The activation of the residual blocks: `silu`, `relu` or `gelu`.
    #[serde(with = "ActivationName")]
    pub act_fn: Activation,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Groups of the normalisations.
    pub norm_num_groups: usize,
    /// Height and width of the images; written as one number where they are equal.
    #[serde(with = "sample_size")]
    pub sample_size: Option<[usize; 2]>,
    /// What a diffusion of the latents multiplies them by.
    pub scaling_factor: f64,
    /// What a diffusion of the latents subtracts from them first.
    pub shift_factor: Option<f64>,
    /// The mean of each channel of the latents, for a diffusion of them.
    pub latents_mean: Option<Vec<f64>>,
    /// The deviation of each channel of the latents, for a diffusion of them.
    pub latents_std: Option<Vec<f64>>,
    /// Whether half precision is too little; here everything is single precision.
    pub force_upcast: bool,
    /// Whether a 1x1 convolution follows the encoder.
    pub use_quant_conv: bool,
    /// Whether a 1x1 convolution comes before the decoder.
    pub use_post_quant_conv: bool,
    /// Whether there is attention at the bottom.
    pub mid_block_add_attention: bool,
}

impl Default for AutoencoderKlConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            down_block_types: vec![DownEncoderBlock::Plain],
            up_block_types: vec![UpDecoderBlock::Plain],
            block_out_channels: vec![64],
            layers_per_block: 1,
            act_fn: Activation::Silu,
            latent_channels: 4,
            norm_num_groups: 32,
            sample_size: Some([32; 2]),
            scaling_factor: 0.18215,
            shift_factor: None,
            latents_mean: None,
            latents_std: None,
            force_upcast: true,
            use_quant_conv: true,
            use_post_quant_conv: true,
            mid_block_add_attention: true,
        }
    }
}

/// What a [`VqModel`](super::VqModel) looks like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VqModelConfig {
    /// Channels of the images that are encoded.
    pub in_channels: usize,
    /// Channels of the images that are decoded.
    pub out_channels: usize,
    /// The levels of the encoder from fine to coarse.
    pub down_block_types: Vec<DownEncoderBlock>,
    /// The levels of the decoder from coarse to fine.
    pub up_block_types: Vec<UpDecoderBlock>,
    /// Channels of each level from fine to coarse.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks of each level of the encoder; the decoder has one more.
    pub layers_per_block: usize,
    /// The activation of the residual blocks: `silu`, `relu` or `gelu`.
    #[serde(with = "ActivationName")]
    pub act_fn: Activation,
    /// Channels between the encoder and the book, and between the book and the decoder.
    pub latent_channels: usize,
    /// Height and width of the images; written as one number where they are equal.
    #[serde(with = "sample_size")]
    pub sample_size: Option<[usize; 2]>,
    /// `K`, vectors in the book.
    pub num_vq_embeddings: usize,
    /// Groups of the normalisations.
    pub norm_num_groups: usize,
    /// `D`, the length of a vector; `latent_channels` if absent.
    pub vq_embed_dim: Option<usize>,
    /// What a diffusion of the latents multiplies them by.
    pub scaling_factor: f64,
    /// How the decoder normalises.
    pub norm_type: NormType,
    /// Whether there is attention at the bottom.
    pub mid_block_add_attention: bool,
    /// Whether decoding takes places in the book; only `false` is supported, since [`Codec`](crate::traits::Codec)
    /// always does.
    pub lookup_from_codebook: bool,
    /// Whether half precision is too little; here everything is single precision.
    pub force_upcast: bool,
}

impl Default for VqModelConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            down_block_types: vec![DownEncoderBlock::Plain],
            up_block_types: vec![UpDecoderBlock::Plain],
            block_out_channels: vec![64],
            layers_per_block: 1,
            act_fn: Activation::Silu,
            latent_channels: 3,
            sample_size: Some([32; 2]),
            num_vq_embeddings: 256,
            norm_num_groups: 32,
            vq_embed_dim: None,
            scaling_factor: 0.18215,
            norm_type: NormType::Group,
            mid_block_add_attention: true,
            lookup_from_codebook: false,
            force_upcast: false,
        }
    }
}

impl AutoencoderKlConfig {
    /// What its networks have in common, and the size of its images.
    ///
    /// # Errors
    /// The first key whose value does not fit.
    pub(super) fn coder(&self) -> Result<(CoderConfig, [usize; 2]), ConfigError> {
        let coder = CoderConfig {
            down: self.down_block_types.clone(),
            up: self.up_block_types.clone(),
            channels: self.block_out_channels.clone(),
            layers: self.layers_per_block,
            style: style(self.norm_num_groups, self.act_fn),
            attention: self.mid_block_add_attention,
        };
        let ends = [("in_channels", self.in_channels), ("out_channels", self.out_channels)];
        let counts = ends.into_iter().chain([("latent_channels", self.latent_channels)]);
        let size = check(&coder, counts, self.sample_size)?;
        Ok((coder, size))
    }
}

impl VqModelConfig {
    /// `D`.
    pub fn width(&self) -> usize {
        self.vq_embed_dim.unwrap_or(self.latent_channels)
    }

    /// What its networks have in common, and the size of its images.
    ///
    /// # Errors
    /// The first key whose value does not fit.
    pub(super) fn coder(&self) -> Result<(CoderConfig, [usize; 2]), ConfigError> {
        require(!self.lookup_from_codebook, "lookup_from_codebook", true, || "only false is supported".into())?;
        let coder = CoderConfig {
            down: self.down_block_types.clone(),
            up: self.up_block_types.clone(),
            channels: self.block_out_channels.clone(),
            layers: self.layers_per_block,
            style: style(self.norm_num_groups, self.act_fn),
            attention: self.mid_block_add_attention,
        };
        let ends = [("in_channels", self.in_channels), ("out_channels", self.out_channels)];
        let book = [("num_vq_embeddings", self.num_vq_embeddings), ("vq_embed_dim", self.width())];
        let counts = ends.into_iter().chain([("latent_channels", self.latent_channels)]).chain(book);
        let size = check(&coder, counts, self.sample_size)?;
        Ok((coder, size))
    }
}

fn style(groups: usize, activation: Activation) -> Style {
    Style { groups, eps: 1e-6, activation, time: None }
}

/// The height and width of the latents of `levels` levels, all of which but the last halve.
pub(super) fn latent_size(size: [usize; 2], levels: usize) -> [usize; 2] {
    size.map(|side| side >> (levels - 1).min(63))
}

fn check(
    coder: &CoderConfig,
    counts: impl Iterator<Item = (&'static str, usize)>,
    size: Option<[usize; 2]>,
) -> Result<[usize; 2], ConfigError> {
    let CoderConfig { down, up, channels, layers, style, .. } = coder;
    let always = [("layers_per_block", *layers), ("norm_num_groups", style.groups)];
    let levels = channels.iter().map(|channels| ("block_out_channels", *channels));
    let missing = || ConfigError {
        key: "sample_size",
        value: "null".into(),
        problem: "give the height and width of the images".into(),
    };
    let size = size.ok_or_else(missing)?;
    let sides = size.into_iter().map(|side| ("sample_size", side));
    for (key, value) in counts.chain(always).chain(levels).chain(sides) {
        require((1..=LARGEST).contains(&value), key, value, || format!("use 1 to {LARGEST}"))?;
    }
    require(!channels.is_empty(), "block_out_channels", "[]", || "give at least one level".into())?;
    for (key, blocks) in [("down_block_types", down.len()), ("up_block_types", up.len())] {
        require(blocks == channels.len(), key, blocks, || {
            format!("{blocks} levels, but block_out_channels has {}; give one type for each", channels.len())
        })?;
    }
    for channels in channels {
        require(channels.is_multiple_of(style.groups), "norm_num_groups", style.groups, || {
            format!("does not divide the {channels} channels of a level")
        })?;
    }
    let known = matches!(style.activation, Activation::Silu | Activation::Relu | Activation::Gelu);
    require(known, "act_fn", format!("{:?}", style.activation), || "use silu, relu or gelu".into())?;
    let step = 1_usize << (channels.len() - 1).min(63);
    for side in size {
        require(side.is_multiple_of(step), "sample_size", side, || {
            format!("must be a multiple of {step}, since {} levels halve it", channels.len() - 1)
        })?;
    }
    Ok(size)
}
