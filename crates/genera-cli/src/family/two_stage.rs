//! A discrete code, then an autoregressive prior over the codes.

use genera::autoregressive::{Autoregressive, AutoregressiveConfig, Conditional, Draw};
use genera::burn::module::Module;
use genera::burn::tensor::Device;
use genera::nn::Alphabet;
use genera::stages::{Coding, TwoStages, VqTraining};
use genera::train::Descent;
use genera::vae::vq::{DiscreteVaeConfig, VqVaeConfig};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::autoregressive::{CausalNet, CausalSpec};
use super::vae::check_likelihood;
use super::{Trainee, vq};
use crate::data::Data;
use crate::failure::{Failure, Outcome};
use crate::recipe::Recipe;

/// Both stages, apart from what the data say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwoStageSpec {
    /// The part of all steps that the first stage takes; the others are the prior's.
    pub first: f64,
    /// The code.
    pub code: CodeSpec,
    /// The network of the prior, which sees the grid of codes as an image of one channel.
    pub prior: CausalSpec,
    /// How codes are drawn.
    #[serde(default)]
    pub draw: Draw,
}

/// A discrete code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum CodeSpec {
    /// A book of codes.
    VqVae(VqVaeConfig),
    /// Categorical latents, relaxed in training.
    DiscreteVae(DiscreteVaeConfig),
}

impl<A: Coding + Send> Trainee for TwoStages<A, Autoregressive<CausalNet>>
where
    A::Codec: Module,
{
    fn parameters(&self) -> usize {
        self.coding().codec().num_params() + self.prior().num_params()
    }
}

impl TwoStageSpec {
    /// A fresh model for the recipe's images.
    pub fn trainee(&self, recipe: &Recipe, data: &Data, rng: &mut Rng, device: &Device) -> Outcome<Box<dyn Trainee>> {
        let (steps, shape) = (recipe.train.steps, vq::image(data)?);
        if !(self.first > 0.0 && self.first < 1.0) {
            return Err(Failure::new(format!("model.first is {}; it must be between 0 and 1", self.first)));
        }
        let first = ((self.first * steps as f64).round() as u64).clamp(1, steps.max(2) - 1);
        let descent = recipe.train.descent();
        match &self.code {
            CodeSpec::VqVae(config) => {
                check_likelihood(&config.likelihood, data)?;
                let model = config.init(shape, rng, device)?;
                let prior = self.prior(model.grid(), config.quantiser.codes, rng, device)?;
                let coding = VqTraining::new(Descent::new(model, descent, first)?);
                let prior = Descent::new(prior, descent, steps.saturating_sub(first))?;
                Ok(Box::new(TwoStages::new(coding, prior, first)))
            }
            CodeSpec::DiscreteVae(config) => {
                check_likelihood(&config.likelihood, data)?;
                let model = config.init(shape, rng, device)?;
                let prior = self.prior(config.net.size(shape)?, config.codes, rng, device)?;
                let coding = Descent::new(model, descent, first)?;
                let prior = Descent::new(prior, descent, steps.saturating_sub(first))?;
                Ok(Box::new(TwoStages::new(coding, prior, first)))
            }
        }
    }

    fn prior(
        &self,
        [height, width]: [usize; 2],
        codes: usize,
        rng: &mut Rng,
        device: &Device,
    ) -> Outcome<Autoregressive<CausalNet>> {
        let conditional = Conditional::Categorical { levels: codes };
        let net = self.prior.init(&[1, height, width], Alphabet::Levels(codes), conditional.outputs(), rng, device)?;
        Ok(AutoregressiveConfig { conditional, draw: self.draw }.init(net)?)
    }
}
