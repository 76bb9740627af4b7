//! Diffusion models: what a recipe says of them, and the networks they may have.

// The derive of `Module` names the crate `burn`.
use genera::burn;
use genera::burn::module::Module;
use genera::burn::tensor::Device;
use genera::diffusion::{
    Bound, ConsistencyConfig, Coupling, Differentiable, Diffusion, DiffusionConfig, Distillation, Levels,
    PairWeighting, ProbabilityFlow, Reflow, Schedule, Target, Times, Variance, Weighting,
};
use genera::flow::NoiseConfig;
use genera::nn::unet::{UNet, UNetConfig};
use genera::nn::{
    CaptionedUNet, CaptionedUNetConfig, ConditionalMlp, ConditionalMlpConfig, Conditioned, ResidualMlp,
    ResidualMlpConfig,
};
use genera::stages::DequantisedDiffusion;
use genera::train::Descent;
use genera::traits::{Denoise, Density, LowerBound, Net, Rows};
use genera::vae::NetConfig;
use genera_data::View;
use genera_data::caption::SYMBOLS;
use genera_metrics::LikelihoodKind;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::{Family, Offers, Trainee, captioned, classified, descent, first_part};
use crate::data::Data;
use crate::failure::{Failure, Outcome};
use crate::recipe::Recipe;

/// A diffusion model, apart from what its data says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiffusionSpec {
    /// How noise grows with time.
    pub schedule: Schedule,
    /// The schedule that the network was trained under, if it was another (`genera convert` writes it).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_under: Option<Schedule>,
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
    /// The share of training rows whose class is hidden from a network that is told it, so that samples can be guided.
    #[serde(default)]
    pub label_dropout: f64,
    /// Which noise a row of a batch is paired with.
    #[serde(default)]
    pub coupling: Coupling,
    /// How the likelihood is computed, if by the probability flow; otherwise it is bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likelihood: Option<ProbabilityFlow>,
    /// How the likelihood is bounded otherwise: by every step of the chain, or in continuous time by a few draws.
    #[serde(default, skip_serializing_if = "is_chain")]
    pub bound: Bound,
    /// A second training on the pairs that the first one makes; only for flows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reflow: Option<ReflowSpec>,
    /// A student that draws in a few steps; only of the karras target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<ConsistencySpec>,
    /// Noise between the grey levels that is learnt with the diffusion, which is then one of numbers; only with the
    /// likelihood weighting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseConfig>,
    /// A classifier of noisy rows that draws samples towards classes, of which the model itself is told nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier: Option<NetConfig>,
    /// The network.
    pub net: DenoiserSpec,
}

fn is_chain(bound: &Bound) -> bool {
    *bound == Bound::Chain
}

/// When a flow is trained on its own pairs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReflowSpec {
    /// The part of all steps that is trained on data, between 0 and 1; the rest is on pairs.
    pub first: f64,
    /// Steps of Heun's rule from noise to its pair.
    pub steps: usize,
}

/// When a student is taught.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistencySpec {
    /// The part of all steps that the teacher takes; the rest is the student's.
    pub first: f64,
    /// Steps of the grid of levels between which the student learns.
    pub levels: usize,
    /// How far apart, a number, rows must be for their squared distance to become a distance.
    #[serde(default = "ConsistencyConfig::knee")]
    pub knee: f64,
    /// How much the pair of each level weighs.
    #[serde(default)]
    pub weighting: PairWeighting,
}

/// A network that sees noisy rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub enum DenoiserSpec {
    /// The U-Net of diffusers' `UNet2DModel`, with its keys.
    Unet(UNetConfig),
    /// A U-Net that attends to a caption, and a transformer that reads it.
    CaptionedUnet(CaptionedUNetConfig),
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
    CaptionedUnet(CaptionedUNet),
    Mlp(ConditionalMlp),
    ResidualMlp(ResidualMlp),
}

impl Net<Conditioned> for Denoiser {
    fn forward(&self, input: Conditioned) -> Rows {
        match self {
            Self::Unet(net) => net.forward(input),
            Self::CaptionedUnet(net) => net.forward(input),
            Self::Mlp(net) => net.forward(input),
            Self::ResidualMlp(net) => net.forward(input),
        }
    }
}

impl DenoiserSpec {
    /// A network for rows of `shape`, for labels if there are `classes`, with `outputs` numbers for each of the input.
    pub(super) fn init(
        &self,
        shape: &[usize],
        outputs: usize,
        classes: Option<usize>,
        rng: &mut Rng,
        device: &Device,
    ) -> Outcome<Denoiser> {
        let features = shape.iter().product();
        if outputs > 1 && !matches!(self, Self::Unet(_) | Self::CaptionedUnet(_)) {
            return Err(Failure::new(
                "model.variance: only the U-Net learns variances; choose fixed-small or fixed-large",
            ));
        }
        let on_images = |config: &UNetConfig, classes| {
            let &[channels, height, width] = shape else {
                return Err(Failure::new(format!("model.net: a U-Net is for images, not rows of shape {shape:?}")));
            };
            let mut config = config.clone().on([channels, height, width], classes);
            config.out_channels = outputs * channels;
            Ok(config)
        };
        Ok(match self {
            Self::Unet(config) => Denoiser::Unet(on_images(config, classes)?.init(rng, device)?),
            Self::CaptionedUnet(config) => {
                let config = CaptionedUNetConfig { unet: on_images(&config.unet, None)?, ..config.clone() };
                Denoiser::CaptionedUnet(config.init(SYMBOLS, rng, device)?)
            }
            Self::Mlp(config) => Denoiser::Mlp(config.init(features, classes, rng, device)),
            Self::ResidualMlp(config) => Denoiser::ResidualMlp(config.init(features, classes, rng, device)),
        })
    }
}

impl Offers for Diffusion<Denoiser> {
    fn denoise_given(&self, labels: Vec<usize>) -> Option<Box<dyn Denoise + '_>> {
        Some(Box::new(self.given(labels)))
    }

    fn differentiable_given(&self, labels: Vec<usize>) -> Option<Box<dyn Differentiable + '_>> {
        Some(Box::new(self.given(labels)))
    }

    fn density_given(&self, labels: Vec<usize>) -> Option<Box<dyn Density + '_>> {
        self.config().likelihood.is_some().then(|| Box::new(self.given(labels)) as Box<dyn Density + '_>)
    }

    fn lower_bound_given(&self, labels: Vec<usize>) -> Option<Box<dyn LowerBound + '_>> {
        Some(Box::new(self.given(labels)))
    }

    fn text_length(&self) -> Option<usize> {
        captioned::text_length(self)
    }

    fn denoise_reading(&self, texts: Vec<Vec<u8>>) -> Option<Box<dyn Denoise + '_>> {
        captioned::reading(self, texts)
    }
}

impl Offers for DequantisedDiffusion<Denoiser> {
    fn denoise_given(&self, labels: Vec<usize>) -> Option<Box<dyn Denoise + '_>> {
        Offers::denoise_given(&self.diffusion, labels)
    }

    fn differentiable_given(&self, labels: Vec<usize>) -> Option<Box<dyn Differentiable + '_>> {
        Offers::differentiable_given(&self.diffusion, labels)
    }

    fn density_given(&self, labels: Vec<usize>) -> Option<Box<dyn Density + '_>> {
        Offers::density_given(&self.diffusion, labels)
    }

    fn lower_bound_given(&self, labels: Vec<usize>) -> Option<Box<dyn LowerBound + '_>> {
        Some(Box::new(self.given(labels)))
    }

    fn text_length(&self) -> Option<usize> {
        Offers::text_length(&self.diffusion)
    }

    fn denoise_reading(&self, texts: Vec<Vec<u8>>) -> Option<Box<dyn Denoise + '_>> {
        Offers::denoise_reading(&self.diffusion, texts)
    }

    fn filled(&self, x: &Rows, rng: &mut Rng) -> Option<(Rows, Vec<f64>)> {
        let (y, log_q) = self.filled(x, rng);
        Some((y, log_q.to_data().convert::<f32>().iter::<f32>().map(f64::from).collect()))
    }
}

impl Trainee for Reflow<Denoiser> {
    fn parameters(&self) -> usize {
        self.model().num_params()
    }

    fn offers(&self) -> &dyn Offers {
        self.model()
    }
}

impl Trainee for Distillation<Denoiser> {
    fn parameters(&self) -> usize {
        self.model().num_params()
    }

    fn offers(&self) -> &dyn Offers {
        self
    }
}

impl Offers for Distillation<Denoiser> {
    fn denoise_given(&self, labels: Vec<usize>) -> Option<Box<dyn Denoise + '_>> {
        Some(Box::new(self.model().given(labels)))
    }
}

impl DiffusionSpec {
    /// A fresh model for the recipe's data, before its first step.
    pub fn trainee(&self, recipe: &Recipe, data: &Data, rng: &mut Rng, device: &Device) -> Outcome<Box<dyn Trainee>> {
        let model = self.init(recipe, data, rng, device)?;
        let again = self.reflow.is_some() || self.consistency.is_some() || self.classifier.is_some();
        if self.trained_under.is_some() && again {
            return Err(Failure::new(
                "model.trained_under: reflow, consistency and classifier belong to the schedule that they are trained under; \
                 remove one or the other",
            ));
        }
        if let Some(noise) = &self.noise {
            if again {
                return Err(Failure::new(
                    "model.noise: it is learnt with a diffusion that is trained once; remove reflow, consistency and \
                     classifier",
                ));
            }
            let levels = data.levels().unwrap_or_default();
            let noise = noise.init(data.train().features(), levels.into(), rng, device)?;
            return descent(DequantisedDiffusion::new(model, noise)?, recipe);
        }
        let otherwise = self.conditional || self.reflow.is_some() || self.consistency.is_some();
        if self.classifier.is_some() && otherwise {
            return Err(Failure::new(
                "model.classifier: it is for a model that is told no class and trained once; remove conditional, reflow \
                 and consistency",
            ));
        }
        if let Some(config) = &self.classifier {
            return classified::beside(model, config, recipe, data, rng, device);
        }
        if let Some(ConsistencySpec { first, levels, knee, weighting }) = self.consistency {
            if self.reflow.is_some() {
                return Err(Failure::new("model: it is trained again either by reflow or by consistency; remove one"));
            }
            let first = first_part("model.consistency.first", first, recipe.train.steps)?;
            let second = recipe.train.steps.saturating_sub(first);
            let taught = ConsistencyConfig { levels, knee, weighting };
            return Ok(Box::new(Distillation::new(model, [first, second], taught, recipe.train.descent())?));
        }
        let Some(ReflowSpec { first, steps }) = self.reflow else { return descent(model, recipe) };
        if !matches!(self.schedule, Schedule::LinearFlow { .. }) {
            return Err(Failure::new("model.reflow: it is for flows; set the schedule to linear-flow"));
        }
        let first = first_part("model.reflow.first", first, recipe.train.steps)?;
        let descent = Descent::new(model, recipe.train.descent(), recipe.train.steps)?;
        Ok(Box::new(Reflow::new(descent, first, steps)?))
    }

    /// A fresh model for the recipe's data.
    pub fn init(&self, recipe: &Recipe, data: &Data, rng: &mut Rng, device: &Device) -> Outcome<Diffusion<Denoiser>> {
        let outputs = if self.variance == Variance::Learned { 2 } else { 1 };
        Family::check_sampler(recipe)?;
        self.check_view(data)?;
        // One class more, which says nothing.
        let silence = usize::from(self.label_dropout > 0.0);
        let classes = self.classes(data)?.map(|classes| classes + silence);
        let net = match self.net.init(&data.shape(), outputs, classes, rng, device)? {
            Denoiser::CaptionedUnet(net) => Denoiser::CaptionedUnet(captioned::taught(net, data, self.conditional)?),
            net => net,
        };
        Ok(self.config(recipe, data)?.init(net)?)
    }

    /// Whether noise between grey levels is learnt.
    pub fn fills_levels(&self) -> bool {
        self.noise.is_some()
    }

    /// Whether the network reads captions.
    pub fn reads_captions(&self) -> bool {
        matches!(self.net, DenoiserSpec::CaptionedUnet(_))
    }

    /// The noise levels that samples come down.
    pub fn levels(&self) -> Outcome<Levels> {
        Ok(self.schedule.clone().levels()?)
    }

    /// A bound, or the probability flow up to its tolerance.
    pub fn likelihood(&self) -> LikelihoodKind {
        match self.likelihood {
            None => LikelihoodKind::LowerBound,
            Some(ProbabilityFlow { tolerance, divergence, .. }) => {
                LikelihoodKind::ProbabilityFlow { tolerance, probes: divergence.probes() }
            }
        }
    }

    /// The bound, and what learns variances by it, gives grey levels the probabilities of their bins on `[−1, 1]`.
    fn check_view(&self, data: &Data) -> Outcome {
        if self.noise.is_some() && (data.levels().is_none() || data.view() != View::Symmetric) {
            return Err(Failure::new(
                "model.noise: learnt noise fills the gaps between grey levels on [-1, 1]; take pictures, and set data.view to \
                 symmetric",
            ));
        }
        let bounded = self.likelihood.is_none() || self.variance == Variance::Learned;
        if bounded && data.levels().is_some() && data.view() != View::Symmetric {
            return Err(Failure::new(
                "data.view: a diffusion's bound is that of grey levels on [-1, 1]; set it to symmetric, or to dequantised \
                 with model.likelihood = {}",
            ));
        }
        Ok(())
    }

    fn config(&self, recipe: &Recipe, data: &Data) -> Outcome<DiffusionConfig> {
        // With noise between the levels there are none.
        let levels = data.levels().filter(|_| data.view() == View::Symmetric && self.noise.is_none()).map(usize::from);
        Ok(DiffusionConfig {
            features: data.train().features(),
            schedule: self.schedule.clone(),
            trained_under: self.trained_under.clone(),
            target: self.target,
            weighting: self.weighting,
            variance: self.variance,
            times: self.times,
            data_levels: levels,
            classes: self.classes(data)?,
            label_dropout: self.label_dropout,
            coupling: self.coupling,
            likelihood: self.likelihood,
            bound: self.bound,
            sampler: recipe.sample.clone().unwrap_or_default(),
        })
    }

    fn classes(&self, data: &Data) -> Outcome<Option<usize>> {
        match (self.conditional, data.tellable()) {
            (true, None) => Err(Failure::new("model.conditional: the data have no classes; set it to false")),
            (conditional, classes) => Ok(classes.filter(|_| conditional)),
        }
    }
}
