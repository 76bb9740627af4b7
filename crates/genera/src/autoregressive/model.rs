//! An autoregressive model: a causal network, and what its outputs mean.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use genera_rng::{Rng, Stream};
use serde::{Deserialize, Serialize};

use super::{AutoregressiveError, Conditional, Draw, field_of_changes, receptive_field};
use crate::nn::{Causal, Cursor};
use crate::traits::{Batch, Caution, Cautious, Density, Elements, Loss, Model, Rows, Sample, Tokens, View};

/// Rows that are drawn together.
const ROWS_AT_ONCE: usize = 96;

/// Rows whose elements are changed one by one to see what an output looks at.
const CHANGED: usize = 2;

/// How many elements are scored together, about.
const ELEMENTS_AT_ONCE: usize = 1 << 16;

/// Everything about an autoregressive model but its network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoregressiveConfig {
    /// What the outputs of the network mean.
    pub conditional: Conditional,
    /// How elements are drawn.
    #[serde(default)]
    pub draw: Draw,
}

impl AutoregressiveConfig {
    /// A model with the parameters of `net`.
    ///
    /// # Errors
    /// Settings that make no sense, or a network whose outputs are not those of the conditional.
    pub fn init<N: Module + Causal>(&self, net: N) -> Result<Autoregressive<N>, AutoregressiveError> {
        self.conditional.check(&self.draw)?;
        let (found, needed) = (net.outputs(), self.conditional.outputs());
        if found != needed {
            return Err(AutoregressiveError::Outputs { found, needed });
        }
        Ok(Autoregressive { net, config: *self })
    }
}

/// A network that gives the distribution of each element of a row from those before it.
#[derive(Module, Debug)]
pub struct Autoregressive<N: Module> {
    /// The network: `[B, T] -> [B, T, P]`.
    pub net: N,
    #[module(skip)]
    config: AutoregressiveConfig,
}

impl<N: Module + Causal> Autoregressive<N> {
    /// The settings.
    pub fn config(&self) -> &AutoregressiveConfig {
        &self.config
    }

    /// The same model, drawing in another way.
    ///
    /// # Errors
    /// A way of drawing that its elements do not have.
    pub fn drawing(&self, draw: Draw) -> Result<Self, AutoregressiveError> {
        self.config.conditional.check(&draw)?;
        Ok(Self { net: self.net.clone(), config: AutoregressiveConfig { draw, ..self.config } })
    }

    /// The same model, drawing with caution.
    pub(crate) fn cautious(&self, caution: Caution) -> Option<Self> {
        let Draw { temperature, top_k } = self.config.draw;
        let draw = match caution {
            Caution::Temperature(factor) => Draw { temperature: factor * temperature, top_k },
            Caution::Likeliest(count) => Draw { temperature, top_k: Some(top_k.map_or(count, |k| k.min(count))) },
            Caution::Truncation(_) | Caution::Style(_) => return None,
        };
        self.drawing(draw).ok()
    }

    /// Rows that agree with `x` where `known` says so, and are drawn elsewhere: `[B, T] -> [B, T]`.
    ///
    /// Every unknown element is drawn given all elements before it, known or drawn. Where the known ones come first
    /// that is the conditional distribution of the rest; known elements after unknown ones do not reach back.
    ///
    /// # Errors
    /// Rows or marks of another length than the model's.
    pub fn complete(&self, x: Rows, known: &[bool], rng: &mut Rng) -> Result<Rows, AutoregressiveError> {
        let [rows, found] = x.dims();
        let needed = self.net.orders()[0].len();
        for (what, found) in [("rows", found), ("marks of known elements", known.len())] {
            if found != needed {
                return Err(AutoregressiveError::Length { what, found, needed });
            }
        }
        let device = x.device();
        let start = x.into_data().convert::<f32>().iter::<f32>().collect();
        Ok(rows_of(
            self.draw(start, known, rng, &|order, rows| self.net.cursor(order, rows.len())),
            [rows, needed],
            &device,
        ))
    }

    /// The unknown elements of `start`, drawn: row `i` from stream `i` of one draw of `rng`. `cursors` gives the network in
    /// the middle of some of the rows, in one order.
    fn draw<'a>(&self, start: Vec<f32>, known: &[bool], rng: &mut Rng, cursors: &Cursors<'_, 'a>) -> Vec<f32> {
        let (mut x, orders, length) = (start, self.net.orders(), known.len());
        let mut streams: Vec<Stream> = rng.streams(x.len() / length.max(1)).collect();
        let mut in_order = vec![Vec::new(); orders.len()];
        for (row, stream) in streams.iter_mut().enumerate() {
            in_order[if orders.len() == 1 { 0 } else { stream.below(orders.len()) }].push(row);
        }
        for (which, rows) in in_order.iter().enumerate() {
            for rows in rows.chunks(ROWS_AT_ONCE) {
                let mut cursor = cursors(which, rows);
                let mut previous = Vec::new();
                for &element in &orders[which] {
                    let outputs = cursor.advance(&previous);
                    previous.clear();
                    for (row, outputs) in rows.iter().zip(outputs.chunks_exact(self.net.outputs())) {
                        // Known elements use up their numbers too: a row keeps its noise whatever is known of it.
                        let drawn = self.config.conditional.draw(outputs, &self.config.draw, &mut streams[*row]);
                        let value = &mut x[row * length + element];
                        if !known[element] {
                            *value = drawn;
                        }
                        previous.push(*value);
                    }
                }
            }
        }
        x
    }

    /// New rows, as above.
    pub(super) fn drawn<'a>(&self, n: usize, rng: &mut Rng, cursors: &Cursors<'_, 'a>) -> Rows {
        let length = self.net.orders()[0].len();
        rows_of(self.draw(vec![0.0; n * length], &vec![false; length], rng, cursors), [n, length], &self.device())
    }

    /// `log p(x)` in nats in one order of the elements: `[B, T] -> [B]`.
    fn log_prob_in(&self, x: Rows, order: usize) -> Tensor<1> {
        self.log_prob_by(x, |x| self.net.forward(x, order))
    }

    /// `log p(x)` in nats by what a network says of every element: `[B, T] -> [B]`.
    pub(super) fn log_prob_by(&self, x: Rows, outputs: impl Fn(Rows) -> Tensor<3>) -> Tensor<1> {
        let conditional = &self.config.conditional;
        conditional.log_prob(outputs(conditional.readable(x.clone())), x).sum_dim(1).squeeze_dim(1)
    }

    /// `log mean_o p_o(x)` over all orders.
    fn log_prob_of(&self, x: Rows) -> Tensor<1> {
        let orders = self.net.orders().len();
        if orders == 1 {
            return self.log_prob_in(x, 0);
        }
        let each = (0..orders).map(|order| self.log_prob_in(x.clone(), order)).collect();
        let each: Tensor<2> = Tensor::stack(each, 1);
        // Finite also where a row is impossible in every order.
        let most = each.clone().detach().max_dim(1).clamp_min(f32::MIN);
        ((each - most.clone()).exp().mean_dim(1).log() + most).squeeze_dim(1)
    }

    pub(crate) fn device(&self) -> Device {
        self.net.devices().into_iter().next().unwrap_or_default().inner()
    }
}

/// The network in the middle of some rows, in one order.
pub(super) type Cursors<'f, 'a> = dyn Fn(usize, &[usize]) -> Box<dyn Cursor + 'a> + 'f;

/// How many rows are scored together.
pub(super) fn rows_at_once(length: usize) -> usize {
    (ELEMENTS_AT_ONCE / length.max(1)).clamp(8, 1024)
}

fn rows_of(values: Vec<f32>, shape: [usize; 2], device: &Device) -> Rows {
    Tensor::from_data(TensorData::new(values, shape), device)
}

impl<N: Module + Causal> Density for Autoregressive<N> {
    /// Of whole numbers the log-probability, minus infinity for a row that has an element outside the alphabet.
    fn log_prob(&self, x: Rows) -> Tensor<1> {
        let [rows, length] = x.dims();
        let size = rows_at_once(length);
        if rows <= size {
            return self.log_prob_of(x);
        }
        Tensor::cat(x.split(size, 0).into_iter().map(|piece| self.log_prob_of(piece)).collect(), 0)
    }
}

impl<N: Module + Causal> Density<Tokens> for Autoregressive<N> {
    fn log_prob(&self, x: Tokens) -> Tensor<1> {
        Density::<Rows>::log_prob(self, x.float())
    }
}

impl<N: Module + Causal> Sample for Autoregressive<N> {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        self.drawn(n, rng, &|order, rows| self.net.cursor(order, rows.len()))
    }
}

impl<N: Module + Causal> Sample<Tokens> for Autoregressive<N> {
    fn sample(&self, n: usize, rng: &mut Rng) -> Tokens {
        Sample::<Rows>::sample(self, n, rng).int()
    }
}

/// A temperature: logits are divided by it, deviations multiplied, on top of the model's own.
impl<X, N: Module + Causal> Cautious<X> for Autoregressive<N>
where
    Self: Sample<X>,
{
    fn with_caution(&self, caution: Caution) -> Option<Box<dyn Sample<X> + '_>> {
        Some(Box::new(self.cautious(caution)?))
    }
}

impl<N: Module + Causal> Elements for Autoregressive<N> {
    fn completed(&self, x: Rows, known: &[bool], rng: &mut Rng) -> Option<Rows> {
        self.complete(x, known, rng).ok()
    }

    fn field_of(&self, x: Rows, element: usize) -> Vec<f64> {
        let x = self.config.conditional.readable(x);
        let field = receptive_field(&self.net, x.clone(), element);
        match self.config.conditional.levels() {
            // Either the first element, or a network that looks its elements up.
            Some(levels) if field.iter().all(|value| *value == 0.0) => {
                let few = CHANGED.min(x.dims()[0]);
                field_of_changes(&self.net, x.narrow(0, 0, few), element, levels)
            }
            _ => field,
        }
    }
}

impl<N: Module + Causal> Model for Autoregressive<N> {
    /// Minus the mean log-probability of an element, in nats; of a network with several orders, in one at random.
    fn loss(&self, batch: Batch, rng: &mut Rng) -> Loss {
        let length = batch.x.dims()[1];
        // Not a draw that counts rows: all micro-batches of a step are read in the same order.
        let order = rng.fork("order").stream().below(self.net.orders().len());
        let value = self.log_prob_in(batch.x, order).mean() / -(length as f64);
        Loss { value, parts: Vec::new() }
    }

    fn view(&self) -> View<'_> {
        let (cautious, elements) = (Some(self as &dyn Cautious), Some(self as &dyn Elements));
        View { sample: Some(self), cautious, density: Some(self), elements, ..View::default() }
    }
}
