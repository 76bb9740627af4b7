//! A continuous flow as a model: its likelihood, its samples, its objective.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::augmented::{Augmented, Beside, ParameterGradient};
use super::backward::{Backward, Journey};
use super::field::VectorField;
use super::{ContinuousError, device_rows, host, matching, plain, plain_device, with_gradient, within};
use crate::caution::sampler;
use crate::ode::{Directions, Divergence, OdeError, Scored, Solver, mean_over_probes};
use crate::traits::{Batch, Bijection, Caution, Cautious, Density, Faults, Loss, Model, Rows, Sample, View};

/// Rows that are integrated together. A row does not depend on it.
const ROWS: usize = 1024;

/// How a trajectory is integrated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Integration {
    /// The steps.
    pub solver: Solver,
    /// The volume.
    pub divergence: Divergence,
}

impl Default for Integration {
    /// Dormand and Prince's pair to 1e-5, the divergence exact.
    fn default() -> Self {
        Self { solver: Solver::adaptive(1e-5), divergence: Divergence::Exact }
    }
}

/// Everything about a continuous flow but its field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContinuousFlowConfig {
    /// Trajectories of the objective.
    pub training: Integration,
    /// Trajectories of likelihoods and samples.
    pub evaluation: Integration,
    /// How the gradient of the objective is computed.
    pub backward: Backward,
    /// The weight of the kinetic energy `E ∫ |f|² dt` in the objective.
    pub kinetic: f64,
    /// The weight of `E ∫ |∂f/∂z|² dt`, the Frobenius norm, in the objective.
    pub jacobian: f64,
    /// The weight of flow matching in the objective: a quick start that moves no optimum.
    pub flow_matching: f64,
    /// So many first steps descend flow matching alone: each costs one evaluation in the place of a trajectory.
    pub matching_steps: u64,
    /// Times of flow matching are `u^(1 + emphasis)` of a uniform `u`: 0 spreads them evenly, more gathers them near the
    /// data, where the likelihood is decided. It moves no optimum either.
    pub matching_emphasis: f64,
}

impl ContinuousFlowConfig {
    /// A flow along `field`.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn init<F: VectorField>(&self, field: F) -> Result<ContinuousFlow<F>, ContinuousError> {
        for (name, Integration { solver, divergence }) in
            [("training", &self.training), ("evaluation", &self.evaluation)]
        {
            solver.check().map_err(|source| ContinuousError::Solver { name, source })?;
            divergence.check().map_err(|source| ContinuousError::Solver { name, source })?;
        }
        let weights = [("kinetic", self.kinetic), ("jacobian", self.jacobian), ("flow_matching", self.flow_matching)];
        for (name, weight) in weights {
            within(weight >= 0.0 && weight.is_finite(), name, weight, "a weight, at least 0")?;
        }
        let emphasis = self.matching_emphasis;
        within((0.0..=10.0).contains(&emphasis), "matching_emphasis", emphasis, "at least 0 and at most 10")?;
        Ok(ContinuousFlow { field, config: *self })
    }
}

/// A standard normal distribution carried along a vector field.
#[derive(Module, Debug)]
pub struct ContinuousFlow<F: Module> {
    /// From data at time 0 to noise at time 1.
    pub field: F,
    #[module(skip)]
    config: ContinuousFlowConfig,
}

impl<F: VectorField> ContinuousFlow<F> {
    /// The settings.
    pub fn config(&self) -> &ContinuousFlowConfig {
        &self.config
    }

    /// `log p(x)` with the evaluations it took, and what it errs by over probes: `[B, F] -> B numbers`. Each probe follows
    /// a volume of its own, of which the mean is taken in the end.
    pub fn score(&self, x: Rows) -> Scored {
        let features = self.field.features();
        let Integration { solver, divergence } = self.config.evaluation;
        let x: Vec<f64> = host(plain(x)).into_iter().map(f64::from).collect();
        let volumes = divergence.probes().unwrap_or(1);
        let (mut scored, mut errors) = (Scored::default(), Vec::new());
        for x in x.chunks(ROWS * features) {
            let field = self.augmented(divergence.directions_of(x, features, 0), Beside::Volumes(volumes));
            let solution = solver.solve(&field, &field.start(x), [0.0, 1.0]);
            let first = scored.nats.len();
            for y in solution.y.chunks_exact(features + volumes) {
                let (z, grown) = y.split_at(features);
                let (mean, error) = mean_over_probes(grown);
                scored.nats.push(log_normal(z) + mean);
                errors.push(error);
            }
            scored.evaluations.extend(solution.evaluations);
            scored.failures.extend(solution.failures.into_iter().map(|failure| failure.moved_by(first)));
        }
        scored.probe_errors = (divergence.probes() != Some(1)).then_some(errors);
        scored
    }

    /// The noise that each row becomes, `[B, F] -> [B, F]`; NaN for a row that failed.
    pub fn encode(&self, x: Rows) -> Rows {
        self.carried(x, [0.0, 1.0])
    }

    /// The data that noise becomes, `[B, F] -> [B, F]`; NaN for a row that failed.
    pub fn decode(&self, z: Rows) -> Rows {
        self.carried(z, [1.0, 0.0])
    }

    fn sample_with(&self, n: usize, caution: Caution, rng: &mut Rng) -> Rows {
        let features = self.field.features();
        let z = TensorData::new(caution.normals(n, features, rng), [n, features]);
        self.decode(Tensor::from_data(z, &plain_device(&self.field)))
    }

    fn carried(&self, x: Rows, span: [f64; 2]) -> Rows {
        let features = self.field.features();
        let field = self.augmented(Directions::None, Beside::Nothing);
        let x: Vec<f64> = host(plain(x)).into_iter().map(f64::from).collect();
        let carry = |x: &[f64]| self.config.evaluation.solver.solve(&field, x, span).y;
        device_rows(x.chunks(ROWS * features).flat_map(carry), features, &field.device)
    }

    /// Where the rows come to, and the logarithm of the change of volume on the way.
    fn carried_with_volume(&self, x: Rows, span: [f64; 2]) -> (Rows, Tensor<1>) {
        let features = self.field.features();
        let Integration { solver, divergence } = self.config.evaluation;
        let x: Vec<f64> = host(plain(x)).into_iter().map(f64::from).collect();
        let (mut there, mut log_det) = (Vec::with_capacity(x.len()), Vec::new());
        for x in x.chunks(ROWS * features) {
            let field = self.augmented(divergence.directions_of(x, features, 0), Beside::Volume);
            for y in solver.solve(&field, &field.start(x), span).y.chunks_exact(features + 1) {
                there.extend_from_slice(&y[..features]);
                log_det.push(y[features] as f32);
            }
        }
        let (rows, device) = (log_det.len(), plain_device(&self.field));
        (
            device_rows(there.into_iter(), features, &device),
            Tensor::from_data(TensorData::new(log_det, [rows]), &device),
        )
    }

    fn augmented(&self, directions: Directions, beside: Beside) -> Augmented<'_, F> {
        Augmented { net: &self.field, directions, beside, device: plain_device(&self.field) }
    }

    /// The loss of flow matching on rows `x`, times `weight`; adds its gradient.
    fn match_flow(&self, x: &[f64], weight: f64, rng: &mut Rng, gradient: &mut ParameterGradient) -> f64 {
        let (emphasis, device) = (self.config.matching_emphasis, plain_device(&self.field));
        matching::flow_matching(&self.field, x, weight, emphasis, rng, &device, gradient)
    }
}

/// `log N(z; 0, I)`.
fn log_normal(z: &[f64]) -> f64 {
    -0.5 * z.iter().map(|z| z * z + std::f64::consts::TAU.ln()).sum::<f64>()
}

impl<F: VectorField> Density for ContinuousFlow<F> {
    /// Exact up to the tolerance of [`ContinuousFlowConfig::evaluation`] (if its divergence is exact). No gradient flows.
    fn log_prob(&self, x: Rows) -> Tensor<1> {
        let nats: Vec<f32> = self.score(x).nats.into_iter().map(|nats| nats as f32).collect();
        let rows = nats.len();
        Tensor::from_data(TensorData::new(nats, [rows]), &plain_device(&self.field))
    }
}

impl<F: VectorField> Faults for ContinuousFlow<F> {
    fn fault(&self, x: Rows) -> Option<String> {
        self.score(x).failures.first().map(OdeError::to_string)
    }
}

/// Exact up to the tolerance of [`ContinuousFlowConfig::evaluation`]; NaN for a row that failed. No gradient flows.
impl<F: VectorField> Bijection for ContinuousFlow<F> {
    fn forward_and_log_det(&self, x: Rows) -> (Rows, Tensor<1>) {
        self.carried_with_volume(x, [0.0, 1.0])
    }

    fn inverse_and_log_det(&self, z: Rows) -> (Rows, Tensor<1>) {
        self.carried_with_volume(z, [1.0, 0.0])
    }
}

impl<F: VectorField> Sample for ContinuousFlow<F> {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        self.sample_with(n, Caution::Temperature(1.0), rng)
    }
}

impl<F: VectorField> Cautious for ContinuousFlow<F> {
    fn with_caution(&self, caution: Caution) -> Option<Box<dyn Sample + '_>> {
        caution.is_of_noise().then(|| sampler(move |n, rng| self.sample_with(n, caution, rng)))
    }
}

impl<F: VectorField> Model for ContinuousFlow<F> {
    /// The mean of `−log p(x)` in nats, the weighted costs of the way, and flow matching.
    fn loss(&self, batch: Batch, rng: &mut Rng) -> Loss {
        let ContinuousFlowConfig { training: Integration { solver, divergence }, kinetic, jacobian, .. } = self.config;
        let features = self.field.features();
        let x: Vec<f64> = host(plain(batch.x)).into_iter().map(f64::from).collect();
        let n = x.len() / features;
        let beside = match (kinetic > 0.0, jacobian > 0.0) {
            (_, true) => Beside::Jacobian,
            (true, false) => Beside::Energy,
            (false, false) => Beside::Volume,
        };
        let field = self.augmented(divergence.directions(n, features, rng), beside);
        let start = field.start(&x);
        let journey = Journey::new(self.config.backward, solver, &field, &start, [0.0, 1.0]);

        let share = 1.0 / n as f64;
        let (mut nll, mut costs) = (0.0, [0.0; 2]);
        let mut end = journey.solution.y.clone();
        for y in end.chunks_exact_mut(start.len() / n.max(1)) {
            nll -= share * (log_normal(&y[..features]) + y[features]);
            y[..features].iter_mut().for_each(|z| *z *= share);
            y[features] = -share;
            for ((cost, weight), y) in costs.iter_mut().zip([kinetic, jacobian]).zip(&mut y[features + 1..]) {
                *cost += share * *y;
                *y = share * weight;
            }
        }
        let evaluations = journey.solution.evaluations.iter().sum::<usize>() as f64 * share;
        let mut parts = vec![("nll", nll), ("evaluations", evaluations)];
        parts.extend((beside >= Beside::Energy).then_some(("kinetic", costs[0])));
        parts.extend((beside >= Beside::Jacobian).then_some(("jacobian", costs[1])));
        if let Some((row, time, after)) = journey.solution.failures.first().and_then(OdeError::place) {
            parts.extend([("failed-row", row as f64), ("failed-at-time", time), ("failed-after", after as f64)]);
        }

        let mut value = nll + kinetic * costs[0] + jacobian * costs[1];
        let mut gradient = if value.is_finite() { journey.back(&field, &end) } else { None };
        if gradient.is_none() {
            // Without a gradient there is no loss that could be used: the step must fail.
            value = f64::NAN;
        } else if self.config.flow_matching > 0.0 {
            let matching = self.match_flow(&x, self.config.flow_matching, rng, &mut gradient);
            parts.push(("flow-matching", matching));
            value += matching;
        }
        Loss { value: with_gradient(&self.field, value, gradient.unwrap_or_default()), parts }
    }

    /// The same, or flow matching alone in the first steps.
    fn loss_at(&self, step: u64, batch: Batch, rng: &mut Rng) -> Loss {
        if step >= self.config.matching_steps {
            return self.loss(batch, rng);
        }
        let x: Vec<f64> = host(plain(batch.x)).into_iter().map(f64::from).collect();
        let mut gradient = None;
        let value = self.match_flow(&x, 1.0, rng, &mut gradient);
        Loss { value: with_gradient(&self.field, value, gradient.unwrap_or_default()), parts: Vec::new() }
    }

    fn view(&self) -> View<'_> {
        View {
            sample: Some(self),
            cautious: Some(self),
            density: Some(self),
            faults: Some(self),
            bijection: Some(self),
            ..View::default()
        }
    }
}
