//! A style-based generator and its critic that grow: both begin with images of side 4 and double it stage by stage.
//!
//! Karras et al., "Progressive Growing" (arXiv:1710.10196); Karras, Laine and Aila, "StyleGAN" (arXiv:1812.04948). How far both
//! have grown is a function of the number of steps taken, so that nothing of it has to be saved. Data are laid onto a canvas
//! of the last stage's side, brought to the side of the stage by means of 2 x 2 blocks, and fade in with its newest layers.

use burn::tensor::Device;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::adversarial::{Adversarial, Game};
use super::error::GanError;
use super::networks::{image, some};
use super::styled::{Canvas, Styled};
use crate::nn::{Additions, Critic, GrowingCritic, GrowingCriticConfig, Grown, StyleGeneratorConfig, rows};
use crate::train::{ConfigError, DescentConfig};
use crate::traits::{Batch, Learner, Scalars, StepError, View};
use crate::weights::{Weights, WeightsError};

/// Both players, apart from what the data and the descents say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StyleGanConfig {
    /// The length of `z`.
    pub latents: usize,
    /// Widths of the hidden layers of the mapping from `z` to `w`.
    pub mapping: Vec<usize>,
    /// The length of `w`.
    pub style: usize,
    /// Channels of each stage, in the generator and in the critic; the side of the last is `4 · 2^(stages − 1)`.
    pub channels: Vec<usize>,
    /// The probability that two styles are mixed in training.
    #[serde(default)]
    pub mixing: f64,
    /// Whether the critic sees the minibatch standard deviation.
    #[serde(default)]
    pub deviation: bool,
    /// What surrounds data that are smaller than the last stage.
    #[serde(default = "dark")]
    pub background: f64,
    /// When there is how much of the networks.
    pub growth: Growth,
}

fn dark() -> f64 {
    -1.0
}

/// When a stage comes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    /// Steps of each stage but the last, which has the others.
    pub steps: Vec<u64>,
    /// Steps over which a stage fades in; the first is there at once.
    pub fade: u64,
}

impl Growth {
    /// How far networks of so many stages have grown after `taken` steps.
    pub fn at(&self, taken: u64, stages: usize) -> Grown {
        let (mut stage, mut begun) = (0, 0);
        for steps in self.steps.iter().take(stages - 1) {
            if taken < begun + steps {
                break;
            }
            (stage, begun) = (stage + 1, begun + steps);
        }
        let faded = (taken - begun) as f64 / self.fade.max(1) as f64;
        Grown { stage, alpha: if stage == 0 || self.fade == 0 { 1.0 } else { faded.min(1.0) } }
    }
}

impl StyleGanConfig {
    /// Fresh players for images of `shape` `[C, H, W]`, before the first of `steps` steps.
    ///
    /// # Errors
    /// A count of zero, data that are no images or larger than the last stage, or a number outside its range.
    pub fn init(
        &self,
        shape: &[usize],
        game: Game,
        descents: [DescentConfig; 2],
        steps: u64,
        rng: &mut Rng,
        device: &Device,
    ) -> Result<StyleGan, GanError> {
        let shape = image(shape)?;
        self.check(shape)?;
        let canvas = Canvas { shape, side: self.last().side() };
        let (colours, channels) = (shape[0], self.channels.clone());
        let (latents, style, mapping) = (self.latents, self.style, self.mapping.clone());
        let generator =
            StyleGeneratorConfig { latents, mapping, style, channels: channels.clone(), colours }.init(rng, device);
        let generator = Styled::new(generator, latents, self.mixing, canvas, device);
        let critic = GrowingCriticConfig { channels, colours }.init(rng, device);
        let critic = Critic::new(critic, Additions { classes: None, deviation: self.deviation }, rng, device);
        let players = Adversarial::new((generator, critic), game, descents, steps, rng)?;
        let (stages, growth, background) = (self.channels.len(), self.growth.clone(), self.background);
        let grown = Grown { stage: 0, alpha: 1.0 };
        let mut game = StyleGan { players, growth, stages, canvas, background, grown };
        game.grow();
        Ok(game)
    }

    fn last(&self) -> Grown {
        Grown { stage: self.channels.len() - 1, alpha: 1.0 }
    }

    fn check(&self, shape: [usize; 3]) -> Result<(), GanError> {
        some("latents", self.latents)?;
        some("style", self.style)?;
        some("channels", self.channels.len())?;
        self.mapping.iter().try_for_each(|width| some("mapping", *width))?;
        self.channels.iter().try_for_each(|width| some("channels", *width))?;
        let stages = self.channels.len();
        if self.growth.steps.len() + 1 != stages || stages > 8 {
            return Err(GanError::Stages { stages, lengths: self.growth.steps.len() });
        }
        let canvas = self.last().side();
        if let Some(side) = shape[1..].iter().find(|side| **side > canvas) {
            return Err(GanError::Canvas { side: *side, canvas });
        }
        let range = |ok, field, value, range| if ok { Ok(()) } else { Err(ConfigError { field, value, range }) };
        range((0.0..=1.0).contains(&self.mixing), "mixing", self.mixing, "at least 0 and at most 1")?;
        Ok(range(self.background.is_finite(), "background", self.background, "finite")?)
    }
}

/// A generator of styles and a critic in training, growing.
pub struct StyleGan {
    players: Adversarial<Styled, Critic<GrowingCritic>>,
    growth: Growth,
    stages: usize,
    canvas: Canvas,
    background: f64,
    /// How far both networks have grown.
    grown: Grown,
}

impl StyleGan {
    /// The generator to use, as far as it has grown.
    pub fn generator(&self) -> &Styled {
        self.players.generator()
    }

    /// Makes both players as large as their steps say.
    fn grow(&mut self) {
        let grown = self.growth.at(self.players.steps_taken(), self.stages);
        if self.grown != grown {
            self.players.change(|generator| generator.at(grown), |critic| critic.with_net(|net| net.at(grown)));
            self.grown = grown;
        }
    }

    /// The rows of a batch as the critic sees them at this stage.
    fn seen(&self, batch: Batch) -> Batch {
        let mut x = self.canvas.laid(batch.x, self.background);
        while x.dims()[1] > self.grown.side() {
            x = genera_kernels::avg_pool2x2(x);
        }
        Batch { x: rows(self.grown.faded(x)), labels: None }
    }
}

impl Learner for StyleGan {
    fn step(&mut self, batches: Vec<Batch>, rng: &mut Rng) -> Result<Scalars, StepError> {
        let grown = self.grown;
        let batches = batches.into_iter().map(|batch| self.seen(batch)).collect();
        let mut scalars = self.players.step(batches, rng)?;
        self.grow();
        scalars.extend([("side", grown.side() as f64), ("alpha", grown.alpha)]);
        Ok(scalars)
    }

    fn view(&self) -> View<'_> {
        View { styles: Some(self.generator()), ..self.players.view() }
    }

    fn save(&self) -> Vec<(&'static str, Weights)> {
        self.players.save()
    }

    fn load(&mut self, groups: &[(String, Weights)]) -> Result<(), WeightsError> {
        self.players.load(groups)?;
        self.grow();
        Ok(())
    }
}
