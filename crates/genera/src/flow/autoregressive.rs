//! Autoregressive flows: each column moves as the columns before it say.
//!
//! ```text
//! z_j = g(x_j; θ_j(x_<j))     log det = Σ log g'     one pass; x needs one pass a column
//! ```
//!
//! With `g` affine this is the masked autoregressive flow (Papamakarios, Pavlakou and Murray, arXiv:1705.07057), fast
//! densities and slow samples; its [`Inverse`](super::Inverse) is the inverse autoregressive flow (Kingma et al.,
//! arXiv:1606.04934), fast samples and slow densities. With a spline, the autoregressive neural spline flow.

use burn::module::Module;
use burn::tensor::Tensor;

use super::{Seen, Transform, Univariate, row_sums};
use crate::traits::{Bijection, Net, Rows};

/// An autoregressive map whose parameters come from a masked network `[B, F] -> [B, P · F]`, parameter by parameter.
#[derive(Module, Debug)]
pub struct Autoregressive<N: Module> {
    /// Chooses the parameters of a column from the columns before it.
    pub net: N,
    #[module(skip)]
    order: Vec<usize>,
    #[module(skip)]
    univariate: Univariate,
}

impl<N: Module + Net<Seen>> Autoregressive<N> {
    /// `order` is that of the network's masks: column `i` comes as number `order[i]`.
    pub fn new(net: N, order: Vec<usize>, univariate: Univariate) -> Self {
        Self { net, order, univariate }
    }

    fn parameters(&self, x: Rows, context: Option<&Rows>) -> Tensor<3> {
        let [rows, features] = x.dims();
        let numbers = self.net.forward(Seen { x, context: context.cloned() });
        numbers.reshape([rows, self.univariate.parameters(), features])
    }
}

impl<N: Module + Net<Seen>> Bijection for Autoregressive<N> {
    fn forward_and_log_det(&self, x: Rows) -> (Rows, Tensor<1>) {
        self.forward_given(x, None)
    }

    fn inverse_and_log_det(&self, z: Rows) -> (Rows, Tensor<1>) {
        self.inverse_given(z, None)
    }
}

impl<N: Module + Net<Seen>> Transform for Autoregressive<N> {
    fn forward_given(&self, x: Rows, context: Option<&Rows>) -> (Rows, Tensor<1>) {
        let parameters = self.parameters(x.clone(), context);
        let (z, slope) = self.univariate.forward(x, parameters);
        (z, row_sums(slope))
    }

    fn inverse_given(&self, z: Rows, context: Option<&Rows>) -> (Rows, Tensor<1>) {
        let [rows, features] = z.dims();
        let mut columns = vec![Tensor::<2>::zeros([rows, 1], &z.device()); features];
        let mut slopes = Vec::with_capacity(features);
        let mut by_order = vec![0; features];
        self.order.iter().enumerate().for_each(|(column, order)| by_order[*order] = column);
        for column in by_order {
            let parameters = self.parameters(Tensor::cat(columns.clone(), 1), context).narrow(2, column, 1);
            let (x, slope) = self.univariate.inverse(z.clone().narrow(1, column, 1), parameters);
            columns[column] = x;
            slopes.push(slope);
        }
        (Tensor::cat(columns, 1), row_sums(Tensor::cat(slopes, 1)))
    }

    fn stages(&self) -> Vec<(String, &dyn Transform)> {
        vec![("autoregressive".to_owned(), self)]
    }
}
