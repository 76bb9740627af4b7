//! One monotone function a column, with parameters of its own: `z_j = g(x_j; θ_j)`, `log det = Σ log g'`.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::{Transform, Univariate, row_sums};
use crate::traits::{Bijection, Rows};

/// A [`Univariate`] for each column.
#[derive(Module, Debug)]
pub struct Elementwise {
    /// `[P, F]`.
    pub parameters: Param<Tensor<2>>,
    #[module(skip)]
    univariate: Univariate,
}

impl Elementwise {
    /// Starts with all parameters zero: the identity, but for the sigmoid's slope of 0.88.
    pub fn new(features: usize, univariate: Univariate, device: &Device) -> Self {
        let parameters = Param::from_tensor(Tensor::zeros([univariate.parameters(), features], device));
        Self { parameters, univariate }
    }

    /// The parameters of every row, `[B, P, F]`.
    fn for_rows(&self, rows: usize) -> Tensor<3> {
        let [count, features] = self.parameters.dims();
        self.parameters.val().unsqueeze_dim::<3>(0).expand([rows, count, features])
    }
}

impl Bijection for Elementwise {
    fn forward_and_log_det(&self, x: Rows) -> (Rows, Tensor<1>) {
        let parameters = self.for_rows(x.dims()[0]);
        let (z, slope) = self.univariate.forward(x, parameters);
        (z, row_sums(slope))
    }

    fn inverse_and_log_det(&self, z: Rows) -> (Rows, Tensor<1>) {
        let parameters = self.for_rows(z.dims()[0]);
        let (x, slope) = self.univariate.inverse(z, parameters);
        (x, row_sums(slope))
    }
}

impl Transform for Elementwise {
    fn stages(&self) -> Vec<(String, &dyn Transform)> {
        vec![("elementwise".to_owned(), self)]
    }
}
