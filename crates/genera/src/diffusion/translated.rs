//! A denoiser of one schedule used under another: DDPM and NCSN are one model.
//!
//! ```text
//! E[x₀ | α x₀ + σ ε = x] depends on x/α and σ/α alone
//! s(x/α; σ/α) = −ε̂(x) α/σ        score of the data with noise σ/α on top, from the noise that a DDPM predicts
//! ∇log p_t(x) = −ε̂(x) / σ         the same in DDPM's own coordinates: Song et al., 2011.13456, appendix B
//! ```
//!
//! So a network trained under any schedule is one for every other with the same range of `σ/α`; beyond that range it sees
//! the end of its own.

use super::{Level, Levels};
use crate::traits::{Denoise, Rows};

/// A denoiser that was trained under `levels`, asked about others.
pub struct Translated<'a> {
    /// What removes noise.
    pub denoise: &'a dyn Denoise,
    /// The levels that it knows.
    pub levels: &'a Levels,
}

impl Denoise for Translated<'_> {
    fn denoise(&self, x: Rows, levels: &[Level]) -> Rows {
        self.denoise_with_variance(x, levels).0
    }

    fn denoise_with_variance(&self, x: Rows, levels: &[Level]) -> (Rows, Option<Rows>) {
        let known: Vec<Level> =
            levels.iter().map(|level| self.levels.level(self.levels.time_of(level.sigma / level.alpha))).collect();
        // Pure noise has any scale: take that of its noise.
        let scale = |known: &Level, asked: &Level| match asked.alpha > 0.0 {
            true => known.alpha / asked.alpha,
            false => known.sigma / asked.sigma,
        };
        let scales: Vec<f32> = known.iter().zip(levels).map(|(known, asked)| scale(known, asked) as f32).collect();
        let scales = Rows::from_data(burn::tensor::TensorData::new(scales, [levels.len(), 1]), &x.device());
        self.denoise.denoise_with_variance(x * scales, &known)
    }
}
