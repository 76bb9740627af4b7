//! Halving and doubling of images in NHWC. Each is, up to a factor, the gradient of the other.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use crate::simd::{Simd, parallel, vectorised};
use crate::{flex, plain};

/// The mean of every 2 x 2 block, a last odd row or column left out: `[B, H, W, C] -> [B, H/2, W/2, C]`.
pub fn avg_pool2x2(x: Tensor<4>) -> Tensor<4> {
    match flex::simd(&x) {
        Some(simd) => resample(x, simd, Change::Halve),
        None => plain::avg_pool2x2(x),
    }
}

/// Every pixel repeated in a 2 x 2 block: `[B, H, W, C] -> [B, 2H, 2W, C]`.
pub fn upsample_nearest2x(x: Tensor<4>) -> Tensor<4> {
    match flex::simd(&x) {
        Some(simd) => resample(x, simd, Change::Double),
        None => plain::upsample_nearest2x(x),
    }
}

fn resample(x: Tensor<4>, simd: Simd, change: Change) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as ResampleKernel>::resample(x.into_dispatch(), simd, change))
}

/// What happens to height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Halve,
    Double,
}

#[backend_extension(Autodiff, Flex)]
pub(crate) trait ResampleKernel: Backend {
    fn resample(x: FloatTensor<Self>, simd: Simd, change: Change) -> FloatTensor<Self>;
}

impl ResampleKernel for Flex {
    fn resample(x: FlexTensor, simd: Simd, change: Change) -> FlexTensor {
        let [batch, height, width, channels] = x.shape().dims();
        match change {
            Change::Halve => sums(simd, &x.to_contiguous(), [batch, height / 2, width / 2, channels], 0.25),
            Change::Double => copies(simd, &x.to_contiguous(), [batch, 2 * height, 2 * width, channels], 1.0),
        }
    }
}

impl<C: CheckpointStrategy> ResampleKernel for Autodiff<Flex, C> {
    fn resample(x: FloatTensor<Self>, simd: Simd, change: Change) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        let shape = x.shape().dims();
        let y = Flex::resample(x, simd, change);
        match Step(simd, change).prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(shape, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}

#[derive(Debug)]
struct Step(Simd, Change);

impl Backward<Flex, 1> for Step {
    /// The shape of the argument.
    type State = [usize; 4];

    fn backward(self, ops: Ops<[usize; 4], 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let [parent] = ops.parents.map(|parent| parent.map(|node| node.id));
        flex::register(gradients, parent, || match self.1 {
            Change::Halve => copies(self.0, &gradient, ops.state, 0.25),
            Change::Double => sums(self.0, &gradient, ops.state, 1.0),
        });
    }
}

/// `factor` times the sum of every 2 x 2 block, to `shape`.
fn sums(simd: Simd, x: &FlexTensor, shape: [usize; 4], factor: f32) -> FlexTensor {
    let [_, height, width, channels] = x.shape().dims();
    let from = flex::slice(x);
    let line = shape[2] * channels;
    let mut y = flex::unwritten(shape.iter().product());
    let work = 4 * y.len();
    parallel::chunks(&mut y, LINES * line, work, |task, y| {
        for (row, y) in (task * LINES..).zip(y.chunks_exact_mut(line)) {
            let top = (row / shape[1] * height + row % shape[1] * 2) * width * channels;
            sum_line(simd, &from[top..], &from[top + width * channels..], channels, factor, y);
        }
    });
    flex::tensor(y, shape)
}

/// `factor` times every pixel, four times, to `shape`; zeros in a last odd row or column.
fn copies(simd: Simd, x: &FlexTensor, shape: [usize; 4], factor: f32) -> FlexTensor {
    let [_, height, width, channels] = x.shape().dims();
    let from = flex::slice(x);
    let line = shape[2] * channels;
    let mut y = flex::unwritten(shape.iter().product());
    let work = 2 * y.len();
    parallel::chunks(&mut y, LINES * line, work, |task, y| {
        for (row, y) in (task * LINES..).zip(y.chunks_exact_mut(line)) {
            let (sample, row) = (row / shape[1], row % shape[1] / 2);
            if row < height {
                let from = &from[(sample * height + row) * width * channels..][..width * channels];
                copy_line(simd, from, channels, factor, y);
            } else {
                y.fill(0.0);
            }
        }
    });
    flex::tensor(y, shape)
}

/// Lines of the result that one task computes.
const LINES: usize = 8;

vectorised! {
    fn sum_line(top: &[f32], bottom: &[f32], channels: usize, factor: f32, y: &mut [f32]) {
        for (pixel, y) in y.chunks_exact_mut(channels).enumerate() {
            let at = 2 * pixel * channels;
            let (a, b) = (&top[at..at + channels], &top[at + channels..at + 2 * channels]);
            let (c, d) = (&bottom[at..at + channels], &bottom[at + channels..at + 2 * channels]);
            for i in 0..channels {
                y[i] = ((a[i] + b[i]) + (c[i] + d[i])) * factor;
            }
        }
    }

    fn copy_line(from: &[f32], channels: usize, factor: f32, y: &mut [f32]) {
        let pixels = from.len() / channels;
        for (pixel, y) in y.chunks_exact_mut(channels).enumerate() {
            if pixel / 2 < pixels {
                y.iter_mut().zip(&from[pixel / 2 * channels..]).for_each(|(y, x)| *y = x * factor);
            } else {
                y.fill(0.0);
            }
        }
    }
}
