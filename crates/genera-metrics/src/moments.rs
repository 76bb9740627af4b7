//! Mean and covariance of a stream of rows, by stable merging.
//!
//! ```text
//! Of two disjoint sets a and b, with δ = μ_b − μ_a, n = n_a + n_b, and scatter M = Σ (x − μ)(x − μ)ᵀ:
//!   μ = μ_a + δ n_b/n        M = M_a + M_b + δ δᵀ n_a n_b / n        Σ = M / (n − 1)
//! ```
//!
//! Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
//! No square of an uncentred number is ever formed, so data far from the origin lose no precision.
//!
//! Any split of the rows into batches and any order of merging gives the same moments up to rounding (a relative
//! 10⁻¹⁴ or so); the bits depend on where the batches end, and never on the number of threads.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::pairs::pieces;
use crate::{MetricError, Points};

/// Rows centred and multiplied at once.
const CHUNK: usize = 1024;
/// Rows of the scatter matrix that one task fills.
const STRIPE: usize = 128;

/// The number, mean and scatter of the rows seen so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    n: usize,
    mean: Vec<f64>,
    /// Row-major `[d, d]`. Only the blocks on and above the diagonal are kept up to date.
    scatter: Vec<f64>,
}

impl Moments {
    /// Of no rows, with `d` columns. Takes `8 d²` bytes.
    pub fn empty(d: usize) -> Self {
        Self { n: 0, mean: vec![0.0; d], scatter: vec![0.0; d * d] }
    }

    /// Of `points`.
    pub fn of(points: &Points<'_>) -> Self {
        let mut moments = Self::empty(points.d());
        pieces(points.n(), CHUNK).for_each(|chunk| moments.add_chunk(&points.rows(chunk)));
        moments
    }

    /// Of `n` rows whose mean `[d]` and unbiased covariance `[d, d]` are known, as published statistics are.
    ///
    /// # Errors
    /// Fewer than two rows, a value that is not finite, or a covariance of the wrong size or not symmetric.
    pub fn from_parts(n: usize, mean: &[f64], covariance: &[f64]) -> Result<Self, MetricError> {
        let d = mean.len();
        Points::new(mean, 1, d)?;
        if n < 2 {
            return Err(MetricError::TooFew { what: "a covariance", needed: 2, got: n });
        }
        if d.checked_mul(d) != Some(covariance.len()) {
            return Err(MetricError::Length { len: covariance.len(), n: d, d });
        }
        let largest = f64::from(f32::MAX).powi(2);
        if let Some(at) = covariance.iter().position(|value| !(-largest..=largest).contains(value)) {
            return Err(MetricError::NotFinite { row: at / d, column: at % d, value: covariance[at] });
        }
        for i in 0..d {
            for j in 0..i {
                let (a, b) = (covariance[i * d + j], covariance[j * d + i]);
                // Correlations are below one, so the diagonal gives the scale at which two numbers are the same.
                let scale = (covariance[i * d + i].abs() * covariance[j * d + j].abs()).sqrt();
                if (a - b).abs() > 1e-6 * scale {
                    let why = format!("entry ({i}, {j}) is {a} and entry ({j}, {i}) is {b}");
                    return Err(MetricError::Covariance { why });
                }
            }
        }
        Ok(Self { n, mean: mean.to_vec(), scatter: covariance.iter().map(|value| value * (n - 1) as f64).collect() })
    }

    /// Takes in more rows.
    ///
    /// # Errors
    /// A different number of columns.
    pub fn add(&mut self, points: &Points<'_>) -> Result<(), MetricError> {
        self.same_columns(points.d())?;
        pieces(points.n(), CHUNK).for_each(|chunk| self.add_chunk(&points.rows(chunk)));
        Ok(())
    }

    /// Takes in the rows of `other`.
    ///
    /// # Errors
    /// A different number of columns.
    pub fn merge(&mut self, other: &Self) -> Result<(), MetricError> {
        self.same_columns(other.d())?;
        if other.n > 0 {
            self.scatter.iter_mut().zip(&other.scatter).for_each(|(a, b)| *a += b);
            self.shift(other.n, &other.mean);
        }
        Ok(())
    }

    /// The number of rows.
    pub fn n(&self) -> usize {
        self.n
    }

    /// The number of columns.
    pub fn d(&self) -> usize {
        self.mean.len()
    }

    /// The mean, `[d]`.
    ///
    /// # Errors
    /// No rows.
    pub fn mean(&self) -> Result<&[f64], MetricError> {
        if self.n == 0 { Err(MetricError::Empty { n: 0, d: self.d() }) } else { Ok(&self.mean) }
    }

    /// The unbiased covariance, row-major `[d, d]`, exactly symmetric.
    ///
    /// # Errors
    /// Fewer than two rows.
    pub fn covariance(&self) -> Result<Vec<f64>, MetricError> {
        if self.n < 2 {
            return Err(MetricError::TooFew { what: "a covariance", needed: 2, got: self.n });
        }
        let (d, scale) = (self.d(), (self.n - 1) as f64);
        let upper = |i: usize, j: usize| self.scatter[i.min(j) * d + i.max(j)] / scale;
        Ok((0..d * d).map(|at| upper(at / d, at % d)).collect())
    }

    fn same_columns(&self, d: usize) -> Result<(), MetricError> {
        if self.d() == d { Ok(()) } else { Err(MetricError::Dimensions { left: self.d(), right: d }) }
    }

    fn add_chunk(&mut self, rows: &[f64]) {
        let (d, n) = (self.d(), rows.len() / self.d());
        let first = &rows[..d];
        // The mean of differences to the first row: exact for constant columns.
        let mut mean = vec![0.0; d];
        rows.chunks_exact(d).for_each(|row| (0..d).for_each(|j| mean[j] += (row[j] - first[j]) / n as f64));
        mean.iter_mut().zip(first).for_each(|(m, f)| *m += f);
        let centred: Vec<f64> =
            rows.chunks_exact(d).flat_map(|row| row.iter().zip(&mean).map(|(x, m)| x - m)).collect();
        let centred = MatRef::from_row_major_slice(&centred, n, d);
        self.scatter.par_chunks_mut(STRIPE * d).enumerate().for_each(|(stripe, out)| {
            let (top, height) = (stripe * STRIPE, out.len() / d);
            let out = MatMut::from_row_major_slice_mut(out, height, d).subcols_mut(top, d - top);
            let left = centred.subcols(top, height).transpose();
            matmul(out, Accum::Add, left, centred.subcols(top, d - top), 1.0, Par::Seq);
        });
        self.shift(n, &mean);
    }

    /// Moves the mean to that of the union with `n` rows of mean `mean`, and adds the scatter between the two sets.
    fn shift(&mut self, n: usize, mean: &[f64]) {
        let d = self.d();
        let (before, more) = (self.n as f64, n as f64);
        self.n += n;
        let total = self.n as f64;
        let delta: Vec<f64> = mean.iter().zip(&self.mean).map(|(b, a)| b - a).collect();
        let weight = before * (more / total);
        if weight > 0.0 {
            self.scatter.par_chunks_mut(d).zip(&delta).for_each(|(row, di)| {
                row.iter_mut().zip(&delta).for_each(|(m, dj)| *m += weight * di * dj);
            });
        }
        self.mean.iter_mut().zip(delta).for_each(|(m, di)| *m += di * (more / total));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use genera_rng::Rng;

    fn sample(n: usize, d: usize, offset: f64) -> Vec<f64> {
        Rng::new(5).normal(n, d).iter().enumerate().map(|(i, v)| offset + f64::from(*v) * (1 + i % d) as f64).collect()
    }

    /// The definition, summed in two passes.
    fn naive(values: &[f64], d: usize) -> (Vec<f64>, Vec<f64>) {
        let n = values.len() / d;
        let mean: Vec<f64> = (0..d).map(|j| values.iter().skip(j).step_by(d).sum::<f64>() / n as f64).collect();
        let entry = |i: usize, j: usize| {
            values.chunks_exact(d).map(|x| (x[i] - mean[i]) * (x[j] - mean[j])).sum::<f64>() / (n - 1) as f64
        };
        (mean.clone(), (0..d * d).map(|at| entry(at / d, at % d)).collect())
    }

    fn close(a: &[f64], b: &[f64], tolerance: f64) {
        a.iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() <= tolerance, "{a} against {b}"));
    }

    #[test]
    fn agrees_with_the_definition_and_with_any_merging() {
        for (n, d) in [(2, 1), (3000, 3), (1500, 150)] {
            let values = sample(n, d, 0.5);
            let whole = Moments::of(&Points::new(&values, n, d).unwrap());
            let (mean, covariance) = naive(&values, d);
            let scale = (d * d) as f64;
            close(whole.mean().unwrap(), &mean, 1e-13 * scale);
            close(&whole.covariance().unwrap(), &covariance, 1e-12 * scale);

            let cut = n / 3;
            let part = |range: std::ops::Range<usize>| {
                let rows = &values[range.start * d..range.end * d];
                if rows.is_empty() {
                    Moments::empty(d)
                } else {
                    Moments::of(&Points::new(rows, range.len(), d).unwrap())
                }
            };
            let mut merged = part(cut..n);
            merged.merge(&part(0..cut)).unwrap();
            assert_eq!(merged.n(), n);
            close(merged.mean().unwrap(), &mean, 1e-13 * scale);
            close(&merged.covariance().unwrap(), &covariance, 1e-12 * scale);
        }
    }

    #[test]
    fn far_from_the_origin_nothing_is_lost() {
        let near = Moments::of(&Points::new(&sample(2000, 2, 0.0), 2000, 2).unwrap()).covariance().unwrap();
        let far = Moments::of(&Points::new(&sample(2000, 2, 1e8), 2000, 2).unwrap()).covariance().unwrap();
        // The offset itself rounds each value by 1e-8; sums of squares would have lost everything.
        close(&near, &far, 1e-6);
        let constant = Moments::of(&Points::new(&[0.1; 3000], 3000, 1).unwrap());
        assert_eq!(constant.covariance().unwrap(), [0.0]);
    }

    #[test]
    fn the_bits_do_not_depend_on_threads() {
        let values = sample(3000, 200, 1.0);
        let points = Points::new(&values, 3000, 200).unwrap();
        let on = |threads| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| Moments::of(&points))
        };
        assert_eq!(on(1), on(3));
    }

    #[test]
    fn parts_round_trip_and_are_checked() {
        let values = sample(50, 3, 0.0);
        let moments = Moments::of(&Points::new(&values, 50, 3).unwrap());
        let (mean, covariance) = (moments.mean().unwrap().to_vec(), moments.covariance().unwrap());
        let back = Moments::from_parts(50, &mean, &covariance).unwrap();
        close(&back.covariance().unwrap(), &covariance, 1e-14);
        assert!(matches!(Moments::from_parts(1, &mean, &covariance), Err(MetricError::TooFew { .. })));
        assert!(matches!(Moments::from_parts(50, &mean, &covariance[1..]), Err(MetricError::Length { .. })));
        assert!(matches!(
            Moments::from_parts(9, &[0.0; 2], &[1.0, 0.5, 0.0, 1.0]),
            Err(MetricError::Covariance { .. })
        ));
        assert!(matches!(Moments::from_parts(9, &[0.0], &[f64::NAN]), Err(MetricError::NotFinite { .. })));
        assert!(matches!(Moments::from_parts(9, &[], &[]), Err(MetricError::Empty { .. })));
        assert!(Moments::empty(2).mean().is_err() && Moments::empty(2).covariance().is_err());
        let mut one = Moments::of(&Points::new(&[1.0, 2.0], 1, 2).unwrap());
        assert!(matches!(one.covariance(), Err(MetricError::TooFew { got: 1, .. })));
        assert!(matches!(one.merge(&Moments::empty(3)), Err(MetricError::Dimensions { left: 2, right: 3 })));
    }
}
