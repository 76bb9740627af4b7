//! Coupling layers: one part of the row moves as a network of the other part says.
//!
//! ```text
//! z_kept = x_kept      z_moved = g(x_moved; θ),  θ = net(x_kept)      log det = Σ log g'
//! ```
//!
//! With `g` additive NICE (Dinh, Krueger and Bengio, arXiv:1410.8516), affine RealNVP (Dinh, Sohl-Dickstein and Bengio,
//! arXiv:1605.08803) and Glow (arXiv:1807.03039), a spline the neural spline flow (arXiv:1906.04032).

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::{Mask, Part, Scale, Seen, Transform, Univariate, row_sums};
use crate::nn::Mlp;
use crate::traits::{Bijection, Net, Rows};

/// A coupling whose parameters come from a network `[B, kept] -> [B, P · moved]`, parameter by parameter.
#[derive(Module, Debug)]
pub struct Coupling<N: Module> {
    /// Chooses the parameters.
    pub net: N,
    /// `(c, d)` of the log-scale `c tanh(a) + d`, zero at first, for RealNVP's bounded scale; without it the numbers go
    /// straight to the [`Univariate`]. `[2]`.
    pub rescale: Option<Param<Tensor<1>>>,
    /// One for the kept fields of a checkerboard, `[1, F]`.
    board: Option<Tensor<2>>,
    #[module(skip)]
    mask: Mask,
    #[module(skip)]
    univariate: Univariate,
}

impl<N: Module + Net<Seen>> Coupling<N> {
    /// A coupling. The width of the network's input and output follows from [`Mask::widths`] and
    /// [`Univariate::parameters`].
    pub fn new(net: N, mask: Mask, univariate: Univariate, device: &Device) -> Self {
        Self { net, rescale: None, board: mask.board(device), mask, univariate }
    }

    /// An affine coupling with RealNVP's log-scale `c tanh(a) + d`, whose learned `c` and `d` start at zero.
    pub fn bounded(net: N, mask: Mask, device: &Device) -> Self {
        let rescale = Some(Param::from_tensor(Tensor::zeros([2], device)));
        Self { rescale, ..Self::new(net, mask, Univariate::Affine(Scale::Exponential), device) }
    }

    /// The parameters `[B, P, moved]`.
    fn parameters(&self, kept: Rows, context: Option<&Rows>) -> Tensor<3> {
        let rows = kept.dims()[0];
        let numbers = self.net.forward(Seen { x: kept, context: context.cloned() });
        let count = self.univariate.parameters();
        let columns = numbers.dims()[1] / count;
        let parameters = numbers.reshape([rows, count, columns]);
        match &self.rescale {
            None => parameters,
            Some(rescale) => {
                let [c, d]: [Tensor<3>; 2] = [0, 1].map(|at| rescale.val().narrow(0, at, 1).unsqueeze());
                let (t, a) = (parameters.clone().narrow(1, 0, 1), parameters.narrow(1, 1, 1));
                Tensor::cat(vec![t, a.tanh() * c + d], 1)
            }
        }
    }

    fn apply(
        &self,
        x: Rows,
        context: Option<&Rows>,
        map: fn(Univariate, Rows, Tensor<3>) -> (Rows, Rows),
    ) -> (Rows, Tensor<1>) {
        match (&self.board, self.mask) {
            (Some(board), _) => {
                let moving = board.clone().neg() + 1.0;
                let kept = x.clone() * board.clone();
                let (y, slope) = map(self.univariate, x, self.parameters(kept.clone(), context));
                (kept + y * moving.clone(), row_sums(slope * moving))
            }
            (None, mask) => {
                let features = x.dims()[1];
                let half = features / 2;
                let (first, second) = (x.clone().narrow(1, 0, half), x.narrow(1, half, features - half));
                let keeps_first = !matches!(mask, Mask::Halves(Part::Second));
                let (kept, moved) = if keeps_first { (first, second) } else { (second, first) };
                let (y, slope) = map(self.univariate, moved, self.parameters(kept.clone(), context));
                let parts = if keeps_first { vec![kept, y] } else { vec![y, kept] };
                (Tensor::cat(parts, 1), row_sums(slope))
            }
        }
    }
}

impl<N: Module + Net<Seen>> Bijection for Coupling<N> {
    fn forward_and_log_det(&self, x: Rows) -> (Rows, Tensor<1>) {
        self.forward_given(x, None)
    }

    fn inverse_and_log_det(&self, z: Rows) -> (Rows, Tensor<1>) {
        self.inverse_given(z, None)
    }
}

impl<N: Module + Net<Seen>> Transform for Coupling<N> {
    fn forward_given(&self, x: Rows, context: Option<&Rows>) -> (Rows, Tensor<1>) {
        self.apply(x, context, Univariate::forward)
    }

    fn inverse_given(&self, z: Rows, context: Option<&Rows>) -> (Rows, Tensor<1>) {
        self.apply(z, context, Univariate::inverse)
    }

    fn stages(&self) -> Vec<(String, &dyn Transform)> {
        vec![("coupling".to_owned(), self)]
    }
}

impl Net<Seen> for Mlp {
    fn forward(&self, seen: Seen) -> Rows {
        Net::<Rows>::forward(self, seen.joined())
    }
}
