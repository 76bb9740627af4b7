//! Normalisation over channels, fused with the activation that follows it.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use genera_kernels::{self as kernels, Activation};

use super::init;

/// Mean zero and variance one within each group of channels of each image, then a learnt scale and shift: Wu and He,
/// "Group Normalization" (arXiv:1803.08494).
#[derive(Module, Debug)]
pub struct GroupNorm {
    /// The scale of each channel, `[C]`.
    pub weight: Param<Tensor<1>>,
    /// The shift of each channel, `[C]`.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    pub(super) groups: usize,
    #[module(skip)]
    pub(super) eps: f32,
}

impl GroupNorm {
    /// Scale one and shift zero. `groups` divides `channels`.
    pub fn new(groups: usize, channels: usize, eps: f32, device: &Device) -> Self {
        Self {
            weight: init::constant([channels], 1.0, device),
            bias: init::constant([channels], 0.0, device),
            groups,
            eps,
        }
    }

    /// `[B, .., C] -> [B, .., C]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.forward_into(x, Activation::Identity)
    }

    /// The normalisation followed by `activation`: `[B, .., C] -> [B, .., C]`.
    pub fn forward_into<const D: usize>(&self, x: Tensor<D>, activation: Activation) -> Tensor<D> {
        kernels::group_norm(x, self.weight.val(), self.bias.val(), self.groups, self.eps, activation)
    }
}

/// Mean zero and variance one over the last axis, then a learnt scale and shift: Ba, Kiros and Hinton, "Layer
/// Normalization" (arXiv:1607.06450).
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// The scale of each channel, `[C]`.
    pub weight: Param<Tensor<1>>,
    /// The shift of each channel, `[C]`.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    pub(super) eps: f32,
}

impl LayerNorm {
    /// Scale one and shift zero; PyTorch's `eps` is 1e-5.
    pub fn new(channels: usize, eps: f32, device: &Device) -> Self {
        Self { weight: init::constant([channels], 1.0, device), bias: init::constant([channels], 0.0, device), eps }
    }

    /// `[.., C] -> [.., C]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.forward_into(x, Activation::Identity)
    }

    /// The normalisation followed by `activation`: `[.., C] -> [.., C]`.
    pub fn forward_into<const D: usize>(&self, x: Tensor<D>, activation: Activation) -> Tensor<D> {
        kernels::layer_norm(x, self.weight.val(), self.bias.val(), self.eps, activation)
    }
}
