//! One scalar descent: a model, its optimiser, its learning rate and its moving average.

use std::cell::OnceCell;

use burn::module::Module;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::ema::{Average, Ema};
use super::error::{ConfigError, positive};
use super::gradients::Gradients;
use super::optimizer::{Optimizer, OptimizerConfig};
use super::schedule::RateSchedule;
use crate::traits::{Batch, Learner, Model, Scalars, StepError, View};
use crate::weights::{Weights, WeightsError, apply, collect};

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
    config: DescentConfig,
    steps: u64,
    /// Away while the optimiser moves it: a second holder of its arrays would keep it from working in place.
    model: Option<M>,
    optimizer: Optimizer,
    average: Option<(Ema, Average)>,
    /// The model to use, made when it is asked for, and dropped at the next step for the same reason.
    plain: OnceCell<M>,
}

impl<M: Model + Module> Descent<M> {
    /// Before the first of `steps` steps.
    ///
    /// # Errors
    /// A number in `config` outside its range.
    pub fn new(model: M, config: DescentConfig, steps: u64) -> Result<Self, ConfigError> {
        config.check()?;
        let model = model.train();
        let optimizer = Optimizer::new(config.optimizer, &model);
        let average = config.ema.map(|ema| (ema, Average::of(&model)));
        Ok(Self { config, steps, model: Some(model), optimizer, average, plain: OnceCell::new() })
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

    /// The model with its latest weights.
    fn latest(&self) -> &M {
        self.model.as_ref().expect("the model is away only while the optimiser moves it")
    }

    /// Replaces the model in training by `change` of it, for what is learnt without a gradient. Names and shapes stay.
    pub fn change(&mut self, change: impl FnOnce(M) -> M) {
        self.plain.take();
        self.model = self.model.take().map(change);
    }

    /// The loss, its parts and its gradient, averaged over the rows of all micro-batches.
    ///
    /// Each micro-batch draws the noise that its rows would have had in one large batch.
    fn evaluate(&self, batches: Vec<Batch>, rng: &Rng) -> Result<(Scalars, Gradients), StepError> {
        let rows: usize = batches.iter().map(|batch| batch.x.dims()[0]).sum();
        if rows == 0 {
            return Err(StepError::Loss(f64::NAN)); // the mean of nothing
        }
        let mut scalars: Scalars = vec![("loss", 0.0)];
        let mut gradients = Gradients::default();
        let mut first = 0;
        for batch in batches {
            let here = batch.x.dims()[0];
            let share = here as f64 / rows as f64;
            let loss = self.latest().loss_at(self.steps_taken(), batch, &mut rng.rows_from(first as u64));
            let value = f64::from(loss.value.clone().into_scalar::<f32>());
            if !value.is_finite() {
                return Err(StepError::Loss(value));
            }
            for (name, value) in [("loss", value)].into_iter().chain(loss.parts) {
                match scalars.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, sum)) => *sum += share * value,
                    None => scalars.push((name, share * value)),
                }
            }
            gradients = gradients.plus(Gradients::of(&(loss.value * share), self.latest()));
            first += here;
        }
        Ok((scalars, gradients))
    }
}

impl<M: Model + Module> Learner for Descent<M> {
    fn step(&mut self, batches: Vec<Batch>, rng: &mut Rng) -> Result<Scalars, StepError> {
        let (mut scalars, gradients) = self.evaluate(batches, rng)?;
        let norm = gradients.norm();
        if !norm.is_finite() {
            return Err(StepError::Gradient { loss: scalars[0].1, norm });
        }
        let gradients = match self.config.clip_norm {
            Some(most) => gradients.clipped(norm, most),
            None => gradients,
        };

        let done = self.steps_taken();
        let rate = self.config.optimizer.learning_rate() * self.config.rate.factor(done, self.steps);
        self.plain.take();
        let average = self.average.as_mut().map(|(ema, average)| (average, ema.decay_at(done)));
        let model = self.model.take();
        self.model = model.map(|model| self.optimizer.step_with_average(model, gradients, rate, average));
        scalars.splice(1..1, [("grad-norm", norm), ("learning-rate", rate)]);
        Ok(scalars)
    }

    fn view(&self) -> View<'_> {
        self.model().view()
    }

    fn save(&self) -> Vec<(&'static str, Weights)> {
        let average = self.average.as_ref().map(|_| ("ema", collect(self.model())));
        [("model", collect(self.latest())), ("optimizer", self.optimizer.save())].into_iter().chain(average).collect()
    }

    fn load(&mut self, groups: &[(String, Weights)]) -> Result<(), WeightsError> {
        let group = |name: &str| {
            let found = groups.iter().find(|(known, _)| known == name);
            found.map(|(_, weights)| weights).ok_or_else(|| WeightsError::Missing(name.to_owned()))
        };
        let known = ["model", "optimizer"].into_iter().chain(self.average.as_ref().map(|_| "ema"));
        if let Some((unknown, _)) = groups.iter().find(|(name, _)| !known.clone().any(|known| known == name)) {
            return Err(WeightsError::Unknown(unknown.clone()));
        }
        // All of it fits before any of it is used.
        let model = apply(self.latest().clone(), group("model")?)?;
        let optimizer = self.optimizer.loaded(group("optimizer")?)?;
        let average = match &self.average {
            Some((ema, _)) => Some((*ema, Average::of(&apply(model.clone(), group("ema")?)?))),
            None => None,
        };
        (self.model, self.optimizer, self.average) = (Some(model), optimizer, average);
        self.plain.take();
        Ok(())
    }
}
