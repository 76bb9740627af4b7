//! What is wrong with a training configuration.

/// A number outside the range in which training is defined.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{field}` is {value} but must be {range}")]
pub struct ConfigError {
    /// The configuration's key.
    pub field: &'static str,
    /// What it was.
    pub value: f64,
    /// What it may be.
    pub range: &'static str,
}

/// `value ≥ 0` and finite.
pub(crate) fn not_negative(field: &'static str, value: f64) -> Result<(), ConfigError> {
    let inside = value >= 0.0 && value.is_finite();
    inside.then_some(()).ok_or(ConfigError { field, value, range: "finite and not negative" })
}

/// `value > 0` and finite.
pub(crate) fn positive(field: &'static str, value: f64) -> Result<(), ConfigError> {
    let inside = value > 0.0 && value.is_finite();
    inside.then_some(()).ok_or(ConfigError { field, value, range: "finite and above zero" })
}

/// `0 ≤ value < 1`.
pub(crate) fn below_one(field: &'static str, value: f64) -> Result<(), ConfigError> {
    let inside = (0.0..1.0).contains(&value);
    inside.then_some(()).ok_or(ConfigError { field, value, range: "at least 0 and below 1" })
}
