//! Generators and critics: what a recipe says of them and of their game.

use genera::burn::module::Module;
use genera::burn::tensor::Device;
use genera::gan::{Adversarial, CriticConfig, CriticNet, DivergenceBound, Game, Generator, GeneratorConfig};
use genera::nn::derivative::input_gradient;
use genera::nn::{Critic, Labelled};
use genera::train::{DescentConfig, OptimizerConfig};
use genera::traits::{Rows, Sample};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::{Offers, Trainee};
use crate::data::Data;
use crate::failure::{Failure, Outcome};
use crate::recipe::Recipe;

/// Two players, apart from what the data say. `train` says how the generator learns; each turn of the critic takes
/// `train.accumulate / game.critic_steps` micro-batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdversarialSpec {
    /// What draws.
    pub generator: GeneratorConfig,
    /// What judges.
    pub critic: CriticConfig,
    /// The rules.
    pub game: Game,
    /// How the critic learns; as the generator, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critic_optimizer: Option<OptimizerConfig>,
    /// Whether both are told the class.
    #[serde(default)]
    pub conditional: bool,
}

impl Trainee for Adversarial<Generator, Critic<CriticNet>> {
    fn parameters(&self) -> usize {
        self.generator().num_params()
    }

    fn offers(&self) -> &dyn Offers {
        self
    }
}

impl Offers for Adversarial<Generator, Critic<CriticNet>> {
    fn sample_given(&self, labels: Vec<usize>) -> Option<Box<dyn Sample + '_>> {
        self.generator().is_conditional().then(|| Box::new(self.generator().given(labels)) as Box<dyn Sample + '_>)
    }

    fn judged(&self, x: Rows) -> Option<(Rows, Rows)> {
        (!self.generator().is_conditional()).then(|| input_gradient(&self.critic(), Labelled::from(x)))
    }
}

impl Offers for DivergenceBound {
    fn divergence_bound(&self) -> Option<&DivergenceBound> {
        Some(self)
    }
}

impl AdversarialSpec {
    /// Fresh players for the recipe's data.
    pub fn trainee(&self, recipe: &Recipe, data: &Data, rng: &mut Rng, device: &Device) -> Outcome<Box<dyn Trainee>> {
        refuse_uneven(&self.game, recipe)?;
        let classes = data.classes().filter(|_| self.conditional);
        if self.conditional && classes.is_none() {
            return Err(Failure::new("model.conditional: the data have no classes; set it to false"));
        }
        let shape = data.shape();
        let players =
            (self.generator.init(&shape, classes, rng, device)?, self.critic.init(&shape, classes, rng, device)?);
        let generator = recipe.train.descent();
        let critic =
            DescentConfig { optimizer: self.critic_optimizer.unwrap_or(generator.optimizer), ema: None, ..generator };
        let steps = recipe.train.steps;
        Ok(Box::new(Adversarial::new(players, self.game.clone(), [generator, critic], steps, rng)?))
    }
}

/// Micro-batches that the turns of the critic cannot share.
pub fn refuse_uneven(game: &Game, recipe: &Recipe) -> Outcome {
    let (turns, given) = (game.critic_steps, recipe.train.accumulate);
    if turns > 0 && given.is_multiple_of(turns) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "train.accumulate is {given}, which {turns} turns of the critic (model.game.critic_steps) cannot share evenly; \
         set it to a multiple of them"
    )))
}
