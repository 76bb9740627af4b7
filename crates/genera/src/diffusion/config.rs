//! The settings of a diffusion, as a recipe writes them.

use burn::module::Module;
use serde::{Deserialize, Serialize};

use super::{
    Bound, Coupling, Diffusion, DiffusionError, ProbabilityFlow, Sampler, Schedule, Target, Times, Variance, Weighting,
    within,
};

/// Everything about a diffusion but its network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiffusionConfig {
    /// The width `F` of a row.
    pub features: usize,
    /// How noise grows with time.
    pub schedule: Schedule,
    /// The schedule that the network was trained under, if it was another: at each level it sees rows as they are at the
    /// same `σ/α` there, and is told that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_under: Option<Schedule>,
    /// What the network predicts.
    #[serde(default)]
    pub target: Target,
    /// How much each level weighs.
    #[serde(default)]
    pub weighting: Weighting,
    /// The variance of the reverse steps. If it is learned, the network gives `2F` columns.
    #[serde(default)]
    pub variance: Variance,
    /// Which times are trained.
    #[serde(default)]
    pub times: Times,
    /// How many levels the data has, evenly on `[−1, 1]` (17 for digits, 256 for bytes); none if it is continuous.
    #[serde(default)]
    pub data_levels: Option<usize>,
    /// How many classes the network is told, if it learns to do without: class number `classes` then says nothing.
    #[serde(default)]
    pub classes: Option<usize>,
    /// The share of training rows whose class is hidden, for guidance without a classifier.
    #[serde(default)]
    pub label_dropout: f64,
    /// Which noise a row of a batch is paired with.
    #[serde(default)]
    pub coupling: Coupling,
    /// How the likelihood is computed, if by the probability flow; otherwise it is bounded.
    #[serde(default)]
    pub likelihood: Option<ProbabilityFlow>,
    /// How the likelihood is bounded, if it is not computed.
    #[serde(default)]
    pub bound: Bound,
    /// How to draw samples.
    #[serde(default)]
    pub sampler: Sampler,
}

impl DiffusionConfig {
    /// For rows of width `features` under the noise of `schedule`, all else by default.
    pub fn new(features: usize, schedule: Schedule) -> Self {
        Self {
            features,
            schedule,
            trained_under: None,
            target: Target::default(),
            weighting: Weighting::default(),
            variance: Variance::default(),
            times: Times::default(),
            data_levels: None,
            classes: None,
            label_dropout: 0.0,
            coupling: Coupling::default(),
            likelihood: None,
            bound: Bound::default(),
            sampler: Sampler::default(),
        }
    }

    /// A model with the parameters of `net`.
    ///
    /// # Errors
    /// Settings that make no sense, by themselves or together.
    pub fn init<N: Module>(&self, net: N) -> Result<Diffusion<N>, DiffusionError> {
        let levels = self.schedule.levels()?;
        within(self.features > 0, "features", self.features as f64, "the width of a row, at least 1")?;
        let known = self.trained_under.as_ref().map(Schedule::levels).transpose()?;
        self.target.validate(self.trained_under.as_ref().unwrap_or(&self.schedule))?;
        if let Some(known) = &known {
            known.know(&levels)?;
            if self.variance == Variance::Learned {
                return Err(DiffusionError::Combination(
                    "learned variances speak of the steps of the chain that was trained; with trained_under, take a fixed one",
                ));
            }
        }
        self.weighting.validate()?;
        self.times.validate()?;
        if self.weighting == Weighting::Likelihood && matches!(self.schedule, Schedule::LinearFlow { .. }) {
            return Err(DiffusionError::Combination(
                "the likelihood weighting is infinite in pure noise, where the linear-flow schedule ends",
            ));
        }
        if self.weighting == Weighting::Likelihood && matches!(self.times, Times::LogNormal { .. }) {
            return Err(DiffusionError::Combination(
                "the likelihood weighting bounds the likelihood where times are drawn evenly; set times = \"continuous\"",
            ));
        }
        if let Some(data_levels) = self.data_levels {
            within(data_levels >= 2, "data_levels", data_levels as f64, "at least 2")?;
        }
        within(
            (0.0..1.0).contains(&self.label_dropout),
            "label_dropout",
            self.label_dropout,
            "at least 0 and below 1",
        )?;
        if self.label_dropout > 0.0 && self.classes.is_none() {
            return Err(DiffusionError::Combination("label_dropout hides classes, but the model is told none"));
        }
        self.likelihood.map_or(Ok(()), |flow| flow.check())?;
        self.bound.validate()?;
        if self.likelihood.is_some() && self.bound != Bound::Chain {
            return Err(DiffusionError::Combination(
                "with likelihood, the probability flow computes what bound would bound; remove one of them",
            ));
        }
        if self.sampler.variance == Variance::Learned && self.variance != Variance::Learned {
            return Err(DiffusionError::Combination("the sampler takes learned variances, but the model learns none"));
        }
        let needs_levels = self.variance == Variance::Learned || self.weighting == Weighting::Variational;
        if needs_levels && self.times != Times::Discrete {
            return Err(DiffusionError::Combination(
                "learned variances and the variational weighting speak of the steps of a chain; train discrete times",
            ));
        }
        let chain = self.sampler.chain(&levels)?;
        Ok(Diffusion::new(net, self.clone(), levels, known, chain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::{Clip, Solver};
    use crate::nn::Conditioned;
    use crate::traits::{Net, Rows};

    /// A network that says nothing.
    #[derive(Module, Debug)]
    struct Silent;

    impl Net<Conditioned> for Silent {
        fn forward(&self, input: Conditioned) -> Rows {
            input.x * 0.0
        }
    }

    fn read(json: &str) -> DiffusionConfig {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn recipes_are_short_and_unknown_words_are_refused() {
        let plain = read(r#"{"features": 2, "schedule": {"kind": "linear", "steps": 100}}"#);
        assert_eq!((&plain.schedule, plain.target), (&Schedule::linear(100), Target::Noise));
        let full = read(
            r#"{"features": 64, "schedule": {"kind": "karras", "steps": 18, "sigma_max": 40.0}, "data_levels": 17,
                "target": {"karras": {"sigma_data": 0.5}}, "weighting": {"min-snr": {"gamma": 5.0}},
                "times": "continuous", "variance": "fixed-large",
                "sampler": {"solver": "dpm-solver++", "steps": 10, "clip": {"range": {"limit": 1.0}}}}"#,
        );
        assert_eq!(full.target, Target::Karras { sigma_data: 0.5 });
        assert_eq!((full.sampler.solver, full.sampler.clip), (Solver::DpmSolver, Clip::Range { limit: 1.0 }));
        for config in [plain, full] {
            assert!(config.init(Silent).is_ok());
            assert_eq!(read(&serde_json::to_string(&config).unwrap()), config);
        }
        for bad in [
            r#"{"features": 2, "schedule": {"kind": "linear", "steps": 100, "sigma_max": 1.0}}"#,
            r#"{"features": 2, "schedule": {"kind": "linear", "steps": 100}, "tarjet": "v"}"#,
            r#"{"features": 2, "schedule": {"kind": "linear", "steps": 100}, "sampler": {"solver": "magic"}}"#,
            r#"{"features": 2, "schedule": {"kind": "linear", "steps": 100}, "sampler": {"step": 3}}"#,
        ] {
            assert!(serde_json::from_str::<DiffusionConfig>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn settings_that_exclude_each_other_are_errors() {
        let good = read(r#"{"features": 2, "schedule": {"kind": "linear", "steps": 100}}"#);
        let refused = |change: fn(&mut DiffusionConfig)| {
            let mut config = good.clone();
            change(&mut config);
            config.init(Silent).unwrap_err()
        };
        assert!(matches!(refused(|c| c.schedule = Schedule::linear_flow(100)), DiffusionError::Combination(_)));
        assert!(matches!(refused(|c| c.features = 0), DiffusionError::Range { .. }));
        assert!(matches!(refused(|c| c.data_levels = Some(1)), DiffusionError::Range { .. }));
        assert!(matches!(refused(|c| c.target = Target::Karras { sigma_data: 0.0 }), DiffusionError::Range { .. }));
        assert!(matches!(
            refused(|c| c.weighting = Weighting::MinSnr { gamma: f64::NAN }),
            DiffusionError::Range { .. }
        ));
        assert!(matches!(refused(|c| c.sampler.variance = Variance::Learned), DiffusionError::Combination(_)));
        assert!(matches!(refused(|c| c.label_dropout = 1.0), DiffusionError::Range { .. }));
        assert!(matches!(refused(|c| c.label_dropout = 0.1), DiffusionError::Combination(_)));
        let flow = ProbabilityFlow { tolerance: 0.0, ..ProbabilityFlow::default() };
        let mut untold = good.clone();
        untold.likelihood = Some(flow);
        assert!(matches!(untold.init(Silent), Err(DiffusionError::Flow(_))));
        assert!(matches!(refused(|c| c.bound = Bound::Continuous { draws: 0 }), DiffusionError::Range { .. }));
        let both = |c: &mut DiffusionConfig| {
            (c.likelihood, c.bound) = (Some(ProbabilityFlow::default()), Bound::Continuous { draws: 8 });
        };
        assert!(matches!(refused(both), DiffusionError::Combination(_)));
        assert!(matches!(refused(|c| c.sampler.steps = 0), DiffusionError::SamplingSteps { .. }));
        let log_normal = |deviation| Times::LogNormal { mean: -1.2, deviation };
        for (weighting, times) in [
            (Weighting::Variational, Times::Continuous),
            (Weighting::Variational, log_normal(1.2)),
            (Weighting::Likelihood, log_normal(1.2)),
        ] {
            let bad = DiffusionConfig { weighting, times, ..good.clone() };
            assert!(matches!(bad.init(Silent), Err(DiffusionError::Combination(_))), "{weighting:?} {times:?}");
        }
        let bad = DiffusionConfig { times: log_normal(0.0), ..good.clone() };
        assert!(matches!(bad.init(Silent), Err(DiffusionError::Range { .. })));
    }
}
