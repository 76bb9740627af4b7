//! Affine maps with their activation.

use burn::tensor::Tensor;

use crate::{Activation, plain};

/// `activation(x Wᵀ + b)`: `x` is `[..., I]`, `weight` `[O, I]`, `bias` `[O]`, the result `[..., O]`.
///
/// # Panics
/// If the shapes do not fit.
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    activation: Activation,
) -> Tensor<D> {
    let [outputs, inputs] = weight.dims();
    assert_eq!(x.dims()[D - 1], inputs, "linear: the weight {:?} does not fit x {:?}", weight.dims(), x.dims());
    if let Some(bias) = &bias {
        assert_eq!(bias.dims(), [outputs], "linear: the bias must have one value for each output");
    }
    plain::linear(x, weight, bias, activation)
}
