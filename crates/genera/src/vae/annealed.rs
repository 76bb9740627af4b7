//! Annealed importance sampling of `log p(x)`: from the prior to the posterior through Hamiltonian moves.
//!
//! ```text
//! f_t(z) = p(z) p(x|z)^{β_t},   0 = β₀ < … < β_T = 1
//! log w = Σ_t (β_t − β_{t−1}) log p(x|z_{t−1}),   z_t from a move that leaves f_t as it is
//! log 1/K Σ wₖ ≤ log p(x) on average
//! ```
//!
//! Neal (physics/9803008); for decoders Wu et al., arXiv:1611.04273. The temperatures are the logistic ones of the latter.
//! Each chain tunes its own step towards an acceptance of 65 %; a tuned chain is exact only in the limit of slow tuning.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::{Decode, Encode, Likelihood, Prior, Vae, host, log_mean_exp, noise, repeat};
use crate::traits::Rows;

/// How a chain walks from the prior to the posterior.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnnealedImportanceSampling {
    /// Independent chains a row, `K`.
    pub chains: usize,
    /// Temperatures, `T`.
    pub temperatures: usize,
    /// Leapfrog steps of a move.
    pub leaps: usize,
    /// The length of a leapfrog step at first.
    pub step: f64,
}

impl Default for AnnealedImportanceSampling {
    fn default() -> Self {
        Self { chains: 16, temperatures: 500, leaps: 10, step: 0.1 }
    }
}

impl AnnealedImportanceSampling {
    /// `β_t` for `t = 0..=T`: `σ(4 (2t/T − 1))`, stretched onto `[0, 1]`.
    fn betas(&self) -> Vec<f64> {
        let logistic = |t: usize| 1.0 / (1.0 + (-4.0 * (2.0 * t as f64 / self.temperatures as f64 - 1.0)).exp());
        let (low, high) = (logistic(0), logistic(self.temperatures));
        (0..=self.temperatures).map(|t| (logistic(t) - low) / (high - low)).collect()
    }
}

impl<E: Module + Encode, D: Module + Decode, P: Module + Prior<E>> Vae<E, D, P> {
    /// The estimate of `log p(x)` of each row in nats, which is low on average: `[B, F] -> B numbers`. Call it on a model
    /// without autodiff.
    pub fn annealed_log_prob(&self, x: Rows, plan: &AnnealedImportanceSampling, rng: &mut Rng) -> Vec<f64> {
        let (rows, k) = (x.dims()[0], plan.chains.max(1));
        let mut z = {
            let seeds: Vec<u64> = rng.streams(rows).map(|mut stream| stream.next_u64()).collect();
            let starts = seeds.iter().map(|seed| self.prior.sample(k, &self.encoder, &mut Rng::new(*seed)));
            Rows::cat(starts.collect(), 0)
        };
        let latents = z.dims()[1];
        let x = repeat(x, k);
        let mut here = self.at(z.clone(), &x);
        let (mut log_w, mut steps) = (vec![0.0; rows * k], vec![plan.step; rows * k]);
        for pair in plan.betas().windows(2) {
            let beta = pair[1];
            let likelihood = host(&here.log_likelihood);
            log_w.iter_mut().zip(&likelihood).for_each(|(log_w, l)| *log_w += (beta - pair[0]) * l);
            // One Hamiltonian move for f_t: half a kick, leaps, half a kick.
            let kick = |point: &Point, scale: &Rows| point.force(beta) * scale.clone();
            let lengths = column(&steps, &z);
            let momentum = noise(rows, k * latents, rng, &z.device()).reshape([rows * k, latents]);
            let (mut v, mut position, mut there) = (momentum.clone(), z.clone(), here.clone());
            for _ in 0..plan.leaps {
                v = v + kick(&there, &(lengths.clone() * 0.5));
                position = position + v.clone() * lengths.clone();
                there = self.at(position.clone(), &x);
                v = v + kick(&there, &(lengths.clone() * 0.5));
            }
            let energy = |point: &Point, v: &Rows| {
                point.log_prior.clone() + point.log_likelihood.clone() * beta - super::row_sum(v.clone().square()) * 0.5
            };
            let gain = host(&(energy(&there, &v) - energy(&here, &momentum)));
            let uniform = rng.uniform(rows, k);
            let accepted: Vec<bool> = gain.iter().zip(&uniform).map(|(gain, u)| f64::from(*u).ln() < *gain).collect();
            for (step, accepted) in steps.iter_mut().zip(&accepted) {
                *step = (*step * if *accepted { 1.02 } else { 1.0 / 1.02_f64.powf(0.65 / 0.35) }).clamp(1e-4, 2.0);
            }
            let share: Vec<f64> = accepted.iter().map(|accepted| f64::from(u8::from(*accepted))).collect();
            let taken = column(&share, &z).greater_elem(0.5);
            z = z.mask_where(taken.clone().expand([rows * k, latents]), position);
            here = here.or(there, taken);
        }
        log_mean_exp(&log_w, k)
    }

    fn at(&self, z: Rows, x: &Rows) -> Point {
        let z = Tensor::from_inner(z).require_grad();
        let log_likelihood = self.likelihood(z.clone(), None).log_prob(x.clone());
        let log_prior = self.prior.log_prob(z.clone(), &self.encoder);
        let slope = |log: &Tensor<1>| {
            let gradient = z.grad(&log.clone().sum().backward());
            gradient.unwrap_or_else(|| Tensor::zeros(z.dims(), &z.device().inner()))
        };
        Point {
            prior_slope: slope(&log_prior),
            likelihood_slope: slope(&log_likelihood),
            log_prior: log_prior.inner(),
            log_likelihood: log_likelihood.inner(),
        }
    }
}

/// The two logarithms at the latents of all chains, and their gradients.
#[derive(Clone)]
struct Point {
    log_prior: Tensor<1>,
    log_likelihood: Tensor<1>,
    prior_slope: Rows,
    likelihood_slope: Rows,
}

impl Point {
    /// `∇ log f_t`.
    fn force(&self, beta: f64) -> Rows {
        self.prior_slope.clone() + self.likelihood_slope.clone() * beta
    }

    /// `there` where `taken`, `[B, 1]`, and this elsewhere.
    fn or(self, there: Self, taken: Tensor<2, burn::tensor::Bool>) -> Self {
        let shape = self.prior_slope.dims();
        let (wide, narrow) = (taken.clone().expand(shape), taken.squeeze_dim::<1>(1));
        Self {
            log_prior: self.log_prior.mask_where(narrow.clone(), there.log_prior),
            log_likelihood: self.log_likelihood.mask_where(narrow, there.log_likelihood),
            prior_slope: self.prior_slope.mask_where(wide.clone(), there.prior_slope),
            likelihood_slope: self.likelihood_slope.mask_where(wide, there.likelihood_slope),
        }
    }
}

/// One number a chain, as a column beside `like`.
fn column(values: &[f64], like: &Rows) -> Rows {
    let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
    let rows = values.len();
    Tensor::from_data(TensorData::new(values, [rows, 1]), &like.device())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperatures_rise_from_zero_to_one() {
        let betas = AnnealedImportanceSampling { temperatures: 20, ..Default::default() }.betas();
        assert_eq!((betas.len(), betas[0], betas[20]), (21, 0.0, 1.0));
        assert!(betas.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
