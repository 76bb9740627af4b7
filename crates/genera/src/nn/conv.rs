//! Convolution of NHWC images.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use genera_kernels::{self as kernels, ConvOptions};
use genera_rng::Rng;

use super::init;

/// Cross-correlation with a learnt kernel, PyTorch's `Conv2d` on images that are stored `[B, H, W, C]`.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[outputs, inputs / groups, kh, kw]`.
    pub weight: Param<Tensor<4>>,
    /// `[outputs]`.
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    options: ConvOptions,
}

impl Conv2d {
    /// A square kernel; weights and biases uniform on `±1/√(inputs / groups · kernel²)`, as in PyTorch.
    pub fn new(
        inputs: usize,
        outputs: usize,
        kernel: usize,
        options: ConvOptions,
        rng: &mut Rng,
        device: &Device,
    ) -> Self {
        let inputs_a_group = inputs / options.groups.max(1);
        let fan_in = inputs_a_group * kernel * kernel;
        Self {
            weight: init::fan_in_uniform([outputs, inputs_a_group, kernel, kernel], fan_in, rng, device),
            bias: Some(init::fan_in_uniform([outputs], fan_in, rng, device)),
            options,
        }
    }

    /// `[B, H, W, inputs] -> [B, H', W', outputs]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.apply(x, None)
    }

    /// The convolution of `x`, plus `residual`: `[B, H, W, inputs], [B, H', W', outputs] -> [B, H', W', outputs]`.
    pub fn forward_onto(&self, x: Tensor<4>, residual: Tensor<4>) -> Tensor<4> {
        self.apply(x, Some(residual))
    }

    /// How the kernel slides.
    pub fn options(&self) -> ConvOptions {
        self.options
    }

    fn apply(&self, x: Tensor<4>, residual: Option<Tensor<4>>) -> Tensor<4> {
        kernels::conv2d(x, self.weight.val(), self.bias.as_ref().map(Param::val), residual, self.options)
    }
}
