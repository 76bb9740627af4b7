//! Eight numbers side by side, for kernels whose data flow is too tangled for the compiler to find the vectors.
//!
//! The functions are to be called from [`vectorised`](super::vectorised) functions, into which they are inlined.

#![allow(unsafe_code)]

/// Numbers in a vector.
pub(crate) const LANES: usize = 8;

#[cfg(target_arch = "x86_64")]
pub(crate) use std::arch::x86_64::{
    __m256 as Lanes, _mm256_add_ps as add, _mm256_fmadd_ps as fma, _mm256_mul_ps as mul, _mm256_set1_ps as splat,
    _mm256_sub_ps as sub,
};

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(crate) fn load(from: &[f32; LANES]) -> Lanes {
    // SAFETY: eight numbers are readable behind the reference.
    unsafe { std::arch::x86_64::_mm256_loadu_ps(from.as_ptr()) }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(crate) fn store(value: Lanes, to: &mut [f32; LANES]) {
    // SAFETY: eight numbers are writable behind the reference.
    unsafe { std::arch::x86_64::_mm256_storeu_ps(to.as_mut_ptr(), value) }
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use portable::*;

/// The same as plain arrays.
#[cfg(not(target_arch = "x86_64"))]
mod portable {
    use super::LANES;
    use std::array::from_fn;

    pub(crate) type Lanes = [f32; LANES];

    pub(crate) fn splat(value: f32) -> Lanes {
        [value; LANES]
    }
    pub(crate) fn add(a: Lanes, b: Lanes) -> Lanes {
        from_fn(|i| a[i] + b[i])
    }
    pub(crate) fn sub(a: Lanes, b: Lanes) -> Lanes {
        from_fn(|i| a[i] - b[i])
    }
    pub(crate) fn mul(a: Lanes, b: Lanes) -> Lanes {
        from_fn(|i| a[i] * b[i])
    }
    pub(crate) fn fma(a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        from_fn(|i| a[i].mul_add(b[i], c[i]))
    }
    pub(crate) fn load(from: &[f32; LANES]) -> Lanes {
        *from
    }
    pub(crate) fn store(value: Lanes, to: &mut [f32; LANES]) {
        *to = value;
    }
}
