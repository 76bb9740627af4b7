//! Dense output: the solution at every time, from the stages of the steps alone.
//!
//! ```text
//! y(t + θ h) = r₁ + θ (r₂ + (1−θ)(r₃ + θ (r₄ + (1−θ) r₅))),   0 ≤ θ ≤ 1
//! r₁ = y₀,  r₂ = y₁ − y₀,  r₃ = h f₀ − r₂,  r₄ = r₂ − h f₁ − r₃,  r₅ = h Σ d_s k_s
//! ```
//!
//! With `r₅` of fourth order for Dormand and Prince's method (Hairer, Nørsett and Wanner, II.6); without it Hermite's
//! cubic, of third order.

use super::solve::{combined, part};
use super::{Field, Solution, Solver};

/// A solution that can be asked for any time.
#[derive(Clone, Debug)]
pub struct Dense {
    width: usize,
    /// The pieces of each row, in the order of the steps.
    rows: Vec<Vec<Piece>>,
}

#[derive(Clone, Debug)]
struct Piece {
    t: f64,
    h: f64,
    coefficients: [Vec<f64>; 5],
}

impl Solver {
    /// Integrates rows `y`, `[n, S]`, and keeps what every step knows of the times it passed.
    pub fn dense(&self, field: &impl Field, y: &[f64], span: [f64; 2]) -> (Solution, Dense) {
        let width = field.width();
        let tableau = self.method.tableau();
        let mut rows = vec![Vec::new(); y.len() / width.max(1)];
        let solution = self.watch(field, y, span, |step| {
            let n = step.rows.len();
            let end = match tableau.first_same_as_last {
                true => step.slopes[step.slopes.len() - 1].clone(),
                false => {
                    let times: Vec<f64> = step.t.iter().zip(step.h).map(|(t, h)| t + h).collect();
                    field.slope(step.rows, &times, step.after)
                }
            };
            let bump = combined(&vec![0.0; n * width], step.h, width, tableau.dense.unwrap_or(&[]), step.slopes);
            for (i, row) in step.rows.iter().enumerate() {
                let (t, h) = (step.t[i], step.h[i]);
                let at = |values| part(values, i, width);
                let each = |of: &dyn Fn(usize) -> f64| (0..width).map(of).collect::<Vec<f64>>();
                let (y0, y1, f0, f1) = (at(step.before), at(step.after), at(&step.slopes[0]), at(&end));
                let change = each(&|j| y1[j] - y0[j]);
                let bend = each(&|j| h * f0[j] - change[j]);
                let rest = each(&|j| change[j] - h * f1[j] - bend[j]);
                let coefficients = [y0.to_vec(), change, bend, rest, at(&bump).to_vec()];
                rows[*row].push(Piece { t, h, coefficients });
            }
        });
        (solution, Dense { width, rows })
    }
}

impl Dense {
    /// The state of `row` at time `t`; none outside of what was integrated.
    pub fn at(&self, row: usize, t: f64) -> Option<Vec<f64>> {
        let inside = |piece: &&Piece| (0.0..=1.0).contains(&((t - piece.t) / piece.h));
        let piece = self.rows.get(row)?.iter().find(inside)?;
        let (x, [r1, r2, r3, r4, r5]) = ((t - piece.t) / piece.h, &piece.coefficients);
        let value = |j: usize| r1[j] + x * (r2[j] + (1.0 - x) * (r3[j] + x * (r4[j] + (1.0 - x) * r5[j])));
        Some((0..self.width).map(value).collect())
    }
}
