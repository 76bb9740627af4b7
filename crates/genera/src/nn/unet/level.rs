//! The levels of the U-Net: down, bottom and up.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera_kernels::join_channels;
use genera_rng::Rng;

use super::attention::Attention;
use super::config::{DownBlockType, MidBlockType, ResampleType, TimeScaleShift, UNetConfig, UpBlockType};
use super::resnet::{Resample, ResnetBlock, Scale};
use super::text::TextTransformer;
use crate::nn::text_encoder::TextStates;

/// What the pixels of a level attend to.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there are few, and a box is no module")]
enum Attending {
    Pixels(Attention),
    Text(TextTransformer),
}

impl Attending {
    fn forward(&self, x: Tensor<4>, text: Option<&TextStates>) -> Tensor<4> {
        match self {
            Self::Pixels(attention) => attention.forward(x),
            Self::Text(transformer) => transformer.forward(x, text),
        }
    }
}

/// Residual blocks, each perhaps with attention, then perhaps half the resolution.
#[derive(Module, Debug)]
pub(super) struct DownBlock {
    resnets: Vec<ResnetBlock>,
    attentions: Vec<Attending>,
    downsamplers: Vec<Resample>,
}

impl DownBlock {
    /// Level `level`, counted from the finest.
    pub(super) fn new(level: usize, config: &UNetConfig, rng: &mut Rng, device: &Device) -> Self {
        let (kind, channels) = (config.down_block_types[level], &config.block_out_channels);
        let (inputs, outputs) = (channels[level.saturating_sub(1)], channels[level]);
        let is_last = level + 1 == channels.len();
        let resnet = |i| {
            ResnetBlock::new([if i == 0 { inputs } else { outputs }, outputs], Scale::Keep, config.style(), rng, device)
        };
        Self {
            resnets: (0..config.layers_per_block).map(resnet).collect(),
            attentions: match kind {
                DownBlockType::AttnDownBlock2D => attentions(outputs, config.layers_per_block, config, rng, device),
                DownBlockType::CrossAttnDownBlock2D => texts(outputs, config.layers_per_block, config, rng, device),
                DownBlockType::DownBlock2D | DownBlockType::ResnetDownsampleBlock2D => Vec::new(),
            },
            downsamplers: match (is_last, kind, config.downsample_type) {
                (true, ..) => Vec::new(),
                (_, DownBlockType::ResnetDownsampleBlock2D, _)
                | (_, DownBlockType::AttnDownBlock2D, ResampleType::Resnet) => {
                    vec![Resample::resnet(outputs, Scale::Halve, config.style(), rng, device)]
                }
                (_, DownBlockType::DownBlock2D | DownBlockType::CrossAttnDownBlock2D, _)
                | (_, DownBlockType::AttnDownBlock2D, ResampleType::Conv) => {
                    vec![Resample::halving_conv(outputs, config.downsample_padding, rng, device)]
                }
            },
        }
    }

    /// The image of the next level; every image on the way there is put on `skips`.
    pub(super) fn forward(
        &self,
        mut x: Tensor<4>,
        time: &Tensor<2>,
        text: Option<&TextStates>,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        for (i, resnet) in self.resnets.iter().enumerate() {
            x = resnet.forward(x, Some(time));
            if let Some(attention) = self.attentions.get(i) {
                x = attention.forward(x, text);
            }
            skips.push(x.clone());
        }
        for downsampler in &self.downsamplers {
            x = downsampler.forward(x, Some(time));
            skips.push(x.clone());
        }
        x
    }
}

/// A residual block, perhaps attention, and another residual block.
#[derive(Module, Debug)]
pub(super) struct MidBlock {
    attentions: Vec<Attending>,
    resnets: Vec<ResnetBlock>,
}

impl MidBlock {
    pub(super) fn new(config: &UNetConfig, rng: &mut Rng, device: &Device) -> Self {
        let channels = config.block_out_channels[config.block_out_channels.len() - 1];
        let divisor = config.mid_block_scale_factor;
        let groups = config.attn_norm_num_groups.or(match config.resnet_time_scale_shift {
            TimeScaleShift::Default => Some(config.norm_num_groups),
            TimeScaleShift::ScaleShift => None,
        });
        let mut resnet =
            || ResnetBlock::new([channels; 2], Scale::Keep, config.style(), rng, device).divided_by(divisor);
        let resnets = vec![resnet(), resnet()];
        let attentions = match config.mid_block_type {
            Some(MidBlockType::UNetMidBlock2DCrossAttn) => texts(channels, 1, config, rng, device),
            _ if config.add_attention => {
                let heads = config.heads(channels);
                vec![Attending::Pixels(Attention::new(channels, groups, heads, divisor, rng, device))]
            }
            _ => Vec::new(),
        };
        Self { attentions, resnets }
    }

    pub(super) fn forward(&self, x: Tensor<4>, time: &Tensor<2>, text: Option<&TextStates>) -> Tensor<4> {
        let x = self.resnets[0].forward(x, Some(time));
        let x = self.attentions.iter().fold(x, |x, attention| attention.forward(x, text));
        self.resnets[1].forward(x, Some(time))
    }
}

/// Residual blocks that also see what the way down left, each perhaps with attention, then perhaps twice the
/// resolution.
#[derive(Module, Debug)]
pub(super) struct UpBlock {
    resnets: Vec<ResnetBlock>,
    attentions: Vec<Attending>,
    upsamplers: Vec<Resample>,
}

impl UpBlock {
    /// Level `level`, counted from the coarsest.
    pub(super) fn new(level: usize, config: &UNetConfig, rng: &mut Rng, device: &Device) -> Self {
        let kind = config.up_block_types[level];
        let channels: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
        let is_last = level + 1 == channels.len();
        let (before, outputs) = (channels[level.saturating_sub(1)], channels[level]);
        let finer = if is_last { outputs } else { channels[level + 1] };
        let layers = config.layers_per_block + 1;
        let resnet = |i| {
            let x = if i == 0 { before } else { outputs };
            // The last of the skips is what the level above sent down.
            let skip = if i + 1 == layers { finer } else { outputs };
            ResnetBlock::new([x + skip, outputs], Scale::Keep, config.style(), rng, device)
        };
        Self {
            resnets: (0..layers).map(resnet).collect(),
            attentions: match kind {
                UpBlockType::AttnUpBlock2D => attentions(outputs, layers, config, rng, device),
                UpBlockType::CrossAttnUpBlock2D => texts(outputs, layers, config, rng, device),
                UpBlockType::UpBlock2D | UpBlockType::ResnetUpsampleBlock2D => Vec::new(),
            },
            upsamplers: match (is_last, kind, config.upsample_type) {
                (true, ..) => Vec::new(),
                (_, UpBlockType::ResnetUpsampleBlock2D, _) | (_, UpBlockType::AttnUpBlock2D, ResampleType::Resnet) => {
                    vec![Resample::resnet(outputs, Scale::Double, config.style(), rng, device)]
                }
                (_, UpBlockType::UpBlock2D | UpBlockType::CrossAttnUpBlock2D, _)
                | (_, UpBlockType::AttnUpBlock2D, ResampleType::Conv) => {
                    vec![Resample::doubling_conv(outputs, rng, device)]
                }
            },
        }
    }

    /// The image of the next finer level; takes its share from the end of `skips`.
    pub(super) fn forward(
        &self,
        mut x: Tensor<4>,
        time: &Tensor<2>,
        text: Option<&TextStates>,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        for (i, resnet) in self.resnets.iter().enumerate() {
            let skip = skips.pop().expect("the way up has one residual block for each image of the way down");
            x = resnet.forward(join_channels(x, skip), Some(time));
            if let Some(attention) = self.attentions.get(i) {
                x = attention.forward(x, text);
            }
        }
        self.upsamplers.iter().fold(x, |x, upsampler| upsampler.forward(x, Some(time)))
    }
}

fn attentions(channels: usize, layers: usize, config: &UNetConfig, rng: &mut Rng, device: &Device) -> Vec<Attending> {
    let groups = Some(config.norm_num_groups);
    let attention = |_| Attention::new(channels, groups, config.heads(channels), 1.0, rng, device);
    (0..layers).map(attention).map(Attending::Pixels).collect()
}

fn texts(channels: usize, layers: usize, config: &UNetConfig, rng: &mut Rng, device: &Device) -> Vec<Attending> {
    let (groups, text) = (config.norm_num_groups, config.cross_attention_dim.unwrap_or(channels));
    let transformer = |_| TextTransformer::new(channels, groups, config.heads(channels), text, rng, device);
    (0..layers).map(transformer).map(Attending::Text).collect()
}
