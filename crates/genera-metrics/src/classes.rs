//! What a classifier says about generated samples: which classes are there, how surely, and the inception score.
//!
//! ```text
//! H(y|x) = mean over rows of −Σ_k p_k ln p_k        p̄ = mean row        H(y) = −Σ_k p̄_k ln p̄_k
//! inception score = exp( mean over rows of KL(p ‖ p̄) ) = exp( H(y) − H(y|x) ) ∈ [1, K]
//! ```
//!
//! Salimans et al., "Improved techniques for training GANs" (arXiv:1606.03498). A high score means sharp and varied
//! classes, and says nothing of variety within a class, nor of copying.

use serde::{Deserialize, Serialize};

use crate::bootstrap::mean_and_deviation;
use crate::error::require;
use crate::{MetricError, Points};

/// How generated samples spread over the classes of a classifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Classes {
    /// The fraction of rows whose most probable class is k, `[K]`.
    pub fractions: Vec<f64>,
    /// The mean probability of the most probable class.
    pub top_probability: f64,
    /// H(y|x) in nats: low when every row is surely of some class.
    pub conditional_entropy: f64,
    /// H(y) in nats, at most ln K: high when all classes are there.
    pub marginal_entropy: f64,
    /// The name of the classifier.
    pub classifier: String,
    /// Rows.
    pub n: usize,
}

/// How `probabilities`, `[n, K]`, one distribution a row, spread over the classes.
///
/// Rows are divided by their sums, which must be one within 10⁻³.
///
/// # Errors
/// A row that is not a distribution.
pub fn classes(probabilities: &Points<'_>, classifier: &str) -> Result<Classes, MetricError> {
    let (n, rows) = (probabilities.n(), distributions(probabilities)?);
    let mut fractions = vec![0.0; probabilities.d()];
    let (mut top, mut conditional) = (0.0, 0.0);
    for row in rows.chunks_exact(probabilities.d()) {
        // The first of equal classes.
        let best = (1..row.len()).fold(0, |best, k| if row[k] > row[best] { k } else { best });
        fractions[best] += 1.0 / n as f64;
        top += row[best] / n as f64;
        conditional += entropy(row) / n as f64;
    }
    Ok(Classes {
        fractions,
        top_probability: top,
        conditional_entropy: conditional,
        marginal_entropy: entropy(&marginal(&rows, probabilities.d())),
        classifier: classifier.to_owned(),
        n,
    })
}

/// An inception score and how it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InceptionScore {
    /// The mean score over the splits.
    pub mean: f64,
    /// The standard deviation over the splits.
    pub std: f64,
    /// The number of consecutive splits of the rows; 10 in the paper.
    pub splits: usize,
    /// The name of the classifier.
    pub classifier: String,
    /// Rows.
    pub n: usize,
}

/// The inception score of `probabilities`, `[n, K]`, in `splits` consecutive parts of nearly equal size.
///
/// # Errors
/// A row that is not a distribution, no splits, or fewer rows than splits.
pub fn inception_score(
    probabilities: &Points<'_>,
    splits: usize,
    classifier: &str,
) -> Result<InceptionScore, MetricError> {
    require(splits >= 1, "the number of splits", splits as f64, "at least 1")?;
    probabilities.at_least(splits, "an inception score of this many splits")?;
    let (n, d, rows) = (probabilities.n(), probabilities.d(), distributions(probabilities)?);
    let score = |split: usize| {
        let part = &rows[n * split / splits * d..n * (split + 1) / splits * d];
        let marginal = marginal(part, d);
        let divergences: f64 = part.chunks_exact(d).map(|row| divergence(row, &marginal)).sum();
        // Never negative but for rounding.
        (divergences / (part.len() / d) as f64).max(0.0).exp()
    };
    let scores: Vec<f64> = (0..splits).map(score).collect();
    let (mean, std) = mean_and_deviation(&scores);
    Ok(InceptionScore { mean, std, splits, classifier: classifier.to_owned(), n })
}

/// The rows, checked and normalised.
fn distributions(probabilities: &Points<'_>) -> Result<Vec<f64>, MetricError> {
    let mut rows = probabilities.rows(0..probabilities.n()).into_owned();
    for (row, p) in rows.chunks_exact_mut(probabilities.d()).enumerate() {
        if let Some(k) = p.iter().position(|value| *value < 0.0) {
            return Err(MetricError::Probabilities { row, why: format!("class {k} has probability {}", p[k]) });
        }
        let sum: f64 = p.iter().sum();
        if (sum - 1.0).abs() > 1e-3 {
            let why = format!("its probabilities sum to {sum} (give probabilities, not logits)");
            return Err(MetricError::Probabilities { row, why });
        }
        p.iter_mut().for_each(|value| *value /= sum);
    }
    Ok(rows)
}

fn marginal(rows: &[f64], d: usize) -> Vec<f64> {
    let mut mean = vec![0.0; d];
    rows.chunks_exact(d).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, p)| *m += p));
    mean.iter_mut().for_each(|m| *m /= (rows.len() / d) as f64);
    mean
}

/// −Σ p ln p, with 0 ln 0 = 0.
fn entropy(p: &[f64]) -> f64 {
    p.iter().filter(|&&p| p > 0.0).map(|p| -p * p.ln()).sum()
}

/// Σ p ln(p/q), where q > 0 wherever p > 0.
fn divergence(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).filter(|(p, _)| **p > 0.0).map(|(p, q)| p * (p.ln() - q.ln())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn points(values: &[f64], d: usize) -> Points<'_> {
        Points::new(values, values.len() / d, d).unwrap()
    }

    #[test]
    fn by_hand() {
        let rows = [1.0, 0.0, 0.0, 0.0, 0.5, 0.5];
        let found = classes(&points(&rows, 3), "digits").unwrap();
        assert_eq!(found.fractions, [0.5, 0.5, 0.0]);
        assert_eq!(found.top_probability, 0.75);
        let ln2 = 2.0_f64.ln();
        assert!((found.conditional_entropy - 0.5 * ln2).abs() < 1e-15);
        assert!((found.marginal_entropy - (0.5 * ln2 + 0.5 * 4.0_f64.ln())).abs() < 1e-15);
        let score = inception_score(&points(&rows, 3), 1, "digits").unwrap();
        assert!((score.mean - (found.marginal_entropy - found.conditional_entropy).exp()).abs() < 1e-14);
    }

    #[test]
    fn the_score_reaches_its_bounds() {
        // Sure of ten classes equally often: K. All rows alike: 1.
        let sure: Vec<f64> = (0..400).map(|at| f64::from(u8::from(at % 10 == at / 10 % 10))).collect();
        let found = inception_score(&points(&sure, 10), 2, "digits").unwrap();
        assert!((found.mean - 10.0).abs() < 1e-12 && found.std < 1e-12);
        for alike in [[0.1, 0.2, 0.7].repeat(7), [0.0, 1.0, 0.0].repeat(5)] {
            assert!((inception_score(&points(&alike, 3), 1, "digits").unwrap().mean - 1.0).abs() < 1e-14);
        }
        // Each split of one row alone has the score 1: the marginal is the row.
        let found = inception_score(&points(&sure, 10), 40, "digits").unwrap();
        assert_eq!((found.mean, found.std), (1.0, 0.0));
    }

    proptest! {
        #[test]
        fn the_score_lies_between_one_and_the_number_of_classes(
            raw in proptest::collection::vec(proptest::collection::vec(0.0..1.0_f64, 4), 3..40),
            splits in 1_usize..4,
        ) {
            let rows: Vec<f64> = raw.iter().flat_map(|row| {
                let sum = row.iter().sum::<f64>() + 1e-9;
                row.iter().map(move |p| (p + 0.25e-9) / sum)
            }).collect();
            let score = inception_score(&points(&rows, 4), splits, "any").unwrap().mean;
            prop_assert!((1.0..=4.0 + 1e-12).contains(&score));
        }
    }

    #[test]
    fn refusals() {
        let refused = |rows: &[f64]| classes(&points(rows, 2), "any").unwrap_err();
        assert!(matches!(refused(&[0.5, 0.5, 1.5, -0.5]), MetricError::Probabilities { row: 1, .. }));
        assert!(matches!(refused(&[3.0, 2.0]), MetricError::Probabilities { row: 0, .. }));
        let fine = points(&[0.5, 0.5], 2);
        assert!(inception_score(&fine, 0, "any").is_err() && inception_score(&fine, 2, "any").is_err());
    }
}
