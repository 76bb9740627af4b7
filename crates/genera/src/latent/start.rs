//! Where mixtures start: the means of clusters.
//!
//! Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding" (2007): each further centre is a row drawn with
//! a probability proportional to its squared distance from the nearest centre so far. Then Lloyd's steps, a few of them,
//! and of several such starts the one whose rows lie nearest to their centres.

use genera_rng::{Rng, Stream};

use super::{LatentError, Points, choose};

/// Starts that are compared.
const STARTS: usize = 10;
/// Lloyd's steps of each.
const STEPS: usize = 10;

/// Centres of clusters of `x`, `[K, D]`, and the mean squared distance of its rows from them.
///
/// # Errors
/// No rows, no component, or fewer distinct rows than components.
pub(super) fn clusters(x: &Points, components: usize, rng: &mut Rng) -> Result<(Vec<f64>, f64), LatentError> {
    let rows = x.count();
    if rows == 0 || x.width == 0 {
        return Err(LatentError::Empty { rows, width: x.width });
    }
    let mut stream = rng.stream();
    let mut best = lloyd(x, far_apart(x, components, &mut stream)?);
    for _ in 1..STARTS {
        let next = lloyd(x, far_apart(x, components, &mut stream)?);
        if next.1 < best.1 {
            best = next;
        }
    }
    Ok(best)
}

/// Rows far from each other.
fn far_apart(x: &Points, components: usize, stream: &mut Stream) -> Result<Vec<f64>, LatentError> {
    let mut centres = x.row(stream.below(x.count())).to_vec();
    let mut nearest = vec![f64::INFINITY; x.count()];
    loop {
        let (known, centre) = (centres.len() / x.width, &centres[centres.len() - x.width..]);
        for (nearest, row) in nearest.iter_mut().zip(x.rows()) {
            *nearest = nearest.min(distance(row, centre));
        }
        if known == components {
            return Ok(centres);
        }
        let total: f64 = nearest.iter().sum();
        if components == 0 || total <= 0.0 {
            return Err(LatentError::Components { components, distinct: known });
        }
        let weights: Vec<f64> = nearest.iter().map(|d| d / total).collect();
        let mut next = choose(&weights, stream);
        if nearest[next] <= 0.0 {
            // Rounding ran past the last row with any weight.
            next = nearest.iter().position(|d| *d > 0.0).unwrap_or(next);
        }
        centres.extend(x.row(next));
    }
}

/// Centres moved to the means of the rows nearest to them, and the mean squared distance of the rows before the last move.
fn lloyd(x: &Points, mut centres: Vec<f64>) -> (Vec<f64>, f64) {
    let mut spread = f64::INFINITY;
    for _ in 0..STEPS {
        let (mut sums, mut counts, mut total) = (vec![0.0; centres.len()], vec![0.0; centres.len() / x.width], 0.0);
        for row in x.rows() {
            let each = centres.chunks_exact(x.width).map(|centre| distance(row, centre)).enumerate();
            let Some((k, near)) = each.min_by(|a, b| a.1.total_cmp(&b.1)) else { continue };
            total += near;
            counts[k] += 1.0;
            sums[k * x.width..(k + 1) * x.width].iter_mut().zip(row).for_each(|(sum, v)| *sum += v);
        }
        for (at, centre) in centres.iter_mut().enumerate() {
            if counts[at / x.width] > 0.0 {
                *centre = sums[at] / counts[at / x.width];
            }
        }
        spread = total / x.count() as f64;
    }
    (centres, spread)
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn centres_are_distinct_and_cover_clusters() {
        let x = Points {
            width: 1,
            values: (0..30).map(|i| f64::from(i / 10) * 100.0 + f64::from(i % 10) * 0.01).collect(),
        };
        for seed in 0..20 {
            let (mut centres, spread) = clusters(&x, 3, &mut Rng::new(seed)).unwrap();
            centres.sort_by(f64::total_cmp);
            assert!(centres.iter().zip([0.045, 100.045, 200.045]).all(|(a, b)| (a - b).abs() < 1e-9), "{centres:?}");
            assert!(spread < 0.01);
        }
        let same = Points { width: 2, values: vec![1.0; 8] };
        let few = clusters(&same, 2, &mut Rng::new(1)).unwrap_err();
        assert_eq!(few, LatentError::Components { components: 2, distinct: 1 });
        assert!(clusters(&x, 31, &mut Rng::new(1)).is_err() && clusters(&x, 0, &mut Rng::new(1)).is_err());
        assert!(clusters(&Points { width: 2, values: vec![] }, 1, &mut Rng::new(1)).is_err());
    }
}
