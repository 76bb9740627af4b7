//! Layer normalisation with its activation: Ba, Kiros and Hinton, "Layer Normalization" (arXiv:1607.06450).
//!
//! A row is a sample with one point and one group: the kernel is that of group normalisation.

use burn::tensor::Tensor;

use crate::{Activation, flex, group_norm, plain};

/// `activation(weight · (x - μ) / √(σ² + eps) + bias)` with the mean and the biased variance of the last axis: `x` is
/// `[..., C]`, `weight` and `bias` `[C]`.
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
    let shape = x.dims();
    let channels = shape[D - 1];
    if flex::simd(&x).is_none() {
        return plain::layer_norm(x, weight, bias, eps, activation);
    }
    let rows: Tensor<2> = x.reshape([shape[..D - 1].iter().product(), channels]);
    group_norm(rows, weight, bias, 1, eps, activation).reshape(shape)
}
