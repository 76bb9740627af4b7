//! A likelihood that says what it is.
//!
//! ```text
//! ln p(x) = ln p_model(g(x)) + ln |det ∂g/∂x|        x in the data's own units: bins of width one if quantised
//! nats = mean over rows of ln p(x)        bits/dim = −nats / (D ln 2)
//! ```
//!
//! Two numbers called "bits per dimension" may differ in all of: exact or a bound, the noise added to quantised data,
//! the number of levels, and whether the change of variables of the preprocessing was counted. A record carries each
//! of these, and records that differ in them are not compared unless asked. Uniform noise makes a density a lower
//! bound of the probability of the quantised data: Theis, van den Oord and Bethge (arXiv:1511.01844); learnt noise
//! makes a tighter one: Ho et al. (arXiv:1902.00275).
//!
//! Nothing is dropped from a mean: a row whose likelihood is NaN or infinite is an error that names it.

use std::f64::consts::LN_2;

use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::{Mean, MetricError};

/// How the log-likelihood of a row was obtained, given its (possibly noisy) data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "name")]
pub enum LikelihoodKind {
    /// Computed exactly.
    Exact,
    /// An evidence lower bound.
    LowerBound,
    /// The importance-weighted bound of k samples (arXiv:1509.00519).
    KSampleBound {
        /// Samples.
        k: usize,
    },
    /// The flow of an ODE, integrated numerically: a continuous flow (arXiv:1810.01367), or the probability flow of a
    /// diffusion (arXiv:2011.13456).
    ProbabilityFlow {
        /// Relative tolerance of the integration.
        tolerance: f64,
        /// Random probes of the divergence; none if it was computed exactly.
        probes: Option<usize>,
    },
    /// Annealed importance sampling, a stochastic lower bound (arXiv:1611.04273).
    AnnealedImportanceSampling {
        /// Independent chains.
        chains: usize,
        /// Intermediate distributions.
        steps: usize,
    },
}

/// How quantised data were turned into what the model sees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "name")]
pub enum Dequantisation {
    /// Not at all: the model gives probabilities of the levels themselves.
    None {
        /// Levels of each dimension, 256 for bytes.
        levels: u32,
    },
    /// One draw of uniform noise on a bin.
    Uniform {
        /// Levels of each dimension.
        levels: u32,
    },
    /// The logarithm of the mean density over k draws of uniform noise.
    UniformK {
        /// Levels of each dimension.
        levels: u32,
        /// Draws.
        k: usize,
    },
    /// Noise from a learnt distribution, its density divided out.
    Variational {
        /// Levels of each dimension.
        levels: u32,
    },
    /// Data that were never quantised; bits per dimension are not defined.
    Continuous,
}

impl Dequantisation {
    /// The number of levels, if the data are quantised.
    pub fn levels(&self) -> Option<u32> {
        match *self {
            Self::None { levels }
            | Self::Uniform { levels }
            | Self::UniformK { levels, .. }
            | Self::Variational { levels } => Some(levels),
            Self::Continuous => None,
        }
    }
}

/// ln |det ∂g/∂x| of the preprocessing g, in nats, from the data's own units (bins of width one) to the model's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LogJacobian<'a> {
    /// The same for every row: zero without preprocessing, −D ln 256 for bytes scaled to [0, 1).
    Constant(f64),
    /// One for each row, as for a logit.
    PerRow(&'a [f64]),
}

/// All that must be known of a likelihood but its value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Protocol {
    /// Exact, or which estimate.
    pub kind: LikelihoodKind,
    /// The noise added to quantised data.
    pub dequantisation: Dequantisation,
    /// The name of the preprocessing whose log-Jacobian is counted.
    pub preprocessing: String,
    /// Dimensions of a row.
    pub dims: usize,
    /// The seed of whatever was random in it.
    pub seed: u64,
}

/// The log-likelihood of a data set: its mean over rows in nats, and what that number is.
///
/// Made by [`Likelihood::of_rows`] only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Likelihood {
    /// The mean of ln p(x) over rows, in nats, in the data's own units.
    pub nats: f64,
    /// The standard error of that mean, over rows.
    pub standard_error: f64,
    /// Of a probability flow, the standard error of that mean over the probes of the divergence, these rows given: zero if
    /// the divergence is exact, none if it is not known. What rows scatter by holds it already: the two do not add up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_standard_error: Option<f64>,
    /// Rows.
    pub n: usize,
    /// The mean log-Jacobian of the preprocessing, counted in `nats`.
    pub log_jacobian: f64,
    /// What the number is.
    pub protocol: Protocol,
}

/// The difference of two likelihoods.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LikelihoodDifference {
    /// Left minus right, in nats a row: positive if the left is more likely.
    pub nats: f64,
    /// Its standard error, taking the two as independent (too large if both were measured on the same rows).
    pub standard_error: f64,
}

impl Likelihood {
    /// From the model's own log-likelihood of each row, `[n]` in nats, and the log-Jacobian of the preprocessing.
    ///
    /// # Errors
    /// Fewer than two rows, a row or log-Jacobian that is not finite, an exact probability above one, log-Jacobians of
    /// another length, or a protocol that contradicts itself.
    pub fn of_rows(rows: &[f64], log_jacobian: LogJacobian<'_>, protocol: Protocol) -> Result<Self, MetricError> {
        protocol.check()?;
        let jacobians = match log_jacobian {
            LogJacobian::Constant(value) => vec![value; rows.len()],
            LogJacobian::PerRow(values) if values.len() == rows.len() => values.to_vec(),
            LogJacobian::PerRow(values) => {
                return Err(MetricError::Length { len: values.len(), n: rows.len(), d: 1 });
            }
        };
        let discrete = matches!(protocol.dequantisation, Dequantisation::None { .. });
        if discrete && jacobians.iter().any(|value| *value != 0.0) {
            return Err(MetricError::Protocol { why: "probabilities of levels have no log-Jacobian" });
        }
        let mut nats = Vec::with_capacity(rows.len());
        for (row, (own, jacobian)) in rows.iter().zip(&jacobians).enumerate() {
            let value = own + jacobian;
            let refuse = |why| Err(MetricError::RowLikelihood { row, value, why });
            if !value.is_finite() {
                return refuse("mend the model or the row; no row is dropped from a mean");
            }
            // Single precision may exceed zero by its rounding.
            if discrete && protocol.kind == LikelihoodKind::Exact && value > 1e-3 {
                return refuse("a probability above one; are the data really discrete?");
            }
            nats.push(value);
        }
        let Mean { value, standard_error, n } = Mean::of(&nats)?;
        let log_jacobian = jacobians.iter().sum::<f64>() / n as f64;
        let exact = matches!(protocol.kind, LikelihoodKind::ProbabilityFlow { probes: None, .. });
        let probe_standard_error = exact.then_some(0.0);
        Ok(Self { nats: value, standard_error, probe_standard_error, n, log_jacobian, protocol })
    }

    /// The same with what is known of its probes: the standard error over them of each row, `[n]` in nats. Rows have probes
    /// of their own, so that their errors add up in the square.
    ///
    /// # Errors
    /// A likelihood without probes, another number of rows, an error that is none.
    pub fn with_probe_errors(self, rows: &[f64]) -> Result<Self, MetricError> {
        if !matches!(self.protocol.kind, LikelihoodKind::ProbabilityFlow { .. }) {
            return Err(MetricError::Protocol { why: "only a probability flow is probed" });
        }
        if rows.len() != self.n {
            return Err(MetricError::Length { len: rows.len(), n: self.n, d: 1 });
        }
        if let Some((row, &value)) = rows.iter().enumerate().find(|(_, error)| !(error.is_finite() && **error >= 0.0)) {
            return Err(MetricError::RowLikelihood { row, value, why: "a standard error is at least zero" });
        }
        let error = rows.iter().map(|error| error * error).sum::<f64>().sqrt() / self.n as f64;
        Ok(Self { probe_standard_error: Some(error), ..self })
    }

    /// Bits per dimension, −nats / (D ln 2); none for data that were never quantised.
    pub fn bits_per_dim(&self) -> Option<f64> {
        self.in_bits(-self.nats)
    }

    /// The standard error of [`Self::bits_per_dim`].
    pub fn bits_per_dim_standard_error(&self) -> Option<f64> {
        self.in_bits(self.standard_error)
    }

    /// [`Self::probe_standard_error`] in bits per dimension.
    pub fn bits_per_dim_probe_standard_error(&self) -> Option<f64> {
        self.in_bits(self.probe_standard_error?)
    }

    /// The difference to another likelihood of the same kind, noise, levels and dimensions.
    ///
    /// # Errors
    /// Any of these differs.
    pub fn compare(&self, other: &Self) -> Result<LikelihoodDifference, MetricError> {
        let (left, right) = (&self.protocol, &other.protocol);
        same("the kind", &left.kind, &right.kind)?;
        same("the dequantisation", &left.dequantisation, &right.dequantisation)?;
        self.compare_across_kinds(other)
    }

    /// The difference to a likelihood that may be of another kind, or under other noise: a bound against an exact
    /// value, say. Levels and dimensions must still agree.
    ///
    /// # Errors
    /// Levels or dimensions differ.
    pub fn compare_across_kinds(&self, other: &Self) -> Result<LikelihoodDifference, MetricError> {
        let (left, right) = (&self.protocol, &other.protocol);
        same("the number of levels", &left.dequantisation.levels(), &right.dequantisation.levels())?;
        same("the number of dimensions", &left.dims, &right.dims)?;
        Ok(LikelihoodDifference {
            nats: self.nats - other.nats,
            standard_error: self.standard_error.hypot(other.standard_error),
        })
    }

    fn in_bits(&self, nats: f64) -> Option<f64> {
        self.protocol.dequantisation.levels().map(|_| nats / (self.protocol.dims as f64 * LN_2))
    }
}

impl Protocol {
    fn check(&self) -> Result<(), MetricError> {
        require(self.dims >= 1, "the number of dimensions", self.dims as f64, "at least 1")?;
        if let Some(levels) = self.dequantisation.levels() {
            require(levels >= 2, "the number of levels", f64::from(levels), "at least 2")?;
        }
        let at_least_one = |name, count: usize| require(count >= 1, name, count as f64, "at least 1");
        if let Dequantisation::UniformK { k, .. } = self.dequantisation {
            at_least_one("the number of draws of noise", k)?;
        }
        match self.kind {
            LikelihoodKind::Exact | LikelihoodKind::LowerBound => Ok(()),
            LikelihoodKind::KSampleBound { k } => at_least_one("the number of samples", k),
            LikelihoodKind::AnnealedImportanceSampling { chains, steps } => {
                at_least_one("the number of chains", chains)?;
                at_least_one("the number of steps", steps)
            }
            LikelihoodKind::ProbabilityFlow { tolerance, probes } => {
                require(tolerance > 0.0 && tolerance < 1.0, "the tolerance", tolerance, "between 0 and 1")?;
                if matches!(self.dequantisation, Dequantisation::None { .. }) {
                    return Err(MetricError::Protocol { why: "a flow gives densities, not probabilities of levels" });
                }
                probes.map_or(Ok(()), |probes| at_least_one("the number of probes", probes))
            }
        }
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &'static str, left: &T, right: &T) -> Result<(), MetricError> {
    if left == right {
        return Ok(());
    }
    Err(MetricError::Incomparable { what, left: format!("{left:?}"), right: format!("{right:?}") })
}

#[cfg(test)]
mod tests;
