//! The derivatives of the layers.

use burn::module::Param;
use burn::tensor::Tensor;
use genera_kernels::{self as kernels, Activation, activation_tangent};

use super::Linearised;
use crate::nn::{Conv2d, GroupNorm, LayerNorm, Linear, image};

impl Linear {
    /// `J v = W v` at `x`: `[.., inputs] -> [.., outputs]`.
    pub fn linearise<const D: usize>(&self, x: Tensor<D>) -> Linearised<'_, Tensor<D>, Tensor<D>> {
        let along = |v, weight| kernels::linear(v, weight, None, Activation::Identity);
        let push = move |v| along(v, self.weight.val());
        Linearised::new(self.forward(x), push, move |u| along(u, self.weight.val().transpose()))
    }
}

impl Conv2d {
    /// `J v` is the convolution without its bias, `Jᵀ u` the transposed one: `[B, H, W, inputs] -> [B, H', W', outputs]`.
    pub fn linearise(&self, x: Tensor<4>) -> Linearised<'_, Tensor<4>, Tensor<4>> {
        let [_, height, width, _] = x.dims();
        let push = |v| kernels::conv2d(v, self.weight.val(), None, None, self.options());
        let pull = move |u| kernels::conv_transpose2d(u, self.weight.val(), None, [height, width], self.options());
        Linearised::new(self.forward(x), push, pull)
    }
}

/// An activation at `x`; its derivative is its own transpose.
pub(super) fn activation<'a, const D: usize>(
    x: Tensor<D>,
    activation: Activation,
) -> Linearised<'a, Tensor<D>, Tensor<D>> {
    let value = kernels::activate(x.clone(), activation);
    let along = move |v| activation_tangent(x.clone(), v, activation);
    Linearised::new(value, along.clone(), along)
}

/// `x + f(x)`.
pub fn residual<'a, const D: usize>(
    x: Tensor<D>,
    f: impl FnOnce(Tensor<D>) -> Linearised<'a, Tensor<D>, Tensor<D>>,
) -> Linearised<'a, Tensor<D>, Tensor<D>> {
    let Linearised { value, push, pull } = f(x.clone());
    Linearised::new(x + value, move |v: Tensor<D>| v.clone() + push(v), move |u: Tensor<D>| u.clone() + pull(u))
}

/// Something added that does not depend on `x`, such as a time embedding.
pub(super) fn shift<'a, const D: usize>(x: Tensor<D>, shift: Tensor<D>) -> Linearised<'a, Tensor<D>, Tensor<D>> {
    Linearised { value: x.clone() + shift, ..Linearised::at(x) }
}

/// A constant times `x`.
pub(super) fn scale<'a, const D: usize>(x: Tensor<D>, factor: f64) -> Linearised<'a, Tensor<D>, Tensor<D>> {
    let scaled = move |v: Tensor<D>| v * factor;
    Linearised::new(scaled(x), scaled, scaled)
}

/// Rows as images of the event shape.
pub(super) fn images<'a>(x: Tensor<2>, shape: [usize; 3]) -> Linearised<'a, Tensor<2>, Tensor<4>> {
    Linearised::new(image::images(x, shape), move |v| image::images(v, shape), image::rows)
}

/// The mean of every 2 x 2 block, a last odd row or column left out.
pub(super) fn halve<'a>(x: Tensor<4>) -> Linearised<'a, Tensor<4>, Tensor<4>> {
    let [_, height, width, _] = x.dims();
    let pull = move |u| {
        let pulled = kernels::upsample_nearest2x(u) * 0.25;
        match [height % 2, width % 2] {
            [0, 0] => pulled,
            [odd, also] => pulled.pad([(0, 0), (0, odd), (0, also), (0, 0)], 0.0),
        }
    };
    Linearised::new(kernels::avg_pool2x2(x), kernels::avg_pool2x2, pull)
}

/// The sum over an image: `[B, H, W, C] -> [B, C]`.
pub(super) fn sum_image<'a>(x: Tensor<4>) -> Linearised<'a, Tensor<4>, Tensor<2>> {
    let shape @ [rows, height, width, channels] = x.dims();
    let sum = move |x: Tensor<4>| x.reshape([rows, height * width, channels]).sum_dim(1).squeeze_dim(1);
    let pull = move |u: Tensor<2>| u.reshape([rows, 1, 1, channels]).expand(shape);
    Linearised::new(sum(x), sum, pull)
}

/// Images as rows.
pub(super) fn rows<'a>(x: Tensor<4>) -> Linearised<'a, Tensor<4>, Tensor<2>> {
    let [_, height, width, channels] = x.dims();
    Linearised::new(image::rows(x), image::rows, move |u| image::images(u, [channels, height, width]))
}

impl GroupNorm {
    /// At `x`: `[B, .., C] -> [B, .., C]`.
    pub fn linearise<const D: usize>(&self, x: Tensor<D>) -> Linearised<'_, Tensor<D>, Tensor<D>> {
        let value = self.forward(x.clone());
        let shape = x.dims();
        let (batch, channels) = (shape[0], shape[D - 1]);
        let points = shape[1..D - 1].iter().product();
        let groups = self.groups;
        let apart = move |x: Tensor<D>| -> Tensor<4> { x.reshape([batch, points, groups, channels / groups]) };
        let normal = Normal::at(apart(x), self.eps);
        normalised(value, &self.weight, normal, apart, move |x| x.reshape(shape))
    }
}

impl LayerNorm {
    /// At `x`: `[.., C] -> [.., C]`.
    pub fn linearise<const D: usize>(&self, x: Tensor<D>) -> Linearised<'_, Tensor<D>, Tensor<D>> {
        let value = self.forward(x.clone());
        let shape = x.dims();
        let channels = shape[D - 1];
        let rows = shape[..D - 1].iter().product();
        let apart = move |x: Tensor<D>| -> Tensor<4> { x.reshape([rows, 1, 1, channels]) };
        let normal = Normal::at(apart(x), self.eps);
        normalised(value, &self.weight, normal, apart, move |x| x.reshape(shape))
    }
}

/// `x̂ = (x - μ) r` and `r = 1 / √(σ² + ε)`, `[B, points, G, C / G]`.
#[derive(Clone)]
struct Normal {
    normal: Tensor<4>,
    inverse: Tensor<4>,
}

impl Normal {
    fn at(x: Tensor<4>, eps: f32) -> Self {
        let centred = x.clone() - mean(x);
        let inverse = (mean(centred.clone().square()) + eps).sqrt().recip();
        Self { normal: centred * inverse.clone(), inverse }
    }

    /// `∂x̂/∂x v = r (v - mean(v) - x̂ mean(x̂ v))`, which is its own transpose.
    fn along(&self, v: Tensor<4>) -> Tensor<4> {
        let Self { normal, inverse } = self;
        let parallel = normal.clone() * mean(normal.clone() * v.clone());
        (v.clone() - mean(v) - parallel) * inverse.clone()
    }
}

/// Over points and channels of a group.
fn mean(x: Tensor<4>) -> Tensor<4> {
    x.mean_dim(3).mean_dim(1)
}

/// `value = w x̂ + b`: the derivative is `w ∂x̂/∂x`, its transpose `∂x̂/∂x w`.
fn normalised<'a, const D: usize>(
    value: Tensor<D>,
    weight: &'a Param<Tensor<1>>,
    normal: Normal,
    apart: impl Fn(Tensor<D>) -> Tensor<4> + Clone + 'a,
    together: impl Fn(Tensor<4>) -> Tensor<D> + Clone + 'a,
) -> Linearised<'a, Tensor<D>, Tensor<D>> {
    let scaled = |x: Tensor<D>| x * weight.val().unsqueeze();
    let (push_normal, push_apart, push_together) = (normal.clone(), apart.clone(), together.clone());
    let push = move |v| scaled(push_together(push_normal.along(push_apart(v))));
    let pull = move |u| together(normal.along(apart(u * weight.val().unsqueeze())));
    Linearised::new(value, push, pull)
}
