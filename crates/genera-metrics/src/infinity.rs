//! Distances without the bias of finite samples: measured at several sizes, extrapolated to infinitely many rows.
//!
//! ```text
//! E[statistic of n rows] ≈ a + b/n:  least squares of the statistic on 1/n;  a is the extrapolated value
//! ```
//!
//! Chong and Forsyth, "Effectively Unbiased FID and Inception Score and Where to Find Them" (arXiv:1911.07023), who
//! measure 15 sizes from 5000 rows to all. The bias of the reference set stays: keep it the same, and large.

use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::frechet::{Side, between};
use crate::{MetricError, Points};

/// A statistic at several sizes, and what they lead to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extrapolation {
    /// The value at infinitely many rows.
    pub value: f64,
    /// Its standard error from the scatter around the line; none for two sizes. Sizes share rows, which makes it low.
    pub standard_error: Option<f64>,
    /// The change of the statistic with 1/n.
    pub slope: f64,
    /// The sizes measured, rising, and the statistic of each.
    pub measured: Vec<(usize, f64)>,
}

/// The line through a statistic measured at `sizes` of rows.
///
/// # Errors
/// Fewer than two different sizes, a size of zero, or a statistic that is not finite.
pub fn extrapolation(measured: Vec<(usize, f64)>) -> Result<Extrapolation, MetricError> {
    for (size, value) in &measured {
        require(*size >= 1, "a sample size", *size as f64, "at least 1")?;
        require(value.is_finite(), "the statistic", *value, "finite")?;
    }
    let count = measured.len() as f64;
    let mean = |f: &dyn Fn(&(usize, f64)) -> f64| measured.iter().map(f).sum::<f64>() / count;
    let x = |point: &(usize, f64)| 1.0 / point.0 as f64;
    let (centre_x, centre_y) = (mean(&x), mean(&|point| point.1));
    let spread = mean(&|point| (x(point) - centre_x).powi(2));
    let different = measured.iter().any(|point| point.0 != measured[0].0);
    require(different, "the number of different sample sizes", measured.len().min(1) as f64, "at least 2")?;
    let slope = mean(&|point| (x(point) - centre_x) * (point.1 - centre_y)) / spread;
    let value = centre_y - slope * centre_x;
    let residual = mean(&|point| (point.1 - value - slope * x(point)).powi(2)) * count;
    let standard_error = (count > 2.0)
        .then(|| (residual / (count - 2.0) * (1.0 / count + centre_x * centre_x / (count * spread))).sqrt());
    Ok(Extrapolation { value, standard_error, slope, measured })
}

/// The Fréchet distance of infinitely many rows of `generated` from `real`, from `sizes` sizes between a tenth of the
/// rows (but more than the columns, where there are so many) and all.
///
/// # Errors
/// Different numbers of columns, fewer than two sizes, or fewer than 20 generated rows.
pub fn frechet_infinity(
    real: &Points<'_>,
    generated: &Points<'_>,
    sizes: usize,
    rng: &mut Rng,
) -> Result<Extrapolation, MetricError> {
    real.same_columns(generated)?;
    require(sizes >= 2, "the number of sample sizes", sizes as f64, "at least 2")?;
    generated.at_least(20, "an extrapolation to infinitely many rows")?;
    let (n, d) = (generated.n(), generated.d());
    let real = Side::of(real)?;
    // Where the covariance is singular the bias is no straight line in 1/n.
    let least = (n / 10).max((2 * d).min(n / 2));
    let size = |index: usize| least + (n - least) * index / (sizes - 1);
    let measure = |index: usize| {
        let rows = generated.gather(&rng.permutation(n)[..size(index)]);
        let side = Side::of(&Points::new(&rows, size(index), d)?)?;
        Ok((size(index), between(&real, &side, "")?.value))
    };
    extrapolation((0..sizes).map(measure).collect::<Result<_, MetricError>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frechet;

    #[test]
    fn a_line_by_hand() {
        let found = extrapolation(vec![(1, 5.0), (2, 3.5), (4, 2.75)]).unwrap();
        assert!((found.value - 2.0).abs() < 1e-14 && (found.slope - 3.0).abs() < 1e-13);
        assert!(found.standard_error.unwrap() < 1e-7);
        // SciPy: linregress([1, 1/2, 1/3], [1, 2, 2]).
        let found = extrapolation(vec![(1, 1.0), (2, 2.0), (3, 2.0)]).unwrap();
        assert!(
            (found.value - 2.653_846_153_846_153_7).abs() < 1e-12
                && (found.slope + 1.615_384_615_384_615_4).abs() < 1e-12
        );
        assert!((found.standard_error.unwrap() - 0.269_230_769_230_768_2).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn the_bias_of_few_rows_is_removed() {
        // Unit Gaussians a shift apart in one coordinate: the distance is 1, and far above it at 400 rows.
        let d = 20;
        let rows = |seed, n, shift: f32| -> Vec<f32> {
            let mut rows = Rng::new(seed).normal(n, d);
            rows.iter_mut().step_by(d).for_each(|x| *x += shift);
            rows
        };
        let (real, generated) = (rows(1, 60_000, 0.0), rows(2, 1000, 1.0));
        let (real, generated) = (Points::new(&real, 60_000, d).unwrap(), Points::new(&generated, 1000, d).unwrap());
        let found = frechet_infinity(&real, &generated, 15, &mut Rng::new(3)).unwrap();
        let plain = frechet(&real, &generated, "raw").unwrap().value;
        assert!(found.measured[0].1 > found.value && found.slope > 0.0);
        assert!((found.value - 1.0).abs() < 0.5 * (plain - 1.0).abs().max(0.1), "{} against {plain}", found.value);
        assert_eq!(found.measured.last().unwrap().0, 1000);
        assert!((found.measured.last().unwrap().1 - plain).abs() < 1e-10);
    }

    #[test]
    fn refusals() {
        for bad in
            [vec![], vec![(3, 1.0)], vec![(3, 1.0), (3, 2.0)], vec![(0, 1.0), (1, 1.0)], vec![(1, f64::NAN), (2, 0.0)]]
        {
            assert!(extrapolation(bad).is_err());
        }
        let x = Points::new(&[0.0; 19], 19, 1).unwrap();
        assert!(matches!(frechet_infinity(&x, &x, 5, &mut Rng::new(0)), Err(MetricError::TooFew { .. })));
        let x = Points::new(&[0.0; 20], 20, 1).unwrap();
        assert!(frechet_infinity(&x, &x, 1, &mut Rng::new(0)).is_err());
    }
}
