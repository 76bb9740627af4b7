//! Autoregressive models: exact likelihoods by the chain rule.
//!
//! ```text
//! log p(x) = Σ_j log p(x_j | elements before j)        of several orders o: log p(x) = log mean_o p_o(x)
//! ```
//!
//! A [`Causal`](crate::nn::Causal) network gives the outputs of all elements in one pass, a [`Conditional`] says what
//! they mean, and [`Autoregressive`] owns the rest: likelihood, sampling, completion. MADE, PixelCNN, Gated PixelCNN,
//! Image GPT, WaveNet, a recurrent network and a Markov chain differ in their network alone; over the codes of a vector
//! quantiser the same value is the prior of a VQ-VAE. A network that is told something of each row ([`Told`](crate::nn::Told))
//! makes `p(x|c)` of it: [`Autoregressive::given`].

mod conditional;
mod draw;
mod given;
mod logistic;
mod model;
mod receptive;

pub use conditional::Conditional;
pub use draw::Draw;
pub use given::Given;
pub use model::{Autoregressive, AutoregressiveConfig};
pub use receptive::{field_of_changes, receptive_field};

/// Settings or data of an autoregressive model that make no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AutoregressiveError {
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
    /// A choice that real numbers do not have.
    #[error("top_k keeps the likeliest values, of which {0} has none; leave it out")]
    TopK(&'static str),
    /// A network whose outputs mean something else.
    #[error("the network gives {found} numbers for each element, but this conditional reads {needed}")]
    Outputs {
        /// What the network gives.
        found: usize,
        /// What is needed.
        needed: usize,
    },
    /// Rows or marks of the wrong length.
    #[error("{what} of length {found}, but the model has rows of {needed} elements")]
    Length {
        /// What has the wrong length.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length of a row.
        needed: usize,
    },
}
