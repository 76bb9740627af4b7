//! A perceptron whose output for a column sees only the columns before it: MADE's masks.
//!
//! Each unit has a degree and sees the columns of smaller order only: a hidden unit of degree `d` sees columns of order
//! below `d` and hidden units of degree up to `d`; the outputs of the column of order `j` see hidden units of degree up
//! to `j`. Degrees go round `1 .. F − 1` (from 0 where there is a context, which everyone sees): every path is used.
//!
//! Germain, Gregor, Murray and Larochelle, "MADE: masked autoencoder for distribution estimation" (arXiv:1502.03509),
//! with degrees in turn, as in zuko, in place of random ones.

use burn::module::Module;
use burn::tensor::Device;
use genera_rng::Rng;

use super::{FlowError, Seen};
use crate::nn::{Activation, MaskedLinear};
use crate::traits::{Net, Rows};

/// What a [`MaskedMlp`] looks like.
#[derive(Clone, Debug, PartialEq)]
pub struct MaskedMlpConfig {
    /// The order of each column: a permutation of `0 .. F`. Column `i` sees those of smaller order.
    pub order: Vec<usize>,
    /// Columns that every unit sees.
    pub context: usize,
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Numbers a column, `P`.
    pub parameters: usize,
    /// What follows every layer but the last.
    pub activation: Activation,
}

impl MaskedMlpConfig {
    /// Fresh weights.
    ///
    /// # Errors
    /// An order that is no permutation.
    pub fn init(&self, rng: &mut Rng, device: &Device) -> Result<MaskedMlp, FlowError> {
        let features = self.order.len();
        let mut sorted = self.order.clone();
        sorted.sort_unstable();
        let whole = features > 0 && sorted.iter().enumerate().all(|(at, order)| at == *order);
        FlowError::unless(whole, "order", format!("{:?}", self.order), "each of 0, 1, 2, .. once")?;
        let least = usize::from(self.context == 0 && features > 1);
        let degree = |unit: usize| least + unit % (features - least);
        // Degrees of what a layer sees; the context is seen by all, like a hidden unit of degree zero.
        let mut layers = Vec::with_capacity(self.hidden.len() + 1);
        let widths = [features + self.context].into_iter().chain(self.hidden.iter().copied());
        let outputs = self.hidden.iter().copied().chain([features * self.parameters]);
        let last = self.hidden.len();
        for (at, (inputs, outputs)) in widths.zip(outputs).enumerate() {
            let connects = |output: usize, input: usize| {
                let to = if at == last { self.order[output % features] } else { degree(output) };
                match at {
                    0 if input < features => self.order[input] < to,
                    0 => true,
                    _ => degree(input) <= to,
                }
            };
            layers.push(MaskedLinear::new(inputs, outputs, connects, rng, device));
        }
        Ok(MaskedMlp { layers, activation: self.activation })
    }
}

/// A masked perceptron: `[B, F] -> [B, P · F]`, parameter by parameter.
#[derive(Module, Debug)]
pub struct MaskedMlp {
    layers: Vec<MaskedLinear>,
    #[module(skip)]
    activation: Activation,
}

impl Net<Seen> for MaskedMlp {
    fn forward(&self, seen: Seen) -> Rows {
        let last = self.layers.len() - 1;
        self.layers.iter().enumerate().fold(seen.joined(), |x, (at, layer)| {
            layer.forward_into(x, if at < last { self.activation } else { Activation::Identity })
        })
    }
}
