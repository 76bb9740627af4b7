//! What the kernels are made of: no tensors here, only slices and a processor that has been asked what it can do.

use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) mod function;
pub(crate) mod gemm;
pub(crate) mod lanes;
pub(crate) mod math;
pub(crate) mod parallel;
mod tile;

/// Proof that this processor has AVX2 and fused multiply-add, or is a 64-bit Arm, all of which have NEON with them:
/// whoever holds one may run the kernels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Simd {
    /// Whether it has AVX-512 too (F, VL, BW and DQ, as all server processors with it do).
    wide: bool,
}

static DISABLED: AtomicBool = AtomicBool::new(false);

/// From now on every operation of this process is its [`plain`](crate::plain) expression: for comparisons.
pub fn disable() {
    DISABLED.store(true, Ordering::Relaxed);
}

impl Simd {
    /// Asks the processor (the answer is cached by the standard library), unless kernels are [disabled](disable).
    pub fn detect() -> Option<Self> {
        if DISABLED.load(Ordering::Relaxed) {
            return None;
        }
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            let wide = std::is_x86_feature_detected!("avx512f")
                && std::is_x86_feature_detected!("avx512vl")
                && std::is_x86_feature_detected!("avx512bw")
                && std::is_x86_feature_detected!("avx512dq");
            return Some(Self { wide });
        }
        cfg!(target_arch = "aarch64").then_some(Self { wide: false })
    }

    /// Without AVX-512.
    #[cfg(test)]
    pub fn narrow(self) -> Self {
        Self { wide: false }
    }

    /// Whether the processor has AVX-512.
    pub fn wide(self) -> bool {
        self.wide
    }

    /// Rows of the matrix product's micro-kernel.
    pub fn rows(self) -> usize {
        if self.wide { gemm::STRIP } else { gemm::STRIP / 2 }
    }
}

/// Defines functions whose first argument is a [`Simd`] and whose body is compiled twice, for AVX2 with fused
/// multiply-add and for AVX-512: plain loops over slices become vector code. They must not call code that is not inlined
/// and should be. Arithmetic is never reordered, so both give the same bits.
macro_rules! vectorised {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident $([$($generic:ident: $bound:path),*])?
        ($($argument:ident: $kind:ty),* $(,)?) $(-> $output:ty)? $body:block)*) => {$(
        $(#[$meta])*
        #[allow(unsafe_code, clippy::too_many_arguments)]
        #[inline]
        $vis fn $name $(<$($generic: $bound),*>)? (simd: $crate::simd::Simd, $($argument: $kind),*) $(-> $output)? {
            #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma"))]
            #[allow(clippy::too_many_arguments)]
            fn vector $(<$($generic: $bound),*>)? ($($argument: $kind),*) $(-> $output)? $body
            #[cfg_attr(
                target_arch = "x86_64",
                target_feature(enable = "avx2,fma,avx512f,avx512vl,avx512bw,avx512dq")
            )]
            #[allow(clippy::too_many_arguments)]
            fn wide $(<$($generic: $bound),*>)? ($($argument: $kind),*) $(-> $output)? $body
            // SAFETY: a `Simd` exists only on processors with the features that `vector` is compiled for, and is wide
            // only on those with the features of `wide`.
            #[allow(unused_unsafe)]
            unsafe {
                if simd.wide() {
                    wide $(::<$($generic),*>)? ($($argument),*)
                } else {
                    vector $(::<$($generic),*>)? ($($argument),*)
                }
            }
        }
    )*};
}
pub(crate) use vectorised;
