//! Two-dimensional convolution of images in NHWC.
//!
//! | kernel | serves |
//! |---|---|
//! | [`winograd`] | 3 x 3, stride and dilation 1, one group, padding at most 2, channels in multiples of 8; with a mask, if it leaves at least four taps |
//! | [`strided`] | 3 x 3 and 4 x 4, stride 2, dilation 1, one group, channels in multiples of 8, unless most of a tile would hang over the edge |
//! | [`few`] | images of fewer than eight channels, one group, kernels of more than one tap: framed with zeros, gathered without an edge; gradients are scattered |
//! | [`turned`] | results of fewer than eight channels, stride 1, one group: the adjoint of the former |
//! | [`direct`] | everything else: any stride, dilation, groups; masked taps are skipped |

mod direct;
mod few;
mod strided;
mod transposed;
mod turned;
mod winograd;

pub use transposed::conv_transpose2d;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use crate::flex::{self, Maybe};
use crate::plain;
use crate::simd::{Simd, gemm};

/// How a kernel slides over an image. Pairs are `[vertical, horizontal]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvOptions {
    /// Distance between neighbouring outputs.
    pub stride: [usize; 2],
    /// Zeros around the image: `[[top, bottom], [left, right]]`.
    pub padding: [[usize; 2]; 2],
    /// Distance between neighbouring taps of the kernel.
    pub dilation: [usize; 2],
    /// Number of independent groups that the channels are divided into.
    pub groups: usize,
}

impl Default for ConvOptions {
    fn default() -> Self {
        Self { stride: [1; 2], padding: [[0; 2]; 2], dilation: [1; 2], groups: 1 }
    }
}

impl ConvOptions {
    /// Stride one and the padding that keeps the size of the image, for an odd `kernel` size.
    pub fn same(kernel: usize) -> Self {
        Self { padding: [[kernel / 2; 2]; 2], ..Self::default() }
    }

    /// Height and width of the result for an image and a kernel of these sizes, or `None` if the kernel does not fit.
    pub fn output_size(&self, image: [usize; 2], kernel: [usize; 2]) -> Option<[usize; 2]> {
        let along = |axis: usize| {
            let padded = image[axis] + self.padding[axis][0] + self.padding[axis][1];
            let reach = self.dilation[axis] * kernel[axis].checked_sub(1)?;
            Some(padded.checked_sub(reach + 1)? / self.stride[axis] + 1)
        };
        Some([along(0)?, along(1)?])
    }
}

/// Cross-correlation with a bias and an image to add: `x` is `[B, H, W, I]`, `weight` `[O, I / groups, kh, kw]`,
/// `bias` `[O]`, `residual` and the result `[B, H', W', O]`.
///
/// # Panics
/// If the shapes do not fit, or the kernel is larger than the padded image.
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<4>>,
    options: ConvOptions,
) -> Tensor<4> {
    let [_, _, kh, kw] = weight.dims();
    masked_conv2d(x, weight, bias, residual, kh * kw, options)
}

/// [`conv2d`] through the first `seen` taps of the kernel in reading order alone; the others count as zero, are skipped
/// where that is a gain, and get zero as their gradient.
///
/// With an odd `k` x `k` kernel, [`ConvOptions::same`] and `seen = k² / 2`, an output depends on the pixels before its
/// own; with one more, on its own too. These are the masks A and B of van den Oord et al., "Pixel Recurrent Neural
/// Networks" (arXiv:1601.06759), for images of one channel. A mask that differs by channel goes into the weight.
///
/// # Panics
/// As [`conv2d`], or if the kernel has fewer than `seen` taps.
pub fn masked_conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<4>>,
    seen: usize,
    options: ConvOptions,
) -> Tensor<4> {
    let ([batch, height, width, inputs], [outputs, inputs_a_group, kh, kw]) = (x.dims(), weight.dims());
    let groups = options.groups;
    assert!(
        groups > 0 && inputs == inputs_a_group * groups && outputs.is_multiple_of(groups),
        "conv2d: {inputs} channels do not fit a weight {:?} with {groups} groups",
        weight.dims()
    );
    let size = options.output_size([height, width], [kh, kw]);
    let Some([height, width]) = size else {
        panic!("conv2d: a {kh} x {kw} kernel does not fit an image of {height} x {width} with {options:?}");
    };
    if let Some(bias) = &bias {
        assert_eq!(bias.dims(), [outputs], "conv2d: the bias must have one value for each output channel");
    }
    if let Some(residual) = &residual {
        let shape = [batch, height, width, outputs];
        assert_eq!(residual.dims(), shape, "conv2d: the residual must have the shape of the result");
    }
    assert!(seen <= kh * kw, "conv2d: a {kh} x {kw} kernel does not have {seen} taps");
    match flex::simd(&x) {
        Some(simd) => Tensor::from_dispatch(<Dispatch as ConvKernel>::convolve(
            x.into_dispatch(),
            weight.into_dispatch(),
            bias.into(),
            residual.into(),
            simd,
            seen,
            options,
        )),
        None => plain::masked_conv2d(x, weight, bias, residual, seen, options),
    }
}

#[backend_extension(Autodiff, Flex)]
pub(crate) trait ConvKernel: Backend {
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Maybe<Self>,
        #[extension_type] residual: Maybe<Self>,
        simd: Simd,
        seen: usize,
        options: ConvOptions,
    ) -> FloatTensor<Self>;
}

impl ConvKernel for Flex {
    fn convolve(
        x: FlexTensor,
        weight: FlexTensor,
        bias: Maybe<Self>,
        residual: Maybe<Self>,
        simd: Simd,
        seen: usize,
        options: ConvOptions,
    ) -> FlexTensor {
        Convolution::new(x, weight, simd, seen, options).forward(bias, residual)
    }
}

impl<C: CheckpointStrategy> ConvKernel for Autodiff<Flex, C> {
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Maybe<Self>,
        residual: Maybe<Self>,
        simd: Simd,
        seen: usize,
        options: ConvOptions,
    ) -> FloatTensor<Self> {
        let ((x, node_x), (weight, node_weight)) = (x.into_parts(), weight.into_parts());
        let ((bias, node_bias), (residual, node_residual)) = (bias.into_parts(), residual.into_parts());
        let convolution = Convolution::new(x, weight, simd, seen, options);
        let y = convolution.forward(bias, residual);
        let nodes = [node_x, node_weight, node_bias, node_residual];
        match convolution.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}

/// The numbers that describe one convolution.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    batch: usize,
    /// `[H, W]`.
    image: [usize; 2],
    inputs: usize,
    outputs: usize,
    kernel: [usize; 2],
    /// Taps of the kernel that count, in reading order.
    seen: usize,
    /// `[H', W']`.
    size: [usize; 2],
    options: ConvOptions,
}

impl Geometry {
    /// Whether Winograd's algorithm applies, and the products of its tiles are a gain over the direct nine for a pixel,
    /// or what a mask leaves of them: at least a third fewer, because its transforms take time too.
    fn winograd(&self) -> bool {
        let ConvOptions { stride, padding, dilation, groups } = self.options;
        (self.kernel, stride, dilation, groups) == ([3; 2], [1; 2], [1; 2], 1)
            && padding.as_flattened().iter().all(|side| *side <= 2)
            && self.inputs.is_multiple_of(8)
            && self.outputs.is_multiple_of(8)
            && 3 * winograd::frequencies(self.size) < 2 * self.size[0] * self.size[1] * self.seen
    }

    /// The convolution, up to the flip of the kernel, that carries gradients from the result to the image, if that is
    /// one for Winograd's algorithm.
    fn reversed(&self) -> Option<Self> {
        if !self.winograd() {
            return None;
        }
        let padding = [0, 1].map(|axis| self.options.padding[axis].map(|side| self.kernel[axis] - 1 - side));
        let options = ConvOptions { padding, ..self.options };
        let [inputs, outputs] = [self.outputs, self.inputs];
        Some(Self { image: self.size, size: self.image, inputs, outputs, options, ..*self }).filter(Self::winograd)
    }

    fn forward(
        &self,
        simd: Simd,
        x: &[f32],
        weight: &[f32],
        bias: Option<&[f32]>,
        residual: Option<&[f32]>,
    ) -> Vec<f32> {
        if self.winograd() {
            winograd::forward(simd, self, x, winograd::Taps::of(weight, self), bias, residual)
        } else if self.strided() {
            strided::forward(simd, self, x, weight, bias, residual)
        } else if self.few() {
            few::forward(simd, self, x, weight, bias, residual)
        } else if let Some(turned) = self.turned() {
            turned::forward(simd, (self, &turned), x, weight, bias, residual)
        } else {
            direct::forward(simd, self, x, weight, bias, residual)
        }
    }

    /// The gradient of the image from that of the result.
    fn image_gradient(&self, simd: Simd, y: &[f32], weight: &[f32]) -> Vec<f32> {
        match self.reversed() {
            Some(reversed) => winograd::forward(simd, &reversed, y, winograd::Taps::reversed(weight, self), None, None),
            None if self.strided() => strided::image_gradient(simd, self, y, weight),
            None if self.few() => few::image_gradient(simd, self, y, weight),
            None => match self.turned() {
                Some(turned) => turned::image_gradient(simd, (self, &turned), y, weight),
                None => direct::image_gradient(simd, self, y, weight),
            },
        }
    }

    /// The gradient of the weight from that of the result.
    fn weight_gradient(&self, simd: Simd, x: &[f32], y: &[f32]) -> Vec<f32> {
        if self.winograd() {
            winograd::weight_gradient(simd, self, x, y)
        } else if self.strided() {
            strided::weight_gradient(simd, self, x, y)
        } else if self.few() {
            few::weight_gradient(simd, self, x, y)
        } else if let Some(turned) = self.turned() {
            turned::weight_gradient(simd, (self, &turned), x, y)
        } else {
            direct::weight_gradient(simd, self, x, y)
        }
    }
}

/// The distance between frequencies that hold `numbers` each: an odd number of cache lines, because the places of one
/// tile would share a few sets of the first-level cache and drive each other out of it.
fn apart(numbers: usize) -> usize {
    const LINE: usize = 16;
    (numbers.div_ceil(LINE) | 1) * LINE
}

/// The operands, contiguous.
#[derive(Clone, Debug)]
struct Convolution {
    x: FlexTensor,
    weight: FlexTensor,
    geometry: Geometry,
    simd: Simd,
}

impl Convolution {
    fn new(x: FlexTensor, weight: FlexTensor, simd: Simd, seen: usize, options: ConvOptions) -> Self {
        let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
        let (shape, weight_shape) = (x.shape(), weight.shape());
        let (image, kernel) = ([shape[1], shape[2]], [weight_shape[2], weight_shape[3]]);
        let size = options.output_size(image, kernel).expect("sizes were checked at the door");
        let (batch, inputs, outputs) = (shape[0], shape[3], weight_shape[0]);
        Self { x, weight, geometry: Geometry { batch, image, inputs, outputs, kernel, seen, size, options }, simd }
    }

    fn forward(&self, bias: Maybe<Flex>, residual: Maybe<Flex>) -> FlexTensor {
        let (bias, residual) = (bias.contiguous(), residual.contiguous());
        let (bias, residual) = (bias.as_ref().map(flex::slice), residual.as_ref().map(flex::slice));
        let (x, weight) = (flex::slice(&self.x), flex::slice(&self.weight));
        let geometry = &self.geometry;
        let y = geometry.forward(self.simd, x, weight, bias, residual);
        flex::tensor(y, [geometry.batch, geometry.size[0], geometry.size[1], geometry.outputs])
    }
}

impl Backward<Flex, 4> for Convolution {
    type State = ();

    fn backward(self, ops: Ops<(), 4>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let Self { x, weight, geometry, simd } = &self;
        let [parent_x, parent_weight, parent_bias, parent_residual] =
            ops.parents.map(|parent| parent.map(|node| node.id));
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let y = flex::slice(&gradient);
        flex::register(gradients, parent_x, || {
            flex::tensor(geometry.image_gradient(*simd, y, flex::slice(weight)), x.shape())
        });
        flex::register(gradients, parent_weight, || {
            flex::tensor(geometry.weight_gradient(*simd, flex::slice(x), y), weight.shape())
        });
        flex::register(gradients, parent_bias, || {
            flex::tensor(gemm::column_sums(*simd, y, geometry.outputs), [geometry.outputs])
        });
        flex::register(gradients, parent_residual, || gradient.clone());
    }
}
