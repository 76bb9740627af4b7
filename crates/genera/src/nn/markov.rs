//! A Markov chain of order `d`: one perceptron, shared by all places, that sees the last `d` elements.
//!
//! Places before the first element are seen as zeros, which no level and no symbol is.

use std::collections::VecDeque;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera_kernels::Activation;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::activation::ActivationName;
use super::causal::{Alphabet, Causal, CausalError, Cursor, delayed, host, seen, sizes};
use super::{Mlp, MlpConfig};
use crate::traits::{Net, Rows};

/// What a [`MarkovNet`] looks like, apart from the data it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MarkovNetConfig {
    /// How many elements back the network sees.
    pub depth: usize,
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// What follows every layer but the last.
    #[serde(with = "ActivationName")]
    pub activation: Activation,
}

impl Default for MarkovNetConfig {
    fn default() -> Self {
        Self { depth: 2, hidden: vec![128, 128], activation: Activation::Relu }
    }
}

impl MarkovNetConfig {
    /// Fresh weights for rows of `length` elements with `outputs` numbers for each.
    ///
    /// # Errors
    /// A size of zero.
    pub fn init(
        &self,
        length: usize,
        alphabet: Alphabet,
        outputs: usize,
        rng: &mut Rng,
        device: &Device,
    ) -> Result<MarkovNet, CausalError> {
        sizes([("length of a row", length), ("depth", self.depth)])?;
        let Self { depth, hidden, activation } = self.clone();
        let mlp = MlpConfig { inputs: depth * alphabet.width(), hidden, outputs, activation };
        let orders = vec![(0..length).collect()];
        Ok(MarkovNet { mlp: mlp.init(rng, device), depth, alphabet, outputs, orders })
    }
}

/// A perceptron over the last few elements: `[B, T] -> [B, T, P]`.
#[derive(Module, Debug)]
pub struct MarkovNet {
    mlp: Mlp,
    #[module(skip)]
    depth: usize,
    #[module(skip)]
    alphabet: Alphabet,
    #[module(skip)]
    outputs: usize,
    #[module(skip)]
    orders: Vec<Vec<usize>>,
}

impl Causal for MarkovNet {
    fn orders(&self) -> &[Vec<usize>] {
        &self.orders
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn forward(&self, x: Rows, _order: usize) -> Tensor<3> {
        let [rows, length] = x.dims();
        let mut x = self.alphabet.encode(x);
        let back = (0..self.depth).map(|_| {
            x = delayed(x.clone());
            x.clone()
        });
        let x = Tensor::cat(back.collect(), 2).reshape([rows * length, self.depth * self.alphabet.width()]);
        self.mlp.forward(x).reshape([rows, length, self.outputs])
    }

    fn cursor(&self, _order: usize, rows: usize) -> Box<dyn Cursor + '_> {
        let device = self.devices().into_iter().next().unwrap_or_default();
        let last = vec![seen(self.alphabet, &[], rows, &device); self.depth];
        Box::new(MarkovCursor { net: self, last: last.into(), rows, device })
    }
}

/// The last elements, latest first.
struct MarkovCursor<'a> {
    net: &'a MarkovNet,
    last: VecDeque<Tensor<2>>,
    rows: usize,
    device: Device,
}

impl Cursor for MarkovCursor<'_> {
    fn advance(&mut self, previous: &[f32]) -> Vec<f32> {
        self.last.push_front(seen(self.net.alphabet, previous, self.rows, &self.device));
        self.last.truncate(self.net.depth);
        host(self.net.mlp.forward(Tensor::cat(self.last.iter().cloned().collect(), 1)))
    }
}
