//! The cost of a class under softmax: `ℓ = log Σ exp(x) - x[class]`, in nats, one for each row.
//!
//! Backward recomputes `softmax(x) = exp(x - log Σ exp(x))`: `x̄ = ℓ̄ (softmax(x) - onehot(class))`.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Int, Tensor};

use crate::simd::{Simd, math, parallel, vectorised};
use crate::{flex, plain};

/// `-log softmax(logits)[class]` in nats: `logits` is `[B, K]`, `classes` `[B]` in `0..K`, the result `[B]`.
///
/// # Panics
/// If the shapes do not fit, or a class is not below `K`.
pub fn cross_entropy(logits: Tensor<2>, classes: Tensor<1, Int>) -> Tensor<1> {
    assert_eq!(logits.dims()[0], classes.dims()[0], "cross_entropy: every row of logits needs one class");
    match flex::simd(&logits) {
        Some(simd) => Tensor::from_dispatch(<Dispatch as CrossEntropyKernel>::cross_entropy(
            logits.into_dispatch(),
            classes.into_dispatch(),
            simd,
        )),
        None => plain::cross_entropy(logits, classes),
    }
}

#[backend_extension(Autodiff, Flex)]
pub(crate) trait CrossEntropyKernel: Backend {
    fn cross_entropy(logits: FloatTensor<Self>, classes: IntTensor<Self>, simd: Simd) -> FloatTensor<Self>;
}

impl CrossEntropyKernel for Flex {
    fn cross_entropy(logits: FlexTensor, classes: FlexTensor, simd: Simd) -> FlexTensor {
        let rows = Rows::new(logits, classes, simd);
        let costs = rows.forward().into_iter().map(|(cost, _)| cost).collect::<Vec<_>>();
        let shape = [costs.len()];
        flex::tensor(costs, shape)
    }
}

impl<C: CheckpointStrategy> CrossEntropyKernel for Autodiff<Flex, C> {
    fn cross_entropy(logits: FloatTensor<Self>, classes: IntTensor<Self>, simd: Simd) -> FloatTensor<Self> {
        let (logits, node) = logits.into_parts();
        let rows = Rows::new(logits, classes, simd);
        let (costs, log_sums): (Vec<f32>, Vec<f32>) = rows.forward().into_iter().unzip();
        let shape = [costs.len()];
        let costs = flex::tensor(costs, shape);
        match rows.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(log_sums, costs),
            OpsKind::UnTracked(prep) => prep.finish(costs),
        }
    }
}

/// The logits, contiguous, and the class of each row.
#[derive(Clone, Debug)]
struct Rows {
    logits: FlexTensor,
    classes: Vec<usize>,
    simd: Simd,
}

/// Rows that one task computes.
const ROWS: usize = 64;
/// Elementary operations of one element, for the decision whether threads are worth it.
const WORK: usize = 16;

impl Rows {
    fn new(logits: FlexTensor, classes: FlexTensor, simd: Simd) -> Self {
        let (logits, classes) = (logits.to_contiguous(), classes.to_contiguous());
        let wide: Vec<i64> = match classes.dtype() {
            DType::I64 => classes.storage::<i64>().to_vec(),
            DType::I32 => classes.storage::<i32>().iter().map(|class| i64::from(*class)).collect(),
            other => panic!("cross_entropy: classes are 32 or 64-bit integers, not {other:?}"),
        };
        let bound = logits.shape()[1];
        let checked = |class: i64| match usize::try_from(class) {
            Ok(class) if class < bound => class,
            _ => panic!("cross_entropy: class {class} is not below {bound}"),
        };
        Self { logits, classes: wide.into_iter().map(checked).collect(), simd }
    }

    /// The cost and `log Σ exp(x)` of every row.
    fn forward(&self) -> Vec<(f32, f32)> {
        let logits = flex::slice(&self.logits);
        let width = logits.len() / self.classes.len().max(1);
        let mut log_sums = vec![0.0; self.classes.len()];
        parallel::chunks(&mut log_sums, ROWS, WORK * logits.len(), |task, log_sums| {
            let rows = logits[task * ROWS * width..].chunks_exact(width);
            log_sums.iter_mut().zip(rows).for_each(|(log_sum, row)| *log_sum = log_sum_exp(self.simd, row));
        });
        let rows = logits.chunks_exact(width.max(1)).zip(&self.classes).zip(log_sums);
        rows.map(|((row, class), log_sum)| (log_sum - row[*class], log_sum)).collect()
    }
}

impl Backward<Flex, 1> for Rows {
    /// `log Σ exp(x)` of every row.
    type State = Vec<f32>;

    fn backward(self, ops: Ops<Vec<f32>, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let gradient = flex::slice(&gradient);
        let [parent] = ops.parents.map(|parent| parent.map(|node| node.id));
        flex::register(gradients, parent, || {
            let logits = flex::slice(&self.logits);
            let width = logits.len() / self.classes.len().max(1);
            let mut out = flex::unwritten(logits.len());
            parallel::chunks(&mut out, ROWS * width, WORK * logits.len(), |task, out| {
                for (row, out) in (task * ROWS..).zip(out.chunks_exact_mut(width)) {
                    let logits = &logits[row * width..][..width];
                    scaled_softmax(self.simd, logits, ops.state[row], gradient[row], out);
                    out[self.classes[row]] -= gradient[row];
                }
            });
            flex::tensor(out, self.logits.shape())
        });
    }
}

vectorised! {
    fn log_sum_exp(row: &[f32]) -> f32 {
        let most = row.iter().fold(f32::NEG_INFINITY, |most, x| if *x > most { *x } else { most });
        let (chunks, rest) = row.as_chunks::<16>();
        let mut lanes = [0.0_f32; 16];
        for chunk in chunks {
            for (lane, x) in lanes.iter_mut().zip(chunk) {
                *lane += math::exp(x - most);
            }
        }
        let sum = lanes.iter().sum::<f32>() + rest.iter().map(|x| math::exp(x - most)).sum::<f32>();
        most + sum.ln()
    }

    fn scaled_softmax(row: &[f32], log_sum: f32, factor: f32, out: &mut [f32]) {
        out.iter_mut().zip(row).for_each(|(out, x)| *out = factor * math::exp(x - log_sum));
    }
}
