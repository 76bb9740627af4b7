//! Activations, fused into the layers that precede them.

use burn::tensor::Tensor;

use crate::plain;

/// The slope of [`Activation::LeakyRelu`] below zero.
pub const LEAKY_SLOPE: f32 = 0.2;

/// The constants `(α, λ)` of SELU: Klambauer et al., "Self-Normalizing Neural Networks" (arXiv:1706.02515), eq. 14.
pub const SELU: (f32, f32) = (1.673_263_2, 1.050_701);

/// A function applied to every element. Values and gradients are finite for every finite input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x`.
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `x` above zero, [`LEAKY_SLOPE`]` x` below.
    LeakyRelu,
    /// `x σ(x)`, also called swish.
    Silu,
    /// `λ x` above zero, `λ α (eˣ - 1)` below, with the constants [`SELU`].
    Selu,
    /// `x Φ(x)` with the exact normal distribution function, as PyTorch's default.
    Gelu,
    /// `tanh x`.
    Tanh,
    /// `1 / (1 + e⁻ˣ)`.
    Sigmoid,
    /// `log(1 + eˣ)`.
    Softplus,
}

impl Activation {
    /// Every activation, in the order of declaration.
    pub const ALL: [Self; 9] = [
        Self::Identity,
        Self::Relu,
        Self::LeakyRelu,
        Self::Silu,
        Self::Selu,
        Self::Gelu,
        Self::Tanh,
        Self::Sigmoid,
        Self::Softplus,
    ];
}

/// Applies `activation` to every element.
pub fn activate<const D: usize>(x: Tensor<D>, activation: Activation) -> Tensor<D> {
    plain::activate(x, activation)
}
