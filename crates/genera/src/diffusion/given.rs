//! A diffusion that is told the classes of what it removes noise from.

use burn::module::Module;
use burn::tensor::Tensor;
use genera_rng::Rng;

use super::model::nats;
use super::{Differentiable, Diffusion, Guidance, Level};
use crate::nn::Conditioned;
use crate::traits::{Denoise, Density, LowerBound, Net, Rows, Sample};

/// A diffusion for given classes: partial application.
#[derive(Clone, Debug)]
pub struct Given<'a, N: Module> {
    model: &'a Diffusion<N>,
    labels: Vec<usize>,
    /// Of samples, in place of the sampler's own.
    guidance: Option<Guidance>,
}

impl<'a, N: Module> Given<'a, N> {
    pub(super) fn new(model: &'a Diffusion<N>, labels: Vec<usize>) -> Self {
        Self { model, labels, guidance: None }
    }

    /// The same, whose samples are guided so, whatever the model's sampler says.
    pub fn guided(self, guidance: Guidance) -> Self {
        Self { guidance: Some(guidance), ..self }
    }

    /// The classes of some samples.
    fn classes(&self, samples: &[usize]) -> Vec<usize> {
        match self.labels.len() {
            0 => Vec::new(),
            n => samples.iter().map(|sample| self.labels[sample % n]).collect(),
        }
    }
}

impl<N: Module + Net<Conditioned, Rows>> Denoise for Given<'_, N> {
    fn denoise(&self, x: Rows, levels: &[Level]) -> Rows {
        self.denoise_with_variance(x, levels).0
    }

    fn denoise_with_variance(&self, x: Rows, levels: &[Level]) -> (Rows, Option<Rows>) {
        self.model.denoise_given(x, levels, &self.labels)
    }

    fn denoise_some(&self, samples: &[usize], x: Rows, levels: &[Level]) -> Rows {
        self.model.denoise_given(x, levels, &self.classes(samples)).0
    }
}

impl<N: Module + Net<Conditioned, Rows>> Differentiable for Given<'_, N> {
    fn denoise_and_pull(
        &self,
        samples: &[usize],
        x: Rows,
        levels: &[Level],
        cotangents: Vec<Rows>,
    ) -> (Rows, Vec<Rows>) {
        self.model.pull_given(x, levels, &self.classes(samples), cotangents)
    }
}

impl<N: Module + Net<Conditioned, Rows>> Density for Given<'_, N> {
    /// By the probability flow, as [`Diffusion`]'s.
    fn log_prob(&self, x: Rows) -> Tensor<1> {
        nats(self.model.flow_likelihood(x.clone(), &self.labels).nats, &x.device())
    }
}

impl<N: Module + Net<Conditioned, Rows>> Sample for Given<'_, N> {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        let guidance = self.guidance.or(self.model.config().sampler.guidance);
        self.model.sample_given(n, &self.labels, guidance, rng)
    }
}

impl<N: Module + Net<Conditioned, Rows>> LowerBound for Given<'_, N> {
    fn lower_bound(&self, x: Rows, rng: &mut Rng) -> Vec<f64> {
        self.model.bounded(self, &x, rng)
    }
}
