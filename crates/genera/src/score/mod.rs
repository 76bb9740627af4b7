//! Score matching: a network learns `s(x) ≈ ∇ log p(x)` without knowing `p`.
//!
//! ```text
//! Fisher divergence   J = ½ E|s(x) − ∇log p(x)|²
//! implicit            J = E[½|s|² + tr ∂s/∂x] + constant                       Hyvärinen (2005)
//! sliced              E[½ (v·s)² + vᵀ ∂s/∂x v],  or with ½|s|² the reduced form     arXiv:1905.07088
//! denoising           ½ E|s(x + σε) + ε/σ|²: the score of p with noise on top    Vincent (2011)
//! ```
//!
//! Implicit and sliced losses hold derivatives of the network, which are spelled out by [`Linearise`] and exact; the
//! boundary term that integration by parts leaves is zero for densities that vanish far away. Many noise levels at once
//! are a diffusion with a schedule that explodes the variance.
//!
//! [`Linearise`]: crate::nn::derivative::Linearise

mod fisher;
mod model;
mod objective;

pub use fisher::{Fisher, fisher_divergence};
pub use model::{ScoreMatching, ScoreMatchingConfig};
pub use objective::{Form, Noise, Objective, Projection};

use crate::mcmc::McmcError;

/// Score matching that cannot be done.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ScoreError {
    /// A number out of its range.
    #[error("{name} is {value}; it must be {needed}")]
    Range {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: f64,
        /// What would be right.
        needed: &'static str,
    },
    /// The chains that samples come from.
    #[error(transparent)]
    Chains(#[from] McmcError),
}
