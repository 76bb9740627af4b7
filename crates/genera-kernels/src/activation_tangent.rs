//! The derivative of an activation along a direction, `f'(x) v`: what forward-mode differentiation pushes through an
//! activation and what reverse mode pulls back. It is an operation of its own, so that a derivative can be a part of a
//! loss and be differentiated in turn:
//!
//! ```text
//! y = f'(x) v        x̄ = ȳ v f''(x)        v̄ = ȳ f'(x)
//! ```

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use crate::simd::function::{Function, with_function};
use crate::simd::{Simd, parallel, vectorised};
use crate::{Activation, flex, plain};

/// `f'(x) v` for every element: `x`, `v` and the result have one shape. Differentiable in both; where `f` is made of straight
/// pieces, `x` counts as a constant.
///
/// # Panics
/// If the shapes differ.
pub fn activation_tangent<const D: usize>(x: Tensor<D>, v: Tensor<D>, activation: Activation) -> Tensor<D> {
    assert_eq!(x.dims(), v.dims(), "activation_tangent: the direction must have the shape of the argument");
    match flex::simd(&x) {
        _ if activation == Activation::Identity => v,
        Some(simd) => Tensor::from_dispatch(<Dispatch as TangentKernel>::tangent(
            x.into_dispatch(),
            v.into_dispatch(),
            simd,
            activation,
        )),
        None => plain::activation_tangent(x, v, activation),
    }
}

#[backend_extension(Autodiff, Flex)]
pub(crate) trait TangentKernel: Backend {
    fn tangent(x: FloatTensor<Self>, v: FloatTensor<Self>, simd: Simd, activation: Activation) -> FloatTensor<Self>;
}

impl TangentKernel for Flex {
    fn tangent(x: FlexTensor, v: FlexTensor, simd: Simd, activation: Activation) -> FlexTensor {
        let (x, v) = (x.to_contiguous(), v.to_contiguous());
        zip(&x, &v, |x, v, y| with_function!(activation, F => along::<F>(simd, x, v, y)))
    }
}

impl<C: CheckpointStrategy> TangentKernel for Autodiff<Flex, C> {
    fn tangent(x: FloatTensor<Self>, v: FloatTensor<Self>, simd: Simd, activation: Activation) -> FloatTensor<Self> {
        // What is linear on both sides of a kink does not depend on where on a side `x` is: it is a constant, and nothing
        // flows back through the network that computed it.
        let x = if with_function!(activation, F => F::BENDS) { x } else { Self::from_inner(x.into_primitive()) };
        let ((x, node_x), (v, node_v)) = (x.into_parts(), v.into_parts());
        let (x, v) = (x.to_contiguous(), v.to_contiguous());
        let y = Flex::tangent(x.clone(), v.clone(), simd, activation);
        match Step(simd, activation).prepare::<C>([node_x, node_v]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x, v), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}

#[derive(Debug)]
struct Step(Simd, Activation);

impl Backward<Flex, 2> for Step {
    /// The argument and the direction.
    type State = (FlexTensor, FlexTensor);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let Self(simd, activation) = self;
        let (x, v) = &ops.state;
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let [parent_x, parent_v] = ops.parents.map(|parent| parent.map(|node| node.id));
        flex::register(gradients, parent_x, || {
            let product = zip(v, &gradient, |v, gradient, y| multiply(simd, v, gradient, y));
            zip(x, &product, |x, v, y| with_function!(activation, F => bend::<F>(simd, x, v, y)))
        });
        flex::register(gradients, parent_v, || {
            zip(x, &gradient, |x, v, y| with_function!(activation, F => along::<F>(simd, x, v, y)))
        });
    }
}

/// Elements that one task computes.
const CHUNK: usize = 8 << 10;
/// Elementary operations of one element, for the decision whether threads are worth it.
const WORK: usize = 16;

/// `f(a, b, y)` on chunks of contiguous tensors of one shape.
fn zip(a: &FlexTensor, b: &FlexTensor, f: impl Fn(&[f32], &[f32], &mut [f32]) + Sync) -> FlexTensor {
    let (from_a, from_b) = (flex::slice(a), flex::slice(b));
    let mut y = flex::unwritten(from_a.len());
    parallel::chunks(&mut y, CHUNK, WORK * from_a.len(), |i, y| f(&from_a[i * CHUNK..], &from_b[i * CHUNK..], y));
    flex::tensor(y, a.shape())
}

vectorised! {
    fn along[F: Function](x: &[f32], v: &[f32], y: &mut [f32]) {
        y.iter_mut().zip(x).zip(v).for_each(|((y, x), v)| *y = v * F::slope_at(*x));
    }

    fn bend[F: Function](x: &[f32], v: &[f32], y: &mut [f32]) {
        y.iter_mut().zip(x).zip(v).for_each(|((y, x), v)| *y = v * F::bend(*x));
    }

    fn multiply(a: &[f32], b: &[f32], y: &mut [f32]) {
        y.iter_mut().zip(a).zip(b).for_each(|((y, a), b)| *y = a * b);
    }
}
