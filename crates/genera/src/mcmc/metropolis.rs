//! Langevin steps that are taken or refused so that the density is met exactly (MALA).
//!
//! ```text
//! y = x + η/2 ∇log p(x) + √η ε
//! log a = log p(y) − log p(x) + (|y − x − η/2 ∇log p(x)|² − |x − y − η/2 ∇log p(y)|²) / 2η
//! ```
//!
//! Roberts and Tweedie, "Exponential convergence of Langevin distributions" (1996). In many dimensions 57 % of proposals
//! taken is best (Roberts and Rosenthal, 1998).

use burn::tensor::{Tensor, TensorData};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::{McmcError, Potential, host, noise_like};
use crate::traits::Rows;

/// The Metropolis-adjusted chain.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metropolis {
    /// `η`, the variance of the noise of a proposal.
    pub step: f64,
    /// How many proposals.
    pub steps: usize,
}

/// Where chains arrived.
#[derive(Clone, Debug)]
pub struct Moves {
    /// `[B, F]`.
    pub x: Rows,
    /// The share of proposals that each chain took.
    pub acceptance: Vec<f64>,
}

impl Metropolis {
    /// # Errors
    /// No steps, a step that is not positive.
    pub fn check(&self) -> Result<(), McmcError> {
        McmcError::unless(self.steps > 0, "metropolis.steps", self.steps as f64, "at least 1")?;
        McmcError::unless(self.step > 0.0 && self.step.is_finite(), "metropolis.step", self.step, "positive")
    }

    /// Moves the chains `x`, `[B, F]`; `observe` sees them after every step. A proposal whose density is NaN is refused.
    pub fn run(
        &self,
        density: &dyn Potential,
        mut x: Rows,
        rng: &mut Rng,
        observe: &mut dyn FnMut(usize, &Rows),
    ) -> Moves {
        let [rows, features] = x.dims();
        let (mut log_p, mut score) = density.log_density_and_score(x.clone());
        let mut taken = vec![0_usize; rows];
        for step in 0..self.steps {
            let eps = noise_like(&x, rng);
            let y = x.clone() + score.clone() * (0.5 * self.step) + eps.clone() * self.step.sqrt();
            let (log_p_y, score_y) = density.log_density_and_score(y.clone());
            let forth = squared_norms(&eps, features);
            let back = squared_norms(&(x.clone() - y.clone() - score_y.clone() * (0.5 * self.step)), features);
            let (log_x, log_y) = (host(&log_p), host(&log_p_y));
            let accept: Vec<bool> = (rng.streams(rows).enumerate())
                .map(|(i, mut stream)| {
                    let gain = f64::from(log_y[i]) - f64::from(log_x[i]);
                    stream.uniform().ln() < gain + 0.5 * (forth[i] - back[i] / self.step)
                })
                .collect();
            taken.iter_mut().zip(&accept).for_each(|(taken, accept)| *taken += usize::from(*accept));
            // Chosen, not mixed: a refused proposal may be infinite.
            let refused = Tensor::<1, burn::tensor::Bool>::from_data(
                TensorData::new(accept.iter().map(|accept| !accept).collect::<Vec<bool>>(), [rows]),
                &x.device(),
            );
            let refused_rows = refused.clone().unsqueeze_dim::<2>(1).expand([rows, features]);
            x = y.mask_where(refused_rows.clone(), x);
            score = score_y.mask_where(refused_rows, score);
            log_p = log_p_y.mask_where(refused, log_p);
            observe(step, &x);
        }
        let acceptance = taken.into_iter().map(|taken| taken as f64 / self.steps.max(1) as f64).collect();
        Moves { x, acceptance }
    }
}

/// `|v|²` of each row, added in double precision.
fn squared_norms(v: &Rows, features: usize) -> Vec<f64> {
    let square = |row: &[f32]| row.iter().map(|v| f64::from(*v).powi(2)).sum();
    host(v).chunks_exact(features.max(1)).map(square).collect()
}
