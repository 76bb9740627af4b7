//! Convolution to few channels: with stride one it is the adjoint of a convolution of few channels whose kernel is
//! turned around, for which there is [`few`].

use super::{ConvOptions, Geometry, few};
use crate::simd::{Simd, vectorised};

impl Geometry {
    /// The convolution of few channels that this one is the adjoint of, if there is one.
    pub(super) fn turned(&self) -> Option<Self> {
        if self.options.stride != [1; 2] || self.inputs < 8 || self.seen == 0 {
            return None;
        }
        let mut padding = [[0; 2]; 2];
        for (axis, sides) in padding.iter_mut().enumerate() {
            let reach = self.options.dilation[axis] * (self.kernel[axis] - 1);
            for (side, padding) in sides.iter_mut().zip(self.options.padding[axis]) {
                *side = reach.checked_sub(padding)?;
            }
        }
        let options = ConvOptions { padding, ..self.options };
        let (inputs, outputs, seen) = (self.outputs, self.inputs, self.kernel[0] * self.kernel[1]);
        Some(Self { image: self.size, size: self.image, inputs, outputs, seen, options, ..*self }).filter(Self::few)
    }

    /// `[O, I, taps]` as `[I, O, taps]` with the taps in reverse order, those that are not seen zero; or the other way.
    fn turn(&self, weight: &[f32], [first, second]: [usize; 2], seen: impl Fn(usize) -> bool) -> Vec<f32> {
        let taps = self.kernel[0] * self.kernel[1];
        let element = |at: usize| {
            let (i, o, tap) = (at / (first * taps), at / taps % first, taps - 1 - at % taps);
            if seen(tap) { weight[(o * second + i) * taps + tap] } else { 0.0 }
        };
        (0..first * second * taps).map(element).collect()
    }
}

/// See [`conv2d`](crate::conv2d).
pub(super) fn forward(
    simd: Simd,
    (geometry, turned): (&Geometry, &Geometry),
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
) -> Vec<f32> {
    let weight = geometry.turn(weight, [geometry.outputs, geometry.inputs], |tap| tap < geometry.seen);
    let mut y = few::image_gradient(simd, turned, x, &weight);
    if let Some(bias) = bias {
        add_to_rows(simd, &mut y, bias);
    }
    if let Some(residual) = residual {
        y.iter_mut().zip(residual).for_each(|(y, residual)| *y += residual);
    }
    y
}

/// The gradient of the image from that of the result.
pub(super) fn image_gradient(
    simd: Simd,
    (geometry, turned): (&Geometry, &Geometry),
    gradient: &[f32],
    weight: &[f32],
) -> Vec<f32> {
    let weight = geometry.turn(weight, [geometry.outputs, geometry.inputs], |tap| tap < geometry.seen);
    few::forward(simd, turned, gradient, &weight, None, None)
}

/// The gradient of the weight from that of the result.
pub(super) fn weight_gradient(
    simd: Simd,
    (geometry, turned): (&Geometry, &Geometry),
    x: &[f32],
    gradient: &[f32],
) -> Vec<f32> {
    let weight = few::weight_gradient(simd, turned, gradient, x);
    let last = geometry.kernel[0] * geometry.kernel[1] - 1;
    geometry.turn(&weight, [geometry.inputs, geometry.outputs], |tap| last - tap < geometry.seen)
}

vectorised! {
    /// Adds a row to every row.
    pub(super) fn add_to_rows(values: &mut [f32], row: &[f32]) {
        for values in values.chunks_exact_mut(row.len().max(1)) {
            values.iter_mut().zip(row).for_each(|(value, x)| *value += x);
        }
    }
}
