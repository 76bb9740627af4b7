//! The residual block of the U-Net, and what changes the resolution between levels.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera_kernels::{Activation, ConvOptions, activate, avg_pool2x2, upsample_nearest2x};
use genera_rng::Rng;

use super::config::{TimeScaleShift, UNetConfig};
use crate::nn::{Conv2d, GroupNorm, Linear};

/// What a residual block does to the resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Keep,
    Halve,
    Double,
}

impl Scale {
    fn apply(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Keep => x,
            Self::Halve => avg_pool2x2(x),
            Self::Double => upsample_nearest2x(x),
        }
    }
}

/// `(s(x) + conv₂ f(norm₂(conv₁ s(f(norm₁ x)) + W f(e)))) / divisor` for the time embedding `e`, where `s` changes the
/// resolution and `x` is convolved with a 1x1 kernel if the number of channels changes.
#[derive(Module, Debug)]
pub(super) struct ResnetBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    time_emb_proj: Linear,
    norm2: GroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    time: TimeScaleShift,
    #[module(skip)]
    scale: Scale,
    #[module(skip)]
    divisor: f64,
}

impl ResnetBlock {
    pub(super) fn new(
        [inputs, outputs]: [usize; 2],
        scale: Scale,
        config: &UNetConfig,
        rng: &mut Rng,
        device: &Device,
    ) -> Self {
        let (groups, eps) = (config.norm_num_groups, config.norm_eps as f32);
        let time_outputs = match config.resnet_time_scale_shift {
            TimeScaleShift::Default => outputs,
            TimeScaleShift::ScaleShift => 2 * outputs,
        };
        let same = ConvOptions::same(3);
        Self {
            norm1: GroupNorm::new(groups, inputs, eps, device),
            conv1: Conv2d::new(inputs, outputs, 3, same, rng, device),
            time_emb_proj: Linear::new(config.time_width(), time_outputs, rng, device),
            norm2: GroupNorm::new(groups, outputs, eps, device),
            conv2: Conv2d::new(outputs, outputs, 3, same, rng, device),
            conv_shortcut: (inputs != outputs)
                .then(|| Conv2d::new(inputs, outputs, 1, ConvOptions::default(), rng, device)),
            activation: config.act_fn,
            time: config.resnet_time_scale_shift,
            scale,
            divisor: 1.0,
        }
    }

    /// The block with its output divided.
    pub(super) fn divided_by(self, divisor: f64) -> Self {
        Self { divisor, ..self }
    }

    /// `time` has been through the activation: `[B, H, W, inputs], [B, time] -> [B, H', W', outputs]`.
    pub(super) fn forward(&self, x: Tensor<4>, time: Tensor<2>) -> Tensor<4> {
        let h = self.norm1.forward_into(x.clone(), self.activation);
        let h = self.conv1.forward(self.scale.apply(h));
        let time: Tensor<4> = self.time_emb_proj.forward(time).unsqueeze_dims(&[1, 2]);
        let h = match self.time {
            TimeScaleShift::Default => self.norm2.forward_into(h + time, self.activation),
            TimeScaleShift::ScaleShift => {
                let channels = h.dims()[3];
                let (gain, shift) = (time.clone().narrow(3, 0, channels), time.narrow(3, channels, channels));
                activate(self.norm2.forward(h) * (gain + 1.0) + shift, self.activation)
            }
        };
        let x = self.scale.apply(x);
        let x = match &self.conv_shortcut {
            Some(conv) => conv.forward(x),
            None => x,
        };
        divide(self.conv2.forward_onto(h, x), self.divisor)
    }
}

pub(super) fn divide<const D: usize>(x: Tensor<D>, divisor: f64) -> Tensor<D> {
    if divisor == 1.0 { x } else { x / divisor }
}

/// Halves or doubles the image after a level.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there are few, and a box is no module")]
pub(super) enum Resample {
    Conv(ConvResample),
    Resnet(ResnetBlock),
}

/// A convolution of stride two, or one of the doubled image.
#[derive(Module, Debug)]
pub(super) struct ConvResample {
    conv: Conv2d,
    #[module(skip)]
    before: Scale,
}

impl Resample {
    /// A convolution of stride two: `[B, H, W, C] -> [B, H/2, W/2, C]`.
    pub(super) fn halving_conv(channels: usize, config: &UNetConfig, rng: &mut Rng, device: &Device) -> Self {
        let padding = [[config.downsample_padding, 1]; 2];
        let options = ConvOptions { stride: [2; 2], padding, ..ConvOptions::default() };
        let conv = Conv2d::new(channels, channels, 3, options, rng, device);
        Self::Conv(ConvResample { conv, before: Scale::Keep })
    }

    /// A convolution of the doubled image: `[B, H, W, C] -> [B, 2H, 2W, C]`.
    pub(super) fn doubling_conv(channels: usize, rng: &mut Rng, device: &Device) -> Self {
        let conv = Conv2d::new(channels, channels, 3, ConvOptions::same(3), rng, device);
        Self::Conv(ConvResample { conv, before: Scale::Double })
    }

    /// A residual block that halves or doubles.
    pub(super) fn resnet(channels: usize, scale: Scale, config: &UNetConfig, rng: &mut Rng, device: &Device) -> Self {
        Self::Resnet(ResnetBlock::new([channels; 2], scale, config, rng, device))
    }

    pub(super) fn forward(&self, x: Tensor<4>, time: Tensor<2>) -> Tensor<4> {
        match self {
            Self::Conv(ConvResample { conv, before }) => conv.forward(before.apply(x)),
            Self::Resnet(block) => block.forward(x, time),
        }
    }
}
