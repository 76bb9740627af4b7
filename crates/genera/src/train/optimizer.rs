//! Descent on named vectors: SGD, Adam and AdamW, with PyTorch's defaults and order of operations.
//!
//! ```text
//! SGD     g ← g + λ θ;  m ← μ m + g;  θ ← θ - η m          (Nesterov: θ ← θ - η (g + μ m))
//! Adam    g ← g + λ θ;  m ← β₁ m + (1 - β₁) g;  v ← β₂ v + (1 - β₂) g²
//!         θ ← θ - η m̂ / (√v̂ + ε),   m̂ = m / (1 - β₁ᵗ),  v̂ = v / (1 - β₂ᵗ)
//! AdamW   θ ← (1 - η λ) θ, then Adam with λ = 0
//! ```
//!
//! Adam: Kingma and Ba, arXiv:1412.6980. AdamW: Loshchilov and Hutter, arXiv:1711.05101, with `λ` scaled by the learning
//! rate as in PyTorch. `t` counts the steps of the optimiser, not those of one parameter.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Tensor;
use genera_kernels::{AdamW, AdamWTensors, adamw_step};
use serde::{Deserialize, Serialize};

use super::ema::Average;
use super::error::{ConfigError, below_one, not_negative, positive};
use super::gradients::Gradients;
use super::parameters::{map_parameters, parameters};
use crate::weights::{Array, Weights, WeightsError};

/// Which optimiser, with its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Adam with weight decay apart from the gradient.
    Adamw {
        /// `η`.
        #[serde(default = "learning_rate")]
        learning_rate: f64,
        /// `β₁, β₂`.
        #[serde(default = "betas")]
        betas: [f64; 2],
        /// `ε`.
        #[serde(default = "epsilon")]
        epsilon: f64,
        /// `λ`.
        #[serde(default = "decoupled_decay")]
        weight_decay: f64,
    },
    /// Adam; its weight decay is a part of the gradient.
    Adam {
        /// `η`.
        #[serde(default = "learning_rate")]
        learning_rate: f64,
        /// `β₁, β₂`.
        #[serde(default = "betas")]
        betas: [f64; 2],
        /// `ε`.
        #[serde(default = "epsilon")]
        epsilon: f64,
        /// `λ`.
        #[serde(default)]
        weight_decay: f64,
    },
    /// Stochastic gradient descent.
    Sgd {
        /// `η`.
        #[serde(default = "learning_rate")]
        learning_rate: f64,
        /// `μ`.
        #[serde(default)]
        momentum: f64,
        /// Whether the gradient is corrected by the momentum to come.
        #[serde(default)]
        nesterov: bool,
        /// `λ`.
        #[serde(default)]
        weight_decay: f64,
    },
}

fn learning_rate() -> f64 {
    1e-3
}

fn betas() -> [f64; 2] {
    [0.9, 0.999]
}

fn epsilon() -> f64 {
    1e-8
}

fn decoupled_decay() -> f64 {
    1e-2
}

impl OptimizerConfig {
    /// `η`.
    pub fn learning_rate(&self) -> f64 {
        match *self {
            Self::Adamw { learning_rate, .. } | Self::Adam { learning_rate, .. } | Self::Sgd { learning_rate, .. } => {
                learning_rate
            }
        }
    }

    /// # Errors
    /// A number with which the equations above are undefined.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        not_negative("learning_rate", self.learning_rate())?;
        match *self {
            Self::Adamw { betas, epsilon, weight_decay, .. } | Self::Adam { betas, epsilon, weight_decay, .. } => {
                betas.into_iter().try_for_each(|beta| below_one("betas", beta))?;
                positive("epsilon", epsilon)?;
                not_negative("weight_decay", weight_decay)
            }
            Self::Sgd { momentum, weight_decay, .. } => {
                below_one("momentum", momentum)?;
                not_negative("weight_decay", weight_decay)
            }
        }
    }

    /// The moments kept for each parameter.
    fn moments(&self) -> &'static [&'static str] {
        match self {
            Self::Adamw { .. } | Self::Adam { .. } => &["m", "v"],
            Self::Sgd { momentum, .. } if *momentum != 0.0 => &["m"],
            Self::Sgd { .. } => &[],
        }
    }
}

/// An optimiser in the midst of its work: its moments and how many steps it has taken.
#[derive(Clone, Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    /// `m.<path>` and `v.<path>`, each `[N]`.
    moments: BTreeMap<String, Tensor<1>>,
    steps: u64,
}

impl Optimizer {
    /// Before the first step on the trained parameters of `module`.
    pub fn new(config: OptimizerConfig, module: &impl Module) -> Self {
        let trained = parameters(module).into_iter().filter(|(_, parameter)| parameter.trained);
        let moments = trained
            .flat_map(|(path, parameter)| {
                config.moments().iter().map(move |moment| (format!("{moment}.{path}"), parameter.value.zeros_like()))
            })
            .collect();
        Self { config, moments, steps: 0 }
    }

    /// How many steps have been taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// `module` one step further against `gradients`, at `learning_rate`. Parameters without a gradient stay.
    pub fn step<M: Module>(&mut self, module: M, gradients: Gradients, learning_rate: f64) -> M {
        self.step_with_average(module, gradients, learning_rate, None)
    }

    /// [`Optimizer::step`], after which the average follows; of which the given part stays.
    pub(crate) fn step_with_average<M: Module>(
        &mut self,
        module: M,
        mut gradients: Gradients,
        learning_rate: f64,
        mut average: Option<(&mut Average, f64)>,
    ) -> M {
        self.steps += 1;
        map_parameters(module, |path, theta| {
            let here = average.as_mut().and_then(|(average, _)| average.take(path));
            let decay = average.as_ref().map_or(0.0, |(_, decay)| *decay);
            let (theta, here) = match gradients.take(path) {
                Some(gradient) => self.descend(path, theta, here, gradient, learning_rate, decay),
                None => (theta.clone(), here.map(|here| follow(here, theta, decay))),
            };
            if let (Some((average, _)), Some(here)) = (&mut average, here) {
                average.put(path, here);
            }
            theta
        })
    }

    /// The parameter and its average after this step.
    fn descend(
        &mut self,
        path: &str,
        theta: Tensor<1>,
        average: Option<Tensor<1>>,
        gradient: Tensor<1>,
        rate: f64,
        average_decay: f64,
    ) -> (Tensor<1>, Option<Tensor<1>>) {
        let adam = |[beta_1, beta_2]: [f64; 2], eps, weight_decay| AdamW {
            learning_rate: rate,
            beta_1,
            beta_2,
            eps,
            weight_decay,
            step: self.steps,
            average_decay,
        };
        match self.config {
            OptimizerConfig::Adamw { betas, epsilon, weight_decay, .. } => {
                self.adamw(path, theta, average, gradient, &adam(betas, epsilon, weight_decay))
            }
            OptimizerConfig::Adam { betas, epsilon, weight_decay, .. } => {
                let gradient = with_decay(gradient, &theta, weight_decay);
                self.adamw(path, theta, average, gradient, &adam(betas, epsilon, 0.0))
            }
            OptimizerConfig::Sgd { momentum, nesterov, weight_decay, .. } => {
                let gradient = with_decay(gradient, &theta, weight_decay);
                let direction = if momentum == 0.0 {
                    gradient
                } else {
                    let name = format!("m.{path}");
                    let m = self.moment(&name, &gradient) * momentum + gradient.clone();
                    self.moments.insert(name, m.clone());
                    if nesterov { gradient + m * momentum } else { m }
                };
                let theta = theta - direction * rate;
                (theta.clone(), average.map(|average| follow(average, theta, average_decay)))
            }
        }
    }

    fn adamw(
        &mut self,
        path: &str,
        parameter: Tensor<1>,
        average: Option<Tensor<1>>,
        gradient: Tensor<1>,
        numbers: &AdamW,
    ) -> (Tensor<1>, Option<Tensor<1>>) {
        let [m_name, v_name] = ["m", "v"].map(|moment| format!("{moment}.{path}"));
        let (m, v) = (self.moment(&m_name, &gradient), self.moment(&v_name, &gradient));
        let AdamWTensors { parameter, m, v, average } =
            adamw_step(AdamWTensors { parameter, m, v, average }, gradient, numbers);
        self.moments.extend([(m_name, m), (v_name, v)]);
        (parameter, average)
    }

    /// One moment, taken out so that it can be updated in place; zeros where none is kept yet.
    fn moment(&mut self, name: &str, like: &Tensor<1>) -> Tensor<1> {
        self.moments.remove(name).unwrap_or_else(|| like.zeros_like())
    }

    /// The moments, `m.<path>` and `v.<path>`, each flattened, and `steps`.
    pub fn save(&self) -> Weights {
        let moments = self.moments.iter().map(|(name, moment)| (name.clone(), Array::from_tensor(moment.clone())));
        moments.chain([(STEPS.to_owned(), exactly(self.steps))]).collect()
    }

    /// This optimiser in the state that [`Optimizer::save`] gave.
    ///
    /// # Errors
    /// An array that is missing, unknown or of another shape.
    pub fn loaded(&self, saved: &Weights) -> Result<Self, WeightsError> {
        let array = |name: &str| saved.get(name).ok_or_else(|| WeightsError::Missing(name.to_owned()));
        if let Some(unknown) = saved.keys().find(|name| *name != STEPS && !self.moments.contains_key(*name)) {
            return Err(WeightsError::Unknown(unknown.clone()));
        }
        let moments = self.moments.iter().map(|(name, moment)| {
            let array = array(name)?;
            array.check(name, &moment.dims())?;
            Ok((name.clone(), Tensor::from_data(array.to_data(), &moment.device())))
        });
        let moments = moments.collect::<Result<_, WeightsError>>()?;
        Ok(Self { config: self.config, moments, steps: count(array(STEPS)?)? })
    }
}

fn with_decay(gradient: Tensor<1>, theta: &Tensor<1>, weight_decay: f64) -> Tensor<1> {
    if weight_decay == 0.0 { gradient } else { gradient + theta.clone() * weight_decay }
}

/// `average + (1 - decay) (theta - average)`.
fn follow(average: Tensor<1>, theta: Tensor<1>, decay: f64) -> Tensor<1> {
    average.clone() + (theta - average) * (1.0 - decay)
}

const STEPS: &str = "steps";

/// A count as four floats of sixteen bits each, least first: a single f32 is exact only up to 2²⁴.
fn exactly(count: u64) -> Array {
    Array { shape: vec![4], values: (0..4).map(|limb| (count >> (16 * limb) & 0xffff) as f32).collect() }
}

fn count(array: &Array) -> Result<u64, WeightsError> {
    array.check(STEPS, &[4])?;
    let limbs = array.values.iter().rev();
    limbs
        .into_iter()
        .try_fold(0, |count, limb| {
            let whole = (0.0..65536.0).contains(limb) && limb.fract() == 0.0;
            whole.then_some(count << 16 | *limb as u64)
        })
        .ok_or_else(|| WeightsError::Format(format!("`{STEPS}` holds {:?}, which is no count", array.values)))
}
