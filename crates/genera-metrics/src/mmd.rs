//! Maximum mean discrepancy: how far apart two sets are for the functions of a kernel's unit ball.
//!
//! ```text
//! MMD²(P, Q) = E k(x, x′) + E k(y, y′) − 2 E k(x, y)
//! biased:    Σ_ij k(x_i,x_j)/n² + Σ_ij k(y_i,y_j)/m² − 2 Σ_ij k(x_i,y_j)/(nm)                (V-statistic, ≥ 0)
//! unbiased:  Σ_{i≠j} k(x_i,x_j)/n(n−1) + Σ_{i≠j} k(y_i,y_j)/m(m−1) − 2 Σ_ij k(x_i,y_j)/(nm)  (U-statistic)
//! ```
//!
//! Gretton et al., "A kernel two-sample test" (JMLR 2012). KID is the unbiased form with the cubic kernel, averaged
//! over random subsets: Bińkowski et al., "Demystifying MMD GANs" (arXiv:1801.01401).
//!
//! The n x n matrix is never held: blocks of 128 x 512 pairs are evaluated and summed, in a fixed order.

use std::ops::Range;

use genera_rng::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bootstrap::mean_and_deviation;
use crate::error::require;
use crate::pairs::{LEFT, RIGHT, Rows, pieces};
use crate::{Kernel, MetricError, Points};

/// MMD² by the V-statistic: never negative beyond rounding, biased upwards by O(1/n).
///
/// # Errors
/// Different numbers of columns, or a kernel out of range.
pub fn mmd2_biased(x: &Points<'_>, y: &Points<'_>, kernel: &Kernel) -> Result<f64, MetricError> {
    let sums = Sums::of(x, y, kernel)?;
    let (n, m) = (x.n() as f64, y.n() as f64);
    Ok((sums.xx + sums.diagonal_x) / (n * n) + (sums.yy + sums.diagonal_y) / (m * m) - 2.0 * sums.xy / (n * m))
}

/// MMD² by the U-statistic: unbiased, so negative about half of the time when both sets come from one distribution.
///
/// # Errors
/// Different numbers of columns, fewer than two rows on a side, or a kernel out of range.
pub fn mmd2_unbiased(x: &Points<'_>, y: &Points<'_>, kernel: &Kernel) -> Result<f64, MetricError> {
    x.at_least(2, "an unbiased MMD")?;
    y.at_least(2, "an unbiased MMD")?;
    let sums = Sums::of(x, y, kernel)?;
    Ok(unbiased(sums.xx, sums.yy, sums.xy, x.n(), y.n()))
}

/// The U-statistic from its three sums (those within a set without their diagonals).
pub(crate) fn unbiased(xx: f64, yy: f64, xy: f64, n: usize, m: usize) -> f64 {
    let (n, m) = (n as f64, m as f64);
    xx / (n * (n - 1.0)) + yy / (m * (m - 1.0)) - 2.0 * xy / (n * m)
}

/// Sums of the kernel; those within a set are split into off-diagonal and diagonal.
struct Sums {
    xx: f64,
    yy: f64,
    xy: f64,
    diagonal_x: f64,
    diagonal_y: f64,
}

impl Sums {
    fn of(x: &Points<'_>, y: &Points<'_>, kernel: &Kernel) -> Result<Self, MetricError> {
        x.same_columns(y)?;
        kernel.check()?;
        let (xx, diagonal_x) = within(x, kernel);
        let (yy, diagonal_y) = within(y, kernel);
        Ok(Self { xx, yy, xy: between(x, y, kernel), diagonal_x, diagonal_y })
    }
}

/// Σ_{i≠j} k(x_i, x_j) and Σ_i k(x_i, x_i).
fn within(x: &Points<'_>, kernel: &Kernel) -> (f64, f64) {
    let strip = |range: Range<usize>| {
        let (rows, mut buffer) = (Rows::of(x, range.clone()), Vec::new());
        let square = kernel.block(&rows, &rows, &mut buffer);
        let diagonal: f64 = square.iter_mut().step_by(rows.len() + 1).map(std::mem::take).sum();
        let mut sum: f64 = square.iter().sum();
        // What lies right of the diagonal block stands for its mirror image as well.
        for right in pieces(x.n() - range.end, RIGHT) {
            let right = Rows::of(x, range.end + right.start..range.end + right.end);
            sum += 2.0 * kernel.block(&rows, &right, &mut buffer).iter().sum::<f64>();
        }
        (sum, diagonal)
    };
    let strips: Vec<_> = pieces(x.n(), LEFT).collect::<Vec<_>>().into_par_iter().map(strip).collect();
    strips.into_iter().fold((0.0, 0.0), |(sum, diagonal), (s, d)| (sum + s, diagonal + d))
}

/// Σ_ij k(x_i, y_j).
fn between(x: &Points<'_>, y: &Points<'_>, kernel: &Kernel) -> f64 {
    let strip = |range| {
        let (rows, mut buffer) = (Rows::of(x, range), Vec::new());
        pieces(y.n(), RIGHT)
            .map(|right| kernel.block(&rows, &Rows::of(y, right), &mut buffer).iter().sum::<f64>())
            .sum()
    };
    let strips: Vec<f64> = pieces(x.n(), LEFT).collect::<Vec<_>>().into_par_iter().map(strip).collect();
    strips.into_iter().sum()
}

/// A kernel distance and how it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kid {
    /// The mean over subsets of the unbiased MMD² with the cubic kernel; may be negative.
    pub mean: f64,
    /// The standard deviation over subsets.
    pub std: f64,
    /// The number of subsets.
    pub subsets: usize,
    /// Rows of each subset.
    pub subset_size: usize,
    /// The name of what extracted the features.
    pub features: String,
    /// Rows of the two sides.
    pub n: [usize; 2],
}

/// KID: the unbiased MMD² with the cubic kernel, over `subsets` random subsets of `subset_size` rows of each side.
///
/// # Errors
/// Different numbers of columns, fewer rows than `subset_size`, or parameters out of range.
pub fn kid(
    x: &Points<'_>,
    y: &Points<'_>,
    subsets: usize,
    subset_size: usize,
    features: &str,
    rng: &mut Rng,
) -> Result<Kid, MetricError> {
    x.same_columns(y)?;
    require(subsets >= 1, "the number of subsets", subsets as f64, "at least 1")?;
    require(subset_size >= 2, "the subset size", subset_size as f64, "at least 2")?;
    x.at_least(subset_size, "a subset of this size")?;
    y.at_least(subset_size, "a subset of this size")?;
    let mut draw = |points: &Points<'_>| points.gather(&rng.permutation(points.n())[..subset_size]);
    let mut values = Vec::with_capacity(subsets);
    for _ in 0..subsets {
        let (a, b) = (draw(x), draw(y));
        let (a, b) = (Points::new(&a, subset_size, x.d())?, Points::new(&b, subset_size, y.d())?);
        values.push(mmd2_unbiased(&a, &b, &Kernel::cubic())?);
    }
    let (mean, std) = mean_and_deviation(&values);
    Ok(Kid { mean, std, subsets, subset_size, features: features.to_owned(), n: [x.n(), y.n()] })
}

/// The bandwidth and the factor of CMMD.
const CMMD: (f64, f64) = (10.0, 1000.0);

/// CMMD: a thousand times the biased MMD² with the Gaussian kernel of bandwidth 10, for embeddings of length one.
///
/// Jayasumana et al., "Rethinking FID: towards a better evaluation metric for image generation" (arXiv:2401.09603),
/// who embed by CLIP. Rows are used as they are: divide them by their lengths before.
///
/// # Errors
/// Different numbers of columns.
pub fn cmmd(x: &Points<'_>, y: &Points<'_>) -> Result<f64, MetricError> {
    Ok(CMMD.1 * mmd2_biased(x, y, &Kernel::gaussian(CMMD.0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(seed: u64, n: usize, d: usize, shift: f32) -> Vec<f32> {
        Rng::new(seed).normal(n, d).iter().map(|v| v + shift).collect()
    }

    /// The definition, pair by pair.
    fn naive(x: &[f32], y: &[f32], d: usize, k: impl Fn(&[f32], &[f32]) -> f64) -> (f64, f64) {
        let (x, y): (Vec<&[f32]>, Vec<&[f32]>) = (x.chunks_exact(d).collect(), y.chunks_exact(d).collect());
        let sum =
            |a: &[&[f32]], b: &[&[f32]]| -> f64 { a.iter().map(|p| b.iter().map(|q| k(p, q)).sum::<f64>()).sum() };
        let trace = |a: &[&[f32]]| -> f64 { a.iter().map(|p| k(p, p)).sum() };
        let (n, m) = (x.len() as f64, y.len() as f64);
        let (xx, yy, xy) = (sum(&x, &x), sum(&y, &y), sum(&x, &y));
        let cross = 2.0 * xy / (n * m);
        let biased = xx / (n * n) + yy / (m * m) - cross;
        (biased, (xx - trace(&x)) / (n * (n - 1.0)) + (yy - trace(&y)) / (m * (m - 1.0)) - cross)
    }

    #[test]
    fn blocks_agree_with_the_definition() {
        for (n, m, d) in [(2, 3, 1), (130, 700, 2), (200, 129, 40)] {
            let (x, y) = (normal(1, n, d, 0.0), normal(2, m, d, 0.3));
            let (a, b) = (Points::new(&x, n, d).unwrap(), Points::new(&y, m, d).unwrap());
            let squared = |p: &[f32], q: &[f32]| p.iter().zip(q).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
            let dot = |p: &[f32], q: &[f32]| p.iter().zip(q).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
            let gaussian = naive(&x, &y, d, |p, q| (-squared(p, q) / 4.5).exp());
            let cubic = naive(&x, &y, d, |p, q| (dot(p, q) / d as f64 + 1.0).powi(3));
            // `a - b` above rounds in single precision, hence the looser tolerance.
            for (kernel, expected, tolerance) in
                [(Kernel::gaussian(1.5), gaussian, 1e-7), (Kernel::cubic(), cubic, 1e-11)]
            {
                assert!(
                    (mmd2_biased(&a, &b, &kernel).unwrap() - expected.0).abs() < tolerance,
                    "{kernel:?} {n} {m} {d}"
                );
                assert!(
                    (mmd2_unbiased(&a, &b, &kernel).unwrap() - expected.1).abs() < tolerance,
                    "{kernel:?} {n} {m} {d}"
                );
            }
        }
    }

    #[test]
    fn the_population_value_of_two_gaussians() {
        // For N(0,1) and N(μ,1) with k = exp(−(x−y)²/2s²): MMD² = 2 s/√(s²+2) (1 − exp(−μ²/2(s²+2))).
        let (x, y) = (normal(3, 4000, 1, 0.0), normal(4, 4000, 1, 1.0));
        let (x, y) = (Points::new(&x, 4000, 1).unwrap(), Points::new(&y, 4000, 1).unwrap());
        let expected = 2.0 / 3.0_f64.sqrt() * (1.0 - (-1.0_f64 / 6.0).exp());
        let found = mmd2_unbiased(&x, &y, &Kernel::gaussian(1.0)).unwrap();
        assert!((found - expected).abs() < 0.015, "{found} against {expected}");
    }

    #[test]
    fn cmmd_of_unit_vectors() {
        // Two points a right angle apart: 1000 · 2 (1 − e^{−2/200}).
        let (x, y) = (Points::new(&[1.0, 0.0], 1, 2).unwrap(), Points::new(&[0.0, 1.0], 1, 2).unwrap());
        assert!((cmmd(&x, &y).unwrap() - 2000.0 * (1.0 - (-0.01_f64).exp())).abs() < 1e-9);
        assert_eq!(cmmd(&x, &x).unwrap(), 0.0);
    }

    #[test]
    fn laws() {
        let (x, y) = (normal(5, 300, 20, 0.0), normal(6, 200, 20, 0.1));
        let (x, y) = (Points::new(&x, 300, 20).unwrap(), Points::new(&y, 200, 20).unwrap());
        for kernel in [Kernel::gaussian(4.0), Kernel::around_median(&x, &y).unwrap(), Kernel::cubic()] {
            let value = mmd2_biased(&x, &y, &kernel).unwrap();
            assert!(value > 0.0);
            assert!((value - mmd2_biased(&y, &x, &kernel).unwrap()).abs() < 1e-12 * value);
            assert!(mmd2_biased(&x, &x, &kernel).unwrap().abs() < 1e-12);
            let on = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| mmd2_unbiased(&x, &y, &kernel).unwrap())
            };
            assert_eq!(on(1).to_bits(), on(3).to_bits());
        }
    }

    #[test]
    fn kid_of_equal_and_different_sets() {
        let (x, y, z) = (normal(7, 500, 8, 0.0), normal(8, 400, 8, 0.0), normal(9, 400, 8, 0.5));
        let [x, y, z] = [&x, &y, &z].map(|values| Points::new(values, values.len() / 8, 8).unwrap());
        let run = |y: &Points<'_>| kid(&x, y, 20, 100, "raw", &mut Rng::new(1)).unwrap();
        let (equal, different) = (run(&y), run(&z));
        assert!(equal.mean.abs() < 3.0 * equal.std, "{equal:?}");
        assert!(different.mean > 0.5 && different.mean > 5.0 * equal.mean.abs(), "{different:?}");
        assert_eq!(run(&y), equal);
        // One subset of all rows is the plain estimate.
        let whole = kid(&y, &z, 1, y.n(), "raw", &mut Rng::new(2)).unwrap();
        let plain = mmd2_unbiased(&y, &z, &Kernel::cubic()).unwrap();
        assert!((whole.mean - plain).abs() < 1e-12 && whole.std == 0.0);
    }

    #[test]
    fn refusals() {
        let (x, one) = (Points::new(&[0.0, 1.0], 2, 1).unwrap(), Points::new(&[0.0], 1, 1).unwrap());
        let wide = Points::new(&[0.0; 4], 2, 2).unwrap();
        let kernel = Kernel::gaussian(1.0);
        assert!(matches!(mmd2_unbiased(&x, &one, &kernel), Err(MetricError::TooFew { .. })));
        assert!(mmd2_biased(&x, &one, &kernel).is_ok());
        assert!(matches!(mmd2_biased(&x, &wide, &kernel), Err(MetricError::Dimensions { .. })));
        assert!(mmd2_biased(&x, &x, &Kernel::gaussian(0.0)).is_err());
        let rng = &mut Rng::new(0);
        assert!(matches!(kid(&x, &x, 1, 3, "raw", rng), Err(MetricError::TooFew { .. })));
        assert!(kid(&x, &x, 0, 2, "raw", rng).is_err() && kid(&x, &x, 1, 1, "raw", rng).is_err());
    }
}
