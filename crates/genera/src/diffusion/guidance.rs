//! Drawing samples towards what they are given: denoisers that wrap denoisers.
//!
//! ```text
//! with a classifier    s + γ ∇log p(y|x_t)              x̂₀ + γ (σ²/α) ∇log p(y|x_t)       Dhariwal and Nichol, 2105.05233
//! without one          s_∅ + γ (s_y − s_∅)              the same combination of x̂₀         Ho and Salimans, 2207.12598
//! ```
//!
//! `γ = 1` is the conditional model, 0 the one that is told nothing. For other `γ` both point along `∇log p(x_t)
//! p(y|x_t)^γ` at every level, which is a density there, but those of different levels are not the noisy versions of one:
//! what is drawn down the levels is near `p(x₀) p(y|x₀)^γ` and not it. Nor is `p(y|x)^γ` a conditional distribution: that
//! would be divided by `Z(x) = Σ_y p(y|x)^γ`, whose gradient the rule leaves out ([`ClassMixture`](super::ClassMixture)
//! has it in closed form).

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{Differentiable, DiffusionError, Level, of_samples, within};
use crate::traits::{Denoise, Rows};

/// How strongly, where, and how it is held back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guidance {
    /// `γ`.
    pub scale: f64,
    /// The range of `σ/α` in which it acts; elsewhere `γ` is 1 (Kynkäänniemi et al., 2404.07724). Everywhere, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// From 0 to 1: how far the standard deviation of the predicted noise of a row is brought back to the conditional one
    /// (Lin et al., 2305.08891, section 3.4).
    #[serde(default)]
    pub rescale: f64,
}

impl Guidance {
    /// `γ` at every level.
    pub fn of(scale: f64) -> Self {
        Self { scale, interval: None, rescale: 0.0 }
    }

    /// # Errors
    /// A scale that is not finite, an interval without a length, a rescaling outside 0 to 1.
    pub fn check(&self) -> Result<(), DiffusionError> {
        within(self.scale.is_finite(), "guidance.scale", self.scale, "finite")?;
        within((0.0..=1.0).contains(&self.rescale), "guidance.rescale", self.rescale, "from 0 to 1")?;
        match self.interval {
            Some([low, high]) => {
                within(low >= 0.0 && high > low, "guidance.interval", high, "above its start, from 0 on")
            }
            None => Ok(()),
        }
    }

    /// `γ` at a level.
    fn at(&self, level: &Level) -> f64 {
        let noise = level.sigma / level.alpha;
        match self.interval {
            Some([low, high]) if !(low..=high).contains(&noise) => 1.0,
            _ => self.scale,
        }
    }
}

/// A denoiser that is told something, drawn away from one that is not (or is told what to avoid). It has a derivative if
/// both have.
pub struct Guided<G: ?Sized, A: ?Sized> {
    /// What is told.
    pub given: Box<G>,
    /// What is not.
    pub against: Box<A>,
    /// How strongly.
    pub guidance: Guidance,
}

impl<G: Denoise + ?Sized, A: Denoise + ?Sized> Denoise for Guided<G, A> {
    fn denoise(&self, x: Rows, levels: &[Level]) -> Rows {
        self.denoise_with_variance(x, levels).0
    }

    fn denoise_with_variance(&self, x: Rows, levels: &[Level]) -> (Rows, Option<Rows>) {
        let (given, variance) = self.given.denoise_with_variance(x.clone(), levels);
        (self.guided(given, levels, x.clone(), || self.against.denoise(x, levels)), variance)
    }

    fn denoise_some(&self, samples: &[usize], x: Rows, levels: &[Level]) -> Rows {
        let given = self.given.denoise_some(samples, x.clone(), levels);
        self.guided(given, levels, x.clone(), || self.against.denoise_some(samples, x, levels))
    }
}

impl<G: Differentiable + ?Sized, A: Differentiable + ?Sized> Differentiable for Guided<G, A> {
    /// The factor by which a prediction is rescaled is held still.
    fn denoise_and_pull(
        &self,
        samples: &[usize],
        x: Rows,
        levels: &[Level],
        cotangents: Vec<Rows>,
    ) -> (Rows, Vec<Rows>) {
        let (given, pulled) = self.given.denoise_and_pull(samples, x.clone(), levels, cotangents.clone());
        let Some(scales) = self.scales(levels, &x) else { return (given, pulled) };
        let (against, away) = self.against.denoise_and_pull(samples, x.clone(), levels, cotangents.clone());
        let drawn = |given: Rows, against: Rows| against.clone() + (given - against) * scales.clone();
        let guided = drawn(given.clone(), against);
        let pulled = pulled.into_iter().zip(away).map(|(given, against)| drawn(given, against));
        match self.rescaling(&x, &given, &guided, levels) {
            None => (guided, pulled.collect()),
            Some([factor, rest]) => {
                let of_x = cotangents.into_iter().map(|v| v * rest.clone());
                let pulled = pulled.zip(of_x).map(|(pulled, of_x)| pulled * factor.clone() + of_x).collect();
                (guided * factor.clone() + x * rest.clone(), pulled)
            }
        }
    }
}

impl<G: ?Sized, A: ?Sized> Guided<G, A> {
    /// `γ` of each row, `[B, 1]`; none if all are 1.
    fn scales(&self, levels: &[Level], like: &Rows) -> Option<Rows> {
        let scales: Vec<f64> = levels.iter().map(|level| self.guidance.at(level)).collect();
        scales.iter().any(|scale| *scale != 1.0).then(|| column(scales.into_iter(), like))
    }

    /// The prediction `given`, drawn away from `against`, which is not asked for where it would not count.
    fn guided(&self, given: Rows, levels: &[Level], x: Rows, against: impl FnOnce() -> Rows) -> Rows {
        let Some(scales) = self.scales(levels, &x) else { return given };
        let against = against();
        let guided = against.clone() + (given.clone() - against) * scales;
        match self.rescaling(&x, &given, &guided, levels) {
            Some([factor, rest]) => guided * factor + x * rest,
            None => guided,
        }
    }

    /// The factors of the guided prediction and of `x` that bring the deviation of the predicted noise back: `[B, 1]` each;
    /// none if it shall stay as it is.
    fn rescaling(&self, x: &Rows, given: &Rows, guided: &Rows, levels: &[Level]) -> Option<[Rows; 2]> {
        let share = self.guidance.rescale;
        if share <= 0.0 {
            return None;
        }
        let alpha = column(levels.iter().map(|level| level.alpha), x);
        // σ times the predicted noise: the factor of a row drops out of a ratio of deviations.
        let deviation = |x0: &Rows| {
            let noise = x.clone() - x0.clone() * alpha.clone();
            let mean = noise.clone().mean_dim(1);
            (noise - mean).square().mean_dim(1).clamp_min(1e-30).sqrt()
        };
        let factor = deviation(given) / deviation(guided) * share + (1.0 - share);
        // Pure noise says nothing of the data, and there is nothing to divide by.
        let silent: Vec<bool> = levels.iter().map(|level| level.alpha <= 0.0).collect();
        let silent =
            Tensor::<2, burn::tensor::Bool>::from_data(TensorData::new(silent, [levels.len(), 1]), &x.device());
        let factor = factor.mask_fill(silent.clone(), 1.0);
        let rest = (factor.clone().neg() + 1.0) / alpha.mask_fill(silent, 1.0);
        Some([factor, rest])
    }
}

/// `∇log p(y|x_t)`.
pub trait ClassScore {
    /// Row `i` at `levels[i]` for class `labels[i mod len]`: `[B, F] -> [B, F]`.
    fn class_score(&self, x: Rows, levels: &[Level], labels: &[usize]) -> Rows;
}

/// A denoiser drawn towards classes by a classifier of noisy rows.
pub struct ClassifierGuided<'a> {
    /// What removes noise.
    pub denoise: &'a dyn Denoise,
    /// What knows classes.
    pub classifier: &'a dyn ClassScore,
    /// The class of row `i` is `labels[i mod len]`.
    pub labels: Vec<usize>,
    /// `γ`.
    pub scale: f64,
}

impl Denoise for ClassifierGuided<'_> {
    /// Where there is no signal (`α = 0`) the classifier has nothing to say.
    fn denoise(&self, x: Rows, levels: &[Level]) -> Rows {
        let x0 = self.denoise.denoise(x.clone(), levels);
        let shift = self.classifier.class_score(x.clone(), levels, &self.labels);
        let factor = |level: &Level| {
            if level.alpha > 0.0 { self.scale * level.sigma * level.sigma / level.alpha } else { 0.0 }
        };
        x0 + shift * column(levels.iter().map(factor), &x)
    }
}

/// Numbers known beforehand: an inpainting. Their predictions are what they are known to be, so a solver brings them
/// there along the way that noise would have taken them, and the network sees both parts at one level of noise
/// (replacement: Song et al., 2011.13456, appendix I.2). The rest is drawn nearly as if given them, not exactly. Where means
/// of numbers are known, it is [`Replaced`](super::Replaced).
pub struct Known<'a> {
    /// What removes noise.
    pub denoise: &'a dyn Denoise,
    /// The numbers: `[B, F]` or `[1, F]`.
    pub values: Rows,
    /// 1 where they are known, 0 elsewhere: `[B, F]` or `[1, F]`.
    pub mask: Rows,
}

impl Denoise for Known<'_> {
    fn denoise(&self, x: Rows, levels: &[Level]) -> Rows {
        known(self.denoise.denoise(x, levels), self.values.clone(), self.mask.clone())
    }

    fn denoise_some(&self, samples: &[usize], x: Rows, levels: &[Level]) -> Rows {
        let x0 = self.denoise.denoise_some(samples, x, levels);
        known(x0, of_samples(&self.values, samples), of_samples(&self.mask, samples))
    }
}

fn known(x0: Rows, values: Rows, mask: Rows) -> Rows {
    x0.clone() + (values - x0) * mask
}

/// Numbers, one a row, as a column on the device of `like`: `[B, 1]`.
fn column(values: impl Iterator<Item = f64>, like: &Rows) -> Rows {
    let values: Vec<f32> = values.map(|v| v as f32).collect();
    let rows = values.len();
    Tensor::from_data(TensorData::new(values, [rows, 1]), &like.device())
}
