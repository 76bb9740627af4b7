//! The one place that names every model: what a recipe may ask for, and how it becomes something that learns.

mod adversarial;
mod adversarial_vae;
mod autoregressive;
mod captioned;
mod classical;
mod classified;
mod classifier;
mod clip;
mod continuous;
mod diffusion;
mod energy_model;
mod expectation_maximisation;
mod flow;
mod latent_diffusion;
mod score;
mod style_gan;
mod trainee;
mod two_stage;
mod vae;
mod vq;

use genera::burn::module::Module;
use genera::burn::tensor::Device;
use genera::classical::Estimator;
use genera::diffusion::{Bound, Levels, ProbabilityFlow, Schedule, Solver};
use genera::features::{ClassifierConfig, ClipConfig};
use genera::flow::FlowConfig;
use genera::gan::DivergenceBoundConfig;
use genera::latent::{AmortisedMixtureConfig, BernoulliMixtureConfig, FactorConfig, GaussianMixtureConfig};
use genera::train::Descent;
use genera::traits::Model;
use genera::vae::vq::{DiscreteVaeConfig, VqVaeConfig};
use genera_metrics::LikelihoodKind;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use crate::data::Data;
use crate::failure::{Failure, Outcome};
use crate::recipe::Recipe;
use adversarial::AdversarialSpec;
use adversarial_vae::AdversarialVaeSpec;
use autoregressive::AutoregressiveSpec;
pub use clip::untaught;
use continuous::ContinuousSpec;
use diffusion::DiffusionSpec;
use energy_model::EnergyModelSpec;
use flow::{DequantisedSpec, EnergySpec};
use latent_diffusion::LatentDiffusionSpec;
pub use score::{Adjust, KnownScore};
use score::{LangevinSpec, ScoreSpec};
use style_gan::StyleGanSpec;
pub use trainee::{Offers, Trainee};
use two_stage::TwoStageSpec;
use vae::VaeSpec;

/// A model, by family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "kebab-case")]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub enum Family {
    /// Something that draws an element at a time.
    Autoregressive(AutoregressiveSpec),
    /// Something that removes noise.
    Diffusion(DiffusionSpec),
    /// A normalizing flow that learns from data.
    Flow(FlowConfig),
    /// A normalizing flow that learns from an energy.
    EnergyFlow(EnergySpec),
    /// A normalizing flow of whole numbers, with learnt noise between them.
    DequantisedFlow(DequantisedSpec),
    /// Something that names classes, and whose last hidden layer measures distances between images.
    Classifier(ClassifierConfig),
    /// Something that puts pictures near their captions.
    Clip(ClipConfig),
    /// A normal distribution carried along a vector field.
    ContinuousFlow(ContinuousSpec),
    /// A network that learns the gradient of a log-density.
    Score(ScoreSpec),
    /// An energy, held against chains that follow it.
    EnergyModel(EnergyModelSpec),
    /// Langevin dynamics on a density that is known.
    Langevin(LangevinSpec),
    /// A density without a network.
    Classical(ClassicalSpec),
    /// An encoder, a decoder and a prior.
    Vae(VaeSpec),
    /// An autoencoder with a book of codes.
    VqVae(VqVaeConfig),
    /// An autoencoder with categorical latents, relaxed in training.
    DiscreteVae(DiscreteVaeConfig),
    /// A discrete code and an autoregressive prior over it.
    TwoStage(TwoStageSpec),
    /// An autoencoder and a diffusion of its codes.
    LatentDiffusion(LatentDiffusionSpec),
    /// A mixture of Gaussians, by expectation maximisation.
    GaussianMixture(GaussianMixtureConfig),
    /// A mixture of Gaussians, by gradient, with or without a network for its posterior.
    AmortisedMixture(AmortisedMixtureConfig),
    /// A mixture of Bernoulli vectors, by expectation maximisation.
    BernoulliMixture(BernoulliMixtureConfig),
    /// Probabilistic principal components or factor analysis, by expectation maximisation.
    Factors(FactorConfig),
    /// A generator and a critic.
    Adversarial(AdversarialSpec),
    /// A style-based generator that grows with its critic.
    StyleGan(StyleGanSpec),
    /// An autoencoder whose posterior has no density.
    AdversarialVae(AdversarialVaeSpec),
    /// The lower bound of a divergence from a known normal distribution.
    DivergenceBound(DivergenceBoundConfig),
}

/// A density without a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassicalSpec {
    /// How it is estimated.
    estimator: Estimator,
}

impl Family {
    /// A fresh model of this family for the recipe's data, before its first step.
    pub fn trainee(recipe: &Recipe, data: &Data, device: &Device) -> Outcome<Box<dyn Trainee>> {
        let mut rng = Rng::new(recipe.seed).fork("weights");
        if data.captions().is_some() && !recipe.model.reads_captions() {
            return Err(Failure::new(
                "data.captions: this model reads none; remove it, or give a diffusion a net of kind captioned-unet",
            ));
        }
        match &recipe.model {
            Self::Autoregressive(spec) => descent(spec.init(recipe, data, &mut rng, device)?, recipe),
            Self::Diffusion(spec) => spec.trainee(recipe, data, &mut rng, device),
            Self::Flow(config) => descent(flow::init(config, recipe, data, &mut rng, device)?, recipe),
            Self::EnergyFlow(spec) => descent(flow::init_energy(spec, data, &mut rng, device)?, recipe),
            Self::DequantisedFlow(spec) => descent(spec.init(recipe, data, &mut rng, device)?, recipe),
            Self::Classifier(config) => descent(classifier::init(config, data, &mut rng, device)?, recipe),
            Self::Clip(config) => descent(clip::init(config, data, &mut rng, device)?, recipe),
            Self::ContinuousFlow(spec) => descent(spec.init(data, &mut rng, device)?, recipe),
            Self::Score(spec) => descent(spec.init(data, &mut rng, device)?, recipe),
            Self::EnergyModel(spec) => spec.trainee(recipe, data, &mut rng, device),
            Self::Langevin(spec) => spec.trainee(data, device),
            Self::Classical(spec) => classical::init(spec.estimator, recipe, data, device),
            Self::Vae(spec) => spec.trainee(recipe, data, &mut rng, device),
            Self::VqVae(config) => vq::quantised(config, recipe, data, &mut rng, device),
            Self::DiscreteVae(config) => vq::relaxed(config, recipe, data, &mut rng, device),
            Self::TwoStage(spec) => spec.trainee(recipe, data, &mut rng, device),
            Self::LatentDiffusion(spec) => spec.trainee(recipe, data, &mut rng, device),
            Self::GaussianMixture(config) => expectation_maximisation::gaussian_mixture(config, data, &mut rng, device),
            Self::AmortisedMixture(config) => {
                expectation_maximisation::amortised_mixture(config, recipe, data, &mut rng, device)
            }
            Self::BernoulliMixture(config) => {
                expectation_maximisation::bernoulli_mixture(config, data, &mut rng, device)
            }
            Self::Factors(config) => expectation_maximisation::factors(config, data, &mut rng, device),
            Self::Adversarial(spec) => spec.trainee(recipe, data, &mut rng, device),
            Self::StyleGan(spec) => spec.trainee(recipe, data, &mut rng, device),
            Self::AdversarialVae(spec) => spec.trainee(recipe, data, &mut rng, device),
            Self::DivergenceBound(config) => descent(config.init(&data.shape(), &mut rng, device)?, recipe),
        }
    }

    /// The noise levels that samples come down; none if nothing is sampled by removing noise.
    pub fn levels(&self) -> Outcome<Option<Levels>> {
        match self {
            Self::Diffusion(spec) => Ok(Some(spec.levels()?)),
            _ => Ok(None),
        }
    }

    /// The levels drawn for each row by a bound of continuous time; none of other likelihoods.
    pub fn bound_draws(&self) -> Option<usize> {
        match self {
            Self::Diffusion(spec) => match spec.bound {
                Bound::Continuous { draws } => Some(draws),
                Bound::Chain => None,
            },
            _ => None,
        }
    }

    /// The schedule of a diffusion, and the one that its network was trained under, if it was another; none of other models.
    pub fn schedules(&self) -> Option<(&Schedule, Option<&Schedule>)> {
        match self {
            Self::Diffusion(spec) => Some((&spec.schedule, spec.trained_under.as_ref())),
            _ => None,
        }
    }

    /// A diffusion with its network under `schedule`, trained under another if one is named. Other models stay as they are.
    pub fn under(self, schedule: Schedule, trained_under: Option<Schedule>) -> Self {
        match self {
            Self::Diffusion(spec) => Self::Diffusion(DiffusionSpec { schedule, trained_under, ..spec }),
            other => other,
        }
    }

    /// The probability flow that gives likelihoods, and the levels along which it runs; none if they come otherwise.
    pub fn probability_flow(&self) -> Outcome<Option<(ProbabilityFlow, Levels)>> {
        match self {
            Self::Diffusion(spec) => spec.likelihood.map(|flow| Ok((flow, spec.levels()?))).transpose(),
            _ => Ok(None),
        }
    }

    /// Whether the model learns noise between grey levels.
    pub fn fills_levels(&self) -> bool {
        match self {
            Self::DequantisedFlow(_) => true,
            Self::Diffusion(spec) => spec.fills_levels(),
            _ => false,
        }
    }

    /// Whether the model can be told a caption.
    fn reads_captions(&self) -> bool {
        matches!(self, Self::Diffusion(spec) if spec.reads_captions()) || matches!(self, Self::Clip(_))
    }

    /// Whether the model is told the class of what it draws.
    pub fn is_conditional(&self) -> bool {
        match self {
            Self::Diffusion(spec) => spec.conditional || spec.classifier.is_some(),
            Self::Flow(config) => flow::is_conditional(config),
            Self::Vae(spec) => spec.conditional,
            Self::TwoStage(spec) => spec.conditional,
            Self::Adversarial(spec) => spec.conditional,
            Self::LatentDiffusion(spec) => spec.conditional,
            _ => false,
        }
    }

    /// Whether the model also learns to do without the class, so that samples can be guided towards it.
    pub fn is_guidable(&self) -> bool {
        match self {
            Self::Diffusion(spec) => spec.conditional && spec.label_dropout > 0.0 || spec.classifier.is_some(),
            Self::LatentDiffusion(spec) => spec.conditional && spec.label_dropout > 0.0,
            _ => false,
        }
    }

    /// Whether training has two parts, the first of which is a fraction of all steps.
    pub fn is_in_two_parts(&self) -> bool {
        match self {
            Self::Diffusion(spec) => spec.reflow.is_some() || spec.consistency.is_some(),
            Self::TwoStage(_) | Self::LatentDiffusion(_) => true,
            _ => false,
        }
    }

    /// Why this solver is wrong for what `model` predicts, if it is; of a pipeline, which has no recipe, there is none.
    pub fn misfit(model: Option<&Self>, solver: Solver) -> Option<&'static str> {
        let student = matches!(model, Some(Self::Diffusion(spec)) if spec.consistency.is_some());
        match (student, solver == Solver::Consistency) {
            (true, false) => Some(
                "a consistency model says where the flow ends, not the mean that this solver follows; take consistency",
            ),
            (false, true) => Some("it is for models trained with model.consistency; this one predicts means"),
            _ => None,
        }
    }

    /// Refuses a recipe whose sampler has a solver, or guidance, that its model is not for.
    fn check_sampler(recipe: &Recipe) -> Outcome {
        let sampler = recipe.sample.clone().unwrap_or_default();
        if let Some(why) = Self::misfit(Some(&recipe.model), sampler.solver) {
            return Err(Failure::new(format!("sample.solver: {why}")));
        }
        if sampler.guidance.is_some() && !recipe.model.is_guidable() {
            return Err(Failure::new(
                "sample.guidance: the model never learns to do without the class; set model.conditional = true and \
                 model.label_dropout = 0.1, or, of a diffusion of rows themselves, model.classifier",
            ));
        }
        Ok(())
    }

    /// What the likelihoods of this family are; none if it has no likelihood.
    pub fn likelihood(&self) -> Option<LikelihoodKind> {
        match self {
            Self::Vae(spec) => Some(spec.kind()),
            Self::DequantisedFlow(spec) => Some(spec.kind()),
            Self::Diffusion(spec) => Some(spec.likelihood()),
            Self::VqVae(_) | Self::DiscreteVae(_) | Self::TwoStage(_) => Some(LikelihoodKind::LowerBound),
            Self::Autoregressive(_)
            | Self::Flow(_)
            | Self::EnergyFlow(_)
            | Self::GaussianMixture(_)
            | Self::AmortisedMixture(_)
            | Self::BernoulliMixture(_)
            | Self::Factors(_) => Some(LikelihoodKind::Exact),
            Self::Classifier(_)
            | Self::Clip(_)
            | Self::Adversarial(_)
            | Self::StyleGan(_)
            | Self::AdversarialVae(_)
            | Self::DivergenceBound(_)
            | Self::Score(_)
            | Self::EnergyModel(_)
            | Self::LatentDiffusion(_)
            | Self::Langevin(_) => None,
            Self::ContinuousFlow(spec) => spec.likelihood(),
            Self::Classical(_) => Some(LikelihoodKind::Exact),
        }
    }
}

/// The steps of the first part of a training of `steps`, a fraction that the recipe calls `key`; at least one, and one is
/// left.
fn first_part(key: &str, fraction: f64, steps: u64) -> Outcome<u64> {
    if fraction > 0.0 && fraction < 1.0 {
        Ok(((fraction * steps as f64).round() as u64).clamp(1, steps.max(2) - 1))
    } else {
        Err(Failure::new(format!("{key} is {fraction}; it must be between 0 and 1")))
    }
}

/// A model that learns by descending its loss as the recipe says.
fn descent<M: Model + Module + Offers + Send + 'static>(model: M, recipe: &Recipe) -> Outcome<Box<dyn Trainee>> {
    Ok(Box::new(Descent::new(model, recipe.train.descent(), recipe.train.steps)?))
}
