//! Two images in NHWC side by side in their channels.
//!
//! A copy, and two copies back; worth a kernel because they are large, and the tensor library makes them on one thread.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use crate::simd::parallel;
use crate::{flex, plain};

/// The channels of `a`, then those of `b`: `[B, H, W, C]`, `[B, H, W, D] -> [B, H, W, C + D]`.
///
/// # Panics
/// If the images have different sizes.
pub fn join_channels(a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    assert_eq!(a.dims()[..3], b.dims()[..3], "join_channels: the images must have the same size");
    match flex::simd(&a) {
        Some(_) => Tensor::from_dispatch(<Dispatch as JoinKernel>::join_channels(a.into_dispatch(), b.into_dispatch())),
        None => plain::join_channels(a, b),
    }
}

#[backend_extension(Autodiff, Flex)]
pub(crate) trait JoinKernel: Backend {
    fn join_channels(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl JoinKernel for Flex {
    fn join_channels(a: FlexTensor, b: FlexTensor) -> FlexTensor {
        let (a, b) = (a.to_contiguous(), b.to_contiguous());
        let ([batch, height, width, left], right) = (a.shape().dims(), b.shape().dims::<4>()[3]);
        let shape = [batch, height, width, left + right];
        let mut y = flex::unwritten(shape.iter().product());
        let (a, b, work) = (flex::slice(&a), flex::slice(&b), 2 * y.len());
        parallel::chunks(&mut y, PIXELS * (left + right), work, |task, y| {
            for (pixel, y) in (task * PIXELS..).zip(y.chunks_exact_mut(left + right)) {
                y[..left].copy_from_slice(&a[pixel * left..][..left]);
                y[left..].copy_from_slice(&b[pixel * right..][..right]);
            }
        });
        flex::tensor(y, shape)
    }
}

impl<C: CheckpointStrategy> JoinKernel for Autodiff<Flex, C> {
    fn join_channels(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        let ((a, node_a), (b, node_b)) = (a.into_parts(), b.into_parts());
        let channels = [&a, &b].map(|image| image.shape()[3]);
        let y = Flex::join_channels(a, b);
        match Join.prepare::<C>([node_a, node_b]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(channels, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}

#[derive(Debug)]
struct Join;

impl Backward<Flex, 2> for Join {
    /// Channels of both.
    type State = [usize; 2];

    fn backward(self, ops: Ops<[usize; 2], 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let [left, right] = ops.state;
        let [a, b] = ops.parents.map(|parent| parent.map(|node| node.id));
        flex::register(gradients, a, || channels_of(&gradient, 0, left));
        flex::register(gradients, b, || channels_of(&gradient, left, right));
    }
}

/// So many channels of an image, from `first` on.
fn channels_of(image: &FlexTensor, first: usize, channels: usize) -> FlexTensor {
    let [batch, height, width, all] = image.shape().dims();
    let shape = [batch, height, width, channels];
    let mut y = flex::unwritten(shape.iter().product());
    let (from, work) = (flex::slice(image), 2 * y.len());
    parallel::chunks(&mut y, PIXELS * channels, work, |task, y| {
        for (pixel, y) in (task * PIXELS..).zip(y.chunks_exact_mut(channels)) {
            y.copy_from_slice(&from[pixel * all + first..][..channels]);
        }
    });
    flex::tensor(y, shape)
}

/// Pixels that one task copies.
const PIXELS: usize = 512;
