//! Fused operations for the networks of Genera, as fast as a plain processor allows.
//!
//! Images are NHWC, `[B, H, W, C]`, inside networks: channels lie side by side, which is what vector units want.
//! Weights keep PyTorch's layouts (`[O, I]`, `[O, I, kh, kw]`), so that checkpoints need no conversion.
//!
//! Every operation is a function of Burn tensors, differentiable on a device with autodiff, and is defined by the
//! expression of the same name in [`plain`], which is also what runs where no kernel serves.

mod activation;
mod attention;
mod conv;
mod flex;
mod group_norm;
mod layer_norm;
mod linear;
mod optimizer;
pub mod plain;
mod resample;
mod simd;

pub use activation::{Activation, LEAKY_SLOPE, SELU, activate};
pub use attention::{AttentionMask, attention};
pub use conv::{ConvOptions, conv2d};
pub use group_norm::group_norm;
pub use layer_norm::layer_norm;
pub use linear::linear;
pub use optimizer::{AdamW, AdamWTensors, adamw_step, sum_of_squares};
pub use resample::{avg_pool2x2, upsample_nearest2x};
