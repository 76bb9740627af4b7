//! Step by step against the schedulers of diffusers; the golden file is written by `parity/schedulers.py`.

use burn::tensor::{Device, Tensor, TensorData};
use genera::Rng;
use genera::diffusion::{DiffusionConfig, DiffusionError, Level, Sampler, Solver, Target};
use genera::interop::{SchedulerClass, SchedulerConfig};
use genera::traits::{Denoise, Rows};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    schedules: Vec<Curve>,
    walks: Vec<Walk>,
}

#[derive(Deserialize)]
struct Curve {
    config: SchedulerConfig,
    alphas_cumprod: Vec<f64>,
}

#[derive(Deserialize)]
struct Walk {
    kind: String,
    config: SchedulerConfig,
    steps: usize,
    eta: f64,
    timesteps: Vec<f64>,
    states: Vec<Vec<f64>>,
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../parity/golden/schedulers.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The stand-in for a network of `parity/schedulers.py`.
struct Standin {
    target: Target,
    learns_variance: bool,
}

impl Denoise for Standin {
    fn denoise(&self, x: Rows, levels: &[Level]) -> Rows {
        let c = self.target.coefficients(levels[0]);
        let output = x.clone().tanh() * 0.9 + x.clone() * 0.05 + 0.1 * levels[0].time / 1000.0;
        x * c.c_skip + output * c.c_out
    }

    fn denoise_with_variance(&self, x: Rows, levels: &[Level]) -> (Rows, Option<Rows>) {
        let fraction = self.learns_variance.then(|| ((x.clone() * 0.5).tanh() + 1.0) * 0.5);
        (self.denoise(x, levels), fraction)
    }
}

impl Walk {
    /// Our model and sampler for the same settings.
    fn ours(&self) -> DiffusionConfig {
        let class = if self.kind == "DDIMScheduler" { SchedulerClass::Ddim } else { SchedulerClass::Ddpm };
        // Only DDPM, DDIM and Heun clip unless told otherwise; the configuration has the default of the first two.
        let mut config = SchedulerConfig { class, ..self.config.clone() };
        let solver = match self.kind.as_str() {
            "DDPMScheduler" => Solver::Ancestral,
            "DDIMScheduler" => Solver::Ddim,
            "EulerDiscreteScheduler" => Solver::Euler,
            "HeunDiscreteScheduler" => Solver::Heun,
            _ => Solver::DpmSolver,
        };
        if !matches!(solver, Solver::Ancestral | Solver::Ddim) && config.clip_sample_range == 1.0 {
            config.clip_sample = false;
        }
        let config = config.diffusion(8).unwrap();
        let sampler = Sampler { solver, steps: self.steps, eta: self.eta, ..config.sampler.clone() };
        DiffusionConfig { sampler, ..config }
    }
}

#[test]
fn schedules_are_those_of_diffusers() {
    for Curve { config, alphas_cumprod } in golden().schedules {
        let levels = config.diffusion(1).unwrap().schedule.levels().unwrap();
        for (t, expected) in alphas_cumprod.iter().enumerate() {
            let level = levels.training(t);
            assert!((level.alpha.powi(2) - expected).abs() < 1e-10, "{config:?} at {t}");
            assert!((level.sigma.powi(2) - (1.0 - expected)).abs() < 1e-10);
            assert_eq!(level.time, t as f64);
        }
        assert_eq!(levels.steps(), alphas_cumprod.len());
    }
}

#[test]
fn every_step_is_that_of_diffusers() {
    let golden = golden();
    let mut worst = 0.0_f64;
    for (number, walk) in golden.walks.iter().enumerate() {
        let config = walk.ours();
        let name = format!("walk {number}: {} {:?}", walk.kind, config);
        let levels = config.schedule.levels().unwrap();
        let chain = config.sampler.chain(&levels).unwrap();
        assert_eq!(chain.len(), walk.timesteps.len() + 1, "{name}");
        for (level, time) in chain.iter().zip(&walk.timesteps) {
            // Euler and Heun keep their times in single precision.
            assert!((level.time - time).abs() < 1e-4, "{name}: {} {time}", level.time);
        }
        let standin = Standin { target: config.target, learns_variance: walk.config.learns_variance() };
        let start: Vec<f32> = walk.states[0].iter().map(|v| *v as f32).collect();
        let x: Rows = Tensor::from_data(TensorData::new(start, [3, 8]), &Device::default());
        let mut visited = 0;
        config.sampler.run(&standin, &levels, &chain, x, &mut Rng::new(7), &mut |moment| {
            visited += 1;
            let found: Vec<f32> = moment.x.to_data().iter::<f32>().collect();
            for (found, expected) in found.iter().zip(&walk.states[moment.step + 1]) {
                let error = (f64::from(*found) - expected).abs() / expected.abs().max(1.0);
                worst = worst.max(error);
                assert!(error < 1e-5, "{name}, step {}: {found} {expected}", moment.step);
            }
        });
        assert_eq!(visited, walk.steps, "{name}");
    }
    println!("{} walks, largest error {worst:.1e}", golden.walks.len());
}

#[test]
fn configurations_without_a_meaning_here_are_refused() {
    let read = |json: &str| serde_json::from_str::<SchedulerConfig>(json).unwrap().diffusion(4);
    assert!(read("{}").is_ok());
    for json in [
        r#"{"rescale_betas_zero_snr": true}"#,
        r#"{"variance_type": "learned"}"#,
        r#"{"variance_type": "fixed_large_log"}"#,
    ] {
        assert!(matches!(read(json), Err(DiffusionError::Combination(_))), "{json}");
    }
    let listed = read(r#"{"trained_betas": [0.1, 0.2, 0.3], "num_train_timesteps": 3}"#).unwrap();
    let levels = listed.schedule.levels().unwrap();
    assert!((levels.training(2).alpha.powi(2) - 0.9 * 0.8 * 0.7).abs() < 1e-12);
    assert_eq!(listed.sampler.chain(&levels).unwrap().len(), 4);
}
