//! Linear flows `z = W x` whose determinant is read off a diagonal.
//!
//! ```text
//! PLU    W = P L (U + diag s)    P fixed, L unit lower triangular       Kingma and Dhariwal, arXiv:1807.03039
//! QR     W = Q (R + diag s)      Q = Π (I − 2 v vᵀ / |v|²)              Hoogeboom et al., arXiv:1901.11137
//! log |det W| = Σ log |s|
//! ```
//!
//! `s` is kept as a sign and a logarithm, so that `W` is never singular in exact arithmetic. The inverse is computed in
//! double precision; a diagonal that has left the range of single precision gives rows that are not finite, which
//! [`Flow::scores`](super::Flow::scores) names.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use genera_rng::Rng;

use super::matrix::{self, Matrix};
use super::{Transform, for_each_row};
use crate::traits::{Bijection, Rows};

/// `W = P L (U + diag s)`.
#[derive(Module, Debug)]
pub struct Plu {
    /// The permutation, not trained: `[F, F]`.
    pub p: Param<Tensor<2>>,
    /// `L`, of which the part below the diagonal counts: `[F, F]`.
    pub lower: Param<Tensor<2>>,
    /// `U`, of which the part above the diagonal counts: `[F, F]`.
    pub upper: Param<Tensor<2>>,
    /// The signs of `s`, not trained: `[F]`.
    pub sign_s: Param<Tensor<1>>,
    /// `log |s|`: `[F]`.
    pub log_s: Param<Tensor<1>>,
}

impl Plu {
    /// Starts at a random orthogonal matrix.
    pub fn new(features: usize, rng: &mut Rng, device: &Device) -> Self {
        let [p, l, u] = Matrix::orthogonal(features, rng).plu();
        let diagonal = |of: fn(f64) -> f64| {
            let values: Vec<f32> = (0..features).map(|at| of(u.at(at, at)) as f32).collect();
            Param::from_tensor(Tensor::from_data(TensorData::new(values, [features]), device))
        };
        Self {
            p: Param::from_tensor(p.to_tensor(device)).set_require_grad(false),
            lower: Param::from_tensor(l.to_tensor(device).tril(-1)),
            upper: Param::from_tensor(u.to_tensor(device).triu(1)),
            sign_s: diagonal(f64::signum).set_require_grad(false),
            log_s: diagonal(|s| s.abs().ln()),
        }
    }

    /// `W`: `[F, F]`.
    pub fn weight(&self) -> Tensor<2> {
        let features = self.log_s.dims()[0];
        let eye = Tensor::<2>::eye(features, &self.log_s.device());
        let s: Tensor<2> = (self.sign_s.val() * self.log_s.val().exp()).unsqueeze();
        let upper = self.upper.val().triu(1) + eye.clone() * s;
        self.p.val().matmul(self.lower.val().tril(-1) + eye).matmul(upper)
    }

    /// `W⁻¹`: `[F, F]`.
    pub fn inverse_weight(&self) -> Tensor<2> {
        matrix::inverse(self.weight())
    }

    /// `log |det W|`: `[1]`.
    pub fn log_det(&self) -> Tensor<1> {
        self.log_s.val().sum()
    }
}

impl Bijection for Plu {
    fn forward_and_log_det(&self, x: Rows) -> (Rows, Tensor<1>) {
        multiply(x, self.weight(), self.log_det())
    }

    fn inverse_and_log_det(&self, z: Rows) -> (Rows, Tensor<1>) {
        multiply(z, self.inverse_weight(), -self.log_det())
    }
}

impl Transform for Plu {
    fn stages(&self) -> Vec<(String, &dyn Transform)> {
        vec![("plu".to_owned(), self)]
    }
}

/// `x Wᵀ` and its log-determinant. The fused product gives a row the same bits in any batch.
fn multiply(x: Rows, w: Tensor<2>, log_det: Tensor<1>) -> (Rows, Tensor<1>) {
    let rows = x.dims()[0];
    (genera_kernels::linear(x, w, None, crate::nn::Activation::Identity), for_each_row(log_det, rows))
}

/// `W = Q (R + diag s)`.
#[derive(Module, Debug)]
pub struct Qr {
    /// The vectors of the reflections: `[F, F]`.
    pub v: Param<Tensor<2>>,
    /// `R`, of which the part above the diagonal counts: `[F, F]`.
    pub upper: Param<Tensor<2>>,
    /// `log s`: `[F]`.
    pub log_s: Param<Tensor<1>>,
}

impl Qr {
    /// Starts at a random orthogonal matrix.
    pub fn new(features: usize, rng: &mut Rng, device: &Device) -> Self {
        let v = TensorData::new(rng.normal(features, features), [features, features]);
        Self {
            v: Param::from_tensor(Tensor::from_data(v, device)),
            upper: Param::from_tensor(Tensor::zeros([features, features], device)),
            log_s: Param::from_tensor(Tensor::zeros([features], device)),
        }
    }

    /// `W`: `[F, F]`.
    pub fn weight(&self) -> Tensor<2> {
        let features = self.log_s.dims()[0];
        let eye = Tensor::<2>::eye(features, &self.log_s.device());
        let s: Tensor<2> = self.log_s.val().exp().unsqueeze();
        orthogonal(self.v.val()).matmul(self.upper.val().triu(1) + eye * s)
    }
}

/// The product of the reflections `I − 2 v vᵀ / |v|²` at the rows of `v`: `[K, F] -> [F, F]`.
pub(super) fn orthogonal(v: Tensor<2>) -> Tensor<2> {
    let [count, features] = v.dims();
    let eye = Tensor::<2>::eye(features, &v.device());
    (0..count).fold(eye, |q, at| {
        let v = v.clone().narrow(0, at, 1); // [1, F]
        let length = v.clone().square().sum_dim(1).clamp_min(1e-30);
        let column = q.clone().matmul(v.clone().transpose()); // [F, 1]
        q - column.matmul(v / length) * 2.0
    })
}

impl Bijection for Qr {
    fn forward_and_log_det(&self, x: Rows) -> (Rows, Tensor<1>) {
        multiply(x, self.weight(), self.log_s.val().sum())
    }

    fn inverse_and_log_det(&self, z: Rows) -> (Rows, Tensor<1>) {
        multiply(z, matrix::inverse(self.weight()), -self.log_s.val().sum())
    }
}

impl Transform for Qr {
    fn stages(&self) -> Vec<(String, &dyn Transform)> {
        vec![("qr".to_owned(), self)]
    }
}
