//! Deep generative models of every family on one page of [`traits`].
//!
//! A data point is a row: public interfaces take `[B, F]` and an image is a row whose event shape `[C, H, W]` only
//! the networks know. Log-densities are in nats. What has no gradient is `f64` on the host. All randomness enters
//! through [`Rng`].

pub mod autoregressive;
mod caution;
pub mod classical;
pub mod continuous;
pub mod diffusion;
pub mod energy;
pub mod features;
pub mod flow;
pub mod gan;
pub mod interop;
pub mod latent;
pub mod mcmc;
pub mod nn;
pub mod ode;
pub mod score;
pub mod sde;
pub mod stages;
pub mod train;
pub mod traits;
pub mod vae;
pub mod weights;

pub use burn;
pub use caution::Caution;
pub use genera_kernels as kernels;
pub use genera_rng::Rng;
