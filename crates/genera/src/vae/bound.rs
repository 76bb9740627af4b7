//! Estimates of `log p(x)` from many draws, in pieces that fit the cache.
//!
//! ```text
//! naive    log 1/K Σ p(x|zₖ),              zₖ ~ p(z)      biased low, and useless where p(z) misses the posterior
//! bound    log 1/K Σ p(x, zₖ) / q(zₖ|x),   zₖ ~ q(z|x)    L_K of Burda et al., arXiv:1509.00519
//! ```

use burn::module::Module;
use genera_rng::Rng;

use super::{Decode, Encode, Likelihood, Prior, Vae, host, log_mean_exp, repeat};
use crate::traits::Rows;

/// Latents that are decoded at once, about: more do not fit the caches with what is decoded, and take a fifth longer.
const AT_ONCE: usize = 512;

impl<E: Module + Encode, D: Module + Decode, P: Module + Prior<E>> Vae<E, D, P> {
    /// The `k`-sample bound on `log p(x)` of each row in nats: `[B, F] -> B numbers`.
    pub fn k_sample_bound(&self, x: Rows, labels: Option<&[usize]>, k: usize, rng: &mut Rng) -> Vec<f64> {
        self.in_pieces(x, labels, k, rng, |x, labels, rng| {
            let eps = self.noise(&x, k, rng);
            self.log_weights(x, labels, eps)
        })
    }

    /// The naive estimate of `log p(x)` of each row, from `k` draws of the prior, in nats: `[B, F] -> B numbers`.
    pub fn prior_estimate(&self, x: Rows, labels: Option<&[usize]>, k: usize, rng: &mut Rng) -> Vec<f64> {
        self.in_pieces(x, labels, k, rng, |x, labels, rng| {
            let rows = x.dims()[0];
            // The draws of a row are those of k rows of the prior, which only its own stream knows.
            let z = (0..rows).map(|row| {
                let mut here = rng.rows_from(row as u64);
                self.prior.sample(k, &self.encoder, &mut Rng::new(here.stream().next_u64()))
            });
            let z = Rows::cat(z.collect(), 0);
            let labels: Option<Vec<usize>> =
                labels.map(|labels| labels.iter().flat_map(|label| std::iter::repeat_n(*label, k)).collect());
            self.likelihood(z, labels.as_deref()).log_prob(repeat(x, k)).reshape([rows, k])
        })
    }

    /// `log 1/K Σ exp` of what `log_weights` gives for a few rows at a time.
    fn in_pieces(
        &self,
        x: Rows,
        labels: Option<&[usize]>,
        k: usize,
        rng: &mut Rng,
        log_weights: impl Fn(Rows, Option<&[usize]>, &mut Rng) -> Rows,
    ) -> Vec<f64> {
        let rows = x.dims()[0];
        if k == 0 {
            return vec![f64::NEG_INFINITY; rows]; // an empty sum
        }
        let size = (AT_ONCE / k).max(1);
        let bounds = (0..rows).step_by(size).flat_map(|first| {
            let here = size.min(rows - first);
            let labels = labels.map(|labels| &labels[first..first + here]);
            let piece = x.clone().narrow(0, first, here);
            log_mean_exp(&host(&log_weights(piece, labels, &mut rng.rows_from(first as u64))), k)
        });
        let bounds = bounds.collect();
        rng.stream(); // what the rows drew
        bounds
    }
}
