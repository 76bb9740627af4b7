//! From one schedule to another with the same network: which noise both know.
//!
//! ```text
//! x / α and σ / α are what a network under any schedule speaks of:   x_VE = x_VP / √ᾱ,   σ_VE = √((1 − ᾱ) / ᾱ)
//! linear β:    B(u) = β_min u + ½ (β_max − β_min) u²,   B = ln(1 + (σ/α)²), or 2 arsinh(σ / 2α) under the sub-variance
//! listed β:    ᾱ_t = 1 / (1 + (σ_t/α_t)²),   β_t = 1 − ᾱ_t / ᾱ_{t−1}
//! ```
//!
//! Song et al., 2011.13456, appendix B. Nothing is known of noise that was not trained, so a schedule may ask for what lies
//! within the trained range alone. Between the times of a chain that was trained at its steps only, a network is asked at
//! times that it never saw: it takes them as numbers, and its levels lie so close that it answers smoothly.

use super::{DiffusionError, Levels, Schedule};

/// How far, relative to it, noise may lie beyond what was trained: rounding.
const SLACK: f64 = 1e-6;

impl Levels {
    /// `σ/α` at the ends of the trained range; infinite where it ends in pure noise, 0 where it begins at clean data.
    pub fn noise_range(&self) -> [f64; 2] {
        [self.clean_time() + self.trained_from(), self.top().time].map(|time| {
            let level = self.level(time);
            level.sigma / level.alpha
        })
    }

    /// Whether a network trained under these levels knows all of `asked`.
    ///
    /// # Errors
    /// Levels with more or less noise.
    pub(super) fn know(&self, asked: &Self) -> Result<(), DiffusionError> {
        let ([least, most], [low, high]) = (self.noise_range(), asked.noise_range());
        let known = low >= least * (1.0 - SLACK) && high <= most * (1.0 + SLACK);
        if known { Ok(()) } else { Err(DiffusionError::Unseen { asked: [low, high], known: [least, most] }) }
    }
}

impl Schedule {
    /// The same kind of schedule, from the least noise to the most of `known`, as far as its settings say where it begins and
    /// ends: `karras` and the two sigmas of `variance-exploding`; the two betas of the other two equations, whose chain is
    /// made as long as that needs; `betas`, which are listed so that each step has the noise of the one of `known`. Other
    /// schedules are left as they are.
    pub fn spanning(self, known: &Levels) -> Self {
        let [least, most] = known.noise_range();
        // A flow begins without noise and ends without signal.
        if !(least > 0.0 && most.is_finite()) {
            return self;
        }
        match self {
            Self::Karras { steps, rho, .. } => Self::Karras { steps, sigma_min: least, sigma_max: most, rho },
            Self::VarianceExploding { steps, .. } => {
                Self::VarianceExploding { steps, sigma_min: least, sigma_max: most }
            }
            Self::VariancePreserving { steps, .. } => {
                let (steps, beta_min, beta_max) = line([least, most].map(|noise| (noise * noise).ln_1p()), steps);
                Self::VariancePreserving { steps, beta_min, beta_max }
            }
            Self::SubVariancePreserving { steps, .. } => {
                let (steps, beta_min, beta_max) = line([least, most].map(|noise| 2.0 * (0.5 * noise).asinh()), steps);
                Self::SubVariancePreserving { steps, beta_min, beta_max }
            }
            Self::Betas { .. } => {
                let mut before = 1.0;
                let beta = |step| {
                    let level = known.training(step);
                    let bar = 1.0 / (1.0 + (level.sigma / level.alpha).powi(2));
                    1.0 - bar / std::mem::replace(&mut before, bar)
                };
                Self::Betas { betas: (0..known.steps()).map(beta).collect() }
            }
            other => other,
        }
    }
}

/// The length, about `steps`, and the ends of a growing line `β` whose integral up to the first step and over all of the
/// chain is `first` and `all`.
fn line([first, all]: [f64; 2], steps: usize) -> (usize, f64, f64) {
    // β_min > 0 needs T² > all / first, and β_max ≥ β_min about T ≤ all / first.
    let shortest = (2.0 * all / first).sqrt().ceil();
    let length = (steps as f64).min((all / first).floor()).max(shortest);
    let beta_min = (first - all / length.powi(2)) / (1.0 / length - 1.0 / length.powi(2));
    (length as usize, beta_min, 2.0 * all - beta_min)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind whose ends can be chosen, made for every other, has exactly the noise of the other's ends.
    #[test]
    fn a_spanning_schedule_has_the_same_ends() {
        let kinds = [
            Schedule::karras(200),
            Schedule::variance_exploding(200),
            Schedule::variance_preserving(200),
            Schedule::sub_variance_preserving(200),
            Schedule::Betas { betas: Vec::new() },
        ];
        let few = Schedule::VarianceExploding { steps: 12, sigma_min: 0.05, sigma_max: 10.0 };
        let noisy = Schedule::VarianceExploding { steps: 900, sigma_min: 0.5, sigma_max: 10.0 };
        for known in kinds[..4].iter().chain(&[Schedule::linear(1000), Schedule::cosine(50), few, noisy]) {
            let known = known.levels().unwrap();
            for kind in &kinds {
                let found = kind.clone().spanning(&known).levels().unwrap_or_else(|error| panic!("{kind:?}: {error}"));
                let pairs = found.noise_range().into_iter().zip(known.noise_range());
                for (found, known) in pairs {
                    assert!((found / known - 1.0).abs() < 1e-8, "{kind:?}: {found} {known}");
                }
                known.know(&found).unwrap();
            }
        }
    }

    #[test]
    fn listed_betas_have_the_noise_of_each_step() {
        let known = Schedule::VarianceExploding { steps: 30, sigma_min: 0.05, sigma_max: 20.0 }.levels().unwrap();
        let found = Schedule::Betas { betas: Vec::new() }.spanning(&known).levels().unwrap();
        for step in 0..30 {
            let (found, known) = (found.training(step), known.training(step));
            assert!((found.sigma / found.alpha / known.sigma - 1.0).abs() < 1e-9, "{step}");
            assert!((found.scale() - 1.0).abs() < 1e-12);
        }
        // The other way it is the chain itself.
        let ddpm = Schedule::linear(100).levels().unwrap();
        let Schedule::Betas { betas } = (Schedule::Betas { betas: Vec::new() }).spanning(&ddpm) else { panic!() };
        assert!((betas[0] - 1e-3).abs() < 1e-12 && (betas[99] - 0.2).abs() < 1e-9, "{} {}", betas[0], betas[99]);
    }

    #[test]
    fn what_was_never_trained_is_named() {
        let known = Schedule::variance_preserving(1000).levels().unwrap();
        for asked in [
            Schedule::variance_exploding(1000),
            Schedule::VarianceExploding { steps: 10, sigma_min: 0.02, sigma_max: 500.0 },
            Schedule::linear_flow(100),
        ] {
            let error = known.know(&asked.levels().unwrap()).unwrap_err();
            assert!(matches!(error, DiffusionError::Unseen { .. }), "{error}");
        }
        let flow = Schedule::linear_flow(1000).levels().unwrap();
        assert_eq!(flow.noise_range(), [0.0, f64::INFINITY]);
        flow.know(&known).unwrap();
        assert_eq!(Schedule::karras(10).spanning(&flow), Schedule::karras(10));
    }
}
