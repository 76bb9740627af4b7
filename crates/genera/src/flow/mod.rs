//! Normalizing flows: a density that is exact because the map to noise is invertible.
//!
//! ```text
//! z = f(x)    log p(x) = log p_base(f(x)) + log |det ∂f/∂x|    x = f⁻¹(z), z ~ p_base
//! ```
//!
//! A [`Flow`] is a bijection and a base; a chain of bijections is a `Vec` of them. Forward is always data to noise.
//!
//! | layer | map | paper |
//! |---|---|---|
//! | [`Elementwise`] | one monotone function a column | |
//! | [`Permutation`], [`Squeeze`] | another order of the columns | 1605.08803 |
//! | [`Plu`], [`Qr`], [`Conv1x1`] | `W x`, `W = P L (U + diag s)` or `Q R` | 1807.03039, 1901.11137 |
//! | [`ActNorm`] | scale and shift a channel, from the first batch | 1807.03039 |
//! | [`Planar`], [`Radial`] | `x + u tanh(w·x + b)`, `x + β (x − x₀) / (α + r)` | 1505.05770 |
//! | [`Sylvester`] | `x + Q R tanh(R̃ Qᵀ x + b)` | 1803.05649 |
//! | [`Coupling`] | one part moved by a [`Univariate`] that a network of the other part chooses | 1410.8516, 1605.08803, 1906.04032 |
//! | [`Autoregressive`], its [`Inverse`] | the same, every column given those before it: MAF, IAF | 1705.07057, 1606.04934 |
//! | [`Split`] | a half leaves, normalised given the rest (multi-scale) | 1605.08803, 1807.03039 |
//! | [`Logit`] | an interval to the line | 1605.08803 |
//!
//! A [`Layer`] is any of them, an [`Architecture`] a list of them under the name of its paper. Flows learn from data
//! ([`Flow`] is a [`Model`](crate::traits::Model): forward KL) or from an energy ([`EnergyFlow`]: reverse KL and the
//! alpha-divergences). Numbers with levels are made continuous by [`Dequantised`] (uniform noise) or
//! [`VariationalDequantisation`] (noise that a flow has learnt, a [`Dequantiser`]).

mod actnorm;
mod architecture;
mod autoregressive;
mod base;
mod conv1x1;
mod coupling;
mod dequantise;
mod dequantiser;
mod elementwise;
mod energy;
mod energy_flow;
mod image_net;
mod layer;
mod linear;
mod logit;
mod mask;
mod masked_mlp;
mod matrix;
mod model;
mod permutation;
mod planar;
mod radial;
mod root;
mod spline;
mod split;
mod sylvester;
mod univariate;
mod variational;

use burn::module::Module;
use burn::tensor::Tensor;

pub use actnorm::ActNorm;
pub use architecture::{Architecture, BaseKind, Fast, FlowConfig, Interval};
pub use autoregressive::Autoregressive;
pub use base::{Base, ClassNormals, Mixture, Noise, StandardNormal, UniformBox};
pub use conv1x1::Conv1x1;
pub use coupling::Coupling;
pub use dequantise::Dequantised;
pub use dequantiser::{Dequantiser, NoiseConfig};
pub use elementwise::Elementwise;
pub use energy::{Energy, PlaneEnergy};
pub use energy_flow::EnergyFlow;
pub use image_net::{Body, ImageNet, ImageNetConfig};
pub use layer::Layer;
pub use linear::{Plu, Qr};
pub use logit::Logit;
pub use mask::{Mask, Part};
pub use masked_mlp::{MaskedMlp, MaskedMlpConfig};
pub use model::{Flow, Given};
pub use permutation::{Permutation, Squeeze};
pub use planar::Planar;
pub use radial::Radial;
pub use split::Split;
pub use sylvester::Sylvester;
pub use univariate::{Scale, Univariate};
pub use variational::{DequantiserConfig, VariationalDequantisation};

use crate::traits::{Bijection, Rows};

/// A flow that cannot be made, or a row that it cannot score.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FlowError {
    /// A setting out of its range.
    #[error("{key} is {value} but must be {needed}")]
    Config {
        /// The setting.
        key: &'static str,
        /// What was given.
        value: String,
        /// What would be right.
        needed: String,
    },
    /// A row that the flow cannot score or draw.
    #[error("row {row}: {what}, first at {at}; mend or leave out the row, or train with smaller steps")]
    Row {
        /// The row, counted from zero.
        row: usize,
        /// What is wrong with it.
        what: String,
        /// Where the first number that is not finite arose.
        at: String,
    },
}

impl FlowError {
    /// Nothing if `holds`; otherwise the error that names the setting.
    fn unless(holds: bool, key: &'static str, value: impl ToString, needed: impl Into<String>) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self::Config { key, value: value.to_string(), needed: needed.into() }) }
    }
}

/// What a layer of a flow can do besides being a [`Bijection`]. The defaults are right for layers that look at nothing
/// but their rows.
pub trait Transform: Bijection {
    /// [`Bijection::forward_and_log_det`] given `context` `[B, E]`.
    fn forward_given(&self, x: Rows, _context: Option<&Rows>) -> (Rows, Tensor<1>) {
        self.forward_and_log_det(x)
    }

    /// [`Bijection::inverse_and_log_det`] given `context` `[B, E]`.
    fn inverse_given(&self, z: Rows, _context: Option<&Rows>) -> (Rows, Tensor<1>) {
        self.inverse_and_log_det(z)
    }

    /// The layer with what it takes from the first batch `x`, if it has not been started yet.
    fn started(self, _x: &Rows, _context: Option<&Rows>) -> Self
    where
        Self: Sized,
    {
        self
    }

    /// The bijections that are applied one after the other, each with its name.
    fn stages(&self) -> Vec<(String, &dyn Transform)>;
}

/// What a network that chooses parameters sees of a row: the columns that it may see, and the context.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `[B, I]`.
    pub x: Rows,
    /// `[B, E]`.
    pub context: Option<Rows>,
}

impl Seen {
    /// Both side by side: `[B, I + E]`.
    pub fn joined(self) -> Rows {
        match self.context {
            Some(context) => Tensor::cat(vec![self.x, context], 1),
            None => self.x,
        }
    }
}

impl<T: Transform> Bijection for Vec<T> {
    fn forward_and_log_det(&self, x: Rows) -> (Rows, Tensor<1>) {
        self.forward_given(x, None)
    }

    fn inverse_and_log_det(&self, z: Rows) -> (Rows, Tensor<1>) {
        self.inverse_given(z, None)
    }
}

/// A chain: the first bijection is next to the data.
impl<T: Transform> Transform for Vec<T> {
    fn forward_given(&self, x: Rows, context: Option<&Rows>) -> (Rows, Tensor<1>) {
        let start = no_change(&x);
        self.iter().fold((x, start), |(x, total), layer| {
            let (x, log_det) = layer.forward_given(x, context);
            (x, total + log_det)
        })
    }

    fn inverse_given(&self, z: Rows, context: Option<&Rows>) -> (Rows, Tensor<1>) {
        let start = no_change(&z);
        self.iter().rev().fold((z, start), |(z, total), layer| {
            let (z, log_det) = layer.inverse_given(z, context);
            (z, total + log_det)
        })
    }

    fn started(self, x: &Rows, context: Option<&Rows>) -> Self {
        let mut x = x.clone();
        let mut layers = Self::with_capacity(self.len());
        for layer in self {
            let layer = layer.started(&x, context);
            x = layer.forward_given(x, context).0;
            layers.push(layer);
        }
        layers
    }

    fn stages(&self) -> Vec<(String, &dyn Transform)> {
        let mut all = Vec::new();
        for (at, layer) in self.iter().enumerate() {
            all.extend(layer.stages().into_iter().map(|(name, stage)| (format!("layer {at}, {name}"), stage)));
        }
        all
    }
}

/// A bijection used the other way round: `forward` is the other's `inverse`.
#[derive(Module, Debug)]
pub struct Inverse<T: Module> {
    /// What is turned round.
    pub of: T,
}

impl<T: Module + Transform> Bijection for Inverse<T> {
    fn forward_and_log_det(&self, x: Rows) -> (Rows, Tensor<1>) {
        self.of.inverse_and_log_det(x)
    }

    fn inverse_and_log_det(&self, z: Rows) -> (Rows, Tensor<1>) {
        self.of.forward_and_log_det(z)
    }
}

impl<T: Module + Transform> Transform for Inverse<T> {
    fn forward_given(&self, x: Rows, context: Option<&Rows>) -> (Rows, Tensor<1>) {
        self.of.inverse_given(x, context)
    }

    fn inverse_given(&self, z: Rows, context: Option<&Rows>) -> (Rows, Tensor<1>) {
        self.of.forward_given(z, context)
    }

    fn stages(&self) -> Vec<(String, &dyn Transform)> {
        vec![("inverse".to_owned(), self)]
    }
}

/// A log-determinant of zero for each row: `[B]`.
fn no_change(x: &Rows) -> Tensor<1> {
    Tensor::zeros([x.dims()[0]], &x.device())
}

/// The same log-determinant for each row: `[1] -> [B]`.
fn for_each_row(log_det: Tensor<1>, rows: usize) -> Tensor<1> {
    log_det.expand([rows])
}

/// The sum of each row: `[B, F] -> [B]`.
fn row_sums(x: Rows) -> Tensor<1> {
    x.sum_dim(1).squeeze_dim(1)
}
