//! Networks in which no output looks at its own element or at a later one, and how they are run element by element.
//!
//! The elements of a row have an order, the one in which they are drawn; "before" always means in that order. A
//! [`Causal`] network maps all elements to all outputs in one pass, which is what training wants. Sampling wants one
//! output at a time: a [`Cursor`] keeps what has been computed, so that a whole row costs about one pass, where
//! [`FullPass`] costs one for every element. Both compute the same sums in the same order: on the kernels of Genera
//! their outputs have the same bits.

use burn::tensor::{Device, Int, Tensor, TensorData};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::Linear;
use crate::traits::Rows;

/// A network whose output for an element depends on the elements before it alone.
pub trait Causal {
    /// The orders that the network can read a row in, each a list of all elements. Most networks know one.
    fn orders(&self) -> &[Vec<usize>];
    /// The length `P` of the output of one element.
    fn outputs(&self) -> usize;
    /// All outputs in the order `order`: `[B, T] -> [B, T, P]`, output `j` belonging to element `j` of the row.
    fn forward(&self, x: Rows, order: usize) -> Tensor<3>;
    /// The same outputs one after another, for `rows` rows that become known on the way.
    fn cursor(&self, order: usize, rows: usize) -> Box<dyn Cursor + '_>;
}

/// A causal network that is told something of each row beside its elements: a class, a coarser code.
pub trait Told: Causal {
    /// All outputs in the order `order`, row `i` being told row `i` of `told`: `[B, T], [B, C] -> [B, T, P]`.
    fn forward_told(&self, x: Rows, order: usize, told: &Rows) -> Tensor<3>;
    /// The same outputs one after another, for as many rows as `told` has.
    fn cursor_told(&self, order: usize, told: &Rows) -> Box<dyn Cursor + '_>;
}

/// A causal network in the middle of some rows.
pub trait Cursor {
    /// The outputs for the next element, `[B, P]` row-major, given the value of the element before it in each row. The
    /// first element has none before it: `previous` is then empty.
    fn advance(&mut self, previous: &[f32]) -> Vec<f32>;
}

/// A cursor that keeps nothing and runs the whole network for each element: the definition of all others.
pub struct FullPass<'a, N> {
    net: &'a N,
    order: usize,
    x: Vec<f32>,
    rows: usize,
    place: usize,
    device: Device,
}

impl<'a, N: Causal> FullPass<'a, N> {
    /// Before the first element of `rows` rows.
    pub fn new(net: &'a N, order: usize, rows: usize, device: Device) -> Self {
        let x = vec![0.0; rows * net.orders()[order].len()];
        Self { net, order, x, rows, place: 0, device }
    }
}

impl<N: Causal> Cursor for FullPass<'_, N> {
    fn advance(&mut self, previous: &[f32]) -> Vec<f32> {
        let order = &self.net.orders()[self.order];
        if let Some(before) = self.place.checked_sub(1) {
            self.x.chunks_exact_mut(order.len()).zip(previous).for_each(|(row, value)| row[order[before]] = *value);
        }
        let x = Tensor::from_data(TensorData::new(self.x.clone(), [self.rows, order.len()]), &self.device);
        let outputs = self.net.forward(x, self.order).narrow(1, order[self.place], 1);
        self.place += 1;
        host(outputs)
    }
}

/// What the elements of a row are, and how networks see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    /// Real numbers, seen as they are.
    Real,
    /// Whole numbers from 0 that have an order, as grey levels do: so many, seen on `[-1, 1]`.
    Levels(usize),
    /// Whole numbers from 0 without an order, as codes have none: so many, seen as indicators.
    Symbols(usize),
}

impl Alphabet {
    /// The length of what a network sees of one element.
    pub fn width(self) -> usize {
        match self {
            Self::Real | Self::Levels(_) => 1,
            Self::Symbols(size) => size,
        }
    }

    /// How many values an element can take; none if it is real.
    pub fn size(self) -> Option<usize> {
        match self {
            Self::Real => None,
            Self::Levels(size) | Self::Symbols(size) => Some(size),
        }
    }

    /// What a network sees: `[B, T] -> [B, T, width]`.
    pub fn encode(self, x: Rows) -> Tensor<3> {
        match self {
            Self::Real => x.unsqueeze_dim(2),
            Self::Levels(size) => {
                let half = (size.max(2) - 1) as f64 / 2.0;
                (x / half - 1.0).unsqueeze_dim(2)
            }
            Self::Symbols(size) => {
                let [rows, length] = x.dims();
                let symbols = Tensor::<1, Int>::arange(0..size as i64, &x.device()).float();
                let x: Tensor<3> = x.unsqueeze_dim(2);
                let symbols = symbols.reshape([1, 1, size]).expand([rows, length, size]);
                x.expand([rows, length, size]).equal(symbols).float()
            }
        }
    }

    /// The elements as indices of a table; numbers out of range become the nearest index.
    pub(super) fn indices(self, x: Rows) -> Tensor<2, Int> {
        let last = self.size().unwrap_or(1).saturating_sub(1);
        x.clamp(0.0, last as f64).int()
    }
}

/// The order in which elements are drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// First to last.
    #[default]
    Natural,
    /// Last to first.
    Reversed,
    /// A list of all elements.
    Given(Vec<usize>),
    /// Random orders, the same for the same seed: Uria, Murray and Larochelle, "A Deep and Tractable Density
    /// Estimator" (arXiv:1310.1757).
    Random {
        /// Names the orders.
        seed: u64,
        /// How many.
        count: usize,
    },
}

impl Order {
    /// The lists of elements, for rows of `length`.
    ///
    /// # Errors
    /// A list that is no permutation, or no order at all.
    pub fn lists(&self, length: usize) -> Result<Vec<Vec<usize>>, CausalError> {
        let natural: Vec<usize> = (0..length).collect();
        match self {
            Self::Natural => Ok(vec![natural]),
            Self::Reversed => Ok(vec![natural.into_iter().rev().collect()]),
            Self::Given(list) => {
                let mut sorted = list.clone();
                sorted.sort_unstable();
                if sorted == natural { Ok(vec![list.clone()]) } else { Err(CausalError::Order { length }) }
            }
            Self::Random { count: 0, .. } => Err(CausalError::Size { what: "count of orders" }),
            &Self::Random { seed, count } => {
                let orders = Rng::new(seed).fork("orders");
                Ok((0..count).map(|which| orders.at(which as u64).permutation(length)).collect())
            }
        }
    }
}

/// A causal network that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CausalError {
    /// A list that names an element twice, or not at all.
    #[error("the order is no permutation of 0..{length}: name every element of a row once")]
    Order {
        /// The length of a row.
        length: usize,
    },
    /// A size of zero.
    #[error("the {what} is 0; it must be at least 1")]
    Size {
        /// The setting.
        what: &'static str,
    },
    /// A convolution without a centre.
    #[error("the kernel is {0}; a masked convolution needs an odd one")]
    Kernel(usize),
    /// Parts that do not make a whole.
    #[error("{whole_name} is {whole}, which {parts} {parts_name} do not divide")]
    Divide {
        /// What is to be divided.
        whole_name: &'static str,
        /// Its size.
        whole: usize,
        /// What it is to be divided into.
        parts_name: &'static str,
        /// How many of these there are.
        parts: usize,
    },
    /// Real numbers for a network that keeps a vector for each value.
    #[error("this network keeps a vector for every value of an element; it cannot read real numbers")]
    Alphabet,
}

/// Nothing if no size is zero; otherwise the error that names it.
pub(super) fn sizes<const N: usize>(sizes: [(&'static str, usize); N]) -> Result<(), CausalError> {
    match sizes.into_iter().find(|(_, size)| *size == 0) {
        Some((what, _)) => Err(CausalError::Size { what }),
        None => Ok(()),
    }
}

/// Nothing if `parts` divide `whole`; otherwise the error that says so.
pub(super) fn divides(
    (whole_name, whole): (&'static str, usize),
    (parts_name, parts): (&'static str, usize),
) -> Result<(), CausalError> {
    if whole.is_multiple_of(parts) { Ok(()) } else { Err(CausalError::Divide { whole_name, whole, parts_name, parts }) }
}

/// What a network sees one element later, zeros first: `[B, T, E] -> [B, T, E]`.
pub(super) fn delayed(x: Tensor<3>) -> Tensor<3> {
    let length = x.dims()[1];
    x.narrow(1, 0, length - 1).pad([(0, 0), (1, 0), (0, 0)], 0.0)
}

/// What a network sees of the element before the next: `[B, E]`, zeros if there is none.
pub(super) fn seen(alphabet: Alphabet, previous: &[f32], rows: usize, device: &Device) -> Tensor<2> {
    if previous.is_empty() {
        return Tensor::zeros([rows, alphabet.width()], device);
    }
    let x = Tensor::from_data(TensorData::new(previous.to_vec(), [rows, 1]), device);
    alphabet.encode(x).squeeze_dim(1)
}

/// The values of `x`, row-major.
pub(super) fn host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    // Reading fails only when the device itself has failed, after which nothing can go on.
    x.try_into_vec_as::<f32>().expect("the device lost its data")
}

/// What each of the maps `W` makes of what is told of pictures: `[B, C]` says the same of every pixel and becomes
/// `[B, 1, 1, F]`, `[B, H · W · C]` speaks pixel by pixel and becomes `[B, H, W, F]`. None if there are no maps.
pub(super) fn told(maps: &[Linear], context: Option<&Rows>, [height, width]: [usize; 2]) -> Vec<Tensor<4>> {
    let of_each = |context: &Rows| {
        let [rows, numbers] = context.dims();
        let each = maps.first().map_or(numbers, |map| map.weight.lazy_shape()[1]);
        let [height, width] = if numbers == each { [1, 1] } else { [height, width] };
        let context: Tensor<4> = context.clone().reshape([rows, height, width, each]);
        maps.iter().map(|map| map.forward(context.clone())).collect()
    };
    context.filter(|_| !maps.is_empty()).map_or_else(Vec::new, of_each)
}

/// What was told of the pixel at `[row, column]`: `[B, 1, 1, F]`.
pub(super) fn told_at(told: &Tensor<4>, [row, column]: [usize; 2]) -> Tensor<4> {
    let [_, height, width, _] = told.dims();
    told.clone().narrow(1, row.min(height - 1), 1).narrow(2, column.min(width - 1), 1)
}

/// What was told of the pixels of a row: `[B, 1, W, F]`, or `[B, 1, 1, F]` if it is the same for all.
pub(super) fn told_along(told: &Tensor<4>, row: usize) -> Tensor<4> {
    told.clone().narrow(1, row.min(told.dims()[1] - 1), 1)
}

/// The features, and what was told.
pub(super) fn with(h: Tensor<4>, told: Option<Tensor<4>>) -> Tensor<4> {
    match told {
        Some(told) => h + told,
        None => h,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_seen_as_their_alphabet_says() {
        let x = || Tensor::<2>::from_floats([[0.0, 1.0, 2.0]], &Device::flex());
        assert_eq!(host(Alphabet::Real.encode(x())), [0.0, 1.0, 2.0]);
        assert_eq!(host(Alphabet::Levels(3).encode(x())), [-1.0, 0.0, 1.0]);
        assert_eq!(host(Alphabet::Symbols(3).encode(x())), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(host(delayed(Alphabet::Levels(3).encode(x()))), [0.0, -1.0, 0.0]);
        let strange = Tensor::<2>::from_floats([[-4.0, 9.0, f32::NAN]], &Device::flex());
        let indices: Vec<i32> = Alphabet::Symbols(3).indices(strange).into_data().iter().collect();
        assert_eq!(indices[..2], [0, 2]);
        assert!((0..3).contains(&indices[2]));
    }

    #[test]
    fn orders() {
        assert_eq!(Order::Natural.lists(3).unwrap(), [[0, 1, 2]]);
        assert_eq!(Order::Reversed.lists(3).unwrap(), [[2, 1, 0]]);
        assert_eq!(Order::Given(vec![1, 0]).lists(2).unwrap(), [[1, 0]]);
        for wrong in [vec![0, 0], vec![0], vec![0, 2]] {
            assert_eq!(Order::Given(wrong).lists(2), Err(CausalError::Order { length: 2 }));
        }
        let random = Order::Random { seed: 1, count: 3 };
        let lists = random.lists(20).unwrap();
        assert_eq!(lists, random.lists(20).unwrap());
        assert!(lists[0] != lists[1] && lists[1] != lists[2]);
        for list in lists {
            assert!(Order::Given(list).lists(20).is_ok());
        }
        assert!(Order::Random { seed: 1, count: 0 }.lists(2).is_err());
    }
}
