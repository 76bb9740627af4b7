//! Consistency distillation: a network that goes from any level of noise to the end of the probability flow at once.
//!
//! ```text
//! f(x, σ) = c_skip x + c_out F,   f(x, σ_min) = x                          the consistency target
//! loss = E w(t) (√(|f(x_t, t) − f⁻(x̂_s, s)|² + c²) − c)                    s the next lower level of a grid
//! x̂_s    one step of Heun's rule from x_t along the flow of a teacher, f⁻ the network itself without a gradient
//! ```
//!
//! Song et al., 2303.01469 (algorithm 2). From Song and Dhariwal, 2310.14189, are the pseudo-Huber metric, the weights
//! `1/(σ_t − σ_s)` and that the network is its own target, without an average. Guidance is not distilled: the student is
//! told classes as the teacher is, and none are hidden from it.

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Tensor, TensorData};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::sampler::noise;
use super::{Diffusion, DiffusionError, Finish, Level, Sampler, Solver, Target, host, within};
use crate::nn::Conditioned;
use crate::train::{ConfigError, Descent, DescentConfig};
use crate::traits::{Batch, Denoise, Learner, Loss, Model, Net, Rows, Sample, Scalars, StepError, View};
use crate::weights::{Weights, WeightsError};

/// How a student is taught.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyConfig {
    /// Steps of the grid of levels between which it learns.
    pub levels: usize,
    /// `c/√F`: how far apart, a number, rows must be for their squared distance to become a distance. The 0.00054 of
    /// 2310.14189 makes every error on a row of few numbers pull alike, however small it is: the student then trembles at
    /// each level, the levels add that up, and two steps spread a plane's points a third too far.
    #[serde(default = "ConsistencyConfig::knee")]
    pub knee: f64,
    /// How much the pair of each level weighs.
    #[serde(default)]
    pub weighting: PairWeighting,
}

impl ConsistencyConfig {
    /// On a grid of so many steps.
    pub fn new(levels: usize) -> Self {
        Self { levels, knee: Self::knee(), weighting: PairWeighting::default() }
    }

    /// The knee where none is said.
    pub fn knee() -> f64 {
        0.1
    }
}

/// `w(t)`: how much a pair of levels weighs in the loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PairWeighting {
    /// All alike: the far pairs of high noise, whose differences are large, have their way.
    #[default]
    Uniform,
    /// One over the distance of its levels in `σ/α`, relative to the mean over the grid.
    InverseGap,
}

/// A student of a diffusion, which starts as its teacher.
#[derive(Module, Debug)]
pub struct Consistency<N: Module> {
    /// The student: what it predicts of clean data is where the flow ends.
    pub student: Diffusion<N>,
    /// What the next batch is for.
    #[module(skip)]
    task: Option<Task>,
    #[module(skip)]
    knee: f64,
}

/// Where the rows of a batch are on their ways, and where the teacher carries them next.
#[derive(Clone, Debug)]
struct Task {
    from: Vec<Level>,
    to: Vec<Level>,
    /// The rows at `to`, row-major.
    carried: Vec<f32>,
    /// `w` of each row.
    weights: Vec<f64>,
}

impl<N: Module + ModuleDisplay + Net<Conditioned, Rows>> Consistency<N> {
    /// A student of `teacher`, with the [`knee`](ConsistencyConfig::knee) of its loss.
    ///
    /// # Errors
    /// A teacher whose target is not that of Karras et al., which the student's continues; a knee that is not positive.
    pub fn of(teacher: &Diffusion<N>, knee: f64) -> Result<Self, DiffusionError> {
        within(knee > 0.0 && knee.is_finite(), "consistency.knee", knee, "positive")?;
        let Target::Karras { sigma_data } = teacher.config().target else {
            return Err(DiffusionError::Combination(
                "a consistency model starts from the karras target; set target = { karras = { sigma_data } }",
            ));
        };
        if teacher.config().trained_under.is_some() {
            return Err(DiffusionError::Combination(
                "a consistency model starts from a teacher of its own schedule; remove trained_under",
            ));
        }
        let lowest = teacher.levels().lowest();
        let target = Target::Consistency { sigma_data, sigma_min: lowest.sigma / lowest.alpha };
        Ok(Self { student: teacher.clone().aimed_at(target), task: None, knee })
    }
}

impl<N: Module + Net<Conditioned, Rows>> Model for Consistency<N> {
    /// On the noisy rows of a [`Distillation`], which sets what they are for; of other rows nothing is asked.
    fn loss(&self, batch: Batch, _: &mut Rng) -> Loss {
        let ([rows, width], device) = (batch.x.dims(), batch.x.device());
        let Some(Task { from, to, carried, weights }) = self.task.as_ref().filter(|task| task.from.len() == rows)
        else {
            return Loss { value: Tensor::zeros([1], &device), parts: Vec::new() };
        };
        let carried = Tensor::from_data(TensorData::new(carried.clone(), [rows, width]), &device);
        let aim = self.student.clean(carried, to, batch.labels.as_deref()).detach();
        let found = self.student.clean(batch.x, from, batch.labels.as_deref());
        let c = self.knee * (width as f64).sqrt();
        let distance = ((found - aim).square().sum_dim(1) + c * c).sqrt() - c;
        Loss { value: (distance * column(weights.iter().copied(), &device)).mean(), parts: Vec::new() }
    }

    /// It draws and removes noise; its predictions are no means, so there is no likelihood.
    fn view(&self) -> View<'_> {
        View { sample: Some(self), denoise: Some(&self.student), ..View::default() }
    }
}

impl<N: Module + Net<Conditioned, Rows>> Sample for Consistency<N> {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        self.student.sample(n, rng)
    }
}

/// What the arrays of the student are called beside the teacher's.
const NAMES: [(&str, &str); 3] = [("model", "student"), ("optimizer", "student-optimizer"), ("ema", "student-ema")];

/// A diffusion in training, and after `first` steps of it a student.
pub struct Distillation<N: Module> {
    teacher: Descent<Diffusion<N>>,
    /// Since the end of the first part.
    student: Option<Descent<Consistency<N>>>,
    first: u64,
    /// The levels between which the student learns, noisiest first, and the weight of each with the next.
    grid: Vec<Level>,
    weights: Vec<f64>,
    knee: f64,
    config: DescentConfig,
    steps: u64,
}

/// Why a distillation cannot begin.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DistillationError {
    /// The teacher or the grid.
    #[error(transparent)]
    Diffusion(#[from] DiffusionError),
    /// The descent.
    #[error(transparent)]
    Descent(#[from] ConfigError),
}

impl<N: Module + ModuleDisplay + Net<Conditioned, Rows>> Distillation<N> {
    /// Before the first of `first` steps of `teacher`, after which a student takes `steps` steps as `taught` says.
    ///
    /// # Errors
    /// Those of [`Consistency::of`]; a grid without a step or finer than the chain serves; numbers in `config` outside
    /// their ranges.
    pub fn new(
        teacher: Diffusion<N>,
        [first, steps]: [u64; 2],
        taught: ConsistencyConfig,
        config: DescentConfig,
    ) -> Result<Self, DistillationError> {
        let ConsistencyConfig { levels, knee, weighting } = taught;
        within(levels > 0, "consistency.levels", levels as f64, "at least 1")?;
        Consistency::of(&teacher, knee)?;
        let sampler = Sampler { solver: Solver::Heun, steps: levels, finish: Finish::Lowest, ..Sampler::default() };
        let grid = sampler.chain(teacher.levels())?;
        let weights = weights(&grid, weighting);
        let teacher = Descent::new(teacher, config, first)?;
        Ok(Self { teacher, student: None, first, grid, weights, knee, config, steps })
    }

    /// The model to use: the student, once there is one.
    pub fn model(&self) -> &Diffusion<N> {
        match &self.student {
            Some(student) => &student.model().student,
            None => self.teacher.model(),
        }
    }

    /// A student of the teacher as it is now.
    fn enrolled(&self) -> Descent<Consistency<N>> {
        let checked = "teacher and descent were checked when the learner was made";
        let student = Consistency::of(self.teacher.model(), self.knee).expect(checked);
        Descent::new(student, self.config, self.steps).expect(checked)
    }

    /// The rows of `batches` with noise on top, and what they are for.
    fn set(&self, batches: Vec<Batch>, rng: &mut Rng) -> (Batch, Task) {
        let labels: Option<Vec<Vec<usize>>> = batches.iter().map(|batch| batch.labels.clone()).collect();
        let labels = labels.map(|labels| labels.concat());
        let x = Rows::cat(batches.into_iter().map(|batch| batch.x).collect(), 0);
        let x = if x.is_autodiff() { x.inner() } else { x };
        let ([rows, width], device) = (x.dims(), x.device());
        let places = rng.below(rows, self.grid.len() - 1);
        let from: Vec<Level> = places.iter().map(|place| self.grid[*place]).collect();
        let to: Vec<Level> = places.iter().map(|place| self.grid[place + 1]).collect();
        let eps = noise([rows, width], rng, &device);
        let column = |of: fn(&Level) -> f64| column(from.iter().map(of), &device);
        let x_t = x * column(|level| level.alpha) + eps * column(|level| level.sigma);
        let teacher = self.teacher.model().given(labels.clone().unwrap_or_default());
        let carried = host(&carried(&teacher, x_t.clone(), &from, &to));
        let weights = places.iter().map(|place| self.weights[*place]).collect();
        (Batch { x: x_t, labels }, Task { from, to, carried, weights })
    }
}

/// `w` of each level of `grid` but the last.
fn weights(grid: &[Level], weighting: PairWeighting) -> Vec<f64> {
    let noise = |level: &Level| level.sigma / level.alpha;
    let weight = |pair: &[Level]| match weighting {
        PairWeighting::Uniform => 1.0,
        PairWeighting::InverseGap => (noise(&pair[0]) - noise(&pair[1])).recip(),
    };
    let weights: Vec<f64> = grid.windows(2).map(weight).collect();
    let mean = weights.iter().sum::<f64>() / weights.len() as f64;
    weights.into_iter().map(|weight| weight / mean).collect()
}

/// Rows at `from`, row by row one step of Heun's rule down to `to`, for `x/α` as a function of `σ/α`: `[B, F]`.
fn carried(denoise: &dyn Denoise, x: Rows, from: &[Level], to: &[Level]) -> Rows {
    let device = x.device();
    let noise = |level: &Level| level.sigma / level.alpha;
    let of = |levels: &[Level], of: &dyn Fn(&Level) -> f64| column(levels.iter().map(of), &device);
    let slope = |y: Rows, x0: Rows, levels: &[Level]| (y - x0) / of(levels, &noise);
    let stride = of(to, &noise) - of(from, &noise);
    let scale = of(to, &|level| level.alpha);
    let y = x.clone() / of(from, &|level| level.alpha);
    let here = slope(y.clone(), denoise.denoise(x, from), from);
    let ahead = y.clone() + here.clone() * stride.clone();
    let there = slope(ahead.clone(), denoise.denoise(ahead * scale.clone(), to), to);
    (y + (here + there) * stride * 0.5) * scale
}

/// Numbers, one a row, as a column: `[B, 1]`.
fn column(values: impl Iterator<Item = f64>, device: &Device) -> Rows {
    let values: Vec<f32> = values.map(|v| v as f32).collect();
    let rows = values.len();
    Tensor::from_data(TensorData::new(values, [rows, 1]), device)
}

impl<N: Module + ModuleDisplay + Net<Conditioned, Rows>> Learner for Distillation<N> {
    fn step(&mut self, batches: Vec<Batch>, rng: &mut Rng) -> Result<Scalars, StepError> {
        if self.teacher.steps_taken() < self.first {
            return self.teacher.step(batches, rng);
        }
        let mut student = self.student.take().unwrap_or_else(|| self.enrolled());
        let (batch, task) = self.set(batches, rng);
        student.change(|model| Consistency { task: Some(task), ..model });
        let scalars = student.step(vec![batch], rng);
        self.student = Some(student);
        scalars
    }

    fn view(&self) -> View<'_> {
        self.student.as_ref().map_or_else(|| self.teacher.view(), Learner::view)
    }

    fn save(&self) -> Vec<(&'static str, Weights)> {
        let named = |(name, weights)| {
            let (_, name) = NAMES.iter().find(|(own, _)| *own == name)?;
            Some((*name, weights))
        };
        let student = self.student.iter().flat_map(Learner::save).filter_map(named);
        self.teacher.save().into_iter().chain(student).collect()
    }

    fn load(&mut self, groups: &[(String, Weights)]) -> Result<(), WeightsError> {
        let own = |name: &str| NAMES.iter().find(|(_, student)| *student == name).map(|(name, _)| (*name).to_owned());
        let (student, teacher): (Vec<_>, Vec<_>) = groups.iter().cloned().partition(|(name, _)| own(name).is_some());
        self.teacher.load(&teacher)?;
        self.student = match student.is_empty() {
            true => None,
            false => {
                let mut descent = self.enrolled();
                let groups = student.into_iter().filter_map(|(name, weights)| Some((own(&name)?, weights)));
                descent.load(&groups.collect::<Vec<_>>())?;
                Some(descent)
            }
        };
        Ok(())
    }
}
