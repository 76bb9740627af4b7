//! Energy-based models: `p(x) = e^{−E(x)} / Z` with a network for `E`, and a `Z` that nobody computes.
//!
//! ```text
//! ∇ −E log p(x) = E_data ∇E(x) − E_model ∇E(x)              contrastive divergence, Hinton (2002)
//! loss          = mean E(data) − mean E(chains) + α mean (E(data)² + E(chains)²)
//! ∇ log p(x)    = −∇E(x)
//! ```
//!
//! Points of the model come from Langevin chains on the network as it is: short ones, anew at every step (Nijkamp et al.,
//! arXiv:1904.09770), or long ones that a buffer keeps alive between steps (persistent: Tieleman, 2008; with a replay
//! buffer: Du and Mordatch, arXiv:1903.08689). The buffer is a part of what a checkpoint keeps.

mod learner;
mod model;

pub use learner::EnergyTraining;
pub use model::{Chains, EnergyModel, EnergyModelConfig};
