//! Fully connected networks: plain, conditioned on time, and residual.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use genera_kernels::Activation;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::activation::ActivationName;
use super::derivative::Linearised;
use super::embed::{Condition, Halves, add_labels, sinusoids};
use super::init::constant;
use super::{Conditioned, Embedding, LayerNorm, Linear, Scorer};
use crate::traits::{Net, Rows};

/// What an [`Mlp`] looks like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MlpConfig {
    /// Length of the input.
    pub inputs: usize,
    /// Widths of the hidden layers, from input to output.
    pub hidden: Vec<usize>,
    /// Length of the output.
    pub outputs: usize,
    /// What follows every layer but the last.
    #[serde(with = "ActivationName")]
    pub activation: Activation,
}

impl MlpConfig {
    /// Fresh weights.
    pub fn init(&self, rng: &mut Rng, device: &Device) -> Mlp {
        let inputs = [self.inputs].into_iter().chain(self.hidden.iter().copied());
        let outputs = self.hidden.iter().copied().chain([self.outputs]);
        let layers = inputs.zip(outputs).map(|(i, o)| Linear::new(i, o, rng, device)).collect();
        Mlp { layers, activation: self.activation }
    }
}

/// Linear maps with an activation between: `[B, inputs] -> [B, outputs]`.
#[derive(Module, Debug)]
pub struct Mlp {
    pub(super) layers: Vec<Linear>,
    #[module(skip)]
    pub(super) activation: Activation,
}

impl Mlp {
    /// The network with its last layer at zero: at first it gives zero, whatever it sees.
    pub fn silenced(mut self, device: &Device) -> Self {
        if let Some(Linear { weight, bias }) = self.layers.last_mut() {
            let [outputs, inputs] = weight.lazy_shape().dims();
            *weight = constant([outputs, inputs], 0.0, device);
            *bias = Some(constant([outputs], 0.0, device));
        }
        self
    }
}

impl Scorer for Mlp {
    fn features(&self, x: Rows) -> Rows {
        let hidden = &self.layers[..self.layers.len() - 1];
        hidden.iter().fold(x, |x, layer| layer.forward_into(x, self.activation))
    }

    fn linearise_features(&self, x: Rows) -> Linearised<'_, Rows, Rows> {
        self.linearise_hidden(x)
    }

    fn output(&self) -> &Linear {
        &self.layers[self.layers.len() - 1]
    }
}

impl Net for Mlp {
    fn forward(&self, x: Rows) -> Rows {
        self.output().forward(self.features(x))
    }
}

/// What a [`ConditionalMlp`] looks like, apart from the data it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConditionalMlpConfig {
    /// Width of every hidden layer and of the time embedding.
    pub width: usize,
    /// Hidden layers after the first.
    pub layers: usize,
    /// What follows every layer but the last.
    #[serde(with = "ActivationName")]
    pub activation: Activation,
}

impl Default for ConditionalMlpConfig {
    /// The network for two-dimensional data: three hidden layers of 128 with SELU.
    fn default() -> Self {
        Self { width: 128, layers: 2, activation: Activation::Selu }
    }
}

impl ConditionalMlpConfig {
    /// Fresh weights for rows of length `features`, and for labels if there are `classes`.
    pub fn init(&self, features: usize, classes: Option<usize>, rng: &mut Rng, device: &Device) -> ConditionalMlp {
        let width = self.width;
        ConditionalMlp {
            projection: Linear::new(features, width, rng, device),
            label: classes.map(|classes| Embedding::new(classes, width, rng, device)),
            layers: (0..self.layers).map(|_| Linear::new(width, width, rng, device)).collect(),
            output: Linear::new(width, features, rng, device),
            config: self.clone(),
        }
    }
}

/// An MLP to whose first hidden layer the sinusoids of the time are added: `[B, F] -> [B, F]`.
#[derive(Module, Debug)]
pub struct ConditionalMlp {
    pub(super) projection: Linear,
    label: Option<Embedding>,
    pub(super) layers: Vec<Linear>,
    pub(super) output: Linear,
    #[module(skip)]
    pub(super) config: ConditionalMlpConfig,
}

impl ConditionalMlp {
    /// What is added to the first hidden layer: `[B], [B] -> [B, width]`.
    pub(super) fn embedding(&self, time: Tensor<1>, labels: Option<Tensor<1, Int>>) -> Rows {
        add_labels(sinusoids(time, self.config.width, 0.0, Halves::SinCos), self.label.as_ref(), labels)
    }
}

impl Net<Conditioned> for ConditionalMlp {
    fn forward(&self, Conditioned { x, time, labels }: Conditioned) -> Rows {
        let activation = self.config.activation;
        let embedding = self.embedding(time, labels);
        let h = genera_kernels::activate(self.projection.forward(x) + embedding, activation);
        let h = self.layers.iter().fold(h, |h, layer| layer.forward_into(h, activation));
        self.output.forward(h)
    }
}

/// What a [`ResidualMlp`] looks like, apart from the data it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResidualMlpConfig {
    /// Width of the residual stream and of the time embedding.
    pub width: usize,
    /// Number of residual blocks.
    pub blocks: usize,
    /// The activation inside a block.
    #[serde(with = "ActivationName")]
    pub activation: Activation,
}

impl Default for ResidualMlpConfig {
    fn default() -> Self {
        Self { width: 128, blocks: 3, activation: Activation::Silu }
    }
}

impl ResidualMlpConfig {
    /// Fresh weights for rows of length `features`, and for labels if there are `classes`.
    pub fn init(&self, features: usize, classes: Option<usize>, rng: &mut Rng, device: &Device) -> ResidualMlp {
        let width = self.width;
        ResidualMlp {
            projection: Linear::new(features, width, rng, device),
            condition: Condition::new(width, classes, rng, device),
            blocks: (0..self.blocks).map(|_| ResidualBlock::new(width, self.activation, rng, device)).collect(),
            norm: LayerNorm::new(width, 1e-5, device),
            output: Linear::new(width, features, rng, device),
        }
    }
}

/// A residual MLP with the time and the class in every block: `[B, F] -> [B, F]`.
#[derive(Module, Debug)]
pub struct ResidualMlp {
    pub(super) projection: Linear,
    pub(super) condition: Condition,
    pub(super) blocks: Vec<ResidualBlock>,
    pub(super) norm: LayerNorm,
    pub(super) output: Linear,
}

impl Net<Conditioned> for ResidualMlp {
    fn forward(&self, Conditioned { x, time, labels }: Conditioned) -> Rows {
        let embedding = self.condition.forward(time, labels);
        let h = self.blocks.iter().fold(self.projection.forward(x), |h, block| block.forward(h, embedding.clone()));
        self.output.forward(self.norm.forward(h))
    }
}

/// `h + W₂ f(W₁ norm(h) + W₃ e)`.
#[derive(Module, Debug)]
pub(super) struct ResidualBlock {
    pub(super) norm: LayerNorm,
    pub(super) linear_1: Linear,
    pub(super) time: Linear,
    pub(super) linear_2: Linear,
    #[module(skip)]
    pub(super) activation: Activation,
}

impl ResidualBlock {
    fn new(width: usize, activation: Activation, rng: &mut Rng, device: &Device) -> Self {
        Self {
            norm: LayerNorm::new(width, 1e-5, device),
            linear_1: Linear::new(width, width, rng, device),
            time: Linear::new(width, width, rng, device),
            linear_2: Linear::new(width, width, rng, device),
            activation,
        }
    }

    fn forward(&self, h: Rows, embedding: Rows) -> Rows {
        let inner = self.linear_1.forward(self.norm.forward(h.clone())) + self.time.forward(embedding);
        h + self.linear_2.forward(genera_kernels::activate(inner, self.activation))
    }
}
