//! How to choose the noise levels and steps of a noise-conditional score network.
//!
//! ```text
//! technique 1   σ_max: the largest distance between two points of the data
//! technique 2   γ of a geometric ladder:  Φ(√(2D)(γ − 1) + 3γ) − Φ(√(2D)(γ − 1) − 3γ) ≈ ½
//! technique 4   ε of annealed Langevin:   (1 − ε/σ²)^{2T} (γ² − q) + q ≈ 1,  q = 2ε / (σ² − σ² (1 − ε/σ²)²),  σ = σ_min
//! ```
//!
//! Song and Ermon, "Improved techniques for training score-based generative models" (2006.09011); `Φ` is the standard
//! normal distribution function. Their step is `x + α s + √(2α) ε`: the step `η` of [`crate::mcmc`] is twice theirs.

use super::host;
use crate::traits::Rows;

/// A ladder that cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{name} is {value}; it must be {needed}")]
pub struct LadderError {
    name: &'static str,
    value: f64,
    needed: &'static str,
}

fn require(ok: bool, name: &'static str, value: f64, needed: &'static str) -> Result<(), LadderError> {
    if ok { Ok(()) } else { Err(LadderError { name, value, needed }) }
}

/// `count` levels from `largest` down to `smallest`, each the same fraction of the one before.
///
/// # Errors
/// Fewer than two levels, levels that are not positive or do not fall.
pub fn geometric(largest: f64, smallest: f64, count: usize) -> Result<Vec<f64>, LadderError> {
    require(count >= 2, "the number of levels", count as f64, "at least 2")?;
    require(smallest > 0.0, "the smallest level", smallest, "positive")?;
    require(largest > smallest && largest.is_finite(), "the largest level", largest, "above the smallest")?;
    let fraction = |i: usize| (smallest / largest).powf(i as f64 / (count - 1) as f64);
    Ok((0..count).map(|i| largest * fraction(i)).collect())
}

/// Technique 1: the largest Euclidean distance between two rows of `x`, `[B, F]`; 0 for fewer than two.
pub fn largest_distance(x: &Rows) -> f64 {
    let width = x.dims()[1].max(1);
    let values = host(x);
    let rows: Vec<&[f32]> = values.chunks_exact(width).collect();
    let square = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    let pairs = rows.iter().enumerate().flat_map(|(i, a)| rows[..i].iter().map(move |b| square(a, b)));
    pairs.fold(0.0, f64::max).sqrt()
}

/// Technique 2: the ratio `γ` of neighbouring levels for data of `dimensions` numbers with an overlap of `overlap` (½ in the
/// paper), by bisection.
///
/// # Errors
/// No dimensions, an overlap outside (0, 0.99).
pub fn ratio_for(dimensions: usize, overlap: f64) -> Result<f64, LadderError> {
    require(dimensions > 0, "the number of dimensions", dimensions as f64, "at least 1")?;
    require(overlap > 0.0 && overlap < 0.99, "the overlap", overlap, "above 0 and below 0.99")?;
    let root = (2.0 * dimensions as f64).sqrt();
    let shared = |ratio: f64| {
        let centre = root * (ratio - 1.0);
        normal_cdf(centre + 3.0 * ratio) - normal_cdf(centre - 3.0 * ratio)
    };
    // A wide ladder shares nothing when √(2D) is above 3; below, the overlap never falls so far and any ratio will do.
    let (mut low, mut high) = (1.0, 1e6);
    if shared(high) > overlap {
        return Ok(f64::INFINITY);
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if shared(middle) > overlap { low = middle } else { high = middle }
    }
    Ok(0.5 * (low + high))
}

/// Technique 4: the `ε` (the paper's, half of `η`) at the smallest level `sigma` for which `steps` Langevin steps bring
/// the deviation of the level above, `ratio` times as large, down to this one's: the value for which what is left is
/// nearest to 1.
///
/// # Errors
/// No steps, a level that is not positive, a ratio that is not above 1.
pub fn step_size_for(sigma: f64, ratio: f64, steps: usize) -> Result<f64, LadderError> {
    require(steps > 0, "the number of steps", steps as f64, "at least 1")?;
    require(sigma > 0.0 && sigma.is_finite(), "the smallest level", sigma, "positive")?;
    require(ratio > 1.0 && ratio.is_finite(), "the ratio of levels", ratio, "above 1")?;
    // In units of σ²; the variance after the steps falls with ε, then rises again as steps overshoot.
    let left = |e: f64| variance_left(e, ratio, steps);
    let candidates = (1..=20_000).map(|i| f64::from(i) / 20_000.0);
    let best = candidates.min_by(|a, b| (left(*a) - 1.0).abs().total_cmp(&(left(*b) - 1.0).abs())).unwrap_or(0.5);
    Ok(best * sigma * sigma)
}

/// The variance, in units of `σ²`, after `steps` steps of `e σ²` from `ratio² σ²`.
fn variance_left(e: f64, ratio: f64, steps: usize) -> f64 {
    let keep = (1.0 - e).powi(2);
    let rest = 2.0 * e / (1.0 - keep);
    keep.powi(steps as i32) * (ratio * ratio - rest) + rest
}

/// `Φ`.
fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ladders() {
        let levels = geometric(20.0, 0.1, 100).unwrap();
        assert_eq!((levels.len(), levels[0]), (100, 20.0));
        assert!((levels[99] - 0.1).abs() < 1e-12);
        assert!(levels.windows(3).all(|l| (l[0] * l[2] / (l[1] * l[1]) - 1.0).abs() < 1e-12));
        let x = Rows::from_floats([[0.0, 0.0], [3.0, 4.0], [-3.0, -4.0], [1.0, 1.0]], &Default::default());
        assert!((largest_distance(&x) - 10.0).abs() < 1e-6);
        assert!(geometric(1.0, 0.0, 5).is_err() && geometric(1.0, 2.0, 5).is_err() && geometric(2.0, 1.0, 1).is_err());
    }

    /// The paper takes σ_max = 50 and 232 levels for CIFAR-10 (D = 3072, σ_min = 0.01), whose overlap is 0.567 rather than
    /// 0.5 (that would be 219 levels), and ε = 6.2e-6 with T = 5.
    #[test]
    fn the_rules_give_the_settings_of_the_paper() {
        let levels = |overlap| 1.0 + (50.0_f64 / 0.01).ln() / ratio_for(3072, overlap).unwrap().ln();
        assert!((levels(0.567) - 232.0).abs() < 1.0, "{} levels", levels(0.567));
        assert!((levels(0.5) - 219.25).abs() < 0.01, "{} levels", levels(0.5));
        let ratio = (50.0_f64 / 0.01).powf(1.0 / 231.0);
        let step = step_size_for(0.01, ratio, 5).unwrap();
        assert!((step / 6.2e-6 - 1.0).abs() < 0.05, "{step}");
    }

    /// Langevin steps on a normal density of variance σ² change the variance of a chain as the rule says.
    #[test]
    fn the_variance_left_is_that_of_the_chain() {
        let (e, ratio, steps) = (0.2, 1.7, 6);
        let chain = (0..steps).fold(ratio * ratio, |v: f64, _| (1.0 - e) * (1.0 - e) * v + 2.0 * e);
        assert!((chain - variance_left(e, ratio, steps)).abs() < 1e-12);
    }

    #[test]
    fn hostile_rules_are_errors() {
        assert!(ratio_for(0, 0.5).is_err() && ratio_for(10, 1.5).is_err() && ratio_for(10, f64::NAN).is_err());
        assert!(step_size_for(0.0, 1.2, 5).is_err());
        assert!(step_size_for(0.1, 1.0, 5).is_err());
        assert!(step_size_for(0.1, 1.2, 0).is_err());
    }
}
