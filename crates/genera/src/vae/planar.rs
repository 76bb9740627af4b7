//! A posterior through planar steps whose parameters the encoder gives for each row.
//!
//! ```text
//! z_t = z_{t−1} + û tanh(wᵀ z_{t−1} + b),   log q_t = log q_{t−1} − log |1 + ûᵀ w (1 − tanh²)|
//! û = u + (softplus(wᵀu) − 1 − wᵀu) w / |w|²,   so that the step can be inverted
//! ```
//!
//! Rezende and Mohamed, "Variational Inference with Normalizing Flows" (arXiv:1505.05770). The determinant is that at the
//! point before the step.

use burn::module::Module;
use burn::tensor::Tensor;
use genera_kernels::{Activation, activate};

use super::{Encode, Gaussian, Posterior, repeat, row_sum};
use crate::traits::{Net, Rows};

/// An encoder whose posterior is a chain of planar steps; its network gives `2 L + T (2 L + 1)` numbers.
#[derive(Module, Debug)]
pub struct PlanarEncoder<N: Module> {
    /// The network.
    pub net: N,
    #[module(skip)]
    latents: usize,
}

impl<N: Module> PlanarEncoder<N> {
    /// Around a network with [`PlanarEncoder::outputs`] outputs.
    pub fn new(net: N, latents: usize) -> Self {
        Self { net, latents }
    }

    /// How many numbers `steps` steps take.
    pub fn outputs(latents: usize, steps: usize) -> usize {
        2 * latents + steps * (2 * latents + 1)
    }
}

impl<N: Module + Net> Encode for PlanarEncoder<N> {
    type Posterior = PlanarPosterior;

    fn posterior(&self, x: Rows) -> PlanarPosterior {
        let output = self.net.forward(x);
        let rest = output.dims()[1] - 2 * self.latents;
        PlanarPosterior {
            base: Gaussian::from_output(output.clone().narrow(1, 0, 2 * self.latents)),
            steps: output.narrow(1, 2 * self.latents, rest),
        }
    }
}

/// The posterior of a [`PlanarEncoder`].
#[derive(Clone, Debug)]
pub struct PlanarPosterior {
    base: Gaussian,
    /// `u`, `w` and `b` of each step, `[B, T (2 L + 1)]`.
    steps: Rows,
}

impl Posterior for PlanarPosterior {
    fn draw(&self, eps: Rows) -> (Rows, Tensor<1>) {
        let latents = self.base.latents();
        let width = 2 * latents + 1;
        (0..self.steps.dims()[1] / width).fold(self.base.draw(eps), |(z, log_q), t| {
            let part = |first, length| self.steps.clone().narrow(1, t * width + first, length);
            let (u, w, b) = (part(0, latents), part(latents, latents), part(2 * latents, 1));
            let wu = (w.clone() * u.clone()).sum_dim(1); // [B, 1]
            let pull = activate(wu.clone(), Activation::Softplus) - 1.0 - wu;
            let u = u + w.clone() * (pull / (w.clone().square().sum_dim(1) + 1e-12));
            let h = ((w.clone() * z.clone()).sum_dim(1) + b).tanh();
            let slope = (h.clone().square().neg() + 1.0) * (w * u.clone()).sum_dim(1);
            (z + u * h, log_q - row_sum((slope + 1.0).abs().log()))
        })
    }

    fn latents(&self) -> usize {
        self.base.latents()
    }

    /// Where `ε = 0` goes.
    fn mean(&self) -> Rows {
        self.draw(self.base.mean.zeros_like()).0
    }

    fn repeat(&self, k: usize) -> Self {
        Self { base: self.base.repeat(k), steps: repeat(self.steps.clone(), k) }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use genera_rng::Rng;

    use super::super::{HALF_LOG_TAU, host, noise};
    use super::*;

    #[test]
    fn the_density_is_that_of_the_change_of_variables() {
        let (mut rng, device) = (Rng::new(3), Device::default());
        let mut tensor = |width| noise(1, width, &mut rng, &device);
        let q = PlanarPosterior {
            base: Gaussian { mean: tensor(2), log_std: tensor(2) * 0.3 },
            steps: tensor(3 * 5) * 1.5,
        };
        let at = |eps: [f32; 2]| q.draw(Rows::from_floats([eps], &device));
        let (eps, h) = ([0.4_f32, -0.9], 1e-2_f32);
        let slope = |j: usize| -> Vec<f64> {
            let moved = |by: f32| host(&at(std::array::from_fn(|i| eps[i] + if i == j { by } else { 0.0 })).0);
            moved(h).iter().zip(moved(-h)).map(|(a, b)| (a - b) / (2.0 * f64::from(h))).collect()
        };
        let (a, b) = (slope(0), slope(1));
        let log_normal = eps.iter().map(|e| -0.5 * f64::from(*e).powi(2) - HALF_LOG_TAU).sum::<f64>();
        let expected = log_normal - (a[0] * b[1] - a[1] * b[0]).abs().ln();
        let found = host(&at(eps).1)[0];
        assert!((found - expected).abs() < 5e-3, "{found} {expected}");
        assert_eq!(PlanarEncoder::<crate::nn::Mlp>::outputs(2, 3), 19);
    }
}
