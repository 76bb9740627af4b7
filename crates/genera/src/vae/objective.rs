//! What a variational autoencoder is trained on.
//!
//! ```text
//! elbo   −log p(x|z) + β_t KL(q ‖ p), the divergence of each dimension held above λ     free bits: arXiv:1606.04934
//! iwae   −log 1/K Σ wₖ,  wₖ = p(x, zₖ) / q(zₖ|x)                                       arXiv:1509.00519
//!        doubly reparametrised: ∇_φ = Σ w̃ₖ² ∂ log wₖ/∂z ∂zₖ/∂φ, w̃ₖ = wₖ / Σ w           Tucker et al., arXiv:1810.04152
//! wae    −log p(x|z) + λ MMD²(q_agg, p)                                                 arXiv:1711.01558
//! ```

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::error::{some, within};
use super::{Annealing, Capacity, VaeError};
use crate::traits::Rows;

/// The objective.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Objective {
    /// The evidence lower bound, from one draw a row.
    Elbo {
        /// The weight of the divergence.
        #[serde(default)]
        beta: Annealing,
        /// `λ`: no dimension gains by a mean divergence below so many nats. Without a closed form of the divergence the
        /// dimensions share one floor, `λ L`.
        #[serde(default)]
        free_bits: f64,
        /// A divergence that is asked for instead of a small one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        capacity: Option<Capacity>,
    },
    /// The importance-weighted bound.
    Iwae {
        /// `K`.
        samples: usize,
        /// How its gradient reaches the encoder.
        #[serde(default)]
        gradient: PathGradient,
    },
    /// The Wasserstein autoencoder: the aggregated posterior as a whole is pulled to the prior.
    Wae {
        /// `λ`.
        weight: f64,
    },
}

impl Default for Objective {
    fn default() -> Self {
        Self::Elbo { beta: Annealing::default(), free_bits: 0.0, capacity: None }
    }
}

/// How the gradient of the importance-weighted bound reaches the encoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathGradient {
    /// Through the draws and through the density of `q`.
    #[default]
    Reparametrised,
    /// Through the draws alone, which keeps its signal as `K` grows. For Gaussian posteriors.
    DoublyReparametrised,
}

impl Objective {
    pub(super) fn check(&self) -> Result<(), VaeError> {
        match self {
            Self::Elbo { beta, free_bits, capacity } => {
                beta.check()?;
                within(*free_bits >= 0.0 && free_bits.is_finite(), "free_bits", *free_bits, "zero or more")?;
                if *free_bits > 0.0 && capacity.is_some() {
                    return Err(VaeError::Combination("free_bits and capacity both set the divergence; choose one"));
                }
                capacity.map_or(Ok(()), |capacity| capacity.check())
            }
            Self::Iwae { samples, .. } => some("samples", *samples),
            Self::Wae { weight } => within(*weight >= 0.0 && weight.is_finite(), "weight", *weight, "zero or more"),
        }
    }
}

/// The divergence of a batch with the remedies of an [`Objective::Elbo`]: `[1]`.
pub(super) fn divergence_term(
    per_dimension: Option<Rows>,
    per_row: Tensor<1>,
    latents: usize,
    free_bits: f64,
    capacity: Option<(f64, f64)>,
) -> Tensor<1> {
    if let Some((nats, weight)) = capacity {
        return (per_row.mean() - nats).abs() * weight;
    }
    match per_dimension {
        _ if free_bits <= 0.0 => per_row.mean(),
        Some(rows) => rows.mean_dim(0).clamp_min(free_bits).sum(),
        None => per_row.mean().clamp_min(free_bits * latents as f64),
    }
}
