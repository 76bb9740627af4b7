//! The mean divergence from the prior, taken apart.
//!
//! ```text
//! 1/n Σ KL(q(z|xᵢ) ‖ p) = KL(q_agg ‖ p) + I(x; z),   q_agg = 1/n Σ q(z|xᵢ),   0 ≤ I ≤ log n
//! ```
//!
//! Hoffman and Johnson, "ELBO surgery" (2016). The first part vanishes for the prior `p = q_agg`, which is the best one.
//! All three are estimated from the same draws, in double precision on the host.

use burn::tensor::{Tensor, TensorData};
use genera_rng::Rng;

use super::{Gaussian, HALF_LOG_TAU, host};
use crate::traits::Rows;

/// The three numbers in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Surgery {
    /// `1/n Σ KL(q(z|xᵢ) ‖ p)`.
    pub divergence: f64,
    /// `KL(q_agg ‖ p)`.
    pub aggregate: f64,
    /// `I(x; z)`: what a latent says of its row.
    pub information: f64,
}

impl Surgery {
    /// Of the posteriors `q` of a data set, against `log p`, from `samples` draws of each.
    pub fn new(q: &Gaussian, log_prior: impl Fn(Rows) -> Tensor<1>, samples: usize, rng: &mut Rng) -> Self {
        let aggregate = Aggregate::new(q);
        let [rows, latents] = q.mean.dims();
        let (mut own, mut together, mut prior) = (0.0, 0.0, 0.0);
        for _ in 0..samples {
            let mut draws = Vec::with_capacity(rows * latents);
            for (i, mut stream) in rng.streams(rows).enumerate() {
                draws.extend((0..latents).map(|j| {
                    let at = i * latents + j;
                    aggregate.means[at] + aggregate.stds[at] * stream.normal()
                }));
            }
            for (i, z) in draws.chunks_exact(latents).enumerate() {
                let logs: Vec<f64> = (0..rows).map(|k| aggregate.log_part(k, z)).collect();
                own += logs[i];
                together += super::log_mean_exp(&logs, rows)[0];
            }
            let z: Vec<f32> = draws.iter().map(|v| *v as f32).collect();
            let z = Tensor::from_data(TensorData::new(z, [rows, latents]), &q.mean.device().inner());
            prior += host(&log_prior(z)).iter().sum::<f64>();
        }
        let [own, together, prior] = [own, together, prior].map(|sum| sum / (rows * samples) as f64);
        Self { divergence: own - prior, aggregate: together - prior, information: own - together }
    }
}

/// `q_agg`, the prior that makes the bound largest.
#[derive(Clone, Debug)]
pub struct Aggregate {
    latents: usize,
    means: Vec<f64>,
    stds: Vec<f64>,
}

impl Aggregate {
    /// The mean of the posteriors `q`.
    pub fn new(q: &Gaussian) -> Self {
        let stds = host(&q.log_std).into_iter().map(f64::exp).collect();
        Self { latents: q.mean.dims()[1], means: host(&q.mean), stds }
    }

    /// `log q_agg(z)` in nats of one latent.
    pub fn log_prob(&self, z: &[f64]) -> f64 {
        let rows = self.means.len() / self.latents.max(1);
        let logs: Vec<f64> = (0..rows).map(|k| self.log_part(k, z)).collect();
        super::log_mean_exp(&logs, rows)[0]
    }

    /// `log q(z|x_k)`.
    fn log_part(&self, k: usize, z: &[f64]) -> f64 {
        let part = k * self.latents..(k + 1) * self.latents;
        let values = z.iter().zip(self.means[part.clone()].iter().zip(&self.stds[part]));
        values.map(|(z, (m, s))| -0.5 * ((z - m) / s).powi(2) - s.ln() - HALF_LOG_TAU).sum()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::super::Posterior;
    use super::*;

    fn posteriors(n: usize) -> Gaussian {
        let (mut rng, device) = (Rng::new(2), Device::default());
        Gaussian {
            mean: super::super::noise(n, 2, &mut rng, &device) * 1.5,
            log_std: super::super::noise(n, 2, &mut rng, &device) * 0.2 - 1.0,
        }
    }

    #[test]
    fn the_parts_add_up_to_the_closed_form() {
        let q = posteriors(60);
        let standard = |z: Rows| super::super::row_sum(z.square() * -0.5 - HALF_LOG_TAU);
        let surgery = Surgery::new(&q, standard, 400, &mut Rng::new(1));
        assert!((surgery.divergence - surgery.aggregate - surgery.information).abs() < 1e-5);
        let closed = host(&q.divergence().unwrap()).iter().sum::<f64>() / 60.0;
        // 24 000 draws whose log-ratios have a deviation of about one.
        assert!((surgery.divergence - closed).abs() < 0.03, "{} {closed}", surgery.divergence);
        assert!(surgery.information > 0.5 && surgery.information < 60.0_f64.ln(), "{surgery:?}");
        assert!(surgery.aggregate > 0.0);
    }

    #[test]
    fn the_aggregated_posterior_is_the_best_prior() {
        let q = posteriors(40);
        let best = Aggregate::new(&q);
        let log_prior = |z: Rows| {
            let logs: Vec<f32> = host(&z).chunks_exact(2).map(|z| best.log_prob(z) as f32).collect();
            Tensor::<1>::from_data(TensorData::from(logs.as_slice()), &Device::default())
        };
        let surgery = Surgery::new(&q, log_prior, 20, &mut Rng::new(1));
        assert!(surgery.aggregate.abs() < 1e-5, "{surgery:?}");
        // One row, or rows that are all alike, say nothing of which row it was.
        let alone = Surgery::new(&posteriors(1), super::super::row_sum, 10, &mut Rng::new(1));
        assert!(alone.information.abs() < 1e-12);
    }
}
