//! Scaled dot-product attention: Vaswani et al., "Attention Is All You Need" (arXiv:1706.03762), section 3.2.1, without
//! the matrix of scores: Dao et al., "FlashAttention" (arXiv:2205.14135).
//!
//! One task takes one head. A block of queries meets the keys block by block; `m`, the largest score so far, and `l`,
//! the sum of `exp(s - m)`, follow each query, and what was summed before a new maximum is scaled down:
//!
//! ```text
//! s = scale · q kᵀ     m' = max(m, max s)     p = exp(s - m')     l' = e^(m - m') l + Σ p     o' = e^(m - m') o + p v
//! ```
//!
//! and `o / l` is the result. Backward keeps `L = m + log l`, one number a query, and recomputes `p = exp(s - L)`:
//!
//! ```text
//! v̄ = pᵀ ō     p̄ = ō vᵀ     s̄ = p (p̄ - Σ ō o) · scale     q̄ = s̄ k     k̄ = s̄ᵀ q
//! ```

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use crate::simd::gemm::{self, Start, Strided};
use crate::simd::{Simd, math, parallel, vectorised};
use crate::{flex, plain};

/// Which keys a query may look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionMask {
    /// All of them.
    Full,
    /// Its own and those before it. The last query belongs to the last key, also when there are fewer queries than
    /// keys, as in sampling from a cache.
    Causal,
}

/// `softmax(scale · q kᵀ) v` for every head: `q` is `[B, heads, Tq, d]`, `k` is `[B, heads, Tk, d]`, `v` is
/// `[B, heads, Tk, e]`, the result `[B, heads, Tq, e]`.
///
/// # Panics
/// If the shapes do not fit, or a causal mask is asked for with more queries than keys.
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, scale: f32, mask: AttentionMask) -> Tensor<4> {
    let ([b, h, queries, d], [b_k, h_k, keys, d_k], [b_v, h_v, keys_v, _]) = (q.dims(), k.dims(), v.dims());
    assert!(
        (b, h, d) == (b_k, h_k, d_k) && (b, h, keys) == (b_v, h_v, keys_v),
        "attention: queries {:?}, keys {:?} and values {:?} do not fit together",
        q.dims(),
        k.dims(),
        v.dims()
    );
    assert!(
        mask == AttentionMask::Full || queries <= keys,
        "attention: {queries} queries under a causal mask need at least as many keys, not {keys}"
    );
    match flex::simd(&q) {
        Some(simd) => Tensor::from_dispatch(<Dispatch as AttentionKernel>::attend(
            q.into_dispatch(),
            k.into_dispatch(),
            v.into_dispatch(),
            simd,
            scale,
            mask,
        )),
        None => plain::attention(q, k, v, scale, mask),
    }
}

#[backend_extension(Autodiff, Flex)]
pub(crate) trait AttentionKernel: Backend {
    fn attend(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        simd: Simd,
        scale: f32,
        mask: AttentionMask,
    ) -> FloatTensor<Self>;
}

impl AttentionKernel for Flex {
    fn attend(q: FlexTensor, k: FlexTensor, v: FlexTensor, simd: Simd, scale: f32, mask: AttentionMask) -> FlexTensor {
        Heads::new(q, k, v, simd, scale, mask).forward().0
    }
}

impl<C: CheckpointStrategy> AttentionKernel for Autodiff<Flex, C> {
    fn attend(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        simd: Simd,
        scale: f32,
        mask: AttentionMask,
    ) -> FloatTensor<Self> {
        let ((q, node_q), (k, node_k), (v, node_v)) = (q.into_parts(), k.into_parts(), v.into_parts());
        let heads = Heads::new(q, k, v, simd, scale, mask);
        let (o, log_sums) = heads.forward();
        match heads.prepare::<C>([node_q, node_k, node_v]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((o.clone(), log_sums), o),
            OpsKind::UnTracked(prep) => prep.finish(o),
        }
    }
}

/// Queries and keys of a block: their scores take 48 kB.
const QUERIES: usize = 48;
const KEYS: usize = 256;

/// The operands, contiguous.
#[derive(Clone, Debug)]
struct Heads {
    q: FlexTensor,
    k: FlexTensor,
    v: FlexTensor,
    simd: Simd,
    scale: f32,
    mask: AttentionMask,
    /// Queries, keys, length of a query, length of a value.
    sizes: [usize; 4],
}

/// One block of queries and keys of one head.
struct Block {
    /// The first query and the number of queries.
    query: [usize; 2],
    /// The first key and the number of keys.
    key: [usize; 2],
}

impl Heads {
    fn new(q: FlexTensor, k: FlexTensor, v: FlexTensor, simd: Simd, scale: f32, mask: AttentionMask) -> Self {
        let sizes = [q.shape()[2], k.shape()[2], q.shape()[3], v.shape()[3]];
        let [q, k, v] = [q, k, v].map(|tensor| tensor.to_contiguous());
        Self { q, k, v, simd, scale, mask, sizes }
    }

    /// The keys that query `i` sees.
    fn visible(&self, i: usize) -> usize {
        let [queries, keys, ..] = self.sizes;
        match self.mask {
            AttentionMask::Full => keys,
            AttentionMask::Causal => keys - queries + i + 1,
        }
    }

    /// Blocks of queries, each with its blocks of keys.
    fn blocks(&self) -> impl Iterator<Item = ([usize; 2], Vec<Block>)> {
        let [queries, keys, ..] = self.sizes;
        (0..queries).step_by(QUERIES).map(move |first| {
            let query = [first, QUERIES.min(queries - first)];
            let end = self.visible(first + query[1] - 1);
            let blocks = (0..end).step_by(KEYS).map(|key| Block { query, key: [key, KEYS.min(keys - key)] });
            (query, blocks.collect())
        })
    }

    fn work(&self) -> usize {
        let [queries, keys, d, e] = self.sizes;
        flex::slice(&self.q).len() / (queries * d).max(1) * queries * keys * (2 * d + 2 * e + 16)
    }

    /// `scale · q kᵀ` of a block, rows of [`KEYS`] numbers. `keys` is `kᵀ` in packed blocks.
    fn scores(&self, q: &[f32], keys: &[f32], block: &Block, scores: &mut [f32]) {
        let d = self.sizes[2];
        let a = Strided { values: &q[block.query[0] * d..], row: d, step: 1 };
        let keys = &keys[block.key[0] * d..];
        gemm::multiply(self.simd, [block.query[1], d, block.key[1]], a, keys, Start::Zero, scores, KEYS);
        for row in scores.chunks_exact_mut(KEYS).take(block.query[1]) {
            multiply(self.simd, &mut row[..block.key[1]], self.scale);
        }
    }

    /// The result, and `L` of every query.
    fn forward(&self) -> (FlexTensor, Vec<f32>) {
        let (q, k, v) = (flex::slice(&self.q), flex::slice(&self.k), flex::slice(&self.v));
        let [queries, keys, d, e] = self.sizes;
        let mut shape = self.q.shape();
        shape[3] = e;
        let mut o = vec![0.0; shape.num_elements()];
        let mut log_sums = flex::unwritten(shape[0] * shape[1] * queries);
        let parts = [(&mut o[..], queries * e), (&mut log_sums[..], queries)];
        parallel::chunks_together(parts, self.work(), |head, [o, log_sums]| {
            let (q, k, v) = (&q[head * queries * d..], &k[head * keys * d..], &v[head * keys * e..]);
            let (keys_len, values_len) = (gemm::packed_len(d, keys), packed_blocks_len(keys, e));
            parallel::scratch(keys_len + values_len + QUERIES * (KEYS + 2), |scratch| {
                let (packed_keys, scratch) = scratch.split_at_mut(keys_len);
                let (packed_values, scratch) = scratch.split_at_mut(values_len);
                let (scores, scratch) = scratch.split_at_mut(QUERIES * KEYS);
                let (most, total) = scratch.split_at_mut(QUERIES);
                gemm::pack(packed_keys, d, keys, |c, key| k[key * d + c]);
                pack_blocks(packed_values, v, keys, e);
                for (query, blocks) in self.blocks() {
                    most.fill(f32::NEG_INFINITY);
                    total.fill(0.0);
                    let o = &mut o[query[0] * e..][..query[1] * e];
                    for block in &blocks {
                        self.scores(q, packed_keys, block, scores);
                        for i in 0..query[1] {
                            let seen = self.visible(query[0] + i).saturating_sub(block.key[0]).min(block.key[1]);
                            let row = &mut scores[i * KEYS..][..block.key[1]];
                            row[seen..].fill(0.0);
                            if seen > 0 {
                                let before = most[i];
                                most[i] = before.max(largest(self.simd, &row[..seen]));
                                let keep = if before == f32::NEG_INFINITY { 0.0 } else { math::exp(before - most[i]) };
                                let sum = exponentials(self.simd, &mut row[..seen], most[i]);
                                total[i] = keep.mul_add(total[i], sum);
                                multiply(self.simd, &mut o[i * e..][..e], keep);
                            }
                        }
                        let a = Strided { values: scores, row: KEYS, step: 1 };
                        let values = &packed_values[block.key[0] * gemm::packed_len(1, e)..];
                        gemm::multiply(self.simd, [query[1], block.key[1], e], a, values, Start::Previous, o, e);
                    }
                    for i in 0..query[1] {
                        multiply(self.simd, &mut o[i * e..][..e], 1.0 / total[i]);
                        log_sums[query[0] + i] = most[i] + total[i].ln();
                    }
                }
            });
        });
        (flex::tensor(o, shape), log_sums)
    }
}

/// The length of a `[rows, columns]` matrix packed in blocks of [`KEYS`] rows.
fn packed_blocks_len(rows: usize, columns: usize) -> usize {
    rows * gemm::packed_len(1, columns)
}

/// Packs the contiguous `[rows, columns]` matrix in blocks of [`KEYS`] rows.
fn pack_blocks(packed: &mut [f32], values: &[f32], rows: usize, columns: usize) {
    for first in (0..rows).step_by(KEYS) {
        let count = KEYS.min(rows - first);
        let packed = &mut packed[packed_blocks_len(first, columns)..];
        gemm::pack(packed, count, columns, |row, column| values[(first + row) * columns + column]);
    }
}

impl Backward<Flex, 3> for Heads {
    /// The result and `L` of every query.
    type State = (FlexTensor, Vec<f32>);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (q, k, v) = (flex::slice(&self.q), flex::slice(&self.k), flex::slice(&self.v));
        let [queries, keys, d, e] = self.sizes;
        let [parent_q, parent_k, parent_v] = ops.parents.map(|parent| parent.map(|node| node.id));
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let (gradient, (o, log_sums)) = (flex::slice(&gradient), &ops.state);
        let o = flex::slice(o);
        let [mut q_gradient, mut k_gradient, mut v_gradient] = [q, k, v].map(|operand| vec![0.0; operand.len()]);
        let parts =
            [(&mut q_gradient[..], queries * d), (&mut k_gradient[..], keys * d), (&mut v_gradient[..], keys * e)];
        parallel::chunks_together(parts, 3 * self.work(), |head, [q_gradient, k_gradient, v_gradient]| {
            let (q, k, v) = (&q[head * queries * d..], &k[head * keys * d..], &v[head * keys * e..]);
            let at = head * queries * e;
            let (gradient, o, log_sums) = (&gradient[at..], &o[at..], &log_sums[head * queries..]);
            let lengths = [
                gemm::packed_len(d, keys),
                gemm::packed_len(e, keys),
                packed_blocks_len(keys, d),
                gemm::packed_len(QUERIES, d),
                gemm::packed_len(QUERIES, e),
                QUERIES * KEYS,
                QUERIES * KEYS,
            ];
            parallel::scratch(lengths.iter().sum(), |scratch| {
                let mut scratch = parallel::pieces(scratch, lengths.into_iter()).into_iter();
                let mut next = || scratch.next().unwrap_or_default();
                let (keys_across, values_across, keys_down) = (next(), next(), next());
                let (queries_down, gradients_down, weights, slopes) = (next(), next(), next(), next());
                gemm::pack(keys_across, d, keys, |c, key| k[key * d + c]);
                gemm::pack(values_across, e, keys, |c, key| v[key * e + c]);
                pack_blocks(keys_down, k, keys, d);
                for (query, blocks) in self.blocks() {
                    gemm::pack(queries_down, query[1], d, |i, c| q[(query[0] + i) * d + c]);
                    gemm::pack(gradients_down, query[1], e, |i, c| gradient[(query[0] + i) * e + c]);
                    for block in &blocks {
                        let [key, count] = block.key;
                        self.scores(q, keys_across, block, weights);
                        let a = Strided { values: &gradient[query[0] * e..], row: e, step: 1 };
                        let values = &values_across[key * e..];
                        gemm::multiply(self.simd, [query[1], e, count], a, values, Start::Zero, slopes, KEYS);
                        for i in 0..query[1] {
                            let at = (query[0] + i) * e;
                            let (weights, slopes) =
                                (&mut weights[i * KEYS..][..count], &mut slopes[i * KEYS..][..count]);
                            let seen = self.visible(query[0] + i).saturating_sub(key).min(count);
                            weights[seen..].fill(0.0);
                            slopes[seen..].fill(0.0);
                            exponentials(self.simd, &mut weights[..seen], log_sums[query[0] + i]);
                            let mean = dot(self.simd, &gradient[at..at + e], &o[at..at + e]);
                            score_slopes(self.simd, &weights[..seen], &mut slopes[..seen], mean, self.scale);
                        }
                        let down = |values| Strided { values, row: 1, step: KEYS };
                        let across = Strided { values: slopes, row: KEYS, step: 1 };
                        let keys_of_block = &keys_down[packed_blocks_len(key, d)..];
                        let out = &mut q_gradient[query[0] * d..];
                        gemm::multiply(self.simd, [query[1], count, d], across, keys_of_block, Start::Previous, out, d);
                        let out = &mut k_gradient[key * d..];
                        gemm::multiply(
                            self.simd,
                            [count, query[1], d],
                            down(slopes),
                            queries_down,
                            Start::Previous,
                            out,
                            d,
                        );
                        let out = &mut v_gradient[key * e..];
                        gemm::multiply(
                            self.simd,
                            [count, query[1], e],
                            down(weights),
                            gradients_down,
                            Start::Previous,
                            out,
                            e,
                        );
                    }
                }
            });
        });
        flex::register(gradients, parent_q, || flex::tensor(q_gradient, self.q.shape()));
        flex::register(gradients, parent_k, || flex::tensor(k_gradient, self.k.shape()));
        flex::register(gradients, parent_v, || flex::tensor(v_gradient, self.v.shape()));
    }
}

vectorised! {
    fn multiply(values: &mut [f32], factor: f32) {
        values.iter_mut().for_each(|value| *value *= factor);
    }

    fn largest(values: &[f32]) -> f32 {
        let (chunks, rest) = values.as_chunks::<16>();
        let mut lanes = [f32::NEG_INFINITY; 16];
        for chunk in chunks {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                *lane = if *value > *lane { *value } else { *lane };
            }
        }
        lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |most, value| most.max(*value))
    }

    /// `exp(x - from)` in place; returns the sum.
    fn exponentials(values: &mut [f32], from: f32) -> f32 {
        let (chunks, rest) = values.as_chunks_mut::<16>();
        let mut lanes = [0.0_f32; 16];
        for chunk in chunks {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                *value = math::exp(*value - from);
                *lane += *value;
            }
        }
        let mut sum = lanes.iter().sum();
        for value in rest {
            *value = math::exp(*value - from);
            sum += *value;
        }
        sum
    }

    fn dot(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    /// `p (p̄ - mean) scale` in place of `p̄`.
    fn score_slopes(weights: &[f32], slopes: &mut [f32], mean: f32, scale: f32) {
        for (slope, weight) in slopes.iter_mut().zip(weights) {
            *slope = weight * (*slope - mean) * scale;
        }
    }
}
