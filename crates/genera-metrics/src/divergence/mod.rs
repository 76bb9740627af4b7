//! Divergences between distributions whose densities are known, and their estimates from samples.
//!
//! ```text
//! D_f(p‖q) = E_q f(p/q)            f convex, f(1) = 0
//!          ≥ E_p T − E_q f*(T)     for every T with values in dom f*; equal for T = f'(p/q)
//! D_a(p‖q) = 4/(1−a²) (1 − ∫ p^{(1+a)/2} q^{(1−a)/2})     → KL(p‖q) for a → 1, KL(q‖p) for a → −1
//! ```
//!
//! Csiszár (1967); Amari's α-divergence (1985); the variational form of Nguyen, Wainwright and Jordan
//! (arXiv:0809.0853) and Nowozin, Cseke and Tomioka (arXiv:1606.00709). One function of `log p` and `log q` serves
//! discrete distributions ([`discrete`]), densities on grids ([`on_grid`]) and samples ([`estimate`]); normal
//! distributions have closed forms ([`Gaussian`]).

mod estimate;
mod f;
mod gaussian;
mod table;

pub use estimate::{estimate, fenchel_bound, kl_from_samples};
pub use f::FDivergence;
pub use gaussian::Gaussian;
pub use table::{Divergence, discrete, on_grid};
