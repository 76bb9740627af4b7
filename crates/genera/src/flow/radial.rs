//! Radial flows: Rezende and Mohamed, "Variational inference with normalizing flows" (arXiv:1505.05770).
//!
//! ```text
//! z = x + β (x − x₀) / (α + r),   r = |x − x₀|,   α = e^{a} > 0,   β = −α + log(1 + e^{b}) > −α
//! log det = (F − 1) log((r + α + β) / (r + α)) + log((r² + 2 α r + α (α + β)) / (r + α)²)
//! ```
//!
//! Both quotients are positive whatever the parameters. The inverse has a closed form: with `q = α + β − |z − x₀|`,
//! `r` is the positive root of `r² + q r − α |z − x₀|`.

use burn::module::{Module, Param};
use burn::tensor::activation::softplus;
use burn::tensor::{Device, Tensor};
use genera_rng::Rng;

use super::{Transform, row_sums};
use crate::nn::init::{constant, normal};
use crate::traits::{Bijection, Rows};

/// `x + β (x − x₀) / (α + |x − x₀|)`.
#[derive(Module, Debug)]
pub struct Radial {
    /// `x₀`: `[F]`.
    pub centre: Param<Tensor<1>>,
    /// `a`, the logarithm of `α`: `[1]`.
    pub log_alpha: Param<Tensor<1>>,
    /// `b`: `α + β = log(1 + e^b)`. `[1]`.
    pub raw_beta: Param<Tensor<1>>,
}

impl Radial {
    /// The centre is standard normal, `α` one and `β` zero.
    pub fn new(features: usize, rng: &mut Rng, device: &Device) -> Self {
        Self {
            centre: normal([features], 1.0, rng, device),
            log_alpha: constant([1], 0.0, device),
            raw_beta: constant([1], 0.541_324_9, device), // log(e − 1)
        }
    }

    /// `α` and `α + β`, `[1, 1]` each.
    fn alpha_and_sum(&self) -> (Rows, Rows) {
        (self.log_alpha.val().exp().unsqueeze(), softplus(self.raw_beta.val(), 1.0).clamp_min(1e-30).unsqueeze())
    }

    /// The length of each row, `[B, 1]`; its gradient at zero is zero.
    fn length(x: Rows) -> Rows {
        x.square().sum_dim(1).clamp_min(1e-24).sqrt()
    }

    fn log_det(r: Rows, alpha: Rows, sum: Rows, features: usize) -> Tensor<1> {
        let below = (r.clone() + alpha.clone()).log();
        let turn = (r.clone() + sum.clone()).log() - below.clone();
        let stretch = (r.clone().square() + alpha.clone() * r * 2.0 + alpha * sum).log() - below * 2.0;
        row_sums(turn * (features as f64 - 1.0) + stretch)
    }
}

impl Bijection for Radial {
    fn forward_and_log_det(&self, x: Rows) -> (Rows, Tensor<1>) {
        let features = x.dims()[1];
        let (alpha, sum) = self.alpha_and_sum();
        let centre: Rows = self.centre.val().unsqueeze();
        let offset = x - centre.clone();
        let r = Self::length(offset.clone());
        let factor = (r.clone() + sum.clone()) / (r.clone() + alpha.clone());
        (centre + offset * factor, Self::log_det(r, alpha, sum, features))
    }

    fn inverse_and_log_det(&self, z: Rows) -> (Rows, Tensor<1>) {
        let features = z.dims()[1];
        let (alpha, sum) = self.alpha_and_sum();
        let centre: Rows = self.centre.val().unsqueeze();
        let offset = z - centre.clone();
        let length = Self::length(offset.clone());
        let q = sum.clone() - length.clone();
        let product = alpha.clone() * length;
        let root = (q.clone().square() + product.clone() * 4.0).sqrt();
        // Of the two forms of the root the one that adds numbers of one sign.
        let positive = q.clone().greater_equal_scalar(0.0);
        let small = product * 2.0 / (q.clone().clamp_min(0.0) + root.clone());
        let r = ((root - q) * 0.5).mask_where(positive, small);
        let factor = (r.clone() + alpha.clone()) / (r.clone() + sum.clone());
        (centre + offset * factor, -Self::log_det(r, alpha, sum, features))
    }
}

impl Transform for Radial {
    fn stages(&self) -> Vec<(String, &dyn Transform)> {
        vec![("radial".to_owned(), self)]
    }
}
