//! Multi-scale flows: half of the columns leave early.
//!
//! ```text
//! x = (h, d)      z = (rest(h), (d − m(h)) / s(h))
//! ```
//!
//! The half that leaves has the prior `N(m(h), s(h)²)`, as in Glow (Kingma and Dhariwal, arXiv:1807.03039), written as
//! a coupling that makes it standard normal; so the base of the whole flow stays one standard normal. Dinh et al.
//! (arXiv:1605.08803) is the case `m = 0`, `s = 1`.

use burn::module::Module;
use burn::tensor::Tensor;

use super::{Coupling, Layer, Seen, Transform};
use crate::traits::{Bijection, Net, Rows};

/// The second half of the columns is normalised given the first; the first goes on alone.
#[derive(Module, Debug)]
pub struct Split<N: Module> {
    /// The prior of the half that leaves, a coupling that keeps the first half.
    pub prior: Coupling<N>,
    /// What happens to the first half.
    pub rest: Vec<Layer>,
}

impl<N: Module> Split<N> {
    fn halves(x: Rows) -> (Rows, Rows) {
        let features = x.dims()[1];
        let half = features / 2;
        (x.clone().narrow(1, 0, half), x.narrow(1, half, features - half))
    }
}

impl<N: Module + Net<Seen>> Bijection for Split<N> {
    fn forward_and_log_det(&self, x: Rows) -> (Rows, Tensor<1>) {
        self.forward_given(x, None)
    }

    fn inverse_and_log_det(&self, z: Rows) -> (Rows, Tensor<1>) {
        self.inverse_given(z, None)
    }
}

impl<N: Module + Net<Seen>> Transform for Split<N> {
    fn forward_given(&self, x: Rows, context: Option<&Rows>) -> (Rows, Tensor<1>) {
        let (x, log_prior) = self.prior.forward_given(x, context);
        let (h, noise) = Self::halves(x);
        let (z, log_det) = self.rest.forward_given(h, context);
        (Tensor::cat(vec![z, noise], 1), log_prior + log_det)
    }

    fn inverse_given(&self, z: Rows, context: Option<&Rows>) -> (Rows, Tensor<1>) {
        let (z, noise) = Self::halves(z);
        let (h, log_det) = self.rest.inverse_given(z, context);
        let (x, log_prior) = self.prior.inverse_given(Tensor::cat(vec![h, noise], 1), context);
        (x, log_prior + log_det)
    }

    fn started(self, x: &Rows, context: Option<&Rows>) -> Self {
        let (h, _) = Self::halves(x.clone());
        Self { rest: self.rest.started(&h, context), ..self }
    }

    fn stages(&self) -> Vec<(String, &dyn Transform)> {
        vec![("split".to_owned(), self)]
    }
}
