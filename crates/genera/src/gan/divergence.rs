//! The table of f-divergences, as operations on a network's outputs.
//!
//! ```text
//! D_f(π‖p) = E_p f(π/p) ≥ E_π T − E_p f*(T),    T = g(v),    tight at T = f'(π/p)
//! ```
//!
//! `g` brings a network's output `v` into the domain of the conjugate `f*`: Nowozin, Cseke and Tomioka
//! (arXiv:1606.00709), tables 2 and 6. `f*(g(v))` is written as one function of `v`, because the logarithms and exponentials
//! of both cancel:
//!
//! | | f(u) | T = g(v) | f*(T) | f*(g(v)) |
//! |---|---|---|---|---|
//! | forward KL | u ln u | v | e^{T−1} | e^{v−1} |
//! | reverse KL | −ln u | −e^{−v} | −1 − ln(−T) | v − 1 |
//! | Pearson χ² | (u−1)² | v | T²/4 + T, −1 below −2 | the same |
//! | squared Hellinger | (√u−1)² | 1 − e^{−v} | T/(1−T) | e^v − 1 |
//! | Jensen–Shannon | u ln u − (u+1) ln((1+u)/2) | ln 2 − ln(1+e^{−v}) | −ln(2−e^T) | ln(1+e^v) − ln 2 |
//! | GAN | u ln u − (u+1) ln(u+1) | −ln(1+e^{−v}) | −ln(1−e^T) | ln(1+e^v) |
//! | total variation | abs(u−1)/2 | ½ tanh v | T, abs(T) ≤ ½ | ½ tanh v |
//!
//! `π` are the data and `p` is the model: forward KL is `KL(π‖p)`. The Jensen–Shannon row is twice the usual number.

use std::f64::consts::LN_2;

use burn::tensor::Tensor;
use genera_kernels::{Activation, activate};
use serde::{Deserialize, Serialize};

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FDivergence {
    /// `KL(π‖p)`.
    ForwardKl,
    /// `KL(p‖π)`.
    ReverseKl,
    /// Pearson's χ².
    Pearson,
    /// `∫(√π−√p)²`.
    SquaredHellinger,
    /// `KL(π‖m) + KL(p‖m)`, `m = (π+p)/2`.
    JensenShannon,
    /// The value of the original game: Goodfellow et al. (arXiv:1406.2661).
    Gan,
    /// `½∫|π−p|`.
    TotalVariation,
}

impl FDivergence {
    /// The whole table.
    pub const ALL: [Self; 7] = [
        Self::ForwardKl,
        Self::ReverseKl,
        Self::Pearson,
        Self::SquaredHellinger,
        Self::JensenShannon,
        Self::Gan,
        Self::TotalVariation,
    ];

    /// `T = g(v)`, elementwise.
    pub fn output<const D: usize>(self, v: Tensor<D>) -> Tensor<D> {
        match self {
            Self::ForwardKl | Self::Pearson => v,
            Self::ReverseKl => -(-v).exp(),
            Self::SquaredHellinger => -(-v).exp() + 1.0,
            Self::JensenShannon => -softplus(-v) + LN_2,
            Self::Gan => -softplus(-v),
            Self::TotalVariation => v.tanh() * 0.5,
        }
    }

    /// `f*(g(v))`, elementwise.
    pub fn conjugate_of_output<const D: usize>(self, v: Tensor<D>) -> Tensor<D> {
        match self {
            Self::ForwardKl => (v - 1.0).exp(),
            Self::ReverseKl => v - 1.0,
            Self::Pearson => {
                // Below −2 the best u is 0 and f* is constant.
                let v = v.clamp_min(-2.0);
                v.clone().square() * 0.25 + v
            }
            Self::SquaredHellinger => v.exp() - 1.0,
            Self::JensenShannon => softplus(v) - LN_2,
            Self::Gan => softplus(v),
            Self::TotalVariation => v.tanh() * 0.5,
        }
    }

    /// The output at which the bound of two equal distributions is tight: `g(v) = f'(1)`.
    pub fn neutral(self) -> f64 {
        match self {
            Self::ForwardKl => 1.0,
            _ => 0.0,
        }
    }
}

/// `ln(1 + eᵛ)`, elementwise.
pub(super) fn softplus<const D: usize>(v: Tensor<D>) -> Tensor<D> {
    activate(v, Activation::Softplus)
}

/// The one value of `x`.
pub(super) fn scalar(x: &Tensor<1>) -> f64 {
    x.clone().into_scalar::<f32>().into()
}
