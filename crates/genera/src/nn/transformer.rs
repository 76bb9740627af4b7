//! Image GPT: Chen et al., "Generative Pretraining from Pixels" (ICML 2020), a decoder with normalisation before each
//! part, as in GPT-2.
//!
//! ```text
//! h = (s, e(x_1), .., e(x_{T-1})) + p,   n times h = h + attend(norm(h)), h = h + W₂ f(W₁ norm(h)),   y = W norm(h)
//! ```
//!
//! with a learnt start `s` that stands before the first element, so that position `j` sees the elements before `j`, and
//! a learnt vector `p_j` for each position. Of a network that is told something of each row, a class, `s = W c`: a class
//! token in the place of the start. Parameters are named as in nanoGPT, whose weights `wte` and head are tied;
//! these are not.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use genera_kernels::{Activation, AttentionMask, attention};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::activation::ActivationName;
use super::causal::{Alphabet, Causal, CausalError, Cursor, Told, divides, host, sizes};
use super::{Embedding, LayerNorm, Linear, init};
use crate::traits::Rows;

/// What an [`ImageGpt`] looks like, apart from the data it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageGptConfig {
    /// Width of the residual stream.
    pub width: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Heads of attention, which divide the width.
    pub heads: usize,
    /// The width inside a block's perceptron, in widths.
    pub expansion: usize,
    /// The activation inside a block's perceptron.
    #[serde(with = "ActivationName")]
    pub activation: Activation,
}

impl Default for ImageGptConfig {
    fn default() -> Self {
        Self { width: 64, layers: 4, heads: 4, expansion: 4, activation: Activation::Gelu }
    }
}

/// The standard deviation of fresh embeddings, as in GPT-2.
const EMBEDDING_DEVIATION: f32 = 0.02;

impl ImageGptConfig {
    /// Fresh weights for rows of `length` elements with `outputs` numbers for each.
    ///
    /// # Errors
    /// A size of zero, heads that do not divide the width, or elements that are real numbers.
    pub fn init(
        &self,
        length: usize,
        alphabet: Alphabet,
        outputs: usize,
        rng: &mut Rng,
        device: &Device,
    ) -> Result<ImageGpt, CausalError> {
        self.init_given(length, alphabet, [outputs, 0], rng, device)
    }

    /// The same for a network that is told `context` numbers of each row.
    ///
    /// # Errors
    /// As [`ImageGptConfig::init`].
    pub fn init_given(
        &self,
        length: usize,
        alphabet: Alphabet,
        [outputs, context]: [usize; 2],
        rng: &mut Rng,
        device: &Device,
    ) -> Result<ImageGpt, CausalError> {
        let &Self { width, layers, heads, expansion, activation } = self;
        sizes([("length of a row", length), ("width", width), ("number of heads", heads), ("expansion", expansion)])?;
        divides(("the width", width), ("heads", heads))?;
        let symbols = alphabet.size().ok_or(CausalError::Alphabet)?;
        let norm = || LayerNorm::new(width, 1e-5, device);
        let embedding = |count: usize, rng: &mut Rng| Embedding {
            weight: init::normal([count, width], EMBEDDING_DEVIATION, rng, device),
        };
        let (wte, wpe) = (embedding(symbols, rng), embedding(length, rng));
        let start = (context == 0).then(|| init::normal([width], EMBEDDING_DEVIATION, rng, device));
        // A table of classes, if what is told is an indicator.
        let token = (context > 0)
            .then(|| Linear { weight: init::normal([width, context], EMBEDDING_DEVIATION, rng, device), bias: None });
        let block = |rng: &mut Rng| Block {
            ln_1: norm(),
            attn: Attention {
                c_attn: Linear::new(width, 3 * width, rng, device),
                c_proj: Linear::new(width, width, rng, device),
                heads,
            },
            ln_2: norm(),
            mlp: Perceptron {
                c_fc: Linear::new(width, expansion * width, rng, device),
                c_proj: Linear::new(expansion * width, width, rng, device),
                activation,
            },
        };
        Ok(ImageGpt {
            wte,
            wpe,
            start,
            token,
            h: (0..layers).map(|_| block(rng)).collect(),
            ln_f: norm(),
            lm_head: Linear { bias: None, ..Linear::new(width, outputs, rng, device) },
            alphabet,
            orders: vec![(0..length).collect()],
        })
    }
}

/// A transformer over the elements of a row: `[B, T] -> [B, T, P]`.
#[derive(Module, Debug)]
pub struct ImageGpt {
    wte: Embedding,
    wpe: Embedding,
    /// `s`; none if the network is told something.
    start: Option<Param<Tensor<1>>>,
    /// `W`; none if the network is told nothing.
    token: Option<Linear>,
    h: Vec<Block>,
    ln_f: LayerNorm,
    lm_head: Linear,
    #[module(skip)]
    alphabet: Alphabet,
    #[module(skip)]
    orders: Vec<Vec<usize>>,
}

#[derive(Module, Debug)]
struct Block {
    ln_1: LayerNorm,
    attn: Attention,
    ln_2: LayerNorm,
    mlp: Perceptron,
}

#[derive(Module, Debug)]
struct Attention {
    c_attn: Linear,
    c_proj: Linear,
    #[module(skip)]
    heads: usize,
}

#[derive(Module, Debug)]
struct Perceptron {
    c_fc: Linear,
    c_proj: Linear,
    #[module(skip)]
    activation: Activation,
}

/// The keys and values of one block so far: `[B, heads, T, d]`.
type KeysValues = Option<[Tensor<4>; 2]>;

impl Attention {
    /// Each position attends to itself and to those before it, those in `cache` included, which it joins.
    fn forward(&self, x: Tensor<3>, cache: &mut KeysValues) -> Tensor<3> {
        let [rows, length, width] = x.dims();
        let all = self.c_attn.forward(x);
        let split = |part: usize| {
            let part = all.clone().narrow(2, part * width, width);
            part.reshape([rows, length, self.heads, width / self.heads]).swap_dims(1, 2)
        };
        let [q, k, v] = [0, 1, 2].map(split);
        let [k, v] = match cache.take() {
            None => [k, v],
            Some([keys, values]) => [Tensor::cat(vec![keys, k], 2), Tensor::cat(vec![values, v], 2)],
        };
        *cache = Some([k.clone(), v.clone()]);
        let scale = 1.0 / ((width / self.heads) as f32).sqrt();
        let y = attention(q, k, v, scale, AttentionMask::Causal).swap_dims(1, 2);
        self.c_proj.forward(y.reshape([rows, length, width]))
    }
}

impl Block {
    fn forward(&self, x: Tensor<3>, cache: &mut KeysValues) -> Tensor<3> {
        let x = x.clone() + self.attn.forward(self.ln_1.forward(x), cache);
        let inner = self.mlp.c_fc.forward_into(self.ln_2.forward(x.clone()), self.mlp.activation);
        x + self.mlp.c_proj.forward(inner)
    }
}

impl ImageGpt {
    /// The vectors of elements: `[B, T] -> [B, T, width]`.
    fn embed(&self, x: Rows) -> Tensor<3> {
        let [rows, length] = x.dims();
        let vectors = self.wte.forward(self.alphabet.indices(x).reshape([rows * length]));
        let width = vectors.dims()[1];
        vectors.reshape([rows, length, width])
    }

    /// What stands before the first element of every row, zero if it was to be told and is not: `[B, 1, width]`.
    fn starts(&self, rows: usize, told: Option<&Rows>) -> Tensor<3> {
        match (&self.start, self.token.as_ref().zip(told)) {
            (Some(start), _) => start.val().unsqueeze::<3>().repeat_dim(0, rows),
            (None, Some((token, told))) => token.forward(told.clone()).unsqueeze_dim(1),
            (None, None) => Tensor::zeros([rows, 1, self.wpe.weight.lazy_shape()[1]], &self.wpe.weight.device()),
        }
    }

    /// All outputs.
    fn run(&self, x: Rows, told: Option<&Rows>) -> Tensor<3> {
        let [rows, length] = x.dims();
        let starts = self.starts(rows, told);
        let h = match length {
            1 => starts,
            _ => Tensor::cat(vec![starts, self.embed(x.narrow(1, 0, length - 1))], 1),
        };
        self.transform(h + self.wpe.weight.val().unsqueeze(), &mut vec![None; self.h.len()])
    }

    /// The same outputs one after another.
    fn begin(&self, rows: usize, told: Option<&Rows>) -> Box<dyn Cursor + '_> {
        let starts = self.starts(rows, told);
        Box::new(ImageGptCursor { net: self, caches: vec![None; self.h.len()], starts, place: 0 })
    }

    /// The blocks and the head: `[B, T, width] -> [B, T, P]`.
    fn transform(&self, h: Tensor<3>, caches: &mut [KeysValues]) -> Tensor<3> {
        let h = self.h.iter().zip(caches).fold(h, |h, (block, cache)| block.forward(h, cache));
        self.lm_head.forward(self.ln_f.forward(h))
    }
}

impl Causal for ImageGpt {
    fn orders(&self) -> &[Vec<usize>] {
        &self.orders
    }

    fn outputs(&self) -> usize {
        self.lm_head.weight.lazy_shape()[0]
    }

    fn forward(&self, x: Rows, _order: usize) -> Tensor<3> {
        self.run(x, None)
    }

    fn cursor(&self, _order: usize, rows: usize) -> Box<dyn Cursor + '_> {
        self.begin(rows, None)
    }
}

impl Told for ImageGpt {
    fn forward_told(&self, x: Rows, _order: usize, told: &Rows) -> Tensor<3> {
        self.run(x, Some(told))
    }

    fn cursor_told(&self, _order: usize, told: &Rows) -> Box<dyn Cursor + '_> {
        self.begin(told.dims()[0], Some(told))
    }
}

/// The keys and values so far.
struct ImageGptCursor<'a> {
    net: &'a ImageGpt,
    caches: Vec<KeysValues>,
    /// `[B, 1, width]`.
    starts: Tensor<3>,
    place: usize,
}

impl Cursor for ImageGptCursor<'_> {
    fn advance(&mut self, previous: &[f32]) -> Vec<f32> {
        let device = self.net.wpe.weight.device();
        let h = match self.place {
            0 => self.starts.clone(),
            _ => self.net.embed(Tensor::from_data(TensorData::new(previous.to_vec(), [previous.len(), 1]), &device)),
        };
        let place = Tensor::<1, Int>::from_data([self.place as i32], &device);
        self.place += 1;
        host(self.net.transform(h + self.net.wpe.forward(place).unsqueeze(), &mut self.caches))
    }
}
