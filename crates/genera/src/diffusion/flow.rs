//! The probability flow: an ordinary equation with the marginals of the diffusion.
//!
//! ```text
//! dx/dt = (σ'/σ) x + (α' − α σ'/σ) x̂₀(x, t)                                        Song et al., 2011.13456
//! log p(x) = log N(x_T; 0, r² I) + ∫ div(dx/dt) dt,   x_T where x ends, r the scale of the noisiest level
//! ```
//!
//! A deterministic and invertible way between data and noise: it samples, encodes, interpolates, and has an exact
//! likelihood, up to the tolerance of the solver and, where it is estimated, the divergence. Every row takes steps of its
//! own ([`crate::ode`]), so that a row does not depend on its batch; probes of the divergence depend on nothing but the
//! row. The flow ends at the least noisy level of training, and the likelihood is that of the data there.

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{Clip, Differentiable, DiffusionError, Level, Levels, host};
use crate::ode::{Directions, Divergence, Field, OdeError, Solver};
use crate::traits::{Denoise, Rows};

/// Rows that are integrated together.
const ROWS: usize = 1024;

/// How the flow is followed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbabilityFlow {
    /// The error allowed, relative and absolute.
    pub tolerance: f64,
    /// The divergence.
    pub divergence: Divergence,
}

impl Default for ProbabilityFlow {
    fn default() -> Self {
        Self { tolerance: 1e-5, divergence: Divergence::Exact }
    }
}

/// Log-likelihoods and what they cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// `log p(x)` of each row in nats; NaN for a row that failed.
    pub nats: Vec<f64>,
    /// How often the denoiser was asked for each row.
    pub evaluations: Vec<usize>,
    /// One error for each row that failed.
    pub failures: Vec<OdeError>,
}

impl ProbabilityFlow {
    /// # Errors
    /// A tolerance outside (0, 1), no probes.
    pub fn check(&self) -> Result<(), DiffusionError> {
        Solver::adaptive(self.tolerance).check()?;
        Ok(self.divergence.check()?)
    }

    /// The noise that each row becomes, `[B, F] -> [B, F]`; NaN for a row that failed.
    pub fn encode(&self, denoise: &dyn Denoise, levels: &Levels, x: Rows) -> Rows {
        self.carried(denoise, &Clip::Off, levels, x, [levels.lowest().time, levels.top().time])
    }

    /// The data that noise of the scale of the noisiest level becomes, `[B, F] -> [B, F]`; NaN for a row that failed.
    pub fn decode(&self, denoise: &dyn Denoise, levels: &Levels, z: Rows) -> Rows {
        self.carried(denoise, &Clip::Off, levels, z, [levels.top().time, levels.lowest().time])
    }

    pub(super) fn carried(&self, denoise: &dyn Denoise, clip: &Clip, levels: &Levels, x: Rows, span: [f64; 2]) -> Rows {
        let ([rows, features], device) = (x.dims(), x.device());
        let slope = Way { denoise, clip, levels, rows, features, device: &device };
        let y: Vec<f64> = host(&x).into_iter().map(f64::from).collect();
        let y = Solver::adaptive(self.tolerance).solve(&slope, &y, span).y;
        Tensor::from_data(
            TensorData::new(y.into_iter().map(|v| v as f32).collect::<Vec<f32>>(), [rows, features]),
            &device,
        )
    }

    /// `log p(x)` with the evaluations it took: `[B, F] -> B numbers`.
    pub fn score(&self, denoise: &dyn Differentiable, levels: &Levels, x: Rows) -> Scored {
        let variance = levels.top().scale().powi(2);
        let constant = (std::f64::consts::TAU * variance).ln();
        let normal = |z: &[f64]| -0.5 * z.iter().map(|z| z * z / variance + constant).sum::<f64>();
        self.score_under(denoise, levels, x, &normal)
    }

    /// The same where noise has the log-density `prior`.
    pub fn score_under(
        &self,
        denoise: &dyn Differentiable,
        levels: &Levels,
        x: Rows,
        prior: &dyn Fn(&[f64]) -> f64,
    ) -> Scored {
        let ([rows, features], device) = (x.dims(), x.device());
        let solver = Solver::adaptive(self.tolerance);
        let mut scored = Scored { nats: Vec::new(), evaluations: Vec::new(), failures: Vec::new() };
        for first in (0..rows).step_by(ROWS) {
            let here = ROWS.min(rows - first);
            let x: Vec<f64> = host(&x.clone().narrow(0, first, here)).into_iter().map(f64::from).collect();
            let directions = self.divergence.directions_of(&x, features);
            let field = Volume { denoise, levels, directions, rows: here, features, device: &device };
            let start: Vec<f64> = x.chunks_exact(features).flat_map(|x| x.iter().copied().chain([0.0])).collect();
            let solution = solver.solve(&field, &start, [levels.lowest().time, levels.top().time]);
            scored.nats.extend(solution.y.chunks_exact(features + 1).map(|y| prior(&y[..features]) + y[features]));
            scored.evaluations.extend(solution.evaluations);
            scored.failures.extend(solution.failures.into_iter().map(|failure| failure.moved_by(first)));
        }
        scored
    }
}

/// `σ'/σ` and `α' − α σ'/σ` of the slope at a time.
fn coefficients(levels: &Levels, t: f64) -> (Level, f64, f64) {
    let (level, slope) = (levels.level(t), levels.slope(t));
    let shrink = slope.sigma / level.sigma;
    (level, shrink, slope.alpha - level.alpha * shrink)
}

/// All rows of a batch, those that are not asked for at clean zeros: a denoiser may know a row by its place.
fn whole(rows: usize, width: usize, asked: &[usize], values: impl Fn(usize, usize) -> f64, device: &Device) -> Rows {
    let mut all = vec![0.0_f32; rows * width];
    for (i, row) in asked.iter().enumerate() {
        (0..width).for_each(|j| all[row * width + j] = values(i, j) as f32);
    }
    Tensor::from_data(TensorData::new(all, [rows, width]), device)
}

/// The flow of `x` alone.
struct Way<'a> {
    denoise: &'a dyn Denoise,
    clip: &'a Clip,
    levels: &'a Levels,
    rows: usize,
    features: usize,
    device: &'a Device,
}

impl Field for Way<'_> {
    fn width(&self) -> usize {
        self.features
    }

    fn slope(&self, rows: &[usize], t: &[f64], y: &[f64]) -> Vec<f64> {
        let at: Vec<(Level, f64, f64)> = t.iter().map(|t| coefficients(self.levels, *t)).collect();
        let mut everywhere = vec![at.first().map_or_else(|| self.levels.top(), |at| at.0); self.rows];
        rows.iter().zip(&at).for_each(|(row, at)| everywhere[*row] = at.0);
        let x = whole(self.rows, self.features, rows, |i, j| y[i * self.features + j], self.device);
        let x0 = host(&self.clip.apply(self.denoise.denoise(x, &everywhere)));
        let value = |i: usize, j: usize| {
            let (_, of_x, of_x0) = at[i];
            of_x * y[i * self.features + j] + of_x0 * f64::from(x0[rows[i] * self.features + j])
        };
        (0..rows.len() * self.features).map(|at| value(at / self.features, at % self.features)).collect()
    }
}

/// The flow of `x` and of the logarithm of a small volume.
struct Volume<'a> {
    denoise: &'a dyn Differentiable,
    levels: &'a Levels,
    directions: Directions,
    rows: usize,
    features: usize,
    device: &'a Device,
}

impl Field for Volume<'_> {
    fn width(&self) -> usize {
        self.features + 1
    }

    fn slope(&self, rows: &[usize], t: &[f64], y: &[f64]) -> Vec<f64> {
        let (features, width) = (self.features, self.width());
        let at: Vec<(Level, f64, f64)> = t.iter().map(|t| coefficients(self.levels, *t)).collect();
        let mut everywhere = vec![at.first().map_or_else(|| self.levels.top(), |at| at.0); self.rows];
        rows.iter().zip(&at).for_each(|(row, at)| everywhere[*row] = at.0);
        let x = whole(self.rows, features, rows, |i, j| y[i * width + j], self.device);
        let v = self.directions.of(rows, features);
        let stride = rows.len() * features;
        let v: Vec<&[f32]> = v.chunks_exact(stride.max(1)).collect();
        let spread = |v: &&[f32]| whole(self.rows, features, rows, |i, j| f64::from(v[i * features + j]), self.device);
        let (x0, pulled) = self.denoise.denoise_and_pull(x, &everywhere, v.iter().map(spread).collect());
        let x0 = host(&x0);
        let mut traces = vec![0.0; rows.len()];
        for (v, pulled) in v.iter().zip(pulled) {
            let pulled = host(&pulled);
            for (i, (trace, v)) in traces.iter_mut().zip(v.chunks_exact(features)).enumerate() {
                let along = v.iter().zip(&pulled[rows[i] * features..]);
                *trace += self.directions.weight() * along.map(|(v, p)| f64::from(*v) * f64::from(*p)).sum::<f64>();
            }
        }
        let mut out = Vec::with_capacity(rows.len() * width);
        for (i, row) in rows.iter().enumerate() {
            let (_, of_x, of_x0) = at[i];
            let clean = &x0[row * features..(row + 1) * features];
            out.extend(y[i * width..].iter().zip(clean).map(|(x, x0)| of_x * x + of_x0 * f64::from(*x0)));
            out.push(of_x * features as f64 + of_x0 * traces[i]);
        }
        out
    }
}
