//! The learner that takes the steps of expectation maximisation, over the rows that it is given.
//!
//! All rows in one batch make the classical algorithm. Every step is checked: the likelihood of its rows must not fall,
//! unless a component had to be mended in it.

use genera_rng::Rng;

use super::Points;
use crate::traits::{Batch, Density, Learner, Sample, Scalars, StepError, View};
use crate::weights::{Array, Weights, WeightsError};

/// How much of a likelihood may get lost in rounding.
const ROUNDING: f64 = 1e-9;

/// The arrays of a model by name, with their shapes.
pub type Named = Vec<(&'static str, Vec<usize>, Vec<f64>)>;

/// A model after a step, and what had to be done to keep it one.
#[derive(Clone, Debug)]
pub struct Maximised<M> {
    /// The next model.
    pub model: M,
    /// Components that had lost all their rows, or had no density any more, or variances that were held at the floor.
    pub mended: usize,
}

/// A model that expectation maximisation improves.
pub trait Em: Density + Sample + Clone {
    /// One step.
    fn step(&self, x: &Points) -> Maximised<Self>;
    /// `log p(x)` of each row in nats.
    fn log_likelihoods(&self, x: &Points) -> Vec<f64>;
    /// What [`Em::with_parameters`] takes.
    fn parameters(&self) -> Named;
    /// The model with other numbers of the same shapes.
    fn with_parameters(&self, parameters: Named) -> Self;
}

/// A model under expectation maximisation.
#[derive(Clone, Debug)]
pub struct ExpectationMaximisation<M> {
    model: M,
}

impl<M: Em> ExpectationMaximisation<M> {
    /// Before the first step.
    pub fn new(model: M) -> Self {
        Self { model }
    }

    /// The model as it is now.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// One step on these rows: the mean log-likelihood before and after, and how many components were mended.
    ///
    /// # Errors
    /// A likelihood that is not finite, or that fell although nothing was mended; the model is then as before.
    pub fn improve(&mut self, x: &Points) -> Result<(f64, f64, usize), StepError> {
        let mean = |model: &M| model.log_likelihoods(x).iter().sum::<f64>() / x.count() as f64;
        let before = mean(&self.model);
        let Maximised { model, mended } = self.model.step(x);
        let after = mean(&model);
        if !before.is_finite() || !after.is_finite() {
            return Err(StepError::Loss { loss: -after, parts: Vec::new() });
        }
        if mended == 0 && after < before - ROUNDING * before.abs().max(1.0) {
            return Err(StepError::Decrease { before, after });
        }
        self.model = model;
        Ok((before, after, mended))
    }
}

impl<M: Em> Learner for ExpectationMaximisation<M> {
    /// The loss is that before the step, as for a descent.
    fn step(&mut self, batches: Vec<Batch>, _rng: &mut Rng) -> Result<Scalars, StepError> {
        let x = match Points::gather(batches.iter().map(|batch| &batch.x)) {
            Ok(x) => x,
            Err(_) => return Err(StepError::Loss { loss: f64::NAN, parts: Vec::new() }), // rows of which no mean exists
        };
        let (before, after, mended) = self.improve(&x)?;
        Ok(vec![("loss", -before), ("loss-after", -after), ("mended", mended as f64)])
    }

    fn view(&self) -> View<'_> {
        View { sample: Some(&self.model), density: Some(&self.model), ..View::default() }
    }

    /// Double precision as three single ones, whose sum is exact.
    fn save(&self) -> Vec<(&'static str, Weights)> {
        let array = |(name, shape, values): (&str, Vec<usize>, Vec<f64>)| {
            let mut rest = values;
            let mut parts = Vec::with_capacity(3 * rest.len());
            for _ in 0..3 {
                parts.extend(rest.iter().map(|v| *v as f32));
                rest.iter_mut().for_each(|v| *v -= f64::from(*v as f32));
            }
            (name.to_owned(), Array { shape: [vec![3], shape].concat(), values: parts })
        };
        vec![("model", self.model.parameters().into_iter().map(array).collect())]
    }

    fn load(&mut self, groups: &[(String, Weights)]) -> Result<(), WeightsError> {
        if let Some((unknown, _)) = groups.iter().find(|(name, _)| name != "model") {
            return Err(WeightsError::Unknown(unknown.clone()));
        }
        let (_, weights) = groups.first().ok_or_else(|| WeightsError::Missing("model".to_owned()))?;
        let known = self.model.parameters();
        if let Some(name) = weights.keys().find(|name| known.iter().all(|(known, ..)| known != name)) {
            return Err(WeightsError::Unknown(name.clone()));
        }
        let read = known.into_iter().map(|(name, shape, _)| {
            let array = weights.get(name).ok_or_else(|| WeightsError::Missing(name.to_owned()))?;
            array.check(name, &[vec![3], shape.clone()].concat())?;
            let third = array.values.len() / 3;
            let part = |at: usize| f64::from(array.values[at]);
            let values = (0..third).map(|i| part(i) + (part(third + i) + part(2 * third + i))).collect();
            Ok((name, shape, values))
        });
        let parameters = read.collect::<Result<Named, WeightsError>>()?;
        self.model = self.model.with_parameters(parameters);
        Ok(())
    }
}

/// The numbers called `name`; none if there are none.
pub(super) fn taken(parameters: &Named, name: &str) -> Vec<f64> {
    parameters.iter().find(|(known, ..)| *known == name).map(|(.., values)| values.clone()).unwrap_or_default()
}
