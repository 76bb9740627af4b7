//! Affine maps and tables of vectors.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use genera_kernels::{self as kernels, Activation};
use genera_rng::Rng;

use super::init;

/// `y = x Wᵀ + b` over the last axis.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[outputs, inputs]`.
    pub weight: Param<Tensor<2>>,
    /// `[outputs]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// Weights and biases uniform on `±1/√inputs`, as in PyTorch.
    pub fn new(inputs: usize, outputs: usize, rng: &mut Rng, device: &Device) -> Self {
        Self {
            weight: init::fan_in_uniform([outputs, inputs], inputs, rng, device),
            bias: Some(init::fan_in_uniform([outputs], inputs, rng, device)),
        }
    }

    /// `[.., inputs] -> [.., outputs]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.forward_into(x, Activation::Identity)
    }

    /// The map followed by `activation`: `[.., inputs] -> [.., outputs]`.
    pub fn forward_into<const D: usize>(&self, x: Tensor<D>, activation: Activation) -> Tensor<D> {
        kernels::linear(x, self.weight.val(), self.bias.as_ref().map(Param::val), activation)
    }
}

/// A vector for each of a number of classes.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[classes, width]`.
    pub weight: Param<Tensor<2>>,
}

impl Embedding {
    /// Standard normal vectors, as in PyTorch.
    pub fn new(classes: usize, width: usize, rng: &mut Rng, device: &Device) -> Self {
        Self { weight: init::normal([classes, width], 1.0, rng, device) }
    }

    /// The vector of each class: `[B] -> [B, width]`.
    ///
    /// # Panics
    /// If a class is not below [`Embedding::classes`].
    pub fn forward(&self, classes: Tensor<1, Int>) -> Tensor<2> {
        self.weight.val().select(0, classes)
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.weight.lazy_shape()[0]
    }
}
