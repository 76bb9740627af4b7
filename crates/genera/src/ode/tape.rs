//! Gradients through the steps that were taken: exact for the numbers computed, the lengths of steps held fixed.
//!
//! ```text
//! ȳ = ∂L/∂y(t+h):   k̄_s = h (b_s ȳ + Σ_{r>s} a_rs Ȳ_r),   Ȳ_s = k̄_sᵀ ∂f/∂y(Y_s),   ∂L/∂y(t) = ȳ + Σ_s Ȳ_s
//! ```
//!
//! Only the states of the stages are kept: what a field computes on the way is computed again, so that a step costs a
//! few numbers a row and not the activations of a network.

use super::solve::{combined, gathered};
use super::tableau::Tableau;
use super::{Differentiable, Field, Solution, Solver};

/// The steps that a solution took.
#[derive(Clone, Debug)]
pub struct Tape {
    tableau: &'static Tableau,
    width: usize,
    pages: Vec<Page>,
}

#[derive(Clone, Debug)]
struct Page {
    rows: Vec<usize>,
    t: Vec<f64>,
    h: Vec<f64>,
    states: Vec<Vec<f64>>,
}

impl Solver {
    /// Integrates rows `y`, `[n, S]`, and keeps the way back.
    pub fn tape(&self, field: &impl Field, y: &[f64], span: [f64; 2]) -> (Solution, Tape) {
        let tableau = self.method.tableau();
        let stages = tableau.b.iter().rposition(|b| *b != 0.0).map_or(0, |last| last + 1);
        let mut pages = Vec::new();
        let solution = self.watch(field, y, span, |step| {
            pages.push(Page {
                rows: step.rows.to_vec(),
                t: step.t.to_vec(),
                h: step.h.to_vec(),
                states: step.states[..stages].to_vec(),
            });
        });
        (solution, Tape { tableau, width: field.width(), pages })
    }
}

impl Tape {
    /// `∂L/∂y` at the start from `∂L/∂y` at the end, `[n, S]`; adds `∂L/∂θ` to `gradient`.
    pub fn pull_back<F: Differentiable>(&self, field: &F, end: &[f64], gradient: &mut F::Gradient) -> Vec<f64> {
        let (width, tableau) = (self.width, self.tableau);
        let mut cotangent = end.to_vec();
        for Page { rows, t, h, states } in self.pages.iter().rev() {
            let after = gathered(&cotangent, width, rows);
            let mut pulled: Vec<Vec<f64>> = vec![Vec::new(); states.len()];
            let nothing = vec![0.0; after.len()];
            for s in (0..states.len()).rev() {
                // Column s of the tableau: the stages that saw k_s.
                let later: Vec<f64> = (s + 1..states.len()).map(|r| tableau.a[r - 1][s]).collect();
                let own = combined(&nothing, h, width, &[tableau.b[s]], std::slice::from_ref(&after));
                let k = combined(&own, h, width, &later, &pulled[s + 1..]);
                let times: Vec<f64> = t.iter().zip(h).map(|(t, h)| t + tableau.c[s] * h).collect();
                pulled[s] = field.pull_back(rows, &times, &states[s], &k, Some(gradient)).cotangent;
            }
            for (i, row) in rows.iter().enumerate() {
                let span = i * width..(i + 1) * width;
                for (j, total) in span.zip(&mut cotangent[row * width..(row + 1) * width]) {
                    *total += pulled.iter().map(|stage| stage[j]).sum::<f64>();
                }
            }
        }
        cotangent
    }
}
