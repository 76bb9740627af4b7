//! Numbers side by side, for kernels whose data flow is too tangled for the compiler to find the vectors.

#![allow(unsafe_code)]

/// A vector of numbers. To be used inside of [`vectorised`](super::vectorised) functions alone, into which everything
/// is inlined, and [`Sixteen`] only if the [`Simd`](super::Simd) is wide.
pub(crate) trait Lanes: Copy {
    /// How many numbers.
    const LEN: usize;

    /// The same number everywhere.
    fn splat(value: f32) -> Self;
    /// The numbers of `from` from `at` on.
    fn load(from: &[f32], at: usize) -> Self;
    /// Writes the numbers into `to` from `at` on.
    fn store(self, to: &mut [f32], at: usize);
    /// `self + b`.
    fn add(self, b: Self) -> Self;
    /// `self - b`.
    fn sub(self, b: Self) -> Self;
    /// `self · b`.
    fn mul(self, b: Self) -> Self;
    /// `self · b + c`, rounded once.
    fn fma(self, b: Self, c: Self) -> Self;
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Eight, Sixteen};

/// The vectors of AVX and AVX-512.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    pub(crate) type Eight = __m256;
    pub(crate) type Sixteen = __m512;

    macro_rules! lanes {
        ($vector:ty, $len:literal, $splat:ident, $load:ident, $store:ident, $add:ident, $sub:ident, $mul:ident, $fma:ident) => {
            // SAFETY of every block: vectors are used only in functions that are compiled for the processor that has
            // them, see the trait; `load` and `store` check their bounds.
            impl super::Lanes for $vector {
                const LEN: usize = $len;

                #[inline(always)]
                fn splat(value: f32) -> Self {
                    unsafe { $splat(value) }
                }
                #[inline(always)]
                fn load(from: &[f32], at: usize) -> Self {
                    unsafe { $load(from[at..at + $len].as_ptr()) }
                }
                #[inline(always)]
                fn store(self, to: &mut [f32], at: usize) {
                    unsafe { $store(to[at..at + $len].as_mut_ptr(), self) }
                }
                #[inline(always)]
                fn add(self, b: Self) -> Self {
                    unsafe { $add(self, b) }
                }
                #[inline(always)]
                fn sub(self, b: Self) -> Self {
                    unsafe { $sub(self, b) }
                }
                #[inline(always)]
                fn mul(self, b: Self) -> Self {
                    unsafe { $mul(self, b) }
                }
                #[inline(always)]
                fn fma(self, b: Self, c: Self) -> Self {
                    unsafe { $fma(self, b, c) }
                }
            }
        };
    }

    lanes!(
        __m256,
        8,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_add_ps,
        _mm256_sub_ps,
        _mm256_mul_ps,
        _mm256_fmadd_ps
    );
    lanes!(
        __m512,
        16,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_add_ps,
        _mm512_sub_ps,
        _mm512_mul_ps,
        _mm512_fmadd_ps
    );
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use portable::{Eight, Sixteen};

/// Plain arrays.
#[cfg(not(target_arch = "x86_64"))]
mod portable {
    use std::array::from_fn;

    pub(crate) type Eight = [f32; 8];
    pub(crate) type Sixteen = [f32; 16];

    impl<const N: usize> super::Lanes for [f32; N] {
        const LEN: usize = N;

        fn splat(value: f32) -> Self {
            [value; N]
        }
        fn load(from: &[f32], at: usize) -> Self {
            from_fn(|i| from[at + i])
        }
        fn store(self, to: &mut [f32], at: usize) {
            to[at..at + N].copy_from_slice(&self);
        }
        fn add(self, b: Self) -> Self {
            from_fn(|i| self[i] + b[i])
        }
        fn sub(self, b: Self) -> Self {
            from_fn(|i| self[i] - b[i])
        }
        fn mul(self, b: Self) -> Self {
            from_fn(|i| self[i] * b[i])
        }
        fn fma(self, b: Self, c: Self) -> Self {
            from_fn(|i| self[i].mul_add(b[i], c[i]))
        }
    }
}
