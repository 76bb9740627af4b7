//! Measures of generative models, in double precision, without a tensor library.
//!
//! | question | measure |
//! |---|---|
//! | how far apart are two sets of features? | [`frechet`], [`mmd2_unbiased`], [`kid`] |
//! | is that more than chance? | [`permutation_test`] |
//!
//! Sets come in as [`Points`], which are checked once: no measure sees an empty set, a NaN or an infinity. What is
//! wrong with an input is a [`MetricError`] that names the row. Random numbers come from an explicit
//! [`genera_rng::Rng`]. Sums over threads are added in a fixed order, so on one machine the bits of a result do not
//! depend on the number of threads.

mod error;
mod frechet;
mod kernel;
mod mmd;
mod moments;
mod pairs;
mod permutation;
mod points;

pub use error::MetricError;
pub use frechet::{Frechet, frechet, frechet_of_moments};
pub use kernel::{Kernel, median_distance};
pub use mmd::{Kid, kid, mmd2_biased, mmd2_unbiased};
pub use moments::Moments;
pub use permutation::{PermutationTest, permutation_test};
pub use points::{Points, Real};
