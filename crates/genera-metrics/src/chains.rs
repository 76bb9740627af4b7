//! Whether Markov chains have arrived, and how much their draws are worth.
//!
//! ```text
//! every chain of one number is cut into halves: m chains of n draws
//! W = mean of the variances within, B = n · variance of the means, V = (n − 1)/n · W + B/n
//! R̂ = √(V / W)
//! ρ_t = 1 − (W − mean of s²_j ρ_{t,j}) / V        P_k = ρ_{2k} + ρ_{2k+1}, cut where it turns negative, made monotone
//! ESS = m n / (−1 + 2 Σ_k P_k), at most m n log₁₀(m n)
//! ```
//!
//! Gelman et al., "Bayesian data analysis" (2013), section 11.4; Geyer, "Practical Markov chain Monte Carlo" (1992);
//! both as in Vehtari et al. (arXiv:1903.08008), without their transformation to ranks.

use serde::{Deserialize, Serialize};

use crate::MetricError;
use crate::error::require;

/// What several chains say about one number that they follow.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChainDiagnostics {
    /// Split R̂: 1 if the chains have forgotten where they started; above 1.01 they have not.
    pub r_hat: f64,
    /// How many independent draws would give a mean of the same standard error.
    pub effective_size: f64,
    /// The mean over all draws.
    pub mean: f64,
    /// The chains.
    pub chains: usize,
    /// The draws of each.
    pub draws: usize,
}

/// Split R̂ and effective sample size of `chains`, each the same number of draws of one number.
///
/// # Errors
/// No chain, chains of different lengths or of fewer than four draws, a draw that is not finite, chains that never
/// move.
pub fn chain_diagnostics(chains: &[Vec<f64>]) -> Result<ChainDiagnostics, MetricError> {
    let draws = chains.first().map_or(0, Vec::len);
    if draws < 4 {
        return Err(MetricError::TooFew { what: "the diagnosis of a chain", needed: 4, got: draws });
    }
    for (row, chain) in chains.iter().enumerate() {
        if chain.len() != draws {
            return Err(MetricError::Dimensions { left: draws, right: chain.len() });
        }
        if let Some(column) = chain.iter().position(|x| !x.is_finite()) {
            return Err(MetricError::NotFinite { row, column, value: chain[column] });
        }
    }
    // The draw in the middle of an odd number belongs to neither half.
    let n = draws / 2;
    let halves: Vec<Half<'_>> =
        chains.iter().flat_map(|chain| [&chain[..n], &chain[draws - n..]]).map(Half::of).collect();
    let m = halves.len() as f64;
    let size = n as f64;
    let within = halves.iter().map(|half| half.variance).sum::<f64>() / m;
    require(within > 0.0, "the variance within the chains", within, "positive: chains that never move say nothing")?;
    let mean = halves.iter().map(|half| half.mean).sum::<f64>() / m;
    let between = size * halves.iter().map(|half| (half.mean - mean).powi(2)).sum::<f64>() / (m - 1.0);
    let pooled = (size - 1.0) / size * within + between / size;

    let correlation = |lag: usize| {
        let covariance = halves.iter().map(|half| half.autocovariance(lag)).sum::<f64>() / m;
        // s² ρ with s² the variance that divides by n − 1.
        1.0 - (within - size / (size - 1.0) * covariance) / pooled
    };
    let (mut sum, mut least) = (0.0, f64::INFINITY);
    for lag in (0..n - 1).step_by(2) {
        let pair = if lag == 0 { 1.0 + correlation(1) } else { correlation(lag) + correlation(lag + 1) };
        if pair <= 0.0 {
            break;
        }
        least = least.min(pair);
        sum += least;
    }
    let total = m * size;
    // Chains that alternate may be worth more than independent draws, but not without limit.
    let time = (2.0 * sum - 1.0).max(1.0 / total.log10());
    Ok(ChainDiagnostics {
        r_hat: (pooled / within).sqrt(),
        effective_size: total / time,
        mean: chains.iter().flatten().sum::<f64>() / (chains.len() * draws) as f64,
        chains: chains.len(),
        draws,
    })
}

struct Half<'a> {
    draws: &'a [f64],
    mean: f64,
    variance: f64,
}

impl<'a> Half<'a> {
    fn of(draws: &'a [f64]) -> Self {
        let n = draws.len() as f64;
        let mean = draws.iter().sum::<f64>() / n;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
        Self { draws, mean, variance }
    }

    /// Over `n`, whatever the lag: the estimate of least squared error.
    fn autocovariance(&self, lag: usize) -> f64 {
        let pairs = self.draws.iter().zip(&self.draws[lag..]);
        pairs.map(|(a, b)| (a - self.mean) * (b - self.mean)).sum::<f64>() / self.draws.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use genera_rng::Rng;

    use super::*;

    /// `x' = φ x + √(1 − φ²) ε`, stationary and standard normal.
    fn autoregressive(phi: f64, chains: usize, draws: usize, shift: f64) -> Vec<Vec<f64>> {
        let streams = Rng::new(3).streams(chains);
        let chain = |(j, mut stream): (usize, genera_rng::Stream)| {
            let mut x = stream.normal();
            let step = |_| {
                x = phi * x + (1.0 - phi * phi).sqrt() * stream.normal();
                x + shift * j as f64
            };
            (0..draws).map(step).collect()
        };
        streams.enumerate().map(chain).collect()
    }

    #[test]
    fn an_autoregressive_chain_is_worth_what_its_correlation_says() {
        for phi in [0.0, 0.5, 0.9] {
            let found = chain_diagnostics(&autoregressive(phi, 4, 20_000, 0.0)).unwrap();
            let expected = 80_000.0 * (1.0 - phi) / (1.0 + phi);
            assert!((found.effective_size / expected - 1.0).abs() < 0.1, "{phi}: {found:?}, expected {expected}");
            assert!((found.r_hat - 1.0).abs() < 2e-3, "{found:?}");
            assert!(found.mean.abs() < 5.0 / expected.sqrt());
        }
        // Alternating draws cancel: worth more than independent ones.
        let found = chain_diagnostics(&autoregressive(-0.5, 4, 5_000, 0.0)).unwrap();
        assert!((found.effective_size / 60_000.0 - 1.0).abs() < 0.1, "{found:?}");
    }

    #[test]
    fn chains_that_stay_apart_are_seen() {
        // Means 0, 1, 2, 3 of unit variance: halves have variance of means 10/7, V ≈ W + 10/7.
        let found = chain_diagnostics(&autoregressive(0.0, 4, 20_000, 1.0)).unwrap();
        assert!((found.r_hat - (1.0_f64 + 10.0 / 7.0).sqrt()).abs() < 0.02, "{found:?}");
        assert!(found.effective_size < 20.0);
        // A drift is seen by one chain alone.
        let drift: Vec<f64> = (0..1000).map(|i| f64::from(i) / 1000.0 + 0.01 * f64::from(i % 7)).collect();
        assert!(chain_diagnostics(&[drift]).unwrap().r_hat > 1.5);
    }

    #[test]
    fn what_is_no_chain_is_refused() {
        assert!(chain_diagnostics(&[]).is_err());
        assert!(chain_diagnostics(&[vec![1.0, 2.0, 3.0]]).is_err());
        assert!(chain_diagnostics(&[vec![1.0; 10]]).is_err());
        assert!(chain_diagnostics(&[vec![0.0, 1.0, 0.0, 1.0], vec![0.0; 5]]).is_err());
        assert!(chain_diagnostics(&[vec![0.0, f64::NAN, 0.0, 1.0]]).is_err());
    }
}
