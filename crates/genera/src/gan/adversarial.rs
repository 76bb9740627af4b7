//! Two players: a generator, and a critic that tells its samples from data.
//!
//! A step is `k` turns of the critic and one of the generator. Each turn of the critic sees rows of its own: the
//! micro-batches of a step are dealt out in order, an equal number to each turn, so a recipe with `critic_steps = 5` and
//! `accumulate = 5` gives every turn one batch of `batch_size` rows. The generator's turn sees those of the last one (their
//! number, their classes, and for feature matching the rows). Noise is drawn afresh in every turn, from streams that step
//! and turn name, so nothing random has to be saved.
//!
//! What is logged: `loss` (the generator's), `critic-value` (what the critic makes large, without penalties: an estimate of
//! the divergence), on the line `distance` (the exact one of the same points), `penalty`, the norms of both gradients,
//! `spread` (the standard deviation of samples over that of data: near 0 the generator has collapsed), with classes
//! `spread-within` (the same around the means of the classes: a generator that is told the class may collapse to one sample
//! for each, and still spread as data do) and `vanished` (1 if no gradient reaches the generator any more; in a log, the
//! share of such steps). Both players follow one schedule of the
//! learning rate, counted in steps of the game.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use genera_kernels::awake;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::divergence::scalar;
use super::objective::Objective;
use super::regulariser::{Between, Regulariser};
use super::spectral::{Spectral, orthogonality};
use super::theory::distance_on_the_line;
use crate::nn::Labelled;
use crate::nn::derivative::Linearise;
use crate::train::{
    ConfigError, DescentConfig, Gradients, Player, accumulate, add_share, map_parameters, refuse_others,
};
use crate::traits::{Batch, Cautious, Learner, Loss, Net, Rows, Sample, Scalars, StepError, View};
use crate::weights::{Weights, WeightsError};

/// A network that turns noise into rows.
pub trait Generate: Net<Labelled> + Sample {
    /// What `n` samples start from, `[n, latents]`.
    fn noise(&self, n: usize, rng: &mut Rng) -> Rows;
    /// The network as something to draw from with caution; none if its noise knows none.
    fn cautious(&self) -> Option<&dyn Cautious> {
        None
    }
}

/// A network that scores rows, and whose slope is known.
pub trait Criticise: Net<Labelled> + Linearise<Labelled> {
    /// What the score is a linear map of: `[B, F] -> [B, D]`.
    fn features(&self, x: Rows) -> Rows;
}

/// The rules of the game.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Game {
    /// What each player makes small.
    pub objective: Objective,
    /// Turns of the critic for each of the generator.
    #[serde(default = "one")]
    pub critic_steps: usize,
    /// What bounds the critic's slope.
    #[serde(default)]
    pub regularise: Vec<Regulariser>,
    /// The weight of `‖E φ(x) − E φ(G)‖²` in the generator's loss, `φ` the critic's features: Salimans et al.
    /// (arXiv:1606.03498).
    #[serde(default)]
    pub feature_matching: f64,
}

fn one() -> usize {
    1
}

impl Game {
    /// # Errors
    /// A number that makes no sense.
    fn check(&self) -> Result<(), ConfigError> {
        let range = |ok, field, value, range| if ok { Ok(()) } else { Err(ConfigError { field, value, range }) };
        range(self.critic_steps > 0, "critic_steps", self.critic_steps as f64, "at least 1")?;
        let matching = self.feature_matching;
        range(matching >= 0.0 && matching.is_finite(), "feature_matching", matching, "finite and not negative")?;
        let spectral = self.regularise.iter().filter(|one| matches!(one, Regulariser::Spectral { .. })).count();
        range(spectral < 2, "regularise", spectral as f64, "spectral once at most")?;
        self.objective.check()?;
        self.regularise.iter().try_for_each(Regulariser::check)
    }
}

/// A generator and a critic in training.
#[derive(Clone)]
pub struct Adversarial<G, C> {
    game: Game,
    generator: Player<G>,
    critic: Player<C>,
    spectral: Option<Spectral>,
}

/// The generator's groups have the names of a descent's, so that whoever looks for the model finds it.
const GENERATOR: [&str; 3] = ["model", "optimizer", "ema"];
const CRITIC: [&str; 3] = ["critic", "critic-optimizer", "critic-ema"];
const SPECTRAL: &str = "spectral";

/// Below this norm of its gradient the generator learns nothing.
const VANISHED: f64 = 1e-5;
/// Above this the loss of a player grows without bound.
const RUNAWAY: f64 = 1e8;

impl<G: Module + Generate, C: Module + Criticise> Adversarial<G, C> {
    /// Before the first of `steps` steps. Samples come from the generator's moving average, if `generator` keeps one.
    /// `rng` draws the first vectors of spectral normalisation.
    ///
    /// # Errors
    /// A number outside its range.
    pub fn new(
        players: (G, C),
        game: Game,
        [generator, critic]: [DescentConfig; 2],
        steps: u64,
        rng: &mut Rng,
    ) -> Result<Self, ConfigError> {
        game.check()?;
        let spectral = game.regularise.iter().find_map(|regulariser| match regulariser {
            Regulariser::Spectral { iterations } => Some(Spectral::new(&players.1, *iterations, rng)),
            _ => None,
        });
        let generator = Player::new(players.0, generator, steps)?;
        let critic = Player::new(players.1, critic, steps)?.in_turns(game.critic_steps);
        Ok(Self { game, generator, critic, spectral })
    }

    /// The generator to use: its averaged weights if they are kept, its latest otherwise; without autodiff.
    pub fn generator(&self) -> &G {
        self.generator.model()
    }

    /// How many steps have been taken.
    pub fn steps_taken(&self) -> u64 {
        self.generator.steps_taken()
    }

    /// Replaces both networks by changes of them that keep names and shapes of what is learnt.
    pub fn change(&mut self, generator: impl FnOnce(G) -> G, critic: impl FnOnce(C) -> C) {
        self.generator.change(generator);
        self.critic.change(critic);
    }

    /// The critic as it judges now, with weights normalised if the game says so; without autodiff.
    pub fn critic(&self) -> C {
        self.constrained(self.critic.latest().valid())
    }

    /// `critic` within the bounds of the game that hold while it is used.
    fn constrained(&self, critic: C) -> C {
        match &self.spectral {
            Some(spectral) => spectral.normalised(critic),
            None => critic,
        }
    }

    /// Both players' turns.
    fn play(&mut self, turns: Vec<Vec<Batch>>, rng: &Rng) -> Result<Scalars, StepError> {
        let (share, last) = (1.0 / turns.len() as f64, turns.last().cloned().unwrap_or_default());
        let mut of_critic = Scalars::new();
        for (turn, batches) in turns.into_iter().enumerate() {
            let scalars = self.critic_turn(batches, &rng.fork("critic").at(turn as u64)).map_err(by("the critic"))?;
            add_share(&mut of_critic, share, scalars);
        }
        let mut scalars = self.generator_turn(last, &rng.fork("generator")).map_err(by("the generator"))?;
        scalars.extend(of_critic);
        Ok(scalars)
    }

    fn critic_turn(&mut self, batches: Vec<Batch>, rng: &Rng) -> Result<Scalars, StepError> {
        if let Some(spectral) = &mut self.spectral {
            spectral.advance(self.critic.latest());
        }
        let (mut scalars, gradients) = {
            let generator = self.generator.latest().valid();
            let loss = |batch, rng: &mut Rng| self.critic_loss(&generator, batch, rng);
            accumulate(batches, rng, self.critic.latest(), loss)?
        };
        let [norm, rate] = descend(&mut self.critic, gradients, scalars[0].1)?;
        for regulariser in &self.game.regularise {
            if let Regulariser::Clip { limit } = *regulariser {
                self.critic.change(|critic| map_parameters(critic, |_, w| w.clamp(-limit, limit)));
            }
        }
        scalars[0].0 = "critic-loss";
        scalars.extend([("critic-grad-norm", norm), ("critic-learning-rate", rate)]);
        Ok(scalars)
    }

    fn critic_loss(&self, generator: &G, batch: Batch, rng: &mut Rng) -> Loss {
        // Anew for every micro-batch: a graph is walked back but once.
        let critic = self.constrained(self.critic.latest().clone());
        let (rows, device) = (batch.x.dims()[0], batch.x.device());
        let labels = classes(&batch);
        let fake = generator.forward(Labelled { x: generator.noise(rows, rng), labels: labels.clone() });
        let share = Tensor::from_data(TensorData::new(rng.uniform(rows, 1), [rows, 1]), &device);
        let score = |x: &Rows| critic.forward(Labelled { x: x.clone(), labels: labels.clone() });
        let objective = self.game.objective.critic(score(&batch.x), score(&fake));
        let value = -scalar(&objective);
        let between = Between { real: batch.x, fake, share, labels: labels.clone() };
        let of = |regulariser: &Regulariser| match *regulariser {
            Regulariser::Orthogonal { weight } => Some(orthogonality(self.critic.latest())? * weight),
            _ => regulariser.penalty(&critic, &between),
        };
        let mut parts = vec![("critic-value", value)];
        parts.extend(on_the_line(&between).map(|distance| ("distance", distance)));
        let penalty = self.game.regularise.iter().filter_map(of).reduce(|sum, more| sum + more);
        let total = match penalty {
            Some(penalty) => {
                parts.push(("penalty", scalar(&penalty)));
                objective + penalty
            }
            None => objective,
        };
        Loss { value: total, parts }
    }

    fn generator_turn(&mut self, batches: Vec<Batch>, rng: &Rng) -> Result<Scalars, StepError> {
        let (mut scalars, gradients) = {
            let (generator, critic) = (self.generator.latest(), self.critic());
            accumulate(batches, rng, generator, |batch, rng| self.generator_loss(&critic, &batch, rng))?
        };
        let [norm, rate] = descend(&mut self.generator, gradients, scalars[0].1)?;
        let vanished = if norm < VANISHED { 1.0 } else { 0.0 };
        scalars.splice(1..1, [("grad-norm", norm), ("learning-rate", rate), ("vanished", vanished)]);
        Ok(scalars)
    }

    fn generator_loss(&self, critic: &C, batch: &Batch, rng: &mut Rng) -> Loss {
        let generator = self.generator.latest();
        let labels = classes(batch);
        let z = generator.noise(batch.x.dims()[0], rng);
        let x = generator.forward(Labelled { x: z, labels: labels.clone() });
        let drawn = x.clone().inner();
        let spread = deviation(drawn.clone()) / deviation(batch.x.clone());
        let within = batch.labels.as_ref().map(|classes| within(drawn, classes) / within(batch.x.clone(), classes));
        let mut value = self.game.objective.generator(critic.forward(Labelled { x: x.clone(), labels }));
        // Data that do not vary have none, nor has one row, nor have classes of one row each.
        let spreads = [("spread", Some(spread)), ("spread-within", within)];
        let finite = |(name, spread): (_, Option<f64>)| Some((name, spread.filter(|spread| spread.is_finite())?));
        let mut parts: Vec<_> = spreads.into_iter().filter_map(finite).collect();
        if self.game.feature_matching > 0.0 {
            let apart = critic.features(batch.x.clone()).mean_dim(0) - critic.features(x).mean_dim(0);
            let distance = apart.square().sum();
            parts.push(("feature-distance", scalar(&distance)));
            value = value + distance * self.game.feature_matching;
        }
        Loss { value, parts }
    }
}

/// One step of a player whose loss has not run away.
fn descend<M: Module>(player: &mut Player<M>, gradients: Gradients, loss: f64) -> Result<[f64; 2], StepError> {
    if loss.abs() > RUNAWAY {
        return Err(StepError::Runaway(loss));
    }
    player.descend(gradients, loss)
}

/// An error with the player that met it.
pub(super) fn by(player: &'static str) -> impl Fn(StepError) -> StepError {
    move |source| StepError::Player { player, source: Box::new(source) }
}

/// The classes of a batch, `[B]`.
fn classes(batch: &Batch) -> Option<Tensor<1, Int>> {
    let labels: Vec<i32> = batch.labels.as_ref()?.iter().map(|class| *class as i32).collect();
    let rows = labels.len();
    Some(Tensor::from_data(TensorData::new(labels, [rows]), &batch.x.device()))
}

/// How far data and samples are apart, where both are points on the line.
fn on_the_line(Between { real, fake, .. }: &Between) -> Option<f64> {
    let points = |x: &Rows| x.to_data().convert::<f32>().iter::<f32>().map(f64::from).collect();
    (real.dims()[1] == 1).then(|| distance_on_the_line(points(real), points(fake)))
}

/// The root of the mean variance of the columns.
fn deviation(x: Rows) -> f64 {
    let centred = x.clone() - x.mean_dim(0);
    scalar(&centred.square().mean()).sqrt()
}

/// The root of the mean variance of the columns around the means of the rows' `classes`, pooled; NaN where no class has two
/// rows.
fn within(x: Rows, classes: &[usize]) -> f64 {
    let [rows, columns] = x.dims();
    let mut sizes = BTreeMap::new();
    classes.iter().for_each(|class| *sizes.entry(class).or_insert(0.0) += 1.0);
    // The mean of a row's class is a mean of rows.
    let share = &|of: &usize, other: &usize| if of == other { 1.0 / sizes[of] } else { 0.0 };
    let shares: Vec<f32> = classes.iter().flat_map(|of| classes.iter().map(move |other| share(of, other))).collect();
    let means = Tensor::from_data(TensorData::new(shares, [rows, rows]), &x.device()).matmul(x.clone());
    let free = (rows - sizes.len()) * columns;
    (scalar(&(x - means).square().sum()) / free as f64).sqrt()
}

impl<G: Module + Generate, C: Module + Criticise> Learner for Adversarial<G, C> {
    fn step(&mut self, batches: Vec<Batch>, rng: &mut Rng) -> Result<Scalars, StepError> {
        let (given, turns) = (batches.len(), self.game.critic_steps);
        if given == 0 || !given.is_multiple_of(turns) {
            return Err(StepError::Turns { given, turns });
        }
        let mut batches = batches.into_iter();
        let dealt = (0..turns).map(|_| batches.by_ref().take(given / turns).collect()).collect();
        // The generator moves last: when it fails, only the critic has changed. A copy of it keeps the arrays from being
        // moved in place, which costs less than it would to look ahead.
        let before = (self.critic.clone(), self.spectral.clone());
        let played = awake(|| self.play(dealt, rng));
        if played.is_err() {
            (self.critic, self.spectral) = before;
        }
        played
    }

    fn view(&self) -> View<'_> {
        View { sample: Some(self.generator()), cautious: self.generator().cautious(), ..View::default() }
    }

    fn save(&self) -> Vec<(&'static str, Weights)> {
        let named = |(model, optimizer, average): (Weights, Weights, Option<Weights>), names: [&'static str; 3]| {
            names.into_iter().zip([model, optimizer].into_iter().chain(average))
        };
        let players = named(self.generator.save(), GENERATOR).chain(named(self.critic.save(), CRITIC));
        players.chain(self.spectral.as_ref().map(|spectral| (SPECTRAL, spectral.save()))).collect()
    }

    fn load(&mut self, groups: &[(String, Weights)]) -> Result<(), WeightsError> {
        let kept = |player: [&'static str; 3], averages: bool| player.into_iter().take(if averages { 3 } else { 2 });
        let generator = kept(GENERATOR, self.generator.averages());
        let known =
            generator.chain(kept(CRITIC, self.critic.averages())).chain(self.spectral.as_ref().map(|_| SPECTRAL));
        refuse_others(groups, &known.collect::<Vec<_>>())?;
        // All of it fits before any of it is used.
        let (generator, critic) = (self.generator.loaded(groups, GENERATOR)?, self.critic.loaded(groups, CRITIC)?);
        let saved = groups.iter().find(|(name, _)| name == SPECTRAL);
        let spectral = match (&self.spectral, saved) {
            (Some(spectral), Some((_, saved))) => Some(spectral.loaded(saved)?),
            (Some(_), None) => return Err(WeightsError::Missing(SPECTRAL.to_owned())),
            (None, _) => None,
        };
        (self.generator, self.critic, self.spectral) = (generator, critic, spectral);
        Ok(())
    }
}
