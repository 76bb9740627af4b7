//! genera-kernels
