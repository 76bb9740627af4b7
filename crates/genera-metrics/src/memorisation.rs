//! Does a model copy its training set? Distances to the nearest training row, against those of held-out rows.
//!
//! ```text
//! closer = P(d(generated) < d(held out)) + ½ P(d(generated) = d(held out))
//! z = (closer − ½) / √((n + m + 1) / 12nm)
//! ```
//!
//! A model that has learnt the distribution and not the sample is as far from the training set as fresh data are:
//! `closer` is ½, and z is about standard normal. Copying makes both large; noise makes them small. This is the rank
//! test of Mann and Whitney on distances, the global form of the data-copying test of Meehan, Chaudhuri and Dasgupta
//! (arXiv:2004.05675, who give z the other sign and also split the space into cells). Ties make z cautious.

use serde::{Deserialize, Serialize};

use crate::bootstrap::quantile;
use crate::neighbours::nearest;
use crate::{MetricError, Neighbours, Points};

/// The quantiles at which distances are compared. Copies show in the lowest.
const LEVELS: [f64; 5] = [0.01, 0.05, 0.25, 0.5, 0.75];

/// Distances to the training set at one quantile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DistanceQuantile {
    /// The fraction of rows that are nearer.
    pub level: f64,
    /// The distance, of generated rows.
    pub generated: f64,
    /// The distance, of held-out rows.
    pub held_out: f64,
    /// Generated over held out; none where the held-out distance is zero.
    pub ratio: Option<f64>,
}

/// How near generated rows are to the training set, against held-out rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Memorisation {
    /// The nearest training row of each generated row (k = 1).
    pub generated: Neighbours,
    /// The nearest training row of each held-out row (k = 1).
    pub held_out: Neighbours,
    /// Both at the quantiles 1, 5, 25, 50 and 75 %.
    pub quantiles: Vec<DistanceQuantile>,
    /// The probability that a generated row is closer than a held-out row.
    pub closer: f64,
    /// `closer − ½` in standard errors.
    pub z: f64,
    /// Generated rows that equal a training row.
    pub copies: usize,
}

/// Compares the distances from `generated` to `train` with those from `held_out` to `train`.
///
/// # Errors
/// Different numbers of columns.
pub fn memorisation(
    train: &Points<'_>,
    held_out: &Points<'_>,
    generated: &Points<'_>,
) -> Result<Memorisation, MetricError> {
    let (generated, held_out) = (nearest(generated, train, 1)?, nearest(held_out, train, 1)?);
    let sorted = |neighbours: &Neighbours| {
        let mut distances = neighbours.distances.clone();
        distances.sort_unstable_by(f64::total_cmp);
        distances
    };
    let (ours, theirs) = (sorted(&generated), sorted(&held_out));
    let at = |level| {
        let (generated, held_out) = (quantile(&ours, level), quantile(&theirs, level));
        DistanceQuantile { level, generated, held_out, ratio: (held_out > 0.0).then(|| generated / held_out) }
    };
    let (n, m) = (ours.len() as f64, theirs.len() as f64);
    let wins = |distance: &f64| {
        let not_farther = theirs.partition_point(|other| other < distance);
        let not_closer = theirs.partition_point(|other| other <= distance);
        (m - not_closer as f64) + 0.5 * (not_closer - not_farther) as f64
    };
    let closer = ours.iter().map(wins).sum::<f64>() / (n * m);
    Ok(Memorisation {
        quantiles: LEVELS.map(at).to_vec(),
        closer,
        z: (closer - 0.5) / ((n + m + 1.0) / (12.0 * n * m)).sqrt(),
        copies: ours.partition_point(|distance| *distance == 0.0),
        generated,
        held_out,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use genera_rng::Rng;

    fn normal(seed: u64, n: usize) -> Vec<f32> {
        Rng::new(seed).normal(n, 20)
    }

    fn measure(generated: &[f32]) -> Memorisation {
        let (train, held_out) = (normal(1, 500), normal(2, 400));
        let points = |rows| Points::new(rows, <[f32]>::len(rows) / 20, 20).unwrap();
        memorisation(&points(&train), &points(&held_out), &points(generated)).unwrap()
    }

    #[test]
    fn by_hand() {
        let points = |rows| Points::new(rows, <[f64]>::len(rows), 1).unwrap();
        // Distances to {0, 10}: generated 0, 1, 2; held out 1, 3.
        let found = memorisation(&points(&[0.0, 10.0]), &points(&[1.0, 7.0]), &points(&[10.0, -1.0, 2.0])).unwrap();
        assert_eq!(found.generated.distances, [0.0, 1.0, 2.0]);
        assert_eq!(found.generated.indices, [1, 0, 0]);
        assert_eq!(found.held_out.distances, [1.0, 3.0]);
        // Of six pairs: 0 beats both, 1 ties and beats, 2 loses and beats: 4.5 / 6.
        assert_eq!((found.closer, found.copies), (0.75, 1));
        assert!((found.z - 0.25 / (6.0_f64 / 72.0).sqrt()).abs() < 1e-15);
        let middle = found.quantiles[3];
        assert_eq!((middle.generated, middle.held_out, middle.ratio), (1.0, 2.0, Some(0.5)));
    }

    #[test]
    fn fresh_samples_are_not_accused_and_copies_are() {
        let fresh = measure(&normal(3, 300));
        assert!(fresh.z.abs() < 4.0 && fresh.copies == 0, "{} {}", fresh.closer, fresh.z);
        assert!((fresh.quantiles[3].ratio.unwrap() - 1.0).abs() < 0.05);
        // One row in ten is a training row with a little noise: the low quantiles show it, the median does not.
        let mut tenth = normal(3, 300);
        tenth[..600].copy_from_slice(&normal(1, 500)[..600].iter().map(|v| v + 0.01).collect::<Vec<_>>());
        let tenth = measure(&tenth);
        assert!(tenth.quantiles[0].ratio.unwrap() < 0.1 && tenth.quantiles[3].ratio.unwrap() > 0.9);
        let copied = measure(&normal(1, 500));
        assert_eq!((copied.copies, copied.closer), (500, 1.0));
        assert!(copied.z > 20.0);
        // Too far away is not memorised.
        assert!(measure(&normal(3, 300).iter().map(|v| 2.0 * v).collect::<Vec<_>>()).z < -10.0);
    }

    #[test]
    fn refusals() {
        let (x, wide) = (Points::new(&[0.0], 1, 1).unwrap(), Points::new(&[0.0; 2], 1, 2).unwrap());
        assert!(memorisation(&x, &wide, &x).is_err() && memorisation(&x, &x, &wide).is_err());
        assert_eq!(memorisation(&x, &x, &x).unwrap().quantiles[0].ratio, None);
    }
}
