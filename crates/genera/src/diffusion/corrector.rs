//! Langevin dynamics at one level of noise, between or instead of steps to the next.
//!
//! ```text
//! x + η/2 s + √η ε,   s = ∇log p_t(x)                       as in crate::mcmc
//! signal-to-noise     η = 4 a (r |ε| / |s|)², a = (α/α')²            Song et al., 2011.13456, algorithms 4 and 5
//! relative            η = 4 a (r σ)²                                 the same, "annealed Langevin"
//! smallest, largest   η = e σ² / σ_ref²                              Song and Ermon, 1907.05600; see mcmc::Reference
//! ```
//!
//! `signal-to-noise` is for rows of many numbers, where the norms of score and noise hardly vary; in the plane a row whose
//! score happens to vanish would leap, and `relative` is the rule to take.
//!
//! The authors' code takes norms averaged over a batch; here each row has its own, so that a row does not depend on its
//! company. `a` is 1 where the data keep their scale, and `1 − β` on a chain of betas.

use burn::tensor::{Tensor, TensorData};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::sampler::noise;
use super::stochastic::score;
use super::{Clip, DiffusionError, Level, host, within};
use crate::traits::{Denoise, Rows};

/// Langevin steps at every level of a sampling chain, before the step to the next.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corrector {
    /// How many at each level.
    pub steps: usize,
    /// How long they are.
    pub size: StepSize,
}

/// The length of a Langevin step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepSize {
    /// The ratio `r` of the length of score and noise in a step.
    SignalToNoise(f64),
    /// The same for a score of the length that a normal density of deviation `σ` has.
    Relative(f64),
    /// `e`, the step at the smallest level that is trained, whichever levels a sampler visits.
    Smallest(f64),
    /// `e`, the step at the largest level.
    Largest(f64),
}

/// Where a corrector stands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub level: Level,
    /// The level below.
    pub below: Level,
    /// The smallest and the largest `σ` of training, which do not depend on the levels that are visited.
    pub ends: [f64; 2],
}

impl Corrector {
    pub(super) fn validate(&self) -> Result<(), DiffusionError> {
        within(self.steps > 0, "corrector.steps", self.steps as f64, "at least 1")?;
        let (StepSize::SignalToNoise(size)
        | StepSize::Relative(size)
        | StepSize::Smallest(size)
        | StepSize::Largest(size)) = self.size;
        within(size > 0.0 && size.is_finite(), "corrector.size", size, "positive")
    }

    /// All steps, and the unclipped prediction that the last of them followed.
    pub(super) fn run(
        &self,
        denoise: &dyn Denoise,
        clip: &Clip,
        place: Place,
        x: Rows,
        rng: &mut Rng,
    ) -> (Rows, Option<Rows>) {
        let rows = x.dims()[0];
        (0..self.steps).fold((x, None), |(x, _), _| {
            let raw = denoise.denoise(x.clone(), &vec![place.level; rows]);
            let s = score(&x, &clip.apply(raw.clone()), place.level);
            let eps = noise(x.dims(), rng, &x.device());
            (self.step(x, s, eps, place), Some(raw))
        })
    }

    /// One step along the score `s` with standard normal `eps`.
    pub(super) fn step(&self, x: Rows, s: Rows, eps: Rows, place: Place) -> Rows {
        let Place { level, below, ends: [smallest, largest] } = place;
        let kept = (level.alpha / below.alpha).powi(2);
        let fixed = |eta: f64| x.clone() + s.clone() * (0.5 * eta) + eps.clone() * eta.sqrt();
        match self.size {
            StepSize::Smallest(e) => fixed(e * (level.sigma / smallest).powi(2)),
            StepSize::Largest(e) => fixed(e * (level.sigma / largest).powi(2)),
            StepSize::Relative(r) => fixed(4.0 * kept * (r * level.sigma).powi(2)),
            StepSize::SignalToNoise(r) => {
                let ([rows, width], device) = (x.dims(), x.device());
                let square = |row: &[f32]| row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
                let squares = |v: &Rows| host(v).chunks_exact(width.max(1)).map(square).collect::<Vec<f64>>();
                let ratios = squares(&eps).into_iter().zip(squares(&s)).map(|(e, s)| e / s);
                // At a stationary point there is no direction to be in proportion to: the row stays.
                let eta = ratios.map(|ratio| (4.0 * kept * r * r * ratio) as f32);
                let eta: Vec<f32> = eta.map(|eta| if eta.is_finite() { eta } else { 0.0 }).collect();
                let eta: Rows = Tensor::from_data(TensorData::new(eta, [rows, 1]), &device);
                x + s * (eta.clone() * 0.5) + eps * eta.sqrt()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::diffusion::Schedule;

    /// Where the score vanishes the ratio of lengths has no value; such rows stay, and their neighbours move.
    #[test]
    fn a_row_without_a_score_stays() {
        let levels = Schedule::variance_preserving(10).levels().unwrap();
        let place = Place { level: levels.training(5), below: levels.training(4), ends: [0.1, 1.0] };
        let corrector = Corrector { steps: 1, size: StepSize::SignalToNoise(0.16) };
        let rows = |values: [[f32; 2]; 3]| Rows::from_floats(values, &Device::default());
        let x = rows([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]);
        let scores = rows([[0.0, 0.0], [1e-30, 0.0], [1.0, -1.0]]);
        let moved = host(&corrector.step(x, scores, rows([[0.5, -0.5]; 3]), place));
        assert_eq!(moved[..4], [1.0, 2.0, 3.0, 4.0]);
        assert!(moved.iter().all(|v| v.is_finite()) && moved[4..] != [5.0, 6.0], "{moved:?}");
    }
}
