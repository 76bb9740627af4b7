//! The loop: every active row tries a step of its own, accepts or rejects it for itself, and leaves when it arrives.

use super::control::{Control, Next};
use super::tableau::Tableau;
use super::{Field, OdeError, Solver, Steps};

/// Evaluations after which a row is given up.
const MOST: usize = 1 << 18;

/// Where the rows arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// The states at the end, `[n, S]`; NaN for a row that failed.
    pub y: Vec<f64>,
    /// How often the field was evaluated for each row.
    pub evaluations: Vec<usize>,
    /// One error for each row that failed.
    pub failures: Vec<OdeError>,
}

impl Solution {
    /// The solution, if every row arrived.
    ///
    /// # Errors
    /// The first failure.
    pub fn complete(self) -> Result<Self, OdeError> {
        match self.failures.first() {
            Some(failure) => Err(failure.clone()),
            None => Ok(self),
        }
    }
}

/// One accepted step of some rows, as an observer sees it. All arrays have one entry (or one state) a row.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    /// The samples.
    pub rows: &'a [usize],
    /// Where each starts.
    pub t: &'a [f64],
    /// How far each goes.
    pub h: &'a [f64],
    /// The state that each starts from.
    pub before: &'a [f64],
    /// The state that each arrives at.
    pub after: &'a [f64],
    /// The states `Y_s` of every stage.
    pub states: &'a [Vec<f64>],
    /// The slopes `k_s` of every stage.
    pub slopes: &'a [Vec<f64>],
}

impl Solver {
    /// Integrates rows `y`, `[n, S]`, over `[from, to]` (in either direction).
    pub fn solve(&self, field: &impl Field, y: &[f64], span: [f64; 2]) -> Solution {
        self.watch(field, y, span, |_| ())
    }

    /// The same, and shows every accepted step to `seen`.
    pub fn watch(&self, field: &impl Field, y: &[f64], span: [f64; 2], seen: impl FnMut(&Step<'_>)) -> Solution {
        let width = field.width();
        let n = y.len() / width.max(1);
        let solution = Solution { y: y.to_vec(), evaluations: vec![0; n], failures: Vec::new() };
        if let Err(error) = self.check() {
            let y = vec![f64::NAN; y.len()];
            return Solution { y, failures: vec![error], ..solution };
        }
        if n == 0 || span[0] == span[1] {
            return solution;
        }
        let rows = (0..n).map(|row| Active { row, t: span[0], h: 0.0, grows: true }).collect();
        let front = Front { rows, y: y.to_vec(), slope: None };
        Run { solver: *self, tableau: self.method.tableau(), field, width, span, front, solution }.finish(seen)
    }
}

/// A row that is under way.
#[derive(Clone, Copy)]
struct Active {
    row: usize,
    t: f64,
    h: f64,
    /// Whether the next step may be longer than this one: not after a rejection.
    grows: bool,
}

/// All rows that are under way.
struct Front {
    rows: Vec<Active>,
    y: Vec<f64>,
    /// `f(t, y)`, where it is known.
    slope: Option<Vec<f64>>,
}

/// A step of every row, before it is judged.
struct Trial {
    states: Vec<Vec<f64>>,
    slopes: Vec<Vec<f64>>,
    after: Vec<f64>,
}

struct Run<'a, F> {
    solver: Solver,
    tableau: &'static Tableau,
    field: &'a F,
    width: usize,
    span: [f64; 2],
    front: Front,
    solution: Solution,
}

impl<F: Field> Run<'_, F> {
    fn finish(mut self, mut seen: impl FnMut(&Step<'_>)) -> Solution {
        let control = match self.solver.steps {
            Steps::Fixed(_) => None,
            Steps::Adaptive { relative, absolute } => Some(Control { relative, absolute }),
        };
        if let Some(control) = &control {
            self.first_steps(control);
        }
        let mut taken = 0;
        while !self.front.rows.is_empty() {
            let last = self.aim(taken);
            let trial = self.stages();
            let next: Vec<Next> = match &control {
                None => vec![Next::Accept { factor: 1.0 }; last.len()],
                Some(control) => self.judge(control, &trial),
            };
            let arrived =
                |i: &usize| matches!(next[*i], Next::Accept { .. }) && finite(part(&trial.after, *i, self.width));
            let accepted: Vec<usize> = (0..last.len()).filter(arrived).collect();
            self.show(&accepted, &trial, &mut seen);
            self.advance(&next, trial, &last);
            taken += 1;
        }
        self.solution
    }

    /// The slope at the start, and a first guess of the length of a step.
    fn first_steps(&mut self, control: &Control) {
        let (width, [from, to]) = (self.width, self.span);
        let slope = self.slope(vec![from; self.front.rows.len()], &self.front.y.clone());
        for (i, row) in self.front.rows.iter_mut().enumerate() {
            let first = control.first_trial(part(&self.front.y, i, width), part(&slope, i, width));
            row.h = (to - from).signum() * first.min((to - from).abs());
        }
        let there = self.combined(&self.front.y, &[1.0], std::slice::from_ref(&slope));
        let turned = self.slope(self.front.rows.iter().map(|row| row.t + row.h).collect(), &there);
        for (i, row) in self.front.rows.iter_mut().enumerate() {
            let at = |values| part(values, i, width);
            let guess = control.first_step(row.h.abs(), at(&self.front.y), at(&slope), at(&turned));
            row.h = (to - from).signum() * guess.min((to - from).abs());
        }
        self.front.slope = Some(slope);
    }

    /// Fixes where the next steps go; tells which of them reach the end.
    fn aim(&mut self, taken: usize) -> Vec<bool> {
        let [from, to] = self.span;
        let steps = self.solver.steps;
        let aim = |row: &mut Active| match steps {
            Steps::Fixed(count) => {
                row.t = from + (to - from) * taken as f64 / count as f64;
                row.h = (to - from) / count as f64;
                taken + 1 == count
            }
            Steps::Adaptive { .. } => {
                let rest = to - row.t;
                let last = row.h.abs() >= rest.abs() * (1.0 - 1e-9);
                if last {
                    row.h = rest;
                }
                last
            }
        };
        self.front.rows.iter_mut().map(aim).collect()
    }

    fn stages(&mut self) -> Trial {
        let y = self.front.y.clone();
        let first = match self.front.slope.take() {
            Some(slope) => slope,
            None => self.slope(self.front.rows.iter().map(|row| row.t).collect(), &y),
        };
        let (mut states, mut slopes) = (vec![y], vec![first]);
        for (weights, c) in self.tableau.a.iter().zip(&self.tableau.c[1..]) {
            let state = self.combined(&states[0], weights, &slopes);
            slopes.push(self.slope(self.front.rows.iter().map(|row| row.t + c * row.h).collect(), &state));
            states.push(state);
        }
        let after = match self.tableau.first_same_as_last {
            true => states[states.len() - 1].clone(),
            false => self.combined(&states[0], self.tableau.b, &slopes),
        };
        Trial { states, slopes, after }
    }

    fn slope(&mut self, t: Vec<f64>, y: &[f64]) -> Vec<f64> {
        let rows: Vec<usize> = self.front.rows.iter().map(|active| active.row).collect();
        rows.iter().for_each(|row| self.solution.evaluations[*row] += 1);
        self.field.slope(&rows, &t, y)
    }

    fn judge(&self, control: &Control, trial: &Trial) -> Vec<Next> {
        let nothing = vec![0.0; trial.after.len()];
        let errors = self.combined(&nothing, self.tableau.error.unwrap_or(&[]), &trial.slopes);
        let judge = |(i, row): (usize, &Active)| {
            let at = |values| part(values, i, self.width);
            control.judge(at(&errors), at(&self.front.y), at(&trial.after), row.grows)
        };
        self.front.rows.iter().enumerate().map(judge).collect()
    }

    fn show(&self, accepted: &[usize], trial: &Trial, seen: &mut impl FnMut(&Step<'_>)) {
        if accepted.is_empty() {
            return;
        }
        let pick = |values: &Vec<f64>| gathered(values, self.width, accepted);
        let states: Vec<_> = trial.states.iter().map(pick).collect();
        let of = |number: fn(&Active) -> f64| accepted.iter().map(|i| number(&self.front.rows[*i])).collect::<Vec<_>>();
        seen(&Step {
            rows: &accepted.iter().map(|i| self.front.rows[*i].row).collect::<Vec<_>>(),
            t: &of(|row| row.t),
            h: &of(|row| row.h),
            before: &states[0],
            after: &pick(&trial.after),
            slopes: &trial.slopes.iter().map(pick).collect::<Vec<_>>(),
            states: &states,
        });
    }

    /// Moves on the rows that were accepted, shortens the steps of the others, and lets go of whoever arrived or failed.
    fn advance(&mut self, next: &[Next], mut trial: Trial, last: &[bool]) {
        let width = self.width;
        let floor = 32.0 * f64::EPSILON * self.span[0].abs().max(self.span[1].abs());
        // The slope at the start of the next step: that of the last stage, or after a rejection the old one.
        let mut slope = self.tableau.first_same_as_last.then(|| trial.slopes.pop().unwrap_or_default());
        let mut kept = Vec::with_capacity(next.len());
        for (i, next) in next.iter().enumerate() {
            let span = i * width..(i + 1) * width;
            let Active { row, t, h, .. } = self.front.rows[i];
            let evaluations = self.solution.evaluations[row];
            let failure = match *next {
                Next::Accept { .. } if !finite(&trial.after[span.clone()]) => {
                    Some(OdeError::NotFinite { row, time: t, evaluations })
                }
                Next::Accept { factor } => {
                    self.front.rows[i] = Active { row, t: t + h, h: h * factor, grows: true };
                    self.front.y[span.clone()].copy_from_slice(&trial.after[span.clone()]);
                    (evaluations > MOST && !last[i]).then_some(OdeError::TooLong { row, time: t, evaluations })
                }
                Next::Reject { factor, finite } => {
                    let step = h * factor;
                    self.front.rows[i] = Active { row, t, h: step, grows: false };
                    if let Some(slope) = &mut slope {
                        slope[span.clone()].copy_from_slice(&trial.slopes[0][span.clone()]);
                    }
                    (step.abs() < floor).then_some(match finite {
                        true => OdeError::Floor { row, time: t, step, evaluations },
                        false => OdeError::NotFinite { row, time: t, evaluations },
                    })
                }
            };
            let end = &mut self.solution.y[row * width..(row + 1) * width];
            match failure {
                Some(failure) => {
                    end.fill(f64::NAN);
                    self.solution.failures.push(failure);
                }
                None if last[i] && matches!(next, Next::Accept { .. }) => {
                    end.copy_from_slice(&self.front.y[span]);
                }
                None => kept.push(i),
            }
        }
        if kept.len() < next.len() {
            self.front.rows = kept.iter().map(|i| self.front.rows[*i]).collect();
            self.front.y = gathered(&self.front.y, width, &kept);
            slope = slope.map(|slope| gathered(&slope, width, &kept));
        }
        self.front.slope = slope;
    }

    /// `y + h Σ weights_s slopes_s`, every row with its own `h`.
    fn combined(&self, y: &[f64], weights: &[f64], slopes: &[Vec<f64>]) -> Vec<f64> {
        let steps: Vec<f64> = self.front.rows.iter().map(|row| row.h).collect();
        combined(y, &steps, self.width, weights, slopes)
    }
}

/// `y + h_i Σ weights_s slopes_s`, `[n, S]`.
pub(super) fn combined(y: &[f64], h: &[f64], width: usize, weights: &[f64], slopes: &[Vec<f64>]) -> Vec<f64> {
    let mut out = y.to_vec();
    for (weight, slope) in weights.iter().zip(slopes).filter(|(weight, _)| **weight != 0.0) {
        let rows = out.chunks_exact_mut(width).zip(slope.chunks_exact(width));
        for ((out, slope), h) in rows.zip(h) {
            out.iter_mut().zip(slope).for_each(|(out, slope)| *out += weight * h * slope);
        }
    }
    out
}

/// The states numbered `rows`.
pub(super) fn gathered(values: &[f64], width: usize, rows: &[usize]) -> Vec<f64> {
    rows.iter().flat_map(|i| part(values, *i, width)).copied().collect()
}

/// State `i`.
pub(super) fn part(values: &[f64], i: usize, width: usize) -> &[f64] {
    &values[i * width..(i + 1) * width]
}

fn finite(state: &[f64]) -> bool {
    state.iter().all(|value| value.is_finite())
}
