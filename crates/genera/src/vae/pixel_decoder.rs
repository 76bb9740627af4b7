//! A decoder that paints pixel by pixel: `p(x|z) = Πⱼ p(xⱼ | x_{<j}, z)` by a PixelCNN that is told `z`.
//!
//! PixelVAE (Gulrajani et al., arXiv:1611.05013) and the variational lossy autoencoder (Chen et al., arXiv:1611.02731). A
//! decoder that sees far explains everything by itself and leaves the latents unused; few layers and a small kernel, or
//! free bits, keep them.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use genera_kernels::{Activation, activate, cross_entropy};
use genera_rng::{Rng, Stream};
use serde::{Deserialize, Serialize};

use super::decoder::{Decode, Likelihood, LikelihoodConfig};
use super::{VaeError, row_sum};
use crate::nn::{Alphabet, Causal, PixelCnn, PixelCnnConfig};
use crate::traits::Rows;

/// Draws that [`Likelihood::mean`] is the mean of.
const DRAWS: usize = 16;

/// What a [`PixelDecoder`] looks like, apart from the data it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PixelDecoderConfig {
    /// Features of every layer.
    pub filters: usize,
    /// Layers between the first and the last.
    pub layers: usize,
    /// Side of the kernels.
    pub kernel: usize,
}

impl Default for PixelDecoderConfig {
    fn default() -> Self {
        Self { filters: 32, layers: 2, kernel: 7 }
    }
}

impl PixelDecoderConfig {
    /// Fresh weights for `latents` numbers and pictures of `shape` `[C, H, W]`.
    ///
    /// # Errors
    /// A likelihood that is not of bits or whole numbers, or sizes that make no network.
    pub fn init(
        &self,
        latents: usize,
        shape: [usize; 3],
        likelihood: LikelihoodConfig,
        rng: &mut Rng,
        device: &Device,
    ) -> Result<PixelDecoder, VaeError> {
        likelihood.check()?;
        let alphabet = match likelihood {
            LikelihoodConfig::Bernoulli => Alphabet::Levels(2),
            LikelihoodConfig::Categorical { levels } => Alphabet::Levels(levels),
            _ => {
                return Err(VaeError::Combination(
                    "a decoder that paints draws bits or whole numbers: take bernoulli or categorical",
                ));
            }
        };
        let &Self { filters, layers, kernel } = self;
        let net = PixelCnnConfig { filters, layers, kernel, norm: false, residual: false };
        let net = net.init_given(shape, alphabet, [likelihood.parameters(), latents], rng, device)?;
        Ok(PixelDecoder { net, likelihood })
    }
}

/// A PixelCNN that is told the latents.
#[derive(Module, Debug)]
pub struct PixelDecoder {
    /// `[B, F], [B, L] -> [B, F, P]`.
    net: PixelCnn,
    #[module(skip)]
    likelihood: LikelihoodConfig,
}

impl Decode for PixelDecoder {
    type Likelihood = Painting;

    fn likelihood(&self, z: Rows) -> Painting {
        Painting { net: self.net.clone(), z, likelihood: self.likelihood }
    }
}

/// `p(x|z)` of some latents, whose values depend on each other.
#[derive(Clone, Debug)]
pub struct Painting {
    net: PixelCnn,
    z: Rows,
    likelihood: LikelihoodConfig,
}

impl Painting {
    /// One draw of each, row `i` from stream `i` of one draw of `rng`.
    fn paint(&self, rng: &mut Rng) -> Rows {
        let (rows, device) = (self.z.dims()[0], self.z.device().inner());
        let z = if self.z.is_autodiff() { self.z.clone().inner() } else { self.z.clone() };
        let net = self.net.clone().valid();
        let order = &net.orders()[0];
        if rows == 0 {
            return Tensor::zeros([0, order.len()], &device);
        }
        let mut streams: Vec<Stream> = rng.streams(rows).collect();
        let mut cursor = net.cursor_given(rows, Some(&z));
        let (mut x, mut previous) = (vec![0.0_f32; rows * order.len()], Vec::new());
        for &element in order {
            let outputs = cursor.advance(&previous);
            let rows = outputs.chunks_exact(self.likelihood.parameters()).zip(&mut streams);
            let drawn = rows.map(|(row, stream)| self.likelihood.draw(|p| row[p].into(), None, stream) as f32);
            previous = drawn.collect();
            x.iter_mut().skip(element).step_by(order.len()).zip(&previous).for_each(|(x, value)| *x = *value);
        }
        Tensor::from_data(TensorData::new(x, [rows, order.len()]), &device)
    }
}

impl Likelihood for Painting {
    fn log_prob(&self, x: Rows) -> Tensor<1> {
        let outputs = self.net.forward_given(x.clone(), Some(&self.z)); // [B, F, P]
        let [rows, features, count] = outputs.dims();
        match self.likelihood {
            LikelihoodConfig::Categorical { .. } => {
                let cost = cross_entropy(outputs.reshape([rows * features, count]), x.reshape([rows * features]).int());
                row_sum(cost.reshape([rows, features])).neg()
            }
            _ => {
                let logits: Rows = outputs.reshape([rows, features]);
                row_sum(x * logits.clone() - activate(logits, Activation::Softplus))
            }
        }
    }

    /// There is no closed form: the mean of sixteen draws, always the same ones.
    fn mean(&self) -> Rows {
        let rng = Rng::new(0).fork("painting");
        let draws = (0..DRAWS).map(|draw| self.paint(&mut rng.at(draw as u64)));
        let sum = draws.reduce(|sum, draw| sum + draw);
        sum.map_or_else(|| self.z.clone(), |sum| sum / DRAWS as f64)
    }

    fn sample(&self, rng: &mut Rng) -> Rows {
        self.paint(rng)
    }
}
