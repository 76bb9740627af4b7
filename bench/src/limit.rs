//! The arithmetic limit of the processor: fused multiply-adds on registers alone, one thread and all of them.

use std::time::Instant;

use serde_json::{Value, json};

/// Rounds of a burst; about a tenth of a second.
const ROUNDS: u64 = 8 << 20;

/// The most operations a second over several bursts: `{"threads": .., "one": .., "all": ..}`, the last two in GFLOP/s.
pub fn measure() -> Value {
    let threads = rayon::current_num_threads();
    let best = |threads: usize| (0..8).map(|_| burst(threads)).fold(0.0, f64::max);
    json!({ "threads": threads, "one": best(1), "all": best(threads) })
}

fn burst(threads: usize) -> f64 {
    let start = Instant::now();
    let operations: Vec<u64> = std::thread::scope(|scope| {
        let run = || std::hint::black_box(genera_kernels::fused_multiply_adds(std::hint::black_box(ROUNDS)));
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        handles.into_iter().map(|handle| handle.join().expect("arithmetic does not panic").0).collect()
    });
    operations.iter().sum::<u64>() as f64 / start.elapsed().as_secs_f64() * 1e-9
}
