//! A flow is an autoencoder whose encoder and decoder know no doubt: its bound is the exact likelihood.

use genera::Rng;
use genera::burn::module::Module;
use genera::burn::tensor::Tensor;
use genera::traits::{LowerBound, Rows};
use genera::vae::{Decode, Encode, Likelihood, Posterior, StandardNormal, VaeConfig};

use super::{device, rows};

/// A flow as an autoencoder: `q(z|x) = δ(z − f(x))`, `p(x|z) = δ(x − f⁻¹(z))`; what is left of `log p(x|z) − log q(z|x)` is
/// `log |det ∂f/∂x|`. Here `f(x) = x + ½ tanh x` for each value.
#[derive(Module, Debug)]
struct Delta {
    slope: genera::burn::module::Param<Tensor<1>>,
}

#[derive(Clone, Debug)]
struct AtPoint(Rows);

impl Posterior for AtPoint {
    fn draw(&self, _eps: Rows) -> (Rows, Tensor<1>) {
        let tanh = self.0.clone().tanh();
        let log_det = ((tanh.clone().square().neg() + 1.0) * 0.5 + 1.0).log().sum_dim(1).squeeze_dim(1);
        (self.0.clone() + tanh * 0.5, log_det.neg())
    }

    fn latents(&self) -> usize {
        self.0.dims()[1]
    }

    fn mean(&self) -> Rows {
        self.draw(self.0.clone()).0
    }

    fn repeat(&self, k: usize) -> Self {
        assert_eq!(k, 1);
        self.clone()
    }
}

#[derive(Debug)]
struct Sure(Rows);

impl Likelihood for Sure {
    fn log_prob(&self, x: Rows) -> Tensor<1> {
        Tensor::zeros([x.dims()[0]], &x.device())
    }

    fn mean(&self) -> Rows {
        self.0.clone()
    }

    fn sample(&self, _rng: &mut Rng) -> Rows {
        self.0.clone()
    }
}

impl Encode for Delta {
    type Posterior = AtPoint;

    fn posterior(&self, x: Rows) -> AtPoint {
        AtPoint(x)
    }
}

impl Decode for Delta {
    type Likelihood = Sure;

    fn likelihood(&self, z: Rows) -> Sure {
        Sure(z)
    }
}

#[test]
fn a_flow_is_an_autoencoder_whose_bound_is_exact() {
    let delta = || Delta { slope: genera::burn::module::Param::from_tensor(Tensor::ones([1], &device())) };
    let vae = VaeConfig::new(1).init(delta(), delta(), StandardNormal::new(1, &device())).unwrap();
    let grid: Vec<f64> = (0..1601).map(|i| -8.0 + 0.01 * f64::from(i)).collect();
    let log_p = vae.lower_bound(rows(&grid, 1), &mut Rng::new(1));
    let total: f64 = log_p.iter().map(|l| l.exp() * 0.01).sum();
    assert!((total - 1.0).abs() < 1e-5, "{total}");
    for (x, found) in grid.iter().zip(&log_p).step_by(97) {
        let exact = -0.5 * (x + 0.5 * x.tanh()).powi(2) - 0.5 * std::f64::consts::TAU.ln()
            + (1.0 + 0.5 * (1.0 - x.tanh().powi(2))).ln();
        assert!((found - exact).abs() < 1e-5 * exact.abs().max(1.0));
    }
}
