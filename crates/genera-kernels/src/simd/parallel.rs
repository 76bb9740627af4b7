//! Work divided among threads so that the result never depends on how many there are: every element is computed by
//! the same chain of operations, and sums are taken over chunks whose size depends on the shape alone.

use std::cell::RefCell;

use rayon::prelude::*;

/// Fewer elementary operations than this are done at once: waking a thread costs microseconds.
const SERIAL_WORK: usize = 60_000;

/// Runs `f(index, chunk)` on consecutive chunks of `values`, in parallel if `work` elementary operations in total are
/// worth it.
pub(crate) fn chunks(values: &mut [f32], chunk: usize, work: usize, f: impl Fn(usize, &mut [f32]) + Sync) {
    let chunk = chunk.max(1);
    if work < SERIAL_WORK || values.len() <= chunk {
        values.chunks_mut(chunk).enumerate().for_each(|(i, part)| f(i, part));
    } else {
        values.par_chunks_mut(chunk).enumerate().for_each(|(i, part)| f(i, part));
    }
}

/// As [`chunks`], over several slices at once that are cut into equally many chunks.
pub(crate) fn chunks_together<const N: usize>(
    slices: [(&mut [f32], usize); N],
    work: usize,
    f: impl Fn(usize, [&mut [f32]; N]) + Sync,
) {
    let mut chunks = slices.map(|(values, chunk)| values.chunks_mut(chunk.max(1)));
    let count = chunks[0].len();
    debug_assert!(chunks.iter().all(|chunks| chunks.len() == count));
    let tasks = (0..count).map(|_| chunks.each_mut().map(|chunks| chunks.next().unwrap_or_default()));
    if work < SERIAL_WORK || count < 2 {
        tasks.enumerate().for_each(|(i, parts)| f(i, parts));
    } else {
        tasks.collect::<Vec<_>>().into_par_iter().enumerate().for_each(|(i, parts)| f(i, parts));
    }
}

/// Cuts `values` into consecutive pieces of these lengths.
pub(crate) fn pieces(mut values: &mut [f32], lengths: impl Iterator<Item = usize>) -> Vec<&mut [f32]> {
    let cut = |length| {
        let piece;
        (piece, values) = std::mem::take(&mut values).split_at_mut(length);
        piece
    };
    lengths.map(cut).collect()
}

/// Runs `f(index, piece)` on all pieces, in parallel if `work` elementary operations in total are worth it.
pub(crate) fn each<T: Send>(pieces: Vec<T>, work: usize, f: impl Fn(usize, T) + Sync) {
    if work < SERIAL_WORK || pieces.len() < 2 {
        pieces.into_iter().enumerate().for_each(|(i, piece)| f(i, piece));
    } else {
        pieces.into_par_iter().enumerate().for_each(|(i, piece)| f(i, piece));
    }
}

/// Larger scratch than this is returned to the allocator after use.
const KEPT_SCRATCH: usize = 4 << 20;

thread_local! {
    static SCRATCH: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Lends `f` a slice of `len` numbers of no particular value that belongs to this thread. May be nested.
pub(crate) fn scratch<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default();
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    let result = f(&mut buffer[..len]);
    if buffer.len() <= KEPT_SCRATCH {
        SCRATCH.with_borrow_mut(|kept| {
            if kept.len() < 8 {
                kept.push(buffer)
            }
        });
    }
    result
}
