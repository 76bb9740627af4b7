//! Bayes' rule and maximum likelihood where they have closed forms.
//!
//! ```text
//! p(θ|x) ∝ p(x|θ) p(θ)          MAP = argmax log p(x|θ) + log p(θ): maximum likelihood and a log-prior
//! categorical law               π_k = n_k/n, by Lagrange's multiplier or by ascent of softmax parameters
//! U[0, θ]                       θ̂ = max x_i, P(θ̂ ≤ t) = (t/θ)ⁿ, E θ̂ = n θ/(n+1)
//! Bernoulli law, Beta(a, b)     MAP = (k + a − 1)/(n + a + b − 2), posterior Beta(a + k, b + n − k)
//! ```

use super::{ClassicalError, checked, within};

/// The posterior over hypotheses from their log-priors and log-likelihoods, in any common unit; computed without
/// overflow.
///
/// # Errors
/// No hypotheses, different numbers of both, a NaN, or data that every hypothesis excludes.
pub fn posterior(log_prior: &[f64], log_likelihood: &[f64]) -> Result<Vec<f64>, ClassicalError> {
    if log_prior.is_empty() || log_prior.len() != log_likelihood.len() {
        return Err(ClassicalError::Rows { values: log_likelihood.len(), features: 1, needed: log_prior.len().max(1) });
    }
    let joint: Vec<f64> = log_prior.iter().zip(log_likelihood).map(|(prior, likelihood)| prior + likelihood).collect();
    if let Some(row) = joint.iter().position(|joint| joint.is_nan() || *joint == f64::INFINITY) {
        return Err(ClassicalError::NotFinite { row, column: 0, value: joint[row] });
    }
    let most = joint.iter().fold(f64::NEG_INFINITY, |most: f64, joint| most.max(*joint));
    within(most > f64::NEG_INFINITY, "the likelihood of every hypothesis", 0.0, "above 0 for one of them")?;
    let weights: Vec<f64> = joint.iter().map(|joint| (joint - most).exp()).collect();
    let total: f64 = weights.iter().sum();
    Ok(weights.into_iter().map(|weight| weight / total).collect())
}

/// The probability of a disease after `positives` positive and `negatives` negative independent tests: `prevalence`
/// before them, `sensitivity = P(+|ill)`, `specificity = P(−|well)`.
///
/// # Errors
/// A probability outside `[0, 1]`, or results that cannot occur.
pub fn disease(
    prevalence: f64,
    sensitivity: f64,
    specificity: f64,
    positives: u32,
    negatives: u32,
) -> Result<f64, ClassicalError> {
    for (name, value) in [("prevalence", prevalence), ("sensitivity", sensitivity), ("specificity", specificity)] {
        within((0.0..=1.0).contains(&value), name, value, "between 0 and 1")?;
    }
    // 0 ln 0 = 0: a result that was not seen says nothing.
    let times = |count: u32, p: f64| if count == 0 { 0.0 } else { f64::from(count) * p.ln() };
    let ill = times(positives, sensitivity) + times(negatives, 1.0 - sensitivity);
    let well = times(positives, 1.0 - specificity) + times(negatives, specificity);
    Ok(posterior(&[prevalence.ln(), (1.0 - prevalence).ln()], &[ill, well])?[0])
}

/// The hypothesis of greatest posterior, by index: that of greatest `log p(x|θ) + log p(θ)`.
///
/// # Errors
/// As [`posterior`].
pub fn maximum_a_posteriori(log_prior: &[f64], log_likelihood: &[f64]) -> Result<usize, ClassicalError> {
    let posterior = posterior(log_prior, log_likelihood)?;
    Ok((1..posterior.len()).fold(0, |best, i| if posterior[i] > posterior[best] { i } else { best }))
}

/// The most likely categorical law of counts: `n_k/n`, Lagrange's answer.
///
/// # Errors
/// No counts at all.
pub fn categorical(counts: &[u64]) -> Result<Vec<f64>, ClassicalError> {
    let total: u64 = counts.iter().sum();
    within(total > 0, "the number of observations", 0.0, "at least 1")?;
    Ok(counts.iter().map(|count| *count as f64 / total as f64).collect())
}

/// The same by ascent: `logits += rate ∂/∂logits (1/n) log p`, whose gradient is `n_k/n − softmax(logits)_k`; from zero
/// logits, after `steps` steps. Tends to [`categorical`], the more slowly the rarer an outcome.
///
/// # Errors
/// No counts at all, or a rate that is not positive.
pub fn categorical_by_ascent(counts: &[u64], rate: f64, steps: usize) -> Result<Vec<f64>, ClassicalError> {
    let frequencies = categorical(counts)?;
    within(rate > 0.0 && rate.is_finite(), "rate", rate, "positive")?;
    let zero = vec![0.0; counts.len()];
    let mut logits = zero.clone();
    for _ in 0..steps {
        let softmax = posterior(&logits, &zero)?;
        for ((logit, frequency), p) in logits.iter_mut().zip(&frequencies).zip(softmax) {
            *logit += rate * (frequency - p);
        }
    }
    posterior(&logits, &zero)
}

/// The most likely `θ` of `U[0, θ]`: the largest observation.
///
/// # Errors
/// No observations, or one that is negative or not finite.
pub fn uniform(x: &[f64]) -> Result<f64, ClassicalError> {
    checked(x, 1, 1)?;
    let (low, high) = x.iter().fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), x| (low.min(*x), high.max(*x)));
    within(low >= 0.0, "an observation", low, "at least 0")?;
    Ok(high)
}

/// `P(θ̂ ≤ t) = (t/θ)ⁿ` of [`uniform`] from `n` observations.
pub fn uniform_cdf(t: f64, theta: f64, n: u32) -> f64 {
    (t / theta).clamp(0.0, 1.0).powf(f64::from(n))
}

/// The most likely probability of `successes` among `trials` under the prior `Beta(a, b)`, `a, b ≥ 1`: maximum
/// likelihood for `a = b = 1`.
///
/// # Errors
/// More successes than trials, a parameter below one, or nothing known at all (no trials and a flat prior).
pub fn bernoulli_map(successes: u64, trials: u64, [a, b]: [f64; 2]) -> Result<f64, ClassicalError> {
    within(successes <= trials, "successes", successes as f64, "at most the number of trials")?;
    for value in [a, b] {
        within(value >= 1.0 && value.is_finite(), "a parameter of the prior", value, "at least 1")?;
    }
    let total = trials as f64 + a + b - 2.0;
    within(total > 0.0, "the number of trials", 0.0, "at least 1 under a flat prior")?;
    Ok((successes as f64 + a - 1.0) / total)
}

#[cfg(test)]
mod tests {
    use genera_rng::Rng;

    use super::*;

    #[test]
    fn a_positive_test_of_a_rare_disease() {
        // 1 % are ill, the test is right 95 times in 100: 0.0095 / (0.0095 + 0.0495).
        let once = disease(0.01, 0.95, 0.95, 1, 0).unwrap();
        assert!((once - 0.0095 / 0.059).abs() < 1e-15);
        // A second test is Bayes' rule again, with the first posterior as prior.
        let twice = disease(0.01, 0.95, 0.95, 2, 0).unwrap();
        assert!((twice - disease(once, 0.95, 0.95, 1, 0).unwrap()).abs() < 1e-14);
        assert!((disease(0.3, 0.9, 0.8, 0, 0).unwrap() - 0.3).abs() < 1e-15);
        assert_eq!(disease(0.3, 1.0, 0.8, 0, 1).unwrap(), 0.0);
        assert!(disease(0.3, 1.0, 1.0, 1, 1).is_err() && disease(1.3, 0.9, 0.9, 1, 0).is_err());
        // A hundred thousand tests underflow nothing.
        assert!((disease(1e-6, 0.51, 0.5, 60_000, 40_000).unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn map_is_maximum_likelihood_and_a_prior() {
        let grid: Vec<f64> = (1..1000).map(|i| f64::from(i) / 1000.0).collect();
        let (successes, trials, [a, b]) = (7_u64, 20_u64, [3.0, 5.0]);
        let likelihood: Vec<f64> = grid.iter().map(|p| 7.0 * p.ln() + 13.0 * (1.0 - p).ln()).collect();
        let flat = vec![0.0; grid.len()];
        let beta: Vec<f64> = grid.iter().map(|p| (a - 1.0) * p.ln() + (b - 1.0) * (1.0 - p).ln()).collect();
        for (prior, parameters) in [(flat, [1.0, 1.0]), (beta, [a, b])] {
            let best = grid[maximum_a_posteriori(&prior, &likelihood).unwrap()];
            assert!((best - bernoulli_map(successes, trials, parameters).unwrap()).abs() <= 5.1e-4);
        }
        assert_eq!(bernoulli_map(7, 20, [1.0, 1.0]).unwrap(), 0.35);
        assert!(bernoulli_map(0, 0, [1.0, 1.0]).is_err() && bernoulli_map(3, 2, [1.0, 1.0]).is_err());
    }

    #[test]
    fn both_ways_to_a_categorical_law_agree() {
        let counts = [5, 20, 0, 75];
        let exact = categorical(&counts).unwrap();
        assert_eq!(exact, [0.05, 0.2, 0.0, 0.75]);
        let ascended = categorical_by_ascent(&counts, 2.0, 20_000).unwrap();
        assert!(ascended.iter().zip(&exact).all(|(a, b)| (a - b).abs() < 1e-4), "{ascended:?}");
        assert!((ascended.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(categorical(&[0, 0]).is_err() && categorical_by_ascent(&counts, 0.0, 1).is_err());
    }

    #[test]
    fn the_largest_of_uniform_numbers() {
        let (n, theta, repeats) = (8, 3.0, 20_000);
        let found: Vec<f64> = Rng::new(1)
            .uniform(repeats, n)
            .chunks_exact(n)
            .map(|x| uniform(&x.iter().map(|u| theta * f64::from(*u)).collect::<Vec<f64>>()).unwrap())
            .collect();
        let mean = found.iter().sum::<f64>() / repeats as f64;
        // The variance of the maximum is n θ² / ((n+1)² (n+2)).
        let deviation = (8.0 * 9.0 / (81.0 * 10.0) / repeats as f64).sqrt();
        assert!((mean - 8.0 / 9.0 * theta).abs() < 4.0 * deviation, "{mean}");
        let below = found.iter().filter(|found| **found <= 2.5).count() as f64 / repeats as f64;
        assert!((below - uniform_cdf(2.5, theta, 8)).abs() < 0.015);
        assert_eq!((uniform_cdf(-1.0, 3.0, 8), uniform_cdf(9.0, 3.0, 8)), (0.0, 1.0));
        assert!(uniform(&[]).is_err() && uniform(&[-1.0]).is_err());
    }
}
