//! The one place that names every model: what a recipe may ask for, and how it becomes something that learns.

// The derive of `Module` names the crate `burn`.
use genera::burn;
use genera::burn::module::Module;
use genera::burn::tensor::Device;
use genera::diffusion::{Diffusion, DiffusionConfig, Levels, Schedule, Target, Times, Variance, Weighting};
use genera::features::{Classifier, ClassifierConfig};
use genera::nn::unet::{UNet, UNetConfig};
use genera::nn::{ConditionalMlp, ConditionalMlpConfig, Conditioned, ResidualMlp, ResidualMlpConfig};
use genera::train::Descent;
use genera::traits::{Denoise, Learner, Net, Rows};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use crate::data::Data;
use crate::failure::{Failure, Outcome};
use crate::recipe::Recipe;

/// A model, by family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "kebab-case")]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub enum Family {
    /// Something that removes noise.
    Diffusion(DiffusionSpec),
    /// Something that names classes, and whose last hidden layer measures distances between images.
    Classifier(ClassifierConfig),
}

/// A diffusion model, apart from what its data says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiffusionSpec {
    /// How noise grows with time.
    pub schedule: Schedule,
    /// What the network predicts.
    #[serde(default)]
    pub target: Target,
    /// How much each level weighs.
    #[serde(default)]
    pub weighting: Weighting,
    /// The variance of the reverse steps.
    #[serde(default)]
    pub variance: Variance,
    /// Which times are trained.
    #[serde(default)]
    pub times: Times,
    /// Whether the network is told the class.
    #[serde(default)]
    pub conditional: bool,
    /// The network.
    pub net: DenoiserSpec,
}

/// A network that sees noisy rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub enum DenoiserSpec {
    /// The U-Net of diffusers' `UNet2DModel`, with its keys.
    Unet(UNetConfig),
    /// An MLP to whose first layer the time is added.
    Mlp(ConditionalMlpConfig),
    /// A residual MLP with the time in every block.
    ResidualMlp(ResidualMlpConfig),
}

/// What [`DenoiserSpec`] describes.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub enum Denoiser {
    Unet(UNet),
    Mlp(ConditionalMlp),
    ResidualMlp(ResidualMlp),
}

impl Net<Conditioned> for Denoiser {
    fn forward(&self, input: Conditioned) -> Rows {
        match self {
            Self::Unet(net) => net.forward(input),
            Self::Mlp(net) => net.forward(input),
            Self::ResidualMlp(net) => net.forward(input),
        }
    }
}

impl DenoiserSpec {
    /// A network for rows of `shape`, for labels if there are `classes`, with `outputs` numbers for each of the input.
    fn init(
        &self,
        shape: &[usize],
        outputs: usize,
        classes: Option<usize>,
        rng: &mut Rng,
        device: &Device,
    ) -> Outcome<Denoiser> {
        let features = shape.iter().product();
        if outputs > 1 && !matches!(self, Self::Unet(_)) {
            return Err(Failure::new(
                "model.variance: only the U-Net learns variances; choose fixed-small or fixed-large",
            ));
        }
        Ok(match self {
            Self::Unet(config) => {
                let &[channels, height, width] = shape else {
                    return Err(Failure::new(format!("model.net: a U-Net is for images, not rows of shape {shape:?}")));
                };
                let mut config = config.clone().on([channels, height, width], classes);
                config.out_channels = outputs * channels;
                Denoiser::Unet(config.init(rng, device)?)
            }
            Self::Mlp(config) => Denoiser::Mlp(config.init(features, classes, rng, device)),
            Self::ResidualMlp(config) => Denoiser::ResidualMlp(config.init(features, classes, rng, device)),
        })
    }
}

/// Something that is trained by a recipe.
pub trait Trainee: Learner + Send {
    /// The model as a remover of noise, row `i` having class `labels[i mod len]`, or no class if there are no labels;
    /// none if it removes no noise.
    fn given(&self, labels: Vec<usize>) -> Option<Box<dyn Denoise + '_>>;
    /// The model as a classifier, if it is one.
    fn classifier(&self) -> Option<&Classifier> {
        None
    }
    /// How many numbers are trained.
    fn parameters(&self) -> usize;
}

impl Trainee for Descent<Diffusion<Denoiser>> {
    fn given(&self, labels: Vec<usize>) -> Option<Box<dyn Denoise + '_>> {
        Some(Box::new(self.model().given(labels)))
    }

    fn parameters(&self) -> usize {
        self.model().num_params()
    }
}

impl Trainee for Descent<Classifier> {
    fn given(&self, _labels: Vec<usize>) -> Option<Box<dyn Denoise + '_>> {
        None
    }

    fn classifier(&self) -> Option<&Classifier> {
        Some(self.model())
    }

    fn parameters(&self) -> usize {
        self.model().num_params()
    }
}

impl Family {
    /// A fresh model of this family for the recipe's data, before its first step.
    pub fn trainee(recipe: &Recipe, data: &Data, device: &Device) -> Outcome<Box<dyn Trainee>> {
        let mut rng = Rng::new(recipe.seed).fork("weights");
        let (descent, steps) = (recipe.train.descent(), recipe.train.steps);
        match &recipe.model {
            Self::Diffusion(spec) => {
                let outputs = if spec.variance == Variance::Learned { 2 } else { 1 };
                let net = spec.net.init(&data.shape(), outputs, spec.classes(data)?, &mut rng, device)?;
                let model = spec.config(recipe, data).init(net)?;
                Ok(Box::new(Descent::new(model, descent, steps)?))
            }
            Self::Classifier(config) => {
                check_classifier(config, data)?;
                Ok(Box::new(Descent::new(config.init(&mut rng, device)?, descent, steps)?))
            }
        }
    }

    /// The noise levels that samples come down; none if nothing is sampled by removing noise.
    pub fn levels(&self) -> Outcome<Option<Levels>> {
        match self {
            Self::Diffusion(spec) => Ok(Some(spec.schedule.clone().levels()?)),
            Self::Classifier(_) => Ok(None),
        }
    }

    /// Whether the model is told the class of what it draws.
    pub fn is_conditional(&self) -> bool {
        matches!(self, Self::Diffusion(DiffusionSpec { conditional: true, .. }))
    }
}

impl DiffusionSpec {
    fn config(&self, recipe: &Recipe, data: &Data) -> DiffusionConfig {
        DiffusionConfig {
            features: data.train().features(),
            schedule: self.schedule.clone(),
            target: self.target,
            weighting: self.weighting,
            variance: self.variance,
            times: self.times,
            data_levels: data.levels().map(usize::from),
            sampler: recipe.sample.clone().unwrap_or_default(),
        }
    }

    fn classes(&self, data: &Data) -> Outcome<Option<usize>> {
        match (self.conditional, data.classes()) {
            (true, None) => Err(Failure::new("model.conditional: the data have no classes; set it to false")),
            (conditional, classes) => Ok(classes.filter(|_| conditional)),
        }
    }
}

fn check_classifier(config: &ClassifierConfig, data: &Data) -> Outcome {
    let (shape, classes) = (data.shape(), data.classes());
    if shape != config.shape {
        return Err(Failure::new(format!(
            "model.shape is {:?}, but the data have rows of shape {shape:?}",
            config.shape
        )));
    }
    if classes.is_none_or(|classes| classes > config.classes) {
        let found = classes.map_or_else(|| "none".to_owned(), |classes| classes.to_string());
        return Err(Failure::new(format!("model.classes is {}, but the data have {found}", config.classes)));
    }
    Ok(())
}
