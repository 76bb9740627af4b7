//! A Gaussian mixture whose parts belong to classes: guidance in closed form.
//!
//! ```text
//! p(x_t) = Σ_y π_y p_y(x_t),   p(y|x_t) = π_y p_y(x_t) / p(x_t),   ∇log p(y|x_t) = s_y − s
//! guided       log p(x_t) + γ log p(y|x_t)                its gradient s + γ (s_y − s)
//! sharpened    log p(x_t) + γ log p(y|x_t) − log Z(x_t),  Z = Σ_y p(y|x_t)^γ
//! ∇log Z = γ Σ_y w_y (s_y − s),   w_y = p(y|x_t)^γ / Z
//! ```
//!
//! Guidance follows the first; the second is the one whose classes are a normalised distribution. They agree where one
//! class is certain, and for `γ = 1`.

use burn::tensor::{Device, Tensor, TensorData};

use super::mixture::log_sum;
use super::{ClassScore, DiffusionError, Level, MixtureDenoiser, host};
use crate::traits::{Denoise, Rows};

/// A mixture of classes, each a mixture itself.
#[derive(Clone, Debug)]
pub struct ClassMixture {
    whole: MixtureDenoiser,
    classes: Vec<MixtureDenoiser>,
    log_shares: Vec<f64>,
}

/// A part of a [`ClassMixture`]: weight, mean, variances and class.
pub type ClassPart = (f64, Vec<f64>, Vec<f64>, usize);

impl ClassMixture {
    /// The mixture of `parts`, weights normalised, whose samples live on `device`.
    ///
    /// # Errors
    /// Those of [`MixtureDenoiser::new`]; a class below the largest that has no part.
    pub fn new(parts: &[ClassPart], device: &Device) -> Result<Self, DiffusionError> {
        let plain = |keep: &dyn Fn(usize) -> bool| -> Vec<(f64, Vec<f64>, Vec<f64>)> {
            let kept = parts.iter().filter(|part| keep(part.3));
            kept.map(|(weight, mean, variance, _)| (*weight, mean.clone(), variance.clone())).collect()
        };
        let whole = MixtureDenoiser::new(&plain(&|_| true), device)?;
        let count = parts.iter().map(|part| part.3 + 1).max().unwrap_or(0);
        let classes: Result<Vec<MixtureDenoiser>, DiffusionError> =
            (0..count).map(|class| MixtureDenoiser::new(&plain(&|of| of == class), device)).collect();
        let total: f64 = parts.iter().map(|part| part.0).sum();
        let share = |class| parts.iter().filter(|part| part.3 == class).map(|part| part.0).sum::<f64>() / total;
        Ok(Self { whole, classes: classes?, log_shares: (0..count).map(|class| share(class).ln()).collect() })
    }

    /// The mixture without its classes.
    pub fn whole(&self) -> &MixtureDenoiser {
        &self.whole
    }

    /// The mixture of one class.
    ///
    /// # Panics
    /// If there is no such class.
    pub fn class(&self, class: usize) -> &MixtureDenoiser {
        &self.classes[class]
    }

    /// `log p(y|x_t)` of every class.
    pub fn log_posterior(&self, x: &[f64], level: Level) -> Vec<f64> {
        let of_classes = self.classes.iter().zip(&self.log_shares);
        let joint: Vec<f64> = of_classes.map(|(class, share)| share + class.log_density(x, level)).collect();
        let total = log_sum(&joint);
        joint.into_iter().map(|log| log - total).collect()
    }

    /// `log p(x_t) + γ log p(y|x_t)`, up to a constant that does not depend on `x`.
    pub fn guided_log_density(&self, x: &[f64], level: Level, class: usize, gamma: f64) -> f64 {
        self.whole.log_density(x, level) + gamma * self.log_posterior(x, level)[class]
    }

    /// The gradient of [`ClassMixture::guided_log_density`]: what guidance follows.
    pub fn guided_score(&self, x: &[f64], level: Level, class: usize, gamma: f64) -> Vec<f64> {
        let (s, given) = (self.whole.score(x, level), self.classes[class].score(x, level));
        s.iter().zip(given).map(|(s, given)| s + gamma * (given - s)).collect()
    }

    /// `log Z(x_t) = log Σ_y p(y|x_t)^γ`: what is missing for the guided conditional to be one.
    pub fn log_normaliser(&self, x: &[f64], level: Level, gamma: f64) -> f64 {
        log_sum(&self.log_posterior(x, level).into_iter().map(|log| gamma * log).collect::<Vec<f64>>())
    }

    /// `∇log Z(x_t)`.
    pub fn normaliser_score(&self, x: &[f64], level: Level, gamma: f64) -> Vec<f64> {
        let powers: Vec<f64> = self.log_posterior(x, level).into_iter().map(|log| gamma * log).collect();
        let (total, s) = (log_sum(&powers), self.whole.score(x, level));
        let mut gradient = vec![0.0; x.len()];
        for (class, power) in self.classes.iter().zip(powers) {
            let weight = gamma * (power - total).exp();
            let of_class = class.score(x, level);
            gradient.iter_mut().zip(of_class.iter().zip(&s)).for_each(|(out, (given, s))| *out += weight * (given - s));
        }
        gradient
    }

    /// The mixture as a denoiser of class `labels[i mod len]` for row `i`.
    pub fn given(&self, labels: Vec<usize>) -> GivenClass<'_> {
        GivenClass { mixture: self, labels }
    }
}

/// Row by row in double precision, `f` of the values, the level and the number of a row.
fn by_row(x: Rows, levels: &[Level], f: impl Fn(usize, &[f64], Level) -> Vec<f64>) -> Rows {
    let ([rows, width], device) = (x.dims(), x.device());
    let values: Vec<f64> = host(&x).into_iter().map(f64::from).collect();
    let rows_of = values.chunks_exact(width.max(1)).zip(levels).enumerate();
    let out: Vec<f32> = rows_of.flat_map(|(i, (row, level))| f(i, row, *level)).map(|v| v as f32).collect();
    Tensor::from_data(TensorData::new(out, [rows, width]), &device)
}

impl ClassScore for ClassMixture {
    fn class_score(&self, x: Rows, levels: &[Level], labels: &[usize]) -> Rows {
        by_row(x, levels, |i, row, level| {
            let (s, given) = (self.whole.score(row, level), self.classes[labels[i % labels.len()]].score(row, level));
            given.iter().zip(s).map(|(given, s)| given - s).collect()
        })
    }
}

/// [`ClassMixture::given`].
#[derive(Clone, Debug)]
pub struct GivenClass<'a> {
    mixture: &'a ClassMixture,
    labels: Vec<usize>,
}

impl Denoise for GivenClass<'_> {
    fn denoise(&self, x: Rows, levels: &[Level]) -> Rows {
        by_row(x, levels, |i, row, level| self.mixture.classes[self.labels[i % self.labels.len()]].mean(row, level))
    }

    fn denoise_some(&self, samples: &[usize], x: Rows, levels: &[Level]) -> Rows {
        let class = |i: usize| self.labels[samples[i] % self.labels.len()];
        by_row(x, levels, |i, row, level| self.mixture.classes[class(i)].mean(row, level))
    }
}
