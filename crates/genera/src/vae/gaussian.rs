//! Approximate posteriors, and the diagonal Gaussian that an ordinary encoder returns.
//!
//! ```text
//! q(z|x) = N(μ(x), diag σ(x)²),   z = μ + σ ε
//! KL(q ‖ N(0, I)) = ½ Σ (μ² + σ² − 1 − log σ²)
//! ```
//!
//! Kingma and Welling, "Auto-Encoding Variational Bayes" (arXiv:1312.6114). Networks give `log σ`, held within ±10.

use burn::module::Module;
use burn::tensor::Tensor;

use super::{HALF_LOG_TAU, repeat, row_sum};
use crate::traits::{Net, Rows};

/// `log σ` is held within this of zero.
const LARGEST_LOG_STD: f64 = 10.0;

/// `q(z|x)`, one distribution a row: what an encoder returns.
pub trait Posterior: Clone {
    /// The draw that `eps` stands for and `log q(z|x)` there, both differentiable in the parameters:
    /// `[B, L] -> ([B, L], [B])`.
    fn draw(&self, eps: Rows) -> (Rows, Tensor<1>);
    /// The length of `eps` and `z`.
    fn latents(&self) -> usize;
    /// A representative code of each row, its mean where that has a closed form: `[B, L]`.
    fn mean(&self) -> Rows;
    /// Each row's distribution `k` times in succession.
    fn repeat(&self, k: usize) -> Self;
    /// `KL(q ‖ p)` of each dimension in nats, where it has a closed form, `p` being `N(0, I)`, or fair coins for bits:
    /// `[B, L]`.
    fn divergence(&self) -> Option<Rows> {
        None
    }
    /// The distribution itself, if it is a diagonal Gaussian.
    fn gaussian(&self) -> Option<&Gaussian> {
        None
    }
    /// `log q(z|x)` at any `z` with the parameters taken as constants, where it can be had: `[B, L] -> [B]`.
    fn frozen_log_prob(&self, _z: Rows) -> Option<Tensor<1>> {
        None
    }
}

/// What gives each row its approximate posterior.
pub trait Encode {
    /// The family of `q(z|x)`.
    type Posterior: Posterior;
    /// `q(z|x)` of each row: `[B, F]`.
    fn posterior(&self, x: Rows) -> Self::Posterior;
}

/// A Gaussian with a diagonal covariance, one a row.
#[derive(Clone, Debug)]
pub struct Gaussian {
    /// `μ`, `[B, L]`.
    pub mean: Rows,
    /// `log σ`, `[B, L]`.
    pub log_std: Rows,
}

impl Gaussian {
    /// From a network's output, means first: `[B, 2 L]`.
    pub fn from_output(output: Rows) -> Self {
        let latents = output.dims()[1] / 2;
        let log_std = output.clone().narrow(1, latents, latents).clamp(-LARGEST_LOG_STD, LARGEST_LOG_STD);
        Self { mean: output.narrow(1, 0, latents), log_std }
    }

    /// `log q(z)` in nats: `[B, L] -> [B]`.
    pub fn log_prob(&self, z: Rows) -> Tensor<1> {
        let standard = (z - self.mean.clone()) * self.log_std.clone().neg().exp();
        row_sum(standard.square() * -0.5 - self.log_std.clone() - HALF_LOG_TAU)
    }
}

impl Posterior for Gaussian {
    fn draw(&self, eps: Rows) -> (Rows, Tensor<1>) {
        let z = self.mean.clone() + self.log_std.clone().exp() * eps.clone();
        (z, row_sum(eps.square() * -0.5 - self.log_std.clone() - HALF_LOG_TAU))
    }

    fn latents(&self) -> usize {
        self.mean.dims()[1]
    }

    fn mean(&self) -> Rows {
        self.mean.clone()
    }

    fn repeat(&self, k: usize) -> Self {
        Self { mean: repeat(self.mean.clone(), k), log_std: repeat(self.log_std.clone(), k) }
    }

    fn divergence(&self) -> Option<Rows> {
        let variance = (self.log_std.clone() * 2.0).exp();
        Some((self.mean.clone().square() + variance - 1.0) * 0.5 - self.log_std.clone())
    }

    fn gaussian(&self) -> Option<&Gaussian> {
        Some(self)
    }

    fn frozen_log_prob(&self, z: Rows) -> Option<Tensor<1>> {
        Some(Self { mean: self.mean.clone().detach(), log_std: self.log_std.clone().detach() }.log_prob(z))
    }
}

/// An encoder whose network gives the mean and the logarithm of the deviation: `[B, F] -> [B, 2 L]`.
#[derive(Module, Debug)]
pub struct GaussianEncoder<N: Module> {
    /// The network.
    pub net: N,
}

impl<N: Module> GaussianEncoder<N> {
    /// Around a network with `2 L` outputs.
    pub fn new(net: N) -> Self {
        Self { net }
    }
}

impl<N: Module + Net> Encode for GaussianEncoder<N> {
    type Posterior = Gaussian;

    fn posterior(&self, x: Rows) -> Gaussian {
        Gaussian::from_output(self.net.forward(x))
    }
}

#[cfg(test)]
mod tests {
    use super::super::host;
    use super::*;

    #[test]
    fn density_and_divergence_are_the_formulas() {
        let device = Default::default();
        let q = Gaussian::from_output(Rows::from_floats([[0.5, -1.0, 0.2, -0.7]], &device));
        let (z, log_q) = q.draw(Rows::from_floats([[1.3, -0.4]], &device));
        let [s0, s1] = [0.2_f64.exp(), (-0.7_f64).exp()];
        let expected = [0.5 + 1.3 * s0, -1.0 - 0.4 * s1];
        host(&z).iter().zip(expected).for_each(|(a, b)| assert!((a - b).abs() < 1e-6));
        let log = -0.5 * (1.3 * 1.3 + 0.4 * 0.4) - 0.2 + 0.7 - 2.0 * HALF_LOG_TAU;
        for found in [&log_q, &q.log_prob(z.clone()), &q.frozen_log_prob(z).unwrap()] {
            assert!((host(found)[0] - log).abs() < 1e-5);
        }
        let kl = host(&q.divergence().unwrap());
        let by_hand = |m: f64, s: f64| 0.5 * (m * m + s * s - 1.0) - s.ln();
        assert!((kl[0] - by_hand(0.5, s0)).abs() < 1e-6 && (kl[1] - by_hand(-1.0, s1)).abs() < 1e-6);
    }
}
