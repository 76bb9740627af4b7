//! A perceptron as a vector field.
//!
//! ```text
//! p₁ = W₁ z + W_t e(t) + b₁,   h_l = φ(p_l),   p_{l+1} = W_{l+1} h_l + b_{l+1},   f = p_{L+1}
//! ```
//!
//! With the time concatenated it is zuko's field (its features `cos kπt`, `sin kπt` before those of the data, as here);
//! with no frequency at all `t` itself is concatenated, as in FFJORD.

use burn::module::Module;
use burn::tensor::Device;
use genera_kernels::Activation;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::field::{Linearisation, Traced, VectorField};
use super::pass::Pass;
use super::{ContinuousError, trace, within};
use crate::nn::Linear;
use crate::traits::Rows;

/// What a [`FieldMlp`] looks like, apart from the data it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FieldMlpConfig {
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// What follows every layer but the last.
    pub activation: Smooth,
    /// How the time comes in.
    pub time: TimeInput,
}

impl Default for FieldMlpConfig {
    /// Three hidden layers of 64 with tanh, and three frequencies of the time beside the data.
    fn default() -> Self {
        Self { hidden: vec![64; 3], activation: Smooth::Tanh, time: TimeInput::Concatenated(3) }
    }
}

/// An activation with two derivatives that are functions of its value `h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Smooth {
    /// `φ' = 1 − h²`, `φ'' = −2 h φ'`.
    Tanh,
    /// `φ' = 1 − e⁻ʰ`, `φ'' = φ' (1 − φ')`.
    Softplus,
}

impl Smooth {
    pub(super) fn activation(self) -> Activation {
        match self {
            Self::Tanh => Activation::Tanh,
            Self::Softplus => Activation::Softplus,
        }
    }

    /// `φ'` from `φ`.
    pub(super) fn slope(self, h: Rows) -> Rows {
        match self {
            Self::Tanh => h.clone().mul(h).neg().add_scalar(1.0),
            Self::Softplus => h.neg().exp().neg().add_scalar(1.0),
        }
    }

    /// `φ'' / φ'` from `φ`.
    pub(super) fn relative_bend(self, h: Rows) -> Rows {
        match self {
            Self::Tanh => h.mul_scalar(-2.0),
            Self::Softplus => h.neg().exp(),
        }
    }
}

/// How the time comes into a perceptron.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeInput {
    /// `cos kπt` and `sin kπt` for `k = 1..=K` beside the data, before them; for `K = 0` the time itself.
    Concatenated(usize),
    /// The same numbers added to the first hidden layer before its activation, whose width must be at least `2 K`.
    Added(usize),
}

impl TimeInput {
    /// Columns of the first weight that belong to the time.
    pub(super) fn columns(self) -> usize {
        match self {
            Self::Concatenated(frequencies) => (2 * frequencies).max(1),
            Self::Added(_) => 0,
        }
    }
}

impl FieldMlpConfig {
    /// Fresh weights for rows of length `features`.
    ///
    /// # Errors
    /// No hidden layer, one without units, or a first one too narrow for the times added to it.
    pub fn init(&self, features: usize, rng: &mut Rng, device: &Device) -> Result<FieldMlp, ContinuousError> {
        within(features > 0, "features", features as f64, "the width of a row, at least 1")?;
        within(!self.hidden.is_empty(), "the number of hidden layers", 0.0, "at least 1")?;
        within(self.hidden.iter().all(|width| *width > 0), "a hidden width", 0.0, "at least 1")?;
        if let TimeInput::Added(frequencies) = self.time {
            let needed = "at most half the width of the first hidden layer";
            within(2 * frequencies <= self.hidden[0], "time.added", frequencies as f64, needed)?;
        }
        let inputs = [self.time.columns() + features].into_iter().chain(self.hidden.iter().copied());
        let outputs = self.hidden.iter().copied().chain([features]);
        let layers = inputs.zip(outputs).map(|(i, o)| Linear::new(i, o, rng, device)).collect();
        Ok(FieldMlp { layers, config: self.clone() })
    }
}

/// A perceptron of data and time: `[B, F] -> [B, F]`.
#[derive(Module, Debug)]
pub struct FieldMlp {
    pub(super) layers: Vec<Linear>,
    #[module(skip)]
    pub(super) config: FieldMlpConfig,
}

impl VectorField for FieldMlp {
    fn features(&self) -> usize {
        self.layers[self.layers.len() - 1].weight.dims()[0]
    }

    fn forward(&self, t: &[f64], z: Rows) -> Rows {
        Pass::new(self, t, z, None).value
    }

    fn linearise(&self, t: &[f64], z: Rows, v: Option<Rows>) -> Linearisation {
        let pass = Pass::new(self, t, z, v);
        Linearisation {
            value: pass.value.clone(),
            jvp: pass.jvp.clone(),
            pull_back: Box::new(move |a, c, wanted| pass.pull_back(a, c, &[], wanted)),
        }
    }

    fn trace(&self, t: &[f64], z: Rows) -> Traced {
        match self.config.hidden.len() {
            2 => trace::of_two_layers(Pass::new(self, t, z, None)),
            _ => trace::along_axes(self, t, z),
        }
    }
}
