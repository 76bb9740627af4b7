//! A discrete code, then an autoregressive prior over the codes.

use genera::autoregressive::{Autoregressive, AutoregressiveConfig, Conditional, Draw};
use genera::burn::module::Module;
use genera::burn::tensor::Device;
use genera::nn::{Alphabet, Causal};
use genera::stages::{ClassPrior, CodeContextConfig, CodeHierarchy, Coding, TokenPrior, TwoStages, VqTraining};
use genera::train::Descent;
use genera::traits::{DiscreteCode, LowerBound, Sample};
use genera::vae::LikelihoodConfig;
use genera::vae::vq::{DiscreteVaeConfig, HierarchicalVqVaeConfig, VqVaeConfig};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::autoregressive::{CausalNet, CausalSpec, Telling, ToldNet};
use super::vae::check_likelihood;
use super::{Offers, Trainee, first_part, vq};
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
    /// The network of the prior, which sees the grid of codes as an image of one channel; of two grids, the coarse one's.
    pub prior: CausalSpec,
    /// The network over the fine grid of two; as `prior` if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bottom: Option<CausalSpec>,
    /// What that network is told of the coarse codes.
    #[serde(default)]
    pub context: CodeContextConfig,
    /// Whether the prior is told the class.
    #[serde(default)]
    pub conditional: bool,
    /// How codes are drawn.
    #[serde(default)]
    pub draw: Draw,
}

/// A discrete code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(clippy::large_enum_variant, clippy::enum_variant_names, reason = "there is one of it, and models have names")]
pub enum CodeSpec {
    /// A book of codes.
    VqVae(VqVaeConfig),
    /// Two books, of a coarse grid and of a fine one.
    HierarchicalVqVae(HierarchicalVqVaeConfig),
    /// Categorical latents, relaxed in training.
    DiscreteVae(DiscreteVaeConfig),
}

impl CodeSpec {
    fn likelihood(&self) -> &LikelihoodConfig {
        match self {
            Self::VqVae(config) => &config.likelihood,
            Self::HierarchicalVqVae(config) => &config.likelihood,
            Self::DiscreteVae(config) => &config.likelihood,
        }
    }
}

impl<A: Coding<Codec: DiscreteCode + Module> + Send> Trainee for TwoStages<A, Autoregressive<CausalNet>> {
    fn parameters(&self) -> usize {
        self.coding().codec().num_params() + self.prior().num_params()
    }

    fn offers(&self) -> &dyn Offers {
        self
    }
}

impl<A: Coding<Codec: DiscreteCode + Module> + Send> Offers for TwoStages<A, Autoregressive<CausalNet>> {
    fn uniform_codes(&self) -> Option<&dyn Sample> {
        self.coding().view().sample
    }
}

impl<A: Coding<Codec: DiscreteCode + Module> + Send> Trainee for TwoStages<A, ClassPrior<ToldNet>> {
    fn parameters(&self) -> usize {
        self.coding().codec().num_params() + self.prior().num_params()
    }

    fn offers(&self) -> &dyn Offers {
        self
    }
}

impl<A: Coding<Codec: DiscreteCode + Module> + Send> Offers for TwoStages<A, ClassPrior<ToldNet>> {
    fn uniform_codes(&self) -> Option<&dyn Sample> {
        self.coding().view().sample
    }

    fn sample_given(&self, labels: Vec<usize>) -> Option<Box<dyn Sample + '_>> {
        Some(Box::new(self.given(&labels)))
    }

    fn lower_bound_given(&self, labels: Vec<usize>) -> Option<Box<dyn LowerBound + '_>> {
        Some(Box::new(self.given(&labels)))
    }
}

impl<A: Coding<Codec: DiscreteCode + Module> + Send> Trainee for TwoStages<A, CodeHierarchy<ToldNet>> {
    fn parameters(&self) -> usize {
        self.coding().codec().num_params() + self.prior().num_params()
    }

    fn offers(&self) -> &dyn Offers {
        self
    }
}

impl<A: Coding<Codec: DiscreteCode + Module> + Send> Offers for TwoStages<A, CodeHierarchy<ToldNet>> {
    fn uniform_codes(&self) -> Option<&dyn Sample> {
        self.coding().view().sample
    }

    fn sample_given(&self, labels: Vec<usize>) -> Option<Box<dyn Sample + '_>> {
        self.prior().has_classes().then(|| Box::new(self.given(&labels)) as Box<dyn Sample>)
    }

    fn lower_bound_given(&self, labels: Vec<usize>) -> Option<Box<dyn LowerBound + '_>> {
        self.prior().has_classes().then(|| Box::new(self.given(&labels)) as Box<dyn LowerBound>)
    }
}

impl TwoStageSpec {
    /// A fresh model for the recipe's images.
    pub fn trainee(&self, recipe: &Recipe, data: &Data, rng: &mut Rng, device: &Device) -> Outcome<Box<dyn Trainee>> {
        let shape = vq::image(data)?;
        let stages = Stages { recipe, first: first_part("model.first", self.first, recipe.train.steps)? };
        if self.bottom.is_some() && !matches!(self.code, CodeSpec::HierarchicalVqVae(_)) {
            return Err(Failure::new("model.bottom: these codes have one grid; take code.kind = hierarchical-vq-vae"));
        }
        check_likelihood(self.code.likelihood(), data)?;
        let classes = self.classes(data)?;
        match &self.code {
            CodeSpec::VqVae(config) => {
                let model = config.init(shape, rng, device)?;
                let (grid, codes) = (model.grid(), config.quantiser.codes);
                let coding = VqTraining::new(Descent::new(model, recipe.train.descent(), stages.first)?);
                self.over_one_grid(stages, coding, (grid, codes), classes, rng, device)
            }
            CodeSpec::DiscreteVae(config) => {
                let model = config.init(shape, rng, device)?;
                let grid = (config.net.size(shape)?, config.codes);
                let coding = Descent::new(model, recipe.train.descent(), stages.first)?;
                self.over_one_grid(stages, coding, grid, classes, rng, device)
            }
            CodeSpec::HierarchicalVqVae(config) => {
                let model = config.init(shape, rng, device)?;
                let (grids, codes, classes) = (model.grids(), model.codes(), classes.unwrap_or(1));
                let coding = VqTraining::new(Descent::new(model, recipe.train.descent(), stages.first)?);
                let top = self.prior.init_told(grids[0], codes[0], (Telling::OfRows, classes), rng, device)?;
                let told = (Telling::OfElements, self.context.told(classes));
                let bottom = self.bottom.as_ref().unwrap_or(&self.prior);
                let bottom = bottom.init_told(grids[1], codes[1], told, rng, device)?;
                let levels = [self.over(top, codes[0])?, self.over(bottom, codes[1])?];
                let prior = self.context.init(levels, grids, codes[0], classes, rng, device);
                stages.trainee(coding, prior.map_err(|error| Failure::new(format!("model.context: {error}")))?)
            }
        }
    }

    /// How many classes the prior is told of.
    fn classes(&self, data: &Data) -> Outcome<Option<usize>> {
        match data.classes() {
            None if self.conditional => {
                Err(Failure::new("model.conditional: the data have no classes; set it to false"))
            }
            classes => Ok(classes.filter(|_| self.conditional)),
        }
    }

    /// With a prior over one grid of so many codes.
    fn over_one_grid<A: Coding<Codec: DiscreteCode + Module> + Send + 'static>(
        &self,
        stages: Stages<'_>,
        coding: A,
        ([height, width], codes): ([usize; 2], usize),
        classes: Option<usize>,
        rng: &mut Rng,
        device: &Device,
    ) -> Outcome<Box<dyn Trainee>> {
        match classes {
            None => {
                let net = self.prior.init(&[1, height, width], Alphabet::Symbols(codes), codes, rng, device)?;
                stages.trainee(coding, self.over(net, codes)?)
            }
            Some(classes) => {
                let told = (Telling::OfRows, classes);
                let net = self.prior.init_told([height, width], codes, told, rng, device)?;
                stages.trainee(coding, ClassPrior::new(self.over(net, codes)?, classes))
            }
        }
    }

    /// A network as a prior over codes.
    fn over<N: Module + Causal>(&self, net: N, codes: usize) -> Outcome<Autoregressive<N>> {
        Ok(AutoregressiveConfig { conditional: Conditional::Categorical { levels: codes }, draw: self.draw }
            .init(net)?)
    }
}

/// How many steps each stage takes.
struct Stages<'a> {
    recipe: &'a Recipe,
    first: u64,
}

impl Stages<'_> {
    fn trainee<A, P>(&self, coding: A, prior: P) -> Outcome<Box<dyn Trainee>>
    where
        A: Coding<Codec: DiscreteCode> + Send + 'static,
        P: TokenPrior + 'static,
        TwoStages<A, P>: Trainee,
    {
        let steps = self.recipe.train.steps.saturating_sub(self.first);
        let prior = Descent::new(prior, self.recipe.train.descent(), steps)?;
        Ok(Box::new(TwoStages::new(coding, prior, self.first)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_told_is_refused() {
        let (rng, device) = (&mut Rng::new(1), &Device::flex());
        let spec = |text: &str| serde_json::from_str::<CausalSpec>(text).unwrap();
        let (made, transformer) = (spec(r#"{"kind": "made"}"#), spec(r#"{"kind": "imagegpt"}"#));
        for (spec, telling, word) in [
            (&made, Telling::OfRows, "class"),
            (&made, Telling::OfElements, "grid"),
            (&transformer, Telling::OfElements, "grid"),
        ] {
            let Err(Failure::Failed(message)) = spec.init_told([2, 2], 4, (telling, 3), rng, device) else {
                panic!("{spec:?} is told {telling:?}");
            };
            assert!(message.contains(word) && message.contains("pixelcnn"), "{message}");
        }
        assert!(transformer.init_told([2, 2], 4, (Telling::OfRows, 3), rng, device).is_ok());
    }
}
