//! Energy-based models: what a recipe says of them.

use genera::burn::module::Module;
use genera::burn::tensor::Device;
use genera::energy::{Chains, EnergyModelConfig, EnergyTraining};
use genera::mcmc::{Langevin, Start, Walk};
use genera::nn::{Activation, Mlp, MlpConfig};
use genera::train::Descent;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::{Offers, Trainee};
use crate::data::Data;
use crate::failure::Outcome;
use crate::recipe::Recipe;

/// An energy-based model, apart from what its data say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnergyModelSpec {
    /// Widths of the hidden layers. SiLU follows each.
    pub hidden: Vec<usize>,
    /// Where chains start.
    pub start: Start,
    /// How they move in a step of training.
    pub training: Langevin,
    /// Where they come from.
    pub chains: Chains,
    /// How they move when samples are drawn.
    pub sampling: Langevin,
    /// The weight of the squared energies.
    #[serde(default)]
    pub penalty: f64,
}

impl Trainee for EnergyTraining<Mlp> {
    fn parameters(&self) -> usize {
        self.model().num_params()
    }

    fn offers(&self) -> &dyn Offers {
        self
    }
}

impl Offers for EnergyTraining<Mlp> {
    fn chains(&self) -> Option<&dyn Walk> {
        Some(self.model())
    }
}

impl EnergyModelSpec {
    /// A fresh model for the recipe's data.
    pub fn trainee(&self, recipe: &Recipe, data: &Data, rng: &mut Rng, device: &Device) -> Outcome<Box<dyn Trainee>> {
        let features = data.train().features();
        let net = MlpConfig { inputs: features, hidden: self.hidden.clone(), outputs: 1, activation: Activation::Silu };
        let Self { start, training, chains, sampling, penalty, .. } = *self;
        let config = EnergyModelConfig { features, start, training, chains, sampling, penalty };
        let model = config.init(net.init(rng, device))?;
        Ok(Box::new(EnergyTraining::new(Descent::new(model, recipe.train.descent(), recipe.train.steps)?)))
    }
}
