//! A style-based generator that grows with its critic: what a recipe says of them.

use genera::burn::module::Module;
use genera::burn::tensor::Device;
use genera::gan::{Game, StyleGan, StyleGanConfig};
use genera::train::{DescentConfig, OptimizerConfig};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::Trainee;
use super::adversarial::refuse_uneven;
use crate::data::Data;
use crate::failure::Outcome;
use crate::recipe::Recipe;

/// Two growing players, apart from what the data say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StyleGanSpec {
    /// Both networks and their growth.
    pub net: StyleGanConfig,
    /// The rules.
    pub game: Game,
    /// How the critic learns; as the generator, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critic_optimizer: Option<OptimizerConfig>,
}

impl Trainee for StyleGan {
    fn parameters(&self) -> usize {
        self.generator().num_params()
    }
}

impl StyleGanSpec {
    /// Fresh players for the recipe's data.
    pub fn trainee(&self, recipe: &Recipe, data: &Data, rng: &mut Rng, device: &Device) -> Outcome<Box<dyn Trainee>> {
        refuse_uneven(&self.game, recipe)?;
        let generator = recipe.train.descent();
        let critic =
            DescentConfig { optimizer: self.critic_optimizer.unwrap_or(generator.optimizer), ema: None, ..generator };
        let steps = recipe.train.steps;
        Ok(Box::new(self.net.init(&data.shape(), self.game.clone(), [generator, critic], steps, rng, device)?))
    }
}
