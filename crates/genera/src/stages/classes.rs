//! Priors over codes that are told the class: `p(c|y)`, and `p(c) = 1/C Σ_y p(c|y)` without one.
//!
//! A PixelCNN adds an embedding of the class to its layers (van den Oord et al., arXiv:1606.05328), a transformer reads it in
//! the place of its start. Class-conditional VQ-VAE-2 draws its codes so (Razavi et al., arXiv:1906.00446).

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Tensor, TensorData};
use genera_rng::Rng;

use super::{GivenPrior, ToldPrior};
use crate::autoregressive::Autoregressive;
use crate::caution::sampler;
use crate::nn::Told;
use crate::traits::{Batch, Caution, Cautious, Density, Loss, Model, Rows, Sample, Tokens, View};

/// How many classes there are. One class says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Classes(pub usize);

impl Classes {
    /// Indicators of the classes, zeros for one that does not exist: `[B, C]`. One class is that of every row, whatever the
    /// data call it.
    pub(super) fn indicators(self, labels: &[usize], device: &Device) -> Rows {
        let mut values = vec![0.0_f32; labels.len() * self.0];
        for (row, label) in values.chunks_exact_mut(self.0).zip(labels) {
            let place = if self.0 == 1 { 0 } else { *label };
            if let Some(indicator) = row.get_mut(place) {
                *indicator = 1.0;
            }
        }
        Tensor::from_data(TensorData::new(values, [labels.len(), self.0]), device)
    }

    /// Those of a batch; nothing is told of rows without a class.
    pub(super) fn of_batch(self, batch: &Batch) -> Rows {
        let (rows, device) = (batch.x.dims()[0], batch.x.device());
        match &batch.labels {
            Some(labels) => self.indicators(labels, &device),
            None if self.0 == 1 => self.indicators(&vec![0; rows], &device),
            None => Tensor::zeros([rows, self.0], &device),
        }
    }

    /// Classes of `n` rows, all equally likely.
    pub(super) fn drawn(self, n: usize, rng: &mut Rng) -> Vec<usize> {
        if self.0 == 1 { vec![0; n] } else { rng.below(n, self.0) }
    }

    /// `log 1/C Σ_y p(·|y)` of rows by `log_prob` given a class for all of them: `[B]`.
    pub(super) fn mean(self, log_prob: impl Fn(usize) -> Tensor<1>) -> Tensor<1> {
        let each: Tensor<2> = Tensor::stack((0..self.0).map(log_prob).collect(), 1);
        // Finite also where a row is impossible in every class.
        let most = each.clone().detach().max_dim(1).clamp_min(f32::MIN);
        ((each - most.clone()).exp().mean_dim(1).log() + most).squeeze_dim(1)
    }
}

/// An autoregressive prior over codes that is told the class of each row.
#[derive(Module, Debug)]
pub struct ClassPrior<N: Module> {
    /// `p(c|y)`.
    pub model: Autoregressive<N>,
    #[module(skip)]
    classes: Classes,
}

impl<N: Module + Told> ClassPrior<N> {
    /// Of a model whose network is told `classes` numbers, at least one.
    pub fn new(model: Autoregressive<N>, classes: usize) -> Self {
        Self { model, classes: Classes(classes) }
    }

    fn told(&self, labels: &[usize]) -> Rows {
        self.classes.indicators(labels, &self.model.device())
    }
}

impl<N: Module + ModuleDisplay + Told> ToldPrior for ClassPrior<N> {
    fn given(&self, labels: &[usize]) -> Box<dyn GivenPrior + '_> {
        Box::new(self.model.given(self.told(labels)))
    }
}

impl<N: Module + Told> Model for ClassPrior<N> {
    /// Minus the mean log-probability of a code given the class, in nats.
    fn loss(&self, batch: Batch, _rng: &mut Rng) -> Loss {
        let (told, places) = (self.classes.of_batch(&batch), batch.x.dims()[1]);
        Loss { value: self.model.log_prob_told(batch.x, &told).mean() / -(places as f64), parts: Vec::new() }
    }

    fn view(&self) -> View<'_> {
        View::default()
    }
}

impl<N: Module + Told> Sample<Tokens> for ClassPrior<N> {
    /// Classes are drawn too, uniformly.
    fn sample(&self, n: usize, rng: &mut Rng) -> Tokens {
        let labels = self.classes.drawn(n, rng);
        self.model.given(self.told(&labels)).sample(n, rng)
    }
}

impl<N: Module + Told> Density<Tokens> for ClassPrior<N> {
    /// The mean over the classes.
    fn log_prob(&self, x: Tokens) -> Tensor<1> {
        self.classes.mean(|class| self.model.given(self.told(&[class])).log_prob(x.clone()))
    }
}

impl<N: Module + Told> Cautious<Tokens> for ClassPrior<N> {
    fn with_caution(&self, caution: Caution) -> Option<Box<dyn Sample<Tokens> + '_>> {
        let careful = Self { model: self.model.cautious(caution)?, classes: self.classes };
        Some(sampler(move |n, rng| careful.sample(n, rng)))
    }
}
