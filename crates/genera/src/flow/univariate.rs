//! Monotone functions of one number, whose parameters a network may choose.
//!
//! | | `z` | parameters a number |
//! |---|---|---|
//! | additive | `x + t` | 1 |
//! | affine, soft | `x eˢ + t`, `s = a / (1 + |a| / log 1000)` | 2 |
//! | affine, sigmoid | `(x − t) σ(a + 2)`, at most shrinking | 2 |
//! | affine, exponential | `x eᵃ + t` | 2 |
//! | spline | rational-quadratic on `[−B, B]`, the identity outside | `3 K − 1` |
//!
//! NICE (1410.8516), RealNVP (1605.08803), Glow (1807.03039), neural spline flows (1906.04032). The soft bound keeps
//! slopes between 1/1000 and 1000, as zuko does. Parameters are `[B, P, M]`: all `t`, then all `a`.

use burn::tensor::Tensor;
use burn::tensor::activation::{log_sigmoid, sigmoid};
use serde::{Deserialize, Serialize};

use super::{FlowError, spline};
use crate::traits::Rows;

/// How a number becomes a positive slope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// Between 1/1000 and 1000.
    #[default]
    Soft,
    /// Between 0 and 1, and the shift comes first: Glow.
    Sigmoid,
    /// Between 1/2 and 1, and the shift comes first: the inverse of a layer at most doubles distances, where those of many
    /// layers of the former can run away (Behrmann et al., arXiv:2006.09347).
    Half,
    /// Any.
    Exponential,
}

/// A family of monotone functions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Univariate {
    /// A shift.
    Additive,
    /// A shift and a slope.
    Affine(Scale),
    /// A rational-quadratic spline of `bins` pieces on `[-bound, bound]`.
    Spline {
        /// `K`.
        bins: usize,
        /// `B`.
        bound: f64,
    },
}

impl Univariate {
    /// Parameters a number, `P`.
    pub fn parameters(self) -> usize {
        match self {
            Self::Additive => 1,
            Self::Affine(_) => 2,
            Self::Spline { bins, .. } => 3 * bins - 1,
        }
    }

    /// # Errors
    /// A spline without two bins or without width.
    pub fn check(self) -> Result<(), FlowError> {
        if let Self::Spline { bins, bound } = self {
            FlowError::unless((2..=1024).contains(&bins), "spline.bins", bins, "2 to 1024")?;
            FlowError::unless(bound > 0.0 && bound.is_finite(), "spline.bound", bound, "positive")?;
        }
        Ok(())
    }

    /// `z` and `log dz/dx`: `[B, M], [B, P, M] -> [B, M], [B, M]`.
    pub fn forward(self, x: Rows, parameters: Tensor<3>) -> (Rows, Rows) {
        match self {
            Self::Additive => {
                let z = x + parameters.squeeze_dim(1);
                let slope = z.zeros_like();
                (z, slope)
            }
            Self::Affine(scale) => {
                let (t, s) = shift_and_slope(scale, parameters);
                let z = match scale {
                    Scale::Soft | Scale::Exponential => x * s.clone().exp() + t,
                    Scale::Sigmoid | Scale::Half => (x - t) * s.clone().exp(),
                };
                (z, s)
            }
            Self::Spline { bins, bound } => spline::forward(x, parameters, bins, bound),
        }
    }

    /// `x` and `log dx/dz`: `[B, M], [B, P, M] -> [B, M], [B, M]`.
    pub fn inverse(self, z: Rows, parameters: Tensor<3>) -> (Rows, Rows) {
        match self {
            Self::Additive => {
                let x = z - parameters.squeeze_dim(1);
                let slope = x.zeros_like();
                (x, slope)
            }
            Self::Affine(scale) => {
                let (t, s) = shift_and_slope(scale, parameters);
                let s = -s;
                let x = match scale {
                    Scale::Soft | Scale::Exponential => (z - t) * s.clone().exp(),
                    Scale::Sigmoid | Scale::Half => z * s.clone().exp() + t,
                };
                (x, s)
            }
            Self::Spline { bins, bound } => spline::inverse(z, parameters, bins, bound),
        }
    }
}

/// `t` and the logarithm of the slope.
fn shift_and_slope(scale: Scale, parameters: Tensor<3>) -> (Rows, Rows) {
    let part = |at| parameters.clone().narrow(1, at, 1).squeeze_dim(1);
    let (t, a): (Rows, Rows) = (part(0), part(1));
    let s = match scale {
        Scale::Soft => softly_within(a, LOG_THOUSAND),
        Scale::Sigmoid => log_sigmoid(a + 2.0),
        Scale::Half => ((sigmoid(a + 2.0) + 1.0) * 0.5).log(),
        Scale::Exponential => a,
    };
    (t, s)
}

/// The logarithm of the largest slope.
pub(super) const LOG_THOUSAND: f64 = 6.907_755_278_982_137;

/// `a / (1 + |a| / limit)`: nearly `a` where it is small, never beyond `limit`.
pub(super) fn softly_within<const D: usize>(a: Tensor<D>, limit: f64) -> Tensor<D> {
    a.clone() / (a.abs() * (1.0 / limit) + 1.0)
}
