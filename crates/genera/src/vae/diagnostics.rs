//! Whether latents are used: the numbers that show posterior collapse.
//!
//! ```text
//! active     Var_x E_q[z_j] > 0.01                 Burda et al., arXiv:1509.00519
//! unused     KL(q(z_j|x) ‖ p(z_j)) ≈ 0 on average
//! ```

use burn::module::Module;
use genera_rng::Rng;

use super::{Decode, Encode, Posterior, Prior, Surgery, Vae, host, noise};
use crate::traits::Rows;

/// A dimension is active if the variance of its mean is above this.
const ACTIVE: f64 = 0.01;

/// What each latent carries.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostics {
    /// The mean over rows of `KL(q(z_j|x) ‖ N(0, 1))` in nats, one a dimension.
    pub divergence: Vec<f64>,
    /// The variance over rows of the mean of `q(z_j|x)`, one a dimension.
    pub spread: Vec<f64>,
    /// The mean divergence from the prior, taken apart.
    pub surgery: Surgery,
    /// One draw of each row's posterior, row-major `[B, L]`: draws of the aggregated posterior.
    pub aggregate: Vec<f64>,
    /// As many of the prior.
    pub prior: Vec<f64>,
}

impl Diagnostics {
    /// The number of active dimensions.
    pub fn active_units(&self) -> usize {
        self.spread.iter().filter(|variance| **variance > ACTIVE).count()
    }
}

impl<E: Module + Encode, D: Module + Decode, P: Module + Prior<E>> Vae<E, D, P> {
    /// What the latents carry of these rows (their number squared is the cost), from `samples` draws each; none of
    /// posteriors that are no diagonal Gaussians, and of networks that are told a class.
    pub fn diagnostics(&self, x: Rows, samples: usize, rng: &mut Rng) -> Option<Diagnostics> {
        if self.config().classes.is_some() {
            return None;
        }
        let (rows, device) = (x.dims()[0], x.device());
        let posterior = self.posterior(x, None);
        let q = posterior.gaussian()?;
        let column_means = |values: &[f64]| -> Vec<f64> {
            let width = values.len() / rows.max(1);
            (0..width).map(|j| values.iter().skip(j).step_by(width).sum::<f64>() / rows as f64).collect()
        };
        let means = host(&q.mean);
        let centre = column_means(&means);
        let squares = means
            .chunks(centre.len().max(1))
            .flat_map(|row| row.iter().zip(&centre).map(|(value, centre)| (value - centre).powi(2)));
        let divergence = q.divergence().map(|rows| column_means(&host(&rows))).unwrap_or_default();
        let surgery = Surgery::new(q, |z| self.prior.log_prob(z, &self.encoder), samples, rng);
        let aggregate = host(&q.draw(noise(rows, q.latents(), rng, &device)).0);
        let prior = host(&self.prior.sample(rows, &self.encoder, rng));
        let spread = column_means(&squares.collect::<Vec<f64>>());
        Some(Diagnostics { divergence, spread, surgery, aggregate, prior })
    }
}
