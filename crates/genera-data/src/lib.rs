//! Data sets, toy densities and views for generative modelling, without a tensor library.
//!
//! A [`Dataset`] holds bytes or `f32` rows; a [`View`] says what numbers a model sees; [`Batches`] says which rows a step
//! sees; a [`Toy`] is a density in the plane that knows its own log-density and entropy.

mod batches;
pub mod caption;
mod catalogue;
mod dataset;
mod digits;
mod error;
mod fetch;
mod inception;
mod line;
pub mod load;
mod mixture;
mod quadrature;
mod stroke;
mod toy;
mod view;

pub use batches::Batches;
pub use catalogue::{Description, Public, Request, data_folders, describe, open};
pub use dataset::{Dataset, Images, Labels, Split, Table};
pub use digits::digits;
pub use error::{Error, Result};
pub use fetch::{Checksum, Progress, Remote, fetch};
pub use inception::{INCEPTION, fetch_inception, inception_weights};
pub use line::Line;
pub use mixture::Mixture;
pub use stroke::Stroke;
pub use toy::{Entropy, Source, Toy, ToyDensity};
pub use view::{View, Viewed, to_pixel};
