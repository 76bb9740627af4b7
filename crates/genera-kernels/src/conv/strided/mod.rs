//! Convolution with stride two by minimal filtering of phases: Lavin and Gray, "Fast Algorithms for Convolutional Neural
//! Networks" (arXiv:1509.09308), after Winograd, "Arithmetic Complexity of Computations" (1980).
//!
//! Along an axis, the even taps of the kernel meet one half of the image and the odd taps the other: a kernel of four taps
//! is the sum of two correlations of two taps with stride one. Those have minimal filtering F(4, 2) and F(3, 2), four
//! outputs with five multiplications and three with four. Tiles of both lengths cover an axis (7 = 4 + 3), in
//!
//! ```text
//! Y = Σ over phases  Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A  =  Aᵀ [ Σ (G g Gᵀ) ⊙ (Bᵀ d B) ] A
//! ```
//!
//! so that each frequency is one matrix product over phases and channels. The lengths share their `G`, hence weights and
//! products, but for one frequency. A kernel of three taps is one of four whose last is zero: its odd phase has no
//! frequency at infinity, which saves its multiplications too. 4 x 4 kernels need about 2.4 times fewer multiplications
//! than the direct form, and 3 x 3 ones 1.7 times.
//!
//! The gradients are the same algorithm read backwards: that of the image is `B [ (G g Gᵀ) ⊙ (A Ȳ Aᵀ) ] Bᵀ`, added where
//! tiles overlap, and that of the weight `Gᵀ [ Σ (Bᵀ d B) ⊙ (A Ȳ Aᵀ) ] G`, a sum over tiles in a fixed order.

mod pack;
mod passes;
mod plan;
mod transform;

use super::Geometry;
use crate::simd::Simd;
use crate::simd::lanes::{Eight, Lanes, Sixteen};
use plan::Plan;

/// Numbers that the transformed tiles of one sample may have: samples are not divided.
const MOST: usize = 4 << 20;

impl Geometry {
    /// Whether these kernels apply and are a gain.
    pub(super) fn strided(&self) -> bool {
        let (taps, points) = (self.kernel[0] * self.kernel[1], self.size[0] * self.size[1]);
        let gains = |plan: Plan| 5 * plan.products() < 4 * points * taps && plan.numbers() <= MOST;
        self.options.stride == [2; 2]
            && (self.kernel == [3; 2] || self.kernel == [4; 2])
            && (self.seen, self.options.dilation, self.options.groups) == (taps, [1; 2], 1)
            && self.inputs.is_multiple_of(8)
            && self.outputs.is_multiple_of(8)
            && gains(Plan::new(self))
    }
}

/// Whether channels can be transformed sixteen at a time.
fn by_sixteen(simd: Simd, geometry: &Geometry) -> bool {
    let sixteen = |channels: usize| channels.is_multiple_of(Sixteen::LEN);
    simd.wide() && sixteen(geometry.inputs) && sixteen(geometry.outputs)
}

/// See [`conv2d`](crate::conv2d).
pub(super) fn forward(
    simd: Simd,
    geometry: &Geometry,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
) -> Vec<f32> {
    if by_sixteen(simd, geometry) {
        passes::forward::<Sixteen>(simd, geometry, x, weight, bias, residual)
    } else {
        passes::forward::<Eight>(simd, geometry, x, weight, bias, residual)
    }
}

/// The gradient of the image from that of the result.
pub(super) fn image_gradient(simd: Simd, geometry: &Geometry, gradient: &[f32], weight: &[f32]) -> Vec<f32> {
    if by_sixteen(simd, geometry) {
        passes::image_gradient::<Sixteen>(simd, geometry, gradient, weight)
    } else {
        passes::image_gradient::<Eight>(simd, geometry, gradient, weight)
    }
}

/// The gradient of the weight, `[O, I, k, k]`, from that of the result.
pub(super) fn weight_gradient(simd: Simd, geometry: &Geometry, x: &[f32], gradient: &[f32]) -> Vec<f32> {
    if by_sixteen(simd, geometry) {
        passes::weight_gradient::<Sixteen>(simd, geometry, x, gradient)
    } else {
        passes::weight_gradient::<Eight>(simd, geometry, x, gradient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::ConvOptions;

    /// Tiles of both lengths, also over the edge, channels for vectors of eight and of sixteen: the same bits with and
    /// without AVX-512, and for a sample alone.
    #[test]
    fn wide_vectors_and_batches_change_no_bit() {
        let Some(simd) = Simd::detect() else { return };
        for (kernel, image, [inputs, outputs]) in
            [(3, [14, 11], [16, 48]), (4, [14, 17], [32, 16]), (3, [9, 6], [8, 24]), (4, [6, 14], [8, 8])]
        {
            let options = ConvOptions { stride: [2; 2], padding: [[1; 2]; 2], ..ConvOptions::default() };
            let size = options.output_size(image, [kernel; 2]).unwrap();
            let (batch, seen) = (50, kernel * kernel);
            let geometry = Geometry { batch, image, inputs, outputs, kernel: [kernel; 2], seen, size, options };
            let normal = |n, seed| genera_rng::Rng::new(seed).normal(1, n);
            let (pixels, points) = (image[0] * image[1] * inputs, size[0] * size[1] * outputs);
            let (x, y) = (normal(batch * pixels, 1), normal(batch * points, 2));
            let (weight, bias) = (normal(seen * inputs * outputs, 3), normal(outputs, 4));
            let results = |simd| {
                let result = forward(simd, &geometry, &x, &weight, Some(&bias), Some(&y));
                let image = image_gradient(simd, &geometry, &y, &weight);
                (result, image, weight_gradient(simd, &geometry, &x, &y))
            };
            let all = results(simd);
            assert_eq!(all, results(simd.narrow()), "{inputs} to {outputs} channels");
            let one = Geometry { batch: 1, ..geometry };
            let last = batch - 1;
            let (x, y) = (&x[last * pixels..], &y[last * points..]);
            assert_eq!(forward(simd, &one, x, &weight, Some(&bias), Some(y)), &all.0[last * points..]);
            assert_eq!(image_gradient(simd, &one, y, &weight), &all.1[last * pixels..]);
        }
    }
}
