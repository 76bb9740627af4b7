//! What a case does at each step: train a network, run it, or move the optimiser alone.

use std::error::Error;
use std::path::Path;

use burn::module::{Module, ModuleDisplay};
use burn::tensor::Tensor;
use genera::Rng;
use genera::train::{Descent, DescentConfig, Ema, OptimizerConfig, RateSchedule};
use genera::traits::{Batch, Learner, Loss, Model, Rows, View};
use genera::weights::{apply, read};
use serde::Deserialize;

use crate::given::Given;
use crate::tasks;

/// What `cases.json` says about a case, with its `like` resolved.
#[derive(Deserialize)]
pub struct Case {
    pub task: tasks::Kind,
    pub mode: Mode,
    pub net: serde_json::Value,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Loss, gradient, clipping, AdamW and the moving average.
    Train,
    /// What sampling does at each step.
    Sample,
    /// The optimiser alone.
    Step,
}

/// The result of a step.
pub struct Done {
    pub loss: f64,
    pub norm: f64,
}

pub trait Work {
    fn step(&mut self) -> Done;
    /// What there is to compare after all steps, where the steps themselves compute no number.
    fn result(&self) -> Option<Done> {
        None
    }
}

/// A network with something to compute. The weights are named as in `networks.py`.
pub trait Task: Module + ModuleDisplay + 'static {
    fn loss(&self, given: &Given) -> Tensor<1>;
    /// What one step of sampling computes.
    fn sample(&self, given: &Given) -> Output {
        Output::Number(self.loss(given))
    }
}

/// A result that is looked at only when checked.
pub enum Output {
    Number(Tensor<1>),
    Image(Tensor<4>),
}

pub const OPTIMIZER: OptimizerConfig =
    OptimizerConfig::Adamw { learning_rate: 1e-3, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 1e-2 };

/// Opens the case in `folder`.
pub fn open(folder: &Path) -> Result<Box<dyn Work>, Box<dyn Error>> {
    let case: Case = serde_json::from_slice(&std::fs::read(folder.join("case.json"))?)?;
    let given = Given::from(read(folder.join("inputs.safetensors"))?);
    tasks::open(case, &read(folder.join("weights.safetensors"))?, given)
}

/// The work of `mode` on a network whose weights are `weights`.
pub fn on<T: Task>(
    net: T,
    weights: &genera::weights::Weights,
    given: Given,
    mode: Mode,
) -> Result<Box<dyn Work>, Box<dyn Error>> {
    let net = apply(net, weights)?;
    Ok(match mode {
        Mode::Train => {
            let ema = Some(Ema { decay: 0.999, warmup: false });
            let rate = RateSchedule::default();
            let config = DescentConfig { optimizer: OPTIMIZER, rate, clip_norm: Some(1.0), ema };
            Box::new(Training(Descent::new(Learning { net, given }, config, 1 << 20)?))
        }
        Mode::Sample => Box::new(Inference { net, given, last: None }),
        Mode::Step => return Err("this task has no optimiser of its own".into()),
    })
}

/// A task as a model: its batch is always the same.
#[derive(Module, Debug)]
struct Learning<T: Module> {
    net: T,
    #[module(skip)]
    given: Given,
}

impl<T: Task> Model for Learning<T> {
    fn loss(&self, _: Batch, _: &mut Rng) -> Loss {
        Loss { value: self.net.loss(&self.given), parts: Vec::new() }
    }

    fn view(&self) -> View<'_> {
        View::default()
    }
}

struct Training<T: Task>(Descent<Learning<T>>);

impl<T: Task> Work for Training<T> {
    fn step(&mut self) -> Done {
        // The model has its numbers already; a batch of one row says that there is something to do.
        let x: Rows = Tensor::zeros([1, 1], &burn::tensor::Device::flex());
        let scalars = self.0.step(vec![Batch { x, labels: None }], &mut Rng::new(0)).expect("a finite step");
        let named = |name: &str| scalars.iter().find(|(known, _)| *known == name).map_or(f64::NAN, |(_, value)| *value);
        Done { loss: named("loss"), norm: named("grad-norm") }
    }
}

struct Inference<T> {
    net: T,
    given: Given,
    last: Option<Output>,
}

impl<T: Task> Work for Inference<T> {
    fn step(&mut self) -> Done {
        // As a sampler does it.
        self.last = Some(genera_kernels::awake(|| self.net.sample(&self.given)));
        Done { loss: f64::NAN, norm: 0.0 }
    }

    fn result(&self) -> Option<Done> {
        let loss = match self.last.as_ref()? {
            Output::Number(number) => f64::from(number.clone().into_scalar::<f32>()),
            Output::Image(image) => {
                let count = image.dims().iter().product::<usize>();
                (genera_kernels::sum_of_squares(image.clone()) / count as f64).sqrt()
            }
        };
        Some(Done { loss, norm: 0.0 })
    }
}
