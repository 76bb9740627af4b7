//! Learners made of others: a code and a prior over it, trained in turn; a density and the noise between levels, trained
//! together.
//!
//! `x = decode(c)`, `c ~ prior`: a PixelCNN over the indices of a vector quantiser (van den Oord et al., arXiv:1711.00937), a
//! flow over an autoencoder, latent diffusion. A code comes from one family and its prior from another; here they meet. A
//! prior may be told the class ([`ClassPrior`]), and where codes have levels it draws the coarse ones first
//! ([`CodeHierarchy`]). A diffusion learns with noise that is a flow ([`DequantisedDiffusion`]).

mod classes;
mod dequantised;
mod hierarchy;
mod latent;
mod latent_diffusion;
mod two_stage;
mod vq;

pub use classes::ClassPrior;
pub use dequantised::{DequantisedDiffusion, GivenDequantised};
pub use hierarchy::{CodeContextConfig, CodeHierarchy};
pub use latent::Latent;
pub use latent_diffusion::{GivenLatent, LatentDiffusion};
pub use two_stage::{Coding, GivenPrior, GivenStages, TokenPrior, ToldPrior, TwoStages};
pub use vq::VqTraining;
