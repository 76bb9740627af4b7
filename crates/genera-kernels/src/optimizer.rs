//! One step of AdamW with its running average, over one parameter tensor.
//!
//! ```text
//! m ← β₁ m + (1 - β₁) g        v ← β₂ v + (1 - β₂) g²
//! θ ← (1 - η λ) θ - η (m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + ε)
//! a ← a + (1 - d) (θ - a)
//! ```
//!
//! Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (arXiv:1711.05101), with the order of operations
//! and the meaning of `λ` (scaled by the learning rate) and `ε` (added after the root) of PyTorch's AdamW; `λ = 0` is
//! Adam. The average is the exponential moving average of the weights that generative models are sampled with.

use burn::tensor::Tensor;

use crate::plain;

/// The numbers of one AdamW step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// `η`.
    pub learning_rate: f64,
    /// `β₁`.
    pub beta_1: f64,
    /// `β₂`.
    pub beta_2: f64,
    /// `ε`.
    pub eps: f64,
    /// `λ`.
    pub weight_decay: f64,
    /// `t`, counted from one.
    pub step: u64,
    /// `d`, of the running average of the parameter, where one is kept.
    pub average_decay: f64,
}

/// What one step needs and returns beside the gradient; all of one shape, without autodiff.
#[derive(Clone, Debug)]
pub struct AdamWTensors<const D: usize> {
    /// `θ`.
    pub parameter: Tensor<D>,
    /// `m`, zeros before the first step.
    pub m: Tensor<D>,
    /// `v`, zeros before the first step.
    pub v: Tensor<D>,
    /// `a`, if a running average is kept.
    pub average: Option<Tensor<D>>,
}

/// The scalars of a step that every element shares.
pub(crate) struct Rates {
    /// `1 - η λ`.
    pub keep: f64,
    /// `η / (1 - β₁ᵗ)`.
    pub step: f64,
    /// `1 / √(1 - β₂ᵗ)`.
    pub root_v: f64,
}

impl AdamW {
    pub(crate) fn rates(&self) -> Rates {
        let power = |beta: f64| beta.powf(self.step as f64);
        Rates {
            keep: 1.0 - self.learning_rate * self.weight_decay,
            step: self.learning_rate / (1.0 - power(self.beta_1)),
            root_v: 1.0 / (1.0 - power(self.beta_2)).sqrt(),
        }
    }
}

/// One step; buffers that nobody else holds are updated in place.
///
/// # Panics
/// If the shapes differ.
pub fn adamw_step<const D: usize>(tensors: AdamWTensors<D>, gradient: Tensor<D>, options: &AdamW) -> AdamWTensors<D> {
    let shape = gradient.dims();
    assert!(
        [&tensors.parameter, &tensors.m, &tensors.v].into_iter().chain(&tensors.average).all(|t| t.dims() == shape),
        "adamw_step: the gradient {shape:?} must have the shape of the parameter and its moments"
    );
    plain::adamw_step(tensors, gradient, options)
}

/// The sum of the squares of all elements in f64, always added in the same order.
pub fn sum_of_squares<const D: usize>(x: Tensor<D>) -> f64 {
    plain::sum_of_squares(x)
}
