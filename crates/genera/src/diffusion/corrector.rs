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
    /// `e`, the step at the smallest level of the chain.
    Smallest(f64),
    /// `e`, the step at the largest level of the chain.
    Largest(f64),
}

/// Where on a chain a corrector stands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub level: Level,
    /// The level below.
    pub below: Level,
    /// The smallest and the largest `σ` of the chain that is not zero.
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

    pub(super) fn run(&self, denoise: &dyn Denoise, clip: &Clip, place: Place, x: Rows, rng: &mut Rng) -> Rows {
        let rows = x.dims()[0];
        (0..self.steps).fold(x, |x, _| {
            let x0 = clip.apply(denoise.denoise(x.clone(), &vec![place.level; rows]));
            let s = score(&x, &x0, place.level);
            let eps = noise(x.dims(), rng, &x.device());
            self.step(x, s, eps, place)
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
                // At a stationary point there is no direction to be in proportion to.
                let ratios = squares(&eps).into_iter().zip(squares(&s)).map(|(e, s)| e / s.max(f64::MIN_POSITIVE));
                let eta: Vec<f32> = ratios.map(|ratio| (4.0 * kept * r * r * ratio) as f32).collect();
                let eta: Rows = Tensor::from_data(TensorData::new(eta, [rows, 1]), &device);
                x + s * (eta.clone() * 0.5) + eps * eta.sqrt()
            }
        }
    }
}
