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
//! row and a seed. Each probe follows a volume of its own, of which the mean is taken in the end: so the estimate knows
//! its error. The flow ends at the least noisy level of training, and the likelihood is that of the data there.

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{Clip, Differentiable, DiffusionError, Level, Levels, host};
use crate::ode::{Directions, Divergence, Field, Scored, Solver, mean_over_probes};
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
    /// The seed of the probes, which is whoever evaluates.
    #[serde(skip)]
    pub seed: u64,
}

impl Default for ProbabilityFlow {
    fn default() -> Self {
        Self { tolerance: 1e-5, divergence: Divergence::Exact, seed: 0 }
    }
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
        let slope = Way { denoise, clip, levels, features, device: &device };
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
        let volumes = self.divergence.probes().unwrap_or(1);
        let width = features + volumes;
        let (mut nats, mut errors) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        let (mut evaluations, mut failures) = (Vec::with_capacity(rows), Vec::new());
        for first in (0..rows).step_by(ROWS) {
            let here = ROWS.min(rows - first);
            let x: Vec<f64> = host(&x.clone().narrow(0, first, here)).into_iter().map(f64::from).collect();
            let directions = self.divergence.directions_of(&x, features, self.seed);
            let field = Volume { denoise, levels, directions, features, volumes, device: &device };
            let empty = || std::iter::repeat_n(0.0, volumes);
            let start: Vec<f64> = x.chunks_exact(features).flat_map(|x| x.iter().copied().chain(empty())).collect();
            let solution = solver.solve(&field, &start, [levels.lowest().time, levels.top().time]);
            for y in solution.y.chunks_exact(width) {
                let (z, grown) = y.split_at(features);
                let (mean, error) = mean_over_probes(grown);
                nats.push(prior(z) + mean);
                errors.push(error);
            }
            evaluations.extend(solution.evaluations);
            failures.extend(solution.failures.into_iter().map(|failure| failure.moved_by(first)));
        }
        let probe_errors = (self.divergence.probes() != Some(1)).then_some(errors);
        Scored { nats, probe_errors, evaluations, failures }
    }
}

/// What the slope depends on beside the rows, one a row.
struct At {
    levels: Vec<Level>,
    /// `σ'/σ` and `α' − α σ'/σ`.
    factors: Vec<(f64, f64)>,
}

impl At {
    fn of(levels: &Levels, t: &[f64]) -> Self {
        let at = |t: &f64| {
            let (level, slope) = (levels.level(*t), levels.slope(*t));
            let shrink = slope.sigma / level.sigma;
            (level, (shrink, slope.alpha - level.alpha * shrink))
        };
        let (levels, factors) = t.iter().map(at).unzip();
        Self { levels, factors }
    }
}

/// `dx/dt` of a row.
fn slope((of_x, of_x0): (f64, f64), x: &[f64], x0: &[f32]) -> impl Iterator<Item = f64> {
    x.iter().zip(x0).map(move |(x, x0)| of_x * x + of_x0 * f64::from(*x0))
}

/// `[n, F]` numbers of states of `width` numbers each, of which the first `F` are the rows.
fn rows_of(states: &[f64], width: usize, features: usize, device: &Device) -> Rows {
    let rows: Vec<f32> = states.chunks_exact(width).flat_map(|state| &state[..features]).map(|v| *v as f32).collect();
    Tensor::from_data(TensorData::new(rows, [states.len() / width, features]), device)
}

/// The flow of `x` alone.
struct Way<'a> {
    denoise: &'a dyn Denoise,
    clip: &'a Clip,
    levels: &'a Levels,
    features: usize,
    device: &'a Device,
}

impl Field for Way<'_> {
    fn width(&self) -> usize {
        self.features
    }

    fn slope(&self, samples: &[usize], t: &[f64], y: &[f64]) -> Vec<f64> {
        let features = self.features;
        let at = At::of(self.levels, t);
        let x = rows_of(y, features, features, self.device);
        let x0 = host(&self.clip.apply(self.denoise.denoise_some(samples, x, &at.levels)));
        let rows = y.chunks_exact(features).zip(x0.chunks_exact(features)).zip(&at.factors);
        rows.flat_map(|((x, x0), factors)| slope(*factors, x, x0)).collect()
    }
}

/// The flow of `x` and of the logarithm of a small volume, once for each probe.
struct Volume<'a> {
    denoise: &'a dyn Differentiable,
    levels: &'a Levels,
    directions: Directions,
    features: usize,
    volumes: usize,
    device: &'a Device,
}

impl Field for Volume<'_> {
    fn width(&self) -> usize {
        self.features + self.volumes
    }

    fn slope(&self, samples: &[usize], t: &[f64], y: &[f64]) -> Vec<f64> {
        let (features, volumes, width, n) = (self.features, self.volumes, self.width(), samples.len());
        let at = At::of(self.levels, t);
        let x = rows_of(y, width, features, self.device);
        let directions = self.directions.of(samples, features);
        let directions: Vec<&[f32]> = directions.chunks_exact((n * features).max(1)).collect();
        let tensor = |v: &&[f32]| Tensor::from_data(TensorData::new(v.to_vec(), [n, features]), self.device);
        let cotangents = directions.iter().map(tensor).collect();
        let (x0, pulled) = self.denoise.denoise_and_pull(samples, x, &at.levels, cotangents);
        // Axes add up to one trace; every probe has its own.
        let mut traces = vec![0.0; n * volumes];
        for (k, (v, pulled)) in directions.iter().zip(pulled).enumerate() {
            let pulled = host(&pulled);
            for (row, (v, pulled)) in v.chunks_exact(features).zip(pulled.chunks_exact(features)).enumerate() {
                let along = v.iter().zip(pulled).map(|(v, p)| f64::from(*v) * f64::from(*p)).sum::<f64>();
                traces[row * volumes + k % volumes] += along;
            }
        }
        let x0 = host(&x0);
        let rows = y.chunks_exact(width).zip(x0.chunks_exact(features)).zip(&at.factors).zip(traces.chunks(volumes));
        rows.flat_map(|(((y, x0), factors), traces)| {
            let growth = |trace: &f64| factors.0 * features as f64 + factors.1 * trace;
            slope(*factors, &y[..features], x0).chain(traces.iter().map(growth))
        })
        .collect()
    }
}
