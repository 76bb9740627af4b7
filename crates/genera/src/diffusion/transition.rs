//! One reverse step between two noise levels.
//!
//! ```text
//! q(x_s | x_t, x₀) = N(keep x_t + pull x₀, β̃)     s less noisy than t
//! α_ts = α_t / α_s, β = σ_t² − α_ts² σ_s², keep = α_ts σ_s² / σ_t², pull = α_s β / σ_t², β̃ = β σ_s² / σ_t²
//! ```
//!
//! For neighbouring levels of a schedule of betas this is equation 7 of Ho et al., 2006.11239; for distant levels it is
//! the strided chain of improved DDPM (2102.09672). It holds for any α and σ.

use serde::{Deserialize, Serialize};

use super::Level;

/// The variance of the reverse step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variance {
    /// `β̃`, right if the data is one point.
    #[default]
    FixedSmall,
    /// `β`, right if the data is standard normal.
    FixedLarge,
    /// `exp(f ln β + (1 − f) ln β̃)`, with `f = (v + 1) / 2` for a second output `v` of the network (improved DDPM).
    Learned,
}

/// The coefficients of a reverse step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transition {
    /// The factor of `x_t` in the mean.
    pub keep: f64,
    /// The factor of `x₀` in the mean.
    pub pull: f64,
    /// `β̃`, the variance given `x₀`.
    pub small: f64,
    /// `β`, the variance of the forward step.
    pub large: f64,
}

impl Transition {
    /// The step from the noisier level `from` to `to`.
    pub fn between(from: Level, to: Level) -> Self {
        let ratio = from.alpha / to.alpha;
        let (noise, left) = (from.sigma * from.sigma, to.sigma * to.sigma);
        let large = noise - ratio * ratio * left;
        Self { keep: ratio * left / noise, pull: to.alpha * large / noise, small: large * left / noise, large }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Schedule;
    use super::*;

    #[test]
    fn agrees_with_ddpm_and_composes() {
        for schedule in [Schedule::linear(40), Schedule::cosine(40), Schedule::karras(40), Schedule::linear_flow(40)] {
            let chain = schedule.levels().unwrap().chain();
            for (i, &from) in chain.iter().enumerate().skip(1) {
                for &to in &chain[i + 1..] {
                    let step = Transition::between(from, to);
                    // Integrating x_t out of q(x_s | x_t, x₀) q(x_t | x₀) gives q(x_s | x₀).
                    let mean = step.keep * from.alpha + step.pull;
                    let variance = step.keep.powi(2) * from.sigma.powi(2) + step.small;
                    assert!((mean - to.alpha).abs() < 1e-9, "{schedule:?}");
                    assert!((variance - to.sigma.powi(2)).abs() < 1e-9 * from.sigma.powi(2).max(1.0));
                    assert!(step.small >= 0.0 && step.small <= step.large);
                }
            }
        }
    }
}
