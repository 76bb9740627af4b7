//! The vector-quantised autoencoder.
//!
//! ```text
//! loss = −s/F log p(x|z_q) + |sg(z_e) − e|² + β |z_e − sg(e)|²
//! log p(x) ≥ log p(x|z_q) − T log K     with a uniform prior over the T codes
//! ```
//!
//! Van den Oord et al., arXiv:1711.00937. The first term is a mean over the values of a row, so that it weighs as the others
//! do; `s` is its scale.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::super::error::within;
use super::super::{Decode, Decoder, Likelihood, LikelihoodConfig, VaeError, host, scalar};
use super::{GridConfig, GridDecoder, GridEncoder, Quantised, Quantiser, QuantiserConfig, Quantising, Usage, listed};
use crate::nn::image;
use crate::traits::{
    Batch, Books, Codec, DiscreteCode, LatentCode, Loss, LowerBound, Model, Net, Rows, Sample, Tokens, View,
};

/// What a [`VqVae`] is, apart from its data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VqVaeConfig {
    /// The networks.
    pub net: GridConfig,
    /// The codes.
    #[serde(default)]
    pub quantiser: QuantiserConfig,
    /// What the decoder gives.
    #[serde(default)]
    pub likelihood: LikelihoodConfig,
    /// `s`: the weight of the reconstruction.
    #[serde(default = "one")]
    pub reconstruction: f64,
}

fn one() -> f64 {
    1.0
}

impl VqVaeConfig {
    /// Fresh weights for images of `shape`.
    ///
    /// # Errors
    /// A setting that makes no sense.
    pub fn init(&self, shape: [usize; 3], rng: &mut Rng, device: &Device) -> Result<VqVae, VaeError> {
        let scale = self.reconstruction;
        within(scale > 0.0 && scale.is_finite(), "reconstruction", scale, "positive")?;
        let (grid, [channels, height, width]) = (self.net.size(shape)?, shape);
        let (encoder, quantiser) =
            (self.net.encoder(shape, self.quantiser.width, rng, device), self.quantiser.init(rng, device)?);
        let output = [channels * self.likelihood.parameters(), height, width];
        let decoder = self.net.decoder(self.quantiser.width, output, rng, device);
        let decoder = Decoder::new(decoder, self.likelihood, device)?;
        Ok(VqVae { encoder, quantiser, decoder, scale, grid })
    }
}

/// An encoder, a book of codes and a decoder.
#[derive(Module, Debug)]
pub struct VqVae {
    encoder: GridEncoder,
    /// The book of codes.
    pub quantiser: Quantiser,
    decoder: Decoder<GridDecoder>,
    #[module(skip)]
    scale: f64,
    #[module(skip)]
    grid: [usize; 2],
}

impl VqVae {
    /// `[D, h, w]`: the shape of what the encoder gives, as a picture.
    pub fn latent_shape(&self) -> [usize; 3] {
        [self.quantiser.config().width, self.grid[0], self.grid[1]]
    }

    /// Height and width of the grid of codes.
    pub fn grid(&self) -> [usize; 2] {
        self.grid
    }

    /// `T`: the codes of a row.
    pub fn places(&self) -> usize {
        self.grid[0] * self.grid[1]
    }

    /// `z_e` of every place: `[B, F] -> [B T, D]`.
    pub fn vectors(&self, x: Rows) -> Rows {
        let rows = x.dims()[0];
        self.encoder.forward(x).reshape([rows * self.places(), self.quantiser.config().width])
    }

    /// `log p(x|z_q)` of each row in nats and what quantisation did: `[B, F] -> [B]`.
    pub fn reconstruct(&self, x: Rows) -> (Tensor<1>, Quantised) {
        let rows = x.dims()[0];
        let quantised = self.quantiser.forward(self.vectors(x.clone()));
        let z = quantised.z.clone().reshape([rows, self.places() * self.quantiser.config().width]);
        (self.decoder.likelihood(z).log_prob(x), quantised)
    }
}

impl Model for VqVae {
    fn loss(&self, Batch { x, .. }: Batch, _rng: &mut Rng) -> Loss {
        let features = x.dims()[1];
        let (log_p, Quantised { codes, loss, .. }) = self.reconstruct(x);
        let nats = log_p.mean().neg();
        let usage = Usage::of(listed(&codes).into_iter(), self.quantiser.config().codes);
        let parts =
            vec![("reconstruction", scalar(&nats)), ("quantisation", scalar(&loss)), ("perplexity", usage.perplexity)];
        Loss { value: nats * (self.scale / features.max(1) as f64) + loss, parts }
    }

    fn view(&self) -> View<'_> {
        let (sample, lower_bound) = (Some(self as &dyn Sample), Some(self as &dyn LowerBound));
        View { sample, lower_bound, reconstruct: Some(self), books: Some(self), ..View::default() }
    }
}

impl Quantising for VqVae {
    fn revised(mut self, plain: &Self, x: Rows, rng: &mut Rng) -> Self {
        self.quantiser = self.quantiser.updated(&plain.vectors(x), &mut rng.fork("codes"));
        self
    }
}

impl Codec for VqVae {
    type Code = Tokens;

    /// `[B, F] -> [B, T]`.
    fn encode(&self, x: Rows) -> Tokens {
        let rows = x.dims()[0];
        self.quantiser.nearest(self.vectors(x)).reshape([rows, self.places()])
    }

    /// The mean of each likelihood.
    fn decode(&self, codes: Tokens) -> Rows {
        let [rows, places] = codes.dims();
        let z = self.quantiser.vectors(codes.reshape([rows * places]));
        self.decoder.likelihood(z.reshape([rows, places * self.quantiser.config().width])).mean()
    }
}

impl LatentCode for VqVae {
    /// `z_e` as a picture, before quantisation: `[B, F] -> [B, D · h · w]`.
    fn latents(&self, x: Rows) -> Rows {
        let (rows, [depth, height, width]) = (x.dims()[0], self.latent_shape());
        image::rows(self.vectors(x).reshape([rows, height, width, depth]))
    }

    /// Every vector becomes its nearest code, which is then decoded.
    fn rendered(&self, z: Rows) -> Rows {
        let (rows, shape) = (z.dims()[0], self.latent_shape());
        let vectors = image::images(z, shape).reshape([rows * self.places(), shape[0]]);
        self.decode(self.quantiser.nearest(vectors).reshape([rows, self.places()]))
    }
}

impl Books for VqVae {
    fn entries(&self, x: Rows) -> Vec<(&'static str, usize, Vec<usize>)> {
        vec![("codes", self.quantiser.config().codes, listed(&self.quantiser.nearest(self.vectors(x))))]
    }
}

impl DiscreteCode for VqVae {
    fn log_likelihood(&self, x: Rows, codes: Tokens) -> Tensor<1> {
        let [rows, places] = codes.dims();
        let z = self.quantiser.vectors(codes.reshape([rows * places]));
        self.decoder.likelihood(z.reshape([rows, places * self.quantiser.config().width])).log_prob(x)
    }
}

impl Sample for VqVae {
    /// Codes drawn uniformly, which is what the bound assumes; a prior over codes makes a better model.
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        let (places, count) = (self.places(), self.quantiser.config().codes);
        let codes: Vec<i32> =
            rng.streams(n).flat_map(|mut s| (0..places).map(move |_| s.below(count) as i32)).collect();
        let device = self.quantiser.codebook.val().device().inner();
        self.decode(Tensor::<2, Int>::from_data(TensorData::new(codes, [n, places]), &device))
    }
}

impl LowerBound for VqVae {
    /// `log p(x|z_q) − T log K`.
    fn lower_bound(&self, x: Rows, _rng: &mut Rng) -> Vec<f64> {
        let prior = self.places() as f64 * (self.quantiser.config().codes as f64).ln();
        host(&self.reconstruct(x).0).into_iter().map(|log_p| log_p - prior).collect()
    }
}
