//! Binary latents: an encoder that gives each its probability, and fair coins as the prior.
//!
//! ```text
//! q(z_j = 1|x) = σ(a_j),   p(z_j = 1) = ½,   KL(q ‖ p) = Σ_j log 2 − H(q_j)
//! b = σ((a + log u − log(1 − u)) / τ);   z = [b > ½] forward, ∂b backward
//! ```
//!
//! The binary concrete distribution of Maddison, Mnih and Teh (arXiv:1611.00712), straight through as in Jang, Gu and Poole
//! (arXiv:1611.01144): what the decoder sees are bits, so bounds are bounds; the gradient is biased, more so for large `τ`.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use genera_kernels::{Activation, activate};
use genera_rng::Rng;

use super::error::within;
use super::{Encode, Posterior, Prior, VaeError, host, repeat, row_sum};
use crate::traits::{Net, Rows};

/// Independent bits, one distribution a row.
#[derive(Clone, Debug)]
pub struct Bits {
    /// `a`, `[B, L]`.
    pub logits: Rows,
    temperature: f64,
}

impl Bits {
    /// `log q(z)` in nats: `[B, L] -> [B]`.
    fn log_prob(&self, z: Rows) -> Tensor<1> {
        row_sum(z * self.logits.clone() - softplus(self.logits.clone()))
    }
}

fn softplus(x: Rows) -> Rows {
    activate(x, Activation::Softplus)
}

impl Posterior for Bits {
    /// `eps` is normal noise; what it stands for is `u = Φ(eps)`.
    fn draw(&self, eps: Rows) -> (Rows, Tensor<1>) {
        let (shape, device) = (eps.dims(), eps.device());
        // log u − log(1 − u) in the tails too.
        let log_below = |z: f64| (0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2)).max(f64::MIN_POSITIVE).ln();
        let logistic: Vec<f32> = host(&eps).into_iter().map(|z| (log_below(z) - log_below(-z)) as f32).collect();
        let noisy = self.logits.clone() + Rows::from_data(TensorData::new(logistic, shape), &device);
        let soft = activate(noisy / self.temperature, Activation::Sigmoid);
        let hard = soft.clone().detach().greater_elem(0.5).float();
        let z = soft.clone() + (hard - soft).detach();
        let log_q = self.log_prob(z.clone());
        (z, log_q)
    }

    fn latents(&self) -> usize {
        self.logits.dims()[1]
    }

    /// The likelier value of each bit.
    fn mean(&self) -> Rows {
        self.logits.clone().greater_elem(0.0).float()
    }

    fn repeat(&self, k: usize) -> Self {
        Self { logits: repeat(self.logits.clone(), k), ..*self }
    }

    /// From fair coins.
    fn divergence(&self) -> Option<Rows> {
        let a = self.logits.clone();
        let p = activate(a.clone(), Activation::Sigmoid);
        Some(p * a.clone() - softplus(a) + std::f64::consts::LN_2)
    }

    fn frozen_log_prob(&self, z: Rows) -> Option<Tensor<1>> {
        Some(Self { logits: self.logits.clone().detach(), ..*self }.log_prob(z))
    }
}

/// An encoder whose network gives the logits: `[B, F] -> [B, L]`.
#[derive(Module, Debug)]
pub struct BitsEncoder<N: Module> {
    /// The network.
    pub net: N,
    #[module(skip)]
    temperature: f64,
}

impl<N: Module> BitsEncoder<N> {
    /// Around a network with `L` outputs, relaxed at `temperature`.
    ///
    /// # Errors
    /// A temperature that is not positive.
    pub fn new(net: N, temperature: f64) -> Result<Self, VaeError> {
        within(temperature > 0.0 && temperature.is_finite(), "temperature", temperature, "positive")?;
        Ok(Self { net, temperature })
    }
}

impl<N: Module + Net> Encode for BitsEncoder<N> {
    type Posterior = Bits;

    fn posterior(&self, x: Rows) -> Bits {
        Bits { logits: self.net.forward(x), temperature: self.temperature }
    }
}

/// The prior of binary latents: each is one with probability one half.
#[derive(Module, Debug)]
pub struct FairCoins {
    #[module(skip)]
    latents: usize,
    #[module(skip)]
    device: Device,
}

impl FairCoins {
    /// So many, drawn on `device`.
    pub fn new(latents: usize, device: &Device) -> Self {
        Self { latents, device: device.clone() }
    }
}

impl<N: Module> Prior<BitsEncoder<N>> for FairCoins {
    fn log_prob(&self, z: Rows, _encoder: &BitsEncoder<N>) -> Tensor<1> {
        let rows = z.dims()[0];
        Tensor::full([rows], -(self.latents as f64) * std::f64::consts::LN_2, &self.device)
    }

    fn sample(&self, n: usize, _encoder: &BitsEncoder<N>, rng: &mut Rng) -> Rows {
        let bits = rng.uniform(n, self.latents).into_iter().map(|u| f32::from(u8::from(u < 0.5)));
        Tensor::from_data(TensorData::new(bits.collect::<Vec<_>>(), [n, self.latents]), &self.device)
    }

    fn divergence<Q: Posterior>(&self, q: &Q) -> Option<Rows> {
        q.divergence()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{log_mean_exp, noise};
    use super::*;

    fn bits(rows: usize, temperature: f64) -> Bits {
        Bits { logits: repeat(Rows::from_floats([[0.4, -1.5, 3.0]], &Device::default()), rows), temperature }
    }

    #[test]
    fn draws_have_their_probabilities_and_the_divergence_its_formula() {
        let (n, q) = (20_000, bits(20_000, 0.5));
        let (z, log_q) = q.draw(noise(n, 3, &mut Rng::new(2), &Device::default()));
        let (z, log_q) = (host(&z), host(&log_q));
        let p = [0.4_f64, -1.5, 3.0].map(|a| 1.0 / (1.0 + (-a).exp()));
        for (j, p) in p.iter().enumerate() {
            let share = z.iter().skip(j).step_by(3).sum::<f64>() / n as f64;
            assert!((share - p).abs() < 4.0 * (p * (1.0 - p) / n as f64).sqrt(), "{j}: {share} {p}");
        }
        assert!(z.iter().all(|z| z.abs() < 1e-6 || (z - 1.0).abs() < 1e-6));
        let by_hand: f64 = (0..3).map(|j| if z[j] > 0.5 { p[j].ln() } else { (1.0 - p[j]).ln() }).sum();
        assert!((log_q[0] - by_hand).abs() < 1e-5);
        let kl = host(&bits(1, 0.5).divergence().unwrap());
        for j in 0..3 {
            let exact = p[j] * (2.0 * p[j]).ln() + (1.0 - p[j]) * (2.0 - 2.0 * p[j]).ln();
            assert!((kl[j] - exact).abs() < 1e-6, "{j}");
        }
        // The estimate from draws has the same mean.
        let estimate = log_q.iter().sum::<f64>() / n as f64 + 3.0 * std::f64::consts::LN_2;
        assert!((estimate - kl.iter().sum::<f64>()).abs() < 0.02, "{estimate} {kl:?}");
        assert_eq!(log_mean_exp(&[0.0, 0.0], 2), [0.0]);
    }

    /// The gradient of `E f(z)` in a logit is `σ'(a) (f(1) − f(0))`.
    #[test]
    fn heat_trades_variance_for_bias_in_the_gradient_of_a_bit() {
        let (n, device, a) = (40_000, Device::default(), 0.3_f64);
        let slope = {
            let p = 1.0 / (1.0 + (-a).exp());
            p * (1.0 - p) * 3.0
        };
        let found = [0.3, 1.0, 4.0].map(|temperature| {
            let logits = Tensor::from_inner(Rows::full([n, 1], a, &device)).require_grad();
            let q = Bits { logits: logits.clone(), temperature };
            let (z, _) = q.draw(noise(n, 1, &mut Rng::new(5), &device));
            // f(z) = z² + 2 z: straight through sees the slope at the corner that was drawn.
            let f = z.clone().square() + z * 2.0;
            let g = host(&logits.grad(&f.sum().backward()).unwrap());
            let mean = g.iter().sum::<f64>() / n as f64;
            (mean - slope, g.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64)
        });
        println!("bias and variance at 0.3, 1, 4: {found:?}, exact {slope}");
        assert!(found[0].1 > found[1].1 && found[1].1 > found[2].1, "{found:?}");
        assert!(found[2].0.abs() > found[0].0.abs(), "{found:?}");
    }
}
