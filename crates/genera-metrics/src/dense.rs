//! Products of large matrices in parallel, by stripes of columns: the bits do not depend on the number of threads.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Columns that one task fills.
const STRIPE: usize = 128;

/// a b.
pub(crate) fn product(a: MatRef<'_, f64>, b: &Mat<f64>) -> Mat<f64> {
    by_stripes(a.nrows(), b.ncols(), |first, out| {
        let b = b.as_ref().subcols(first, out.ncols());
        matmul(out, Accum::Replace, a, b, 1.0, Par::Seq);
    })
}

/// a aᵀ on and below the diagonal; what is above is not to be read.
pub(crate) fn lower_of_square(a: MatRef<'_, f64>) -> Mat<f64> {
    let n = a.nrows();
    by_stripes(n, n, |first, out| {
        let (out, width) = (out.subrows_mut(first, n - first), a.subrows(first, (n - first).min(STRIPE)));
        matmul(out, Accum::Replace, a.subrows(first, n - first), width.transpose(), 1.0, Par::Seq);
    })
}

/// `fill(first, stripe)` is given the columns from `first` on.
fn by_stripes(rows: usize, columns: usize, fill: impl Fn(usize, MatMut<'_, f64>) + Sync) -> Mat<f64> {
    let mut values = vec![0.0; rows * columns];
    values.par_chunks_mut((STRIPE * rows).max(1)).enumerate().for_each(|(stripe, values)| {
        let width = values.len() / rows;
        fill(stripe * STRIPE, MatMut::from_column_major_slice_mut(values, rows, width));
    });
    MatRef::from_column_major_slice(&values, rows, columns).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use genera_rng::Rng;

    #[test]
    fn stripes_give_the_product() {
        for (n, k, m) in [(1, 1, 1), (3, 200, 5), (300, 7, 140)] {
            let matrix = |seed, rows: usize, columns: usize| {
                let values = Rng::new(seed).normal(rows, columns);
                Mat::<f64>::from_fn(rows, columns, |i, j| f64::from(values[i * columns + j]))
            };
            let (a, b) = (matrix(1, n, k), matrix(2, k, m));
            assert!((product(a.as_ref(), &b) - &a * &b).norm_max() < 1e-12);
            let (found, expected) = (lower_of_square(a.as_ref()), &a * a.transpose());
            assert!((0..n).all(|i| (0..=i).all(|j| (found[(i, j)] - expected[(i, j)]).abs() < 1e-12)));
        }
    }
}
