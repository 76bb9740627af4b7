//! What the kernels are made of: no tensors here, only slices and a processor that has been asked what it can do.

pub(crate) mod function;
pub(crate) mod gemm;
pub(crate) mod lanes;
pub(crate) mod math;
pub(crate) mod parallel;

/// Proof that this processor has AVX2 and fused multiply-add: whoever holds one may run the kernels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Simd {
    /// Whether it has AVX-512F too.
    wide: bool,
}

impl Simd {
    /// Asks the processor (the answer is cached by the standard library).
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            return Some(Self { wide: std::is_x86_feature_detected!("avx512f") });
        }
        None
    }

    /// Without AVX-512.
    #[cfg(test)]
    pub fn narrow(self) -> Self {
        Self { wide: false }
    }

    /// Rows of the matrix product's micro-kernel.
    pub fn rows(self) -> usize {
        if self.wide { gemm::STRIP } else { gemm::STRIP / 2 }
    }
}

/// Defines functions whose first argument is a [`Simd`] and whose body is compiled for AVX2 with fused multiply-add:
/// plain loops over slices become vector code. They must not call code that is not inlined and should be.
macro_rules! vectorised {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident $([$($generic:ident: $bound:path),*])?
        ($($argument:ident: $kind:ty),* $(,)?) $(-> $output:ty)? $body:block)*) => {$(
        $(#[$meta])*
        #[allow(unsafe_code, clippy::too_many_arguments)]
        #[inline]
        $vis fn $name $(<$($generic: $bound),*>)? (_: $crate::simd::Simd, $($argument: $kind),*) $(-> $output)? {
            #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma"))]
            #[allow(clippy::too_many_arguments)]
            fn vector $(<$($generic: $bound),*>)? ($($argument: $kind),*) $(-> $output)? $body
            // SAFETY: a `Simd` exists only on processors with the features that `vector` is compiled for.
            #[allow(unused_unsafe)]
            unsafe { vector $(::<$($generic),*>)? ($($argument),*) }
        }
    )*};
}
pub(crate) use vectorised;
