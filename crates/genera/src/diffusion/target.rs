//! What a network predicts, and how much each noise level weighs.
//!
//! The network computes `F(c_in x_t, c_noise)` and means `x̂₀ = c_skip x_t + c_out F`, so its regression target is
//! `F* = (x₀ − c_skip x_t) / c_out`. With `r² = α² + σ²`, `q² = σ² + α² s²` and `s = sigma_data`:
//!
//! | target   | c_in | c_skip     | c_out      | c_noise      | F*                          |
//! |----------|------|------------|------------|--------------|-----------------------------|
//! | data     | 1    | 0          | 1          | time         | x₀                          |
//! | noise    | 1    | 1 / α      | −σ / α     | time         | ε                           |
//! | v        | 1    | α / r²     | −σ / r²    | time         | α ε − σ x₀                  |
//! | velocity | 1    | 1 / (α+σ)  | −σ / (α+σ) | time         | ε − x₀                      |
//! | karras   | 1/q  | α s² / q²  | σ s / q    | ¼ ln(σ / α)  | (σ x₀ − α s² ε) / (s q)     |
//! | consistency | 1/q | s² / (α p²) | s m α / q | ¼ ln(σ / α) | by definition               |
//!
//! where `m = σ/α − sigma_min` and `p² = m² + s²`: the last is karras moved so that `x̂₀ = x_t / α` at `sigma_min`.
//!
//! Ho et al., 2006.11239 (noise); Salimans and Ho, 2202.00512 (v); Lipman et al., 2210.02747 (velocity); Karras et
//! al., 2206.00364 (karras, written here for any α). A squared error of F is one of x₀ divided by `c_out²`, which is
//! how the losses on noise, v and data relate.

use serde::{Deserialize, Serialize};

use super::{DiffusionError, Level, Levels, Schedule, within};

/// What the network's output means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Target {
    /// The clean data.
    Data,
    /// The noise.
    #[default]
    Noise,
    /// A rotation of both, well behaved at every level.
    V,
    /// The derivative of `x_t` along a straight line from data to noise.
    Velocity,
    /// A blend that keeps the inputs and targets of the network at unit variance.
    Karras {
        /// The standard deviation of the data.
        sigma_data: f64,
    },
    /// Where the probability flow ends, for [`Consistency`](super::Consistency) models (Song et al., 2303.01469); nothing
    /// that a squared error could teach.
    Consistency {
        /// The standard deviation of the data.
        sigma_data: f64,
        /// `σ/α` where the flow ends.
        sigma_min: f64,
    },
}

/// The numbers between network and data at one level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients {
    /// The network sees `c_in x_t`.
    pub c_in: f64,
    /// `x̂₀ = c_skip x_t + c_out F`.
    pub c_skip: f64,
    /// `x̂₀ = c_skip x_t + c_out F`.
    pub c_out: f64,
    /// What the network is told about the level.
    pub c_noise: f64,
    /// The network's target is `of_data x₀ + of_noise ε`; finite where `c_out` vanishes.
    pub of_data: f64,
    /// The network's target is `of_data x₀ + of_noise ε`.
    pub of_noise: f64,
}

impl Target {
    /// The coefficients at `level`.
    pub fn coefficients(&self, level: Level) -> Coefficients {
        let Level { time, alpha, sigma } = level;
        let plain = |c_skip, c_out, of_data, of_noise| Coefficients {
            c_in: 1.0,
            c_skip,
            c_out,
            c_noise: time,
            of_data,
            of_noise,
        };
        match *self {
            Self::Data => plain(0.0, 1.0, 1.0, 0.0),
            Self::Noise => plain(1.0 / alpha, -sigma / alpha, 0.0, 1.0),
            Self::V => {
                let square = alpha * alpha + sigma * sigma;
                plain(alpha / square, -sigma / square, -sigma, alpha)
            }
            Self::Velocity => plain(1.0 / (alpha + sigma), -sigma / (alpha + sigma), -1.0, 1.0),
            Self::Karras { sigma_data: s } => {
                let q = sigma.hypot(alpha * s);
                Coefficients {
                    c_in: 1.0 / q,
                    c_skip: alpha * s * s / (q * q),
                    c_out: sigma * s / q,
                    c_noise: (sigma / alpha).ln() / 4.0,
                    of_data: sigma / (s * q),
                    of_noise: -alpha * s / q,
                }
            }
            Self::Consistency { sigma_data: s, sigma_min } => {
                let (q, above) = (sigma.hypot(alpha * s), sigma / alpha - sigma_min);
                let c_skip = s * s / (above * above + s * s) / alpha;
                let c_out = s * above * alpha / q;
                Coefficients {
                    c_in: 1.0 / q,
                    c_skip,
                    c_out,
                    c_noise: (sigma / alpha).ln() / 4.0,
                    of_data: (1.0 - c_skip * alpha) / c_out,
                    of_noise: -c_skip * sigma / c_out,
                }
            }
        }
    }

    /// Whether the coefficients are finite on every level of `schedule` that is trained.
    ///
    /// # Errors
    /// A target that needs data where the schedule leaves none; a `sigma_data` that is not positive.
    pub fn validate(&self, schedule: &Schedule) -> Result<(), DiffusionError> {
        if let Self::Karras { sigma_data } = *self {
            within(sigma_data > 0.0 && sigma_data.is_finite(), "sigma_data", sigma_data, "positive")?;
        }
        match (self, schedule) {
            (Self::Consistency { .. }, _) => Err(DiffusionError::Combination(
                "the consistency target is taught by a teacher: set target = { karras = { sigma_data } } and \
                 consistency = { first, levels }",
            )),
            (Self::Noise | Self::Karras { .. }, Schedule::LinearFlow { .. }) => Err(DiffusionError::Combination(
                "the linear-flow schedule ends in pure noise, where the noise and karras targets say nothing about the \
                 data; take the velocity, v or data target",
            )),
            _ => Ok(()),
        }
    }
}

/// How much the squared error of the network's output weighs at each level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Weighting {
    /// One at every level (`L_simple`).
    #[default]
    Simple,
    /// The error of `x₀` weighs `min(SNR, γ)` (Hang et al., 2303.09556).
    MinSnr {
        /// The cap on the signal-to-noise ratio; the paper takes 5.
        gamma: f64,
    },
    /// The error of `x₀` weighs `T (SNR(t − 1) − SNR(t)) / 2`: the mean over `t` is then the sum of the divergences
    /// `L₁ + … + L_{T−1}` for the small fixed variance, in nats a dimension, plus half the squared error of the first
    /// level in units of the decoder's variance.
    Variational,
    /// The error of the score weighs `½ g²`, that of `x₀` so `½ T g² α² / σ⁴ = ½ T (−SNR')`: the limit of the variational
    /// weighting for a fine chain, whose mean bounds the likelihood of continuous time (Song et al., 2101.09258).
    Likelihood,
}

impl Weighting {
    /// The weight of `|F − F*|²` for training level `level` of `levels`.
    pub fn weight(&self, target: &Target, levels: &Levels, level: Level) -> f64 {
        self.of_output(target.coefficients(level), levels, level)
    }

    /// The same for an output that means what `coefficients` say.
    pub(super) fn of_output(&self, coefficients: Coefficients, levels: &Levels, level: Level) -> f64 {
        let of_data = coefficients.c_out.powi(2);
        match *self {
            Self::Simple => 1.0,
            Self::MinSnr { gamma } => level.snr().min(gamma) * of_data,
            Self::Variational => {
                let below = levels.level(level.time - 1.0);
                let gain = if below.sigma > 0.0 {
                    below.snr() - level.snr()
                } else {
                    super::decoder::variance(level, levels.level(level.time + 1.0)).recip()
                };
                0.5 * levels.steps() as f64 * gain * of_data
            }
            Self::Likelihood => {
                let g = levels.rates(level.time).diffusion;
                0.5 * levels.steps() as f64 * (g * level.alpha).powi(2) / level.sigma.powi(4) * of_data
            }
        }
    }

    /// # Errors
    /// A cap that is not positive.
    pub(super) fn validate(&self) -> Result<(), DiffusionError> {
        match *self {
            Self::MinSnr { gamma } => within(gamma > 0.0, "gamma", gamma, "positive"),
            Self::Simple | Self::Variational | Self::Likelihood => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: [Target; 5] =
        [Target::Data, Target::Noise, Target::V, Target::Velocity, Target::Karras { sigma_data: 0.5 }];

    fn schedules() -> Vec<Levels> {
        [Schedule::linear(20 + 5), Schedule::cosine(25), Schedule::karras(25), Schedule::linear_flow(25)]
            .map(|schedule| schedule.levels().unwrap())
            .to_vec()
    }

    #[test]
    fn the_target_is_what_the_definition_says() {
        for (levels, target) in schedules().iter().flat_map(|l| TARGETS.iter().map(move |t| (l, t))) {
            if target.validate(levels.schedule()).is_err() {
                continue;
            }
            for index in 0..25 {
                let level = levels.training(index);
                let c = target.coefficients(level);
                for (x0, eps) in [(1.0, 0.0), (0.0, 1.0), (0.3, -1.7)] {
                    let x_t = level.alpha * x0 + level.sigma * eps;
                    let f = c.of_data * x0 + c.of_noise * eps;
                    let back = c.c_skip * x_t + c.c_out * f;
                    // Noise at almost no signal: 1/α amplifies rounding.
                    assert!((back - x0).abs() < 1e-9, "{target:?} {level:?} {back} {x0}");
                }
            }
        }
    }

    #[test]
    fn karras_keeps_unit_variance() {
        let target = Target::Karras { sigma_data: 0.5 };
        for level in schedules()[..3].iter().flat_map(|l| (0..25).map(|i| l.training(i))) {
            let c = target.coefficients(level);
            let input = c.c_in.powi(2) * (0.25 * level.alpha.powi(2) + level.sigma.powi(2));
            let output = c.of_data.powi(2) * 0.25 + c.of_noise.powi(2);
            assert!((input - 1.0).abs() < 1e-12 && (output - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn losses_on_noise_v_and_data_are_one_loss_with_other_weights() {
        let levels = &schedules()[0];
        for index in 0..25 {
            let level = levels.training(index);
            let snr = level.snr();
            let out = |target: Target| target.coefficients(level).c_out.powi(2);
            // |x̂₀ − x₀|² = |ε̂ − ε|² / SNR = |v̂ − v|² / (1 + SNR) on a unit-variance schedule.
            assert!((out(Target::Noise) * snr - 1.0).abs() < 1e-10);
            assert!((out(Target::V) * (1.0 + snr) - 1.0).abs() < 1e-10);
            let weight = |target: Target| Weighting::MinSnr { gamma: 5.0 }.weight(&target, levels, level);
            assert!((weight(Target::Noise) - snr.min(5.0) / snr).abs() < 1e-10);
            assert!((weight(Target::V) - snr.min(5.0) / (snr + 1.0)).abs() < 1e-10);
            assert!((weight(Target::Data) - snr.min(5.0)).abs() < 1e-10);
        }
    }

    #[test]
    fn the_likelihood_weight_is_the_limit_of_the_variational_one() {
        for schedule in [Schedule::variance_preserving(50_000), Schedule::sub_variance_preserving(50_000)] {
            let levels = schedule.levels().unwrap();
            for index in [5_000, 20_000, 45_000] {
                let level = levels.level(index as f64 - 0.5);
                let limit = Weighting::Likelihood.weight(&Target::Noise, &levels, level);
                // The variational weight speaks of the step that ends half a step above.
                let step = levels.training(index);
                let chain = Weighting::Variational.weight(&Target::Noise, &levels, step);
                let ratio = chain / limit * Target::Noise.coefficients(level).c_out.powi(2)
                    / Target::Noise.coefficients(step).c_out.powi(2);
                assert!((ratio - 1.0).abs() < 1e-4, "{schedule:?} at {index}: {ratio}");
            }
        }
        // Of noise on a variance-preserving schedule it is ½ β / σ².
        let levels = Schedule::variance_preserving(1000).levels().unwrap();
        let level = levels.training(499);
        let expected = 0.5 * (0.1 + 19.9 * 0.5) / level.sigma.powi(2);
        let found = Weighting::Likelihood.weight(&Target::Noise, &levels, level);
        assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
    }

    #[test]
    fn the_variational_weight_on_noise_is_that_of_ddpm() {
        let levels = &schedules()[0];
        let chain = levels.chain();
        for index in 1..25 {
            let (t, s) = (chain[24 - index], chain[25 - index]);
            let (bar_t, bar_s) = (t.alpha.powi(2), s.alpha.powi(2));
            let (alpha, beta) = (bar_t / bar_s, 1.0 - bar_t / bar_s);
            let small = (1.0 - bar_s) / (1.0 - bar_t) * beta;
            // β² / (2 β̃ α (1 − ᾱ)), equation 12 of Ho et al.
            let expected = beta * beta / (2.0 * small * alpha * (1.0 - bar_t)) * 25.0;
            let weight = Weighting::Variational.weight(&Target::Noise, levels, t);
            assert!((weight / expected - 1.0).abs() < 1e-9);
        }
    }
}
