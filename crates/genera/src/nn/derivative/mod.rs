//! Derivatives of networks with respect to their input, as operations that can be differentiated again.
//!
//! Burn's autodiff is of first order. What needs a gradient of a gradient (gradient penalties, score matching, traces
//! of Jacobians) is written with these instead: a network that is [`Linearise`] gives, at a point `x`, its value
//! `f(x)` and its derivative as two linear maps
//!
//! ```text
//! push   v -> J v          forward mode
//! pull   u -> Jᵀ u         reverse mode, spelled out
//! ```
//!
//! with `J = ∂f/∂x`. Both are exact and made of the same kernels as the network, so ordinary `backward` through
//! them gives the gradient with respect to the parameters.
//!
//! A network is linearised layer by layer ([`Linearised::then`]); a new one needs nothing but the list of its layers.
//! `x` is the point at which derivatives are taken: rows do not mix, so all rows of a batch are done at once.

mod layers;
mod networks;
mod trace;

use burn::tensor::Tensor;

use crate::traits::Rows;

pub use layers::residual;
pub use trace::{exact_trace, hutchinson_trace};

/// A map from rows to rows whose derivative with respect to the rows is known.
pub trait Linearise<I = Rows> {
    /// The value at `input` and the derivative there, with respect to the rows of `input`: `[B, F] -> [B, G]`.
    fn linearise(&self, input: I) -> Linearised<'_, Rows, Rows>;
}

/// The value of a map at a point, and its derivative there.
pub struct Linearised<'a, I, O> {
    /// `f(x)`.
    pub value: O,
    push: Box<dyn Fn(I) -> O + 'a>,
    pull: Box<dyn Fn(O) -> I + 'a>,
}

impl<'a, I: 'a, O: 'a> Linearised<'a, I, O> {
    /// A map with the value `value`, the derivative `push` and its transpose `pull`.
    pub fn new(value: O, push: impl Fn(I) -> O + 'a, pull: impl Fn(O) -> I + 'a) -> Self {
        Self { value, push: Box::new(push), pull: Box::new(pull) }
    }

    /// This map followed by another, by the chain rule.
    pub fn then<P: 'a>(self, next: impl FnOnce(O) -> Linearised<'a, O, P>) -> Linearised<'a, I, P> {
        let Self { value, push, pull } = self;
        let Linearised { value, push: next_push, pull: next_pull } = next(value);
        Linearised::new(value, move |v| next_push(push(v)), move |u| pull(next_pull(u)))
    }

    /// `J v`.
    pub fn push(&self, v: I) -> O {
        (self.push)(v)
    }

    /// `Jᵀ u`.
    pub fn pull(&self, u: O) -> I {
        (self.pull)(u)
    }
}

impl<'a, I: Clone + 'a, const D: usize> Linearised<'a, I, Tensor<D>>
where
    I: std::ops::Add<Output = I>,
{
    /// The sum of two maps of one point.
    pub fn plus(self, other: Self) -> Self {
        let value = self.value + other.value;
        let (push, pull) = ((self.push, other.push), (self.pull, other.pull));
        Self::new(
            value,
            move |v: I| (push.0)(v.clone()) + (push.1)(v),
            move |u: Tensor<D>| (pull.0)(u.clone()) + (pull.1)(u),
        )
    }
}

impl<'a, const D: usize> Linearised<'a, Tensor<D>, Tensor<D>> {
    /// The identity at `x`, from which a network starts.
    pub fn at(x: Tensor<D>) -> Self {
        Self::new(x, |v| v, |u| u)
    }
}

/// The value of a network with one output and the gradient of it with respect to the input, one a row:
/// `[B, F] -> ([B, 1], [B, F])`. A loss may depend on both.
///
/// # Panics
/// If the network has another number of outputs.
pub fn input_gradient<I>(net: &impl Linearise<I>, input: I) -> (Rows, Rows) {
    let at = net.linearise(input);
    let outputs = at.value.dims()[1];
    assert_eq!(outputs, 1, "input_gradient: a network with {outputs} outputs has no single gradient");
    let ones = at.value.ones_like();
    let gradient = at.pull(ones);
    (at.value, gradient)
}
