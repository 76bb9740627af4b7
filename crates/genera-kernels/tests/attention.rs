//! The attention kernel against the plain expression: values, all gradients, odd shapes, views, any number of threads.

mod common;

use common::{Way, compare, gradient, outcome};
use genera_kernels::{AttentionMask, attention, plain};
use proptest::prelude::*;

fn check([batch, heads, queries, keys, d, e]: [usize; 6], mask: AttentionMask, split: bool, strength: f32) {
    compare(&format!("attention {:?} {mask:?}", [batch, heads, queries, keys, d, e]), |way, source| {
        // As a network makes them: heads beside each other, then split off.
        let mut operand = |tokens: usize, width: usize| {
            let leaf = source.leaf(if split { [batch, tokens, heads, width] } else { [batch, heads, tokens, width] });
            let view = if split { leaf.clone().swap_dims(1, 2) } else { leaf.clone() };
            (leaf, view)
        };
        let ((q_leaf, q), (k_leaf, k), (v_leaf, v)) = (operand(queries, d), operand(keys, d), operand(keys, e));
        let run = if way == Way::Kernel { attention } else { plain::attention };
        let y = run(q, k, v, strength * (d as f32).powf(-0.5), mask);
        outcome(source, y, |g| vec![gradient(&q_leaf, g), gradient(&k_leaf, g), gradient(&v_leaf, g)])
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_attention(
        (batch, heads) in (1_usize..3, 1_usize..4),
        (queries, more) in (1_usize..110, 0_usize..20),
        (d, e) in (1_usize..40, 1_usize..40),
        causal: bool,
        split: bool,
    ) {
        let mask = if causal { AttentionMask::Causal } else { AttentionMask::Full };
        check([batch, heads, queries, queries + more, d, e], mask, split, 1.0);
    }
}

#[test]
fn long_sequences_meet_several_blocks() {
    check([1, 2, 530, 530, 16, 24], AttentionMask::Causal, true, 1.0);
    check([1, 2, 70, 777, 16, 16], AttentionMask::Full, false, 1.0);
    check([1, 1, 70, 777, 16, 16], AttentionMask::Causal, false, 1.0);
}

#[test]
fn sharp_attention() {
    check([1, 2, 40, 600, 8, 8], AttentionMask::Full, false, 20.0);
}
