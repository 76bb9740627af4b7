//! The encoder and the decoder: the residual blocks and the attention of the U-Net, without a time and without skips.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera_kernels::{Activation, ConvOptions};
use genera_rng::Rng;

use super::config::{DownEncoderBlock, UpDecoderBlock};
use crate::nn::unet::{Attention, Heads, Resample, ResnetBlock, Scale, Style};
use crate::nn::{Conv2d, GroupNorm};

/// What encoder and decoder have in common.
pub struct CoderConfig {
    pub down: Vec<DownEncoderBlock>,
    pub up: Vec<UpDecoderBlock>,
    /// From fine to coarse.
    pub channels: Vec<usize>,
    /// Residual blocks of a level of the encoder.
    pub layers: usize,
    pub style: Style,
    /// Whether there is attention at the bottom.
    pub attention: bool,
}

/// So many residual blocks one after the other.
fn resnets(
    [inputs, outputs]: [usize; 2],
    layers: usize,
    style: Style,
    rng: &mut Rng,
    device: &Device,
) -> Vec<ResnetBlock> {
    let resnet =
        |i| ResnetBlock::new([if i == 0 { inputs } else { outputs }, outputs], Scale::Keep, style, rng, device);
    (0..layers).map(resnet).collect()
}

/// Residual blocks, each followed by attention if there is any.
fn through(resnets: &[ResnetBlock], attentions: &[Attention], x: Tensor<4>) -> Tensor<4> {
    resnets.iter().enumerate().fold(x, |x, (i, resnet)| {
        let x = resnet.forward(x, None);
        attentions.get(i).into_iter().fold(x, |x, attention| attention.forward(x))
    })
}

/// One head over all channels.
fn attention(channels: usize, style: Style, rng: &mut Rng, device: &Device) -> Attention {
    let heads = Heads { count: 1, width: channels, eps: style.eps };
    Attention::new(channels, Some(style.groups), heads, 1.0, rng, device)
}

/// A residual block, perhaps attention, and another residual block.
#[derive(Module, Debug)]
struct MidBlock {
    attentions: Vec<Attention>,
    resnets: Vec<ResnetBlock>,
}

impl MidBlock {
    fn new(channels: usize, config: &CoderConfig, rng: &mut Rng, device: &Device) -> Self {
        let mut resnet = || ResnetBlock::new([channels; 2], Scale::Keep, config.style, rng, device);
        let resnets = vec![resnet(), resnet()];
        let attentions = config.attention.then(|| attention(channels, config.style, rng, device));
        Self { attentions: attentions.into_iter().collect(), resnets }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.resnets[0].forward(x, None);
        let x = self.attentions.iter().fold(x, |x, attention| attention.forward(x));
        self.resnets[1].forward(x, None)
    }
}

/// A level of the encoder.
#[derive(Module, Debug)]
struct DownBlock {
    resnets: Vec<ResnetBlock>,
    attentions: Vec<Attention>,
    downsamplers: Vec<Resample>,
}

/// A level of the decoder.
#[derive(Module, Debug)]
struct UpBlock {
    resnets: Vec<ResnetBlock>,
    attentions: Vec<Attention>,
    upsamplers: Vec<Resample>,
}

/// Images to latents: `[B, H, W, C] -> [B, H/f, W/f, C']`.
#[derive(Module, Debug)]
pub struct ImageEncoder {
    conv_in: Conv2d,
    down_blocks: Vec<DownBlock>,
    mid_block: MidBlock,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl ImageEncoder {
    pub fn new(config: &CoderConfig, [inputs, outputs]: [usize; 2], rng: &mut Rng, device: &Device) -> Self {
        let (channels, same) = (&config.channels, ConvOptions::same(3));
        let coarsest = channels[channels.len() - 1];
        let level = |(i, kind): (usize, &DownEncoderBlock)| {
            let widths = [channels[i.saturating_sub(1)], channels[i]];
            let attentions = match kind {
                DownEncoderBlock::Plain => 0,
                DownEncoderBlock::Attention => config.layers,
            };
            let resnets = resnets(widths, config.layers, config.style, rng, device);
            let attentions = (0..attentions).map(|_| attention(channels[i], config.style, rng, device)).collect();
            let halves = i + 1 < channels.len();
            let downsampler = halves.then(|| Resample::halving_conv(channels[i], 0, rng, device));
            DownBlock { resnets, attentions, downsamplers: downsampler.into_iter().collect() }
        };
        let down_blocks = config.down.iter().enumerate().map(level).collect();
        Self {
            down_blocks,
            conv_in: Conv2d::new(inputs, channels[0], 3, same, rng, device),
            mid_block: MidBlock::new(coarsest, config, rng, device),
            conv_norm_out: GroupNorm::new(config.style.groups, coarsest, config.style.eps, device),
            conv_out: Conv2d::new(coarsest, outputs, 3, same, rng, device),
        }
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let h = self.down_blocks.iter().fold(self.conv_in.forward(x), |h, block| {
            let h = through(&block.resnets, &block.attentions, h);
            block.downsamplers.iter().fold(h, |h, layer| layer.forward(h, None))
        });
        self.conv_out.forward(self.conv_norm_out.forward_into(self.mid_block.forward(h), Activation::Silu))
    }
}

/// Latents to images: `[B, H/f, W/f, C'] -> [B, H, W, C]`.
#[derive(Module, Debug)]
pub struct ImageDecoder {
    conv_in: Conv2d,
    mid_block: MidBlock,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl ImageDecoder {
    pub fn new(config: &CoderConfig, [inputs, outputs]: [usize; 2], rng: &mut Rng, device: &Device) -> Self {
        let same = ConvOptions::same(3);
        let channels: Vec<usize> = config.channels.iter().rev().copied().collect();
        let finest = channels[channels.len() - 1];
        let level = |(i, kind): (usize, &UpDecoderBlock)| {
            let widths = [channels[i.saturating_sub(1)], channels[i]];
            let attentions = match kind {
                UpDecoderBlock::Plain => 0,
                UpDecoderBlock::Attention => config.layers + 1,
            };
            let resnets = resnets(widths, config.layers + 1, config.style, rng, device);
            let attentions = (0..attentions).map(|_| attention(channels[i], config.style, rng, device)).collect();
            let doubles = i + 1 < channels.len();
            let upsampler = doubles.then(|| Resample::doubling_conv(channels[i], rng, device));
            UpBlock { resnets, attentions, upsamplers: upsampler.into_iter().collect() }
        };
        let up_blocks = config.up.iter().enumerate().map(level).collect();
        Self {
            up_blocks,
            conv_in: Conv2d::new(inputs, channels[0], 3, same, rng, device),
            mid_block: MidBlock::new(channels[0], config, rng, device),
            conv_norm_out: GroupNorm::new(config.style.groups, finest, config.style.eps, device),
            conv_out: Conv2d::new(finest, outputs, 3, same, rng, device),
        }
    }

    pub fn forward(&self, z: Tensor<4>) -> Tensor<4> {
        let h = self.mid_block.forward(self.conv_in.forward(z));
        let h = self.up_blocks.iter().fold(h, |h, block| {
            let h = through(&block.resnets, &block.attentions, h);
            block.upsamplers.iter().fold(h, |h, layer| layer.forward(h, None))
        });
        self.conv_out.forward(self.conv_norm_out.forward_into(h, Activation::Silu))
    }
}
