//! Named arrays: the weights of a module, the state of an optimiser, and their safetensors form.
//!
//! A module's arrays are named by their path (`down_blocks.0.resnets.1.conv1.weight`), which for our layers is the
//! name that PyTorch gives them, in PyTorch's layout.

mod file;
mod module;
mod pytorch;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

pub use file::{Metadata, from_bytes, metadata, read, to_bytes, write};
pub(crate) use module::FieldPath;
pub use module::{apply, collect, mismatches};
pub use pytorch::read_pytorch;

/// One array: shape and row-major values.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The length of each axis.
    pub shape: Vec<usize>,
    /// The values, row-major; as many as the product of `shape`.
    pub values: Vec<f32>,
}

/// Arrays by name, in a fixed order.
pub type Weights = BTreeMap<String, Array>;

/// Reads a file of either kind that weights are published in, by its first bytes: safetensors or a PyTorch checkpoint.
///
/// # Errors
/// As [`read`] and [`read_pytorch`].
pub fn read_checkpoint(path: impl AsRef<Path>) -> Result<Weights, WeightsError> {
    let path = path.as_ref();
    let mut start = Vec::new();
    let file = std::fs::File::open(path).and_then(|file| file.take(9).read_to_end(&mut start));
    file.map_err(|source| WeightsError::File { path: path.to_owned(), source })?;
    // Behind the length of its header a safetensors file has the header's brace.
    if start.get(8) == Some(&b'{') { read(path) } else { read_pytorch(path) }
}

/// Weights that do not fit.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// A name that should be there.
    #[error("the weights lack `{0}`; they belong to another model or configuration")]
    Missing(String),
    /// A name that should not be there.
    #[error("the weights hold `{0}`, which this model does not have; they belong to another model or configuration")]
    Unknown(String),
    /// An array of the wrong shape.
    #[error("`{name}` has shape {found:?} but the model needs {needed:?}; the configuration differs")]
    Shape {
        /// The array.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// Its shape in the model.
        needed: Vec<usize>,
    },
    /// An array with the wrong number of axes.
    #[error("`{name}` has shape {found:?} but the model needs {needed} axes; the description differs")]
    Axes {
        /// The array.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// How many axes it should have.
        needed: usize,
    },
    /// An array that contradicts itself: its shape asks for another number of values.
    #[error("`{name}` of shape {shape:?} holds {values} values; the weights are damaged")]
    Values {
        /// The array.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// How many values it holds.
        values: usize,
    },
    /// Bytes that are no safetensors file.
    #[error("not a readable safetensors file: {0}")]
    Format(String),
    /// A file that is no checkpoint of PyTorch.
    #[error("{}: not a readable checkpoint of PyTorch: {what}", path.display())]
    Checkpoint {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A file that could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
}
