//! Latent diffusion: an autoencoder, then a diffusion of its codes, which are rows of numbers or pictures.

use genera::burn::module::Module;
use genera::burn::tensor::Device;
use genera::diffusion::{DiffusionConfig, Guidance, Schedule, Target, Times};
use genera::stages::{Coding, LatentDiffusion, VqTraining};
use genera::train::Descent;
use genera::traits::{LatentCode, Sample};
use genera::vae::vq::VqVaeConfig;
use genera::vae::{
    Decoder, GaussianEncoder, LikelihoodConfig, NetConfig, Network, Objective, StandardNormal, Vae, VaeConfig,
};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::diffusion::{Denoiser, DenoiserSpec};
use super::vae::check_likelihood;
use super::{Family, Offers, Trainee, first_part, vq};
use crate::data::Data;
use crate::failure::{Failure, Outcome};
use crate::recipe::Recipe;

/// Both stages, apart from what the data say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatentDiffusionSpec {
    /// The part of all steps that the autoencoder takes; the others are the diffusion's.
    pub first: f64,
    /// The autoencoder.
    pub code: CodeSpec,
    /// How noise grows with time.
    pub schedule: Schedule,
    /// What the network of the diffusion predicts.
    #[serde(default)]
    pub target: Target,
    /// Which times are trained.
    #[serde(default)]
    pub times: Times,
    /// Whether the diffusion is told the class.
    #[serde(default)]
    pub conditional: bool,
    /// The share of training rows whose class is hidden from it, so that samples can be guided.
    #[serde(default)]
    pub label_dropout: f64,
    /// The network of the diffusion, which sees codes as rows, or as pictures where they have places.
    pub net: DenoiserSpec,
}

/// An autoencoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub enum CodeSpec {
    /// A variational one; a code is a row of numbers.
    Vae(VaeSpec),
    /// One with a book of codes; the diffusion is of the vectors before them, a picture of as many channels as a vector has
    /// numbers.
    VqVae(VqVaeConfig),
}

/// A variational autoencoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeSpec {
    /// The length of a code.
    pub latents: usize,
    /// The encoder's network, and, turned round, the decoder's.
    pub net: NetConfig,
    /// What the decoder gives.
    #[serde(default)]
    pub likelihood: LikelihoodConfig,
    /// What it is trained on.
    #[serde(default)]
    pub objective: Objective,
}

impl<A: Coding<Codec: LatentCode + Module> + Send> Trainee for LatentDiffusion<A, Denoiser> {
    fn parameters(&self) -> usize {
        self.codec().num_params() + self.prior().num_params()
    }

    fn offers(&self) -> &dyn Offers {
        self
    }
}

impl<A: Coding<Codec: LatentCode + Module> + Send> Offers for LatentDiffusion<A, Denoiser> {
    fn sample_given(&self, labels: Vec<usize>) -> Option<Box<dyn Sample + '_>> {
        self.prior().config().classes.map(|_| Box::new(self.given(labels)) as Box<dyn Sample + '_>)
    }

    fn sample_guided(&self, labels: Vec<usize>, guidance: Guidance) -> Option<Box<dyn Sample + '_>> {
        let untold = self.prior().config().label_dropout > 0.0;
        untold.then(|| Box::new(self.given(labels).guided(guidance)) as Box<dyn Sample + '_>)
    }
}

impl LatentDiffusionSpec {
    /// A fresh model for the recipe's data.
    pub fn trainee(&self, recipe: &Recipe, data: &Data, rng: &mut Rng, device: &Device) -> Outcome<Box<dyn Trainee>> {
        let first = first_part("model.first", self.first, recipe.train.steps)?;
        if self.conditional && data.classes().is_none() {
            return Err(Failure::new("model.conditional: the data have no classes; set it to false"));
        }
        Family::check_sampler(recipe)?;
        let (descent, stages) = (recipe.train.descent(), Stages { recipe, data, first });
        match &self.code {
            CodeSpec::Vae(spec) => {
                let coding = Descent::new(spec.init(data, rng, device)?, descent, first)?;
                self.over(coding, &[spec.latents], stages, rng, device)
            }
            CodeSpec::VqVae(config) => {
                check_likelihood(&config.likelihood, data)?;
                let model = config.init(vq::image(data)?, rng, device)?;
                let shape = model.latent_shape();
                let coding = VqTraining::new(Descent::new(model, descent, first)?);
                self.over(coding, &shape, stages, rng, device)
            }
        }
    }

    /// With a diffusion over codes of this shape.
    fn over<A: Coding<Codec: LatentCode + Module> + Send + 'static>(
        &self,
        coding: A,
        shape: &[usize],
        Stages { recipe, data, first }: Stages<'_>,
        rng: &mut Rng,
        device: &Device,
    ) -> Outcome<Box<dyn Trainee>> {
        let classes = data.classes().filter(|_| self.conditional);
        let silence = usize::from(self.label_dropout > 0.0);
        let net = self.net.init(shape, 1, classes.map(|classes| classes + silence), rng, device)?;
        let diffusion = DiffusionConfig {
            target: self.target,
            times: self.times,
            classes,
            label_dropout: self.label_dropout,
            sampler: recipe.sample.clone().unwrap_or_default(),
            ..DiffusionConfig::new(shape.iter().product(), self.schedule.clone())
        };
        let steps = recipe.train.steps.saturating_sub(first);
        let prior = Descent::new(diffusion.init(net)?, recipe.train.descent(), steps)?;
        Ok(Box::new(LatentDiffusion::new(coding, prior, first)))
    }
}

/// What both stages are trained on, and how many steps the first takes.
struct Stages<'a> {
    recipe: &'a Recipe,
    data: &'a Data,
    first: u64,
}

type VaeCode = Vae<GaussianEncoder<Network>, Decoder<Network>, StandardNormal>;

impl VaeSpec {
    fn init(&self, data: &Data, rng: &mut Rng, device: &Device) -> Outcome<VaeCode> {
        check_likelihood(&self.likelihood, data)?;
        let (latents, shape) = (self.latents, data.shape());
        let encoder = GaussianEncoder::new(self.net.encoder(&shape, 0, 2 * latents, rng, device)?);
        let parameters = self.likelihood.parameters();
        let net = self.net.decoder(latents, 0, &shape, parameters, rng, device);
        let decoder = net.and_then(|net| Decoder::new(net, self.likelihood, device))?;
        let config = VaeConfig { objective: self.objective, ..VaeConfig::new(latents) };
        Ok(config.init(encoder, decoder, StandardNormal::new(latents, device))?)
    }
}
