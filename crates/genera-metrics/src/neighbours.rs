//! Nearest neighbours by Euclidean distance, exactly, in blocks of bounded memory.
//!
//! In high dimension the search runs at the speed of a matrix product, but its answers do not have a product's
//! rounding: pairs whose product form is within its error bound of a candidate are summed directly, so distances are
//! those of `Σ (x − y)²` and a copy is at distance zero exactly. Ties go to the lower index.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::pairs::{LEFT, RIGHT, Rows, pieces};
use crate::{MetricError, Points};

/// The `k` nearest neighbours of each of `n` rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Neighbours {
    /// Neighbours per row.
    pub k: usize,
    /// Distances, row-major `[n, k]`, rising along each row.
    pub distances: Vec<f64>,
    /// Row numbers of the neighbours, `[n, k]`.
    pub indices: Vec<usize>,
}

/// The `k` rows of `reference` nearest to each row of `queries`.
///
/// # Errors
/// Different numbers of columns, `k` of zero, or fewer than `k` rows in `reference`.
pub fn nearest(queries: &Points<'_>, reference: &Points<'_>, k: usize) -> Result<Neighbours, MetricError> {
    search(queries, reference, k, |_, _| true).map(Found::into_distances)
}

/// The `k` rows nearest to each row of `points`, itself excepted (but not its copies).
///
/// # Errors
/// `k` of zero, or fewer than `k + 1` rows.
pub fn nearest_others(points: &Points<'_>, k: usize) -> Result<Neighbours, MetricError> {
    others(points, k).map(Found::into_distances)
}

/// [`nearest_others`] with squared distances.
pub(crate) fn others(points: &Points<'_>, k: usize) -> Result<Found, MetricError> {
    points.at_least(k.saturating_add(1), "a search of the k nearest others, k + 1 being this,")?;
    search(points, points, k, |i, j| i != j)
}

/// Neighbours by squared distance, which is what decisions are made on: a square root would not square back.
pub(crate) struct Found {
    pub(crate) k: usize,
    pub(crate) squared: Vec<f64>,
    indices: Vec<usize>,
}

impl Found {
    fn into_distances(self) -> Neighbours {
        Neighbours { k: self.k, distances: self.squared.into_iter().map(f64::sqrt).collect(), indices: self.indices }
    }
}

pub(crate) fn search(
    queries: &Points<'_>,
    reference: &Points<'_>,
    k: usize,
    allowed: impl Fn(usize, usize) -> bool + Sync,
) -> Result<Found, MetricError> {
    queries.same_columns(reference)?;
    require(k >= 1, "the number of neighbours", k as f64, "at least 1")?;
    reference.at_least(k, "a search of the k nearest, k being this,")?;
    let strip = |range: std::ops::Range<usize>| {
        let (rows, mut buffer) = (Rows::of(queries, range.clone()), Vec::new());
        let mut best: Vec<Vec<(f64, usize)>> = vec![Vec::with_capacity(k + 1); rows.len()];
        for right in pieces(reference.n(), RIGHT) {
            let first = right.start;
            let limit = |best: &Vec<Vec<(f64, usize)>>, i: usize, j: usize| match best[i].get(k - 1) {
                _ if !allowed(range.start + i, first + j) => f64::NEG_INFINITY,
                Some((worst, _)) => *worst,
                None => f64::INFINITY,
            };
            rows.visit_within(&Rows::of(reference, right), &mut buffer, &mut best, limit, |best, i, j, squared| {
                let list = &mut best[i];
                let place = list.partition_point(|(other, _)| *other <= squared);
                list.insert(place, (squared, first + j));
                list.truncate(k);
            });
        }
        best
    };
    let strips: Vec<_> = pieces(queries.n(), LEFT).collect::<Vec<_>>().into_par_iter().map(strip).collect();
    let (squared, indices) = strips.into_iter().flatten().flatten().unzip();
    Ok(Found { k, squared, indices })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::squared_distance;
    use genera_rng::Rng;

    #[test]
    fn agrees_with_a_full_sort() {
        for (n, m, d, k) in [(3, 5, 1, 5), (150, 600, 2, 4), (140, 530, 64, 3)] {
            // A coarse grid and a far offset: many near ties, and bad cancellation in the product form.
            let grid = |seed, n| -> Vec<f64> {
                Rng::new(seed).normal(n, d).iter().map(|v| f64::from((v * 2.0).round() + 1000.0) / 3.0).collect()
            };
            let (x, y) = (grid(1, n), grid(2, m));
            let (x, y) = (Points::new(&x, n, d).unwrap(), Points::new(&y, m, d).unwrap());
            let check = |found: &Neighbours, x: &Points<'_>, y: &Points<'_>, same: bool| {
                for i in 0..x.n() {
                    let (row, k) = (x.rows(i..i + 1), found.k);
                    let mut all: Vec<(f64, usize)> = (0..y.n())
                        .filter(|&j| !(same && i == j))
                        .map(|j| (squared_distance(&row, &y.rows(j..j + 1)), j))
                        .collect();
                    all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                    let found: Vec<_> =
                        (i * k..(i + 1) * k).map(|at| (found.distances[at], found.indices[at])).collect();
                    let all: Vec<_> = all[..k].iter().map(|(squared, j)| (squared.sqrt(), *j)).collect();
                    assert_eq!(found, all, "{n} {m} {d}, row {i}");
                }
            };
            check(&nearest(&x, &y, k).unwrap(), &x, &y, false);
            check(&nearest_others(&y, k.min(m - 1)).unwrap(), &y, &y, true);
        }
    }

    #[test]
    fn a_copy_is_at_distance_zero() {
        let x: Vec<f64> = Rng::new(1).normal(600, 300).iter().map(|v| f64::from(*v) / 3.0 + 50.0).collect();
        let x = Points::new(&x, 600, 300).unwrap();
        let found = nearest(&x, &x, 1).unwrap();
        assert!(found.distances.iter().all(|distance| *distance == 0.0));
        assert_eq!(found.indices, (0..600).collect::<Vec<_>>());
        assert!(nearest_others(&x, 1).unwrap().distances.iter().all(|distance| *distance > 1.0));
    }

    #[test]
    fn refusals() {
        let x = Points::new(&[0.0, 1.0], 2, 1).unwrap();
        let wide = Points::new(&[0.0; 4], 2, 2).unwrap();
        assert!(nearest(&x, &x, 0).is_err() && nearest_others(&x, 0).is_err());
        assert!(matches!(nearest(&x, &x, 3), Err(MetricError::TooFew { needed: 3, got: 2, .. })));
        assert!(matches!(nearest_others(&x, 2), Err(MetricError::TooFew { needed: 3, got: 2, .. })));
        assert!(matches!(nearest_others(&x, usize::MAX), Err(MetricError::TooFew { .. })));
        assert!(matches!(nearest(&x, &wide, 1), Err(MetricError::Dimensions { .. })));
    }
}
