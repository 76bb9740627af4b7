//! A classifier of noisy rows, for guidance.
//!
//! ```text
//! loss = −E log p(y | x_t),   x_t = α x₀ + σ ε at a random level
//! ```
//!
//! Dhariwal and Nichol, 2105.05233. The gradient with respect to the rows comes from autodiff.

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};
use genera_rng::Rng;

use super::sampler::noise;
use super::{ClassScore, Level, Levels};
use crate::nn::Conditioned;
use crate::traits::{Batch, Loss, Model, Net, Rows, View};

/// A network that sees noisy rows and their level, and gives one number a class.
#[derive(Module, Debug)]
pub struct NoisyClassifier<N: Module> {
    /// `[B, F] -> [B, K]`, the logits.
    pub net: N,
    #[module(skip)]
    levels: Levels,
    #[module(skip)]
    classes: usize,
}

impl<N: Module + Net<Conditioned, Rows>> NoisyClassifier<N> {
    /// With the parameters of `net`, for the noise of `levels` and `classes` classes.
    pub fn new(net: N, levels: Levels, classes: usize) -> Self {
        Self { net, levels, classes }
    }

    /// `log p(y|x_t)` of every class: `[B, F] -> [B, K]`.
    pub fn log_posterior(&self, x: Rows, levels: &[Level]) -> Tensor<2> {
        let times: Vec<f32> = levels.iter().map(|level| level.time as f32).collect();
        let time = Tensor::from_data(TensorData::from(times.as_slice()), &x.device());
        // Rows of all levels have one scale.
        let scales: Vec<f32> = levels.iter().map(|level| level.scale().recip() as f32).collect();
        let scale: Rows = Tensor::from_data(TensorData::new(scales, [levels.len(), 1]), &x.device());
        log_softmax(self.net.forward(Conditioned { x: x * scale, time, labels: None }), 1)
    }

    /// `[B, K]`, one where `labels` say so.
    fn chosen(&self, labels: impl Iterator<Item = usize>, like: &Tensor<2>) -> Tensor<2> {
        let [rows, classes] = like.dims();
        let mut chosen = vec![0.0_f32; rows * classes];
        for (row, label) in chosen.chunks_exact_mut(classes).zip(labels) {
            assert!(label < self.classes, "class {label} was met by a classifier of {} classes", self.classes);
            row[label] = 1.0;
        }
        let device = like.device();
        Tensor::from_data(TensorData::new(chosen, [rows, classes]), &device)
    }
}

impl<N: Module + Net<Conditioned, Rows>> ClassScore for NoisyClassifier<N> {
    fn class_score(&self, x: Rows, levels: &[Level], labels: &[usize]) -> Rows {
        let x = Tensor::from_inner(if x.is_autodiff() { x.inner() } else { x }).require_grad();
        let log_p = self.log_posterior(x.clone(), levels);
        let rows = log_p.dims()[0];
        let chosen = self.chosen((0..rows).map(|row| labels[row % labels.len()]), &log_p);
        let gradient = x.grad(&(log_p * chosen).sum().backward());
        gradient.unwrap_or_else(|| x.inner().zeros_like())
    }
}

impl<N: Module + Net<Conditioned, Rows>> Model for NoisyClassifier<N> {
    /// The cross-entropy in nats at levels uniform over those of training.
    ///
    /// # Panics
    /// If the rows have no labels, or a label is not below the number of classes.
    fn loss(&self, batch: Batch, rng: &mut Rng) -> Loss {
        let labels = batch.labels.expect("a classifier learns from rows with labels; these have none");
        let ([rows, width], device) = (batch.x.dims(), batch.x.device());
        let levels: Vec<Level> =
            rng.streams(rows).map(|mut stream| self.levels.at_fraction(stream.uniform())).collect();
        let eps = noise([rows, width], rng, &device);
        let column = |of: fn(&Level) -> f64| -> Rows {
            let values: Vec<f32> = levels.iter().map(|level| of(level) as f32).collect();
            Tensor::from_data(TensorData::new(values, [rows, 1]), &device)
        };
        let x_t = batch.x * column(|level| level.alpha) + eps * column(|level| level.sigma);
        let log_p = self.log_posterior(x_t, &levels);
        let chosen = self.chosen(labels.into_iter(), &log_p);
        Loss { value: -(log_p * chosen).sum_dim(1).mean(), parts: Vec::new() }
    }

    fn view(&self) -> View<'_> {
        View::default()
    }
}
