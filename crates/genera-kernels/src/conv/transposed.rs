//! Transposed convolution: the adjoint of [`conv2d`](crate::conv2d) as an operation of its own.
//!
//! Forward is the gradient of the image of that convolution, and its own gradients are the convolution and the gradient
//! of its weight with the roles of image and result exchanged.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use super::turned::add_to_rows;
use super::{ConvOptions, Geometry};
use crate::flex::{self, Maybe};
use crate::plain;
use crate::simd::{Simd, gemm};

/// The image of `size` that a convolution with these `options` and this weight would carry gradients `x` back to, plus a
/// bias: `x` is `[B, H, W, I]`, `weight` `[I, O / groups, kh, kw]` as in PyTorch, `bias` `[O]`, the result
/// `[B, size.0, size.1, O]`. `size` settles what PyTorch calls output padding.
///
/// # Panics
/// If the shapes do not fit, or a convolution of an image of `size` does not give one of `[H, W]`.
pub fn conv_transpose2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    size: [usize; 2],
    options: ConvOptions,
) -> Tensor<4> {
    let ([_, height, width, inputs], [inputs_of_weight, outputs_a_group, kh, kw]) = (x.dims(), weight.dims());
    let groups = options.groups;
    assert!(
        groups > 0 && inputs == inputs_of_weight && inputs.is_multiple_of(groups),
        "conv_transpose2d: {inputs} channels do not fit a weight {:?} with {groups} groups",
        weight.dims()
    );
    assert_eq!(
        options.output_size(size, [kh, kw]),
        Some([height, width]),
        "conv_transpose2d: a convolution of an image of {size:?} with {options:?} does not give the size of x"
    );
    if let Some(bias) = &bias {
        let outputs = outputs_a_group * groups;
        assert_eq!(bias.dims(), [outputs], "conv_transpose2d: the bias must have one value for each output channel");
    }
    match flex::simd(&x) {
        Some(simd) => Tensor::from_dispatch(<Dispatch as TransposedKernel>::transposed(
            x.into_dispatch(),
            weight.into_dispatch(),
            bias.into(),
            simd,
            size,
            options,
        )),
        None => plain::conv_transpose2d(x, weight, bias, size, options),
    }
}

#[backend_extension(Autodiff, Flex)]
pub(crate) trait TransposedKernel: Backend {
    fn transposed(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Maybe<Self>,
        simd: Simd,
        size: [usize; 2],
        options: ConvOptions,
    ) -> FloatTensor<Self>;
}

impl TransposedKernel for Flex {
    fn transposed(
        x: FlexTensor,
        weight: FlexTensor,
        bias: Maybe<Self>,
        simd: Simd,
        size: [usize; 2],
        options: ConvOptions,
    ) -> FlexTensor {
        Transposed::new(x, weight, simd, size, options).forward(bias)
    }
}

impl<C: CheckpointStrategy> TransposedKernel for Autodiff<Flex, C> {
    fn transposed(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Maybe<Self>,
        simd: Simd,
        size: [usize; 2],
        options: ConvOptions,
    ) -> FloatTensor<Self> {
        let ((x, node_x), (weight, node_weight)) = (x.into_parts(), weight.into_parts());
        let (bias, node_bias) = bias.into_parts();
        let transposed = Transposed::new(x, weight, simd, size, options);
        let y = transposed.forward(bias);
        match transposed.prepare::<C>([node_x, node_weight, node_bias]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}

/// The operands, contiguous, and the convolution that this is the adjoint of.
#[derive(Clone, Debug)]
struct Transposed {
    x: FlexTensor,
    weight: FlexTensor,
    geometry: Geometry,
    simd: Simd,
}

impl Transposed {
    fn new(x: FlexTensor, weight: FlexTensor, simd: Simd, image: [usize; 2], options: ConvOptions) -> Self {
        let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
        let ([batch, height, width, outputs], [_, inputs, kh, kw]) = (x.shape().dims(), weight.shape().dims());
        let inputs = inputs * options.groups;
        let (kernel, size) = ([kh, kw], [height, width]);
        let geometry = Geometry { batch, image, inputs, outputs, kernel, seen: kh * kw, size, options };
        Self { x, weight, geometry, simd }
    }

    fn forward(&self, bias: Maybe<Flex>) -> FlexTensor {
        let geometry = &self.geometry;
        let mut y = geometry.image_gradient(self.simd, flex::slice(&self.x), flex::slice(&self.weight));
        if let Some(bias) = bias.contiguous() {
            add_to_rows(self.simd, &mut y, flex::slice(&bias));
        }
        flex::tensor(y, [geometry.batch, geometry.image[0], geometry.image[1], geometry.inputs])
    }
}

impl Backward<Flex, 3> for Transposed {
    type State = ();

    fn backward(self, ops: Ops<(), 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let Self { x, weight, geometry, simd } = &self;
        let [parent_x, parent_weight, parent_bias] = ops.parents.map(|parent| parent.map(|node| node.id));
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let image = flex::slice(&gradient);
        flex::register(gradients, parent_x, || {
            flex::tensor(geometry.forward(*simd, image, flex::slice(weight), None, None), x.shape())
        });
        flex::register(gradients, parent_weight, || {
            flex::tensor(geometry.weight_gradient(*simd, image, flex::slice(x)), weight.shape())
        });
        flex::register(gradients, parent_bias, || {
            flex::tensor(gemm::column_sums(*simd, image, geometry.inputs), [geometry.inputs])
        });
    }
}
