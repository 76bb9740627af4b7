//! Autoencoders whose latents are whole numbers: vector quantisation, and its relaxation.
//!
//! ```text
//! z_e = encoder(x), one vector a place;   c = argmin_k |z_e − e_k|;   p(x|z) = decoder(e_c)
//! ```
//!
//! Van den Oord, Vinyals and Kavukcuoglu, "Neural Discrete Representation Learning" (arXiv:1711.00937), and the discrete VAE of
//! DALL-E (arXiv:2102.12092); with codes of codes, VQ-VAE-2 (arXiv:1906.00446). All are a [`Codec`](crate::traits::Codec) to [`Tokens`](crate::traits::Tokens): a prior over
//! codes and [`Latent`](crate::stages::Latent) make a generative model of either.

mod dvae;
mod grid;
mod gumbel;
mod hierarchical;
mod model;
mod quantiser;

pub use dvae::{DiscreteVae, DiscreteVaeConfig};
pub use grid::{GridConfig, GridDecoder, GridEncoder};
pub use gumbel::{Sharpness, Temperature, gumbel, gumbel_max, gumbel_softmax};
pub use hierarchical::{HierarchicalVqVae, HierarchicalVqVaeConfig};
pub use model::{VqVae, VqVaeConfig};
pub use quantiser::{Learning, Quantised, Quantiser, QuantiserConfig, Usage};

use burn::tensor::{Int, Tensor};
use genera_rng::Rng;

use crate::traits::Rows;

/// Codes as numbers.
fn listed(codes: &Tensor<1, Int>) -> Vec<usize> {
    codes.to_data().iter::<i64>().map(|code| code as usize).collect()
}

/// A model with books of codes, of which a part is learnt without a gradient.
pub trait Quantising {
    /// What its books learn from the rows of a batch without a gradient, `plain` being the model without autodiff.
    fn revised(self, plain: &Self, x: Rows, rng: &mut Rng) -> Self;
}
