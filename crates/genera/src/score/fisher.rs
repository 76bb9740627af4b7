//! How far a score is from one that is known.

use crate::traits::{Rows, Score};

/// A Fisher divergence, estimated on rows of the true density.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fisher {
    /// `½ E|s − ∇log p|²`.
    pub divergence: f64,
    /// `E|s − ∇log p|² / E|∇log p|²`: 0 is the score itself, 1 is no better than saying nothing.
    pub relative: f64,
    /// The standard error of [`Fisher::divergence`].
    pub standard_error: f64,
    /// How many rows.
    pub n: usize,
}

/// The divergence of `score` from `truth` on rows `x` of the true density, `[B, F]`, in double precision. NaN if either
/// is.
pub fn fisher_divergence(score: &dyn Score, truth: &dyn Score, x: Rows) -> Fisher {
    let [n, features] = x.dims();
    let values = |rows: Rows| -> Vec<f32> { rows.to_data().convert::<f32>().iter::<f32>().collect() };
    let (s, t) = (values(score.score(x.clone())), values(truth.score(x)));
    let square = |row: &mut dyn Iterator<Item = f64>| row.map(|v| v * v).sum::<f64>();
    let rows = s.chunks_exact(features.max(1)).zip(t.chunks_exact(features.max(1)));
    let (errors, sizes): (Vec<f64>, Vec<f64>) = rows
        .map(|(s, t)| {
            let apart = square(&mut s.iter().zip(t).map(|(s, t)| f64::from(*s) - f64::from(*t)));
            (0.5 * apart, 0.5 * square(&mut t.iter().map(|t| f64::from(*t))))
        })
        .unzip();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / n as f64;
    let divergence = mean(&errors);
    let variance = mean(&errors.iter().map(|e| (e - divergence).powi(2)).collect::<Vec<f64>>());
    let standard_error = (variance / n.saturating_sub(1).max(1) as f64).sqrt();
    Fisher { divergence, relative: divergence / mean(&sizes), standard_error, n }
}
