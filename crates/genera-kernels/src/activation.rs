//! Activations, fused into the layers that precede them.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use crate::simd::function::{Function, with_function};
use crate::simd::{Simd, parallel, vectorised};
use crate::{flex, plain};

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
    match flex::simd(&x) {
        _ if activation == Activation::Identity => x,
        Some(simd) => {
            Tensor::from_dispatch(<Dispatch as ActivationKernel>::activation(x.into_dispatch(), simd, activation))
        }
        None => plain::activate(x, activation),
    }
}

#[backend_extension(Autodiff, Flex)]
pub(crate) trait ActivationKernel: Backend {
    fn activation(x: FloatTensor<Self>, simd: Simd, activation: Activation) -> FloatTensor<Self>;
}

impl ActivationKernel for Flex {
    fn activation(x: FlexTensor, simd: Simd, activation: Activation) -> FlexTensor {
        forward(simd, &x.to_contiguous(), activation)
    }
}

impl<C: CheckpointStrategy> ActivationKernel for Autodiff<Flex, C> {
    fn activation(x: FloatTensor<Self>, simd: Simd, activation: Activation) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        let x = x.to_contiguous();
        let y = forward(simd, &x, activation);
        match Step(simd, activation).prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let kept = if with_function!(activation, F => F::SLOPE_FROM_VALUE) { y.clone() } else { x };
                prep.finish(kept, y)
            }
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}

#[derive(Debug)]
struct Step(Simd, Activation);

impl Backward<Flex, 1> for Step {
    /// The argument, or the value where that is enough.
    type State = FlexTensor;

    fn backward(self, ops: Ops<FlexTensor, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let [parent] = ops.parents.map(|parent| parent.map(|node| node.id));
        flex::register(gradients, parent, || backward(self.0, &gradient, &ops.state, self.1));
    }
}

/// Elements that one task computes.
const CHUNK: usize = 8 << 10;
/// Elementary operations of one element, for the decision whether threads are worth it.
const WORK: usize = 16;

/// `f(x)` of a contiguous tensor.
pub(crate) fn forward(simd: Simd, x: &FlexTensor, activation: Activation) -> FlexTensor {
    let from = flex::slice(x);
    let mut y = flex::unwritten(from.len());
    parallel::chunks(&mut y, CHUNK, WORK * from.len(), |i, y| {
        with_function!(activation, F => values::<F>(simd, &from[i * CHUNK..], y));
    });
    flex::tensor(y, x.shape())
}

/// `gradient · f'` of contiguous tensors, where `kept` is the argument of `f`, or its value where that is enough.
pub(crate) fn backward(simd: Simd, gradient: &FlexTensor, kept: &FlexTensor, activation: Activation) -> FlexTensor {
    let (outer, inner) = (flex::slice(gradient), flex::slice(kept));
    let mut x = flex::unwritten(outer.len());
    parallel::chunks(&mut x, CHUNK, WORK * outer.len(), |i, x| {
        with_function!(activation, F => slopes::<F>(simd, &outer[i * CHUNK..], &inner[i * CHUNK..], x));
    });
    flex::tensor(x, kept.shape())
}

vectorised! {
    fn values[F: Function](x: &[f32], y: &mut [f32]) {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = F::value(*x));
    }

    fn slopes[F: Function](gradient: &[f32], kept: &[f32], x: &mut [f32]) {
        x.iter_mut().zip(gradient).zip(kept).for_each(|((x, gradient), kept)| *x = gradient * F::slope(*kept));
    }
}
