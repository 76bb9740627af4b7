//! The micro-kernels of the [matrix product](super::gemm): some rows of one or two panels of `C` in vector registers, to
//! which one outer product is added for each `k`. Each has the same bits as the others, because every element is one
//! chain of fused multiply-adds in the order of `k`.

#![allow(unsafe_code)]

use super::Simd;
use super::gemm::PANEL;
#[cfg(target_arch = "x86_64")]
use super::gemm::STRIP;

/// What a tile of `C` starts from.
pub(super) enum Begin<'a> {
    Row(&'a [f32; 2 * PANEL]),
    Tile,
}

/// # Safety
/// Those of [`tile`], [`wide_tile`] and [`wide_pair`], for the one that is chosen: the last if `b` has a second panel,
/// so far away, which needs AVX-512; `rows` is at most [`Simd::rows`].
#[allow(clippy::too_many_arguments)]
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn run(
    simd: Simd,
    rows: usize,
    k: usize,
    a: (*const f32, [usize; 2]),
    (b, second): (*const f32, Option<usize>),
    begin: Begin<'_>,
    c: *mut f32,
    stride: usize,
) {
    macro_rules! tiles {
        ($tile:ident, $b:expr, $($m:literal)*) => {
            match rows {
                $($m => $tile::<$m>(k, a, $b, begin, c, stride),)*
                _ => unreachable!("a strip has at most {STRIP} rows"),
            }
        };
    }
    // SAFETY: the caller's promises are those of the tiles.
    unsafe {
        match second {
            Some(second) => tiles!(wide_pair, [b, b.add(second)], 1 2 3 4 5 6 7 8 9 10 11 12),
            None if simd.rows() == STRIP => tiles!(wide_tile, b, 1 2 3 4 5 6 7 8 9 10 11 12),
            None => tiles!(tile, b, 1 2 3 4 5 6),
        }
    }
}

/// The first six multiples of `row`, as numbers that the compiler does not know to be multiples: it would walk from row
/// to row by a chain of additions, which takes longer than the multiplications.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn distances(row: usize) -> [usize; 6] {
    std::hint::black_box([0, row, 2 * row, 3 * row, 4 * row, 5 * row])
}

/// The micro-kernel for AVX2: `M` rows of 16 columns of `C` in two vectors each.
///
/// # Safety
/// For `i < M` and `j < k`: `a.0 + i * a.1[0] + j * a.1[1]` must be readable, `k` rows of 16 numbers at `b`, and 16
/// numbers at `c + i * stride` writable. The processor must have AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn tile<const M: usize>(
    k: usize,
    (mut a, [row, step]): (*const f32, [usize; 2]),
    mut b: *const f32,
    begin: Begin<'_>,
    c: *mut f32,
    stride: usize,
) {
    use std::arch::x86_64::{
        _mm256_broadcast_ss, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_setzero_ps, _mm256_storeu_ps,
    };
    let mut sum = [[_mm256_setzero_ps(); 2]; M];
    // SAFETY: the pointers stay within what the caller promises.
    unsafe {
        for (i, sum) in sum.iter_mut().enumerate() {
            let from = match begin {
                Begin::Row(values) => values.as_ptr(),
                Begin::Tile => c.add(i * stride).cast_const(),
            };
            *sum = [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))];
        }
        let rows = distances(row);
        for _ in 0..k {
            let (left, right) = (_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8)));
            for (i, sum) in sum.iter_mut().enumerate() {
                let factor = _mm256_broadcast_ss(&*a.add(rows[i]));
                sum[0] = _mm256_fmadd_ps(factor, left, sum[0]);
                sum[1] = _mm256_fmadd_ps(factor, right, sum[1]);
            }
            a = a.wrapping_add(step);
            b = b.add(PANEL);
        }
        for (i, sum) in sum.iter().enumerate() {
            _mm256_storeu_ps(c.add(i * stride), sum[0]);
            _mm256_storeu_ps(c.add(i * stride + 8), sum[1]);
        }
    }
}

/// The micro-kernel for AVX-512: `M` rows of 16 columns of `C` in one vector each.
///
/// # Safety
/// As [`tile`], but the processor must have AVX-512F.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn wide_tile<const M: usize>(
    k: usize,
    (mut a, [row, step]): (*const f32, [usize; 2]),
    mut b: *const f32,
    begin: Begin<'_>,
    c: *mut f32,
    stride: usize,
) {
    use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps};
    let mut sum = [_mm512_setzero_ps(); M];
    // SAFETY: the pointers stay within what the caller promises.
    unsafe {
        for (i, sum) in sum.iter_mut().enumerate() {
            *sum = _mm512_loadu_ps(match begin {
                Begin::Row(values) => values.as_ptr(),
                Begin::Tile => c.add(i * stride).cast_const(),
            });
        }
        let rows = distances(row);
        let mut far = a.wrapping_add(6 * row);
        for _ in 0..k {
            let panel = _mm512_loadu_ps(b);
            for (i, sum) in sum.iter_mut().enumerate() {
                let factor = if i < 6 { *a.add(rows[i]) } else { *far.add(rows[i - 6]) };
                *sum = _mm512_fmadd_ps(_mm512_set1_ps(factor), panel, *sum);
            }
            a = a.wrapping_add(step);
            far = far.wrapping_add(step);
            b = b.add(PANEL);
        }
        for (i, sum) in sum.iter().enumerate() {
            _mm512_storeu_ps(c.add(i * stride), *sum);
        }
    }
}

/// The micro-kernel for AVX-512 and two panels at once: every factor that is read serves two multiplications, of which
/// the processor does as many in a cycle as it reads numbers.
///
/// # Safety
/// As [`wide_tile`], for both panels and 32 numbers at `c + i * stride`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn wide_pair<const M: usize>(
    k: usize,
    (mut a, [row, step]): (*const f32, [usize; 2]),
    [mut b0, mut b1]: [*const f32; 2],
    begin: Begin<'_>,
    c: *mut f32,
    stride: usize,
) {
    use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps};
    // Two arrays, because one of pairs would be kept in memory.
    let (mut left, mut right) = ([_mm512_setzero_ps(); M], [_mm512_setzero_ps(); M]);
    // SAFETY: the pointers stay within what the caller promises.
    unsafe {
        for i in 0..M {
            let from = match begin {
                Begin::Row(values) => values.as_ptr(),
                Begin::Tile => c.add(i * stride).cast_const(),
            };
            (left[i], right[i]) = (_mm512_loadu_ps(from), _mm512_loadu_ps(from.add(PANEL)));
        }
        let rows = distances(row);
        let mut far = a.wrapping_add(6 * row);
        for _ in 0..k {
            let (near_panel, far_panel) = (_mm512_loadu_ps(b0), _mm512_loadu_ps(b1));
            for i in 0..M {
                let factor = _mm512_set1_ps(if i < 6 { *a.add(rows[i]) } else { *far.add(rows[i - 6]) });
                left[i] = _mm512_fmadd_ps(factor, near_panel, left[i]);
                right[i] = _mm512_fmadd_ps(factor, far_panel, right[i]);
            }
            a = a.wrapping_add(step);
            far = far.wrapping_add(step);
            (b0, b1) = (b0.add(PANEL), b1.add(PANEL));
        }
        for i in 0..M {
            _mm512_storeu_ps(c.add(i * stride), left[i]);
            _mm512_storeu_ps(c.add(i * stride + PANEL), right[i]);
        }
    }
}

/// # Safety
/// Those of [`plain_tile`]; `rows` is at most [`Simd::rows`], and `b` has no second panel.
#[allow(clippy::too_many_arguments)]
#[cfg(not(target_arch = "x86_64"))]
pub(super) unsafe fn run(
    _: Simd,
    rows: usize,
    k: usize,
    a: (*const f32, [usize; 2]),
    (b, _): (*const f32, Option<usize>),
    begin: Begin<'_>,
    c: *mut f32,
    stride: usize,
) {
    // SAFETY: the caller's promises are those of the tiles.
    unsafe {
        match rows {
            1 => plain_tile::<1>(k, a, b, begin, c, stride),
            2 => plain_tile::<2>(k, a, b, begin, c, stride),
            3 => plain_tile::<3>(k, a, b, begin, c, stride),
            4 => plain_tile::<4>(k, a, b, begin, c, stride),
            5 => plain_tile::<5>(k, a, b, begin, c, stride),
            _ => plain_tile::<6>(k, a, b, begin, c, stride),
        }
    }
}

/// The micro-kernel without instructions by name, of which the compiler makes those of the processor: with the 32
/// registers of NEON, four vectors for each of six rows.
///
/// # Safety
/// For `i < M` and `j < k`: `a.0 + i * a.1[0] + j * a.1[1]` must be readable, `k` rows of 16 numbers at `b`, and 16
/// numbers at `c + i * stride` writable.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
unsafe fn plain_tile<const M: usize>(
    k: usize,
    (mut a, [row, step]): (*const f32, [usize; 2]),
    mut b: *const f32,
    begin: Begin<'_>,
    c: *mut f32,
    stride: usize,
) {
    let mut sum = [[0.0; PANEL]; M];
    // SAFETY: the pointers stay within what the caller promises.
    unsafe {
        for (i, sum) in sum.iter_mut().enumerate() {
            let from = match begin {
                Begin::Row(values) => values.as_ptr(),
                Begin::Tile => c.add(i * stride).cast_const(),
            };
            *sum = *from.cast::<[f32; PANEL]>();
        }
        for _ in 0..k {
            let panel = *b.cast::<[f32; PANEL]>();
            for (i, sum) in sum.iter_mut().enumerate() {
                let factor = *a.add(i * row);
                for (sum, value) in sum.iter_mut().zip(panel) {
                    *sum = factor.mul_add(value, *sum);
                }
            }
            a = a.wrapping_add(step);
            b = b.add(PANEL);
        }
        for (i, sum) in sum.iter().enumerate() {
            *c.add(i * stride).cast::<[f32; PANEL]>() = *sum;
        }
    }
}
