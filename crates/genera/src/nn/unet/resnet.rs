//! The residual block of the U-Net, and what changes the resolution between levels.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera_kernels::{Activation, ConvOptions, activate, avg_pool2x2, shift_pixels, upsample_nearest2x};
use genera_rng::Rng;

use super::config::TimeScaleShift;
use crate::nn::{Conv2d, GroupNorm, Linear};

/// What a residual block does to the resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::nn) enum Scale {
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

/// What all residual blocks of a network have in common.
#[derive(Clone, Copy, Debug)]
pub(in crate::nn) struct Style {
    /// Groups of the normalisations.
    pub groups: usize,
    /// What is added to variances.
    pub eps: f32,
    pub activation: Activation,
    /// The width of the time embedding, if the network is told the time, and how it enters.
    pub time: Option<(usize, TimeScaleShift)>,
}

/// `(s(x) + conv₂ f(norm₂(conv₁ s(f(norm₁ x)) + W f(e)))) / divisor` for the time embedding `e`, where `s` changes the
/// resolution and `x` is convolved with a 1x1 kernel if the number of channels changes. Without a time there is no `W`.
#[derive(Module, Debug)]
pub(in crate::nn) struct ResnetBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    time_emb_proj: Option<Linear>,
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
    pub(in crate::nn) fn new(
        [inputs, outputs]: [usize; 2],
        scale: Scale,
        style: Style,
        rng: &mut Rng,
        device: &Device,
    ) -> Self {
        let Style { groups, eps, activation, time } = style;
        let time_outputs = |how| match how {
            TimeScaleShift::Default => outputs,
            TimeScaleShift::ScaleShift => 2 * outputs,
        };
        let same = ConvOptions::same(3);
        Self {
            norm1: GroupNorm::new(groups, inputs, eps, device),
            conv1: Conv2d::new(inputs, outputs, 3, same, rng, device),
            time_emb_proj: time.map(|(width, how)| Linear::new(width, time_outputs(how), rng, device)),
            norm2: GroupNorm::new(groups, outputs, eps, device),
            conv2: Conv2d::new(outputs, outputs, 3, same, rng, device),
            conv_shortcut: (inputs != outputs)
                .then(|| Conv2d::new(inputs, outputs, 1, ConvOptions::default(), rng, device)),
            activation,
            time: time.map_or(TimeScaleShift::Default, |(_, how)| how),
            scale,
            divisor: 1.0,
        }
    }

    /// The block with its output divided.
    pub(super) fn divided_by(self, divisor: f64) -> Self {
        Self { divisor, ..self }
    }

    /// `time` has been through the activation: `[B, H, W, inputs], [B, time] -> [B, H', W', outputs]`.
    pub(in crate::nn) fn forward(&self, x: Tensor<4>, time: Option<&Tensor<2>>) -> Tensor<4> {
        let h = self.norm1.forward_into(x.clone(), self.activation);
        let h = self.conv1.forward(self.scale.apply(h));
        let time = self.time_emb_proj.as_ref().zip(time);
        let time = time.map(|(layer, time)| layer.forward(time.clone()));
        let h = match (time, self.time) {
            (None, _) => self.norm2.forward_into(h, self.activation),
            (Some(time), TimeScaleShift::Default) => self.norm2.forward_into(shift_pixels(h, time), self.activation),
            (Some(time), TimeScaleShift::ScaleShift) => {
                let channels = h.dims()[3];
                let time = time.unsqueeze_dims::<4>(&[1, 2]);
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
pub(in crate::nn) enum Resample {
    Conv(ConvResample),
    Resnet(ResnetBlock),
}

/// A convolution of stride two, or one of the doubled image.
#[derive(Module, Debug)]
pub(in crate::nn) struct ConvResample {
    conv: Conv2d,
    #[module(skip)]
    before: Scale,
}

impl Resample {
    /// A convolution of stride two: `[B, H, W, C] -> [B, H/2, W/2, C]`.
    /// `padding` zeros before the image, and one after it.
    pub(in crate::nn) fn halving_conv(channels: usize, padding: usize, rng: &mut Rng, device: &Device) -> Self {
        let padding = [[padding, 1]; 2];
        let options = ConvOptions { stride: [2; 2], padding, ..ConvOptions::default() };
        let conv = Conv2d::new(channels, channels, 3, options, rng, device);
        Self::Conv(ConvResample { conv, before: Scale::Keep })
    }

    /// A convolution of the doubled image: `[B, H, W, C] -> [B, 2H, 2W, C]`.
    pub(in crate::nn) fn doubling_conv(channels: usize, rng: &mut Rng, device: &Device) -> Self {
        let conv = Conv2d::new(channels, channels, 3, ConvOptions::same(3), rng, device);
        Self::Conv(ConvResample { conv, before: Scale::Double })
    }

    /// A residual block that halves or doubles.
    pub(super) fn resnet(channels: usize, scale: Scale, style: Style, rng: &mut Rng, device: &Device) -> Self {
        Self::Resnet(ResnetBlock::new([channels; 2], scale, style, rng, device))
    }

    pub(in crate::nn) fn forward(&self, x: Tensor<4>, time: Option<&Tensor<2>>) -> Tensor<4> {
        match self {
            Self::Conv(ConvResample { conv, before }) => conv.forward(before.apply(x)),
            Self::Resnet(block) => block.forward(x, time),
        }
    }
}
