//! Threads that wait for work without falling asleep.
//!
//! A thread of the pool that finds nothing to do goes to sleep within some microseconds, and waking it costs more than
//! many an operation of a small network takes. Between the operations of one training step there is never nothing to do
//! for long: here the other threads look for work until the step is over, or until none has come for about a millisecond.
//! What is computed does not depend on it.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::Yield;

/// How often a thread looks for work in vain before it may sleep.
const PATIENCE: usize = 2_000;
/// Pauses between two looks.
const PAUSES: usize = 8;

/// Runs `work`, and keeps the other threads of the pool looking for parts of it. Outside of a pool it just runs.
pub fn awake<R>(work: impl FnOnce() -> R) -> R {
    let Some(own) = rayon::current_thread_index().filter(|_| rayon::current_num_threads() > 1) else { return work() };
    let over = AtomicBool::new(false);
    rayon::in_place_scope(|scope| {
        let over = &over;
        scope.spawn_broadcast(move |_, context| {
            // This thread may come by here when it waits for the others.
            if context.index() != own {
                look_for_work(over);
            }
        });
        // Also if the work panics.
        let _over = Over(over);
        work()
    })
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn look_for_work(over: &AtomicBool) {
    let mut in_vain = 0;
    while in_vain < PATIENCE && !over.load(Ordering::Acquire) {
        if rayon::yield_now() == Some(Yield::Executed) {
            in_vain = 0;
        } else {
            in_vain += 1;
            (0..PAUSES).for_each(|_| spin_loop());
        }
    }
}

#[cfg(test)]
mod tests {
    use rayon::ThreadPoolBuilder;
    use rayon::prelude::*;

    use super::awake;

    /// Within pools of every size, without one, nested, and after a panic.
    #[test]
    fn work_is_done_and_ends() {
        let sum = || (0..1000_u64).into_par_iter().map(|i| i * i).sum::<u64>();
        let expected = sum();
        assert_eq!(awake(sum), expected);
        for threads in [1, 2, 4] {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                for _ in 0..50 {
                    assert_eq!(awake(|| sum() + awake(sum)), 2 * expected);
                }
                let broken = std::panic::catch_unwind(|| awake(|| panic!("on purpose")));
                assert!(broken.is_err());
                assert_eq!(awake(sum), expected);
                // Two at once.
                let both = rayon::join(|| awake(sum), || awake(sum));
                assert_eq!(both, (expected, expected));
            });
        }
    }
}
