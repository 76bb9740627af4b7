//! Adversarial learning: a generator without a density, and a critic that tells its samples from data.
//!
//! ```text
//! min_G max_f  E_π a(f(x)) + E_z b(f(G(z)))        Goodfellow et al., arXiv:1406.2661
//! ```
//!
//! [`Adversarial`] plays the game, [`Objective`] says what each player makes small, [`Regulariser`] what bounds the critic's
//! slope. Networks are [`Generate`] and [`Criticise`]. [`FDivergence`] is the table behind the f-GAN, and
//! [`DivergenceBound`] estimates its rows between data and a known normal distribution. [`theory`] has what is known in closed
//! form. [`Avb`] uses the same idea for a posterior without a density. [`StyleGan`] is a game whose players grow.

mod adversarial;
mod avb;
mod bend;
mod bound;
mod divergence;
mod error;
mod generator;
mod growing;
mod networks;
mod objective;
mod regulariser;
mod spectral;
mod styled;
pub mod theory;

pub use adversarial::{Adversarial, Criticise, Game, Generate};
pub use avb::{Avb, AvbConfig, Emit, ImplicitAutoencoder, ImplicitEncoder};
pub use bend::Bend;
pub use bound::{DivergenceBound, DivergenceBoundConfig, Reference};
pub use divergence::FDivergence;
pub use error::GanError;
pub use generator::{Generator, GeneratorConfig, GeneratorNet, GeneratorNetConfig, Given, Noise};
pub use growing::{Growth, StyleGan, StyleGanConfig};
pub use networks::{CriticConfig, CriticNet, CriticNetConfig};
pub use objective::Objective;
pub use regulariser::{Regulariser, Scale, Sides, gradient_penalty, squared_slope};
pub use spectral::{Spectral, orthogonality};
pub use styled::Styled;
