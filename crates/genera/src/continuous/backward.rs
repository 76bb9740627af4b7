//! Out along a trajectory, and back with a gradient.

use serde::{Deserialize, Serialize};

use super::augmented::{Augmented, ParameterGradient};
use super::field::VectorField;
use crate::ode::{Solution, Solver, Tape, adjoint};

/// How gradients get back from the end of a trajectory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backward {
    /// Through the steps that were taken: exact for the numbers computed. Keeps the states of all stages, `O(steps)`
    /// numbers a row, and no activations.
    #[default]
    Solver,
    /// By the adjoint equation: exact up to the tolerance, in memory that does not grow with the steps.
    Adjoint,
}

/// A trajectory that can be gone back.
pub(super) struct Journey {
    pub solution: Solution,
    solver: Solver,
    span: [f64; 2],
    tape: Option<Tape>,
}

impl Journey {
    pub fn new<F: VectorField>(
        backward: Backward,
        solver: Solver,
        field: &Augmented<'_, F>,
        start: &[f64],
        span: [f64; 2],
    ) -> Self {
        let (solution, tape) = match backward {
            Backward::Adjoint => (solver.solve(field, start, span), None),
            Backward::Solver => {
                let (solution, tape) = solver.tape(field, start, span);
                (solution, Some(tape))
            }
        };
        Self { solution, solver, span, tape }
    }

    /// The gradient with respect to the field's parameters from the cotangents of the end; none if the adjoint equation
    /// could not be solved.
    pub fn back<F: VectorField>(self, field: &Augmented<'_, F>, end: &[f64]) -> ParameterGradient {
        let mut gradient = None;
        match self.tape {
            Some(tape) => {
                tape.pull_back(field, end, &mut gradient);
            }
            None => {
                adjoint(&self.solver, field, &self.solution.y, end, self.span, &mut gradient).complete().ok()?;
            }
        }
        gradient
    }
}
