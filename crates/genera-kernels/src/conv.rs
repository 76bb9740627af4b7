//! Two-dimensional convolution of images in NHWC.

use burn::tensor::Tensor;

use crate::plain;

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
    plain::conv2d(x, weight, bias, residual, options)
}
