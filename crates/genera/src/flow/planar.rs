//! Planar flows: Rezende and Mohamed, "Variational inference with normalizing flows" (arXiv:1505.05770).
//!
//! ```text
//! z = x + û tanh(a),   a = w·x + b      log det = log(1 + (1 − tanh² a) w·û)
//! û = u + (m(w·u) − w·u) w / |w|²,      m(v) = −1 + log(1 + eᵛ)  >  −1
//! ```
//!
//! The determinant is evaluated at the point before the map. Invertibility is enforced by `û`; here `w·û` also stays
//! 1e-5 above −1, so that the logarithm is finite in single precision. The inverse finds `a` by the scalar equation
//! `a + w·û tanh a = w·z + b`, exact to single precision.

use burn::module::{Module, Param};
use burn::tensor::activation::softplus;
use burn::tensor::{Device, Tensor};
use genera_rng::Rng;

use super::root::tanh_root;
use super::{Transform, row_sums};
use crate::nn::init::normal;
use crate::traits::{Bijection, Rows};

/// How far `w·û` stays from −1.
const MARGIN: f64 = 1e-5;

/// `x + û tanh(w·x + b)`.
#[derive(Module, Debug)]
pub struct Planar {
    /// `[F]`.
    pub u: Param<Tensor<1>>,
    /// `[F]`.
    pub w: Param<Tensor<1>>,
    /// `[1]`.
    pub b: Param<Tensor<1>>,
}

impl Planar {
    /// All parameters normal with deviation 0.1.
    pub fn new(features: usize, rng: &mut Rng, device: &Device) -> Self {
        let mut draw = |size| normal([size], 0.1, rng, device);
        Self { u: draw(features), w: draw(features), b: draw(1) }
    }

    /// `û`, `[1, F]`, and `w·û`, `[1, 1]`.
    fn constrained(&self) -> (Rows, Rows) {
        let (u, w): (Rows, Rows) = (self.u.val().unsqueeze(), self.w.val().unsqueeze());
        let product = (w.clone() * u.clone()).sum_dim(1);
        let length = w.clone().square().sum_dim(1);
        let floor = length.clone().clamp_min(1e-12);
        let bounded = softplus(product.clone(), 1.0) - (1.0 - MARGIN);
        let missing = bounded.clone() - product.clone();
        // The product with û from its parts: the sum Σ w û would lose the margin to rounding.
        let share = length / floor.clone(); // one, but for a w that is nearly zero
        let whole = share.clone().neg() + 1.0;
        (u + w * (missing / floor), bounded * share + product * whole)
    }

    /// `log(1 + (1 − tanh² a) w·û)` from `tanh a` `[B, 1]`.
    fn log_det(tanh: Rows, product: Rows) -> Tensor<1> {
        row_sums(((tanh.square().neg() + 1.0) * product).log1p())
    }

    /// `w·x + b`, `[B, 1]`.
    fn projection(&self, x: Rows) -> Rows {
        (x * self.w.val().unsqueeze()).sum_dim(1) + self.b.val().unsqueeze()
    }
}

impl Bijection for Planar {
    fn forward_and_log_det(&self, x: Rows) -> (Rows, Tensor<1>) {
        let (u, product) = self.constrained();
        let tanh = self.projection(x.clone()).tanh();
        (x + u * tanh.clone(), Self::log_det(tanh, product))
    }

    fn inverse_and_log_det(&self, z: Rows) -> (Rows, Tensor<1>) {
        let (u, product) = self.constrained();
        let target = self.projection(z.clone());
        let rows = target.dims()[0];
        let tanh = tanh_root(product.clone().expand([rows, 1]), target).tanh();
        (z - u * tanh.clone(), -Self::log_det(tanh, product))
    }
}

impl Transform for Planar {
    fn stages(&self) -> Vec<(String, &dyn Transform)> {
        vec![("planar".to_owned(), self)]
    }
}
