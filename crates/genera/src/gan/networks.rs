//! Critics, as recipes write them, and what critics and generators are made of alike.

use burn::module::Module;
use burn::tensor::Device;
use genera_kernels::Activation;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::adversarial::Criticise;
use super::error::GanError;
use crate::nn::derivative::Linearised;
use crate::nn::{
    ActivationName, Additions, ConvCritic, ConvCriticConfig, Critic, Linear, Mlp, MlpConfig, ResidualCritic,
    ResidualCriticConfig, Scorer,
};
use crate::traits::Rows;

/// From a row to its score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum CriticNetConfig {
    /// A perceptron.
    Mlp {
        /// Widths of the hidden layers.
        hidden: Vec<usize>,
        /// What follows them.
        #[serde(default = "leaky", with = "ActivationName")]
        activation: Activation,
    },
    /// Convolutions that halve the image.
    Conv {
        /// Channels after each.
        channels: Vec<usize>,
    },
    /// Residual blocks.
    Residual(ResidualCriticConfig),
}

fn leaky() -> Activation {
    Activation::LeakyRelu
}

/// A critic, apart from what the data say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CriticConfig {
    /// Its network.
    pub net: CriticNetConfig,
    /// Whether it sees the minibatch standard deviation.
    #[serde(default)]
    pub deviation: bool,
}

impl CriticConfig {
    /// Fresh weights for rows of `shape`, and for labels if there are `classes`.
    ///
    /// # Errors
    /// A width of zero, or images where there are none.
    pub fn init(
        &self,
        shape: &[usize],
        classes: Option<usize>,
        rng: &mut Rng,
        device: &Device,
    ) -> Result<Critic<CriticNet>, GanError> {
        let net = match &self.net {
            CriticNetConfig::Mlp { hidden, activation } => {
                CriticNet::Mlp(mlp(shape.iter().product(), hidden, 1, *activation, rng, device)?)
            }
            CriticNetConfig::Conv { channels } => {
                channels.iter().try_for_each(|width| some("channels", *width))?;
                let config = ConvCriticConfig { channels: channels.clone() };
                CriticNet::Conv(config.init(image(shape)?, rng, device))
            }
            CriticNetConfig::Residual(config) => {
                some("channels", config.channels)?;
                let (shape, halvings) = (image(shape)?, config.halvings);
                // A last odd row is left out, so a side has as many halvings as its logarithm is whole.
                if let Some(side) =
                    shape[1..].iter().find(|side| side.checked_ilog2().is_none_or(|n| (n as usize) < halvings))
                {
                    return Err(GanError::Halvings { side: *side, halvings });
                }
                CriticNet::Residual(config.init(shape, rng, device))
            }
        };
        Ok(Critic::new(net, Additions { classes, deviation: self.deviation }, rng, device))
    }
}

pub(super) fn mlp(
    inputs: usize,
    hidden: &[usize],
    outputs: usize,
    activation: Activation,
    rng: &mut Rng,
    device: &Device,
) -> Result<Mlp, GanError> {
    hidden.iter().try_for_each(|width| some("hidden", *width))?;
    Ok(MlpConfig { inputs, hidden: hidden.to_vec(), outputs, activation }.init(rng, device))
}

pub(super) fn some(name: &'static str, count: usize) -> Result<(), GanError> {
    if count > 0 { Ok(()) } else { Err(GanError::Zero(name)) }
}

pub(super) fn image(shape: &[usize]) -> Result<[usize; 3], GanError> {
    shape.try_into().map_err(|_| GanError::NoImage(shape.to_vec()))
}

/// An image whose sides can be halved so often without rest.
pub(super) fn halved(shape: &[usize], halvings: usize) -> Result<[usize; 3], GanError> {
    let shape = image(shape)?;
    let whole = |side: usize| halvings < usize::BITS as usize && side.is_multiple_of(1 << halvings);
    match shape[1..].iter().find(|side| !whole(**side)) {
        Some(side) => Err(GanError::Side { side: *side, halvings }),
        None => Ok(shape),
    }
}

/// What [`CriticNetConfig`] describes.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub enum CriticNet {
    /// A perceptron.
    Mlp(Mlp),
    /// Convolutions.
    Conv(ConvCritic),
    /// Residual blocks.
    Residual(ResidualCritic),
}

impl CriticNet {
    fn scorer(&self) -> &dyn Scorer {
        match self {
            Self::Mlp(net) => net,
            Self::Conv(net) => net,
            Self::Residual(net) => net,
        }
    }
}

impl Scorer for CriticNet {
    fn features(&self, x: Rows) -> Rows {
        self.scorer().features(x)
    }

    fn linearise_features(&self, x: Rows) -> Linearised<'_, Rows, Rows> {
        self.scorer().linearise_features(x)
    }

    fn output(&self) -> &Linear {
        self.scorer().output()
    }
}

impl<S: Module + Scorer> Criticise for Critic<S> {
    fn features(&self, x: Rows) -> Rows {
        Self::features(self, x)
    }
}
