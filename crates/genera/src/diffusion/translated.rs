//! A denoiser of one schedule used under another: DDPM and NCSN are one model.
//!
//! ```text
//! E[x₀ | α x₀ + σ ε = x] depends on x/α and σ/α alone
//! s(x/α; σ/α) = −ε̂(x) α/σ        score of the data with noise σ/α on top, from the noise that a DDPM predicts
//! ∇log p_t(x) = −ε̂(x) / σ         the same in DDPM's own coordinates: Song et al., 2011.13456, appendix B
//! ```
//!
//! So a network trained under any schedule is one for every other with the same range of `σ/α`; beyond that range it sees
//! the end of its own. Settings that say so ([`trained_under`](super::DiffusionConfig::trained_under)) make a model of it.

use super::{Level, Levels};
use crate::traits::{Denoise, Rows};

/// A denoiser that was trained under `levels`, asked about others.
pub struct Translated<'a> {
    /// What removes noise.
    pub denoise: &'a dyn Denoise,
    /// The levels that it knows.
    pub levels: &'a Levels,
}

/// The level of `levels` with the noise of `asked`, and what rows at `asked` are multiplied by to be there.
pub(super) fn known(levels: &Levels, asked: Level) -> (Level, f64) {
    let known = levels.level(levels.time_of(asked.sigma / asked.alpha));
    // Pure noise has any scale: take that of its noise.
    let scale = if asked.alpha > 0.0 { known.alpha / asked.alpha } else { known.sigma / asked.sigma };
    (known, scale)
}

impl Denoise for Translated<'_> {
    fn denoise(&self, x: Rows, levels: &[Level]) -> Rows {
        self.denoise_with_variance(x, levels).0
    }

    fn denoise_with_variance(&self, x: Rows, levels: &[Level]) -> (Rows, Option<Rows>) {
        let (known, scales): (Vec<Level>, Vec<f64>) = levels.iter().map(|level| known(self.levels, *level)).unzip();
        let scales: Vec<f32> = scales.into_iter().map(|scale| scale as f32).collect();
        let scales = Rows::from_data(burn::tensor::TensorData::new(scales, [levels.len(), 1]), &x.device());
        self.denoise.denoise_with_variance(x * scales, &known)
    }
}
