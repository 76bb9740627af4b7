//! Scaled dot-product attention: Vaswani et al., "Attention Is All You Need" (arXiv:1706.03762), section 3.2.1.

use burn::tensor::Tensor;

use crate::plain;

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
    plain::attention(q, k, v, scale, mask)
}
