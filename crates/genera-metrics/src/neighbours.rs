//! Nearest neighbours by Euclidean distance, exactly, in blocks of bounded memory.
//!
//! In high dimension the search runs at the speed of a matrix product in single precision, but its answers do not have
//! a product's rounding: pairs whose estimate is within its error bound of a candidate are summed directly, so distances
//! are those of `Σ (x − y)²` and a copy is at distance zero exactly. Ties go to the lower index.

use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::near::{LEFT, RIGHT, Sketch};
use crate::pairs::pieces;
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
    search(queries, reference, k).map(Found::into_distances)
}

/// The `k` rows nearest to each row of `points`, itself excepted (but not its copies).
///
/// # Errors
/// `k` of zero, or fewer than `k + 1` rows.
pub fn nearest_others(points: &Points<'_>, k: usize) -> Result<Neighbours, MetricError> {
    others(points, k).map(Found::into_distances)
}

/// Neighbours by squared distance, which is what decisions are made on: a square root would not square back.
pub(crate) struct Found {
    pub(crate) k: usize,
    pub(crate) squared: Vec<f64>,
    indices: Vec<usize>,
}

impl Found {
    fn of(k: usize, best: Vec<Best>) -> Self {
        let (squared, indices) = best.into_iter().flatten().unzip();
        Self { k, squared, indices }
    }

    fn into_distances(self) -> Neighbours {
        Neighbours { k: self.k, distances: self.squared.into_iter().map(f64::sqrt).collect(), indices: self.indices }
    }
}

/// The nearest so far of one row: squared distances, rising, and row numbers.
type Best = Vec<(f64, usize)>;

/// Farther than this is of no interest.
fn limit(best: &Best, k: usize) -> f64 {
    best.get(k - 1).map_or(f64::INFINITY, |(worst, _)| *worst)
}

/// Of equal distances the one that comes first stays first.
fn insert(best: &mut Best, k: usize, (squared, index): (f64, usize)) {
    if squared < limit(best, k) {
        let place = best.partition_point(|(other, _)| *other <= squared);
        best.insert(place, (squared, index));
        best.truncate(k);
    }
}

fn search(queries: &Points<'_>, reference: &Points<'_>, k: usize) -> Result<Found, MetricError> {
    queries.same_columns(reference)?;
    require(k >= 1, "the number of neighbours", k as f64, "at least 1")?;
    reference.at_least(k, "a search of the k nearest, k being this,")?;
    let [queries, reference] = Sketch::pair(queries, reference);
    let strip = |rows: Range<usize>| {
        let (mut best, mut buffer) = (vec![Best::new(); rows.len()], Vec::new());
        for columns in pieces(reference.n(), RIGHT) {
            queries.visit(rows.clone(), &reference, columns, &mut buffer, |i, j, estimate| {
                let best = &mut best[i - rows.start];
                if estimate.possibly_within(limit(best, k)) {
                    insert(best, k, (queries.exact(i, &reference, j), j));
                }
            });
        }
        best
    };
    let strips: Vec<_> = pieces(queries.n(), LEFT).collect::<Vec<_>>().into_par_iter().map(strip).collect();
    Ok(Found::of(k, strips.into_iter().flatten().collect()))
}

/// [`nearest_others`] with squared distances. Each pair is looked at once, for both of its rows.
pub(crate) fn others(points: &Points<'_>, k: usize) -> Result<Found, MetricError> {
    require(k >= 1, "the number of neighbours", k as f64, "at least 1")?;
    points.at_least(k.saturating_add(1), "a search of the k nearest others, k + 1 being this,")?;
    Ok(others_within(&Sketch::of(points), k))
}

pub(crate) fn others_within(points: &Sketch<'_>, k: usize) -> Found {
    let mut best = vec![Best::new(); points.n()];
    for strip in pieces(points.n(), LEFT) {
        let (own, later) = best[strip.start..].split_at_mut(strip.len());
        points.visit(strip.clone(), points, strip.clone(), &mut Vec::new(), |i, j, estimate| {
            let best = &mut own[i - strip.start];
            if i != j && estimate.possibly_within(limit(best, k)) {
                insert(best, k, (points.exact(i, points, j), j));
            }
        });
        // The rows behind the strip, in blocks: each block takes in the strip, and offers its own to the strip.
        let block = |(block, theirs): (usize, &mut [Best])| {
            let first = strip.end + block * RIGHT;
            let mut offers = vec![Best::new(); strip.len()];
            points.visit(strip.clone(), points, first..first + theirs.len(), &mut Vec::new(), |i, j, estimate| {
                let (ours, theirs) = (i - strip.start, &mut theirs[j - first]);
                let for_us = estimate.possibly_within(limit(&own[ours], k).min(limit(&offers[ours], k)));
                if for_us || estimate.possibly_within(limit(theirs, k)) {
                    let exact = points.exact(i, points, j);
                    insert(&mut offers[ours], k, (exact, j));
                    insert(theirs, k, (exact, i));
                }
            });
            offers
        };
        let offers: Vec<Vec<Best>> = later.par_chunks_mut(RIGHT).enumerate().map(block).collect();
        for offers in offers {
            own.iter_mut().zip(offers).for_each(|(best, offers)| {
                offers.into_iter().for_each(|offer| insert(best, k, offer));
            });
        }
    }
    Found::of(k, best)
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
