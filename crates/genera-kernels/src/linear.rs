//! Affine maps with their activation: `y = f(z)`, `z = x Wᵀ + b`.
//!
//! Blocks of rows go through the matrix product and, while they are in the cache, through `f`. Backward:
//! `δ = ȳ f'(z)`, `x̄ = δ W`, `W̄ = δᵀ x`, `b̄ = Σ δ`. Where `f'` is a function of `f(z)`, `z` is not kept.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use crate::flex::{self, Maybe};
use crate::simd::function::{Function, with_function};
use crate::simd::gemm::{self, PANEL, Start, Strided};
use crate::simd::{Simd, parallel, vectorised};
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
    match flex::simd(&x) {
        Some(simd) => Tensor::from_dispatch(<Dispatch as LinearKernel>::linear_activation(
            x.into_dispatch(),
            weight.into_dispatch(),
            bias.into(),
            simd,
            activation,
        )),
        None => plain::linear(x, weight, bias, activation),
    }
}

/// Rows that one task computes.
const ROWS: usize = 48;

#[backend_extension(Autodiff, Flex)]
pub(crate) trait LinearKernel: Backend {
    fn linear_activation(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Maybe<Self>,
        simd: Simd,
        activation: Activation,
    ) -> FloatTensor<Self>;
}

impl LinearKernel for Flex {
    fn linear_activation(
        x: FlexTensor,
        weight: FlexTensor,
        bias: Maybe<Self>,
        simd: Simd,
        activation: Activation,
    ) -> FlexTensor {
        let layer = Layer { x: x.to_contiguous(), weight: weight.to_contiguous(), activation, simd };
        layer.forward(bias.contiguous().as_ref())
    }
}

impl<C: CheckpointStrategy> LinearKernel for Autodiff<Flex, C> {
    fn linear_activation(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Maybe<Self>,
        simd: Simd,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let ((x, node_x), (weight, node_weight)) = (x.into_parts(), weight.into_parts());
        let (bias, node_bias) = bias.into_parts();
        let layer = Layer { x: x.to_contiguous(), weight: weight.to_contiguous(), activation, simd };
        let bias = bias.contiguous();
        match layer.clone().prepare::<C>([node_x, node_weight, node_bias]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (y, kept) = if with_function!(activation, F => F::SLOPE_FROM_VALUE) {
                    let y = layer.forward(bias.as_ref());
                    (y.clone(), y)
                } else {
                    let z = Layer { activation: Activation::Identity, ..layer }.forward(bias.as_ref());
                    (crate::activation::forward(simd, &z, activation), z)
                };
                prep.finish(kept, y)
            }
            OpsKind::UnTracked(prep) => prep.finish(layer.forward(bias.as_ref())),
        }
    }
}

/// The operands of a layer, contiguous.
#[derive(Clone, Debug)]
struct Layer {
    x: FlexTensor,
    weight: FlexTensor,
    activation: Activation,
    simd: Simd,
}

impl Layer {
    /// `[rows, inputs, outputs]`.
    fn sizes(&self) -> [usize; 3] {
        let (outputs, inputs) = (self.weight.shape()[0], self.weight.shape()[1]);
        let shape = self.x.shape();
        [shape[..shape.num_dims() - 1].iter().product(), inputs, outputs]
    }

    fn forward(&self, bias: Option<&FlexTensor>) -> FlexTensor {
        let [rows, inputs, outputs] = self.sizes();
        let (x, weight) = (flex::slice(&self.x), flex::slice(&self.weight));
        let start = bias.map_or(Start::Zero, |bias| Start::Row(flex::slice(bias)));
        let mut y = flex::unwritten(rows * outputs);
        parallel::scratch(gemm::packed_len(inputs, outputs), |packed| {
            gemm::pack(packed, inputs, outputs, |i, o| weight[o * inputs + i]);
            let packed = &*packed;
            parallel::chunks(&mut y, ROWS * outputs, 2 * rows * inputs * outputs, |block, y| {
                let a = Strided { values: &x[block * ROWS * inputs..], row: inputs, step: 1 };
                gemm::multiply(self.simd, [y.len() / outputs, inputs, outputs], a, packed, start, y, outputs);
                with_function!(self.activation, F => apply::<F>(self.simd, y));
            });
        });
        let mut shape = self.x.shape();
        let last = shape.num_dims() - 1;
        shape[last] = outputs;
        flex::tensor(y, shape)
    }
}

impl Backward<Flex, 3> for Layer {
    /// `z`, or `f(z)` where that is enough.
    type State = FlexTensor;

    fn backward(self, ops: Ops<FlexTensor, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [rows, inputs, outputs] = self.sizes();
        let simd = self.simd;
        let [parent_x, parent_weight, parent_bias] = ops.parents.map(|parent| parent.map(|node| node.id));
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let delta = match self.activation {
            Activation::Identity => gradient,
            activation => crate::activation::backward(simd, &gradient, &ops.state, activation),
        };
        let delta = flex::slice(&delta);
        flex::register(gradients, parent_x, || {
            let weight = flex::slice(&self.weight);
            let mut x = flex::unwritten(rows * inputs);
            parallel::scratch(gemm::packed_len(outputs, inputs), |packed| {
                gemm::pack(packed, outputs, inputs, |o, i| weight[o * inputs + i]);
                let packed = &*packed;
                parallel::chunks(&mut x, ROWS * inputs, 2 * rows * inputs * outputs, |block, x| {
                    let a = Strided { values: &delta[block * ROWS * outputs..], row: outputs, step: 1 };
                    gemm::multiply(simd, [x.len() / inputs, outputs, inputs], a, packed, Start::Zero, x, inputs);
                });
            });
            flex::tensor(x, self.x.shape())
        });
        flex::register(gradients, parent_weight, || {
            let x = flex::slice(&self.x);
            let mut weight = vec![0.0; outputs * inputs];
            let fill = |first: usize, panel: usize, values: &mut [[f32; PANEL]]| {
                let columns = PANEL.min(inputs - panel * PANEL);
                for (i, row) in values.iter_mut().enumerate() {
                    row[..columns].copy_from_slice(&x[(first + i) * inputs + panel * PANEL..][..columns]);
                    row[columns..].fill(0.0);
                }
            };
            gemm::add_transposed_product(simd, [outputs, rows, inputs], delta, fill, &mut weight);
            flex::tensor(weight, [outputs, inputs])
        });
        flex::register(gradients, parent_bias, || flex::tensor(gemm::column_sums(simd, delta, outputs), [outputs]));
    }
}

vectorised! {
    fn apply[F: Function](values: &mut [f32]) {
        values.iter_mut().for_each(|value| *value = F::value(*value));
    }
}
