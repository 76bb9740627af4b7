//! Scores, learnt or known, and the Langevin dynamics that draw with them.

use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::mcmc::{Langevin, Metropolis, Potential, Start, Walk};
use genera::nn::{Activation, Mlp, MlpConfig};
use genera::score::{Objective, ScoreMatching, ScoreMatchingConfig};
use genera::traits::{Batch, Learner, Rows, Sample, Scalars, Score, StepError, View};
use genera::weights::{Array, Weights, WeightsError};
use genera_data::ToyDensity;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::{Offers, Trainee};
use crate::data::Data;
use crate::failure::{Failure, Outcome};

/// A network that learns a score, apart from what its data say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreSpec {
    /// What is made small.
    pub objective: Objective,
    /// Widths of the hidden layers. SiLU follows each: some objectives differentiate the network, which must be smooth.
    #[serde(default = "hidden")]
    pub hidden: Vec<usize>,
    /// The chains that samples come from.
    pub langevin: Langevin,
    /// Where they start.
    pub start: Start,
}

fn hidden() -> Vec<usize> {
    vec![128, 128, 128]
}

impl Offers for ScoreMatching<Mlp> {
    fn chains(&self) -> Option<&dyn Walk> {
        Some(self)
    }
}

impl ScoreSpec {
    /// A fresh model for `data`.
    pub fn init(&self, data: &Data, rng: &mut Rng, device: &Device) -> Outcome<ScoreMatching<Mlp>> {
        let features = data.train().features();
        let net = MlpConfig {
            inputs: features,
            hidden: self.hidden.clone(),
            outputs: features,
            activation: Activation::Silu,
        };
        let Self { objective, langevin, start, .. } = *self;
        Ok(ScoreMatchingConfig { features, objective, langevin, start }.init(net.init(rng, device))?)
    }
}

/// Langevin dynamics on the score of a toy density, which is known: nothing is learnt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LangevinSpec {
    /// The chains.
    pub langevin: Langevin,
    /// Where they start.
    pub start: Start,
    /// Whether a step may be refused.
    #[serde(default, skip_serializing_if = "Adjust::is_none")]
    pub adjust: Adjust,
}

/// What keeps a chain on its density.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adjust {
    /// Nothing: chains settle near the density.
    #[default]
    None,
    /// The rule of Metropolis and Hastings: chains settle on it.
    Metropolis,
}

impl Adjust {
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

impl LangevinSpec {
    /// Chains on the density of `data`.
    pub fn trainee(&self, data: &Data, device: &Device) -> Outcome<Box<dyn Trainee>> {
        let toy = data
            .toy()
            .ok_or_else(|| Failure::new("data.name: the langevin family needs a known density; name a toy"))?;
        self.langevin.check()?;
        self.start.check()?;
        Ok(Box::new(KnownChains { spec: self.clone(), density: toy.density(), device: device.clone() }))
    }
}

/// Chains on a known density, as something that a run can hold.
struct KnownChains {
    spec: LangevinSpec,
    density: ToyDensity,
    device: Device,
}

impl Score for KnownChains {
    fn score(&self, x: Rows) -> Rows {
        KnownScore(&self.density).score(x)
    }
}

/// The score of a toy density, row by row in double precision.
pub struct KnownScore<'a>(pub &'a ToyDensity);

impl Score for KnownScore<'_> {
    fn score(&self, x: Rows) -> Rows {
        let values: Vec<f32> = x.to_data().convert::<f32>().iter::<f32>().collect();
        let points = values.chunks_exact(2).map(|x| [f64::from(x[0]), f64::from(x[1])]);
        let score: Vec<f32> = points.flat_map(|x| self.0.score(x)).map(|s| s as f32).collect();
        Tensor::from_data(TensorData::new(score, x.dims()), &x.device())
    }
}

impl Potential for KnownChains {
    fn log_density_and_score(&self, x: Rows) -> (Tensor<1>, Rows) {
        let values: Vec<f32> = x.to_data().convert::<f32>().iter::<f32>().collect();
        let points = values.chunks_exact(2).map(|x| [f64::from(x[0]), f64::from(x[1])]);
        let log: Vec<f32> = points.map(|x| self.density.log_density(x) as f32).collect();
        let rows = log.len();
        (Tensor::from_data(TensorData::new(log, [rows]), &x.device()), self.score(x))
    }
}

impl Walk for KnownChains {
    fn steps(&self) -> usize {
        self.spec.langevin.steps
    }

    fn walk(&self, n: usize, rng: &mut Rng, observe: &mut dyn FnMut(usize, &Rows)) -> (Rows, Option<Vec<f64>>) {
        let x = self.spec.start.draw([n, 2], rng, &self.device);
        let Langevin { step, steps } = self.spec.langevin;
        match self.spec.adjust {
            Adjust::None => (self.spec.langevin.run(self, x, rng, observe), None),
            Adjust::Metropolis => {
                let moves = Metropolis { step, steps }.run(self, x, rng, observe);
                (moves.x, Some(moves.acceptance))
            }
        }
    }
}

impl Sample for KnownChains {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        self.walk(n, rng, &mut |_, _| ()).0
    }
}

impl KnownChains {
    /// All there is to keep: the settings, so that a checkpoint is not empty.
    fn settings(&self) -> Weights {
        let values = vec![self.spec.langevin.step as f32, self.spec.langevin.steps as f32];
        Weights::from([("langevin".to_owned(), Array { shape: vec![2], values })])
    }
}

impl Learner for KnownChains {
    /// Nothing is learnt, and nothing is lost.
    fn step(&mut self, _: Vec<Batch>, _: &mut Rng) -> Result<Scalars, StepError> {
        Ok(vec![("loss", 0.0)])
    }

    fn view(&self) -> View<'_> {
        View { sample: Some(self), score: Some(self), ..View::default() }
    }

    fn save(&self) -> Vec<(&'static str, Weights)> {
        vec![("model", self.settings())]
    }

    fn load(&mut self, groups: &[(String, Weights)]) -> Result<(), WeightsError> {
        match groups.iter().find(|(name, _)| name == "model") {
            Some((_, settings)) if *settings == self.settings() => Ok(()),
            Some(_) => Err(WeightsError::Format("other settings of the chains than the recipe's".to_owned())),
            None => Err(WeightsError::Missing("model".to_owned())),
        }
    }
}

impl Trainee for KnownChains {
    fn parameters(&self) -> usize {
        0
    }

    fn offers(&self) -> &dyn Offers {
        self
    }
}

impl Offers for KnownChains {
    fn chains(&self) -> Option<&dyn Walk> {
        Some(self)
    }
}
