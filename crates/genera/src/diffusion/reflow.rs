//! A flow that is trained a second time, on its own ways: rectified flow.
//!
//! ```text
//! first     noise and data paired by chance: the velocities of lines that cross, samples follow bent ways
//! second    noise ε and the x that the trained flow carries it to: lines that do not cross, ways that are nearly straight
//! ```
//!
//! Liu, Gong and Liu, 2209.03003. The marginals stay what they were; the straighter the ways, the fewer steps they need.
//! Pairs are made as training goes on, by a teacher that is the flow as it was at the end of the first part.

use burn::module::{Module, ModuleDisplay};
use burn::tensor::Tensor;
use genera_rng::Rng;

use super::sampler::{noise, start};
use super::{Diffusion, DiffusionError, Sampler, Solver, host, within};
use crate::nn::Conditioned;
use crate::train::Descent;
use crate::traits::{Batch, Learner, Net, Rows, Scalars, StepError, View};
use crate::weights::{Weights, WeightsError, apply, collect};

/// The group of a checkpoint that holds the teacher.
const GROUP: &str = "teacher";

/// A flow in training, first on data and then on its own pairs.
pub struct Reflow<N: Module> {
    descent: Descent<Diffusion<N>>,
    /// Since the end of the first part.
    teacher: Option<Diffusion<N>>,
    first: u64,
    steps: usize,
}

impl<N: Module + ModuleDisplay + Net<Conditioned, Rows>> Reflow<N> {
    /// Before the first of `first` steps on data; then pairs are made in `steps` steps of Heun's rule.
    ///
    /// # Errors
    /// No step of Heun's rule, or more than the chain serves.
    pub fn new(descent: Descent<Diffusion<N>>, first: u64, steps: usize) -> Result<Self, DiffusionError> {
        within(steps > 0, "reflow.steps", steps as f64, "at least 1")?;
        Self::sampler(steps).chain(descent.model().levels())?;
        Ok(Self { descent, teacher: None, first, steps })
    }

    /// The model to use.
    pub fn model(&self) -> &Diffusion<N> {
        self.descent.model()
    }

    fn sampler(steps: usize) -> Sampler {
        Sampler { solver: Solver::Heun, steps, ..Sampler::default() }
    }

    /// The rows that the teacher carries fresh noise to, and that noise.
    fn pairs(&self, teacher: &Diffusion<N>, batches: Vec<Batch>, rng: &Rng) -> (Batch, Vec<f32>) {
        let mut rng = rng.fork("pairs");
        let rows = batches.iter().map(|batch| batch.x.dims()[0]).sum();
        let labels: Option<Vec<Vec<usize>>> = batches.into_iter().map(|batch| batch.labels).collect();
        let labels = labels.map(|labels| labels.concat());
        let device = teacher.net.devices().into_iter().next().unwrap_or_default().inner();
        let eps = noise([rows, teacher.config().features], &mut rng, &device);
        let (sampler, levels) = (Self::sampler(self.steps), teacher.levels());
        // Checked when the learner was made.
        let chain = sampler.chain(levels).unwrap_or_else(|_| levels.chain());
        let given = teacher.given(labels.clone().unwrap_or_default());
        let x = sampler.run(&given, levels, &chain, start(&chain, eps.clone()), &mut rng, &mut |_| ());
        (Batch { x: Tensor::from_data(x.to_data(), &device), labels }, host(&eps))
    }
}

impl<N: Module + ModuleDisplay + Net<Conditioned, Rows>> Learner for Reflow<N> {
    fn step(&mut self, batches: Vec<Batch>, rng: &mut Rng) -> Result<Scalars, StepError> {
        if self.descent.steps_taken() < self.first {
            return self.descent.step(batches, rng);
        }
        let teacher = self.teacher.take().unwrap_or_else(|| self.descent.model().clone());
        let (batch, eps) = self.pairs(&teacher, batches, rng);
        self.teacher = Some(teacher);
        self.descent.change(|model| model.paired_with(eps));
        self.descent.step(vec![batch], rng)
    }

    fn view(&self) -> View<'_> {
        self.descent.view()
    }

    fn save(&self) -> Vec<(&'static str, Weights)> {
        let teacher = self.teacher.iter().map(|teacher| (GROUP, collect(teacher)));
        self.descent.save().into_iter().chain(teacher).collect()
    }

    fn load(&mut self, groups: &[(String, Weights)]) -> Result<(), WeightsError> {
        let (own, rest): (Vec<_>, Vec<_>) = groups.iter().cloned().partition(|(name, _)| name == GROUP);
        let teacher = own.first().map(|(_, weights)| apply(self.descent.model().clone(), weights)).transpose()?;
        self.descent.load(&rest)?;
        self.teacher = teacher;
        Ok(())
    }
}
