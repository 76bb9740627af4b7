//! What can be wrong with the input of a measure.

/// Why a measure refused its input: one line that says what, where, and how to mend it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MetricError {
    /// No rows or no columns.
    #[error("no points: {n} rows of {d} columns; a measure needs at least one row and one column")]
    Empty {
        /// Rows.
        n: usize,
        /// Columns.
        d: usize,
    },
    /// The slice does not hold `n * d` values.
    #[error("{len} values do not make {n} rows of {d} columns")]
    Length {
        /// Values given.
        len: usize,
        /// Rows announced.
        n: usize,
        /// Columns announced.
        d: usize,
    },
    /// A value that is NaN, infinite, or beyond the range of single precision.
    #[error("row {row}, column {column} is {value}: mend where it comes from (no row is ever dropped)")]
    NotFinite {
        /// Row of the value.
        row: usize,
        /// Column of the value.
        column: usize,
        /// The value.
        value: f64,
    },
    /// Two sets whose rows cannot be compared.
    #[error("rows of {left} columns cannot be compared with rows of {right}: use the same features on both sides")]
    Dimensions {
        /// Columns on the left.
        left: usize,
        /// Columns on the right.
        right: usize,
    },
    /// Too few rows for the measure to be defined.
    #[error("{what} needs at least {needed} rows, not {got}")]
    TooFew {
        /// The measure.
        what: &'static str,
        /// The fewest rows for which it is defined.
        needed: usize,
        /// Rows given.
        got: usize,
    },
    /// A parameter out of its range.
    #[error("{name} is {value}: it must be {rule}")]
    Parameter {
        /// The parameter.
        name: &'static str,
        /// Its value.
        value: f64,
        /// Its range.
        rule: &'static str,
    },
    /// A matrix that is not the covariance of anything.
    #[error("not a covariance matrix: {why}")]
    Covariance {
        /// What it lacks.
        why: String,
    },
    /// A row that is not a distribution over classes.
    #[error("row {row} is not a distribution over classes: {why}")]
    Probabilities {
        /// Row.
        row: usize,
        /// What it lacks.
        why: String,
    },
    /// A likelihood of one row that cannot be right.
    #[error("the log-likelihood of row {row} is {value}: {why}")]
    RowLikelihood {
        /// Row.
        row: usize,
        /// Nats.
        value: f64,
        /// Why it is refused.
        why: &'static str,
    },
    /// A statement about a likelihood that contradicts itself.
    #[error("a likelihood that contradicts itself: {why}")]
    Protocol {
        /// The contradiction.
        why: &'static str,
    },
    /// Two likelihoods that say different things.
    #[error("likelihoods that do not compare: {what} differs, {left} against {right}")]
    Incomparable {
        /// What differs.
        what: &'static str,
        /// On the left.
        left: String,
        /// On the right.
        right: String,
    },
    /// An iteration that did not reach its tolerance.
    #[error("{what} did not converge in {iterations} iterations (error {error:e}): allow more, or ask for less")]
    NoConvergence {
        /// The algorithm.
        what: &'static str,
        /// Iterations made.
        iterations: usize,
        /// Error left.
        error: f64,
    },
}

/// Refuses a parameter that breaks its rule.
pub(crate) fn require(holds: bool, name: &'static str, value: f64, rule: &'static str) -> Result<(), MetricError> {
    if holds { Ok(()) } else { Err(MetricError::Parameter { name, value, rule }) }
}
