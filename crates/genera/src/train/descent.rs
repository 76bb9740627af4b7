//! One scalar descent: a model, its optimiser, its learning rate and its moving average.

use burn::module::Module;
use genera_kernels::awake;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::accumulate::accumulate;
use super::ema::Ema;
use super::error::{ConfigError, positive};
use super::optimizer::OptimizerConfig;
use super::player::{Player, refuse_others};
use super::schedule::RateSchedule;
use crate::traits::{Batch, Learner, Model, Scalars, StepError, View};
use crate::weights::{Weights, WeightsError};

/// How a model is trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescentConfig {
    /// How a gradient becomes a step.
    pub optimizer: OptimizerConfig,
    /// How the learning rate moves.
    #[serde(default)]
    pub rate: RateSchedule,
    /// The largest global norm of a gradient; longer ones are shortened to it, as by PyTorch's `clip_grad_norm_`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// The moving average that is sampled from; without it, the weights themselves are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<Ema>,
}

impl DescentConfig {
    /// # Errors
    /// The first number outside its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.optimizer.check()?;
        self.rate.check()?;
        self.clip_norm.map_or(Ok(()), |norm| positive("clip_norm", norm))?;
        self.ema.map_or(Ok(()), |ema| ema.check())
    }
}

/// A model in training.
pub struct Descent<M> {
    player: Player<M>,
}

/// What is saved.
const GROUPS: [&str; 3] = ["model", "optimizer", "ema"];

impl<M: Model + Module> Descent<M> {
    /// Before the first of `steps` steps.
    ///
    /// # Errors
    /// A number in `config` outside its range.
    pub fn new(model: M, config: DescentConfig, steps: u64) -> Result<Self, ConfigError> {
        Ok(Self { player: Player::new(model, config, steps)? })
    }

    /// How many steps have been taken.
    pub fn steps_taken(&self) -> u64 {
        self.player.steps_taken()
    }

    /// The model to use: its averaged weights if they are kept, its latest otherwise; without autodiff.
    pub fn model(&self) -> &M {
        self.player.model()
    }

    /// Replaces the model in training by `change` of it, for what is learnt without a gradient. Names and shapes stay.
    pub fn change(&mut self, change: impl FnOnce(M) -> M) {
        self.player.change(change);
    }
}

impl<M: Model + Module> Learner for Descent<M> {
    fn step(&mut self, batches: Vec<Batch>, rng: &mut Rng) -> Result<Scalars, StepError> {
        awake(|| {
            let (model, done) = (self.player.latest(), self.steps_taken());
            let loss = |batch, rng: &mut Rng| model.loss_at(done, batch, rng);
            let (mut scalars, gradients) = accumulate(batches, rng, model, loss)?;
            let [norm, rate] = self.player.descend(gradients, scalars[0].1)?;
            scalars.splice(1..1, [("grad-norm", norm), ("learning-rate", rate)]);
            Ok(scalars)
        })
    }

    fn view(&self) -> View<'_> {
        self.model().view()
    }

    fn save(&self) -> Vec<(&'static str, Weights)> {
        let (model, optimizer, average) = self.player.save();
        [model, optimizer].into_iter().chain(average).zip(GROUPS).map(|(group, name)| (name, group)).collect()
    }

    fn load(&mut self, groups: &[(String, Weights)]) -> Result<(), WeightsError> {
        refuse_others(groups, if self.player.averages() { &GROUPS } else { &GROUPS[..2] })?;
        // All of it fits before any of it is used.
        self.player = self.player.loaded(groups, GROUPS)?;
        Ok(())
    }
}
