//! A recurrent network over the elements of a row: the gated recurrent unit of Cho et al. (arXiv:1406.1078), in the
//! form and with the names of PyTorch's `GRU`.
//!
//! ```text
//! r = σ(W_r x₋₁ + b_r + U_r h + c_r)    z = σ(W_z x₋₁ + b_z + U_z h + c_z)
//! n = tanh(W_n x₋₁ + b_n + r (U_n h + c_n))    h' = n + z (h - n)    y = W h' + b
//! ```

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use genera_kernels::{Activation, activate, linear};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::causal::{Alphabet, Causal, CausalError, Cursor, delayed, host, seen, sizes};
use super::{Linear, init};
use crate::traits::Rows;

/// What a [`RecurrentNet`] looks like, apart from the data it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecurrentNetConfig {
    /// Length of the state.
    pub width: usize,
}

impl Default for RecurrentNetConfig {
    fn default() -> Self {
        Self { width: 128 }
    }
}

impl RecurrentNetConfig {
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
    ) -> Result<RecurrentNet, CausalError> {
        let width = self.width;
        sizes([("length of a row", length), ("width", width)])?;
        let mut gates = |inputs| init::fan_in_uniform([3 * width, inputs], width, rng, device);
        let (weight_ih_l0, weight_hh_l0) = (gates(alphabet.width()), gates(width));
        let mut biases = || init::fan_in_uniform([3 * width], width, rng, device);
        let (bias_ih_l0, bias_hh_l0) = (biases(), biases());
        Ok(RecurrentNet {
            rnn: Gru { weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 },
            head: Linear::new(width, outputs, rng, device),
            alphabet,
            orders: vec![(0..length).collect()],
        })
    }
}

/// A gated recurrent unit and a linear map: `[B, T] -> [B, T, P]`.
#[derive(Module, Debug)]
pub struct RecurrentNet {
    rnn: Gru,
    head: Linear,
    #[module(skip)]
    alphabet: Alphabet,
    #[module(skip)]
    orders: Vec<Vec<usize>>,
}

#[derive(Module, Debug)]
struct Gru {
    /// `[3 H, E]`, the rows of `r`, `z` and `n`.
    weight_ih_l0: Param<Tensor<2>>,
    /// `[3 H, H]`.
    weight_hh_l0: Param<Tensor<2>>,
    bias_ih_l0: Param<Tensor<1>>,
    bias_hh_l0: Param<Tensor<1>>,
}

impl Gru {
    /// What the input gives to the gates: `[.., E] -> [.., 3 H]`.
    fn input<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        linear(x, self.weight_ih_l0.val(), Some(self.bias_ih_l0.val()), Activation::Identity)
    }

    /// The next state: `[B, 3 H], [B, H] -> [B, H]`.
    fn step(&self, input: Tensor<2>, h: Tensor<2>) -> Tensor<2> {
        let width = h.dims()[1];
        let state = linear(h.clone(), self.weight_hh_l0.val(), Some(self.bias_hh_l0.val()), Activation::Identity);
        let part = |gates: &Tensor<2>, i: usize| gates.clone().narrow(1, i * width, width);
        let gate = |i: usize| activate(part(&input, i) + part(&state, i), Activation::Sigmoid);
        let (r, z) = (gate(0), gate(1));
        let n = activate(part(&input, 2) + r * part(&state, 2), Activation::Tanh);
        n.clone() + z * (h - n)
    }

    fn start(&self, rows: usize) -> Tensor<2> {
        let weight = self.weight_hh_l0.val();
        Tensor::zeros([rows, weight.dims()[1]], &weight.device())
    }
}

impl Causal for RecurrentNet {
    fn orders(&self) -> &[Vec<usize>] {
        &self.orders
    }

    fn outputs(&self) -> usize {
        self.head.weight.lazy_shape()[0]
    }

    fn forward(&self, x: Rows, _order: usize) -> Tensor<3> {
        let [rows, length] = x.dims();
        let input = self.rnn.input(delayed(self.alphabet.encode(x)));
        let mut h = self.rnn.start(rows);
        let states = (0..length).map(|t| {
            h = self.rnn.step(input.clone().narrow(1, t, 1).squeeze_dim(1), h.clone());
            h.clone()
        });
        self.head.forward(Tensor::stack(states.collect(), 1))
    }

    fn cursor(&self, _order: usize, rows: usize) -> Box<dyn Cursor + '_> {
        Box::new(RecurrentCursor { net: self, h: self.rnn.start(rows) })
    }
}

/// The state after the elements so far.
struct RecurrentCursor<'a> {
    net: &'a RecurrentNet,
    h: Tensor<2>,
}

impl Cursor for RecurrentCursor<'_> {
    fn advance(&mut self, previous: &[f32]) -> Vec<f32> {
        let x = seen(self.net.alphabet, previous, self.h.dims()[0], &self.h.device());
        self.h = self.net.rnn.step(self.net.rnn.input(x), self.h.clone());
        host(self.net.head.forward(self.h.clone()))
    }
}
