//! A neural ordinary differential equation as a network: `y = x + ∫ f(z, t) dt`.
//!
//! Chen et al. (arXiv:1806.07366). A residual network is its Euler discretisation.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::augmented::{Augmented, Beside};
use super::backward::{Backward, Journey};
use super::field::VectorField;
use super::{ContinuousError, device_rows, host, plain, plain_device, with_gradient, within};
use crate::ode::{Dense, Directions, Solution, Solver};
use crate::traits::{Net, Rows};

/// Everything about a neural ODE but its field.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NeuralOdeConfig {
    /// Start and end of the time.
    pub span: [f64; 2],
    /// The steps.
    pub solver: Solver,
    /// How gradients are computed.
    pub backward: Backward,
}

impl Default for NeuralOdeConfig {
    /// From 0 to 1 by Dormand and Prince's pair to 1e-5.
    fn default() -> Self {
        Self { span: [0.0, 1.0], solver: Solver::adaptive(1e-5), backward: Backward::default() }
    }
}

impl NeuralOdeConfig {
    /// The flow of `field`.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn init<F: VectorField>(&self, field: F) -> Result<NeuralOde<F>, ContinuousError> {
        self.solver.check().map_err(|source| ContinuousError::Solver { name: "solver", source })?;
        for time in self.span {
            within(time.is_finite(), "span", time, "a finite time")?;
        }
        Ok(NeuralOde { field, config: *self })
    }
}

/// The flow map of a vector field over a span of time.
#[derive(Module, Debug)]
pub struct NeuralOde<F: Module> {
    /// The field.
    pub field: F,
    #[module(skip)]
    config: NeuralOdeConfig,
}

impl<F: VectorField> NeuralOde<F> {
    /// The solution from rows `x`, and all of it in between: `[B, F]`.
    pub fn trajectory(&self, x: Rows) -> (Solution, Dense) {
        let NeuralOdeConfig { solver, span, .. } = self.config;
        solver.dense(&self.of_state(), &numbers(x), span)
    }

    /// `loss` of where rows `x` arrive, as a scalar whose gradient with respect to the field is exact; NaN if a row
    /// fails. What `loss` may have in parameters of its own receives no gradient.
    pub fn loss_at_end(&self, x: Rows, loss: impl FnOnce(Rows) -> Tensor<1>) -> Tensor<1> {
        let NeuralOdeConfig { solver, span, backward } = self.config;
        let (field, x) = (self.of_state(), numbers(x));
        let journey = Journey::new(backward, solver, &field, &x, span);
        let rows = device_rows(journey.solution.y.iter().copied(), field.net.features(), &field.device);
        let end = Tensor::<2>::from_inner(rows).require_grad();
        let value = loss(end.clone());
        let number = f64::from(value.clone().into_scalar::<f32>());
        let gradient = match number.is_finite() {
            true => end.grad(&value.backward()).and_then(|cotangent| journey.back(&field, &numbers(cotangent))),
            false => None,
        };
        let number = if gradient.is_some() { number } else { f64::NAN };
        with_gradient(&self.field, number, gradient.unwrap_or_default())
    }

    fn of_state(&self) -> Augmented<'_, F> {
        let device = plain_device(&self.field);
        Augmented { net: &self.field, directions: Directions::None, beside: Beside::Nothing, device }
    }
}

impl<F: VectorField> Net for NeuralOde<F> {
    /// Where each row arrives; NaN for a row that fails. No gradient flows: train with [`NeuralOde::loss_at_end`].
    fn forward(&self, x: Rows) -> Rows {
        let NeuralOdeConfig { solver, span, .. } = self.config;
        let field = self.of_state();
        let solution = solver.solve(&field, &numbers(x), span);
        device_rows(solution.y.into_iter(), field.net.features(), &field.device)
    }
}

fn numbers(x: Rows) -> Vec<f64> {
    host(plain(x)).into_iter().map(f64::from).collect()
}
