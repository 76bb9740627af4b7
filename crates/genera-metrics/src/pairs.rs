//! Blocks of pairs: inner products and squared distances between a few rows of two sets, in bounded memory.
//!
//! ‖x − y‖² is summed directly in low dimension, and is ‖x‖² + ‖y‖² − 2 x·y in high dimension, where a matrix product
//! is many times faster. The second form cancels: its error is at most `(2d + 8) u (‖x‖² + ‖y‖²)`. Sums over pairs do
//! not mind; decisions that hang on a distance (neighbours, balls) are made by [`near`](crate::near).

use std::borrow::Cow;
use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::traits::ComplexField;
use faer::{Accum, MatMut, MatRef, Par};

use crate::Points;

/// Rows of the left side of a block. Blocks have fixed sizes, so results do not depend on the number of threads.
pub(crate) const LEFT: usize = 128;
/// Rows of the right side of a block: 128 x 512 numbers are half a megabyte, which a core's cache holds.
pub(crate) const RIGHT: usize = 512;
/// Up to this many columns, direct sums are faster than matrix products.
const DIRECT: usize = 16;

/// `0..n` cut into pieces of at most `size`.
pub(crate) fn pieces(n: usize, size: usize) -> impl ExactSizeIterator<Item = Range<usize>> {
    (0..n.div_ceil(size)).map(move |piece| piece * size..((piece + 1) * size).min(n))
}

/// Some rows of a set, in double precision, with their squared norms.
pub(crate) struct Rows<'a> {
    values: Cow<'a, [f64]>,
    norms: Vec<f64>,
    d: usize,
}

impl<'a> Rows<'a> {
    pub(crate) fn of(points: &Points<'a>, range: Range<usize>) -> Self {
        let (values, d) = (points.rows(range), points.d());
        let norms = values.chunks_exact(d).map(|row| row.iter().map(|v| v * v).sum()).collect();
        Self { values, norms, d }
    }

    pub(crate) fn len(&self) -> usize {
        self.norms.len()
    }

    pub(crate) fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.d..(i + 1) * self.d]
    }

    fn matrix(&self) -> MatRef<'_, f64> {
        MatRef::from_row_major_slice(&self.values, self.len(), self.d)
    }

    /// x_i · y_j into `out`, row-major `[x, y]`.
    pub(crate) fn products<'o>(&self, other: &Self, out: &'o mut Vec<f64>) -> &'o mut [f64] {
        out.resize(self.len() * other.len(), 0.0);
        product(self.matrix(), other.matrix().transpose(), out);
        out
    }

    /// ‖x_i − y_j‖² into `out`, row-major `[x, y]`; never negative.
    pub(crate) fn squared_distances<'o>(&self, other: &Self, out: &'o mut Vec<f64>) -> &'o mut [f64] {
        if self.d <= DIRECT {
            return self.direct(other, out);
        }
        let out = self.products(other, out);
        for (row, x2) in out.chunks_exact_mut(other.len()).zip(&self.norms) {
            row.iter_mut().zip(&other.norms).for_each(|(xy, y2)| *xy = (x2 + y2 - 2.0 * *xy).max(0.0));
        }
        out
    }

    /// Column by column, so that the inner loop runs over pairs; each pair adds in the order of [`squared_distance`].
    fn direct<'o>(&self, other: &Self, out: &'o mut Vec<f64>) -> &'o mut [f64] {
        out.clear();
        out.resize(self.len() * other.len(), 0.0);
        for column in 0..self.d {
            let right: Vec<f64> = other.values.iter().skip(column).step_by(self.d).copied().collect();
            for (row, x) in out.chunks_exact_mut(other.len()).zip(self.values.iter().skip(column).step_by(self.d)) {
                row.iter_mut().zip(&right).for_each(|(sum, y)| *sum += (x - y) * (x - y));
            }
        }
        out
    }
}

/// ‖x − y‖²: in order of up to 16 columns, in eight interleaved sums of more.
pub(crate) fn squared_distance(x: &[f64], y: &[f64]) -> f64 {
    let term = |(a, b): (&f64, &f64)| (a - b) * (a - b);
    if x.len() <= DIRECT {
        return x.iter().zip(y).map(term).fold(0.0, |sum, term| sum + term);
    }
    let (x, y) = (x.as_chunks::<8>(), y.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (x, y) in x.0.iter().zip(y.0) {
        sums.iter_mut().zip(x.iter().zip(y)).for_each(|(sum, pair)| *sum += term(pair));
    }
    sums.iter().sum::<f64>() + x.1.iter().zip(y.1).map(term).sum::<f64>()
}

/// `out = a b`, row-major, on the calling thread.
pub(crate) fn product<T: ComplexField>(a: MatRef<'_, T>, b: MatRef<'_, T>, out: &mut [T]) {
    let out = MatMut::from_row_major_slice_mut(out, a.nrows(), b.ncols());
    matmul(out, Accum::Replace, a, b, T::one_impl(), Par::Seq);
}

#[cfg(test)]
mod tests {
    use super::*;
    use genera_rng::Rng;

    #[test]
    fn fast_distances_keep_their_bound() {
        for d in [1, 2, 16, 17, 64, 500] {
            let mut rng = Rng::new(d as u64);
            // A large common offset makes the cancellation as bad as it gets.
            let values: Vec<f64> = rng.normal(40, d).iter().map(|v| f64::from(*v) / 3.0 + 100.0).collect();
            let points = Points::new(&values, 40, d).unwrap();
            let (x, y) = (Rows::of(&points, 0..15), Rows::of(&points, 10..40));
            let mut buffer = Vec::new();
            let fast = x.squared_distances(&y, &mut buffer).to_vec();
            for i in 0..15 {
                for j in 0..30 {
                    let exact = squared_distance(x.row(i), y.row(j));
                    let slack = (2 * d + 8) as f64 * f64::EPSILON * (x.norms[i] + y.norms[j]);
                    assert!((fast[i * 30 + j] - exact).abs() <= slack, "d = {d}");
                    assert!(d > DIRECT || fast[i * 30 + j] == exact, "d = {d}");
                }
            }
        }
    }

    #[test]
    fn pieces_cover_once() {
        let cut: Vec<_> = pieces(10, 4).collect();
        assert_eq!(cut, [0..4, 4..8, 8..10]);
    }
}
