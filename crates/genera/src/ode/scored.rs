//! Log-likelihoods along an equation, and what they cost.

use super::OdeError;

/// Log-likelihoods along an equation, and what they cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scored {
    /// `log p(x)` of each row in nats, exact up to the solver's tolerance and, where it is estimated, the divergence; NaN
    /// for a row that failed.
    pub nats: Vec<f64>,
    /// The standard error of each, over the probes of the divergence: zero if it is exact, none of one probe, which says
    /// nothing of its spread.
    pub probe_errors: Option<Vec<f64>>,
    /// How often the network was asked for each row.
    pub evaluations: Vec<usize>,
    /// One error for each row that failed.
    pub failures: Vec<OdeError>,
}

/// The mean over probes of the volumes that each has followed, and its standard error: zero of one, which is exact or knows
/// nothing of its spread.
pub(crate) fn mean_over_probes(volumes: &[f64]) -> (f64, f64) {
    let n = volumes.len();
    let mean = volumes.iter().sum::<f64>() / n as f64;
    let square = volumes.iter().map(|volume| (volume - mean).powi(2)).sum::<f64>();
    (mean, (square / (n * n.saturating_sub(1).max(1)) as f64).sqrt())
}
