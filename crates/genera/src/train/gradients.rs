//! The gradient of a loss as named vectors: sums over micro-batches, the global norm, clipping.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients as Tape, Tensor};
use genera_kernels::sum_of_squares;

use super::parameters::flat;
use crate::weights::FieldPath;

/// The gradient with respect to the trained parameters of one module: by path, each flattened to `[N]`. Parameters
/// that the loss does not depend on are absent.
#[derive(Debug, Default)]
pub struct Gradients(BTreeMap<String, Tensor<1>>);

impl Gradients {
    /// `∂ loss / ∂ module`. The loss is `[1]`.
    pub fn of(loss: &Tensor<1>, module: &impl Module) -> Self {
        let mut visitor = Collect { path: FieldPath::default(), tape: loss.backward(), gradients: Self::default() };
        module.visit(&mut visitor);
        visitor.gradients
    }

    /// The sum of two gradients of one module.
    pub fn plus(mut self, other: Self) -> Self {
        for (name, gradient) in other.0 {
            let sum = match self.0.remove(&name) {
                Some(present) => present + gradient,
                None => gradient,
            };
            self.0.insert(name, sum);
        }
        self
    }

    /// The Euclidean norm over all parameters together, added in f64 and always in the same order.
    pub fn norm(&self) -> f64 {
        self.0.values().map(|gradient| sum_of_squares(gradient.clone())).sum::<f64>().sqrt()
    }

    /// These gradients, whose global norm is `norm`, shortened to `most` if they are longer (PyTorch's
    /// `clip_grad_norm_`).
    pub fn clipped(self, norm: f64, most: f64) -> Self {
        let factor = most / (norm + 1e-6);
        if factor >= 1.0 {
            return self;
        }
        Self(self.0.into_iter().map(|(name, gradient)| (name, gradient * factor)).collect())
    }

    /// The gradient of the parameter at `path`, row-major; none if the loss does not depend on it.
    pub fn values(&self, path: &str) -> Option<Vec<f64>> {
        let gradient = self.0.get(path)?;
        Some(gradient.to_data().convert::<f32>().iter::<f32>().map(f64::from).collect())
    }

    /// The gradient of the parameter at `path`, taken out.
    pub(crate) fn take(&mut self, path: &str) -> Option<Tensor<1>> {
        self.0.remove(path)
    }
}

impl FromIterator<(String, Tensor<1>)> for Gradients {
    /// By path, each flattened.
    fn from_iter<I: IntoIterator<Item = (String, Tensor<1>)>>(gradients: I) -> Self {
        Self(gradients.into_iter().collect())
    }
}

struct Collect {
    path: FieldPath,
    tape: Tape,
    gradients: Gradients,
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        // The tape has nothing on tensors without gradient and would panic on those without autodiff.
        if value.is_require_grad()
            && let Some(gradient) = value.grad_remove(&mut self.tape)
        {
            self.gradients.0.insert(self.path.name(), flat(gradient));
        }
    }
}
