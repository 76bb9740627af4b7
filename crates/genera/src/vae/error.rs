//! What can be wrong with the settings of a variational autoencoder.

/// Settings that make no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum VaeError {
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
    /// Two settings that exclude each other.
    #[error("{0}")]
    Combination(&'static str),
    /// A network that cannot be built.
    #[error("{0}")]
    Network(#[from] crate::nn::CausalError),
}

/// Nothing if `ok`; otherwise the error that names the setting.
pub(super) fn within(ok: bool, name: &'static str, value: f64, needed: &'static str) -> Result<(), VaeError> {
    if ok { Ok(()) } else { Err(VaeError::Range { name, value, needed }) }
}

/// The error of a count that is zero.
pub(super) fn some(name: &'static str, count: usize) -> Result<(), VaeError> {
    within(count > 0, name, count as f64, "at least 1")
}
