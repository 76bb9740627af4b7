//! What each player makes small, as a function of the critic's scores.
//!
//! ```text
//!                    critic                                        generator
//! saturating         E softplus(−f(x)) + E softplus(f(G))          −E softplus(f(G))        = E log(1 − D(G))
//! non-saturating     the same                                      E softplus(−f(G))        = −E log D(G)
//! least squares      ½E(f(x) − b)² + ½E(f(G) − a)²                 ½E(f(G) − c)²
//! hinge              E max(0, 1 − f(x)) + E max(0, 1 + f(G))       −E f(G)
//! Wasserstein        E f(G) − E f(x)                               −E f(G)
//! f-divergence       E f*(g(f(G))) − E g(f(x))                     −E f*(g(f(G)))
//! ```
//!
//! `f` is the critic's score, `D = σ(f)`. GAN: Goodfellow et al. (arXiv:1406.2661); least squares: Mao et al.
//! (arXiv:1611.04076); hinge: Lim and Ye (arXiv:1705.02894), Tran et al. (arXiv:1702.08896); Wasserstein: Arjovsky et al.
//! (arXiv:1701.07875); f-divergences: Nowozin et al. (arXiv:1606.00709). One-sided label smoothing `s` (Salimans et al.,
//! arXiv:1606.03498) asks `D(x) = 1 − s` of the data and stays `D(G) = 0` for samples.

use burn::tensor::Tensor;
use genera_kernels::{Activation, activate};
use serde::{Deserialize, Serialize};

use super::divergence::{FDivergence, softplus};
use crate::train::ConfigError;
use crate::traits::Rows;

/// The game that is played.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Objective {
    /// The original game.
    Saturating {
        /// `s`: how far the target of data is below one.
        #[serde(default)]
        smoothing: f64,
    },
    /// The original critic; the generator makes its samples' log-odds large.
    NonSaturating {
        /// `s`: how far the target of data is below one.
        #[serde(default)]
        smoothing: f64,
    },
    /// Squared distances to targets.
    LeastSquares {
        /// `a`: the critic's target for samples.
        #[serde(default)]
        fake: f64,
        /// `b`: the critic's target for data.
        #[serde(default = "one")]
        real: f64,
        /// `c`: the generator's target. With `b − c = 1` and `b − a = 2` the game is Pearson's χ².
        #[serde(default = "one")]
        wanted: f64,
    },
    /// The margin of a support vector machine.
    Hinge,
    /// The difference of means, for critics whose slope is bounded.
    Wasserstein,
    /// The variational bound of an f-divergence.
    FDivergence {
        /// Which.
        divergence: FDivergence,
    },
}

fn one() -> f64 {
    1.0
}

impl Objective {
    /// What the critic makes small, from its scores of data and of samples: `[B, 1], [B, 1] -> [1]`.
    pub fn critic(&self, real: Rows, fake: Rows) -> Tensor<1> {
        match *self {
            Self::Saturating { smoothing } | Self::NonSaturating { smoothing } => {
                let yes = softplus(-real.clone()).mean();
                // softplus(f) = softplus(−f) + f.
                let yes = if smoothing == 0.0 { yes } else { yes + real.mean() * smoothing };
                yes + softplus(fake).mean()
            }
            Self::LeastSquares { fake: a, real: b, .. } => {
                ((real - b).square().mean() + (fake - a).square().mean()) * 0.5
            }
            Self::Hinge => relu(-real + 1.0).mean() + relu(fake + 1.0).mean(),
            Self::Wasserstein => fake.mean() - real.mean(),
            Self::FDivergence { divergence } => {
                divergence.conjugate_of_output(fake).mean() - divergence.output(real).mean()
            }
        }
    }

    /// What the generator makes small, from the critic's scores of its samples: `[B, 1] -> [1]`.
    pub fn generator(&self, fake: Rows) -> Tensor<1> {
        match *self {
            Self::Saturating { .. } => -softplus(fake).mean(),
            Self::NonSaturating { .. } => softplus(-fake).mean(),
            Self::LeastSquares { wanted: c, .. } => (fake - c).square().mean() * 0.5,
            Self::Hinge | Self::Wasserstein => -fake.mean(),
            Self::FDivergence { divergence } => -divergence.conjugate_of_output(fake).mean(),
        }
    }

    /// # Errors
    /// A smoothing outside `[0, 1)`, or targets that are not finite.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let within =
            |field, value: f64, ok: bool, range| if ok { Ok(()) } else { Err(ConfigError { field, value, range }) };
        match *self {
            Self::Saturating { smoothing: s } | Self::NonSaturating { smoothing: s } => {
                within("objective.smoothing", s, (0.0..1.0).contains(&s), "at least 0 and below 1")
            }
            Self::LeastSquares { fake, real, wanted } => [fake, real, wanted]
                .into_iter()
                .try_for_each(|target| within("objective", target, target.is_finite(), "finite")),
            _ => Ok(()),
        }
    }
}

fn relu(x: Rows) -> Rows {
    activate(x, Activation::Relu)
}
