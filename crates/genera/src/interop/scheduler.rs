//! The configuration of a noise schedule and its sampler: the keys, values and defaults of diffusers'
//! `DDPMScheduler` and `DDIMScheduler` 0.42.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{InteropError, config};
use crate::diffusion::{
    Clip, DiffusionConfig, DiffusionError, Finish, Sampler, Schedule, Solver, Spacing, Target, Variance,
};

/// The sampler that a pipeline was saved with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SchedulerClass {
    /// Ancestral sampling.
    #[default]
    Ddpm,
    /// Implicit sampling.
    Ddim,
}

impl SchedulerClass {
    const ALL: [Self; 2] = [Self::Ddpm, Self::Ddim];

    /// Its name in diffusers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ddpm => "DDPMScheduler",
            Self::Ddim => "DDIMScheduler",
        }
    }
}

/// How the variances `beta` of the forward steps grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// Linearly.
    Linear,
    /// Their square roots linearly.
    ScaledLinear,
    /// As a squared cosine of what remains of the signal; `beta_start` and `beta_end` are not used.
    SquaredcosCapV2,
    /// As a logistic curve from -6 to 6.
    Sigmoid,
}

/// What the network predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictionType {
    /// The noise.
    Epsilon,
    /// The clean data.
    Sample,
    /// The velocity `v`.
    VPrediction,
}

/// The variance of a reverse step of DDPM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VarianceType {
    /// That of the posterior.
    FixedSmall,
    /// That of the posterior, clipped, by way of its logarithm.
    FixedSmallLog,
    /// `beta`.
    FixedLarge,
    /// `beta`, by way of its logarithm.
    FixedLargeLog,
    /// The second half of the network's output.
    Learned,
    /// Between both, as far as the second half of the network's output says.
    LearnedRange,
}

/// Which of the training times a short chain visits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestepSpacing {
    /// Evenly spaced from the first to the last.
    Linspace,
    /// Multiples of a step, from zero.
    Leading,
    /// Multiples of a step, down from the last.
    Trailing,
}

/// The noise schedule of a pipeline and how it samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SchedulerConfig {
    /// The class; in files it is called `_class_name`.
    #[serde(skip)]
    pub class: SchedulerClass,
    /// Number of forward steps.
    pub num_train_timesteps: usize,
    /// The first variance.
    pub beta_start: f64,
    /// The last variance.
    pub beta_end: f64,
    /// How the variances grow.
    pub beta_schedule: BetaSchedule,
    /// The variances themselves, instead of the three keys before.
    pub trained_betas: Option<Vec<f64>>,
    /// The variance of a reverse step; DDPM alone has this key.
    pub variance_type: VarianceType,
    /// Whether predicted clean data is clipped.
    pub clip_sample: bool,
    /// To what: `± clip_sample_range`.
    pub clip_sample_range: f64,
    /// What the network predicts.
    pub prediction_type: PredictionType,
    /// Whether predicted clean data is thresholded dynamically.
    pub thresholding: bool,
    /// The quantile that dynamic thresholding keeps.
    pub dynamic_thresholding_ratio: f64,
    /// The largest threshold.
    pub sample_max_value: f64,
    /// Which of the training times a short chain visits.
    pub timestep_spacing: TimestepSpacing,
    /// What is added to those times where they are `leading`.
    pub steps_offset: usize,
    /// Whether the last step ends at data without noise, and not at the first level; DDIM alone has this key.
    pub set_alpha_to_one: bool,
    /// Whether the variances are rescaled so that nothing of the signal is left at the last step.
    pub rescale_betas_zero_snr: bool,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            class: SchedulerClass::Ddpm,
            num_train_timesteps: 1000,
            beta_start: 1e-4,
            beta_end: 0.02,
            beta_schedule: BetaSchedule::Linear,
            trained_betas: None,
            variance_type: VarianceType::FixedSmall,
            clip_sample: true,
            clip_sample_range: 1.0,
            prediction_type: PredictionType::Epsilon,
            thresholding: false,
            dynamic_thresholding_ratio: 0.995,
            sample_max_value: 1.0,
            timestep_spacing: TimestepSpacing::Leading,
            steps_offset: 0,
            set_alpha_to_one: true,
            rescale_betas_zero_snr: false,
        }
    }
}

impl SchedulerConfig {
    /// Whether the network predicts the variance too, and so has twice as many channels out as in.
    pub fn learns_variance(&self) -> bool {
        self.class == SchedulerClass::Ddpm
            && matches!(self.variance_type, VarianceType::Learned | VarianceType::LearnedRange)
    }

    /// The same in our words, for rows of length `features`. The number of steps is that of diffusers' pipelines: the
    /// whole chain for DDPM, 50 for DDIM.
    ///
    /// # Errors
    /// What has no meaning here: variances rescaled to leave no signal, raw learned variances, and the large fixed
    /// variance by way of its logarithm, of which diffusers takes the root and gets no number.
    pub fn diffusion(&self, features: usize) -> Result<DiffusionConfig, DiffusionError> {
        if self.rescale_betas_zero_snr {
            return Err(DiffusionError::Combination("rescale_betas_zero_snr is not supported; set it to false"));
        }
        let steps = self.num_train_timesteps;
        // Ours are the betas of 1000 steps.
        let [beta_start, beta_end] = [self.beta_start, self.beta_end].map(|beta| beta * steps as f64 / 1000.0);
        let schedule = match (&self.trained_betas, self.beta_schedule) {
            (Some(betas), _) => Schedule::Betas { betas: betas.clone() },
            (None, BetaSchedule::Linear) => Schedule::Linear { steps, beta_start, beta_end },
            (None, BetaSchedule::ScaledLinear) => Schedule::ScaledLinear { steps, beta_start, beta_end },
            (None, BetaSchedule::SquaredcosCapV2) => Schedule::cosine(steps),
            (None, BetaSchedule::Sigmoid) => Schedule::Sigmoid { steps, beta_start, beta_end },
        };
        let target = match self.prediction_type {
            PredictionType::Epsilon => Target::Noise,
            PredictionType::Sample => Target::Data,
            PredictionType::VPrediction => Target::V,
        };
        let variance = match (self.class, self.variance_type) {
            (SchedulerClass::Ddim, _) | (_, VarianceType::FixedSmall | VarianceType::FixedSmallLog) => {
                Variance::FixedSmall
            }
            (_, VarianceType::FixedLarge) => Variance::FixedLarge,
            (_, VarianceType::LearnedRange) => Variance::Learned,
            (_, VarianceType::FixedLargeLog | VarianceType::Learned) => {
                return Err(DiffusionError::Combination(
                    "variance_type fixed_large_log and learned are not supported; use fixed_large or learned_range",
                ));
            }
        };
        let clip = match (self.thresholding, self.clip_sample) {
            (true, _) => {
                Clip::Dynamic { ratio: self.dynamic_thresholding_ratio, limit: self.sample_max_value.max(1.0) }
            }
            (false, true) => Clip::Range { limit: self.clip_sample_range },
            (false, false) => Clip::Off,
        };
        let ddim = self.class == SchedulerClass::Ddim;
        let sampler = Sampler {
            solver: if ddim { Solver::Ddim } else { Solver::Ancestral },
            steps: if ddim { steps.min(50) } else { steps },
            eta: 0.0,
            spacing: match self.timestep_spacing {
                TimestepSpacing::Linspace => Spacing::Linspace,
                TimestepSpacing::Leading => Spacing::Leading,
                TimestepSpacing::Trailing => Spacing::Trailing,
            },
            // The other spacings do not read it, here as there.
            offset: if self.timestep_spacing == TimestepSpacing::Leading { self.steps_offset } else { 0 },
            finish: if ddim && !self.set_alpha_to_one { Finish::Lowest } else { Finish::Clean },
            clip,
            variance,
            ..Sampler::default()
        };
        Ok(DiffusionConfig { target, variance, sampler, ..DiffusionConfig::new(features, schedule) })
    }

    pub(super) fn read(path: &Path) -> Result<Self, InteropError> {
        let object = config::read_object(path)?;
        let name = config::class_name(path, &object)?.unwrap_or("null");
        let class = SchedulerClass::ALL.into_iter().find(|class| class.name() == name).ok_or_else(|| {
            InteropError::value(path, "_class_name", name, "only DDPMScheduler and DDIMScheduler are supported")
        })?;
        let scheduler = Self { class, ..config::parse(path, object)? };
        scheduler.check(path)?;
        Ok(scheduler)
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), InteropError> {
        let mut object = config::object(self.class.name(), self);
        let foreign = match self.class {
            SchedulerClass::Ddpm => "set_alpha_to_one",
            SchedulerClass::Ddim => "variance_type",
        };
        object.remove(foreign);
        config::write_object(path, object)
    }

    fn check(&self, path: &Path) -> Result<(), InteropError> {
        let steps = self.num_train_timesteps;
        let refuse = |key: &str, value: Value, problem: String| Err(InteropError::value(path, key, value, problem));
        if !(1..=1_000_000).contains(&steps) {
            return refuse("num_train_timesteps", steps.into(), "use 1 to 1000000".into());
        }
        let betas = [("beta_start", self.beta_start), ("beta_end", self.beta_end)];
        let trained = self.trained_betas.iter().flatten().map(|beta| ("trained_betas", *beta));
        for (key, beta) in betas.into_iter().chain(trained) {
            if !(beta > 0.0 && beta < 1.0) {
                return refuse(key, beta.into(), "a variance lies between 0 and 1".into());
            }
        }
        if let Some(betas) = self.trained_betas.as_ref().filter(|betas| betas.len() != steps) {
            let problem = format!("these are {} variances for num_train_timesteps = {steps}", betas.len());
            return refuse("trained_betas", betas.clone().into(), problem);
        }
        for (key, value) in [("clip_sample_range", self.clip_sample_range), ("sample_max_value", self.sample_max_value)]
        {
            if !(value.is_finite() && value > 0.0) {
                return refuse(key, value.into(), "use a positive number".into());
            }
        }
        let ratio = self.dynamic_thresholding_ratio;
        if !(0.0..=1.0).contains(&ratio) {
            return refuse("dynamic_thresholding_ratio", ratio.into(), "a quantile lies between 0 and 1".into());
        }
        if self.steps_offset >= steps {
            return refuse("steps_offset", self.steps_offset.into(), format!("must be below {steps}"));
        }
        Ok(())
    }
}
