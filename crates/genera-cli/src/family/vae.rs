//! Variational autoencoders: what a recipe says of them, and the posteriors and priors they may have.

use genera::burn::module::{Module, ModuleDisplay};
use genera::burn::tensor::Device;
use genera::flow::FlowConfig;
use genera::traits::{LowerBound, Rows, Sample};
use genera::vae::{
    BitsEncoder, Decode, Decoder, Diagnostics, Encode, FairCoins, GaussianEncoder, InverseFlowConfig, Learnt,
    LikelihoodConfig, MixturePrior, NetConfig, Network, Objective, Observe, PixelDecoderConfig, PlanarEncoder, Prior,
    StandardNormal, Vae, VaeConfig, VampPrior,
};
use genera_metrics::LikelihoodKind;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::{Offers, Trainee, descent};
use crate::data::{Data, tensor};
use crate::failure::{Failure, Outcome};
use crate::recipe::Recipe;

/// A variational autoencoder, apart from what its data says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeSpec {
    /// The length of `z`.
    pub latents: usize,
    /// The encoder's network, and, turned round, the decoder's.
    pub net: NetConfig,
    /// What the decoder is.
    #[serde(default)]
    pub decoder: DecoderSpec,
    /// What the decoder gives.
    #[serde(default)]
    pub likelihood: LikelihoodConfig,
    /// What the encoder gives.
    #[serde(default)]
    pub posterior: PosteriorSpec,
    /// What samples start from.
    #[serde(default)]
    pub prior: PriorSpec,
    /// What it is trained on.
    #[serde(default)]
    pub objective: Objective,
    /// What a sample is.
    #[serde(default)]
    pub observe: Observe,
    /// The draws of the bound on held-out rows.
    #[serde(default = "one")]
    pub bound_samples: usize,
    /// Whether the networks are told the class.
    #[serde(default)]
    pub conditional: bool,
}

fn one() -> usize {
    1
}

fn two_thirds() -> f64 {
    2.0 / 3.0
}

/// What a decoder is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum DecoderSpec {
    /// The encoder's network turned round: given the latent, values are independent.
    #[default]
    Mirrored,
    /// A PixelCNN that is told the latent: values depend on those before them.
    Pixelcnn(PixelDecoderConfig),
}

/// What an encoder gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum PosteriorSpec {
    /// A diagonal Gaussian.
    #[default]
    Gaussian,
    /// A chain of inverse autoregressive steps.
    InverseFlow(InverseFlowConfig),
    /// A chain of planar steps.
    Planar {
        /// How many.
        steps: usize,
    },
    /// Bits, whose prior is fair coins.
    Bits {
        /// `τ` of their relaxation.
        #[serde(default = "two_thirds")]
        temperature: f64,
    },
}

/// What samples start from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum PriorSpec {
    /// `N(0, I)`.
    #[default]
    StandardNormal,
    /// A learnt mixture of Gaussians.
    Mixture {
        /// Components.
        components: usize,
    },
    /// The mean posterior of learnt inputs, which start at the first rows of the training data.
    Vamp {
        /// Pseudo-inputs.
        inputs: usize,
    },
    /// A normalizing flow, learnt with everything else.
    Flow {
        /// Of rows as long as the latents.
        flow: FlowConfig,
    },
}

impl<E, D, P> Offers for Vae<E, D, P>
where
    E: Module + ModuleDisplay + Encode,
    D: Module + ModuleDisplay + Decode,
    P: Module + ModuleDisplay + Prior<E>,
{
    fn sample_given(&self, labels: Vec<usize>) -> Option<Box<dyn Sample + '_>> {
        self.config().classes.map(|_| Box::new(self.given(labels)) as Box<dyn Sample + '_>)
    }

    fn lower_bound_given(&self, labels: Vec<usize>) -> Option<Box<dyn LowerBound + '_>> {
        self.config().classes.map(|_| Box::new(self.given(labels)) as Box<dyn LowerBound + '_>)
    }

    fn diagnostics(&self, x: Rows, rng: &mut Rng) -> Option<Diagnostics> {
        Vae::diagnostics(self, x, 1, rng)
    }
}

impl VaeSpec {
    /// A fresh model for the recipe's data.
    pub fn trainee(&self, recipe: &Recipe, data: &Data, rng: &mut Rng, device: &Device) -> Outcome<Box<dyn Trainee>> {
        self.check(data)?;
        let (latents, shape) = (self.latents, data.shape());
        let network = |outputs: usize, rng: &mut Rng| self.net.encoder(&shape, self.beside(data), outputs, rng, device);
        let normal = StandardNormal::new(latents, device);
        if let DecoderSpec::Pixelcnn(config) = &self.decoder {
            let encoder = GaussianEncoder::new(network(2 * latents, rng)?);
            let shape = <[usize; 3]>::try_from(shape.as_slice());
            let shape = shape.map_err(|_| Failure::new("model.decoder: a PixelCNN paints pictures; these are rows"))?;
            let decoder = config.init(latents + self.beside(data), shape, self.likelihood, rng, device)?;
            return descent(self.config(data).init(encoder, decoder, normal)?, recipe);
        }
        match (self.posterior, &self.prior) {
            (PosteriorSpec::Gaussian, prior) => {
                let encoder = GaussianEncoder::new(network(2 * latents, rng)?);
                match prior {
                    PriorSpec::StandardNormal => self.finish(encoder, normal, recipe, data, rng, device),
                    &PriorSpec::Mixture { components } => {
                        at_least_one("model.prior.components", components)?;
                        let prior = MixturePrior::new(latents, components, rng, device);
                        self.finish(encoder, prior, recipe, data, rng, device)
                    }
                    PriorSpec::Flow { flow } => {
                        let prior = Learnt::new(flow.init(&[latents], None, rng, device)?);
                        self.finish(encoder, prior, recipe, data, rng, device)
                    }
                    &PriorSpec::Vamp { inputs } => {
                        at_least_one("model.prior.inputs", inputs)?;
                        let rows = tensor(data.first_rows(data.train(), inputs)?, data.train().features(), device);
                        self.finish(encoder, VampPrior::new(rows), recipe, data, rng, device)
                    }
                }
            }
            (PosteriorSpec::InverseFlow(config), PriorSpec::StandardNormal) => {
                let encoder = config.init(network(config.outputs(latents), rng)?, latents, rng, device);
                self.finish(encoder, normal, recipe, data, rng, device)
            }
            (PosteriorSpec::Planar { steps }, PriorSpec::StandardNormal) => {
                let outputs = PlanarEncoder::<Network>::outputs(latents, steps);
                let encoder = PlanarEncoder::new(network(outputs, rng)?, latents);
                self.finish(encoder, normal, recipe, data, rng, device)
            }
            (PosteriorSpec::Bits { temperature }, PriorSpec::StandardNormal) => {
                let encoder = BitsEncoder::new(network(latents, rng)?, temperature)?;
                self.finish(encoder, FairCoins::new(latents, device), recipe, data, rng, device)
            }
            _ => {
                let needed = "a flow goes with the standard-normal prior, bits with none; choose one of the two";
                Err(Failure::new(format!("model.posterior: {needed}")))
            }
        }
    }

    /// What its likelihoods are.
    pub fn kind(&self) -> LikelihoodKind {
        match self.bound_samples {
            1 => LikelihoodKind::LowerBound,
            k => LikelihoodKind::KSampleBound { k },
        }
    }

    fn finish<E, P>(
        &self,
        encoder: E,
        prior: P,
        recipe: &Recipe,
        data: &Data,
        rng: &mut Rng,
        device: &Device,
    ) -> Outcome<Box<dyn Trainee>>
    where
        E: Module + ModuleDisplay + Encode + Send + 'static,
        P: Module + ModuleDisplay + Prior<E> + Send + 'static,
    {
        let parameters = self.likelihood.parameters();
        let net = self.net.decoder(self.latents, self.beside(data), &data.shape(), parameters, rng, device);
        let decoder = net.and_then(|net| Decoder::new(net, self.likelihood, device))?;
        descent(self.config(data).init(encoder, decoder, prior)?, recipe)
    }

    fn config(&self, data: &Data) -> VaeConfig {
        VaeConfig {
            latents: self.latents,
            objective: self.objective,
            observe: self.observe,
            bound_samples: self.bound_samples,
            classes: data.classes().filter(|_| self.conditional),
        }
    }

    /// The numbers beside what the networks see.
    fn beside(&self, data: &Data) -> usize {
        if self.conditional { data.classes().unwrap_or(0) } else { 0 }
    }

    fn check(&self, data: &Data) -> Outcome {
        if self.conditional && data.classes().is_none() {
            return Err(Failure::new("model.conditional: the data have no classes; set it to false"));
        }
        let plain = self.posterior == PosteriorSpec::Gaussian && self.prior == PriorSpec::StandardNormal;
        if self.decoder != DecoderSpec::Mirrored && !plain {
            let why = "a PixelCNN goes with a gaussian posterior and the standard-normal prior";
            return Err(Failure::new(format!("model.decoder: {why}")));
        }
        check_likelihood(&self.likelihood, data)
    }
}

/// Whether what a decoder gives is a distribution of these data as their view shows them.
pub fn check_likelihood(likelihood: &LikelihoodConfig, data: &Data) -> Outcome {
    use genera_data::View;
    likelihood.check()?;
    let (view, grey) = (data.view(), data.levels().map(usize::from));
    let wrong = |why: String| Err(Failure::new(format!("model.likelihood: {why}")));
    match *likelihood {
        LikelihoodConfig::Bernoulli if !matches!(view, View::Binary | View::DynamicBinary) => {
            wrong("bernoulli is for bits; set data.view to binary or dynamic-binary".to_owned())
        }
        LikelihoodConfig::Categorical { levels } if view != View::Tokens || Some(levels) != grey => {
            wrong(format!("categorical is for the view tokens of data with {levels} levels"))
        }
        LikelihoodConfig::Gaussian { .. } if grey.is_some() => wrong(
            "a gaussian gives grey levels no probability; take discretised-gaussian, or bits and bernoulli".to_owned(),
        ),
        LikelihoodConfig::DiscretisedLogistic { levels, .. } | LikelihoodConfig::DiscretisedGaussian { levels }
            if view != View::Symmetric || Some(levels) != grey =>
        {
            let found = grey.map_or_else(|| "no".to_owned(), |levels| levels.to_string());
            wrong(format!("it is for the symmetric view of data with {levels} levels; these have {found}"))
        }
        _ => Ok(()),
    }
}

fn at_least_one(name: &str, count: usize) -> Outcome {
    if count > 0 { Ok(()) } else { Err(Failure::new(format!("{name} is 0; it must be at least 1"))) }
}
