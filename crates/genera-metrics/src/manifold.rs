//! Fidelity and diversity, from balls around the points of each set.
//!
//! ```text
//! B(y, Y) = ball around y ∈ Y that reaches its k-th nearest other point of Y
//! precision = mean over generated x of 1[x lies in B(y, real) for some real y]
//! recall    = mean over real y of 1[y lies in B(x, generated) for some generated x]
//! density   = mean over generated x of #{real y : x ∈ B(y, real)} / k        (may exceed one)
//! coverage  = mean over real y of 1[some generated x lies in B(y, real)]
//! ```
//!
//! Precision and recall: Kynkäänniemi et al. (arXiv:1904.06991), who use k = 3. Density and coverage: Naeem et al.
//! (arXiv:2002.09797), who use k = 5. Balls are closed (≤) as in the first paper; the code of the second compares
//! with <, which differs on exact ties only.

use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::near::{LEFT, RIGHT, Sketch};
use crate::neighbours::others_within;
use crate::pairs::pieces;
use crate::{MetricError, Points};

/// Precision, recall, density and coverage, and what they were measured on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifold {
    /// The fraction of generated rows that look real.
    pub precision: f64,
    /// The fraction of real rows that look generated.
    pub recall: f64,
    /// The mean number of real balls, over k, that a generated row lies in.
    pub density: f64,
    /// The fraction of real rows with a generated row near them.
    pub coverage: f64,
    /// Neighbours that size the balls.
    pub k: usize,
    /// The name of what extracted the features.
    pub features: String,
    /// Real and generated rows.
    pub n: [usize; 2],
}

impl Manifold {
    /// The harmonic mean of precision and recall, zero if both are.
    pub fn f_score(&self) -> f64 {
        2.0 * self.precision * self.recall / (self.precision + self.recall).max(f64::MIN_POSITIVE)
    }
}

/// Precision, recall, density and coverage of `generated` against `real`, `[n, d]` and `[m, d]`.
///
/// Each pair of rows is looked at once, in blocks: beside a copy of the rows in single precision, memory does not grow
/// with their number.
///
/// # Errors
/// Different numbers of columns, `k` of zero, or fewer than `k + 1` rows on a side.
pub fn manifold(real: &Points<'_>, generated: &Points<'_>, k: usize, features: &str) -> Result<Manifold, MetricError> {
    real.same_columns(generated)?;
    require(k >= 1, "the number of neighbours", k as f64, "at least 1")?;
    [real, generated].into_iter().try_for_each(|set| set.at_least(k.saturating_add(1), "k neighbours, and itself,"))?;
    let (n, m) = (real.n(), generated.n());
    let [real, generated] = Sketch::pair(real, generated);
    let radii = |set: &Sketch<'_>| -> Vec<f64> {
        others_within(set, k).squared.chunks_exact(k).map(|row| row[k - 1]).collect()
    };
    let (real_radii, generated_radii) = (radii(&real), radii(&generated));
    let strip = |rows: Range<usize>| {
        let mut found = Balls { around: vec![0; m], recalled: 0, covered: 0 };
        let (mut recalled, mut covered) = (vec![false; rows.len()], vec![false; rows.len()]);
        let mut buffer = Vec::new();
        for columns in pieces(m, RIGHT) {
            real.visit(rows.clone(), &generated, columns, &mut buffer, |i, j, estimate| {
                let at = i - rows.start;
                if estimate.within(real_radii[i], || real.exact(i, &generated, j)) {
                    found.around[j] += 1;
                    covered[at] = true;
                }
                if !recalled[at] && estimate.within(generated_radii[j], || real.exact(i, &generated, j)) {
                    recalled[at] = true;
                }
            });
        }
        let count = |marks: &[bool]| marks.iter().filter(|mark| **mark).count();
        (found.recalled, found.covered) = (count(&recalled), count(&covered));
        found
    };
    let nothing = || Balls { around: vec![0; m], recalled: 0, covered: 0 };
    let strips = pieces(n, LEFT).collect::<Vec<_>>().into_par_iter().map(strip);
    let found = strips.reduce(nothing, Balls::merged);
    let fraction = |count: usize, of: usize| count as f64 / of as f64;
    Ok(Manifold {
        precision: fraction(found.around.iter().filter(|count| **count > 0).count(), m),
        recall: fraction(found.recalled, n),
        density: found.around.iter().map(|count| f64::from(*count)).sum::<f64>() / (k * m) as f64,
        coverage: fraction(found.covered, n),
        k,
        features: features.to_owned(),
        n: [n, m],
    })
}

/// Whole numbers, so that the order of adding does not matter.
struct Balls {
    /// How many real balls each generated row lies in.
    around: Vec<u32>,
    /// Real rows in a generated ball.
    recalled: usize,
    /// Real rows with a generated row in their ball.
    covered: usize,
}

impl Balls {
    fn merged(mut self, other: Self) -> Self {
        self.around.iter_mut().zip(other.around).for_each(|(a, b)| *a += b);
        Self { recalled: self.recalled + other.recalled, covered: self.covered + other.covered, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use genera_rng::Rng;

    fn measure(real: &[f64], generated: &[f64], d: usize, k: usize) -> Manifold {
        let [real, generated] = [real, generated].map(|rows| Points::new(rows, rows.len() / d, d).unwrap());
        manifold(&real, &generated, k, "raw").unwrap()
    }

    fn normal(seed: u64, n: usize, d: usize, scale: f64) -> Vec<f64> {
        Rng::new(seed).normal(n, d).iter().map(|v| scale * f64::from(*v)).collect()
    }

    #[test]
    fn by_hand() {
        // Real 0, 1, 3 with k = 1: radii 1, 1, 2. Generated 1.5, 10, 11: radii 8.5, 1, 1.
        // 1.5 lies in the balls of 1 and 3 (and not of 0); 10 and 11 in none.
        // The ball of 1.5 reaches 0, 1 and 3. Near 0 (within 1) there is no generated point; near 1 and 3 there is.
        let found = measure(&[0.0, 1.0, 3.0], &[1.5, 10.0, 11.0], 1, 1);
        let expected = [1.0 / 3.0, 1.0, 2.0 / 3.0, 2.0 / 3.0];
        assert_eq!([found.precision, found.recall, found.density, found.coverage], expected);
        assert_eq!(found.f_score(), 0.5);
    }

    #[test]
    fn a_closed_ball_holds_its_boundary() {
        // Radius 1 around 0 and 1; the generated points sit at −1 and 2, on the boundary.
        let found = measure(&[0.0, 1.0], &[-1.0, 2.0], 1, 1);
        assert_eq!([found.precision, found.density, found.coverage], [1.0, 1.0, 1.0]);
        // Copies in high dimension, with duplicates whose ball has radius zero.
        let mut rows = normal(1, 20, 50, 1.0);
        rows.extend_from_within(..50);
        let found = measure(&rows, &rows, 50, 1);
        assert_eq!([found.precision, found.recall, found.coverage], [1.0; 3]);
    }

    #[test]
    fn the_measures_move_in_the_right_direction() {
        let d = 8;
        let real = normal(1, 600, d, 1.0);
        let same = measure(&real, &normal(2, 500, d, 1.0), d, 5);
        assert!(same.precision > 0.85 && same.recall > 0.85 && same.coverage > 0.85, "{same:?}");
        assert!((same.density - 1.0).abs() < 0.15, "{same:?}");
        // Generated rows off the manifold: fidelity falls.
        let wide = measure(&real, &normal(2, 500, d, 2.0), d, 5);
        assert!(wide.precision < 0.5 * same.precision && wide.density < 0.5 * same.density, "{wide:?}");
        assert!(wide.recall > 0.85, "{wide:?}");
        // Truncated samples: fidelity stays, diversity falls.
        let narrow = measure(&real, &normal(2, 500, d, 0.4), d, 5);
        assert!(narrow.precision > 0.95 && narrow.density > same.density, "{narrow:?}");
        assert!(narrow.recall < 0.3 && narrow.coverage < 0.7 * same.coverage, "{narrow:?}");
    }

    #[test]
    fn dropping_a_mode_costs_recall_and_coverage_only() {
        let two = |seed, n: usize, modes: usize| -> Vec<f64> {
            let rows = normal(seed, n, 2, 0.1);
            rows.chunks_exact(2).enumerate().flat_map(|(i, row)| [row[0] + 10.0 * (i % modes) as f64, row[1]]).collect()
        };
        let found = measure(&two(1, 400, 2), &two(2, 300, 1), 2, 3);
        assert!(found.precision > 0.9, "{found:?}");
        assert!((found.recall - 0.5).abs() < 0.05 && (found.coverage - 0.5).abs() < 0.05, "{found:?}");
        // The other way round, half of the generated rows are where nothing is real.
        let found = measure(&two(1, 400, 1), &two(2, 300, 2), 2, 3);
        assert!((found.precision - 0.5).abs() < 0.05 && found.recall > 0.9, "{found:?}");
    }

    #[test]
    fn refusals() {
        let (x, wide) = (Points::new(&[0.0, 1.0, 2.0], 3, 1).unwrap(), Points::new(&[0.0; 6], 3, 2).unwrap());
        assert!(manifold(&x, &x, 0, "raw").is_err());
        assert!(matches!(manifold(&x, &x, 3, "raw"), Err(MetricError::TooFew { .. })));
        assert!(matches!(manifold(&x, &wide, 1, "raw"), Err(MetricError::Dimensions { .. })));
    }
}
