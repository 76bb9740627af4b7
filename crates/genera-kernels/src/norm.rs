//! Normalisation with its activation.

use burn::tensor::Tensor;

use crate::{Activation, plain};

/// `activation(weight · (x - μ) / √(σ² + eps) + bias)` with the mean and the biased variance of each sample and group
/// of neighbouring channels: Wu and He, "Group Normalization" (arXiv:1803.08494). `x` is `[B, ..., C]`, `weight` and
/// `bias` `[C]`.
///
/// # Panics
/// If the shapes do not fit or `groups` does not divide the number of channels.
pub fn group_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    groups: usize,
    eps: f32,
    activation: Activation,
) -> Tensor<D> {
    assert!(D >= 2, "group_norm: x needs a batch axis and a channel axis");
    check("group_norm", x.dims()[D - 1], &weight, &bias);
    let channels = x.dims()[D - 1];
    assert!(
        groups > 0 && channels.is_multiple_of(groups),
        "group_norm: {groups} groups do not divide {channels} channels"
    );
    plain::group_norm(x, weight, bias, groups, eps, activation)
}

/// `activation(weight · (x - μ) / √(σ² + eps) + bias)` with the mean and the biased variance of the last axis: Ba,
/// Kiros and Hinton, "Layer Normalization" (arXiv:1607.06450). `x` is `[..., C]`, `weight` and `bias` `[C]`.
///
/// # Panics
/// If the shapes do not fit.
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f32,
    activation: Activation,
) -> Tensor<D> {
    check("layer_norm", x.dims()[D - 1], &weight, &bias);
    plain::layer_norm(x, weight, bias, eps, activation)
}

fn check(name: &str, channels: usize, weight: &Tensor<1>, bias: &Tensor<1>) {
    assert!(
        weight.dims() == [channels] && bias.dims() == [channels],
        "{name}: weight {:?} and bias {:?} must have one value for each of the {channels} channels",
        weight.dims(),
        bias.dims()
    );
}
