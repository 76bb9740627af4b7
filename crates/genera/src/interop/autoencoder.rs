//! Folders of autoencoders: `config.json` and weights, as `save_pretrained` writes them.

use std::path::Path;

use burn::tensor::Device;
use genera_rng::Rng;

use super::InteropError;
use super::pipeline::read_network;
use crate::nn::autoencoder::{AutoencoderKl, AutoencoderKlConfig, VqModel, VqModelConfig};

/// Reads the folder of an `AutoencoderKL`.
///
/// # Errors
/// A file that is missing, truncated or of another kind, a key or value that is not supported, weights that do not fit
/// the configuration.
pub fn read_autoencoder_kl(folder: &Path, device: &Device) -> Result<AutoencoderKl, InteropError> {
    let blocks = |config: &AutoencoderKlConfig| config.layers_per_block.saturating_mul(config.block_out_channels.len());
    read_network(folder, "AutoencoderKL", blocks, |config| config.init(&mut Rng::new(0), device))
}

/// Reads the folder of a `VQModel`.
///
/// # Errors
/// As [`read_autoencoder_kl`].
pub fn read_vq_model(folder: &Path, device: &Device) -> Result<VqModel, InteropError> {
    let blocks = |config: &VqModelConfig| config.layers_per_block.saturating_mul(config.block_out_channels.len());
    read_network(folder, "VQModel", blocks, |config| config.init(&mut Rng::new(0), device))
}
