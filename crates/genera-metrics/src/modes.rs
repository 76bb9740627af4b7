//! Mode coverage: which of the known modes samples reach, and how many samples lie at none.
//!
//! A sample is near a mode if it lies within three standard deviations of its centre. A mode is covered if the share of
//! samples near it is at least a tenth of the mode's weight: a few strays do not make a mode. In the plane, 98.9 % of
//! the points of a Gaussian itself are near.

use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::{MetricError, Points};

/// Within how many deviations a sample is near, and which part of its weight a covered mode has at least.
const NEAR: f64 = 3.0;
const PART: f64 = 0.1;

/// A round mode: a Gaussian of one deviation in every direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mode {
    /// The centre, `[d]`.
    pub centre: Vec<f64>,
    /// The standard deviation.
    pub deviation: f64,
    /// The share of the mass that belongs to it.
    pub weight: f64,
}

/// What samples have of the modes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Modes {
    /// Modes that are covered.
    pub covered: usize,
    /// The share of the samples near any mode.
    pub near: f64,
    /// The share of the samples near each mode, its nearest, in order.
    pub shares: Vec<f64>,
    /// Samples.
    pub n: usize,
}

/// Counts the `modes` that `samples` `[n, d]` cover. A sample counts for the mode that is nearest in deviations.
///
/// # Errors
/// No modes, a centre of another dimension, or a deviation or weight that is not positive.
pub fn modes(samples: &Points<'_>, modes: &[Mode]) -> Result<Modes, MetricError> {
    let d = samples.d();
    require(!modes.is_empty(), "the number of modes", 0.0, "at least 1")?;
    for mode in modes {
        if mode.centre.len() != d {
            return Err(MetricError::Dimensions { left: d, right: mode.centre.len() });
        }
        require(mode.deviation > 0.0, "the deviation of a mode", mode.deviation, "positive")?;
        require(mode.weight > 0.0, "the weight of a mode", mode.weight, "positive")?;
    }
    let mut counts = vec![0_usize; modes.len()];
    for row in samples.rows(0..samples.n()).chunks_exact(d) {
        let distance = |mode: &Mode| {
            let squared: f64 = row.iter().zip(&mode.centre).map(|(x, c)| (x - c) * (x - c)).sum();
            squared.sqrt() / mode.deviation
        };
        let nearest = modes.iter().map(distance).enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((mode, distance)) = nearest
            && distance <= NEAR
        {
            counts[mode] += 1;
        }
    }
    let shares: Vec<f64> = counts.iter().map(|count| *count as f64 / samples.n() as f64).collect();
    let covered = shares.iter().zip(modes).filter(|(share, mode)| **share >= PART * mode.weight).count();
    Ok(Modes { covered, near: counts.iter().sum::<usize>() as f64 / samples.n() as f64, shares, n: samples.n() })
}

#[cfg(test)]
mod tests {
    use genera_rng::Rng;

    use super::*;

    fn two() -> [Mode; 2] {
        [0.0, 10.0].map(|x| Mode { centre: vec![x, 0.0], deviation: 0.5, weight: 0.5 })
    }

    #[test]
    fn by_hand() {
        // One near the first mode, one just outside of it, one between, one exactly on the border of the second.
        let rows = [0.0, 1.0, 0.0, 1.6, 5.0, 0.0, 11.5, 0.0];
        let found = modes(&Points::new(&rows, 4, 2).unwrap(), &two()).unwrap();
        assert_eq!((found.covered, found.near, found.shares.as_slice()), (2, 0.5, &[0.25, 0.25][..]));
        // Four of a hundred are less than a tenth of a half.
        let rows: Vec<f64> = (0..100).flat_map(|i| [if i < 4 { 10.0 } else { 0.0 }, 0.0]).collect();
        let found = modes(&Points::new(&rows, 100, 2).unwrap(), &two()).unwrap();
        assert_eq!((found.covered, found.near), (1, 1.0));
    }

    #[test]
    fn the_mixture_itself_covers_all_and_is_near_as_often_as_a_gaussian() {
        let n = 20_000;
        let rows: Vec<f64> = Rng::new(1)
            .normal(n, 2)
            .chunks_exact(2)
            .enumerate()
            .flat_map(|(i, z)| [10.0 * (i % 2) as f64 + 0.5 * f64::from(z[0]), 0.5 * f64::from(z[1])])
            .collect();
        let found = modes(&Points::new(&rows, n, 2).unwrap(), &two()).unwrap();
        assert_eq!(found.covered, 2);
        assert!((found.near - (1.0 - (-4.5_f64).exp())).abs() < 0.003, "{}", found.near);
    }

    #[test]
    fn refusals() {
        let points = Points::new(&[0.0, 0.0], 1, 2).unwrap();
        assert!(modes(&points, &[]).is_err());
        let mode = |centre: &[f64], deviation: f64, weight: f64| Mode { centre: centre.to_vec(), deviation, weight };
        for bad in [mode(&[0.0], 1.0, 1.0), mode(&[0.0; 2], 0.0, 1.0), mode(&[0.0; 2], 1.0, f64::NAN)] {
            assert!(modes(&points, &[bad]).is_err());
        }
    }
}
