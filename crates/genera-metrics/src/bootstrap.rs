//! How sure a number is: standard errors of means, and the bootstrap for any other statistic.
//!
//! ```text
//! standard error of a mean:  √( Σ (x − x̄)² / (n (n − 1)) )
//! bootstrap:  θ*_b = θ(rows drawn with replacement);  interval = quantiles of θ*;  standard error = their spread
//! ```
//!
//! Efron, "Bootstrap methods: another look at the jackknife" (1979). The percentile interval is the plain one: fit for
//! smooth statistics, and not for extremes or for statistics that duplicated rows bias, such as nearest neighbours.

use genera_rng::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::{MetricError, Points};

/// A mean with its standard error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// The mean.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Values averaged.
    pub n: usize,
}

impl Mean {
    /// Of independent values.
    ///
    /// # Errors
    /// Fewer than two values, or one that is not finite.
    pub fn of(values: &[f64]) -> Result<Self, MetricError> {
        let n = values.len();
        Points::new(values, n, 1)?.at_least(2, "a standard error")?;
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Ok(Self { value: mean, standard_error: (squares / (n as f64 * (n - 1) as f64)).sqrt(), n })
    }
}

/// A statistic and its values on resampled rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// The statistic of the rows as they are.
    pub estimate: f64,
    /// The statistic of each resample, in rising order.
    pub replicates: Vec<f64>,
}

impl Bootstrap {
    /// The standard deviation of the replicates.
    pub fn standard_error(&self) -> f64 {
        let n = self.replicates.len() as f64;
        mean_and_deviation(&self.replicates).1 * (n / (n - 1.0)).sqrt()
    }

    /// The percentile interval that holds the fraction `level` of the replicates.
    ///
    /// # Errors
    /// A level outside (0, 1).
    pub fn interval(&self, level: f64) -> Result<[f64; 2], MetricError> {
        require(level > 0.0 && level < 1.0, "the level of an interval", level, "between 0 and 1")?;
        let tail = (1.0 - level) / 2.0;
        Ok([quantile(&self.replicates, tail), quantile(&self.replicates, 1.0 - tail)])
    }
}

/// The bootstrap of `statistic`, a function of the numbers of the rows to use, over `n` rows.
///
/// Resample b depends on the generator and b alone, not on the number of threads.
///
/// # Errors
/// No rows, fewer than two resamples, or a statistic that is not finite.
pub fn bootstrap(
    n: usize,
    resamples: usize,
    rng: &mut Rng,
    statistic: impl Fn(&[usize]) -> f64 + Sync,
) -> Result<Bootstrap, MetricError> {
    require(n >= 1, "the number of rows", n as f64, "at least 1")?;
    require(resamples >= 2, "the number of resamples", resamples as f64, "at least 2")?;
    let finite = |value: f64| require(value.is_finite(), "the statistic", value, "finite").map(|()| value);
    let all: Vec<usize> = (0..n).collect();
    let estimate = finite(statistic(&all))?;
    let streams: Vec<_> = rng.streams(resamples).collect();
    let replicate = |mut stream: genera_rng::Stream| {
        let rows: Vec<usize> = (0..n).map(|_| stream.below(n)).collect();
        finite(statistic(&rows))
    };
    let mut replicates = streams.into_par_iter().map(replicate).collect::<Result<Vec<f64>, _>>()?;
    replicates.sort_unstable_by(f64::total_cmp);
    Ok(Bootstrap { estimate, replicates })
}

/// The mean and the standard deviation (over n) of finite values, in units of the largest, whose squares may overflow.
pub(crate) fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let scale = values.iter().fold(f64::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    let mean = values.iter().map(|value| value / scale).sum::<f64>() / n;
    let variance = values.iter().map(|value| (value / scale - mean).powi(2)).sum::<f64>() / n;
    (mean * scale, variance.sqrt() * scale)
}

/// The `q`-quantile of non-empty `sorted` values, linear between neighbours.
pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_by_hand() {
        // Variance of {1, 2, 3, 6} is 14/3, so that of the mean is 14/12.
        let found = Mean::of(&[1.0, 2.0, 3.0, 6.0]).unwrap();
        assert_eq!(found.value, 3.0);
        assert!((found.standard_error - (14.0_f64 / 12.0).sqrt()).abs() < 1e-15);
        assert!(Mean::of(&[]).is_err() && Mean::of(&[1.0]).is_err() && Mean::of(&[1.0, f64::NAN]).is_err());
    }

    #[test]
    fn quantiles_by_hand() {
        let sorted = [0.0, 1.0, 2.0, 10.0];
        assert_eq!([0.0, 0.5, 1.0, 5.0 / 6.0].map(|q| quantile(&sorted, q)), [0.0, 1.5, 10.0, 6.0]);
        assert_eq!(quantile(&[3.0], 0.7), 3.0);
    }

    #[test]
    fn agrees_with_the_standard_error_of_a_mean() {
        let values: Vec<f64> = Rng::new(1).normal(400, 1).iter().map(|v| f64::from(*v)).collect();
        let statistic = |rows: &[usize]| rows.iter().map(|&i| values[i]).sum::<f64>() / rows.len() as f64;
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| bootstrap(400, 4000, &mut Rng::new(2), statistic).unwrap())
        };
        let found = run(2);
        assert_eq!(found, run(1));
        let mean = Mean::of(&values).unwrap();
        assert!((found.estimate - mean.value).abs() < 1e-15);
        // The spread of 4000 replicates is known to 1/√8000 = 1.1 %.
        assert!((found.standard_error() / mean.standard_error - 1.0).abs() < 0.05);
        let [low, high] = found.interval(0.95).unwrap();
        assert!(((high - low) / (2.0 * 1.96 * mean.standard_error) - 1.0).abs() < 0.1);
    }

    #[test]
    fn intervals_cover_at_their_level() {
        let covered = (0..300).filter(|&trial| {
            let values = Rng::new(trial).normal(50, 1);
            let statistic = |rows: &[usize]| rows.iter().map(|&i| f64::from(values[i])).sum::<f64>() / 50.0;
            let [low, high] =
                bootstrap(50, 300, &mut Rng::new(trial).fork("bootstrap"), statistic).unwrap().interval(0.9).unwrap();
            low <= 0.0 && 0.0 <= high
        });
        // 0.88 is what the percentile interval of 50 rows gives; four standard errors of 300 trials are 0.075.
        let fraction = covered.count() as f64 / 300.0;
        assert!((fraction - 0.88).abs() < 0.075, "{fraction}");
    }

    #[test]
    fn refusals() {
        let rng = &mut Rng::new(0);
        assert!(bootstrap(0, 10, rng, |_| 0.0).is_err() && bootstrap(3, 1, rng, |_| 0.0).is_err());
        assert!(bootstrap(3, 10, rng, |_| f64::NAN).is_err());
        let fine = bootstrap(3, 10, rng, |rows| rows[0] as f64).unwrap();
        assert!([0.0, 1.0, f64::NAN].iter().all(|level| fine.interval(*level).is_err()));
    }
}
