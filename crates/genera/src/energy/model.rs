//! The network, its objective given points of the model, and the chains that draw.

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Tensor, TensorData};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use crate::mcmc::{Langevin, McmcError, Start, Walk};
use crate::nn::derivative::{Linearise, input_gradient};
use crate::traits::{Batch, Loss, Model, Net, Rows, Sample, Score, View};

/// Rows that a network sees at once, the last piece filled up: a row does not depend on its company.
const ROWS: usize = 256;

/// Where the chains of a training step come from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chains {
    /// From the start, anew at every step.
    Short,
    /// From a buffer of earlier ends, some of them anew.
    Persistent {
        /// How many ends are kept.
        capacity: usize,
        /// The share of chains that start anew.
        fresh: f64,
    },
}

/// Everything about an energy-based model but the network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnergyModelConfig {
    /// The width `F` of a row.
    pub features: usize,
    /// Where chains start.
    pub start: Start,
    /// How they move in a step of training.
    pub training: Langevin,
    /// Where they come from.
    pub chains: Chains,
    /// How they move when samples are drawn; from the start.
    pub sampling: Langevin,
    /// `α`, the weight of the squared energies, which keeps them near zero.
    pub penalty: f64,
}

impl EnergyModelConfig {
    /// A model with the parameters of `net`, `[B, F] -> [B, 1]`.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn init<N: Module>(&self, net: N) -> Result<EnergyModel<N>, McmcError> {
        self.start.check()?;
        self.training.check()?;
        self.sampling.check()?;
        let penalty = self.penalty;
        McmcError::unless(penalty >= 0.0 && penalty.is_finite(), "penalty", penalty, "at least 0")?;
        if let Chains::Persistent { capacity, fresh } = self.chains {
            McmcError::unless(capacity > 0, "chains.persistent.capacity", capacity as f64, "at least 1")?;
            McmcError::unless((0.0..=1.0).contains(&fresh), "chains.persistent.fresh", fresh, "from 0 to 1")?;
        }
        Ok(EnergyModel { net, config: *self, negatives: Vec::new() })
    }
}

/// An energy, and points of the model that its next step is held against.
#[derive(Module, Debug)]
pub struct EnergyModel<N: Module> {
    /// `E(x)`.
    pub net: N,
    #[module(skip)]
    config: EnergyModelConfig,
    /// Row-major, `[n, F]`.
    #[module(skip)]
    negatives: Vec<f32>,
}

impl<N: Module> EnergyModel<N> {
    /// The settings.
    pub fn config(&self) -> &EnergyModelConfig {
        &self.config
    }

    /// The same model, held against the points `negatives`, row-major `[n, F]`.
    pub(super) fn against(self, negatives: Vec<f32>) -> Self {
        Self { negatives, ..self }
    }
}

impl<N: Module + ModuleDisplay + Net + Linearise> Model for EnergyModel<N> {
    /// The contrastive loss. Without points of the model (outside of [`EnergyTraining`](super::EnergyTraining)), they are
    /// drawn by short chains.
    fn loss(&self, batch: Batch, rng: &mut Rng) -> Loss {
        let EnergyModelConfig { features, start, training, penalty, .. } = self.config;
        let device = batch.x.device();
        let negatives = match self.negatives.is_empty() {
            false => {
                let rows = self.negatives.len() / features;
                Tensor::from_data(TensorData::new(self.negatives.clone(), [rows, features]), &device)
            }
            true => {
                let model = self.clone().valid();
                let x = start.draw([batch.x.dims()[0], features], rng, &device.clone().inner());
                Tensor::from_data(training.run(&model, x, rng, &mut |_, _| ()).to_data(), &device)
            }
        };
        let (of_data, of_model) = (self.net.forward(batch.x), self.net.forward(negatives));
        let contrast = of_data.clone().mean() - of_model.clone().mean();
        let squares = of_data.clone().square().mean() + of_model.clone().square().mean();
        let scalar = |x: Tensor<1>| f64::from(x.into_scalar::<f32>());
        let parts = vec![("energy-of-data", scalar(of_data.mean())), ("energy-of-chains", scalar(of_model.mean()))];
        Loss { value: contrast + squares * penalty, parts }
    }

    fn view(&self) -> View<'_> {
        View { sample: Some(self), score: Some(self), ..View::default() }
    }
}

impl<N: Module + Linearise> Score for EnergyModel<N> {
    /// `−∇E(x)`.
    fn score(&self, x: Rows) -> Rows {
        let ([rows, features], device) = (x.dims(), x.device());
        let piece = |first: usize| {
            let here = ROWS.min(rows - first);
            let part = x.clone().narrow(0, first, here);
            let filled = match ROWS - here {
                0 => part,
                more => Rows::cat(vec![part, Rows::zeros([more, features], &device)], 0),
            };
            -input_gradient(&self.net, filled).1.narrow(0, 0, here)
        };
        match rows {
            0 => x,
            _ => Rows::cat((0..rows).step_by(ROWS).map(piece).collect(), 0),
        }
    }
}

impl<N: Module + Linearise> Sample for EnergyModel<N> {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        self.walk(n, rng, &mut |_, _| ()).0
    }
}

impl<N: Module + Linearise> Walk for EnergyModel<N> {
    fn steps(&self) -> usize {
        self.config.sampling.steps
    }

    fn walk(&self, n: usize, rng: &mut Rng, observe: &mut dyn FnMut(usize, &Rows)) -> (Rows, Option<Vec<f64>>) {
        let device = self.net.devices().into_iter().next().unwrap_or_default().inner();
        let x = self.config.start.draw([n, self.config.features], rng, &device);
        (self.config.sampling.run(self, x, rng, observe), None)
    }
}
