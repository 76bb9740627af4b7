//! Sylvester flows with Householder reflections: van den Berg, Hasenclever, Tomczak and Welling (arXiv:1803.05649).
//!
//! ```text
//! z = x + Q R tanh(a),   a = R̃ Qᵀ x + b      Q: F × M orthonormal, R and R̃: M × M upper triangular
//! log det = Σ log(1 + (1 − tanh² aᵢ) rᵢ r̃ᵢ)
//! ```
//!
//! Sylvester's identity makes a determinant of size `F` one of size `M`. The diagonals are `tanh`s times 0.9995, so that
//! `rᵢ r̃ᵢ > −1` and the map is invertible. The inverse solves `a + T tanh a = R̃ Qᵀ z + b` with `T = R̃ R` from the last
//! row up, one scalar root a row, exact to single precision.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use genera_rng::Rng;

use super::linear::orthogonal;
use super::root::tanh_root;
use super::{FlowError, Transform, row_sums};
use crate::nn::Activation;
use crate::nn::init::{constant, normal};
use crate::traits::{Bijection, Rows};

/// The largest size of an entry of the diagonals.
const MOST: f64 = 0.9995;

/// `x + Q R tanh(R̃ Qᵀ x + b)`.
#[derive(Module, Debug)]
pub struct Sylvester {
    /// The vectors of the reflections whose product begins with `Q`: `[M, F]`.
    pub v: Param<Tensor<2>>,
    /// `R` above the diagonal: `[M, M]`.
    pub r: Param<Tensor<2>>,
    /// `R̃` above the diagonal: `[M, M]`.
    pub r_tilde: Param<Tensor<2>>,
    /// The diagonal of `R` before its bound: `[M]`.
    pub diagonal: Param<Tensor<1>>,
    /// The diagonal of `R̃` before its bound: `[M]`.
    pub diagonal_tilde: Param<Tensor<1>>,
    /// `[M]`.
    pub b: Param<Tensor<1>>,
}

/// `Q` `[F, M]`, `R`, `R̃` `[M, M]`, and the products `rᵢ r̃ᵢ` `[1, M]`.
struct Parts {
    q: Tensor<2>,
    r: Tensor<2>,
    r_tilde: Tensor<2>,
    products: Tensor<2>,
}

impl Sylvester {
    /// A map of `hidden` units that is near the identity.
    ///
    /// # Errors
    /// No hidden units, or more than there are columns.
    pub fn new(features: usize, hidden: usize, rng: &mut Rng, device: &Device) -> Result<Self, FlowError> {
        FlowError::unless((1..=features).contains(&hidden), "hidden", hidden, format!("1 to {features}"))?;
        Ok(Self {
            v: normal([hidden, features], 1.0, rng, device),
            r: normal([hidden, hidden], 0.1, rng, device),
            r_tilde: normal([hidden, hidden], 0.1, rng, device),
            diagonal: normal([hidden], 0.1, rng, device),
            diagonal_tilde: normal([hidden], 0.1, rng, device),
            b: constant([hidden], 0.0, device),
        })
    }

    fn parts(&self) -> Parts {
        let [hidden, _] = self.v.dims();
        let eye = Tensor::<2>::eye(hidden, &self.v.device());
        let diagonal = |raw: &Param<Tensor<1>>| -> Tensor<2> { (raw.val().tanh() * MOST).unsqueeze() };
        let (d, d_tilde) = (diagonal(&self.diagonal), diagonal(&self.diagonal_tilde));
        Parts {
            q: orthogonal(self.v.val()).narrow(1, 0, hidden),
            r: self.r.val().triu(1) + eye.clone() * d.clone(),
            r_tilde: self.r_tilde.val().triu(1) + eye * d_tilde.clone(),
            products: d * d_tilde,
        }
    }

    /// `R̃ Qᵀ x + b`: `[B, F] -> [B, M]`.
    fn projection(&self, x: Rows, parts: &Parts) -> Rows {
        let weight = parts.r_tilde.clone().matmul(parts.q.clone().transpose());
        genera_kernels::linear(x, weight, Some(self.b.val()), Activation::Identity)
    }

    fn log_det(tanh: Rows, products: Tensor<2>) -> Tensor<1> {
        row_sums(((tanh.square().neg() + 1.0) * products).log1p())
    }

    /// `Q R h`: `[B, M] -> [B, F]`.
    fn push(h: Rows, parts: &Parts) -> Rows {
        genera_kernels::linear(h, parts.q.clone().matmul(parts.r.clone()), None, Activation::Identity)
    }
}

impl Bijection for Sylvester {
    fn forward_and_log_det(&self, x: Rows) -> (Rows, Tensor<1>) {
        let parts = self.parts();
        let tanh = self.projection(x.clone(), &parts).tanh();
        (x + Self::push(tanh.clone(), &parts), Self::log_det(tanh, parts.products))
    }

    fn inverse_and_log_det(&self, z: Rows) -> (Rows, Tensor<1>) {
        let parts = self.parts();
        let target = self.projection(z.clone(), &parts);
        let [rows, hidden] = target.dims();
        let t = parts.r_tilde.clone().matmul(parts.r.clone());
        // tanh a, from the last unit to the first.
        let mut known: Vec<Rows> = Vec::with_capacity(hidden);
        for unit in (0..hidden).rev() {
            let mut rest = target.clone().narrow(1, unit, 1);
            for (later, tanh) in (unit + 1..hidden).rev().zip(&known) {
                rest = rest - tanh.clone() * t.clone().narrow(0, unit, 1).narrow(1, later, 1);
            }
            let slope = parts.products.clone().narrow(1, unit, 1).expand([rows, 1]);
            known.push(tanh_root(slope, rest).tanh());
        }
        known.reverse();
        let tanh = Tensor::cat(known, 1);
        (z - Self::push(tanh.clone(), &parts), -Self::log_det(tanh, parts.products))
    }
}

impl Transform for Sylvester {
    fn stages(&self) -> Vec<(String, &dyn Transform)> {
        vec![("sylvester".to_owned(), self)]
    }
}
