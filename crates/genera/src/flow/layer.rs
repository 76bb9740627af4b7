//! Every layer under one type, so that a chain may mix them.

use burn::module::Module;
use burn::tensor::Tensor;

use super::{
    ActNorm, Autoregressive, Conv1x1, Coupling, Elementwise, ImageNet, Inverse, Logit, MaskedMlp, Permutation, Planar,
    Plu, Qr, Radial, Split, Squeeze, Sylvester, Transform,
};
use crate::nn::Mlp;
use crate::traits::{Bijection, Rows};

/// A bijection of any kind.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a chain has few of them, and tensors live elsewhere")]
pub enum Layer {
    /// One monotone function a column.
    Elementwise(Elementwise),
    /// Another order of the columns.
    Permutation(Permutation),
    /// Pixels to channels.
    Squeeze(Squeeze),
    /// A linear map by its triangular factors.
    Plu(Plu),
    /// A linear map by reflections and a triangle.
    Qr(Qr),
    /// A linear map of channels.
    Conv1x1(Conv1x1),
    /// A scale and shift of channels.
    ActNorm(ActNorm),
    /// A planar flow.
    Planar(Planar),
    /// A radial flow.
    Radial(Radial),
    /// A Sylvester flow.
    Sylvester(Sylvester),
    /// A coupling of rows.
    Coupling(Coupling<Mlp>),
    /// A coupling of images.
    ImageCoupling(Coupling<ImageNet>),
    /// A masked autoregressive flow.
    Autoregressive(Autoregressive<MaskedMlp>),
    /// Half of the channels of an image leave.
    Split(Split<ImageNet>),
    /// An interval to the line.
    Logit(Logit),
    /// Several, one after the other.
    Chain(Vec<Layer>),
    /// Several, the other way round.
    Inverse(Inverse<Vec<Layer>>),
}

/// Runs `$body` with `$layer` naming what a [`Layer`] holds.
macro_rules! each {
    ($self:expr, $layer:ident => $body:expr) => {
        each!(@ $self, $layer => $body, Elementwise Permutation Squeeze Plu Qr Conv1x1 ActNorm Planar Radial Sylvester
            Coupling ImageCoupling Autoregressive Split Logit Chain Inverse)
    };
    (@ $self:expr, $layer:ident => $body:expr, $($kind:ident)*) => {
        match $self {
            $(Layer::$kind($layer) => $body,)*
        }
    };
}

/// The same, and the result is of the same kind.
macro_rules! map_each {
    ($self:expr, $layer:ident => $body:expr) => {
        map_each!(@ $self, $layer => $body, Elementwise Permutation Squeeze Plu Qr Conv1x1 ActNorm Planar Radial
            Sylvester Coupling ImageCoupling Autoregressive Split Logit Chain Inverse)
    };
    (@ $self:expr, $layer:ident => $body:expr, $($kind:ident)*) => {
        match $self {
            $(Layer::$kind($layer) => Layer::$kind($body),)*
        }
    };
}

impl Bijection for Layer {
    fn forward_and_log_det(&self, x: Rows) -> (Rows, Tensor<1>) {
        each!(self, layer => layer.forward_and_log_det(x))
    }

    fn inverse_and_log_det(&self, z: Rows) -> (Rows, Tensor<1>) {
        each!(self, layer => layer.inverse_and_log_det(z))
    }
}

impl Transform for Layer {
    fn forward_given(&self, x: Rows, context: Option<&Rows>) -> (Rows, Tensor<1>) {
        each!(self, layer => layer.forward_given(x, context))
    }

    fn inverse_given(&self, z: Rows, context: Option<&Rows>) -> (Rows, Tensor<1>) {
        each!(self, layer => layer.inverse_given(z, context))
    }

    fn started(self, x: &Rows, context: Option<&Rows>) -> Self {
        map_each!(self, layer => layer.started(x, context))
    }

    fn stages(&self) -> Vec<(String, &dyn Transform)> {
        each!(self, layer => layer.stages())
    }
}
