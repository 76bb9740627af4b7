//! Measures of generative models, in double precision, without a tensor library.
//!
//! | question | measure |
//! |---|---|
//! | how far apart are two sets of features? | [`frechet`], [`frechet_infinity`], [`mmd2_unbiased`], [`kid`], [`cmmd`], [`wasserstein`], [`sliced_wasserstein`], [`Sinkhorn`] |
//! | is that more than chance? | [`permutation_test`], [`two_sample_test`] |
//! | how sure is the number? | [`bootstrap`] of one set, [`halves`] of two |
//! | are samples real, and are they varied? | [`manifold`], [`modes()`], [`classes`], [`inception_score`] |
//! | how smooth is the way between samples? | [`path_length`] |
//! | are they copies? | [`memorisation`], [`nearest`] |
//! | how far apart are two densities? | [`divergence`], [`PlaneGrid`] |
//! | have Markov chains arrived, and what are their draws worth? | [`chain_diagnostics`] |
//! | how likely are held-out data, and what is that number? | [`Likelihood`] |
//!
//! Sets come in as [`Points`], which are checked once: no measure sees an empty set, a NaN or an infinity. What is
//! wrong with an input is a [`MetricError`] that names the row. Random numbers come from an explicit
//! [`genera_rng::Rng`]. Sums over threads are added in a fixed order, so on one machine the bits of a result do not
//! depend on the number of threads.
//!
//! ```
//! use genera_metrics::{Kernel, Points, frechet, permutation_test};
//! use genera_rng::Rng;
//!
//! let mut rng = Rng::new(0);
//! let (real, generated) = (rng.normal(200, 2), rng.normal(150, 2));
//! let (real, generated) = (Points::new(&real, 200, 2)?, Points::new(&generated, 150, 2)?);
//! assert!(frechet(&real, &generated, "raw")?.value < 0.1);
//! let kernel = Kernel::median(&real, &generated)?;
//! assert!(permutation_test(&real, &generated, &kernel, 199, &mut rng)?.p_value > 0.01);
//! # Ok::<(), genera_metrics::MetricError>(())
//! ```

mod bootstrap;
mod chains;
mod classes;
mod dense;
pub mod divergence;
mod error;
mod frechet;
mod halves;
mod infinity;
mod kernel;
mod likelihood;
mod manifold;
mod memorisation;
mod mmd;
mod modes;
mod moments;
mod near;
mod neighbours;
mod pairs;
mod path_length;
mod permutation;
mod plane_grid;
mod points;
mod sinkhorn;
mod transport;
mod two_sample;
mod wasserstein;

pub use bootstrap::{Bootstrap, Mean, bootstrap};
pub use chains::{ChainDiagnostics, chain_diagnostics};
pub use classes::{Classes, InceptionScore, classes, inception_score};
pub use error::MetricError;
pub use frechet::{Frechet, frechet, frechet_of_moments};
pub use halves::{Halves, halves, halves_of_each};
pub use infinity::{Extrapolation, extrapolation, frechet_infinity};
pub use kernel::{Kernel, median_distance};
pub use likelihood::{Dequantisation, Likelihood, LikelihoodDifference, LikelihoodKind, LogJacobian, Protocol};
pub use manifold::{Manifold, manifold};
pub use memorisation::{DistanceQuantile, Memorisation, memorisation};
pub use mmd::{Kid, cmmd, kid, mmd2_biased, mmd2_unbiased};
pub use modes::{Mode, Modes, modes};
pub use moments::Moments;
pub use neighbours::{Neighbours, nearest, nearest_others};
pub use path_length::{Path, PathLength, path_length};
pub use permutation::{PermutationTest, permutation_test};
pub use plane_grid::PlaneGrid;
pub use points::{Points, Real};
pub use sinkhorn::{Sinkhorn, SinkhornCost};
pub use transport::{TransportPlan, transport, transport_costs, wasserstein};
pub use two_sample::{Judge, TwoSampleTest, two_sample_test};
pub use wasserstein::{sliced_wasserstein, wasserstein_1d};
