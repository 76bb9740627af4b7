//! Training: chains on the model as it is, a step against them, and the chains that live on.

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Tensor, TensorData};
use genera_rng::Rng;

use super::{Chains, EnergyModel};
use crate::nn::derivative::Linearise;
use crate::train::Descent;
use crate::traits::{Batch, Learner, Net, Rows, Scalars, StepError, View};
use crate::weights::{Array, Weights, WeightsError};

/// The group of a checkpoint that holds the chains.
const GROUP: &str = "chains";

/// An energy-based model in training.
pub struct EnergyTraining<N: Module> {
    descent: Descent<EnergyModel<N>>,
    /// Ends of chains, row-major `[capacity, F]`; empty before the first step and for short chains.
    buffer: Vec<f32>,
}

impl<N: Module + ModuleDisplay + Net + Linearise> EnergyTraining<N> {
    /// Before the first step.
    pub fn new(descent: Descent<EnergyModel<N>>) -> Self {
        Self { descent, buffer: Vec::new() }
    }

    /// The model to use.
    pub fn model(&self) -> &EnergyModel<N> {
        self.descent.model()
    }

    /// Moves `n` chains on the latest weights and holds the next step against their ends.
    fn negatives(&mut self, n: usize, rng: &Rng) {
        let mut rng = rng.fork("chains");
        let config = *self.model().config();
        let (features, chains) = (config.features, config.chains);
        let mut buffer = std::mem::take(&mut self.buffer);
        self.descent.change(|model| {
            let latest = model.clone().valid();
            let device = latest.net.devices().into_iter().next().unwrap_or_default().inner();
            let fresh = host(&config.start.draw([n, features], &mut rng, &device));
            let (mut from, mut places) = (fresh, Vec::new());
            if let Chains::Persistent { capacity, fresh: share } = chains {
                if buffer.is_empty() {
                    buffer = host(&config.start.draw([capacity, features], &mut rng, &device));
                }
                // Distinct places, so that no end is lost to another chain; beyond the buffer, chains are new.
                places = rng.permutation(capacity).into_iter().take(n).collect();
                for ((start, &place), mut stream) in from.chunks_exact_mut(features).zip(&places).zip(rng.streams(n)) {
                    if stream.uniform() >= share {
                        start.copy_from_slice(&buffer[place * features..(place + 1) * features]);
                    }
                }
            }
            let x: Rows = Tensor::from_data(TensorData::new(from, [n, features]), &device);
            let ends = host(&config.training.run(&latest, x, &mut rng, &mut |_, _| ()));
            for (end, &place) in ends.chunks_exact(features).zip(&places) {
                buffer[place * features..(place + 1) * features].copy_from_slice(end);
            }
            model.against(ends)
        });
        self.buffer = buffer;
    }
}

fn host(x: &Rows) -> Vec<f32> {
    x.to_data().convert::<f32>().iter::<f32>().collect()
}

impl<N: Module + ModuleDisplay + Net + Linearise> Learner for EnergyTraining<N> {
    fn step(&mut self, batches: Vec<Batch>, rng: &mut Rng) -> Result<Scalars, StepError> {
        let rows = batches.iter().map(|batch| batch.x.dims()[0]).sum();
        let before = self.buffer.clone();
        self.negatives(rows, rng);
        let taken = self.descent.step(batches, rng);
        if taken.is_err() {
            self.buffer = before;
        }
        taken
    }

    fn view(&self) -> View<'_> {
        self.descent.view()
    }

    fn save(&self) -> Vec<(&'static str, Weights)> {
        let features = self.model().config().features;
        let shape = vec![self.buffer.len() / features, features];
        let buffer = Array { shape, values: self.buffer.clone() };
        let mut groups = self.descent.save();
        groups.push((GROUP, Weights::from([("buffer".to_owned(), buffer)])));
        groups
    }

    fn load(&mut self, groups: &[(String, Weights)]) -> Result<(), WeightsError> {
        let (own, rest): (Vec<_>, Vec<_>) = groups.iter().cloned().partition(|(name, _)| name == GROUP);
        let buffer = own.first().and_then(|(_, weights)| weights.get("buffer"));
        let buffer = buffer.ok_or_else(|| WeightsError::Missing(format!("{GROUP}: buffer")))?;
        let config = *self.model().config();
        let rows = match config.chains {
            Chains::Persistent { capacity, .. } if !buffer.values.is_empty() => capacity,
            _ => 0,
        };
        buffer.check("buffer", &[rows, config.features])?;
        self.descent.load(&rest)?;
        self.buffer = buffer.values.clone();
        Ok(())
    }
}
