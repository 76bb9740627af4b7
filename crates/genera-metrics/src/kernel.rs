//! Positive definite kernels, evaluated on blocks of pairs.
//!
//! ```text
//! Gaussian:    k(x, y) = mean over s of exp(−‖x − y‖² / 2s²)
//! polynomial:  k(x, y) = (x·y/d + 1)^degree          (cubic for KID, arXiv:1801.01401)
//! ```
//!
//! Above 16 columns ‖x − y‖² comes from a matrix product, with an absolute error of about d·10⁻¹⁶ (‖x‖² + ‖y‖²); a
//! bandwidth below 10⁻⁷ of the norms of the features would see that error, and no sensible one is.

use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::pairs::{Rows, squared_distance};
use crate::{MetricError, Points};

/// Points that the median heuristic looks at, at most: half a million pairs.
const MEDIAN_POINTS: usize = 1024;

/// A positive definite kernel k(x, y).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kernel {
    /// The mean over bandwidths s of exp(−‖x − y‖² / 2s²).
    Gaussian {
        /// The bandwidths s, in the units of the features.
        bandwidths: Vec<f64>,
    },
    /// (x·y/d + 1)^degree.
    Polynomial {
        /// The degree, 1 to 3; KID uses 3.
        degree: u8,
    },
}

impl Kernel {
    /// The Gaussian kernel of one bandwidth.
    pub fn gaussian(bandwidth: f64) -> Self {
        Self::Gaussian { bandwidths: vec![bandwidth] }
    }

    /// The kernel of KID, (x·y/d + 1)³.
    pub fn cubic() -> Self {
        Self::Polynomial { degree: 3 }
    }

    /// The Gaussian kernel whose bandwidth is the median distance.
    ///
    /// # Errors
    /// As [`median_distance`].
    pub fn median(x: &Points<'_>, y: &Points<'_>) -> Result<Self, MetricError> {
        median_distance(x, y).map(Self::gaussian)
    }

    /// Gaussian kernels at ¼, ½, 1, 2 and 4 times the median distance: sensitive to structure at several scales.
    ///
    /// # Errors
    /// As [`median_distance`].
    pub fn around_median(x: &Points<'_>, y: &Points<'_>) -> Result<Self, MetricError> {
        let median = median_distance(x, y)?;
        Ok(Self::Gaussian { bandwidths: [0.25, 0.5, 1.0, 2.0, 4.0].map(|factor| factor * median).to_vec() })
    }

    /// Refuses parameters out of range.
    pub(crate) fn check(&self) -> Result<(), MetricError> {
        match self {
            Self::Gaussian { bandwidths } => {
                require(!bandwidths.is_empty(), "the number of bandwidths", 0.0, "at least 1")?;
                // Outside, 2s² would underflow or overflow.
                let rule = "positive, from 1e-150 to 1e150";
                bandwidths.iter().try_for_each(|s| require((1e-150..=1e150).contains(s), "a bandwidth", *s, rule))
            }
            Self::Polynomial { degree } => {
                require((1..=3).contains(degree), "the degree of a kernel", f64::from(*degree), "1, 2 or 3")
            }
        }
    }

    /// k(x_i, y_j) into `out`, row-major.
    pub(crate) fn block<'o>(&self, x: &Rows<'_>, y: &Rows<'_>, out: &'o mut Vec<f64>) -> &'o mut [f64] {
        match self {
            Self::Gaussian { bandwidths } => {
                let out = x.squared_distances(y, out);
                let scale = 1.0 / bandwidths.len() as f64;
                for value in out.iter_mut() {
                    let squared = *value;
                    *value = scale * bandwidths.iter().map(|s| (-squared / (2.0 * s * s)).exp()).sum::<f64>();
                }
                out
            }
            Self::Polynomial { degree } => {
                let d = x.row(0).len() as f64;
                let out = x.products(y, out);
                out.iter_mut().for_each(|value| *value = (*value / d + 1.0).powi(i32::from(*degree)));
                out
            }
        }
    }
}

/// The median of ‖a − b‖ over the pairs of the pooled rows of `x` and `y`: the usual bandwidth.
///
/// Of more than 1024 rows, 1024 evenly spaced ones are used.
///
/// # Errors
/// Different numbers of columns, fewer than two rows in all, or a median of zero (more than half of the pairs
/// coincide: choose a bandwidth by hand).
pub fn median_distance(x: &Points<'_>, y: &Points<'_>) -> Result<f64, MetricError> {
    x.same_columns(y)?;
    let total = x.n() + y.n();
    let used = total.min(MEDIAN_POINTS);
    let chosen: Vec<usize> = (0..used).map(|i| (i as u128 * total as u128 / used as u128) as usize).collect();
    let (of_x, of_y): (Vec<usize>, Vec<usize>) = chosen.into_iter().partition(|&i| i < x.n());
    let of_y: Vec<usize> = of_y.iter().map(|i| i - x.n()).collect();
    let rows = [x.gather(&of_x), y.gather(&of_y)].concat();
    let rows: Vec<&[f64]> = rows.chunks_exact(x.d()).collect();
    let mut squared: Vec<f64> =
        rows.iter().enumerate().flat_map(|(i, a)| rows[..i].iter().map(|b| squared_distance(a, b))).collect();
    if squared.is_empty() {
        return Err(MetricError::TooFew { what: "a median distance", needed: 2, got: total });
    }
    let middle = squared.len() / 2;
    let median = squared.select_nth_unstable_by(middle, f64::total_cmp).1.sqrt();
    require(median > 0.0, "the median distance", median, "positive: choose a bandwidth by hand")?;
    Ok(median)
}

#[cfg(test)]
mod tests {
    use super::*;
    use genera_rng::Rng;

    #[test]
    fn kernels_by_hand() {
        let (x, y) = ([0.0, 0.0], [3.0, 4.0]);
        let (x, y) = (Points::new(&x, 1, 2).unwrap(), Points::new(&y, 1, 2).unwrap());
        let value = |kernel: Kernel| kernel.block(&Rows::of(&x, 0..1), &Rows::of(&y, 0..1), &mut Vec::new())[0];
        assert!((value(Kernel::gaussian(5.0)) - (-0.5_f64).exp()).abs() < 1e-15);
        let two = Kernel::Gaussian { bandwidths: vec![5.0, 2.5] };
        assert!((value(two) - 0.5 * ((-0.5_f64).exp() + (-2.0_f64).exp())).abs() < 1e-15);
        let square = |kernel: Kernel| kernel.block(&Rows::of(&y, 0..1), &Rows::of(&y, 0..1), &mut Vec::new())[0];
        assert_eq!(square(Kernel::cubic()), 13.5_f64.powi(3));
    }

    #[test]
    fn median_by_hand_and_of_many() {
        // Distances of {0, 1} with {3}: 1, 3, 2.
        let (x, y) = (Points::new(&[0.0, 1.0], 2, 1).unwrap(), Points::new(&[3.0], 1, 1).unwrap());
        assert_eq!(median_distance(&x, &y).unwrap(), 2.0);
        // |a − b| of normal numbers is √2 |N|, with median √2 · 0.67449.
        let values = Rng::new(1).normal(5000, 1);
        let points = Points::new(&values, 5000, 1).unwrap();
        assert!((median_distance(&points, &points).unwrap() - 0.9539).abs() < 0.05);
    }

    #[test]
    fn refusals() {
        let zeros = Points::new(&[0.0; 4], 4, 1).unwrap();
        assert!(matches!(median_distance(&zeros, &zeros), Err(MetricError::Parameter { .. })));
        let bad = [0.0, -1.0, f64::NAN, f64::INFINITY].map(Kernel::gaussian);
        let more = [Kernel::Gaussian { bandwidths: vec![] }, Kernel::Polynomial { degree: 0 }];
        bad.iter().chain(&more).for_each(|kernel| assert!(kernel.check().is_err(), "{kernel:?}"));
        assert!(Kernel::gaussian(1.0).check().is_ok() && Kernel::cubic().check().is_ok());
    }
}
