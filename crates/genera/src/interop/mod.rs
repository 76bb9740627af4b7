//! Reading and writing what other projects write: pipeline folders of diffusers 0.42.
//!
//! ```text
//! model_index.json                             which components there are
//! unet/config.json                             a UNetConfig
//! unet/diffusion_pytorch_model.safetensors     its weights: f16, bf16, f32 or f64, in one file or in shards
//! scheduler/scheduler_config.json              a SchedulerConfig
//! ```
//!
//! Networks alone are read from folders of their own: a U-Net, an `AutoencoderKL`, a `VQModel`.
//!
//! Keys that begin with an underscore are notes and are ignored. Every other key is understood or refused by name:
//! a network that is silently not quite the one that was trained draws wrong pictures and nobody knows why.

mod autoencoder;
mod config;
mod error;
mod pipeline;
mod scheduler;

pub use autoencoder::{read_autoencoder_kl, read_vq_model};
pub use error::InteropError;
pub use pipeline::{Pipeline, read_pipeline, read_unet, write_pipeline, write_unet};
pub use scheduler::{BetaSchedule, PredictionType, SchedulerClass, SchedulerConfig, TimestepSpacing, VarianceType};
