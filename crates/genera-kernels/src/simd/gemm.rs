//! Matrix products by one register-tiled micro-kernel, [`tile`], over packed panels.
//!
//! `C[M, N] (+)= A[M, K] · B[K, N]`: `B` is packed once into panels of 16 columns, `[N/16, K, 16]`, padded with zeros;
//! the micro-kernel keeps some rows of `C` in vector registers (6 rows of one panel with AVX2, 12 rows of two panels
//! with AVX-512) and adds one outer product for each `k`, the scheme of Goto and van de Geijn, "Anatomy of
//! High-Performance Matrix Multiplication" (2008). `k` is cut so that panels stay in the first-level cache. `A` is read
//! in place with any strides. Every element of `C` is one chain of fused multiply-adds in the order of `k`, so it depends neither on how
//! the work is cut nor on the width of the vectors.

#![allow(unsafe_code)]

use super::tile::{self, Begin};
use super::{Simd, parallel, vectorised};

/// Columns of a panel.
pub(crate) const PANEL: usize = 16;
/// Rows of the micro-kernel with AVX-512; with AVX2 half of them. Work is cut into multiples of this.
pub(crate) const STRIP: usize = 12;
/// Rows of a panel that are used at once: 16 kB, in two panels 32 kB.
const DEPTH: usize = 256;

/// The length of a packed `[k, n]` matrix.
pub(crate) fn packed_len(k: usize, n: usize) -> usize {
    n.div_ceil(PANEL) * PANEL * k
}

/// Packs the `[k, n]` matrix whose element `(i, j)` is `element(i, j)`.
pub(crate) fn pack(packed: &mut [f32], k: usize, n: usize, element: impl Fn(usize, usize) -> f32) {
    for (panel, values) in packed[..packed_len(k, n)].chunks_exact_mut(PANEL * k.max(1)).enumerate() {
        let columns = PANEL.min(n - panel * PANEL);
        for (i, row) in values.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
            for (lane, value) in row.iter_mut().enumerate() {
                *value = if lane < columns { element(i, panel * PANEL + lane) } else { 0.0 };
            }
        }
    }
}

/// A matrix in place: element `(i, k)` is `values[i * row + k * step]`.
#[derive(Clone, Copy)]
pub(crate) struct Strided<'a> {
    pub values: &'a [f32],
    pub row: usize,
    pub step: usize,
}

/// What the product is added to.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a> {
    Zero,
    /// One value for each column.
    Row(&'a [f32]),
    /// What `C` holds.
    Previous,
}

/// `C[m, n] = start + A[m, k] · B[k, n]` with `B` packed and `C` stored in rows of `stride` numbers.
#[allow(clippy::too_many_arguments)]
pub(crate) fn multiply(
    simd: Simd,
    [m, k, n]: [usize; 3],
    a: Strided<'_>,
    packed: &[f32],
    start: Start<'_>,
    c: &mut [f32],
    stride: usize,
) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(packed.len() >= packed_len(k, n) && n <= stride && (m - 1) * stride + n <= c.len());
    assert!(k == 0 || (m - 1) * a.row + (k - 1) * a.step < a.values.len());
    let (strides, strip) = ([a.row, a.step], simd.rows());
    // Where a panel that is not full is computed.
    let mut edge = [0.0; STRIP * PANEL];
    let mut panel = 0;
    while panel * PANEL < n {
        let first = panel * PANEL;
        let together = if simd.rows() == STRIP && first + 2 * PANEL <= n { 2 } else { 1 };
        let columns = (together * PANEL).min(n - first);
        let whole = columns == together * PANEL;
        let mut row = [0.0; 2 * PANEL];
        if let Start::Row(values) = start {
            row[..columns].copy_from_slice(&values[first..][..columns]);
        }
        for from in (0..k.max(1)).step_by(DEPTH) {
            let depth = DEPTH.min(k - from);
            let b = &packed[(panel * k + from) * PANEL..][..((together - 1) * k + depth) * PANEL];
            let start = if from == 0 { start } else { Start::Previous };
            for top in (0..m).step_by(strip) {
                let rows = strip.min(m - top);
                let at = top * stride + first;
                if let (false, Start::Previous) = (whole, start) {
                    copy_rows(c, at, stride, &mut edge, 0, PANEL, rows, columns);
                }
                let begin = match start {
                    Start::Zero | Start::Row(_) => Begin::Row(&row),
                    Start::Previous => Begin::Tile,
                };
                let (target, target_stride) = if whole { (&mut c[at..], stride) } else { (&mut edge[..], PANEL) };
                assert!(target.len() >= (rows - 1) * target_stride + together * PANEL);
                // SAFETY: `simd` proves the features, and that `rows` is at most what they serve. Element (top + i,
                // from + j) of `a` lies inside `a.values` for i < rows and j < depth by the assertions at the top;
                // `b` has `depth` rows
                // of the panel and of the one that is `k` rows away, if there are two together; `rows` rows of `target`
                // by the assertion above.
                unsafe {
                    let a = a.values.as_ptr().wrapping_add(top * a.row + from * a.step);
                    let b = (b.as_ptr(), (together == 2).then_some(k * PANEL));
                    tile::run(simd, rows, depth, (a, strides), b, begin, target.as_mut_ptr(), target_stride);
                }
                if !whole {
                    copy_rows(&edge, 0, PANEL, c, at, stride, rows, columns);
                }
            }
        }
        panel += together;
    }
}

/// Copies a block of `rows` by `columns` numbers.
#[allow(clippy::too_many_arguments)]
fn copy_rows(
    from: &[f32],
    at: usize,
    stride: usize,
    to: &mut [f32],
    to_at: usize,
    to_stride: usize,
    rows: usize,
    columns: usize,
) {
    for i in 0..rows {
        to[to_at + i * to_stride..][..columns].copy_from_slice(&from[at + i * stride..][..columns]);
    }
}

/// Columns of a matrix that [`add_transposed_product`] packs at once, at most this many numbers.
const PACKED_BLOCK: usize = 256 << 10;

/// `C[m, n] += Aᵀ · B` for tall matrices, `A` `[rows, m]` contiguous and `B` `[rows, n]` given in pieces:
/// `fill(first, panel, values)` writes the columns of `panel` in the rows from `first` on, 16 numbers a row, of which
/// those beyond `n` lead to nothing. Threads divide the rows of `C`, so the order of every sum is fixed.
pub(crate) fn add_transposed_product(
    simd: Simd,
    [m, rows, n]: [usize; 3],
    a: &[f32],
    fill: impl Fn(usize, usize, &mut [[f32; PANEL]]) + Sync,
    c: &mut [f32],
) {
    const ROWS: usize = 2 * STRIP;
    let block = (PACKED_BLOCK / packed_len(1, n).max(1)).clamp(64, 1024);
    let work = 2 * m * n * rows.min(block);
    parallel::scratch(packed_len(block.min(rows), n), |packed| {
        for first in (0..rows).step_by(block) {
            let count = block.min(rows - first);
            let packed = &mut packed[..packed_len(count, n)];
            parallel::chunks(packed, PANEL * count, work / 8, |panel, values| {
                fill(first, panel, values.as_chunks_mut().0);
            });
            let packed = &*packed;
            parallel::chunks(c, ROWS * n, work, |i, c| {
                let a = Strided { values: &a[first * m + i * ROWS..], row: 1, step: m };
                multiply(simd, [c.len() / n, count, n], a, packed, Start::Previous, c, n);
            });
        }
    });
}

/// The sum of the rows of `a`, `[rows, n]`: blocks of rows in parallel, then the blocks in order.
pub(crate) fn column_sums(simd: Simd, a: &[f32], n: usize) -> Vec<f32> {
    const ROWS: usize = 256;
    let blocks = a.len().div_ceil((ROWS * n).max(1));
    let mut partial = vec![0.0; blocks * n];
    parallel::chunks(&mut partial, n, a.len(), |i, sums| {
        let end = a.len().min((i + 1) * ROWS * n);
        add_rows(simd, sums, &a[i * ROWS * n..end]);
    });
    let mut total = vec![0.0; n];
    add_rows(simd, &mut total, &partial);
    total
}

/// Up to this many columns, [`few_columns`] beats a panel of which most is padding.
pub(crate) const FEW: usize = 4;

vectorised! {
    /// `C[m, n] = start + A[m, k] · Bᵀ` for contiguous matrices with few columns, `B` `[n, k]`: dot products in lanes.
    pub(crate) fn few_columns(k: usize, a: &[f32], b: &[f32], start: Option<&[f32]>, c: &mut [f32]) {
        const LANES: usize = 32;
        let n = b.len() / k.max(1);
        for (a, c) in a.chunks_exact(k).zip(c.chunks_exact_mut(n)) {
            for (j, (b, c)) in b.chunks_exact(k).zip(c).enumerate() {
                let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
                let mut lanes = [0.0_f32; LANES];
                for (a, b) in a.iter().zip(b) {
                    for i in 0..LANES {
                        lanes[i] = a[i].mul_add(b[i], lanes[i]);
                    }
                }
                let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
                *c = start.map_or(0.0, |start| start[j]) + (lanes.iter().sum::<f32>() + rest);
            }
        }
    }

    /// Adds every row of `a` to `sums`.
    fn add_rows(sums: &mut [f32], a: &[f32]) {
        for row in a.chunks_exact(sums.len().max(1)) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: u64) -> Vec<f32> {
        genera_rng::Rng::new(seed).normal(1, n)
    }

    /// Depths on both sides of a cut, strips and panels that are not full, any start; both micro-kernels, the same bits.
    #[test]
    fn products_are_sums_in_order() {
        let Some(simd) = Simd::detect() else { return };
        for [m, k, n] in [[1, 1, 1], [13, 5, 17], [12, 256, 16], [25, 257, 33], [7, 600, 40], [3, 0, 5]] {
            let (a, b, row, before) = (numbers(m * k, 1), numbers(k * n, 2), numbers(n, 3), numbers(m * n, 4));
            let mut packed = vec![0.0; packed_len(k, n)];
            pack(&mut packed, k, n, |i, j| b[i * n + j]);
            for start in [Start::Zero, Start::Row(&row), Start::Previous] {
                let expected: Vec<f32> = (0..m * n)
                    .map(|at| {
                        let (i, j) = (at / n, at % n);
                        let first = match start {
                            Start::Zero => 0.0,
                            Start::Row(row) => row[j],
                            Start::Previous => before[at],
                        };
                        (0..k).fold(first, |sum, l| a[i * k + l].mul_add(b[l * n + j], sum))
                    })
                    .collect();
                for simd in [simd, simd.narrow()] {
                    let mut c = before.clone();
                    let a = Strided { values: &a, row: k, step: 1 };
                    multiply(simd, [m, k, n], a, &packed, start, &mut c, n);
                    assert_eq!(c, expected, "{m} x {k} x {n}, {} rows at once", simd.rows());
                }
            }
        }
    }
}
