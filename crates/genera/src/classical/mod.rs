//! Estimators of densities without networks, and the small theorems behind them.
//!
//! ```text
//! p_h(x) = 1/n Σ_i Π_j K((x_j − x_ij)/h_j)/h_j        kernels: a row drawn uniformly, then a draw of its kernel
//! π_k = n_k / n                                       histograms: maximum likelihood of a categorical law
//! ```
//!
//! Silverman, "Density estimation for statistics and data analysis" (1986). They are a [`Density`](crate::traits::Density)
//! and a [`Sample`](crate::traits::Sample) like every model, `f64` on the host inside.

mod bandwidth;
pub mod bayes;
mod dimension;
mod error;
mod histogram;
mod kde;
mod kernel;
mod learner;

pub use bandwidth::Bandwidth;
pub use dimension::{BitLaw, ball_volume, shell_fraction};
pub use error::{HistogramError, integrated_squared_error};
pub use histogram::{Histogram, HistogramConfig};
pub use kde::{Kde, KdeConfig};
pub use kernel::Kernel;
pub use learner::{Collector, Estimator};

use burn::tensor::{Device, Tensor, TensorData};

use crate::traits::Rows;

/// Data or settings from which no density can be estimated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ClassicalError {
    /// Nothing to learn from, or not in rows.
    #[error("{values} values make no rows of {features}; an estimate needs at least {needed} rows")]
    Rows {
        /// Values given.
        values: usize,
        /// The width of a row.
        features: usize,
        /// The fewest rows.
        needed: usize,
    },
    /// A value that is NaN or infinite.
    #[error("row {row}, column {column} is {value}; mend where it comes from (no row is ever dropped)")]
    NotFinite {
        /// The row.
        row: usize,
        /// The column.
        column: usize,
        /// The value.
        value: f64,
    },
    /// A column that is the same in every row has no bandwidth.
    #[error(
        "column {column} is {value} in every row; a rule for bandwidths needs spread: fix the bandwidth or drop the column"
    )]
    Constant {
        /// The column.
        column: usize,
        /// Its value.
        value: f64,
    },
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
}

fn within(ok: bool, name: &'static str, value: f64, needed: &'static str) -> Result<(), ClassicalError> {
    if ok { Ok(()) } else { Err(ClassicalError::Range { name, value, needed }) }
}

/// The number of rows, if `x` is made of finite rows of length `features`.
fn checked(x: &[f64], features: usize, needed: usize) -> Result<usize, ClassicalError> {
    let rows = x.len() / features.max(1);
    if features == 0 || rows < needed || rows * features != x.len() {
        return Err(ClassicalError::Rows { values: x.len(), features, needed });
    }
    match x.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(ClassicalError::NotFinite { row: at / features, column: at % features, value: x[at] }),
        None => Ok(rows),
    }
}

/// The values of `x`, row-major.
fn host(x: Rows) -> Vec<f64> {
    let values = x.try_into_vec_as::<f32>().expect("the device lost its data");
    values.into_iter().map(f64::from).collect()
}

fn vector(values: Vec<f64>, device: &Device) -> Tensor<1> {
    let rows = values.len();
    let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
    Tensor::from_data(TensorData::new(values, [rows]), device)
}

fn rows(values: Vec<f64>, features: usize, device: &Device) -> Rows {
    let n = values.len() / features;
    vector(values, device).reshape([n, features])
}
