//! Continuous normalizing flows: a vector field carries data to noise, and its divergence counts the volume.
//!
//! ```text
//! dz/dt = f(z, t),   z(0) = x,   z(1) ~ N(0, I)
//! log p(x) = log N(z(1); 0, I) + ∫₀¹ tr ∂f/∂z dt              the instantaneous change of variables
//! tr A = E εᵀ A ε   for E ε εᵀ = I                            Hutchinson's estimator
//! ```
//!
//! Chen et al., "Neural ordinary differential equations" (arXiv:1806.07366); Grathwohl et al., FFJORD
//! (arXiv:1810.01367); the regularisers of Finlay et al., "How to train your neural ODE" (arXiv:2002.02798). What
//! differs: every row is integrated with steps of its own ([`crate::ode`]), so that `log p(x)` does not depend on the
//! batch that `x` is in, and the derivatives of a [`VectorField`] are spelled out instead of taken by a second
//! differentiation.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};

mod augmented;
mod backward;
mod field;
mod matching;
mod mlp;
mod model;
mod neural_ode;
mod pass;
mod time;
mod trace;

pub use backward::Backward;
pub use field::{Cotangents, Linearisation, Traced, VectorField, Wanted};
pub use mlp::{FieldMlp, FieldMlpConfig, Smooth, TimeInput};
pub use model::{ContinuousFlow, ContinuousFlowConfig, Integration};
pub use neural_ode::{NeuralOde, NeuralOdeConfig};

use crate::ode::OdeError;
pub use crate::ode::{Divergence, Noise};
use crate::traits::Rows;

/// Settings of a continuous flow that make no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ContinuousError {
    /// A solver that cannot work.
    #[error("{name}: {source}")]
    Solver {
        /// The setting.
        name: &'static str,
        /// What is wrong with it.
        source: OdeError,
    },
    /// A number out of its range.
    #[error("{name} is {value}; it must be {needed}")]
    Range {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: f64,
        /// What would be right.
        needed: &'static str,
    },
}

/// Nothing if `ok`; otherwise the error that names the setting.
fn within(ok: bool, name: &'static str, value: f64, needed: &'static str) -> Result<(), ContinuousError> {
    if ok { Ok(()) } else { Err(ContinuousError::Range { name, value, needed }) }
}

/// The values of `x`, row-major.
fn host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    // Reading fails only when the device itself has failed, after which nothing can go on.
    x.try_into_vec_as::<f32>().expect("the device lost its data")
}

/// `values` as `[n, width]` in single precision.
fn device_rows(values: impl Iterator<Item = f64>, width: usize, device: &Device) -> Rows {
    let values: Vec<f32> = values.map(|value| value as f32).collect();
    let n = values.len() / width.max(1);
    Tensor::from_data(TensorData::new(values, [n, width]), device)
}

/// Where the parameters live, without autodiff.
fn plain_device(module: &impl Module) -> Device {
    module.devices().into_iter().next().unwrap_or_default().inner()
}

/// The tensor without autodiff.
fn plain<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if x.is_autodiff() { x.inner() } else { x }
}

/// A scalar equal to `value` whose gradient with respect to the parameters of `module` is `gradient`: one vector a
/// parameter in the order of a visit. Where nothing is trained it is just the number.
///
/// `Σ ⟨θ, g⟩ − sg(Σ ⟨θ, g⟩) + value`: the only way to hand a gradient computed elsewhere to a graph that works on every
/// device.
fn with_gradient(module: &impl Module, value: f64, gradient: Vec<Tensor<1>>) -> Tensor<1> {
    let mut visitor = Products { gradient: gradient.into_iter(), total: None };
    module.visit(&mut visitor);
    match visitor.total {
        Some(total) => total.clone() - total.detach() + value,
        None => Tensor::from_data(TensorData::from([value as f32]), &plain_device(module)),
    }
}

struct Products {
    gradient: std::vec::IntoIter<Tensor<1>>,
    total: Option<Tensor<1>>,
}

impl ModuleVisitor for Products {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let Some(gradient) = self.gradient.next() else { return };
        if !value.is_require_grad() {
            return;
        }
        let elements = value.dims().iter().product::<usize>();
        let product = (value.reshape([elements]) * Tensor::from_inner(gradient)).sum();
        self.total = Some(match self.total.take() {
            Some(total) => total + product,
            None => product,
        });
    }
}
