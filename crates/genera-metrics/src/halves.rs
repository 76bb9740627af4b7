//! How sure a measure between two sets is, from random halves of both.
//!
//! ```text
//! θ*_b = θ(half of x, half of y), drawn without replacement;   standard error of θ ≈ standard deviation of θ*
//! interval = θ + quantiles of (θ* − mean θ*)
//! ```
//!
//! A mean over half of n rows without replacement varies as a mean over n rows does: σ²/(n/2) (1 − ½) = σ²/n. Unlike
//! the bootstrap, no row occurs twice, which nearest neighbours and covariances of few rows would take for structure.
//! Politis and Romano, "Large sample confidence regions based on subsamples under minimal assumptions" (1994). The
//! halves are centred at their own mean, so that the bias of smaller samples does not enter the width.

use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use crate::bootstrap::{mean_and_deviation, quantile};
use crate::error::require;
use crate::{MetricError, Points};

/// A measure and its values on halves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Halves {
    /// The measure of all rows.
    pub estimate: f64,
    /// The measure of each pair of halves, in rising order.
    pub replicates: Vec<f64>,
}

impl Halves {
    /// The standard deviation of the replicates.
    pub fn standard_error(&self) -> f64 {
        let n = self.replicates.len() as f64;
        mean_and_deviation(&self.replicates).1 * (n / (n - 1.0)).sqrt()
    }

    /// The interval that holds the fraction `level` of the centred replicates, around the estimate.
    ///
    /// # Errors
    /// A level outside (0, 1).
    pub fn interval(&self, level: f64) -> Result<[f64; 2], MetricError> {
        require(level > 0.0 && level < 1.0, "the level of an interval", level, "between 0 and 1")?;
        let (tail, mean) = ((1.0 - level) / 2.0, mean_and_deviation(&self.replicates).0);
        Ok([tail, 1.0 - tail].map(|q| self.estimate + quantile(&self.replicates, q) - mean))
    }
}

/// `measure` of two sets and of `resamples` random halves of both.
///
/// # Errors
/// Different numbers of columns, fewer than four rows on a side, fewer than two resamples, or what `measure` refuses.
pub fn halves(
    x: &Points<'_>,
    y: &Points<'_>,
    resamples: usize,
    rng: &mut Rng,
    measure: impl Fn(&Points<'_>, &Points<'_>) -> Result<f64, MetricError>,
) -> Result<Halves, MetricError> {
    x.same_columns(y)?;
    halves_of_each(x, y, resamples, rng, |x, y| Ok([measure(x, y)?])).map(|[found]| found)
}

/// The same of several measures that one pass gives, and of sets that may have different columns.
///
/// # Errors
/// As those of [`halves`], but for the columns.
pub fn halves_of_each<const K: usize>(
    x: &Points<'_>,
    y: &Points<'_>,
    resamples: usize,
    rng: &mut Rng,
    measure: impl Fn(&Points<'_>, &Points<'_>) -> Result<[f64; K], MetricError>,
) -> Result<[Halves; K], MetricError> {
    x.at_least(4, "an interval from halves")?;
    y.at_least(4, "an interval from halves")?;
    require(resamples >= 2, "the number of resamples", resamples as f64, "at least 2")?;
    let finite = |values: [f64; K]| {
        values.iter().try_for_each(|value| require(value.is_finite(), "the measure", *value, "finite")).map(|()| values)
    };
    let estimates = finite(measure(x, y)?)?;
    let mut found = estimates.map(|estimate| Halves { estimate, replicates: Vec::with_capacity(resamples) });
    let mut half = |points: &Points<'_>| points.gather(&rng.permutation(points.n())[..points.n() / 2]);
    for _ in 0..resamples {
        let (a, b) = (half(x), half(y));
        let (a, b) = (Points::new(&a, x.n() / 2, x.d())?, Points::new(&b, y.n() / 2, y.d())?);
        found.iter_mut().zip(finite(measure(&a, &b)?)?).for_each(|(found, value)| found.replicates.push(value));
    }
    found.iter_mut().for_each(|found| found.replicates.sort_unstable_by(f64::total_cmp));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{frechet, manifold};

    type Boxed<'a> = Box<dyn Fn(&Points<'_>, &Points<'_>) -> Result<f64, MetricError> + 'a>;
    type Distance = fn(&Points<'_>, &Points<'_>) -> Result<f64, MetricError>;

    fn normal(seed: u64, n: usize, d: usize) -> Vec<f32> {
        Rng::new(seed).normal(n, d)
    }

    #[test]
    fn the_error_of_a_difference_of_means() {
        let (x, y) = (normal(1, 400, 1), normal(2, 100, 1));
        let (x, y) = (Points::new(&x, 400, 1).unwrap(), Points::new(&y, 100, 1).unwrap());
        let mean = |points: &Points<'_>| points.rows(0..points.n()).iter().sum::<f64>() / points.n() as f64;
        let found = halves(&x, &y, 2000, &mut Rng::new(3), |x, y| Ok(mean(x) - mean(y))).unwrap();
        // √(1/400 + 1/100), of samples whose own deviations are within 10 % of one.
        assert!((found.standard_error() / 0.0125_f64.sqrt() - 1.0).abs() < 0.12, "{}", found.standard_error());
        let [low, high] = found.interval(0.95).unwrap();
        assert!((high - low - 3.92 * found.standard_error()).abs() < 0.05 * (high - low));
        assert!(low < found.estimate && found.estimate < high);
    }

    #[test]
    fn intervals_of_measures_cover_their_spread() {
        // The measure over fresh pairs of sets varies as its halves say.
        let measures: [Distance; 2] =
            [|x, y| Ok(frechet(x, y, "raw")?.value), |x, y| Ok(manifold(x, y, 3, "raw")?.coverage)];
        for measure in measures {
            let (mut values, mut errors) = (Vec::new(), Vec::new());
            for seed in 0..40 {
                let x = normal(2 * seed, 200, 3);
                let y: Vec<f32> = normal(2 * seed + 1, 200, 3).iter().map(|v| 1.5 * v + 0.5).collect();
                let (x, y) = (Points::new(&x, 200, 3).unwrap(), Points::new(&y, 200, 3).unwrap());
                let found = halves(&x, &y, 20, &mut Rng::new(seed), measure).unwrap();
                values.push(found.estimate);
                errors.push(found.standard_error());
            }
            let spread = mean_and_deviation(&values).1;
            let said = errors.iter().sum::<f64>() / errors.len() as f64;
            assert!((0.6..1.6).contains(&(said / spread)), "{said} against {spread}");
        }
    }

    #[test]
    fn every_measure_has_its_interval() {
        use crate::*;
        let (x, y) = (normal(1, 60, 3), normal(2, 50, 3));
        let train = normal(3, 40, 3);
        let train = Points::new(&train, 40, 3).unwrap();
        let (x, y) = (Points::new(&x, 60, 3).unwrap(), Points::new(&y, 50, 3).unwrap());
        let rng = || Rng::new(7);
        let kernel = Kernel::around_median(&x, &y).unwrap();
        let sinkhorn = Sinkhorn { epsilon: 0.5, tolerance: 1e-3, iterations: 500 };
        let measures: [(&str, Boxed<'_>); 16] = [
            ("frechet", Box::new(|x, y| Ok(frechet(x, y, "")?.value))),
            ("frechet-infinity", Box::new(|x, y| Ok(frechet_infinity(x, y, 3, &mut rng())?.value))),
            ("kid", Box::new(|x, y| Ok(kid(x, y, 3, 20, "", &mut rng())?.mean))),
            ("mmd", Box::new(|x, y| mmd2_unbiased(x, y, &kernel))),
            ("mmd, biased", Box::new(|x, y| mmd2_biased(x, y, &kernel))),
            ("cmmd", Box::new(cmmd)),
            ("precision", Box::new(|x, y| Ok(manifold(x, y, 3, "")?.precision))),
            ("recall", Box::new(|x, y| Ok(manifold(x, y, 3, "")?.recall))),
            ("density", Box::new(|x, y| Ok(manifold(x, y, 3, "")?.density))),
            ("f-score", Box::new(|x, y| Ok(manifold(x, y, 3, "")?.f_score()))),
            ("memorisation", Box::new(|x, y| Ok(memorisation(&train, x, y)?.closer))),
            ("sliced", Box::new(|x, y| sliced_wasserstein(x, y, 2.0, 8, &mut rng()))),
            ("wasserstein", Box::new(|x, y| wasserstein(x, y, 2.0))),
            ("sinkhorn", Box::new(|x, y| sinkhorn.divergence(x, y, 2.0))),
            ("two-sample", Box::new(|x, y| Ok(two_sample_test(x, y, Judge::Neighbours, "", &mut rng())?.accuracy))),
            (
                "path length",
                Box::new(|x, _| Ok(path_length(x, &Points::new(&vec![0.0; x.n() * 3], x.n(), 3)?, 0.1, "")?.mean)),
            ),
        ];
        for (name, measure) in &measures {
            let found = halves(&x, &y, 12, &mut rng(), |x, y| measure(x, y)).unwrap_or_else(|e| panic!("{name}: {e}"));
            let [low, high] = found.interval(0.9).unwrap();
            assert!(low < high && found.replicates.len() == 12, "{name}: {low} {high}");
        }
        // What looks at class probabilities has other columns than the features.
        let p: Vec<f64> = (0..50).flat_map(|i| [0.1, 0.9 - 0.01 * f64::from(i), 0.01 * f64::from(i)]).collect();
        let p = Points::new(&p, 50, 3).unwrap();
        let wide = normal(4, 60, 5);
        let wide = Points::new(&wide, 60, 5).unwrap();
        let [score, top] = halves_of_each(&wide, &p, 12, &mut rng(), |_, p| {
            Ok([inception_score(p, 2, "")?.mean, classes(p, "")?.top_probability])
        })
        .unwrap();
        assert!(score.standard_error() > 0.0 && top.standard_error() > 0.0);
        assert!(halves(&wide, &p, 12, &mut rng(), |_, _| Ok(0.0)).is_err());
    }

    #[test]
    fn refusals() {
        let (x, few) = (Points::new(&[0.0, 1.0, 2.0, 3.0], 4, 1).unwrap(), Points::new(&[0.0; 3], 3, 1).unwrap());
        let rng = &mut Rng::new(0);
        assert!(halves(&x, &few, 9, rng, |_, _| Ok(0.0)).is_err());
        assert!(halves(&x, &x, 1, rng, |_, _| Ok(0.0)).is_err());
        assert!(halves(&x, &x, 9, rng, |_, _| Ok(f64::NAN)).is_err());
        assert!(halves(&x, &x, 9, rng, |_, _| Ok(0.0)).unwrap().interval(1.0).is_err());
    }
}
