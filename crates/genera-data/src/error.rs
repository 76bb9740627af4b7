//! What can go wrong with data: one line that says what, where, and how to mend it.

use std::path::{Path, PathBuf};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Bytes that are not what their format demands.
    #[error("not a valid {format}: {what}")]
    Format {
        /// The format, as a user would call it.
        format: &'static str,
        /// What is wrong.
        what: String,
    },
    /// An error inside a file, with the file's path.
    #[error("{}: {source}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<Error>,
    },
    /// A set whose parts do not fit together.
    #[error("data set `{name}`: {what}")]
    Shape {
        /// The set.
        name: String,
        /// What does not fit.
        what: String,
    },
    /// A name that is neither a known set nor a path, or a known set that is in none of the places looked at.
    #[error("no data called `{name}`; looked at {}; {mend}", places(looked))]
    NotFound {
        /// What was asked for.
        name: String,
        /// Every place that was looked at.
        looked: Vec<PathBuf>,
        /// How to get it.
        mend: String,
    },
    /// A mixture whose parameters are not a distribution.
    #[error("not a Gaussian mixture: {0}")]
    Mixture(String),
    /// A download that failed.
    #[error("download of {url}: {what}")]
    Download {
        /// The address.
        url: String,
        /// What happened, and whether what was received is kept.
        what: String,
    },
}

/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<'_> {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn format(format: &'static str, what: impl Into<String>) -> Self {
        Self::Format { format, what: what.into() }
    }

    pub(crate) fn shape(name: &str, what: impl Into<String>) -> Self {
        Self::Shape { name: name.to_owned(), what: what.into() }
    }

    /// The same error, said to be in the file `path`.
    pub(crate) fn at(self, path: &Path) -> Self {
        Self::InFile { path: path.to_owned(), source: Box::new(self) }
    }
}

fn places(looked: &[PathBuf]) -> String {
    if looked.is_empty() {
        return "no folder".to_owned();
    }
    looked.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
