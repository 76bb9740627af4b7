//! What a vector field must know of itself.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::traits::Rows;

/// A network `f(z, t)` that knows its derivatives in both directions.
///
/// `∂f/∂z` times a vector is wanted inside of an objective that is then differentiated, which is a second derivative:
/// a field spells out the product and the way back through it, on tensors without autodiff.
pub trait VectorField: Module {
    /// The length `F` of a row.
    fn features(&self) -> usize;

    /// `f(z, t)`, row `i` at time `t[i]`: `[B, F] -> [B, F]`. No gradient flows.
    fn forward(&self, t: &[f64], z: Rows) -> Rows;

    /// `f` and `∂f/∂z v` for `m` directions a row, `[m B, F]` with direction `k` of row `i` at `k B + i`, and the way
    /// back. No gradient flows but by that way.
    fn linearise(&self, t: &[f64], z: Rows, v: Option<Rows>) -> Linearisation;

    /// `f` and `tr ∂f/∂z`, and the way back. No gradient flows but by that way.
    fn trace(&self, t: &[f64], z: Rows) -> Traced;
}

/// A field at a point, to first order.
pub struct Linearisation {
    /// `f`: `[B, F]`.
    pub value: Rows,
    /// `∂f/∂z v`: `[m B, F]`, if directions were given.
    pub jvp: Option<Rows>,
    /// From cotangents of `value` and `jvp` to those of `z` and the parameters.
    #[allow(clippy::type_complexity, reason = "it is what the name says")]
    pub pull_back: Box<dyn FnOnce(Rows, Option<Rows>, Wanted) -> Cotangents>,
}

/// A field at a point, and its divergence there.
pub struct Traced {
    /// `f`: `[B, F]`.
    pub value: Rows,
    /// `tr ∂f/∂z`: `[B, 1]`.
    pub trace: Rows,
    /// From cotangents of `value` and `trace` to those of `z` and the parameters.
    #[allow(clippy::type_complexity, reason = "it is what the name says")]
    pub pull_back: Box<dyn FnOnce(Rows, Rows, Wanted) -> Cotangents>,
}

/// Which cotangents are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Of the state alone.
    State,
    /// Of the parameters too.
    Parameters,
}

/// What comes back through a field.
#[derive(Debug)]
pub struct Cotangents {
    /// `[B, F]`.
    pub z: Rows,
    /// One vector a parameter, in the order in which a visitor of the module meets them; empty if not wanted.
    pub parameters: Vec<Tensor<1>>,
}
