//! Group normalisation with its activation: Wu and He, "Group Normalization" (arXiv:1803.08494).
//!
//! ```text
//! x̂ = (x - μ) r,  r = 1 / √(σ² + ε)        z = w x̂ + b        y = f(z)
//! δ = ȳ f'(z)     w̄ = Σ δ x̂     b̄ = Σ δ     x̄ = r (w δ - mean(w δ) - x̂ mean(w δ x̂))
//! ```
//!
//! with the means of one sample and group. One task takes one sample, which stays in the cache over three passes: mean,
//! centred variance, result. Backward keeps only `μ` and `r` and recomputes the rest. Sums over points are taken by
//! channel in blocks of [`BLOCK`] rows, so that rounding errors do not grow with the image.

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

/// `activation(weight · (x - μ) / √(σ² + eps) + bias)` with the mean and the biased variance of each sample and group
/// of neighbouring channels: `x` is `[B, ..., C]`, `weight` and `bias` `[C]`.
///
/// # Panics
/// If the shapes do not fit or `groups` does not divide the number of channels.
pub fn group_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    groups: usize,
    eps: f32,
    activation: Activation,
) -> Tensor<D> {
    assert!(D >= 2, "group_norm: x needs a batch axis and a channel axis");
    let channels = x.dims()[D - 1];
    assert!(
        weight.dims() == [channels] && bias.dims() == [channels],
        "group_norm: weight {:?} and bias {:?} must have one value for each of the {channels} channels",
        weight.dims(),
        bias.dims()
    );
    assert!(
        groups > 0 && channels.is_multiple_of(groups),
        "group_norm: {groups} groups do not divide {channels} channels"
    );
    match flex::simd(&x) {
        Some(simd) => Tensor::from_dispatch(<Dispatch as GroupNormKernel>::group_norm_activation(
            x.into_dispatch(),
            weight.into_dispatch(),
            bias.into_dispatch(),
            simd,
            Options { groups, eps, activation },
        )),
        None => plain::group_norm(x, weight, bias, groups, eps, activation),
    }
}

/// What is not a tensor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    groups: usize,
    eps: f32,
    activation: Activation,
}

#[backend_extension(Autodiff, Flex)]
pub(crate) trait GroupNormKernel: Backend {
    fn group_norm_activation(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        simd: Simd,
        options: Options,
    ) -> FloatTensor<Self>;
}

impl GroupNormKernel for Flex {
    fn group_norm_activation(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        simd: Simd,
        options: Options,
    ) -> FlexTensor {
        Norm::new(x, weight, bias, simd, options).forward().0
    }
}

impl<C: CheckpointStrategy> GroupNormKernel for Autodiff<Flex, C> {
    fn group_norm_activation(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        simd: Simd,
        options: Options,
    ) -> FloatTensor<Self> {
        let ((x, node_x), (weight, node_weight)) = (x.into_parts(), weight.into_parts());
        let (bias, node_bias) = bias.into_parts();
        let norm = Norm::new(x, weight, bias, simd, options);
        let (y, moments) = norm.forward();
        match norm.prepare::<C>([node_x, node_weight, node_bias]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(moments, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}

/// Rows whose channel sums are taken at once.
const BLOCK: usize = 64;
/// Elementary operations of one element, for the decision whether threads are worth it.
const WORK: usize = 16;

/// The operands, contiguous.
#[derive(Clone, Debug)]
struct Norm {
    x: FlexTensor,
    weight: FlexTensor,
    bias: FlexTensor,
    simd: Simd,
    options: Options,
}

impl Norm {
    fn new(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, simd: Simd, options: Options) -> Self {
        let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.to_contiguous());
        Self { x, weight, bias, simd, options }
    }

    fn sizes(&self) -> Sizes {
        let shape = self.x.shape();
        let channels = shape[shape.num_dims() - 1];
        let size = shape[1..].iter().product::<usize>();
        let points = size / channels.max(1);
        let samples = (TASK / size.max(1)).max(1);
        let group = channels / self.options.groups;
        Sizes { channels, size, samples, groups: self.options.groups, share: 1.0 / (points * group) as f32 }
    }

    /// The result, and `μ` and `r` of every sample and group, `[B, G, 2]`.
    fn forward(&self) -> (FlexTensor, Vec<f32>) {
        let Sizes { channels, size, samples, groups, share } = self.sizes();
        let (x, weight, bias) = (flex::slice(&self.x), flex::slice(&self.weight), flex::slice(&self.bias));
        let simd = self.simd;
        let mut y = flex::unwritten(x.len());
        let mut moments = vec![0.0; self.x.shape()[0] * groups * 2];
        let parts = [(&mut y[..], samples * size), (&mut moments[..], samples * groups * 2)];
        parallel::chunks_together(parts, WORK * x.len(), |task, [y, moments]| {
            let x = &x[task * samples * size..];
            parallel::scratch(2 * channels, |by_channel| {
                let (mean, inverse) = by_channel.split_at_mut(channels);
                for (i, (y, moments)) in y.chunks_mut(size).zip(moments.chunks_mut(groups * 2)).enumerate() {
                    let x = &x[i * size..][..size];
                    mean.fill(0.0);
                    by_block(x, channels, |rows| add_rows(simd, rows, mean));
                    share_by_group(mean, groups, |sum| sum * share);
                    inverse.fill(0.0);
                    by_block(x, channels, |rows| add_squares(simd, rows, mean, inverse));
                    share_by_group(inverse, groups, |sum| 1.0 / (sum * share + self.options.eps).sqrt());
                    for (group, moments) in moments.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                        let first = group * (channels / groups);
                        *moments = [mean[first], inverse[first]];
                    }
                    with_function!(self.options.activation, F => normalise::<F>(simd, x, mean, inverse, weight, bias, y));
                }
            });
        });
        (flex::tensor(y, self.x.shape()), moments)
    }
}

/// Numbers that one task takes at least.
const TASK: usize = 4096;

/// How the work divides.
#[derive(Clone, Copy)]
struct Sizes {
    channels: usize,
    /// Numbers in a sample.
    size: usize,
    /// Samples of one task.
    samples: usize,
    groups: usize,
    /// One over the numbers in a group.
    share: f32,
}

/// Replaces numbers by channel with `f` of their sum over the group.
fn share_by_group(values: &mut [f32], groups: usize, f: impl Fn(f32) -> f32) {
    for group in values.chunks_exact_mut((values.len() / groups).max(1)) {
        let value = f(group.iter().sum());
        group.fill(value);
    }
}

impl Backward<Flex, 3> for Norm {
    /// `μ` and `r` of every sample and group, `[B, G, 2]`.
    type State = Vec<f32>;

    fn backward(self, ops: Ops<Vec<f32>, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let Sizes { channels, size, samples, groups, share } = self.sizes();
        let (x, weight, bias) = (flex::slice(&self.x), flex::slice(&self.weight), flex::slice(&self.bias));
        let simd = self.simd;
        let [parent_x, parent_weight, parent_bias] = ops.parents.map(|parent| parent.map(|node| node.id));
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let gradient = flex::slice(&gradient);

        let mut x_gradient = flex::unwritten(x.len());
        // Σ δ and Σ δ x̂ by channel, of every task.
        let mut totals = vec![0.0; self.x.shape()[0].div_ceil(samples) * 2 * channels];
        let parts = [(&mut x_gradient[..], samples * size), (&mut totals[..], 2 * channels)];
        parallel::chunks_together(parts, 2 * WORK * x.len(), |task, [out, totals]| {
            let at = task * samples * size;
            let (x, gradient) = (&x[at..], &gradient[at..]);
            let moments = &ops.state[task * samples * groups * 2..];
            parallel::scratch(8 * channels, |by_channel| {
                let (moments_by_channel, by_channel) = by_channel.split_at_mut(2 * channels);
                let (sums, by_channel) = by_channel.split_at_mut(2 * channels);
                let (block, means) = by_channel.split_at_mut(2 * channels);
                let (mean, inverse) = moments_by_channel.split_at_mut(channels);
                let (a, b) = means[..2 * channels].split_at_mut(channels);
                for (i, out) in out.chunks_mut(size).enumerate() {
                    let (x, gradient) = (&x[i * size..][..size], &gradient[i * size..][..size]);
                    for c in 0..channels {
                        let moments = &moments[(i * groups + c / (channels / groups)) * 2..];
                        (mean[c], inverse[c]) = (moments[0], moments[1]);
                    }
                    sums.fill(0.0);
                    for (i, out) in out.chunks_mut(BLOCK * channels).enumerate() {
                        let at = i * BLOCK * channels;
                        let (x, gradient) = (&x[at..][..out.len()], &gradient[at..][..out.len()]);
                        block.fill(0.0);
                        with_function!(self.options.activation, F => deltas::<F>(
                            simd, x, gradient, mean, inverse, weight, bias, out, block));
                        add(simd, block, sums);
                    }
                    add(simd, sums, totals);
                    if parent_x.is_some() {
                        for c in 0..channels {
                            (a[c], b[c]) = (weight[c] * sums[c], weight[c] * sums[channels + c]);
                        }
                        share_by_group(a, groups, |sum| sum * share);
                        share_by_group(b, groups, |sum| sum * share);
                        centre(simd, x, mean, inverse, weight, a, b, out);
                    }
                }
            });
        });
        flex::register(gradients, parent_x, || flex::tensor(x_gradient, self.x.shape()));
        let totals = gemm::column_sums(simd, &totals, 2 * channels);
        flex::register(gradients, parent_weight, || flex::tensor(totals[channels..].to_vec(), [channels]));
        flex::register(gradients, parent_bias, || flex::tensor(totals[..channels].to_vec(), [channels]));
    }
}

/// Cuts a sample into blocks of rows.
fn by_block(x: &[f32], channels: usize, f: impl FnMut(&[f32])) {
    x.chunks((BLOCK * channels).max(1)).for_each(f);
}

/// Adds the sums of a block to `sums`: a sum of sums loses less to rounding.
fn add_rows(simd: Simd, x: &[f32], sums: &mut [f32]) {
    parallel::scratch(sums.len(), |block| {
        block.fill(0.0);
        rows(simd, x, block);
        add(simd, block, sums);
    });
}

/// The same for squared distances from the mean.
fn add_squares(simd: Simd, x: &[f32], mean: &[f32], sums: &mut [f32]) {
    parallel::scratch(sums.len(), |block| {
        block.fill(0.0);
        squares(simd, x, mean, block);
        add(simd, block, sums);
    });
}

vectorised! {
    fn add(x: &[f32], sums: &mut [f32]) {
        sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
    }

    fn rows(x: &[f32], sums: &mut [f32]) {
        for row in x.chunks_exact(sums.len()) {
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
    }

    fn squares(x: &[f32], mean: &[f32], sums: &mut [f32]) {
        for row in x.chunks_exact(sums.len()) {
            for ((sum, x), mean) in sums.iter_mut().zip(row).zip(mean) {
                *sum = (x - mean).mul_add(x - mean, *sum);
            }
        }
    }

    fn normalise[F: Function](x: &[f32], mean: &[f32], inverse: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]) {
        let c = mean.len();
        let (inverse, weight, bias) = (&inverse[..c], &weight[..c], &bias[..c]);
        for (x, y) in x.chunks_exact(c).zip(y.chunks_exact_mut(c)) {
            for i in 0..c {
                y[i] = F::value(((x[i] - mean[i]) * inverse[i]).mul_add(weight[i], bias[i]));
            }
        }
    }

    /// `δ` into `out`, its sums and those of `δ x̂` into the two halves of `sums`.
    fn deltas[F: Function](
        x: &[f32],
        gradient: &[f32],
        mean: &[f32],
        inverse: &[f32],
        weight: &[f32],
        bias: &[f32],
        out: &mut [f32],
        sums: &mut [f32],
    ) {
        let c = mean.len();
        let (inverse, weight, bias) = (&inverse[..c], &weight[..c], &bias[..c]);
        let (plain, scaled) = sums.split_at_mut(c);
        let scaled = &mut scaled[..c];
        for ((x, gradient), out) in x.chunks_exact(c).zip(gradient.chunks_exact(c)).zip(out.chunks_exact_mut(c)) {
            for i in 0..c {
                let normal = (x[i] - mean[i]) * inverse[i];
                let delta = gradient[i] * F::slope_at(normal.mul_add(weight[i], bias[i]));
                out[i] = delta;
                plain[i] += delta;
                scaled[i] = delta.mul_add(normal, scaled[i]);
            }
        }
    }

    /// `r (w δ - a - x̂ b)` in place of `δ`.
    fn centre(x: &[f32], mean: &[f32], inverse: &[f32], weight: &[f32], a: &[f32], b: &[f32], out: &mut [f32]) {
        let c = mean.len();
        let (inverse, weight, a, b) = (&inverse[..c], &weight[..c], &a[..c], &b[..c]);
        for (x, out) in x.chunks_exact(c).zip(out.chunks_exact_mut(c)) {
            for i in 0..c {
                let normal = (x[i] - mean[i]) * inverse[i];
                out[i] = inverse[i] * (-normal).mul_add(b[i], weight[i].mul_add(out[i], -a[i]));
            }
        }
    }
}
