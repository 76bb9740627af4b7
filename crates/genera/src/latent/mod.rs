//! Classical latent-variable models, fitted by expectation maximisation on the host in double precision, or, where a
//! network stands for the posterior, by gradient ([`AmortisedMixture`]).
//!
//! ```text
//! log p(X|θ) = L(q, θ) + KL(q ‖ p(Z|X, θ))
//! E step   q = p(Z|X, θ_t)              closes the gap
//! M step   θ_{t+1} = argmax L(q, θ)     so that log p(X|θ_{t+1}) ≥ log p(X|θ_t)
//! ```
//!
//! Dempster, Laird and Rubin 1977. Each model is a [`Density`](crate::traits::Density) and a
//! [`Sample`](crate::traits::Sample); [`ExpectationMaximisation`] is the [`Learner`](crate::traits::Learner) that takes the
//! steps and refuses one that lowers the likelihood.

mod amortised;
mod bernoulli_mixture;
mod em;
mod factor;
mod gaussian_mixture;
mod matrix;
mod start;

pub use amortised::{AmortisedMixture, AmortisedMixtureConfig, MixtureObjective};
pub use bernoulli_mixture::{BernoulliMixture, BernoulliMixtureConfig};
pub use em::{Em, ExpectationMaximisation, Maximised, Named};
pub use factor::{FactorConfig, FactorModel, Noise};
pub use gaussian_mixture::{Covariance, GaussianMixture, GaussianMixtureConfig};
pub use matrix::Points;

/// Data or settings that no latent-variable model can be made of.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LatentError {
    /// No rows, or rows of no length.
    #[error("a latent-variable model needs rows to start from; there are {rows} of length {width}")]
    Empty {
        /// Rows.
        rows: usize,
        /// Their length.
        width: usize,
    },
    /// More parts than the data can tell apart.
    #[error("{components} components for {distinct} distinct rows; ask for 1 to {distinct}, or give more rows")]
    Components {
        /// The number asked for.
        components: usize,
        /// The number of rows that differ.
        distinct: usize,
    },
    /// More factors than dimensions.
    #[error("{factors} factors for rows of length {width}; ask for 1 to {most}")]
    Factors {
        /// The number asked for.
        factors: usize,
        /// The length of a row.
        width: usize,
        /// The largest number with a meaning.
        most: usize,
    },
    /// A value that is not finite.
    #[error("row {0} holds a value that is not finite; mend the data")]
    NotFinite(usize),
    /// A value that is no bit.
    #[error("row {0} holds a value that is neither 0 nor 1; take the binary view of the data")]
    NotBinary(usize),
    /// A setting out of its range.
    #[error("{name} is {value}; it must be {needed}")]
    Range {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: f64,
        /// What would be right.
        needed: &'static str,
    },
}

/// `log 2π`.
const LOG_TAU: f64 = 1.837_877_066_409_345_5;

/// `log Σ exp`, without overflow.
fn log_sum_exp(logs: &[f64]) -> f64 {
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY { most } else { most + logs.iter().map(|log| (log - most).exp()).sum::<f64>().ln() }
}

/// `k` with probability `weights[k]`.
fn choose(weights: &[f64], stream: &mut genera_rng::Stream) -> usize {
    let mut left = stream.uniform();
    let last = weights.len() - 1;
    let chosen = weights[..last].iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    chosen.unwrap_or(last)
}
