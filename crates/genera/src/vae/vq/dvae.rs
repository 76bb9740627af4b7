//! The discrete variational autoencoder: a categorical posterior at every place, relaxed in training.
//!
//! ```text
//! q(c|x) = Cat(softmax(encoder(x))),   z = Σ_k ĉ_k e_k,   ĉ a Gumbel-softmax draw at τ_t
//! loss = −log p(x|z) + β_t KL(q ‖ uniform),   KL = Σ_places (log K − H(q))
//! ```
//!
//! Ramesh et al., "Zero-Shot Text-to-Image Generation" (arXiv:2102.12092), first stage.

use burn::module::{Module, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::super::error::some;
use super::super::{Annealing, Decode, Decoder, Likelihood, LikelihoodConfig, VaeError, host, noise, scalar};
use super::{
    GridConfig, GridDecoder, GridEncoder, Sharpness, Temperature, Usage, gumbel, gumbel_max, gumbel_softmax, listed,
};
use crate::traits::{Batch, Books, Codec, DiscreteCode, Loss, LowerBound, Model, Net, Rows, Sample, Tokens, View};

/// What a [`DiscreteVae`] is, apart from its data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscreteVaeConfig {
    /// The networks.
    pub net: GridConfig,
    /// `K`.
    pub codes: usize,
    /// `D`: the length of a code.
    pub width: usize,
    /// What the decoder gives.
    #[serde(default)]
    pub likelihood: LikelihoodConfig,
    /// `τ_t`.
    #[serde(default)]
    pub temperature: Temperature,
    /// `β_t`.
    #[serde(default)]
    pub beta: Annealing,
    /// What a relaxed draw is forward.
    #[serde(default)]
    pub sharpness: Sharpness,
}

impl DiscreteVaeConfig {
    /// Fresh weights for images of `shape`.
    ///
    /// # Errors
    /// A setting that makes no sense.
    pub fn init(&self, shape: [usize; 3], rng: &mut Rng, device: &Device) -> Result<DiscreteVae, VaeError> {
        some("codes", self.codes)?;
        some("width", self.width)?;
        self.temperature.check()?;
        self.beta.check()?;
        let (grid, [channels, height, width]) = (self.net.size(shape)?, shape);
        let encoder = self.net.encoder(shape, self.codes, rng, device);
        let codebook = Param::from_tensor(noise(self.codes, self.width, rng, device));
        let output = [channels * self.likelihood.parameters(), height, width];
        let decoder = Decoder::new(self.net.decoder(self.width, output, rng, device), self.likelihood, device)?;
        Ok(DiscreteVae { encoder, codebook, decoder, places: grid[0] * grid[1], config: self.clone() })
    }
}

/// An encoder to logits, a book of codes and a decoder.
#[derive(Module, Debug)]
pub struct DiscreteVae {
    encoder: GridEncoder,
    /// `e`, `[K, D]`.
    pub codebook: Param<Tensor<2>>,
    decoder: Decoder<GridDecoder>,
    #[module(skip)]
    places: usize,
    #[module(skip)]
    config: DiscreteVaeConfig,
}

impl DiscreteVae {
    /// `T`: the codes of a row.
    pub fn places(&self) -> usize {
        self.places
    }

    /// The logits of every place: `[B, F] -> [B T, K]`.
    fn logits(&self, x: Rows) -> Rows {
        let rows = x.dims()[0];
        self.encoder.forward(x).reshape([rows * self.places, self.config.codes])
    }

    /// `KL(q ‖ uniform)` of each row in nats: `[B T, K] -> [B]`.
    fn divergence(&self, logits: Rows) -> Tensor<1> {
        let rows = logits.dims()[0] / self.places.max(1);
        let log_q = log_softmax(logits, 1);
        let of_place: Rows = (log_q.clone().exp() * (log_q + (self.config.codes as f64).ln())).sum_dim(1);
        of_place.reshape([rows, self.places]).sum_dim(1).squeeze_dim(1)
    }

    /// `log p(x|z)`, `z` given at every place: `[B, F], [B T, D] -> [B]`.
    fn likelihood_of(&self, x: Rows, z: Rows) -> Tensor<1> {
        let z = z.reshape([x.dims()[0], self.places * self.config.width]);
        self.decoder.likelihood(z).log_prob(x)
    }
}

impl Model for DiscreteVae {
    fn loss(&self, batch: Batch, rng: &mut Rng) -> Loss {
        self.loss_at(u64::MAX, batch, rng)
    }

    fn loss_at(&self, step: u64, Batch { x, .. }: Batch, rng: &mut Rng) -> Loss {
        let (rows, count) = (x.dims()[0], self.config.codes);
        let logits = self.logits(x.clone());
        let noise = gumbel(rows, self.places * count, rng, &x.device()).reshape([rows * self.places, count]);
        let (tau, beta) = (self.config.temperature.at(step), self.config.beta.weight(step));
        let relaxed = gumbel_softmax(logits.clone(), noise, tau, self.config.sharpness);
        let fit = self.likelihood_of(x, relaxed.matmul(self.codebook.val())).mean().neg();
        let divergence = self.divergence(logits.clone()).mean();
        let codes = listed(&logits.argmax(1).squeeze_dim::<1>(1));
        let perplexity = Usage::of(codes.into_iter(), count).perplexity;
        let parts = vec![
            ("reconstruction", scalar(&fit)),
            ("divergence", scalar(&divergence)),
            ("temperature", tau),
            ("perplexity", perplexity),
        ];
        Loss { value: fit + divergence * beta, parts }
    }

    fn view(&self) -> View<'_> {
        let (sample, lower_bound) = (Some(self as &dyn Sample), Some(self as &dyn LowerBound));
        View { sample, lower_bound, reconstruct: Some(self), books: Some(self), ..View::default() }
    }
}

impl Codec for DiscreteVae {
    type Code = Tokens;

    /// The likeliest code of every place: `[B, F] -> [B, T]`.
    fn encode(&self, x: Rows) -> Tokens {
        let rows = x.dims()[0];
        self.logits(x).argmax(1).reshape([rows, self.places])
    }

    /// The mean of each likelihood.
    fn decode(&self, codes: Tokens) -> Rows {
        let [rows, places] = codes.dims();
        let z = self.codebook.val().select(0, codes.reshape([rows * places]));
        self.decoder.likelihood(z.reshape([rows, places * self.config.width])).mean()
    }
}

impl Books for DiscreteVae {
    fn entries(&self, x: Rows) -> Vec<(&'static str, usize, Vec<usize>)> {
        vec![("codes", self.config.codes, listed(&self.logits(x).argmax(1).squeeze_dim::<1>(1)))]
    }
}

impl DiscreteCode for DiscreteVae {
    fn log_likelihood(&self, x: Rows, codes: Tokens) -> Tensor<1> {
        let count = codes.shape().num_elements();
        self.likelihood_of(x, self.codebook.val().select(0, codes.reshape([count])))
    }
}

impl Sample for DiscreteVae {
    /// Codes drawn uniformly, which is what the bound assumes.
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        let (places, count) = (self.places, self.config.codes);
        let codes: Vec<i32> =
            rng.streams(n).flat_map(|mut s| (0..places).map(move |_| s.below(count) as i32)).collect();
        let device = self.codebook.val().device().inner();
        self.decode(Tensor::<2, Int>::from_data(TensorData::new(codes, [n, places]), &device))
    }
}

impl LowerBound for DiscreteVae {
    /// `log p(x|z) − KL` at exact draws of the codes.
    fn lower_bound(&self, x: Rows, rng: &mut Rng) -> Vec<f64> {
        let (rows, count) = (x.dims()[0], self.config.codes);
        let logits = self.logits(x.clone());
        let noise = gumbel(rows, self.places * count, rng, &x.device()).reshape([rows * self.places, count]);
        let z = self.codebook.val().select(0, gumbel_max(logits.clone(), noise));
        host(&(self.likelihood_of(x, z) - self.divergence(logits)))
    }
}
