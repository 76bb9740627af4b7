//! The arithmetic limit of the processor, for measurements that say how near a kernel comes.

use crate::simd::lanes::{Eight, Lanes};
use crate::simd::{Simd, vectorised};

/// Chains that run side by side: twice the latency of a multiply-add, which is four or five, at two a cycle.
const CHAINS: usize = 12;

/// Runs `rounds` rounds of fused multiply-adds that touch no memory, on this thread: the number of floating-point
/// operations done, which is zero on a processor that the kernels do not serve, and a number that depends on them all.
pub fn fused_multiply_adds(rounds: u64) -> (u64, f32) {
    match Simd::detect() {
        Some(simd) => (rounds * (2 * CHAINS * Eight::LEN) as u64, run(simd, rounds)),
        None => (0, 0.0),
    }
}

vectorised! {
    fn run(rounds: u64) -> f32 {
        let (factor, term) = (Eight::splat(std::hint::black_box(0.999)), Eight::splat(std::hint::black_box(1e-3)));
        let mut chains = [Eight::splat(1.0); CHAINS];
        for _ in 0..rounds {
            for chain in &mut chains {
                *chain = chain.fma(factor, term);
            }
        }
        let mut total = 0.0;
        for chain in chains {
            let mut lanes = [0.0; Eight::LEN];
            chain.store(&mut lanes, 0);
            total += lanes.iter().sum::<f32>();
        }
        total
    }
}
