//! The variational bound in continuous time, an integral over the logarithm of the signal-to-noise ratio.
//!
//! ```text
//! −log p(x₀) ≤ L_T + ½ ∫ SNR E|x₀ − x̂₀|² dλ + L_0,   λ = ln SNR from the noisiest level to the least noisy one
//!            = L_T + ½ ∫ E|ε − ε̂|² dλ + L_0
//! ```
//!
//! Kingma et al., 2107.00630, equation 17; for score equations Song et al., 2101.09258. It is what the bound of a chain
//! ([`VariationalBound`](super::VariationalBound)) comes to as its steps grow without end, which tightens that of an exact
//! denoiser; it speaks of the schedule's ends alone. A few draws estimate it without bias, one in
//! each of as many equal parts of the range. Each row has draws of its own. The times that a model is trained at do not enter.
//!
//! What varies most is the noise that no denoiser can know: where there is much signal, `|ε − ε̂|²` is nearly `|ε|²`, whose
//! mean is the number `F` of dimensions. So `c² (|ε|² − F)` is taken off, which leaves the mean as it is, with
//! `c = SNR / (1 + SNR)`: what is left of `ε` in `ε − ε̂` for normal data of unit variance.
//!
//! A flow, which ends in pure noise, is cut a thousandth of its time before: a chain may start there as well.

use burn::tensor::{Tensor, TensorData};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::{Clip, DiffusionError, Level, Levels, Variance, VariationalBound, host, within};
use crate::traits::{Denoise, Rows};

/// How a likelihood is bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Bound {
    /// By every step of the chain.
    #[default]
    Chain,
    /// In continuous time, by a few draws of it.
    Continuous {
        /// Levels drawn for each row, each an evaluation of the network.
        #[serde(default = "draws")]
        draws: usize,
    },
}

fn draws() -> usize {
    64
}

impl Bound {
    /// # Errors
    /// No draws.
    pub(super) fn validate(self) -> Result<(), DiffusionError> {
        let Self::Continuous { draws } = self else { return Ok(()) };
        within((1..=1_000_000).contains(&draws), "bound.continuous.draws", draws as f64, "from 1 to 1000000")
    }
}

/// The bound of continuous time, as far as it needs to know a diffusion.
#[derive(Clone, Debug)]
pub struct ContinuousBound {
    /// The levels, of which the ends matter.
    pub levels: Levels,
    /// Levels drawn for each row.
    pub draws: usize,
    /// What happens to predictions.
    pub clip: Clip,
    /// The number of levels of the data, which lie evenly on `[−1, 1]`; none for continuous data, whose bound is on a
    /// density.
    pub data_levels: Option<usize>,
}

impl ContinuousBound {
    /// The noisiest level and the least noisy one.
    fn ends(&self) -> [Level; 2] {
        let top = self.levels.top();
        [if top.alpha > 0.0 { top } else { self.levels.at_fraction(1e-3) }, self.levels.lowest()]
    }

    /// An unbiased estimate of the bound of each row: `[B, F] -> [B]`.
    pub fn total(&self, denoise: &dyn Denoise, x: &Rows, rng: &mut Rng) -> Vec<f64> {
        let ([rows, width], [top, lowest]) = (x.dims(), self.ends());
        // L_T and L_0 are those of a chain with nothing between its ends.
        let chain = VariationalBound {
            chain: vec![top, lowest, self.levels.clean()],
            variance: Variance::FixedSmall,
            clip: self.clip,
            data_levels: self.data_levels,
        };
        let eps = rng.normal(rows, width);
        let last = chain.term(denoise, x, &vec![0; rows], &eps).into_iter();
        // Bins of grey levels are no squared error, of which this would be the noise.
        let known = if self.data_levels.is_none() { 0.5 } else { 0.0 };
        let last = last.zip(excess(&eps, width)).map(|(last, excess)| last - known * excess);
        let mut nats: Vec<f64> = last.zip(chain.prior(x)).map(|(last, prior)| -last - prior).collect();
        let [low, high] = [top, lowest].map(|level| level.snr().ln());
        let part = (high - low) / self.draws as f64;
        for draw in 0..self.draws {
            let place = |u: f64| self.levels.at_noise((-0.5 * (low + (draw as f64 + u) * part)).exp());
            let levels: Vec<Level> = rng.streams(rows).map(|mut stream| place(stream.uniform())).collect();
            let errors = self.errors(denoise, x, &levels, &rng.normal(rows, width));
            nats.iter_mut().zip(errors).for_each(|(nats, error)| *nats -= 0.5 * part * error);
        }
        nats
    }

    /// `SNR |x₀ − x̂₀|²` of each row at its level with the noise `eps`, less what is known of that noise.
    fn errors(&self, denoise: &dyn Denoise, x: &Rows, levels: &[Level], eps: &[f32]) -> Vec<f64> {
        let ([rows, width], clean) = (x.dims(), host(x));
        let noisy = clean.iter().zip(eps).enumerate().map(|(i, (x, eps))| {
            let level = levels[i / width];
            (level.alpha * f64::from(*x) + level.sigma * f64::from(*eps)) as f32
        });
        let x_t: Rows = Tensor::from_data(TensorData::new(noisy.collect::<Vec<f32>>(), [rows, width]), &x.device());
        let prediction = host(&self.clip.apply(denoise.denoise(x_t, levels)));
        let error = |((row, level), excess): ((usize, &Level), f64)| {
            let values = row * width..(row + 1) * width;
            let error = values.map(|i| (f64::from(clean[i]) - f64::from(prediction[i])).powi(2)).sum::<f64>();
            level.snr() * error - (1.0 + level.snr().recip()).powi(-2) * excess
        };
        levels.iter().enumerate().zip(excess(eps, width)).map(error).collect()
    }
}

/// `|ε|²` of each row beyond its mean.
fn excess(eps: &[f32], width: usize) -> impl Iterator<Item = f64> + '_ {
    eps.chunks_exact(width.max(1)).map(|eps| eps.iter().map(|eps| f64::from(*eps).powi(2) - 1.0).sum())
}
