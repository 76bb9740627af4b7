//! What keeps a critic from becoming too steep.
//!
//! ```text
//! clip               w ← min(max(w, −c), c) after every step                     Arjovsky et al., arXiv:1701.07875
//! gradient penalty   λ E (‖∇f(x̂)‖ − 1)²,  x̂ = x + u (G − x), u ~ U[0, 1)        Gulrajani et al., arXiv:1704.00028
//!   one-sided        λ E max(0, ‖∇f(x̂)‖ − 1)²                                   Petzka et al., arXiv:1709.08894
//! R1, R2             γ/2 E ‖∇f‖² at data, at samples                             Mescheder et al., arXiv:1801.04406
//! spectral           every weight divided by its largest singular value          Miyato et al., arXiv:1802.05957
//! orthogonal         β Σ ‖W Wᵀ − I‖²                                             Brock et al., arXiv:1609.07093
//! ```
//!
//! Gradients with respect to `x` are spelled out by [`input_gradient`], so that the penalty can be differentiated again:
//! exactly, on every backend. With the convention [`Scale::Whole`], R1 is `γ E ‖∇f‖²` without the half, as some
//! implementations of StyleGAN have it.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::nn::Labelled;
use crate::nn::derivative::{Linearise, input_gradient};
use crate::train::ConfigError;
use crate::traits::Rows;

/// A way to bound the slope of a critic; several may be used at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Regulariser {
    /// Weights within a box.
    Clip {
        /// `c`.
        limit: f64,
    },
    /// A slope of one between data and samples.
    GradientPenalty {
        /// `λ`.
        weight: f64,
        /// Whether slopes below one are punished too.
        #[serde(default)]
        sides: Sides,
    },
    /// A small slope at data.
    R1 {
        /// `γ`.
        gamma: f64,
        /// What stands before it.
        #[serde(default)]
        scale: Scale,
    },
    /// A small slope at samples.
    R2 {
        /// `γ`.
        gamma: f64,
        /// What stands before it.
        #[serde(default)]
        scale: Scale,
    },
    /// Weights of norm one.
    Spectral {
        /// Steps of the power iteration before every use of the critic in training.
        #[serde(default = "one")]
        iterations: usize,
    },
    /// Weights with orthonormal rows, or columns where there are fewer of them.
    Orthogonal {
        /// `β`.
        weight: f64,
    },
}

fn one() -> usize {
    1
}

/// Which slopes a gradient penalty punishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sides {
    /// All but one.
    #[default]
    Two,
    /// Those above one.
    One,
}

/// What stands before `E ‖∇f‖²`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// `γ/2`.
    #[default]
    Half,
    /// `γ`.
    Whole,
}

impl Scale {
    fn factor(self) -> f64 {
        match self {
            Self::Half => 0.5,
            Self::Whole => 1.0,
        }
    }
}

/// What a penalty is computed from: data, samples, a number in `[0, 1)` a row, and the classes.
pub(super) struct Between {
    pub real: Rows,
    pub fake: Rows,
    /// `u`, `[B, 1]`.
    pub share: Rows,
    pub labels: Option<Tensor<1, burn::tensor::Int>>,
}

impl Regulariser {
    /// What is added to the critic's loss, if this adds to it: `[1]`.
    pub(super) fn penalty(&self, critic: &impl Linearise<Labelled>, between: &Between) -> Option<Tensor<1>> {
        let at = |x: Rows| Labelled { x, labels: between.labels.clone() };
        let Between { real, fake, share, .. } = between;
        match *self {
            Self::GradientPenalty { weight, sides } => {
                let x = real.clone() + (fake.clone() - real.clone()) * share.clone();
                Some(gradient_penalty(critic, at(x), sides) * weight)
            }
            Self::R1 { gamma, scale } => Some(squared_slope(critic, at(real.clone())) * (gamma * scale.factor())),
            Self::R2 { gamma, scale } => Some(squared_slope(critic, at(fake.clone())) * (gamma * scale.factor())),
            Self::Clip { .. } | Self::Spectral { .. } | Self::Orthogonal { .. } => None,
        }
    }

    /// # Errors
    /// A number that makes no sense.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let (field, value, ok, range) = match *self {
            Self::Clip { limit } => ("regularise.limit", limit, limit > 0.0, "finite and above zero"),
            Self::GradientPenalty { weight, .. } | Self::Orthogonal { weight } => {
                ("regularise.weight", weight, weight >= 0.0, "finite and not negative")
            }
            Self::R1 { gamma, .. } | Self::R2 { gamma, .. } => {
                ("regularise.gamma", gamma, gamma >= 0.0, "finite and not negative")
            }
            Self::Spectral { iterations } => ("regularise.iterations", iterations as f64, iterations > 0, "at least 1"),
        };
        if ok && value.is_finite() { Ok(()) } else { Err(ConfigError { field, value, range }) }
    }
}

/// `E (‖∇f(x)‖ − 1)²`, or of slopes above one alone: `[B, F] -> [1]`.
pub fn gradient_penalty(critic: &impl Linearise<Labelled>, at: Labelled, sides: Sides) -> Tensor<1> {
    let (_, gradient) = input_gradient(critic, at);
    let excess = length(gradient) - 1.0;
    let excess = match sides {
        Sides::Two => excess,
        Sides::One => excess.clamp_min(0.0),
    };
    excess.square().mean()
}

/// `E ‖∇f(x)‖²`: `[B, F] -> [1]`.
pub fn squared_slope(critic: &impl Linearise<Labelled>, at: Labelled) -> Tensor<1> {
    let (_, gradient) = input_gradient(critic, at);
    gradient.square().sum_dim(1).mean()
}

/// The length of each row, with the derivative 0 where it is 0: `[B, F] -> [B, 1]`.
fn length(rows: Rows) -> Rows {
    let squared = rows.square().sum_dim(1);
    // One is added below the root and taken off behind it where a row is zero: the slope of the root is finite there.
    let zero = squared.clone().detach().equal_elem(0.0).float();
    (squared + zero.clone()).sqrt() - zero
}
