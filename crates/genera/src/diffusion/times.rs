//! Which times are trained.
//!
//! ```text
//! discrete     t uniform among the levels of the chain
//! continuous   t uniform between the ends of the chain
//! log-normal   ln(σ/α) ~ N(mean, deviation²), brought within the chain             (Karras et al., 2206.00364)
//! ```
//!
//! Of a flow, where σ/α = t / (1 − t), the last is the logit-normal law of Esser et al., 2403.03206. It says how often a
//! level is looked at and changes nothing else: bounds of the likelihood draw, or run through, times of their own.

use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::{DiffusionError, Level, Levels, within};

/// Which times are trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Times {
    /// The levels of the chain, all equally often.
    #[default]
    Discrete,
    /// Every time between the ends of the chain, uniformly.
    Continuous,
    /// Every time, so that `ln(σ/α)` is normal; what falls beyond the ends of the chain is at the end.
    LogNormal {
        /// The mean, `P_mean` of EDM.
        #[serde(default = "mean")]
        mean: f64,
        /// The standard deviation, `P_std` of EDM.
        #[serde(default = "deviation")]
        deviation: f64,
    },
}

fn mean() -> f64 {
    -1.2
}
fn deviation() -> f64 {
    1.2
}

impl Times {
    /// # Errors
    /// A mean that is not finite, a deviation that is not positive.
    pub(super) fn validate(&self) -> Result<(), DiffusionError> {
        let Self::LogNormal { mean, deviation } = *self else { return Ok(()) };
        within(mean.abs() <= 100.0, "times.log-normal.mean", mean, "a logarithm of noise, from -100 to 100")?;
        let needed = "positive and at most 100";
        within(deviation > 0.0 && deviation <= 100.0, "times.log-normal.deviation", deviation, needed)
    }

    /// The level of each of `rows` rows. A row's does not depend on how many there are.
    pub fn draw(&self, levels: &Levels, rows: usize, rng: &mut Rng) -> Vec<Level> {
        match *self {
            Self::Discrete => rng.below(rows, levels.steps()).into_iter().map(|t| levels.training(t)).collect(),
            Self::Continuous => rng.streams(rows).map(|mut stream| levels.at_fraction(stream.uniform())).collect(),
            Self::LogNormal { mean, deviation } => rng
                .streams(rows)
                .map(|mut stream| levels.at_noise((mean + deviation * stream.normal()).exp()))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::Schedule;

    const N: usize = 40_000;

    /// The logarithms of noise that are drawn.
    fn logs(times: Times, schedule: &Schedule) -> Vec<f64> {
        let levels = schedule.levels().unwrap();
        times.draw(&levels, N, &mut Rng::new(1)).iter().map(|level| (level.sigma / level.alpha).ln()).collect()
    }

    fn moments(values: &[f64]) -> (f64, f64) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64)
    }

    /// Where the chain reaches three deviations either way, what is brought to its ends moves no moment that could be seen.
    #[test]
    fn the_logarithm_of_noise_is_normal_on_every_schedule() {
        let (mean, deviation) = (-0.4, 0.7);
        let times = Times::LogNormal { mean, deviation };
        for schedule in [
            Schedule::karras(100),
            Schedule::variance_exploding(100),
            Schedule::variance_preserving(1000),
            Schedule::linear(1000),
            Schedule::linear_flow(100),
        ] {
            let drawn = logs(times, &schedule);
            let (found, spread) = moments(&drawn);
            let error = deviation / (N as f64).sqrt();
            assert!((found - mean).abs() < 4.0 * error, "{schedule:?}: mean {found}");
            assert!((spread / deviation.powi(2) - 1.0).abs() < 0.04, "{schedule:?}: variance {spread}");
            let below = drawn.iter().filter(|log| **log < mean - deviation).count() as f64 / N as f64;
            assert!((below - 0.158_66).abs() < 0.008, "{schedule:?}: {below} below one deviation");
        }
    }

    /// EDM's own law on a chain that is shorter than it: the ends hold what lies beyond them, and nothing more.
    #[test]
    fn noise_beyond_the_chain_is_at_its_ends() {
        let schedule = Schedule::Karras { steps: 50, sigma_min: 0.1, sigma_max: 1.0, rho: 7.0 };
        let drawn = logs(serde_json::from_str(r#"{"log-normal": {}}"#).unwrap(), &schedule);
        let share = |at: f64| drawn.iter().filter(|log| (**log - at).abs() < 1e-9).count() as f64 / N as f64;
        // Φ((ln 0.1 + 1.2) / 1.2) and 1 − Φ((ln 1 + 1.2) / 1.2).
        assert!((share(0.1_f64.ln()) - 0.1791).abs() < 0.01 && (share(0.0) - 0.1587).abs() < 0.01);
        assert!(drawn.iter().all(|log| (0.1_f64.ln() - 1e-9..=1e-9).contains(log)));
    }

    #[test]
    fn a_row_has_its_own_time_and_nonsense_is_refused() {
        let levels = Schedule::karras(100).levels().unwrap();
        for times in [Times::Discrete, Times::Continuous, Times::LogNormal { mean: -1.2, deviation: 1.2 }] {
            let draw = |rows| times.draw(&levels, rows, &mut Rng::new(3));
            assert_eq!(draw(9)[..4], draw(4)[..]);
            assert!(times.validate().is_ok());
        }
        for (mean, deviation) in [(f64::NAN, 1.0), (f64::INFINITY, 1.0), (0.0, 0.0), (0.0, -1.0), (0.0, f64::NAN)] {
            assert!(Times::LogNormal { mean, deviation }.validate().is_err(), "{mean} {deviation}");
        }
        for bad in [r#"{"log-normal": {"std": 1.0}}"#, r#""log-normal""#, r#""lognormal""#] {
            assert!(serde_json::from_str::<Times>(bad).is_err(), "{bad}");
        }
    }
}
