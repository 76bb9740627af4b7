//! The masked autoencoder: Germain, Gregor, Murray and Larochelle, "MADE" (arXiv:1502.03509), with the residual blocks
//! of Durkan and Nash (arXiv:1906.04032), and parameters named as in nflows.
//!
//! Element `e` has the degree `t(e) + 1`, its place in the order counted from one; a hidden unit `u` has a degree
//! `m(u)` between 1 and `T - 1`. A weight lives where
//!
//! ```text
//! input -> hidden   m(u) ≥ t(e) + 1        hidden -> hidden   m(u') ≥ m(u)        hidden -> output   t(e) + 1 > m(u)
//! ```
//!
//! so that the output of an element sees exactly the elements before it. The same weights serve several orders, each
//! with masks of its own (section 4.2 of the paper). All layers share their degrees, which residual blocks need.
//!
//! A unit of degree `m` is final once `m` elements are known: a cursor computes every unit once, then keeps it.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use genera_kernels::{Activation, activate, linear};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::Linear;
use super::activation::ActivationName;
use super::causal::{Alphabet, Causal, CausalError, Cursor, Order, host, sizes};
use crate::traits::Rows;

/// What a [`Made`] looks like, apart from the data it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MadeConfig {
    /// Width of every hidden layer.
    pub width: usize,
    /// Number of blocks after the first layer.
    pub blocks: usize,
    /// What a block is.
    pub block: MadeBlock,
    /// What follows every hidden layer.
    #[serde(with = "ActivationName")]
    pub activation: Activation,
    /// The order of the elements, or several.
    pub order: Order,
    /// Which degrees hidden units have.
    pub degrees: Degrees,
}

impl Default for MadeConfig {
    /// Three hidden layers of 512.
    fn default() -> Self {
        Self {
            width: 512,
            blocks: 2,
            block: MadeBlock::Feedforward,
            activation: Activation::Relu,
            order: Order::Natural,
            degrees: Degrees::Even,
        }
    }
}

/// What follows the first layer of a [`Made`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MadeBlock {
    /// `f(W h + b)`.
    Feedforward,
    /// `h + W₂ f(W₁ f(h) + b₁) + b₂`.
    Residual,
}

/// How degrees are given to hidden units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Degrees {
    /// All degrees equally often: in turn, or evenly spaced where there are fewer units than degrees.
    Even,
    /// Uniform between 1 and `T - 1`, drawn anew for each order.
    Random {
        /// Names the draw.
        seed: u64,
    },
}

impl MadeConfig {
    /// Fresh weights for rows of `length` elements with `outputs` numbers for each.
    ///
    /// # Errors
    /// A size of zero, or an order that is none.
    pub fn init(
        &self,
        length: usize,
        alphabet: Alphabet,
        outputs: usize,
        rng: &mut Rng,
        device: &Device,
    ) -> Result<Made, CausalError> {
        sizes([("length of a row", length), ("width", self.width)])?;
        let orders = self.order.lists(length)?;
        let width = self.width;
        let layers = match self.block {
            MadeBlock::Feedforward => 1,
            MadeBlock::Residual => 2,
        };
        let mut block =
            || Block { linear_layers: (0..layers).map(|_| Linear::new(width, width, rng, device)).collect() };
        let blocks = (0..self.blocks).map(|_| block()).collect();
        Ok(Made {
            initial_layer: Linear::new(length * alphabet.width(), width, rng, device),
            blocks,
            final_layer: Linear::new(width, length * outputs, rng, device),
            config: self.clone(),
            degrees: (0..orders.len()).map(|which| self.hidden_degrees(length, which)).collect(),
            orders,
            alphabet,
            outputs,
        })
    }

    fn hidden_degrees(&self, length: usize, order: usize) -> Vec<usize> {
        let (width, most) = (self.width, length - 1);
        if most == 0 {
            return vec![0; width]; // one element sees nothing
        }
        match self.degrees {
            Degrees::Even if width >= most => (0..width).map(|unit| unit % most + 1).collect(),
            Degrees::Even => (0..width).map(|unit| unit * most / width + 1).collect(),
            Degrees::Random { seed } => {
                let mut rng = Rng::new(seed).fork("degrees").at(order as u64);
                rng.below(width, most).into_iter().map(|degree| degree + 1).collect()
            }
        }
    }
}

/// Linear maps whose weights are masked: `[B, T] -> [B, T, P]`.
#[derive(Module, Debug)]
pub struct Made {
    initial_layer: Linear,
    blocks: Vec<Block>,
    final_layer: Linear,
    #[module(skip)]
    config: MadeConfig,
    #[module(skip)]
    orders: Vec<Vec<usize>>,
    #[module(skip)]
    degrees: Vec<Vec<usize>>,
    #[module(skip)]
    alphabet: Alphabet,
    #[module(skip)]
    outputs: usize,
}

#[derive(Module, Debug)]
struct Block {
    linear_layers: Vec<Linear>,
}

/// Masked weights and their bias.
struct Masked {
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
}

impl Masked {
    /// The weights from units of degrees `inputs` to units of degrees `outputs`, where `connected` says so.
    fn new(layer: &Linear, inputs: &[usize], outputs: &[usize], connected: fn(usize, usize) -> bool) -> Self {
        let weight = layer.weight.val();
        let mask: Vec<f32> =
            outputs.iter().flat_map(|o| inputs.iter().map(|i| f32::from(u8::from(connected(*o, *i))))).collect();
        let mask = Tensor::from_data(TensorData::new(mask, [outputs.len(), inputs.len()]), &weight.device());
        Self { weight: weight * mask, bias: layer.bias.as_ref().map(Param::val) }
    }

    fn forward(&self, x: Rows, activation: Activation) -> Rows {
        linear(x, self.weight.clone(), self.bias.clone(), activation)
    }

    /// The part of the map that computes `units`.
    fn part(&self, units: &[usize]) -> Self {
        let indices: Vec<i32> = units.iter().map(|unit| *unit as i32).collect();
        let indices = Tensor::<1, Int>::from_data(TensorData::from(indices.as_slice()), &self.weight.device());
        let weight = self.weight.clone().select(0, indices.clone());
        Self { weight, bias: self.bias.clone().map(|bias| bias.select(0, indices)) }
    }
}

impl Made {
    /// All layers, masked for one order: first, blocks, last.
    fn masked(&self, order: usize) -> (Masked, Vec<Vec<Masked>>, Masked) {
        let (order, hidden) = (&self.orders[order], &self.degrees[order]);
        let mut elements = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, element)| elements[*element] = place + 1);
        let repeated = |times: usize| elements.iter().flat_map(|degree| vec![*degree; times]).collect::<Vec<_>>();
        let first = Masked::new(&self.initial_layer, &repeated(self.alphabet.width()), hidden, |o, i| o >= i);
        let between = |layer| Masked::new(layer, hidden, hidden, |o, i| o >= i);
        let blocks = self.blocks.iter().map(|block| block.linear_layers.iter().map(between).collect()).collect();
        (first, blocks, Masked::new(&self.final_layer, hidden, &repeated(self.outputs), |o, i| o > i))
    }

    /// What follows the first layer.
    fn first_activation(&self) -> Activation {
        match self.config.block {
            MadeBlock::Feedforward => self.config.activation,
            MadeBlock::Residual => Activation::Identity,
        }
    }
}

impl Causal for Made {
    fn orders(&self) -> &[Vec<usize>] {
        &self.orders
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn forward(&self, x: Rows, order: usize) -> Tensor<3> {
        let [rows, length] = x.dims();
        let (first, blocks, last) = self.masked(order);
        let x = self.alphabet.encode(x).reshape([rows, length * self.alphabet.width()]);
        let f = self.config.activation;
        let h = blocks.iter().fold(first.forward(x, self.first_activation()), |h, block| match block.as_slice() {
            [inner, outer] => h.clone() + outer.forward(inner.forward(activate(h, f), f), Activation::Identity),
            layers => layers.iter().fold(h, |h, layer| layer.forward(h, f)),
        });
        last.forward(h, Activation::Identity).reshape([rows, length, self.outputs])
    }

    fn cursor(&self, order: usize, rows: usize) -> Box<dyn Cursor + '_> {
        let (first, blocks, last) = self.masked(order);
        let (length, width) = (self.orders[order].len(), self.config.width);
        let kept = blocks.iter().map(|block| block.iter().map(|_| Kept::new(rows, width)).collect()).collect();
        let mut units = vec![Vec::new(); length];
        self.degrees[order].iter().enumerate().for_each(|(unit, degree)| units[*degree].push(unit));
        Box::new(MadeCursor {
            net: self,
            order: &self.orders[order],
            first,
            blocks,
            last,
            x: Kept::new(rows, length * self.alphabet.width()),
            kept,
            top: Kept::new(rows, width),
            units,
            place: 0,
        })
    }
}

/// Numbers that become known column by column: `[B, width]`.
struct Kept {
    values: Vec<f32>,
    width: usize,
}

impl Kept {
    fn new(rows: usize, width: usize) -> Self {
        Self { values: vec![0.0; rows * width], width }
    }

    fn set(&mut self, columns: &[usize], values: &[f32]) {
        for (row, values) in self.values.chunks_exact_mut(self.width).zip(values.chunks_exact(columns.len())) {
            columns.iter().zip(values).for_each(|(column, value)| row[*column] = *value);
        }
    }

    fn tensor(&self, device: &Device) -> Rows {
        let rows = self.values.len() / self.width;
        Tensor::from_data(TensorData::new(self.values.clone(), [rows, self.width]), device)
    }
}

/// The units known so far.
struct MadeCursor<'a> {
    net: &'a Made,
    order: &'a [usize],
    first: Masked,
    blocks: Vec<Vec<Masked>>,
    last: Masked,
    x: Kept,
    /// What each layer of each block reads.
    kept: Vec<Vec<Kept>>,
    /// What the last layer reads.
    top: Kept,
    /// The units of each degree.
    units: Vec<Vec<usize>>,
    place: usize,
}

impl MadeCursor<'_> {
    /// Computes the units that have just become final.
    fn finish(&mut self, units: &[usize], device: &Device) {
        let net = self.net;
        let f = net.config.activation;
        let mut h = self.first.part(units).forward(self.x.tensor(device), net.first_activation());
        for (block, kept) in self.blocks.iter().zip(&mut self.kept) {
            let mut next = |layer: usize, input: Rows, activation: Activation| {
                kept[layer].set(units, &host(input));
                block[layer].part(units).forward(kept[layer].tensor(device), activation)
            };
            h = match net.config.block {
                MadeBlock::Feedforward => next(0, h, f),
                MadeBlock::Residual => {
                    let inner = next(0, activate(h.clone(), f), f);
                    h + next(1, inner, Activation::Identity)
                }
            };
        }
        self.top.set(units, &host(h));
    }
}

impl Cursor for MadeCursor<'_> {
    fn advance(&mut self, previous: &[f32]) -> Vec<f32> {
        let device = self.first.weight.device();
        let Self { net, place, .. } = *self;
        if let Some(before) = place.checked_sub(1) {
            let width = net.alphabet.width();
            let columns: Vec<usize> = (0..width).map(|i| self.order[before] * width + i).collect();
            let x = Tensor::from_data(TensorData::new(previous.to_vec(), [previous.len(), 1]), &device);
            self.x.set(&columns, &host(net.alphabet.encode(x)));
        }
        let units = std::mem::take(&mut self.units[place]);
        if !units.is_empty() {
            self.finish(&units, &device);
        }
        let outputs: Vec<usize> = (0..net.outputs).map(|i| self.order[place] * net.outputs + i).collect();
        self.place += 1;
        host(self.last.part(&outputs).forward(self.top.tensor(&device), Activation::Identity))
    }
}
