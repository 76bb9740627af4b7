//! Where mixtures start: rows far from each other.
//!
//! Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding" (2007): each further centre is a row drawn with
//! a probability proportional to its squared distance from the nearest centre so far.

use genera_rng::Rng;

use super::{LatentError, Points, choose};

/// `components` different rows of `x`, and the mean squared distance of all rows from the nearest of them.
///
/// # Errors
/// No rows, no component, or fewer distinct rows than components.
pub(super) fn far_apart(x: &Points, components: usize, rng: &mut Rng) -> Result<(Vec<usize>, f64), LatentError> {
    let rows = x.count();
    if rows == 0 || x.width == 0 {
        return Err(LatentError::Empty { rows, width: x.width });
    }
    let mut stream = rng.stream();
    let mut centres = vec![stream.below(rows)];
    let mut nearest = vec![f64::INFINITY; rows];
    loop {
        let centre = x.row(centres[centres.len() - 1]);
        for (nearest, row) in nearest.iter_mut().zip(x.rows()) {
            *nearest = nearest.min(row.iter().zip(centre).map(|(a, b)| (a - b).powi(2)).sum());
        }
        let total: f64 = nearest.iter().sum();
        if centres.len() >= components.max(1) {
            let outcome = (centres, total / rows as f64);
            let known = LatentError::Components { components, distinct: outcome.0.len() };
            return if components == 0 { Err(known) } else { Ok(outcome) };
        }
        if total <= 0.0 {
            return Err(LatentError::Components { components, distinct: centres.len() });
        }
        let weights: Vec<f64> = nearest.iter().map(|d| d / total).collect();
        let mut next = choose(&weights, &mut stream);
        if nearest[next] <= 0.0 {
            // Rounding ran past the last row with any weight.
            next = nearest.iter().position(|d| *d > 0.0).unwrap_or(next);
        }
        centres.push(next);
    }
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
            let (centres, spread) = far_apart(&x, 3, &mut Rng::new(seed)).unwrap();
            let mut clusters: Vec<usize> = centres.iter().map(|i| i / 10).collect();
            clusters.sort_unstable();
            assert_eq!(clusters, [0, 1, 2]);
            assert!(spread < 0.01);
        }
        let same = Points { width: 2, values: vec![1.0; 8] };
        let few = far_apart(&same, 2, &mut Rng::new(1)).unwrap_err();
        assert_eq!(few, LatentError::Components { components: 2, distinct: 1 });
        assert!(far_apart(&x, 31, &mut Rng::new(1)).is_err() && far_apart(&x, 0, &mut Rng::new(1)).is_err());
        assert!(far_apart(&Points { width: 2, values: vec![] }, 1, &mut Rng::new(1)).is_err());
    }
}
