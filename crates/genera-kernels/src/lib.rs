//! Fused operations for the networks of Genera, as fast as a plain processor allows.
//!
//! Images are NHWC, `[B, H, W, C]`, inside networks: channels lie side by side, which is what vector units want.
//! Weights keep PyTorch's layouts (`[O, I]`, `[O, I, kh, kw]`), so that checkpoints need no conversion.
//!
//! Every operation is a function of Burn tensors, differentiable on a device with autodiff, and is defined by the
//! expression of the same name in [`plain`], which is also what runs where no kernel serves. Kernels serve f32 tensors
//! of the Flex backend, with and without autodiff, on x86-64 processors with AVX2 and fused multiply-add (and faster with
//! AVX-512), and on 64-bit Arm, where they have been run under an emulator alone (`.ci/arm`):
//!
//! | operation | kernel | file |
//! |---|---|---|
//! | [`conv2d`], [`masked_conv2d`], 3 x 3, stride, dilation and groups 1, channels in multiples of 8 | Winograd F(4 x 4, 3 x 3), where it fits better F(3, 3) along an axis | `conv/winograd/` |
//! | [`conv2d`], 3 x 3 and 4 x 4, stride 2, dilation and groups 1, channels in multiples of 8 | minimal filtering of phases, F(4, 2) and F(3, 2) | `conv/strided/` |
//! | [`conv2d`], [`masked_conv2d`], of fewer than eight channels, or to so few with stride 1; groups 1 | framed pictures through the matrix product, adjoints scattered | `conv/few.rs`, `conv/turned.rs` |
//! | [`conv2d`], [`masked_conv2d`], any other | gathered blocks through the matrix product, masked taps skipped | `conv/direct.rs` |
//! | [`conv_transpose2d`] | as [`conv2d`], which it is the adjoint of | `conv/transposed.rs` |
//! | [`linear`] | the matrix product with the activation while a block is in the cache | `linear.rs` |
//! | [`group_norm`] | three passes over a sample in the cache | `group_norm.rs` |
//! | [`layer_norm`] | row by row | `layer_norm.rs` |
//! | [`attention`] | blocks with a running maximum, scores are never stored | `attention.rs` |
//! | [`cross_entropy`] | row by row | `cross_entropy.rs` |
//! | [`activate`] | exponentials without branches | `activation.rs` |
//! | [`activation_tangent`] | the same, with second derivatives | `activation_tangent.rs` |
//! | [`sin_cos`] | polynomials, without autodiff | `sin_cos.rs` |
//! | [`avg_pool2x2`], [`upsample_nearest2x`] | line by line | `resample.rs` |
//! | [`join_channels`] | pixel by pixel | `join.rs` |
//! | [`shift_pixels`] | sample by sample, in place | `shift.rs` |
//! | [`adamw_step`], [`sum_of_squares`] | one pass over the buffers, in place | `optimizer.rs` |
//!
//! [`awake`] runs a training step or a sampling run whose operations follow each other closely, and keeps threads that wait for
//! the next one from falling asleep.
//!
//! All rest on `simd/`: the matrix product, elementary functions, and loops over chunks in parallel. Results have the
//! same bits for any number of threads, because no sum is cut by it, and a sample has the same bits in any batch.

mod activation;
mod activation_tangent;
mod attention;
mod awake;
mod conv;
mod cross_entropy;
mod flex;
mod group_norm;
mod join;
mod layer_norm;
mod limit;
mod linear;
mod optimizer;
pub mod plain;
mod resample;
mod shift;
mod simd;
mod sin_cos;

pub use activation::{Activation, LEAKY_SLOPE, SELU, activate};
pub use activation_tangent::activation_tangent;
pub use attention::{AttentionMask, attention};
pub use awake::awake;
pub use conv::{ConvOptions, conv_transpose2d, conv2d, masked_conv2d};
pub use cross_entropy::cross_entropy;
pub use group_norm::group_norm;
pub use join::join_channels;
pub use layer_norm::layer_norm;
pub use limit::fused_multiply_adds;
pub use linear::linear;
pub use optimizer::{AdamW, AdamWTensors, adamw_step, sum_of_squares};
pub use resample::{avg_pool2x2, upsample_nearest2x};
pub use shift::shift_pixels;
pub use simd::disable;
pub use sin_cos::sin_cos;
