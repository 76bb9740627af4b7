//! Denoisers whose derivative is known.

use super::Level;
use crate::traits::{Denoise, Rows};

/// A denoiser that can be differentiated with respect to the noisy rows.
pub trait Differentiable: Denoise {
    /// `x̂₀` and, for each of `cotangents`, `vᵀ ∂x̂₀/∂x` of every row, row `i` being that of sample `samples[i]` as in
    /// [`Denoise::denoise_some`]: `[B, F], [[B, F]; n] -> ([B, F], [[B, F]; n])`.
    fn denoise_and_pull(
        &self,
        samples: &[usize],
        x: Rows,
        levels: &[Level],
        cotangents: Vec<Rows>,
    ) -> (Rows, Vec<Rows>);
}
