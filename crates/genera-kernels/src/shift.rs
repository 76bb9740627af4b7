//! A vector of its own for every sample, added to all of the sample's pixels: how a time enters a network of images.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use crate::simd::{Simd, parallel, vectorised};
use crate::{flex, plain};

/// `x + shift` with the shift of a sample at each of its pixels: `[B, H, W, C]`, `[B, C] -> [B, H, W, C]`.
///
/// # Panics
/// If the shapes do not fit.
pub fn shift_pixels(x: Tensor<4>, shift: Tensor<2>) -> Tensor<4> {
    let [batch, _, _, channels] = x.dims();
    assert_eq!(shift.dims(), [batch, channels], "shift_pixels: one shift for each sample and channel");
    match flex::simd(&x) {
        Some(simd) => Tensor::from_dispatch(<Dispatch as ShiftKernel>::shift_pixels(
            x.into_dispatch(),
            shift.into_dispatch(),
            simd,
        )),
        None => plain::shift_pixels(x, shift),
    }
}

#[backend_extension(Autodiff, Flex)]
pub(crate) trait ShiftKernel: Backend {
    fn shift_pixels(x: FloatTensor<Self>, shift: FloatTensor<Self>, simd: Simd) -> FloatTensor<Self>;
}

impl ShiftKernel for Flex {
    /// In place, unless somebody else holds the image.
    fn shift_pixels(x: FlexTensor, shift: FlexTensor, simd: Simd) -> FlexTensor {
        let [batch, height, width, channels] = x.shape().dims();
        let (mut y, shift) = (flex::owned(x), shift.to_contiguous());
        let (shift, sample) = (flex::slice(&shift), height * width * channels);
        parallel::chunks(y.storage_mut::<f32>(), sample, batch * sample, |index, y| {
            add(simd, &shift[index * channels..][..channels], y);
        });
        y
    }
}

impl<C: CheckpointStrategy> ShiftKernel for Autodiff<Flex, C> {
    fn shift_pixels(x: FloatTensor<Self>, shift: FloatTensor<Self>, simd: Simd) -> FloatTensor<Self> {
        let ((x, node_x), (shift, node_shift)) = (x.into_parts(), shift.into_parts());
        let y = Flex::shift_pixels(x, shift, simd);
        match Shift(simd).prepare::<C>([node_x, node_shift]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}

#[derive(Debug)]
struct Shift(Simd);

impl Backward<Flex, 2> for Shift {
    type State = ();

    fn backward(self, ops: Ops<(), 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let [x, shift] = ops.parents.map(|parent| parent.map(|node| node.id));
        flex::register(gradients, shift, || {
            let [batch, height, width, channels] = gradient.shape().dims();
            let (from, sample) = (flex::slice(&gradient), height * width * channels);
            let mut sums = vec![0.0; batch * channels];
            parallel::chunks(&mut sums, channels, batch * sample, |index, sums| {
                sum(self.0, &from[index * sample..][..sample], sums);
            });
            flex::tensor(sums, [batch, channels])
        });
        flex::register(gradients, x, || gradient);
    }
}

vectorised! {
    fn add(shift: &[f32], y: &mut [f32]) {
        for pixel in y.chunks_exact_mut(shift.len().max(1)) {
            pixel.iter_mut().zip(shift).for_each(|(y, shift)| *y += shift);
        }
    }

    fn sum(from: &[f32], sums: &mut [f32]) {
        for pixel in from.chunks_exact(sums.len().max(1)) {
            sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += value);
        }
    }
}
