//! Gradients by the adjoint equation, with nothing stored along the way.
//!
//! ```text
//! a = ∂L/∂y(t):   y' = f(t, y),   a' = −aᵀ ∂f/∂y,   ∂L/∂θ = ∫ aᵀ ∂f/∂θ dt,   from the end back to the start
//! ```
//!
//! Pontryagin et al. (1962); Chen et al., "Neural ordinary differential equations" (arXiv:1806.07366). The integral over
//! θ is a quadrature with the weights of the method over the steps that `(y, a)` takes, and takes no part in their
//! control: Kidger et al. (arXiv:2009.09457) show that it need not. Equal to [`Tape`](super::Tape) up to the tolerance,
//! since both trajectories are approximations.

use super::{Differentiable, Field, Solution, Solver};

/// `y` and `∂L/∂y` at the start of `span` from those at its end, `[n, S]` each; adds `∂L/∂θ` to `gradient`.
///
/// The solution's states are `[y, ∂L/∂y]`, `[n, 2 S]`.
pub fn adjoint<F: Differentiable>(
    solver: &Solver,
    field: &F,
    y: &[f64],
    cotangent: &[f64],
    [from, to]: [f64; 2],
    gradient: &mut F::Gradient,
) -> Solution {
    let width = field.width();
    let pairs = y.chunks_exact(width).zip(cotangent.chunks_exact(width));
    let both: Vec<f64> = pairs.flat_map(|(y, a)| [y, a]).flatten().copied().collect();
    let tableau = solver.method.tableau();
    solver.watch(&Backwards(field), &both, [to, from], |step| {
        // All stages at once: the fields of networks like large batches.
        let (mut rows, mut times, mut states, mut cotangents) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for ((b, c), both) in tableau.b.iter().zip(tableau.c).zip(step.states) {
            if *b == 0.0 {
                continue;
            }
            rows.extend_from_slice(step.rows);
            for ((t, h), both) in step.t.iter().zip(step.h).zip(both.chunks_exact(2 * width)) {
                times.push(t + c * h);
                states.extend_from_slice(&both[..width]);
                // h points backwards, the integral forwards.
                cotangents.extend(both[width..].iter().map(|a| -h * b * a));
            }
        }
        field.pull_back(&rows, &times, &states, &cotangents, Some(gradient));
    })
}

/// The field of state and adjoint side by side.
struct Backwards<'a, F>(&'a F);

impl<F: Differentiable> Field for Backwards<'_, F> {
    fn width(&self) -> usize {
        2 * self.0.width()
    }

    fn slope(&self, rows: &[usize], t: &[f64], both: &[f64]) -> Vec<f64> {
        let width = self.0.width();
        let halves = |first: usize| -> Vec<f64> {
            both.chunks_exact(2 * width).flat_map(|both| &both[first..first + width]).copied().collect()
        };
        let pulled = self.0.pull_back(rows, t, &halves(0), &halves(width), None);
        let pairs = pulled.slope.chunks_exact(width).zip(pulled.cotangent.chunks_exact(width));
        pairs.flat_map(|(slope, a)| slope.iter().copied().chain(a.iter().map(|a| -a))).collect()
    }
}
