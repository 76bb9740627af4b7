//! What can be wrong with a pipeline folder.

use std::io;
use std::path::{Path, PathBuf};

use crate::nn::unet::ConfigError;
use crate::weights::WeightsError;

/// A folder that cannot be read or written as a pipeline.
#[derive(Debug, thiserror::Error)]
pub enum InteropError {
    /// Neither a pipeline nor a network.
    #[error("{} holds neither model_index.json nor config.json; it is no folder that diffusers saved", .0.display())]
    NotAPipeline(PathBuf),
    /// A file that could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// A file that is no JSON object.
    #[error("{}: not a JSON object: {problem}; it may be truncated", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser met.
        problem: String,
    },
    /// A key whose value cannot be used.
    #[error("{}: {key} = {value}: {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A key that nothing is known of.
    #[error("{}: unknown key `{key}`; this kind of file has no such key in diffusers 0.42", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// Weights in a form that is not read.
    #[error(
        "{} holds no diffusion_pytorch_model.safetensors; if the weights are a .bin file, load and save them with \
         diffusers' save_pretrained first", .0.display()
    )]
    NoWeights(PathBuf),
    /// Weights that are damaged or belong to another network.
    #[error("{}: {source}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        source: WeightsError,
    },
}

impl InteropError {
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| Self::File { path: path.to_owned(), source }
    }

    pub(super) fn weights(path: &Path) -> impl FnOnce(WeightsError) -> Self {
        // The path is said once.
        |error| match error {
            WeightsError::File { path, source } => Self::File { path, source },
            source => Self::Weights { path: path.to_owned(), source },
        }
    }

    pub(super) fn config(path: &Path) -> impl FnOnce(ConfigError) -> Self {
        |ConfigError { key, value, problem }| Self::value(path, key, value, problem)
    }

    pub(super) fn value(path: &Path, key: impl ToString, value: impl ToString, problem: impl ToString) -> Self {
        let mut value = value.to_string();
        if let Some((end, _)) = value.char_indices().nth(80) {
            value.truncate(end);
            value.push('…');
        }
        Self::Value { path: path.to_owned(), key: key.to_string(), value, problem: problem.to_string() }
    }
}
