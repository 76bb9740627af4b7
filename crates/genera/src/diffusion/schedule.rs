//! Noise schedules: which level of noise each time has.
//!
//! ```text
//! linear         β_t from β_start to β_end, ᾱ_t = ∏ (1 − β_i), α = √ᾱ, σ = √(1 − ᾱ)        (Ho et al., 2006.11239)
//! scaled-linear  the same with √β linear                                          (Rombach et al., 2112.10752)
//! cosine         ᾱ(t) ∝ cos²(((t + s) / (1 + s)) π/2), β ≤ β_max            (Nichol and Dhariwal, 2102.09672)
//! sigmoid        β_t = β_start + (β_end − β_start) / (1 + e⁻ˡ), l from −6 to 6
//! betas          β_t listed
//! karras         α = 1, σ^(1/ρ) linear from σ_min to σ_max                          (Karras et al., 2206.00364)
//! linear-flow    α = 1 − t, σ = t                           (Lipman et al., 2210.02747; Liu et al., 2209.03003)
//!
//! variance-exploding         α = 1, σ geometric from σ_min to σ_max              (Song and Ermon, 1907.05600)
//! variance-preserving        α = e^{−B/2}, σ² = 1 − e^{−B}, B = ∫₀ᵘ β, β from β_min to β_max  (Song et al., 2011.13456)
//! sub-variance-preserving    the same α, σ = 1 − e^{−B}                                (the same)
//! ```
//!
//! Time counts training steps. A chain of `T` steps has training times `0, …, T − 1`, and clean data is at `−1`; only
//! the flow, whose time is `T t`, is trained at `1, …, T` and clean at `0`. Between training times a schedule of betas
//! interpolates `σ/α` linearly, as k-diffusion does; the others are closed forms.
//!
//! Betas of the first four are those of a chain of 1000 steps: a chain of `T` has `1000 / T` times as much, so that every
//! `T` reaches the same final noise. The last three are the marginals of stochastic differential equations whose time `u`
//! is 0 for clean data and 1 at the end of the chain.

use serde::{Deserialize, Serialize};

use super::{DiffusionError, Level, Levels, within};

/// The law by which noise grows with time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// `β` grows linearly.
    Linear {
        /// The length `T` of the chain.
        steps: usize,
        /// The first beta, for 1000 steps.
        #[serde(default = "beta_start")]
        beta_start: f64,
        /// The last beta, for 1000 steps.
        #[serde(default = "beta_end")]
        beta_end: f64,
    },
    /// `√β` grows linearly.
    ScaledLinear {
        /// The length `T` of the chain.
        steps: usize,
        /// The first beta, for 1000 steps.
        #[serde(default = "beta_start")]
        beta_start: f64,
        /// The last beta, for 1000 steps.
        #[serde(default = "beta_end")]
        beta_end: f64,
    },
    /// `ᾱ` falls like a squared cosine.
    Cosine {
        /// The length `T` of the chain.
        steps: usize,
        /// The offset `s` that keeps the first betas from vanishing.
        #[serde(default = "cosine_offset")]
        offset: f64,
        /// The largest beta allowed.
        #[serde(default = "beta_max")]
        beta_max: f64,
    },
    /// `β` grows like a sigmoid.
    Sigmoid {
        /// The length `T` of the chain.
        steps: usize,
        /// The beta far to the left, for 1000 steps.
        #[serde(default = "beta_start")]
        beta_start: f64,
        /// The beta far to the right, for 1000 steps.
        #[serde(default = "beta_end")]
        beta_end: f64,
    },
    /// `β` is listed.
    Betas {
        /// The beta of each step, not scaled.
        betas: Vec<f64>,
    },
    /// Noise is added without shrinking the data.
    Karras {
        /// The length `T` of the chain.
        steps: usize,
        /// The smallest noise of training.
        #[serde(default = "sigma_min")]
        sigma_min: f64,
        /// The largest noise of training.
        #[serde(default = "sigma_max")]
        sigma_max: f64,
        /// How much the chain dwells on small noise.
        #[serde(default = "rho")]
        rho: f64,
    },
    /// Data moves to noise along straight lines (rectified flow).
    LinearFlow {
        /// The time `T` of pure noise, in the units that the network sees.
        steps: usize,
    },
    /// Noise is added without shrinking the data, each level by the same factor.
    VarianceExploding {
        /// The length `T` of the chain.
        steps: usize,
        /// The smallest noise of training.
        #[serde(default = "exploding_min")]
        sigma_min: f64,
        /// The largest noise of training.
        #[serde(default = "exploding_max")]
        sigma_max: f64,
    },
    /// `dx = −½ β x du + √β dw`: data of unit variance keep it.
    VariancePreserving {
        /// The length `T` of the chain.
        steps: usize,
        /// `β` of clean data.
        #[serde(default = "preserving_min")]
        beta_min: f64,
        /// `β` at the end of the chain.
        #[serde(default = "preserving_max")]
        beta_max: f64,
    },
    /// `dx = −½ β x du + √(β (1 − e^{−2B})) dw`: the same signal under less noise.
    SubVariancePreserving {
        /// The length `T` of the chain.
        steps: usize,
        /// `β` of clean data.
        #[serde(default = "preserving_min")]
        beta_min: f64,
        /// `β` at the end of the chain.
        #[serde(default = "preserving_max")]
        beta_max: f64,
    },
}

fn exploding_min() -> f64 {
    0.01
}
fn exploding_max() -> f64 {
    50.0
}
fn preserving_min() -> f64 {
    0.1
}
fn preserving_max() -> f64 {
    20.0
}

fn beta_start() -> f64 {
    1e-4
}
fn beta_end() -> f64 {
    2e-2
}
fn cosine_offset() -> f64 {
    0.008
}
fn beta_max() -> f64 {
    0.999
}
fn sigma_min() -> f64 {
    0.002
}
fn sigma_max() -> f64 {
    80.0
}
fn rho() -> f64 {
    7.0
}

impl Schedule {
    /// The linear schedule of DDPM, for a chain of any length.
    pub fn linear(steps: usize) -> Self {
        Self::Linear { steps, beta_start: beta_start(), beta_end: beta_end() }
    }

    /// The cosine schedule of improved DDPM.
    pub fn cosine(steps: usize) -> Self {
        Self::Cosine { steps, offset: cosine_offset(), beta_max: beta_max() }
    }

    /// The schedule of EDM.
    pub fn karras(steps: usize) -> Self {
        Self::Karras { steps, sigma_min: sigma_min(), sigma_max: sigma_max(), rho: rho() }
    }

    /// The schedule of flow matching.
    pub fn linear_flow(steps: usize) -> Self {
        Self::LinearFlow { steps }
    }

    /// The variance-exploding schedule of score-based models.
    pub fn variance_exploding(steps: usize) -> Self {
        Self::VarianceExploding { steps, sigma_min: exploding_min(), sigma_max: exploding_max() }
    }

    /// The variance-preserving schedule of score-based models.
    pub fn variance_preserving(steps: usize) -> Self {
        Self::VariancePreserving { steps, beta_min: preserving_min(), beta_max: preserving_max() }
    }

    /// The sub-variance-preserving schedule of score-based models.
    pub fn sub_variance_preserving(steps: usize) -> Self {
        Self::SubVariancePreserving { steps, beta_min: preserving_min(), beta_max: preserving_max() }
    }

    /// The length `T` of the chain.
    pub fn steps(&self) -> usize {
        match *self {
            Self::Betas { ref betas } => betas.len(),
            Self::Linear { steps, .. }
            | Self::ScaledLinear { steps, .. }
            | Self::Cosine { steps, .. }
            | Self::Sigmoid { steps, .. }
            | Self::Karras { steps, .. }
            | Self::VarianceExploding { steps, .. }
            | Self::VariancePreserving { steps, .. }
            | Self::SubVariancePreserving { steps, .. }
            | Self::LinearFlow { steps } => steps,
        }
    }

    /// Whether the level is a closed form of a real-valued time, rather than a table of betas.
    pub fn is_continuous(&self) -> bool {
        match self {
            Self::Linear { .. }
            | Self::ScaledLinear { .. }
            | Self::Cosine { .. }
            | Self::Sigmoid { .. }
            | Self::Betas { .. } => false,
            Self::Karras { .. }
            | Self::LinearFlow { .. }
            | Self::VarianceExploding { .. }
            | Self::VariancePreserving { .. }
            | Self::SubVariancePreserving { .. } => true,
        }
    }

    /// Whether noise is added without shrinking the data, `α = 1`.
    pub fn keeps_scale(&self) -> bool {
        matches!(self, Self::Karras { .. } | Self::VarianceExploding { .. })
    }

    /// The levels of the chain.
    ///
    /// # Errors
    /// A chain shorter than two steps, a beta outside (0, 1), noise levels that do not grow.
    pub fn levels(&self) -> Result<Levels, DiffusionError> {
        let steps = self.steps();
        if !(2..=10_000_000).contains(&steps) {
            return Err(DiffusionError::Steps(steps));
        }
        let mut table = Vec::new();
        let grows = |sigma_min: f64, sigma_max: f64| {
            within(sigma_min > 0.0 && sigma_min.is_finite(), "sigma_min", sigma_min, "positive")?;
            within(sigma_max > sigma_min && sigma_max.is_finite(), "sigma_max", sigma_max, "above sigma_min")
        };
        match *self {
            Self::Karras { sigma_min, sigma_max, rho, .. } => {
                grows(sigma_min, sigma_max)?;
                within((1.0..=1e3).contains(&rho), "rho", rho, "from 1 to 1000")?;
            }
            Self::VarianceExploding { sigma_min, sigma_max, .. } => grows(sigma_min, sigma_max)?,
            Self::VariancePreserving { beta_min, beta_max, .. }
            | Self::SubVariancePreserving { beta_min, beta_max, .. } => {
                within(beta_min > 0.0 && beta_min.is_finite(), "beta_min", beta_min, "positive")?;
                let needed = "at least beta_min and at most 1000";
                within(beta_max >= beta_min && beta_max <= 1e3, "beta_max", beta_max, needed)?;
            }
            Self::LinearFlow { .. } => {}
            _ => {
                let mut alpha_bar = 1.0;
                table.push(Level { time: -1.0, alpha: 1.0, sigma: 0.0 });
                for step in 0..steps {
                    let beta = self.beta(step);
                    if !(beta > 0.0 && beta < 1.0) {
                        return Err(DiffusionError::Beta { step, beta });
                    }
                    alpha_bar *= 1.0 - beta;
                    let (alpha, sigma) = (f64::sqrt(alpha_bar), f64::sqrt(1.0 - alpha_bar));
                    table.push(Level { time: step as f64, alpha, sigma });
                }
                within(
                    alpha_bar > 1e-300,
                    "the signal left at the last step",
                    alpha_bar,
                    "above 1e-300: lower the betas",
                )?;
            }
        }
        Ok(Levels::new(self.clone(), table))
    }

    /// The variance added by one step of a schedule of betas; NaN for the others.
    fn beta(&self, step: usize) -> f64 {
        let length = self.steps() as f64;
        let line = |from: f64, to: f64| from + (to - from) * step as f64 / (length - 1.0);
        match *self {
            Self::Linear { beta_start, beta_end, .. } => line(beta_start, beta_end) * 1000.0 / length,
            Self::ScaledLinear { beta_start, beta_end, .. } => {
                line(beta_start.sqrt(), beta_end.sqrt()).powi(2) * 1000.0 / length
            }
            Self::Cosine { offset, beta_max, .. } => {
                let alpha_bar = |t: f64| ((t + offset) / (1.0 + offset) * std::f64::consts::FRAC_PI_2).cos().powi(2);
                let step = step as f64;
                (1.0 - alpha_bar((step + 1.0) / length) / alpha_bar(step / length)).min(beta_max)
            }
            Self::Sigmoid { beta_start, beta_end, .. } => {
                let rise = 1.0 / (1.0 + (-line(-6.0, 6.0)).exp());
                (rise * (beta_end - beta_start) + beta_start) * 1000.0 / length
            }
            Self::Betas { ref betas } => betas[step],
            Self::Karras { .. }
            | Self::LinearFlow { .. }
            | Self::VarianceExploding { .. }
            | Self::VariancePreserving { .. }
            | Self::SubVariancePreserving { .. } => f64::NAN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(steps: usize) -> [Schedule; 9] {
        [
            Schedule::linear(steps),
            Schedule::ScaledLinear { steps, beta_start: 8.5e-4, beta_end: 1.2e-2 },
            Schedule::cosine(steps),
            Schedule::Sigmoid { steps, beta_start: 1e-4, beta_end: 2e-2 },
            Schedule::karras(steps),
            Schedule::linear_flow(steps),
            Schedule::variance_exploding(steps),
            Schedule::variance_preserving(steps),
            Schedule::sub_variance_preserving(steps),
        ]
    }

    #[test]
    fn signal_to_noise_falls_strictly_and_time_is_one_code_path() {
        for schedule in all(50) {
            let levels = schedule.levels().unwrap();
            assert_eq!((levels.clean().alpha, levels.clean().sigma), (1.0, 0.0));
            let fine: Vec<Level> = (0..=500).map(|i| levels.level(levels.clean_time() + f64::from(i) / 10.0)).collect();
            assert!(fine.windows(2).all(|w| w[0].snr() > w[1].snr()), "{schedule:?}");
            for index in 0..50 {
                let (discrete, continuous) = (levels.training(index), fine[10 * (index + 1)]);
                assert!((discrete.sigma - continuous.sigma).abs() < 1e-12);
            }
            let chain = levels.chain();
            assert_eq!(chain.len(), 51);
            assert_eq!(chain[0], levels.training(49));
            assert_eq!(chain[50], levels.clean());
        }
    }

    #[test]
    fn betas_give_unit_variance_and_scale_with_the_length() {
        let last = |steps| *Schedule::linear(steps).levels().unwrap().chain().first().unwrap();
        for steps in [50, 100, 1000, 4000] {
            let level = last(steps);
            assert!((level.scale() - 1.0).abs() < 1e-12);
            // ∏ (1 − β) ≈ exp(−Σ β), and Σ β = 10.05 for every length.
            assert!((-(level.alpha * level.alpha).ln() - 10.05).abs() < 2.5, "{steps}: {level:?}");
        }
    }

    #[test]
    fn hostile_settings_are_errors() {
        use DiffusionError::*;
        assert_eq!(Schedule::linear(0).levels(), Err(Steps(0)));
        assert_eq!(Schedule::linear(1).levels(), Err(Steps(1)));
        assert_eq!(Schedule::linear_flow(usize::MAX).levels(), Err(Steps(usize::MAX)));
        assert!(matches!(Schedule::linear(10).levels(), Err(Beta { step: _, beta }) if beta >= 1.0));
        let nan = Schedule::Linear { steps: 10, beta_start: f64::NAN, beta_end: 0.02 };
        assert!(matches!(nan.levels(), Err(Beta { step: 0, .. })));
        let negative = Schedule::ScaledLinear { steps: 10, beta_start: -1.0, beta_end: 0.02 };
        assert!(matches!(negative.levels(), Err(Beta { step: 0, .. })));
        for (sigma_min, sigma_max, rho) in [(0.0, 80.0, 7.0), (1.0, 0.5, 7.0), (0.1, f64::NAN, 7.0), (0.1, 80.0, 0.0)] {
            assert!(matches!(Schedule::Karras { steps: 10, sigma_min, sigma_max, rho }.levels(), Err(Range { .. })));
        }
        for (sigma_min, sigma_max) in [(0.0, 50.0), (1.0, 1.0), (0.1, f64::INFINITY)] {
            let exploding = Schedule::VarianceExploding { steps: 10, sigma_min, sigma_max };
            assert!(matches!(exploding.levels(), Err(Range { .. })));
        }
        for (beta_min, beta_max) in [(0.0, 20.0), (1.0, 0.5), (0.1, f64::NAN), (0.1, 1e9)] {
            let preserving = Schedule::VariancePreserving { steps: 10, beta_min, beta_max };
            assert!(matches!(preserving.levels(), Err(Range { .. })));
            let below = Schedule::SubVariancePreserving { steps: 10, beta_min, beta_max };
            assert!(matches!(below.levels(), Err(Range { .. })));
        }
    }
}
