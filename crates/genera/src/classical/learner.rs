//! Estimators as learners: a step reads rows, and what has been read is the model.

use burn::tensor::Device;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::{ClassicalError, Histogram, HistogramConfig, Kde, KdeConfig, host, rows};
use crate::traits::{Batch, Learner, Scalars, StepError, View};
use crate::weights::{Array, Weights, WeightsError};

/// An estimator, as a recipe writes it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Estimator {
    /// Kernels on every row.
    Kde(KdeConfig),
    /// Counts in boxes.
    Histogram(HistogramConfig),
}

/// What an [`Estimator`] made of rows.
#[derive(Clone, Debug)]
enum Estimate {
    Kde(Kde),
    Histogram(Histogram),
}

/// An estimator and the rows that it has seen.
#[derive(Clone, Debug)]
pub struct Collector {
    estimator: Estimator,
    features: usize,
    device: Device,
    seen: Vec<f64>,
    estimate: Option<Estimate>,
}

impl Collector {
    /// Before the first of rows of length `features`.
    pub fn new(estimator: Estimator, features: usize, device: &Device) -> Self {
        Self { estimator, features, device: device.clone(), seen: Vec::new(), estimate: None }
    }

    /// How many numbers are kept.
    pub fn parameters(&self) -> usize {
        match &self.estimate {
            Some(Estimate::Histogram(histogram)) => histogram.probabilities().len(),
            _ => self.seen.len(),
        }
    }

    fn refit(&mut self) -> Result<(), ClassicalError> {
        let x = rows(self.seen.clone(), self.features, &self.device);
        self.estimate = Some(match self.estimator {
            Estimator::Kde(config) => Estimate::Kde(config.fit(x)?),
            Estimator::Histogram(config) => Estimate::Histogram(config.fit(x)?),
        });
        Ok(())
    }
}

impl Learner for Collector {
    /// Adds the rows to those seen. The loss is the mean of their `−log p` under the new estimate, infinite if the rows
    /// so far do not make one.
    fn step(&mut self, batches: Vec<Batch>, _: &mut Rng) -> Result<Scalars, StepError> {
        let new: Vec<f64> = batches.into_iter().flat_map(|batch| host(batch.x)).collect();
        let before = self.seen.len();
        self.seen.extend_from_slice(&new);
        if self.refit().is_err() {
            self.seen.truncate(before);
            return Err(StepError::Loss { loss: f64::INFINITY, parts: Vec::new() });
        }
        let log_p = match &self.estimate {
            Some(Estimate::Kde(kde)) => kde.log_densities(&new),
            Some(Estimate::Histogram(histogram)) => histogram.log_densities(&new),
            None => Vec::new(),
        };
        let loss = -log_p.iter().sum::<f64>() / log_p.len() as f64;
        Ok(vec![("loss", loss), ("rows", (self.seen.len() / self.features) as f64)])
    }

    fn view(&self) -> View<'_> {
        match &self.estimate {
            Some(Estimate::Kde(kde)) => kde.view(),
            Some(Estimate::Histogram(histogram)) => histogram.view(),
            None => View::default(),
        }
    }

    fn save(&self) -> Vec<(&'static str, Weights)> {
        let values: Vec<f32> = self.seen.iter().map(|value| *value as f32).collect();
        let shape = vec![values.len() / self.features, self.features];
        vec![("model", Weights::from([("rows".to_owned(), Array { shape, values })]))]
    }

    fn load(&mut self, groups: &[(String, Weights)]) -> Result<(), WeightsError> {
        if let Some((unknown, _)) = groups.iter().find(|(name, _)| name != "model") {
            return Err(WeightsError::Unknown(unknown.clone()));
        }
        let group = groups.first().ok_or_else(|| WeightsError::Missing("model".to_owned()))?;
        let array = group.1.get("rows").ok_or_else(|| WeightsError::Missing("rows".to_owned()))?;
        if let Some(unknown) = group.1.keys().find(|name| *name != "rows") {
            return Err(WeightsError::Unknown(unknown.clone()));
        }
        let n = array.values.len() / self.features;
        array.check("rows", &[n, self.features])?;
        let before = std::mem::replace(&mut self.seen, array.values.iter().map(|value| f64::from(*value)).collect());
        if n > 0 && self.refit().is_err() {
            // Rows that make no estimate were not written by `save`.
            self.seen = before;
            return Err(WeightsError::Format("its rows make no estimate".to_owned()));
        }
        Ok(())
    }
}
