//! From an interval to the line, so that a density of bounded data needs no hard edge.
//!
//! ```text
//! p = α + (1 − 2α) (x − low) / (high − low)      z = log p − log(1 − p)
//! log dz/dx = log((1 − 2α) / (high − low)) − log p − log(1 − p)
//! ```
//!
//! Dinh et al. (arXiv:1605.08803), with `α = 0.05` for images. With `α > 0` the ends of the interval are finite; with
//! `α = 0` they are infinite, and data on them are named by [`Flow::scores`](super::Flow::scores). Data beyond what `α`
//! leaves room for have no image: NaN.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::{log_sigmoid, sigmoid};

use super::{FlowError, Transform, row_sums};
use crate::traits::{Bijection, Rows};

/// The logit of an interval.
#[derive(Module, Debug)]
pub struct Logit {
    #[module(skip)]
    low: f64,
    #[module(skip)]
    high: f64,
    #[module(skip)]
    alpha: f64,
}

impl Logit {
    /// For data in `[low, high]`.
    ///
    /// # Errors
    /// An empty interval, or `alpha` outside `[0, 1/2)`.
    pub fn new(low: f64, high: f64, alpha: f64) -> Result<Self, FlowError> {
        let fits = low < high && (high - low).is_finite();
        FlowError::unless(fits, "logit", format!("[{low}, {high}]"), "an interval")?;
        FlowError::unless((0.0..0.5).contains(&alpha), "alpha", alpha, "at least 0 and below 0.5")?;
        Ok(Self { low, high, alpha })
    }

    /// `dp/dx`.
    fn slope(&self) -> f64 {
        (1.0 - 2.0 * self.alpha) / (self.high - self.low)
    }
}

impl Bijection for Logit {
    fn forward_and_log_det(&self, x: Rows) -> (Rows, Tensor<1>) {
        let features = x.dims()[1] as f64;
        // Each distance from its own end: 1 − p would lose all digits of p near one.
        let log_p = ((x.clone() - self.low) * self.slope() + self.alpha).log();
        let log_q = ((x.neg() + self.high) * self.slope() + self.alpha).log();
        let log_det = row_sums(log_p.clone() + log_q.clone()).neg() + features * self.slope().ln();
        (log_p - log_q, log_det)
    }

    fn inverse_and_log_det(&self, z: Rows) -> (Rows, Tensor<1>) {
        let features = z.dims()[1] as f64;
        let x = (sigmoid(z.clone()) - self.alpha) * (1.0 / self.slope()) + self.low;
        let log_det = row_sums(log_sigmoid(z.clone()) + log_sigmoid(z.neg())) - features * self.slope().ln();
        (x, log_det)
    }
}

impl Transform for Logit {
    fn stages(&self) -> Vec<(String, &dyn Transform)> {
        vec![("logit".to_owned(), self)]
    }
}
