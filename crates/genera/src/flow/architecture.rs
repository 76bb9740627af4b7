//! Flows as papers and recipes name them.

use burn::tensor::Device;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::base::{ClassNormals, Noise};
use super::{
    ActNorm, Autoregressive, Body, Conv1x1, Coupling, Elementwise, Flow, FlowError, ImageNet, ImageNetConfig, Inverse,
    Layer, Logit, Mask, MaskedMlpConfig, Mixture, Part, Permutation, Planar, Plu, Qr, Radial, Scale, Split, Squeeze,
    StandardNormal, Sylvester, UniformBox, Univariate,
};
use crate::nn::{Activation, Embedding, MlpConfig};

/// A chain of layers under the name of its paper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Architecture {
    /// Planar flows (arXiv:1505.05770).
    Planar {
        /// How many.
        layers: usize,
    },
    /// Radial flows (arXiv:1505.05770).
    Radial {
        /// How many.
        layers: usize,
    },
    /// Sylvester flows (arXiv:1803.05649).
    Sylvester {
        /// How many.
        layers: usize,
        /// Hidden units of each.
        hidden: usize,
    },
    /// One linear map, by triangular factors.
    Plu,
    /// One linear map, by reflections.
    Qr,
    /// Couplings of two halves in turn: NICE with `additive`, RealNVP with `{ affine = "soft" }`, a neural spline flow
    /// with `{ spline = { bins = 8, bound = 4.0 } }`.
    Coupling {
        /// How many.
        layers: usize,
        /// Hidden layers of each network.
        hidden: Vec<usize>,
        /// What moves a number.
        univariate: Univariate,
    },
    /// Autoregressive maps in alternating orders: MAF with `{ affine = "soft" }`.
    Autoregressive {
        /// How many.
        layers: usize,
        /// Hidden layers of each network.
        hidden: Vec<usize>,
        /// What moves a number.
        univariate: Univariate,
    },
    /// RealNVP for images (arXiv:1605.08803): `couplings` with a checkerboard, as many of channels on the squeezed
    /// image, as many with a checkerboard.
    RealNvp {
        /// Couplings in each of the three parts.
        couplings: usize,
        /// Channels of each network.
        channels: usize,
        /// Residual blocks of each network.
        blocks: usize,
    },
    /// Glow (arXiv:1807.03039).
    Glow {
        /// How often the image is squeezed; half of the channels leave after each but the last.
        levels: usize,
        /// Steps of activation normalisation, 1x1 convolution and coupling a level.
        steps: usize,
        /// Channels of each network.
        channels: usize,
        /// The slopes of the couplings.
        #[serde(default = "of_the_paper")]
        scale: Scale,
    },
}

fn of_the_paper() -> Scale {
    Scale::Sigmoid
}

/// Which direction takes one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fast {
    /// Data to noise: what learning from data needs. Every chain begins with an [`ActNorm`] here.
    #[default]
    Density,
    /// Noise to data: what learning from an energy needs. The chain is used the other way round, so that
    /// autoregressive maps become IAF.
    Sampling,
}

/// What the flow ends in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum BaseKind {
    /// Standard normal.
    #[default]
    Normal,
    /// Uniform on `[low, high]` in every column.
    Uniform {
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
    },
    /// A mixture of so many normals.
    Mixture(usize),
    /// A normal for each class.
    Classes,
}

/// An interval that the data lie in, and RealNVP's `α`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// How much of the unit interval is kept free at both ends.
    #[serde(default)]
    pub alpha: f64,
}

/// A flow, apart from what its data say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowConfig {
    /// The layers.
    pub architecture: Architecture,
    /// Which direction takes one pass.
    #[serde(default)]
    pub fast: Fast,
    /// What the flow ends in.
    #[serde(default)]
    pub base: BaseKind,
    /// A [`Logit`] of this interval comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// The width of what networks are told of the class; 0 if they are told nothing.
    #[serde(default)]
    pub context: usize,
}

impl FlowConfig {
    /// A flow for data of event shape `shape`, with `classes` if it is to be told them.
    ///
    /// # Errors
    /// The first setting that has no meaning, by itself or with these data.
    pub fn init(
        &self,
        shape: &[usize],
        classes: Option<usize>,
        rng: &mut Rng,
        device: &Device,
    ) -> Result<Flow<Vec<Layer>, Noise>, FlowError> {
        let features: usize = shape.iter().product();
        FlowError::unless(features > 0, "the shape of the data", format!("{shape:?}"), "of at least one number")?;
        let wants = self.context > 0 || self.base == BaseKind::Classes;
        FlowError::unless(
            !wants || classes.is_some(),
            "the number of classes",
            "unknown",
            "known to a flow that is told them",
        )?;

        let parts = Parts { shape, features, context: self.context, device };
        let chain = parts.chain(&self.architecture, rng)?;
        let interval = self.interval.map(|Interval { low, high, alpha }| Logit::new(low, high, alpha)).transpose()?;
        let mut layers: Vec<Layer> = interval.map(Layer::Logit).into_iter().collect();
        match self.fast {
            Fast::Density => {
                layers.push(Layer::ActNorm(ActNorm::new(features, device)));
                layers.extend(chain);
            }
            Fast::Sampling => layers.push(Layer::Inverse(Inverse { of: chain })),
        }
        let label = classes.filter(|_| self.context > 0);
        let label = label.map(|classes| Embedding::new(classes, self.context, rng, device));
        let base = match self.base {
            BaseKind::Normal => Noise::Normal(StandardNormal::new(features, device)),
            BaseKind::Uniform { low, high } => Noise::Uniform(UniformBox::new(features, low, high, device)?),
            BaseKind::Mixture(components) => {
                FlowError::unless(components > 0, "base.mixture", components, "at least 1")?;
                Noise::Mixture(Mixture::new(components, features, rng, device))
            }
            BaseKind::Classes => Noise::Classes(ClassNormals::new(classes.unwrap_or(1), features, rng, device)),
        };
        Ok(Flow { bijection: layers, base, label, entropy: None })
    }
}

/// What every layer is made for.
pub(super) struct Parts<'a> {
    pub shape: &'a [usize],
    pub features: usize,
    /// The width of what the networks are told of each row.
    pub context: usize,
    pub device: &'a Device,
}

impl Parts<'_> {
    fn chain(&self, architecture: &Architecture, rng: &mut Rng) -> Result<Vec<Layer>, FlowError> {
        let Self { features, device, .. } = *self;
        let count = |key, layers: usize| FlowError::unless((1..=1024).contains(&layers), key, layers, "1 to 1024");
        match architecture {
            Architecture::Planar { layers } => {
                count("layers", *layers)?;
                Ok((0..*layers).map(|_| Layer::Planar(Planar::new(features, rng, device))).collect())
            }
            Architecture::Radial { layers } => {
                count("layers", *layers)?;
                Ok((0..*layers).map(|_| Layer::Radial(Radial::new(features, rng, device))).collect())
            }
            Architecture::Sylvester { layers, hidden } => {
                count("layers", *layers)?;
                let one = |_| Ok(Layer::Sylvester(Sylvester::new(features, *hidden, rng, device)?));
                (0..*layers).map(one).collect()
            }
            Architecture::Plu => Ok(vec![Layer::Plu(Plu::new(features, rng, device))]),
            Architecture::Qr => Ok(vec![Layer::Qr(Qr::new(features, rng, device))]),
            Architecture::Coupling { layers, hidden, univariate } => {
                count("layers", *layers)?;
                self.couplings(*layers, hidden, *univariate, rng)
            }
            Architecture::Autoregressive { layers, hidden, univariate } => {
                count("layers", *layers)?;
                self.autoregressive(*layers, hidden, *univariate, rng)
            }
            Architecture::RealNvp { couplings, channels, blocks } => {
                count("couplings", *couplings)?;
                count("channels", *channels)?;
                self.real_nvp(self.image()?, *couplings, *channels, Body::Residual(*blocks), rng)
            }
            Architecture::Glow { levels, steps, channels, scale } => {
                count("levels", *levels)?;
                count("steps", *steps)?;
                count("channels", *channels)?;
                self.glow(self.image()?, [*levels, *steps, *channels], *scale, rng)
            }
        }
    }

    fn image(&self) -> Result<[usize; 3], FlowError> {
        let found = format!("{:?}", self.shape);
        let error = || FlowError::Config { key: "the shape of the data", value: found, needed: "[C, H, W]".to_owned() };
        <[usize; 3]>::try_from(self.shape).map_err(|_| error())
    }

    /// Couplings of alternating halves; with more than two columns these are mixed between layers.
    pub fn couplings(
        &self,
        layers: usize,
        hidden: &[usize],
        univariate: Univariate,
        rng: &mut Rng,
    ) -> Result<Vec<Layer>, FlowError> {
        let Self { features, context, device, .. } = *self;
        univariate.check()?;
        FlowError::unless(features > 1, "the width of a row", features, "at least 2 for a coupling")?;
        let mut chain = Vec::new();
        for layer in 0..layers {
            if layer > 0 && features > 2 {
                // From the number of the layer alone: an order is no part of a checkpoint.
                let mut order = Rng::new(layer as u64).fork("permutation");
                chain.push(Layer::Permutation(Permutation::random(features, &mut order, device)?));
            }
            let mask = Mask::Halves(Part::alternating(layer));
            let (kept, moved) = mask.widths(features);
            let net = MlpConfig {
                inputs: kept + context,
                hidden: hidden.to_vec(),
                outputs: moved * univariate.parameters(),
                activation: Activation::Silu,
            };
            chain.push(Layer::Coupling(Coupling::new(net.init(rng, device), mask, univariate, device)));
        }
        Ok(chain)
    }

    fn autoregressive(
        &self,
        layers: usize,
        hidden: &[usize],
        univariate: Univariate,
        rng: &mut Rng,
    ) -> Result<Vec<Layer>, FlowError> {
        let Self { features, context, device, .. } = *self;
        univariate.check()?;
        let one = |layer: usize| {
            let forth = 0..features;
            let order: Vec<usize> = if layer.is_multiple_of(2) { forth.collect() } else { forth.rev().collect() };
            let net = MaskedMlpConfig {
                order: order.clone(),
                context,
                hidden: hidden.to_vec(),
                parameters: univariate.parameters(),
                activation: Activation::Silu,
            };
            Ok(Layer::Autoregressive(Autoregressive::new(net.init(rng, device)?, order, univariate)))
        };
        (0..layers).map(one).collect()
    }

    /// A network that sees `shape` and gives `parameters` numbers for each of `moved` channels.
    fn image_net(&self, shape: [usize; 3], channels: usize, body: Body, outputs: usize, rng: &mut Rng) -> ImageNet {
        ImageNetConfig { shape, context: self.context, channels, body, outputs }.init(rng, self.device)
    }

    /// `count` couplings, each after an activation normalisation. Checkerboards see whole images, halves of channels
    /// half of them.
    fn image_couplings(
        &self,
        shape: [usize; 3],
        mask: fn([usize; 3], Part) -> Mask,
        count: usize,
        net: (usize, Body),
        rng: &mut Rng,
    ) -> Vec<Layer> {
        let [all, height, width] = shape;
        let coupling = |at: usize| {
            let mask = mask(shape, Part::alternating(at));
            let area = height * width;
            let (kept, moved) = mask.widths(all * area);
            let net = self.image_net([kept / area, height, width], net.0, net.1, 2 * moved / area, rng);
            [
                Layer::ActNorm(ActNorm::new(all, self.device)),
                Layer::ImageCoupling(Coupling::bounded(net, mask, self.device)),
            ]
        };
        (0..count).flat_map(coupling).collect()
    }

    fn real_nvp(
        &self,
        shape: [usize; 3],
        couplings: usize,
        channels: usize,
        body: Body,
        rng: &mut Rng,
    ) -> Result<Vec<Layer>, FlowError> {
        let squeeze = Squeeze::new(shape)?;
        let net = (channels, body);
        let mut chain = self.image_couplings(shape, Mask::Checkerboard, couplings, net, rng);
        chain.push(Layer::Squeeze(squeeze.clone()));
        chain.extend(self.image_couplings(squeeze.squeezed(), |_, part| Mask::Halves(part), couplings, net, rng));
        chain.push(Layer::Inverse(Inverse { of: vec![Layer::Squeeze(squeeze)] }));
        chain.extend(self.image_couplings(shape, Mask::Checkerboard, couplings, net, rng));
        Ok(chain)
    }

    fn glow(
        &self,
        shape: [usize; 3],
        [levels, steps, channels]: [usize; 3],
        scale: Scale,
        rng: &mut Rng,
    ) -> Result<Vec<Layer>, FlowError> {
        let squeeze = Squeeze::new(shape)?;
        let squeezed = squeeze.squeezed();
        let [all, height, width] = squeezed;
        let half = [all / 2, height, width];
        let mask = Mask::Halves(Part::First);
        let mut chain = vec![Layer::Squeeze(squeeze)];
        for _ in 0..steps {
            chain.push(Layer::ActNorm(ActNorm::new(all, self.device)));
            chain.push(Layer::Conv1x1(Conv1x1::new(squeezed, rng, self.device)));
            let net = self.image_net(half, channels, Body::Pointwise, all, rng);
            let coupling = Coupling::new(net, mask, Univariate::Affine(scale), self.device);
            chain.push(Layer::ImageCoupling(coupling));
        }
        chain.push(if levels > 1 {
            let net = self.image_net(half, channels, Body::Residual(0), all, rng);
            let prior = Coupling::new(net, mask, Univariate::Affine(Scale::Soft), self.device);
            Layer::Split(Split { prior, rest: self.glow(half, [levels - 1, steps, channels], scale, rng)? })
        } else {
            // The prior of what is left.
            Layer::Elementwise(Elementwise::new(all * height * width, Univariate::Affine(Scale::Soft), self.device))
        });
        Ok(chain)
    }
}
