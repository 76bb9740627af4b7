//! Layer normalisation with its activation: Ba, Kiros and Hinton, "Layer Normalization" (arXiv:1607.06450).
//!
//! ```text
//! x̂ = (x - μ) r,  r = 1 / √(σ² + ε)        z = w x̂ + b        y = f(z)
//! δ = ȳ f'(z)     w̄ = Σ δ x̂     b̄ = Σ δ     x̄ = r (w δ - mean(w δ) - x̂ mean(w δ x̂))
//! ```
//!
//! with the means of one row. Backward keeps `μ` and `r` and recomputes the rest.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use crate::simd::function::{Function, with_function};
use crate::simd::{Simd, gemm, parallel, vectorised};
use crate::{Activation, flex, plain};

/// `activation(weight · (x - μ) / √(σ² + eps) + bias)` with the mean and the biased variance of the last axis: `x` is
/// `[..., C]`, `weight` and `bias` `[C]`.
///
/// # Panics
/// If the shapes do not fit.
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f32,
    activation: Activation,
) -> Tensor<D> {
    let channels = x.dims()[D - 1];
    assert!(
        weight.dims() == [channels] && bias.dims() == [channels],
        "layer_norm: weight {:?} and bias {:?} must have one value for each of the {channels} channels",
        weight.dims(),
        bias.dims()
    );
    match flex::simd(&x) {
        Some(simd) => Tensor::from_dispatch(<Dispatch as LayerNormKernel>::layer_norm_activation(
            x.into_dispatch(),
            weight.into_dispatch(),
            bias.into_dispatch(),
            simd,
            eps,
            activation,
        )),
        None => plain::layer_norm(x, weight, bias, eps, activation),
    }
}

#[backend_extension(Autodiff, Flex)]
pub(crate) trait LayerNormKernel: Backend {
    fn layer_norm_activation(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        simd: Simd,
        eps: f32,
        activation: Activation,
    ) -> FloatTensor<Self>;
}

impl LayerNormKernel for Flex {
    fn layer_norm_activation(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        simd: Simd,
        eps: f32,
        activation: Activation,
    ) -> FlexTensor {
        let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.to_contiguous());
        Norm { x, weight, bias, simd, activation }.forward(eps).0
    }
}

impl<C: CheckpointStrategy> LayerNormKernel for Autodiff<Flex, C> {
    fn layer_norm_activation(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        simd: Simd,
        eps: f32,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let ((x, node_x), (weight, node_weight)) = (x.into_parts(), weight.into_parts());
        let (bias, node_bias) = bias.into_parts();
        let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.to_contiguous());
        let norm = Norm { x, weight, bias, simd, activation };
        let (y, moments) = norm.forward(eps);
        match norm.prepare::<C>([node_x, node_weight, node_bias]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(moments, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}

/// Rows that one task computes.
const ROWS: usize = 64;
/// Elementary operations of one element, for the decision whether threads are worth it.
const WORK: usize = 16;

/// The operands, contiguous.
#[derive(Clone, Debug)]
struct Norm {
    x: FlexTensor,
    weight: FlexTensor,
    bias: FlexTensor,
    simd: Simd,
    activation: Activation,
}

impl Norm {
    /// The result, and `μ` and `r` of every row.
    fn forward(&self, eps: f32) -> (FlexTensor, Vec<f32>) {
        let (x, weight, bias) = (flex::slice(&self.x), flex::slice(&self.weight), flex::slice(&self.bias));
        let channels = weight.len();
        let mut y = flex::unwritten(x.len());
        let mut moments = vec![0.0; x.len() / channels.max(1) * 2];
        let parts = [(&mut y[..], ROWS * channels), (&mut moments[..], ROWS * 2)];
        parallel::chunks_together(parts, WORK * x.len(), |task, [y, moments]| {
            let x = &x[task * ROWS * channels..][..y.len()];
            with_function!(self.activation, F => normalise::<F>(self.simd, x, weight, bias, eps, y, moments));
        });
        (flex::tensor(y, self.x.shape()), moments)
    }
}

impl Backward<Flex, 3> for Norm {
    /// `μ` and `r` of every row.
    type State = Vec<f32>;

    fn backward(self, ops: Ops<Vec<f32>, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (x, weight, bias) = (flex::slice(&self.x), flex::slice(&self.weight), flex::slice(&self.bias));
        let channels = weight.len();
        let [parent_x, parent_weight, parent_bias] = ops.parents.map(|parent| parent.map(|node| node.id));
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let gradient = flex::slice(&gradient);
        let mut x_gradient = flex::unwritten(x.len());
        // Σ δ and Σ δ x̂ by channel, of every task.
        let mut totals = vec![0.0; (x.len() / channels.max(1)).div_ceil(ROWS) * 2 * channels];
        let parts = [(&mut x_gradient[..], ROWS * channels), (&mut totals[..], 2 * channels)];
        parallel::chunks_together(parts, 2 * WORK * x.len(), |task, [out, totals]| {
            let at = task * ROWS * channels;
            let (x, gradient) = (&x[at..][..out.len()], &gradient[at..][..out.len()]);
            let moments = &ops.state[task * ROWS * 2..];
            with_function!(self.activation, F => differentiate::<F>(
                self.simd, x, gradient, moments, weight, bias, out, totals));
        });
        flex::register(gradients, parent_x, || flex::tensor(x_gradient, self.x.shape()));
        let totals = gemm::column_sums(self.simd, &totals, 2 * channels);
        flex::register(gradients, parent_weight, || flex::tensor(totals[channels..].to_vec(), [channels]));
        flex::register(gradients, parent_bias, || flex::tensor(totals[..channels].to_vec(), [channels]));
    }
}

/// Sums over a row are taken in this many lanes.
const LANES: usize = 16;

/// `Σ f(i)` for `i < n`, in lanes.
#[inline(always)]
fn sum(n: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let whole = n / LANES * LANES;
    for at in (0..whole).step_by(LANES) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += f(at + lane);
        }
    }
    lanes.iter().sum::<f32>() + (whole..n).map(f).sum::<f32>()
}

vectorised! {
    fn normalise[F: Function](x: &[f32], weight: &[f32], bias: &[f32], eps: f32, y: &mut [f32], moments: &mut [f32]) {
        let c = weight.len();
        let bias = &bias[..c];
        let rows = x.chunks_exact(c).zip(y.chunks_exact_mut(c)).zip(moments.as_chunks_mut::<2>().0);
        for ((x, y), moments) in rows {
            let mean = sum(c, |i| x[i]) / c as f32;
            let variance = sum(c, |i| (x[i] - mean) * (x[i] - mean)) / c as f32;
            let inverse = 1.0 / (variance + eps).sqrt();
            for i in 0..c {
                y[i] = F::value(((x[i] - mean) * inverse).mul_add(weight[i], bias[i]));
            }
            *moments = [mean, inverse];
        }
    }

    /// The gradient of `x` into `out`; the sums of `δ` and of `δ x̂` are added to the two halves of `totals`.
    fn differentiate[F: Function](
        x: &[f32],
        gradient: &[f32],
        moments: &[f32],
        weight: &[f32],
        bias: &[f32],
        out: &mut [f32],
        totals: &mut [f32],
    ) {
        let c = weight.len();
        let bias = &bias[..c];
        let (plain, scaled) = totals.split_at_mut(c);
        let scaled = &mut scaled[..c];
        let rows = x.chunks_exact(c).zip(gradient.chunks_exact(c)).zip(out.chunks_exact_mut(c));
        for (((x, gradient), out), &[mean, inverse]) in rows.zip(moments.as_chunks::<2>().0) {
            for i in 0..c {
                let normal = (x[i] - mean) * inverse;
                let delta = gradient[i] * F::slope_at(normal.mul_add(weight[i], bias[i]));
                plain[i] += delta;
                scaled[i] = delta.mul_add(normal, scaled[i]);
                out[i] = weight[i] * delta;
            }
            let a = sum(c, |i| out[i]) / c as f32;
            let b = sum(c, |i| out[i] * ((x[i] - mean) * inverse)) / c as f32;
            for i in 0..c {
                let normal = (x[i] - mean) * inverse;
                out[i] = inverse * (-normal).mul_add(b, out[i] - a);
            }
        }
    }
}
