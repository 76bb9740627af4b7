//! A model that is told something of each row, with what it is told filled in: `p(x|c)` as a distribution of `x`.

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use genera_rng::Rng;

use super::Autoregressive;
use super::model::rows_at_once;
use crate::caution::sampler;
use crate::nn::Told;
use crate::traits::{Caution, Cautious, Density, Rows, Sample, Tokens};

/// A model given something of each row: partial application.
#[derive(Clone, Debug)]
pub struct Given<'a, N: Module> {
    model: &'a Autoregressive<N>,
    told: Rows,
}

impl<N: Module + Told> Autoregressive<N> {
    /// The same model where row `i` of what is drawn or scored is told row `i mod len` of `told`: `[len, C]`, at least one
    /// row, of as many numbers as the network was made for. Rows are read in the network's first order.
    pub fn given(&self, told: Rows) -> Given<'_, N> {
        Given { model: self, told }
    }

    /// `log p(x|c)` in nats, differentiable in what is told too: `[B, T], [B, C] -> [B]`.
    pub fn log_prob_told(&self, x: Rows, told: &Rows) -> Tensor<1> {
        self.log_prob_by(x, |x| self.net.forward_told(x, 0, told))
    }
}

impl<N: Module + Told> Given<'_, N> {
    /// What the rows numbered `rows` are told.
    fn told_of(&self, rows: impl Iterator<Item = usize>) -> Rows {
        let count = self.told.dims()[0].max(1);
        let rows: Vec<i32> = rows.map(|row| (row % count) as i32).collect();
        let length = rows.len();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [length]), &self.told.device());
        self.told.clone().select(0, rows)
    }
}

impl<N: Module + Told> Density for Given<'_, N> {
    fn log_prob(&self, x: Rows) -> Tensor<1> {
        let [rows, length] = x.dims();
        let size = rows_at_once(length);
        let piece = |first: usize| {
            let here = size.min(rows - first);
            let told = self.told_of(first..first + here);
            self.model.log_prob_told(x.clone().narrow(0, first, here), &told)
        };
        let pieces: Vec<Tensor<1>> = (0..rows).step_by(size).map(piece).collect();
        if pieces.is_empty() { Tensor::zeros([0], &x.device()) } else { Tensor::cat(pieces, 0) }
    }
}

impl<N: Module + Told> Density<Tokens> for Given<'_, N> {
    fn log_prob(&self, x: Tokens) -> Tensor<1> {
        Density::<Rows>::log_prob(self, x.float())
    }
}

impl<N: Module + Told> Sample for Given<'_, N> {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        let cursors = |_, rows: &[usize]| self.model.net.cursor_told(0, &self.told_of(rows.iter().copied()));
        self.model.drawn(n, rng, &cursors)
    }
}

impl<N: Module + Told> Sample<Tokens> for Given<'_, N> {
    fn sample(&self, n: usize, rng: &mut Rng) -> Tokens {
        Sample::<Rows>::sample(self, n, rng).int()
    }
}

/// As that of the model.
impl<N: Module + Told> Cautious<Tokens> for Given<'_, N> {
    fn with_caution(&self, caution: Caution) -> Option<Box<dyn Sample<Tokens> + '_>> {
        let model = self.model.cautious(caution)?;
        Some(sampler(move |n, rng| Sample::<Tokens>::sample(&model.given(self.told.clone()), n, rng)))
    }
}
