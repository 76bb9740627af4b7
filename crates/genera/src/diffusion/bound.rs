//! The variational bound on the likelihood, every term of it, in nats.
//!
//! ```text
//! −log p(x₀) ≤ L_T + Σ_t L_t + L_0
//! L_T = KL(q(x_T | x₀) ‖ N(0, r² I)),   r the scale of the noisiest level
//! L_t = E KL(q(x_s | x_t, x₀) ‖ p(x_s | x_t)),   s the level below t
//! L_0 = −E log p(x₀ | x_1), the decoder
//! ```
//!
//! Ho et al., 2006.11239, equation 5. Any list of levels makes a chain of its own and so a bound of its own, so the
//! whole chain and a strided one are one code path. Sums are in double precision.

use burn::tensor::{Tensor, TensorData};
use genera_rng::Rng;

use super::decoder::{self, log_probability};
use super::{Clip, Level, Transition, Variance, host};
use crate::traits::{Denoise, Rows};

/// A generative chain, as far as the bound needs to know it.
#[derive(Clone, Debug)]
pub struct VariationalBound {
    /// The levels, noisiest first and clean data last.
    pub chain: Vec<Level>,
    /// The variance of each step.
    pub variance: Variance,
    /// What the chain does to predictions.
    pub clip: Clip,
    /// The number of levels of the data, which lie evenly on `[−1, 1]`; none for continuous data, whose bound is on a
    /// density.
    pub data_levels: Option<usize>,
}

impl VariationalBound {
    /// The number of terms `L_0, L_1, …` that need the network.
    pub fn steps(&self) -> usize {
        self.chain.len().saturating_sub(1)
    }

    /// Every term of every row for one draw of noise a term: `L_0` first, then `L_1, …`, and `L_T` last.
    /// `[B, F] -> [steps + 1][B]`.
    pub fn terms(&self, denoise: &dyn Denoise, x: &Rows, rng: &mut Rng) -> Vec<Vec<f64>> {
        let [rows, width] = x.dims();
        let steps = (0..self.steps()).map(|t| self.term(denoise, x, &vec![t; rows], &rng.normal(rows, width)));
        let mut terms: Vec<Vec<f64>> = steps.collect();
        terms.push(self.prior(x));
        terms
    }

    /// The bound itself, minus the sum of all terms of each row: `[B, F] -> [B]`.
    pub fn total(&self, denoise: &dyn Denoise, x: &Rows, rng: &mut Rng) -> Vec<f64> {
        let terms = self.terms(denoise, x, rng);
        (0..x.dims()[0]).map(|row| -terms.iter().map(|term| term[row]).sum::<f64>()).collect()
    }

    /// An unbiased estimate of the sum of all terms from one random term a row: `[B, F] -> [B]`.
    pub fn estimate(&self, denoise: &dyn Denoise, x: &Rows, rng: &mut Rng) -> Vec<f64> {
        let [rows, width] = x.dims();
        if self.steps() == 0 {
            return self.prior(x);
        }
        let indices = rng.below(rows, self.steps());
        let term = self.term(denoise, x, &indices, &rng.normal(rows, width));
        term.iter().zip(self.prior(x)).map(|(term, prior)| self.steps() as f64 * term + prior).collect()
    }

    /// `L_T` of each row: `[B, F] -> [B]`.
    pub fn prior(&self, x: &Rows) -> Vec<f64> {
        let [_, width] = x.dims();
        let Some(&Level { alpha, sigma, .. }) = self.chain.first() else { return Vec::new() };
        let scale = self.chain[0].scale();
        let (shrunk, ratio) = ((alpha / scale).powi(2), (sigma / scale).powi(2));
        host(x)
            .chunks_exact(width.max(1))
            .map(|row| {
                row.iter().map(|v| 0.5 * (ratio - 1.0 - ratio.ln() + shrunk * f64::from(*v).powi(2))).sum::<f64>()
            })
            .collect()
    }

    /// `L_t` of row `i` for `t = indices[i]` and the noise `eps` (row-major, like `x`): `[B, F] -> [B]`.
    ///
    /// # Panics
    /// If there is not one index a row, or an index is not below [`VariationalBound::steps`].
    pub fn term(&self, denoise: &dyn Denoise, x: &Rows, indices: &[usize], eps: &[f32]) -> Vec<f64> {
        let [rows, width] = x.dims();
        let top = self.chain.len() - 2;
        let levels: Vec<Level> = indices.iter().map(|t| self.chain[top - t]).collect();
        let clean = host(x);
        let noisy = clean.iter().zip(eps).enumerate().map(|(i, (x, eps))| {
            let level = levels[i / width];
            (level.alpha * f64::from(*x) + level.sigma * f64::from(*eps)) as f32
        });
        let x_t: Rows = Tensor::from_data(TensorData::new(noisy.collect::<Vec<f32>>(), [rows, width]), &x.device());
        let (prediction, fraction) = denoise.denoise_with_variance(x_t, &levels);
        let prediction = host(&self.clip.apply(prediction));
        let fraction = fraction.filter(|_| self.variance == Variance::Learned).map(|f| host(&f));
        let row_of = |row: usize| {
            let values = row * width..(row + 1) * width;
            let share = |i: usize| match (self.variance, &fraction) {
                // The two fixed variances share one decoder, as in improved DDPM.
                (Variance::FixedLarge, _) if indices[row] > 0 => 1.0,
                (Variance::Learned, Some(fraction)) => f64::from(fraction[i]),
                _ => 0.0,
            };
            let step = self.step(indices[row]);
            values.map(|i| step.divergence(f64::from(clean[i]), f64::from(prediction[i]), share(i))).sum()
        };
        (0..rows).map(row_of).collect()
    }

    fn step(&self, t: usize) -> Step {
        let top = self.chain.len() - 2;
        let (from, to) = (self.chain[top - t], self.chain[top - t + 1]);
        let mut transition = Transition::between(from, to);
        let decodes = (t == 0).then_some(self.data_levels);
        if t == 0 {
            transition.small = decoder::variance(from, self.chain[top.saturating_sub(1)]);
        }
        Step { transition, decodes }
    }
}

struct Step {
    transition: Transition,
    /// For the last step, the number of levels of the data.
    decodes: Option<Option<usize>>,
}

impl Step {
    /// The nats of one value whose predicted variance lies at `share` between the small one and the large.
    fn divergence(&self, x0: f64, prediction: f64, share: f64) -> f64 {
        let Transition { pull, small, large, .. } = self.transition;
        // Between the two variances on the logarithmic scale.
        let variance = small * (large / small).powf(share);
        match self.decodes {
            Some(data_levels) => -log_probability(x0, prediction, variance.sqrt(), data_levels),
            None => {
                let shift = pull * (x0 - prediction);
                0.5 * ((variance / small).ln() + (small + shift * shift) / variance - 1.0)
            }
        }
    }
}
