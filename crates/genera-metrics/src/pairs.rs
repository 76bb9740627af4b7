//! Blocks of pairs: inner products and squared distances between a few rows of two sets, in bounded memory.
//!
//! ‖x − y‖² is summed directly in low dimension, and is ‖x‖² + ‖y‖² − 2 x·y in high dimension, where a matrix product
//! is many times faster. The second form cancels: its error is at most `slack · (‖x‖² + ‖y‖²)`, with the classical
//! bound of rounding γ_d = d u. Where a decision hangs on a distance (neighbours, balls), the blocks only exclude the
//! pairs that are certainly too far, and the rest are summed directly; so decisions never depend on the fast form.

use std::borrow::Cow;
use std::ops::Range;

use faer::linalg::matmul::matmul;
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

    /// Visits the pairs `(i, j)` whose squared distance is at most `limit(i, j)`, with that distance summed directly.
    /// `visit` may lower later limits through `state`.
    pub(crate) fn visit_within<S>(
        &self,
        other: &Self,
        buffer: &mut Vec<f64>,
        state: &mut S,
        limit: impl Fn(&S, usize, usize) -> f64,
        mut visit: impl FnMut(&mut S, usize, usize, f64),
    ) {
        let slack = if self.d <= DIRECT { 0.0 } else { (2 * self.d + 8) as f64 * f64::EPSILON };
        let distances = self.squared_distances(other, buffer);
        for (i, (row, x2)) in distances.chunks_exact(other.len()).zip(&self.norms).enumerate() {
            for (j, (distance, y2)) in row.iter().zip(&other.norms).enumerate() {
                let bound = limit(state, i, j);
                if distance - slack * (x2 + y2) <= bound {
                    let exact = squared_distance(self.row(i), other.row(j));
                    if exact <= bound {
                        visit(state, i, j, exact);
                    }
                }
            }
        }
    }
}

/// ‖x − y‖², summed in order.
pub(crate) fn squared_distance(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| (a - b) * (a - b)).fold(0.0, |sum, term| sum + term)
}

/// `out = a b`, row-major, on the calling thread.
pub(crate) fn product(a: MatRef<'_, f64>, b: MatRef<'_, f64>, out: &mut [f64]) {
    let out = MatMut::from_row_major_slice_mut(out, a.nrows(), b.ncols());
    matmul(out, Accum::Replace, a, b, 1.0, Par::Seq);
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
            // Row 10 is on both sides: its distance to itself is visited as an exact zero.
            let mut zeros = Vec::new();
            x.visit_within(&y, &mut buffer, &mut zeros, |_, _, _| 0.0, |zeros, i, j, _| zeros.push((i, j)));
            assert_eq!(zeros, [(10, 0), (11, 1), (12, 2), (13, 3), (14, 4)], "d = {d}");
        }
    }

    #[test]
    fn pieces_cover_once() {
        let cut: Vec<_> = pieces(10, 4).collect();
        assert_eq!(cut, [0..4, 4..8, 8..10]);
    }
}
