//! Networks. They know no loss and no probability.
//!
//! Fields are named and weights are laid out as in PyTorch, so that the names of [`collect`](crate::weights::collect)
//! are those of a PyTorch state dict. Images are `[B, H, W, C]` inside networks and rows outside. A network is made
//! on a plain device; [`Module::train`](burn::module::Module::train) switches gradients on and
//! [`valid`](burn::module::Module::valid) switches them off.

mod activation;
pub mod autoencoder;
mod captioned;
mod causal;
mod conv;
mod critic;
pub mod derivative;
mod embed;
mod gated_pixelcnn;
mod growing_critic;
mod gru;
pub(crate) mod image;
mod image_generator;
pub(crate) mod init;
mod linear;
mod made;
mod markov;
mod masked_conv;
mod masked_linear;
mod mlp;
mod norm;
mod pixelcnn;
mod residual_critic;
mod resnet;
mod scorer;
mod style_generator;
mod text_encoder;
mod transformer;
pub mod unet;
mod wavenet;

use burn::tensor::{Int, Tensor};

pub(crate) use activation::ActivationName;
pub use captioned::{CaptionedUNet, CaptionedUNetConfig};
pub use causal::{Alphabet, Causal, CausalError, Cursor, FullPass, Order, Told};
pub use conv::Conv2d;
pub use critic::{ConvCritic, ConvCriticConfig};
pub use embed::{Condition, Halves, TimestepEmbedding, sinusoids};
pub use gated_pixelcnn::{GatedPixelCnn, GatedPixelCnnConfig};
pub use genera_kernels::{Activation, ConvOptions};
pub use growing_critic::{GrowingCritic, GrowingCriticConfig};
pub use gru::{RecurrentNet, RecurrentNetConfig};
pub use image::{images, rows};
pub use image_generator::{DcganGenerator, Doubling, ResidualGenerator};
pub use linear::{Embedding, Linear};
pub use made::{Degrees, Made, MadeBlock, MadeConfig};
pub use markov::{MarkovNet, MarkovNetConfig};
pub use masked_conv::{Mask, MaskedConv2d};
pub use masked_linear::MaskedLinear;
pub use mlp::{ConditionalMlp, ConditionalMlpConfig, Mlp, MlpConfig, ResidualMlp, ResidualMlpConfig};
pub use norm::{GroupNorm, LayerNorm};
pub use pixelcnn::{PixelCnn, PixelCnnConfig};
pub use residual_critic::{ResidualCritic, ResidualCriticConfig};
pub use resnet::{ConditionalResNet, ConditionalResNetConfig};
pub use scorer::{Additions, Critic, Labelled, Scorer};
pub use style_generator::{Grown, StyleGenerator, StyleGeneratorConfig};
pub use text_encoder::{END, PADDING, TextEncoder, TextEncoderConfig, TextStates};
pub use transformer::{ImageGpt, ImageGptConfig};
pub use unet::{UNet, UNetConfig};
pub use wavenet::{WaveNet, WaveNetConfig};

use crate::traits::Rows;

/// What a network sees of noisy data.
#[derive(Clone, Debug)]
pub struct Conditioned {
    /// Noisy rows, scaled by the target's `c_in`: `[B, F]`.
    pub x: Rows,
    /// The conditioning coordinate of each row's noise level (`c_noise`): `[B]`.
    pub time: Tensor<1>,
    /// One class a row, for class-conditional networks: `[B]`.
    pub labels: Option<Tensor<1, Int>>,
}
