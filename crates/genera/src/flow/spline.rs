//! Rational-quadratic splines: Durkan, Bekasov, Murray and Papamakarios, "Neural spline flows" (arXiv:1906.04032).
//!
//! Between the knots `(x_k, y_k)` with slopes `d_k`, and with `ξ = (x − x_k) / w`, `s = h / w`, `t = ξ (1 − ξ)`:
//!
//! ```text
//! y     = y_k + h (s ξ² + d_k t) / q               q = s + (d_k + d_{k+1} − 2 s) t
//! dy/dx = s² (d_{k+1} ξ² + 2 s t + d_k (1 − ξ)²) / q²
//! ξ     = 2c / (−b − √(b² − 4ac))                  the inverse: a root of a quadratic, the stable one
//! ```
//!
//! On `[−B, B]`; outside, and with slope one at the ends, the identity. Widths and heights are softmaxes and inner
//! slopes exponentials of softly bounded numbers, as in zuko, so that slopes stay within a factor of 1000 and a row is
//! never in a bin without width.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;

use super::univariate::{LOG_THOUSAND, softly_within};
use crate::traits::Rows;

/// The corner `(x, y)`, size and end slopes of the bin that each number lies in: `[B, M]` each.
struct Bin {
    x: Rows,
    width: Rows,
    y: Rows,
    height: Rows,
    left: Rows,
    right: Rows,
}

/// Which coordinate of the knots decides.
#[derive(Clone, Copy)]
enum Axis {
    X,
    Y,
}

/// `z` and `log dz/dx`: `[B, M], [B, 3K − 1, M] -> [B, M], [B, M]`.
pub(super) fn forward(x: Rows, parameters: Tensor<3>, bins: usize, bound: f64) -> (Rows, Rows) {
    let outside = x.clone().abs().greater_equal_scalar(bound);
    // Where the identity holds the spline is evaluated at its end: no gradient is ever 0 · ∞.
    let within = x.clone().clamp(-bound, bound);
    let bin = Bin::of(&within, parameters, bins, bound, Axis::X);
    let xi = (within - bin.x.clone()) / bin.width.clone();
    let (y, slope) = bin.evaluate(xi);
    (y.mask_where(outside.clone(), x), slope.mask_fill(outside, 0.0))
}

/// `x` and `log dx/dz`: `[B, M], [B, 3K − 1, M] -> [B, M], [B, M]`.
pub(super) fn inverse(z: Rows, parameters: Tensor<3>, bins: usize, bound: f64) -> (Rows, Rows) {
    let outside = z.clone().abs().greater_equal_scalar(bound);
    let within = z.clone().clamp(-bound, bound);
    let bin = Bin::of(&within, parameters, bins, bound, Axis::Y);
    let s = bin.height.clone() / bin.width.clone();
    let rise = within - bin.y.clone();
    let bend = (bin.left.clone() + bin.right.clone() - s.clone() * 2.0) * rise.clone();
    let a = bin.height.clone() * (s.clone() - bin.left.clone()) + bend.clone();
    let b = bin.height.clone() * bin.left.clone() - bend;
    let c = -s * rise;
    let root = (b.clone().square() - a * c.clone() * 4.0).clamp_min(1e-20).sqrt();
    let xi = (c * 2.0 / (-b - root)).clamp(0.0, 1.0);
    let x = bin.x.clone() + xi.clone() * bin.width.clone();
    let (_, slope) = bin.evaluate(xi);
    (x.mask_where(outside.clone(), z), slope.neg().mask_fill(outside, 0.0))
}

impl Bin {
    fn of(at: &Rows, parameters: Tensor<3>, bins: usize, bound: f64, axis: Axis) -> Self {
        let [rows, _, columns] = parameters.dims();
        let device = parameters.device();
        let ends = |value: f64| Tensor::<3>::full([rows, 1, columns], value, &device);
        // K + 1 edges, the outer ones exactly at ±B.
        let edges = |first| {
            let shares = softmax(softly_within(parameters.clone().narrow(1, first, bins), LOG_THOUSAND / 2.0), 1);
            let inner = shares.narrow(1, 0, bins - 1).cumsum(1) * (2.0 * bound) - bound;
            Tensor::cat(vec![ends(-bound), inner, ends(bound)], 1)
        };
        let (x, y) = (edges(0), edges(bins));
        let slopes = softly_within(parameters.narrow(1, 2 * bins, bins - 1), LOG_THOUSAND).exp();
        let slopes = Tensor::cat(vec![ends(1.0), slopes, ends(1.0)], 1);

        let knots = match axis {
            Axis::X => &x,
            Axis::Y => &y,
        };
        // 1 for the bin that holds the number: it is past the bin's left edge and not past the next one.
        let inner = knots.clone().detach().narrow(1, 1, bins - 1);
        let past = at.clone().detach().unsqueeze_dim::<3>(1).greater_equal(inner).float();
        let chosen = Tensor::cat(vec![ends(1.0), past.clone()], 1) - Tensor::cat(vec![past, ends(0.0)], 1);

        let left = |edges: &Tensor<3>| edges.clone().narrow(1, 0, bins);
        let right = |edges: &Tensor<3>| edges.clone().narrow(1, 1, bins);
        let all = [left(&x), right(&x), left(&y), right(&y), left(&slopes), right(&slopes)];
        let all = all.into_iter().map(|part| part.unsqueeze_dim::<4>(1)).collect();
        let picked: Tensor<4> = (Tensor::cat(all, 1) * chosen.unsqueeze_dim(1)).sum_dim(2);
        let picked: Tensor<3> = picked.squeeze_dim(2);
        let part = |at| picked.clone().narrow(1, at, 1).squeeze_dim(1);
        let (x, next_x, y, next_y): (Rows, Rows, Rows, Rows) = (part(0), part(1), part(2), part(3));
        Self { width: next_x - x.clone(), x, height: next_y - y.clone(), y, left: part(4), right: part(5) }
    }

    /// `y` and `log dy/dx` at `ξ`.
    fn evaluate(&self, xi: Rows) -> (Rows, Rows) {
        let Self { y, width, height, left, right, .. } = self;
        let s = height.clone() / width.clone();
        let rest = xi.clone().neg() + 1.0;
        let t = xi.clone() * rest.clone();
        let q = s.clone() + (left.clone() + right.clone() - s.clone() * 2.0) * t.clone();
        let value =
            y.clone() + height.clone() * (s.clone() * xi.clone().square() + left.clone() * t.clone()) / q.clone();
        let slope = right.clone() * xi.square() + s.clone() * t * 2.0 + left.clone() * rest.square();
        (value, (s.log() - q.log()) * 2.0 + slope.log())
    }
}
