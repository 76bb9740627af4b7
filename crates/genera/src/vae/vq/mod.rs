//! Autoencoders whose latents are whole numbers: vector quantisation, and its relaxation.
//!
//! ```text
//! z_e = encoder(x), one vector a place;   c = argmin_k |z_e − e_k|;   p(x|z) = decoder(e_c)
//! ```
//!
//! Van den Oord, Vinyals and Kavukcuoglu, "Neural Discrete Representation Learning" (arXiv:1711.00937), and the discrete VAE of
//! DALL-E (arXiv:2102.12092). Both are a [`Codec`](crate::traits::Codec) to [`Tokens`](crate::traits::Tokens): a prior over
//! codes and [`Latent`](crate::stages::Latent) make a generative model of either.

mod dvae;
mod grid;
mod gumbel;
mod model;
mod quantiser;

pub use dvae::{DiscreteVae, DiscreteVaeConfig};
pub use grid::{GridConfig, GridDecoder, GridEncoder};
pub use gumbel::{Sharpness, Temperature, gumbel, gumbel_max, gumbel_softmax};
pub use model::{VqVae, VqVaeConfig};
pub use quantiser::{Learning, Quantised, Quantiser, QuantiserConfig, Usage};
