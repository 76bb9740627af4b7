//! Ordinary differential equations, one system a row, and every row with steps of its own.
//!
//! ```text
//! y_i' = f(t, y_i),   Y_s = y + h Σ_r a_sr k_r,   k_s = f(t + c_s h, Y_s),   y(t + h) ≈ y + h Σ_s b_s k_s
//! ```
//!
//! Euler, the midpoint rule, the classical method of order four, and the pair of Dormand and Prince (1980) with the step
//! control of Hairer, Nørsett and Wanner ("Solving Ordinary Differential Equations I", II.4). Other solvers for batches
//! take one step size for all rows, so that a row's result depends on its company; here every row accepts and rejects
//! for itself, and a row gives the same bits alone and among others. States are `f64` on the host; a field may well
//! compute its slopes on a device.
//!
//! Gradients go back through the steps taken ([`Tape`]) or by the adjoint equation ([`adjoint`], Chen et al.,
//! arXiv:1806.07366), which stores nothing along the way.

mod adjoint;
mod control;
mod dense;
mod divergence;
mod scored;
mod solve;
mod tableau;
mod tape;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use adjoint::adjoint;
pub use dense::Dense;
pub(crate) use divergence::Directions;
pub use divergence::{Divergence, Noise};
pub use scored::Scored;
pub(crate) use scored::mean_over_probes;
pub use solve::{Solution, Step};
pub use tableau::Method;
pub use tape::Tape;

/// The right-hand side of a system of differential equations, for many rows at once.
pub trait Field {
    /// The length `S` of a state.
    fn width(&self) -> usize;

    /// `f(t, y)` of states `y`, `[n, S]`: state `i` is that of sample `rows[i]` at time `t[i]`. The slope of a state must
    /// not depend on its company.
    fn slope(&self, rows: &[usize], t: &[f64], y: &[f64]) -> Vec<f64>;
}

/// A field whose derivatives are known.
pub trait Differentiable: Field {
    /// The gradient with respect to what the field's parameters are.
    type Gradient;

    /// The slope and `aᵀ ∂f/∂y` for cotangents `a`, `[n, S]`; `Σ aᵀ ∂f/∂θ` is added to `gradient` if there is one.
    fn pull_back(
        &self,
        rows: &[usize],
        t: &[f64],
        y: &[f64],
        a: &[f64],
        gradient: Option<&mut Self::Gradient>,
    ) -> Pulled;
}

/// What [`Differentiable::pull_back`] gives, each `[n, S]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pulled {
    /// `f(t, y)`.
    pub slope: Vec<f64>,
    /// `aᵀ ∂f/∂y`.
    pub cotangent: Vec<f64>,
}

/// A method and how far it steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Solver {
    /// The formula of a step.
    pub method: Method,
    /// How long steps are.
    pub steps: Steps,
}

/// How long steps are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Steps {
    /// So many equal steps.
    Fixed(usize),
    /// As long as the estimated error allows: its root mean square over the state, each number measured in units of
    /// `absolute + relative |y|`, stays below one.
    #[serde(rename_all = "kebab-case")]
    Adaptive {
        /// The error allowed in units of the state.
        relative: f64,
        /// The error allowed where the state is small.
        absolute: f64,
    },
}

impl Solver {
    /// `count` equal steps.
    pub fn fixed(method: Method, count: usize) -> Self {
        Self { method, steps: Steps::Fixed(count) }
    }

    /// Dormand and Prince's pair with one tolerance, relative and absolute.
    pub fn adaptive(tolerance: f64) -> Self {
        let steps = Steps::Adaptive { relative: tolerance, absolute: tolerance };
        Self { method: Method::DormandPrince, steps }
    }

    /// The relative tolerance, if steps follow one.
    pub fn tolerance(&self) -> Option<f64> {
        match self.steps {
            Steps::Fixed(_) => None,
            Steps::Adaptive { relative, .. } => Some(relative),
        }
    }

    /// # Errors
    /// No steps, a tolerance outside (0, 1), or a method without an error estimate that is asked to adapt.
    pub fn check(&self) -> Result<(), OdeError> {
        match self.steps {
            Steps::Fixed(0) => Err(OdeError::NoSteps),
            Steps::Fixed(_) => Ok(()),
            Steps::Adaptive { .. } if self.method != Method::DormandPrince => Err(OdeError::NoEstimate(self.method)),
            Steps::Adaptive { relative, absolute } => {
                match [relative, absolute].into_iter().find(|tolerance| !(*tolerance > 0.0 && *tolerance < 1.0)) {
                    Some(tolerance) => Err(OdeError::Tolerance(tolerance)),
                    None => Ok(()),
                }
            }
        }
    }
}

impl OdeError {
    /// The row that could not be solved, the time that it came to, and the evaluations that this took.
    pub fn place(&self) -> Option<(usize, f64, usize)> {
        match *self {
            Self::Floor { row, time, evaluations, .. }
            | Self::NotFinite { row, time, evaluations }
            | Self::TooLong { row, time, evaluations } => Some((row, time, evaluations)),
            Self::NoSteps | Self::NoProbes | Self::Tolerance(_) | Self::NoEstimate(_) => None,
        }
    }
}

/// A solver that cannot work, or a row that could not be solved.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OdeError {
    /// Nothing to do.
    #[error("a solver of 0 steps goes nowhere; take at least 1")]
    NoSteps,
    /// An estimate from nothing.
    #[error("a divergence estimated with 0 probes; take at least 1")]
    NoProbes,
    /// A tolerance that is none.
    #[error("a tolerance of {0}; it must lie strictly between 0 and 1")]
    Tolerance(f64),
    /// Only one of the methods knows its error.
    #[error("{0:?} does not estimate its error; take a fixed number of steps, or dormand-prince")]
    NoEstimate(Method),
    /// The tolerance cannot be met.
    #[error(
        "row {row}: the step fell to {step:e} at time {time} after {evaluations} evaluations; \
         the field is not smooth there: loosen the tolerance"
    )]
    Floor {
        /// The sample.
        row: usize,
        /// Where it stands.
        time: f64,
        /// The step that was refused.
        step: f64,
        /// How often the field was evaluated for this row.
        evaluations: usize,
    },
    /// The field or the state is NaN or infinite.
    #[error("row {row}: the state is not finite after time {time} and {evaluations} evaluations; the field blows up")]
    NotFinite {
        /// The sample.
        row: usize,
        /// The last time at which all was well.
        time: f64,
        /// How often the field was evaluated for this row.
        evaluations: usize,
    },
    /// An end that is not in sight.
    #[error("row {row}: only at time {time} after {evaluations} evaluations; loosen the tolerance")]
    TooLong {
        /// The sample.
        row: usize,
        /// Where it stands.
        time: f64,
        /// How often the field was evaluated for this row.
        evaluations: usize,
    },
}

impl OdeError {
    /// The same failure of a row that stands `first` further down: of a batch cut from a larger one.
    #[must_use]
    pub fn moved_by(self, first: usize) -> Self {
        match self {
            Self::Floor { row, time, step, evaluations } => Self::Floor { row: row + first, time, step, evaluations },
            Self::NotFinite { row, time, evaluations } => Self::NotFinite { row: row + first, time, evaluations },
            Self::TooLong { row, time, evaluations } => Self::TooLong { row: row + first, time, evaluations },
            other => other,
        }
    }
}
