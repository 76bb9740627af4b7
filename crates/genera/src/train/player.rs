//! A module in training: its optimiser, its learning rate and its moving average.

use std::cell::OnceCell;

use burn::module::Module;

use super::descent::DescentConfig;
use super::ema::{Average, Ema};
use super::error::ConfigError;
use super::gradients::Gradients;
use super::optimizer::Optimizer;
use crate::traits::{Scalars, StepError};
use crate::weights::{Weights, WeightsError, apply, collect};

/// A module that follows gradients, wherever they come from: one of these is a descent, two are a game.
#[derive(Clone)]
pub struct Player<M> {
    config: DescentConfig,
    steps: u64,
    /// Steps of this player that count as one for its learning rate.
    turns: u64,
    /// Away while the optimiser moves it: a second holder of its arrays would keep it from working in place.
    model: Option<M>,
    optimizer: Optimizer,
    average: Option<(Ema, Average)>,
    /// The model to use, made when it is asked for, and dropped at the next step for the same reason.
    plain: OnceCell<M>,
}

impl<M: Module> Player<M> {
    /// Before the first of `steps` steps.
    ///
    /// # Errors
    /// A number in `config` outside its range.
    pub fn new(model: M, config: DescentConfig, steps: u64) -> Result<Self, ConfigError> {
        config.check()?;
        let model = model.train();
        let optimizer = Optimizer::new(config.optimizer, &model);
        let average = config.ema.map(|ema| (ema, Average::of(&model)));
        Ok(Self { config, steps, turns: 1, model: Some(model), optimizer, average, plain: OnceCell::new() })
    }

    /// With so many steps for each that the learning rate counts: one who moves more often than the other of a game has the
    /// other's rate all the same.
    pub fn in_turns(self, turns: usize) -> Self {
        Self { turns: turns.max(1) as u64, ..self }
    }

    /// How many steps have been taken.
    pub fn steps_taken(&self) -> u64 {
        self.optimizer.steps()
    }

    /// The model to use: its averaged weights if they are kept, its latest otherwise; without autodiff.
    pub fn model(&self) -> &M {
        self.plain.get_or_init(|| {
            let model = self.latest().valid();
            match &self.average {
                Some((_, average)) => average.in_place_of(model),
                None => model,
            }
        })
    }

    /// The model with its latest weights, with autodiff.
    pub fn latest(&self) -> &M {
        self.model.as_ref().expect("the model is away only while the optimiser moves it")
    }

    /// Replaces the model in training by `change` of it, for what is learnt without a gradient. Names and shapes stay.
    pub fn change(&mut self, change: impl FnOnce(M) -> M) {
        self.plain.take();
        self.model = self.model.take().map(change);
    }

    /// One step against `gradients`, those of a loss of `loss`: the norm of the gradient and the learning rate.
    ///
    /// # Errors
    /// A norm that is not finite; nothing has then changed.
    pub fn descend(&mut self, gradients: Gradients, loss: f64) -> Result<[f64; 2], StepError> {
        let norm = gradients.norm();
        if !norm.is_finite() {
            return Err(StepError::Gradient { loss, norm });
        }
        let gradients = match self.config.clip_norm {
            Some(most) => gradients.clipped(norm, most),
            None => gradients,
        };
        let done = self.steps_taken();
        let rate = self.config.optimizer.learning_rate() * self.config.rate.factor(done / self.turns, self.steps);
        self.plain.take();
        let average = self.average.as_mut().map(|(ema, average)| (average, ema.decay_at(done)));
        let model = self.model.take();
        self.model = model.map(|model| self.optimizer.step_with_average(model, gradients, rate, average));
        Ok([norm, rate])
    }

    /// The weights, the state of the optimiser and, where it is kept, the average.
    pub fn save(&self) -> (Weights, Weights, Option<Weights>) {
        let average = self.average.as_ref().map(|_| collect(self.model()));
        (collect(self.latest()), self.optimizer.save(), average)
    }

    /// This player in the state that [`Player::save`] gave under the names `model`, `optimizer` and `ema`.
    ///
    /// # Errors
    /// A group or array that is missing, or an array that is unknown or of another shape.
    pub fn loaded(
        &self,
        groups: &[(String, Weights)],
        [model, optimizer, ema]: [&str; 3],
    ) -> Result<Self, WeightsError> {
        let group = |name: &str| {
            let found = groups.iter().find(|(known, _)| known == name);
            found.map(|(_, weights)| weights).ok_or_else(|| WeightsError::Missing(name.to_owned()))
        };
        let model = apply(self.latest().clone(), group(model)?)?;
        let optimizer = self.optimizer.loaded(group(optimizer)?)?;
        let average = match &self.average {
            Some((how, _)) => Some((*how, Average::of(&apply(model.clone(), group(ema)?)?))),
            None => None,
        };
        let (config, steps) = (self.config, self.steps);
        Ok(Self { config, steps, turns: self.turns, model: Some(model), optimizer, average, plain: OnceCell::new() })
    }

    /// Whether an average is kept.
    pub fn averages(&self) -> bool {
        self.average.is_some()
    }
}

/// The first group that is not among `names`, as an error.
pub(crate) fn refuse_others(groups: &[(String, Weights)], names: &[&str]) -> Result<(), WeightsError> {
    match groups.iter().find(|(name, _)| !names.contains(&name.as_str())) {
        Some((unknown, _)) => Err(WeightsError::Unknown(unknown.clone())),
        None => Ok(()),
    }
}

/// `scalars` with `more`, weighted by `share`, added to those of the same name.
pub(crate) fn add_share(scalars: &mut Scalars, share: f64, more: impl IntoIterator<Item = (&'static str, f64)>) {
    for (name, value) in more {
        match scalars.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += share * value,
            None => scalars.push((name, share * value)),
        }
    }
}
