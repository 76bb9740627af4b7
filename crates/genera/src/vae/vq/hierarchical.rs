//! VQ-VAE-2 with two levels of codes: what is far apart goes into a coarse grid, what is near into a fine one that knows it.
//!
//! ```text
//! h = down(x),   c_top = argmin_k |top(h) − e_k|,   u = up(e_top)
//! c_bottom = argmin_k |W [h, u] − e_k|,             p(x|c) = decoder([e_bottom, u])
//! loss = −s/F log p(x|c) + both books' terms
//! ```
//!
//! Razavi, van den Oord and Vinyals, "Generating Diverse High-Fidelity Images with VQ-VAE-2" (arXiv:1906.00446). A code is
//! the coarse grid and then the fine one, each row by row; their books may differ in size. Here the decoder reads the same
//! `u` that the fine codes are chosen with.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use genera_kernels::{Activation, activate};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::super::error::within;
use super::super::nets::{Down, Up};
use super::super::{Decode, Decoder, Likelihood, LikelihoodConfig, VaeError, host, scalar};
use super::{GridConfig, GridDecoder, Quantised, Quantiser, QuantiserConfig, Quantising, Usage, listed};
use crate::nn::{Conv2d, ConvOptions};
use crate::traits::{Batch, Books, Codec, DiscreteCode, Loss, LowerBound, Model, Rows, Sample, Tokens, View};

/// What a [`HierarchicalVqVae`] is, apart from its data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HierarchicalVqVaeConfig {
    /// The networks between images and the fine grid.
    pub net: GridConfig,
    /// The networks between the fine grid and the coarse one.
    pub top: GridConfig,
    /// The fine codes.
    #[serde(default)]
    pub quantiser: QuantiserConfig,
    /// The coarse codes.
    #[serde(default)]
    pub top_quantiser: QuantiserConfig,
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

impl HierarchicalVqVaeConfig {
    /// Fresh weights for images of `shape`.
    ///
    /// # Errors
    /// A setting that makes no sense.
    pub fn init(&self, shape: [usize; 3], rng: &mut Rng, device: &Device) -> Result<HierarchicalVqVae, VaeError> {
        let scale = self.reconstruction;
        within(scale > 0.0 && scale.is_finite(), "reconstruction", scale, "positive")?;
        let fine = self.net.size(shape)?;
        let features = self.net.channels[self.net.channels.len() - 1];
        let within_fine = [features, fine[0], fine[1]];
        let (coarse, ends) = (self.top.size(within_fine)?, &self.top.channels);
        let (widest, wide) = (ends[ends.len() - 1], [self.quantiser.width, self.top_quantiser.width]);
        let pointwise =
            |inputs, outputs, rng: &mut Rng| Conv2d::new(inputs, outputs, 1, ConvOptions::default(), rng, device);
        let down = Down::new(shape, &self.net.channels, self.net.blocks, rng, device);
        let top = Down::new(within_fine, ends, self.top.blocks, rng, device);
        let top_quantiser = self.top_quantiser.init(rng, device)?;
        let quantiser = self.quantiser.init(rng, device)?;
        let output = [shape[0] * self.likelihood.parameters(), shape[1], shape[2]];
        let decoder = self.net.decoder(wide[0] + features, output, rng, device);
        Ok(HierarchicalVqVae {
            down,
            top,
            to_top: pointwise(widest, wide[1], rng),
            to_bottom: pointwise(2 * features, wide[0], rng),
            top_quantiser,
            quantiser,
            from_top: Conv2d::new(wide[1], widest, 3, ConvOptions::same(3), rng, device),
            up: Up::new(ends, self.top.blocks, within_fine, rng, device),
            decoder: Decoder::new(decoder, self.likelihood, device)?,
            scale,
            grids: [coarse, fine],
        })
    }
}

/// Two encoders, two books of codes and a decoder.
#[derive(Module, Debug)]
pub struct HierarchicalVqVae {
    down: Down,
    top: Down,
    to_top: Conv2d,
    to_bottom: Conv2d,
    /// The book of coarse codes.
    pub top_quantiser: Quantiser,
    /// The book of fine codes.
    pub quantiser: Quantiser,
    from_top: Conv2d,
    up: Up,
    decoder: Decoder<GridDecoder>,
    #[module(skip)]
    scale: f64,
    #[module(skip)]
    grids: [[usize; 2]; 2],
}

/// What both books did to some rows.
struct Levels {
    top: Quantised,
    bottom: Quantised,
    /// What the decoder reads, `[B, T · (D + channels)]`.
    read: Rows,
}

impl HierarchicalVqVae {
    /// Height and width of the coarse grid and of the fine one.
    pub fn grids(&self) -> [[usize; 2]; 2] {
        self.grids
    }

    /// The sizes of the book of coarse codes and of that of fine ones.
    pub fn codes(&self) -> [usize; 2] {
        [self.top_quantiser.config().codes, self.quantiser.config().codes]
    }

    /// How many codes of each level a row has.
    fn places(&self) -> [usize; 2] {
        self.grids.map(|[height, width]| height * width)
    }

    /// `u` of coarse vectors: `[B T, D] -> [B, h, w, channels]`.
    fn raised(&self, z: Rows) -> Tensor<4> {
        let ([height, width], [places, numbers]) = (self.grids[0], z.dims());
        let z: Tensor<4> = z.reshape([places / (height * width), height, width, numbers]);
        self.up.forward_image(activate(self.from_top.forward(z), Activation::Relu))
    }

    /// What the decoder reads of fine vectors and `u`.
    fn read(&self, z: Rows, u: Tensor<4>) -> Rows {
        let [rows, height, width, _] = u.dims();
        let z: Tensor<4> = z.reshape([rows, height, width, self.quantiser.config().width]);
        let read = Tensor::cat(vec![z, u], 3);
        let numbers = read.dims()[3];
        read.reshape([rows, height * width * numbers])
    }

    /// The vectors before quantisation: of the coarse grid, then of the fine one once `top` has said what the coarse ones
    /// become, and `u`.
    fn vectors<Q>(&self, x: Rows, top: impl FnOnce(Rows) -> (Rows, Q)) -> (Q, Rows, Tensor<4>) {
        let h = self.down.forward(x);
        let (e, found) = top(flat(self.to_top.forward(self.top.forward_image(h.clone()))));
        let u = self.raised(e);
        let bottom = flat(self.to_bottom.forward(Tensor::cat(vec![h, u.clone()], 3)));
        (found, bottom, u)
    }

    fn levels(&self, x: Rows) -> Levels {
        let quantise = |z: Rows| {
            let quantised = self.top_quantiser.forward(z);
            (quantised.z.clone(), quantised)
        };
        let (top, z, u) = self.vectors(x, quantise);
        let bottom = self.quantiser.forward(z);
        Levels { read: self.read(bottom.z.clone(), u), top, bottom }
    }

    /// What the decoder reads of codes: `[B, T]`.
    fn read_codes(&self, codes: Tokens) -> Rows {
        let (rows, [top, bottom]) = (codes.dims()[0], self.places());
        let level = |first: usize, count: usize| codes.clone().narrow(1, first, count).reshape([rows * count]);
        let u = self.raised(self.top_quantiser.vectors(level(0, top)));
        self.read(self.quantiser.vectors(level(top, bottom)), u)
    }
}

/// Places as rows: `[B, h, w, D] -> [B h w, D]`.
fn flat(grid: Tensor<4>) -> Rows {
    let [rows, height, width, numbers] = grid.dims();
    grid.reshape([rows * height * width, numbers])
}

impl Model for HierarchicalVqVae {
    fn loss(&self, Batch { x, .. }: Batch, _rng: &mut Rng) -> Loss {
        let features = x.dims()[1];
        let Levels { top, bottom, read } = self.levels(x.clone());
        let nats = self.decoder.likelihood(read).log_prob(x).mean().neg();
        let [top_count, bottom_count] = self.codes();
        let usage = |found: &Quantised, count: usize| Usage::of(listed(&found.codes).into_iter(), count);
        let (coarse, fine) = (usage(&top, top_count), usage(&bottom, bottom_count));
        let parts = vec![
            ("reconstruction", scalar(&nats)),
            ("quantisation", scalar(&(top.loss.clone() + bottom.loss.clone()))),
            ("perplexity-top", coarse.perplexity),
            ("usage-top", coarse.used),
            ("perplexity-bottom", fine.perplexity),
            ("usage-bottom", fine.used),
        ];
        Loss { value: nats * (self.scale / features.max(1) as f64) + top.loss + bottom.loss, parts }
    }

    fn view(&self) -> View<'_> {
        let (sample, lower_bound) = (Some(self as &dyn Sample), Some(self as &dyn LowerBound));
        View { sample, lower_bound, reconstruct: Some(self), books: Some(self), ..View::default() }
    }
}

impl Quantising for HierarchicalVqVae {
    fn revised(mut self, plain: &Self, x: Rows, rng: &mut Rng) -> Self {
        let quantise = |z: Rows| (plain.top_quantiser.vectors(plain.top_quantiser.nearest(z.clone())), z);
        let (top, bottom, _) = plain.vectors(x, quantise);
        self.top_quantiser = self.top_quantiser.updated(&top, &mut rng.fork("top-codes"));
        self.quantiser = self.quantiser.updated(&bottom, &mut rng.fork("codes"));
        self
    }
}

impl Codec for HierarchicalVqVae {
    type Code = Tokens;

    /// The coarse codes and then the fine ones: `[B, F] -> [B, T]`.
    fn encode(&self, x: Rows) -> Tokens {
        let (rows, [top, bottom]) = (x.dims()[0], self.places());
        let levels = self.levels(x);
        Tensor::cat(vec![levels.top.codes.reshape([rows, top]), levels.bottom.codes.reshape([rows, bottom])], 1)
    }

    /// The mean of each likelihood.
    fn decode(&self, codes: Tokens) -> Rows {
        self.decoder.likelihood(self.read_codes(codes)).mean()
    }
}

impl Books for HierarchicalVqVae {
    fn entries(&self, x: Rows) -> Vec<(&'static str, usize, Vec<usize>)> {
        let (Levels { top, bottom, .. }, [top_count, count]) = (self.levels(x), self.codes());
        vec![("top-codes", top_count, listed(&top.codes)), ("bottom-codes", count, listed(&bottom.codes))]
    }
}

impl DiscreteCode for HierarchicalVqVae {
    fn log_likelihood(&self, x: Rows, codes: Tokens) -> Tensor<1> {
        self.decoder.likelihood(self.read_codes(codes)).log_prob(x)
    }
}

impl Sample for HierarchicalVqVae {
    /// Codes drawn uniformly, which is what the bound assumes; a prior over codes makes a better model.
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        let ([top, bottom], [top_count, count]) = (self.places(), self.codes());
        let sizes = [vec![top_count; top], vec![count; bottom]].concat();
        let codes: Vec<i32> = rng
            .streams(n)
            .flat_map(|mut s| sizes.iter().map(|size| s.below(*size) as i32).collect::<Vec<_>>())
            .collect();
        let device = self.quantiser.codebook.val().device().inner();
        self.decode(Tensor::<2, Int>::from_data(TensorData::new(codes, [n, top + bottom]), &device))
    }
}

impl LowerBound for HierarchicalVqVae {
    /// `log p(x|c) − T_top log K_top − T_bottom log K_bottom`.
    fn lower_bound(&self, x: Rows, _rng: &mut Rng) -> Vec<f64> {
        let log_of = |places: usize, count: usize| places as f64 * (count as f64).ln();
        let ([top, bottom], [top_count, count]) = (self.places(), self.codes());
        let prior = log_of(top, top_count) + log_of(bottom, count);
        let read = self.levels(x.clone()).read;
        host(&self.decoder.likelihood(read).log_prob(x)).into_iter().map(|log_p| log_p - prior).collect()
    }
}
