//! The convolutional autoencoders of latent diffusion: Rombach et al. (arXiv:2112.10752), after Esser et al. (VQGAN,
//! arXiv:2012.09841).
//!
//! Structure, names of the weights and keys of the configurations are those of diffusers' `AutoencoderKL` and `VQModel`
//! 0.42, so that their checkpoints load and give the same latents and images. Not supported: spatial normalisation and
//! looking codes up by index while decoding; each is an error that says so.
//!
//! ```text
//! AutoencoderKl   x -> (μ, log σ²) of a Gaussian latent -> x̂
//! VqModel         x -> z -> the nearest of K vectors, for each pixel of the latent -> x̂
//! ```

mod coder;
mod config;

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use genera_kernels::{self as kernels, Activation, ConvOptions};
use genera_rng::Rng;

use coder::{ImageDecoder, ImageEncoder};
pub use config::{AutoencoderKlConfig, DownEncoderBlock, NormType, UpDecoderBlock, VqModelConfig};

use super::unet::ConfigError;
use super::{Conv2d, Embedding, image};
use crate::traits::{Codec, Rows, Tokens};

/// An autoencoder whose code is a Gaussian.
#[derive(Module, Debug)]
pub struct AutoencoderKl {
    encoder: ImageEncoder,
    decoder: ImageDecoder,
    quant_conv: Option<Conv2d>,
    post_quant_conv: Option<Conv2d>,
    #[module(skip)]
    size: [usize; 2],
    #[module(skip)]
    config: AutoencoderKlConfig,
}

impl AutoencoderKlConfig {
    /// Fresh weights.
    ///
    /// # Errors
    /// The first key whose value does not fit.
    pub fn init(&self, rng: &mut Rng, device: &Device) -> Result<AutoencoderKl, ConfigError> {
        let (coder, size) = self.coder()?;
        let latents = self.latent_channels;
        let mut pointwise = |channels| Conv2d::new(channels, channels, 1, ConvOptions::default(), rng, device);
        let quant_conv = self.use_quant_conv.then(|| pointwise(2 * latents));
        let post_quant_conv = self.use_post_quant_conv.then(|| pointwise(latents));
        let encoder = ImageEncoder::new(&coder, [self.in_channels, 2 * latents], rng, device);
        let decoder = ImageDecoder::new(&coder, [latents, self.out_channels], rng, device);
        Ok(AutoencoderKl { encoder, decoder, quant_conv, post_quant_conv, size, config: self.clone() })
    }
}

impl AutoencoderKl {
    /// The configuration that the networks were made from.
    pub fn config(&self) -> &AutoencoderKlConfig {
        &self.config
    }

    /// `μ` and `log σ²` of the latents, the latter between −30 and 20:
    /// `[B, C · H · W] -> 2 x [B, latents · H/f · W/f]`.
    pub fn moments(&self, x: Rows) -> [Rows; 2] {
        let [height, width] = self.size;
        let h = self.encoder.forward(image::images(x, [self.config.in_channels, height, width]));
        let h = self.quant_conv.iter().fold(h, |h, conv| conv.forward(h));
        let latents = self.config.latent_channels;
        let part = |at| image::rows(h.clone().narrow(3, at * latents, latents));
        [part(0), part(1).clamp(-30.0, 20.0)]
    }
}

impl Codec for AutoencoderKl {
    type Code = Rows;

    /// The mean of the latents.
    fn encode(&self, x: Rows) -> Rows {
        let [mean, _] = self.moments(x);
        mean
    }

    fn decode(&self, z: Rows) -> Rows {
        let [height, width] = config::latent_size(self.size, self.config.block_out_channels.len());
        let z = image::images(z, [self.config.latent_channels, height, width]);
        let z = self.post_quant_conv.iter().fold(z, |z, conv| conv.forward(z));
        image::rows(self.decoder.forward(z))
    }
}

/// An autoencoder whose code is a grid of numbers, each the place of a vector in a book.
#[derive(Module, Debug)]
pub struct VqModel {
    encoder: ImageEncoder,
    decoder: ImageDecoder,
    quantize: Book,
    quant_conv: Conv2d,
    post_quant_conv: Conv2d,
    #[module(skip)]
    size: [usize; 2],
    #[module(skip)]
    config: VqModelConfig,
}

/// The vectors: `[K, D]`.
#[derive(Module, Debug)]
struct Book {
    embedding: Embedding,
}

impl VqModelConfig {
    /// Fresh weights; vectors uniform on `±1/K`.
    ///
    /// # Errors
    /// The first key whose value does not fit.
    pub fn init(&self, rng: &mut Rng, device: &Device) -> Result<VqModel, ConfigError> {
        let (coder, size) = self.coder()?;
        let (latents, width, count) = (self.latent_channels, self.width(), self.num_vq_embeddings);
        let mut pointwise = |from, to| Conv2d::new(from, to, 1, ConvOptions::default(), rng, device);
        let (quant_conv, post_quant_conv) = (pointwise(latents, width), pointwise(width, latents));
        let weight: Param<Tensor<2>> = super::init::fan_in_uniform([count, width], count * count, rng, device);
        Ok(VqModel {
            encoder: ImageEncoder::new(&coder, [self.in_channels, latents], rng, device),
            decoder: ImageDecoder::new(&coder, [latents, self.out_channels], rng, device),
            quantize: Book { embedding: Embedding { weight } },
            quant_conv,
            post_quant_conv,
            size,
            config: self.clone(),
        })
    }
}

impl VqModel {
    /// The configuration that the networks were made from.
    pub fn config(&self) -> &VqModelConfig {
        &self.config
    }

    /// The latents before they are replaced by vectors of the book: `[B, C · H · W] -> [B, D · H/f · W/f]`.
    pub fn latents(&self, x: Rows) -> Rows {
        image::rows(self.encode_images(x))
    }

    /// `[B, H/f, W/f, D]`.
    fn encode_images(&self, x: Rows) -> Tensor<4> {
        let [height, width] = self.size;
        self.quant_conv.forward(self.encoder.forward(image::images(x, [self.config.in_channels, height, width])))
    }

    /// `[N, D] -> [N]`.
    fn nearest(&self, z: Rows) -> Tensor<1, Int> {
        // argmin |z − e|² = argmax z·e − |e|²/2
        let book = self.quantize.embedding.weight.val();
        let half: Tensor<1> = book.clone().square().sum_dim(1).squeeze_dim(1) * -0.5;
        kernels::linear(z, book, Some(half), Activation::Identity).argmax(1).squeeze_dim(1)
    }
}

impl Codec for VqModel {
    type Code = Tokens;

    /// The places in the book, row by row of the grid: `[B, H/f · W/f]`.
    fn encode(&self, x: Rows) -> Tokens {
        let z = self.encode_images(x);
        let [batch, height, width, channels] = z.dims();
        self.nearest(z.reshape([batch * height * width, channels])).reshape([batch, height * width])
    }

    fn decode(&self, code: Tokens) -> Rows {
        let [height, width] = config::latent_size(self.size, self.config.block_out_channels.len());
        let [batch, places] = code.dims();
        let z = self.quantize.embedding.forward(code.reshape([batch * places]));
        let z = self.post_quant_conv.forward(z.reshape([batch, height, width, self.config.width()]));
        image::rows(self.decoder.forward(z))
    }
}
