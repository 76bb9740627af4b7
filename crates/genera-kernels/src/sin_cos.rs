//! Sines and cosines of angles, both from one reduction of the argument.

use burn::backend::Flex;
use burn::tensor::Tensor;

use crate::simd::{math, parallel, vectorised};
use crate::{flex, plain};

/// `(sin x, cos x)` of every element. The kernel serves angles without autodiff, as times are: what carries gradients is
/// left to the plain expression. The error is at most 2e-7 for `|x|` up to 8192, and grows in proportion beyond.
pub fn sin_cos<const D: usize>(x: Tensor<D>) -> (Tensor<D>, Tensor<D>) {
    let Some(simd) = flex::simd(&x).filter(|_| !x.device().is_autodiff()) else {
        return plain::sin_cos(x);
    };
    let shape = x.dims();
    let x = flex::plain(x).to_contiguous();
    let from = flex::slice(&x);
    let [mut sin, mut cos] = [(); 2].map(|()| flex::unwritten(from.len()));
    let parts = [(&mut sin[..], CHUNK), (&mut cos[..], CHUNK)];
    parallel::chunks_together(parts, WORK * from.len(), |i, [sin, cos]| both(simd, &from[i * CHUNK..], sin, cos));
    let [sin, cos] = [sin, cos].map(|values| Tensor::from_primitive::<Flex>(flex::tensor(values, shape)));
    (sin, cos)
}

/// Elements that one task computes.
const CHUNK: usize = 8 << 10;
/// Elementary operations of one element, for the decision whether threads are worth it.
const WORK: usize = 32;

vectorised! {
    fn both(x: &[f32], sin: &mut [f32], cos: &mut [f32]) {
        for ((x, sin), cos) in x.iter().zip(sin).zip(cos) {
            (*sin, *cos) = math::sin_cos(*x);
        }
    }
}
