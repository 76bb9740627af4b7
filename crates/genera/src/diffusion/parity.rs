//! Step by step against the published rules of score-based models and EDM, and diffusers' flow matching; the golden file
//! is written by `parity/score_sde.py`.

use burn::tensor::{Device, Tensor, TensorData};
use genera_rng::Rng;
use serde::Deserialize;

use super::corrector::Place;
use super::*;
use crate::traits::{Denoise, Rows};

const SHAPE: [usize; 2] = [3, 8];

#[derive(Deserialize)]
struct Golden {
    x: Vec<f64>,
    z: Vec<f64>,
    steps: Vec<Single>,
    edm: Vec<Edm>,
    flow: Vec<Walk>,
}

#[derive(Deserialize)]
struct Single {
    kind: String,
    sde: String,
    k: usize,
    to: usize,
    result: Vec<f64>,
}

#[derive(Deserialize)]
struct Edm {
    n: usize,
    sigma_min: f64,
    sigma_max: f64,
    rho: f64,
    churn: Churn,
    states: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Walk {
    n: usize,
    times: Vec<f64>,
    states: Vec<Vec<f64>>,
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../parity/golden/score_sde.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn rows(values: &[f64]) -> Rows {
    let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
    Tensor::from_data(TensorData::new(values, SHAPE), &Device::default())
}

#[track_caller]
fn assert_near(what: &str, found: &Rows, expected: &[f64]) {
    let scale = expected.iter().fold(1.0_f64, |scale, v| scale.max(v.abs()));
    for (found, expected) in host(found).into_iter().zip(expected) {
        assert!((f64::from(found) - expected).abs() < 1e-5 * scale, "{what}: {found}, expected {expected}");
    }
}

/// The stand-in for a network of `parity/schedulers.py`.
struct Network(Target);

impl Denoise for Network {
    fn denoise(&self, x: Rows, levels: &[Level]) -> Rows {
        let c = self.0.coefficients(levels[0]);
        let output = x.clone().tanh() * 0.9 + x.clone() * 0.05 + 0.1 * levels[0].time / 1000.0;
        x * c.c_skip + output * c.c_out
    }
}

#[test]
fn predictors_and_correctors_are_those_of_score_based_models() {
    let golden = golden();
    let (x, z) = (rows(&golden.x), rows(&golden.z));
    for step in &golden.steps {
        let what = format!("{} on {} at {}", step.kind, step.sde, step.k);
        let schedule = match step.sde.as_str() {
            "vp" => Schedule::variance_preserving(1000),
            "subvp" => Schedule::sub_variance_preserving(1000),
            "ddpm" => Schedule::linear(1000),
            _ => Schedule::variance_exploding(1000),
        };
        let levels = schedule.levels().unwrap();
        let (from, to) = (levels.training(step.k), levels.training(step.to));
        let x0 = Network(Target::Noise).denoise(x.clone(), &[from]);
        let corrector = |size| {
            let place = Place { level: from, below: to, ends: [levels.training(0).sigma, levels.top().sigma] };
            Corrector { steps: 1, size }.step(x.clone(), stochastic::score(&x, &x0, from), z.clone(), place)
        };
        let found = match step.kind.as_str() {
            "euler-maruyama" => {
                stochastic::euler_maruyama(&x, &x0, from, levels.rates(from.time), from.time - to.time, z.clone())
            }
            "reverse-diffusion" => stochastic::reverse_diffusion(&x, &x0, from, to, z.clone()),
            "ancestral" => {
                // DDPM's ancestral step has the large variance, that of NCSN the small one.
                let variance = if step.sde == "ddpm" { Variance::FixedLarge } else { Variance::FixedSmall };
                let step = Transition::between(from, to);
                let spread = if variance == Variance::FixedLarge { step.large } else { step.small };
                x.clone() * step.keep + x0.clone() * step.pull + z.clone() * spread.sqrt()
            }
            "signal-to-noise" => corrector(StepSize::SignalToNoise(0.16)),
            "relative" => corrector(StepSize::Relative(0.16)),
            other => panic!("{other}"),
        };
        assert_near(&what, &found, &step.result);
    }
}

struct EdmNetwork;

impl Denoise for EdmNetwork {
    fn denoise(&self, x: Rows, levels: &[Level]) -> Rows {
        (x.clone().tanh() * 0.5 + x * 0.25) / (1.0 + levels[0].sigma)
    }
}

#[test]
fn the_sampler_of_edm_walks_the_same_way() {
    for walk in golden().edm {
        let Edm { n, sigma_min, sigma_max, rho, churn, states } = walk;
        let levels = Schedule::Karras { steps: n, sigma_min, sigma_max, rho }.levels().unwrap();
        let sampler = Sampler { solver: Solver::Heun, steps: n, churn: Some(churn), ..Sampler::default() };
        let chain = sampler.chain(&levels).unwrap();
        assert_eq!(chain.len(), states.len());
        let mut rng = Rng::new(7);
        let x = sampler::noise(SHAPE, &mut rng, &Device::default()) * chain[0].sigma;
        assert_near("start", &x, &states[0]);
        let mut seen = 0;
        sampler.run(&EdmNetwork, &levels, &chain, x, &mut rng, &mut |moment| {
            seen += 1;
            assert_near(&format!("{churn:?}, step {}", moment.step), moment.x, &states[moment.step + 1]);
        });
        assert_eq!(seen, n);
    }
}

#[test]
fn flow_matching_walks_as_in_diffusers() {
    for Walk { n, times, states } in golden().flow {
        let levels = Schedule::linear_flow(1000).levels().unwrap();
        let sampler = Sampler { solver: Solver::Euler, steps: n, spacing: Spacing::Linspace, ..Sampler::default() };
        let chain = sampler.chain(&levels).unwrap();
        for (level, time) in chain.iter().zip(&times) {
            assert!((level.time - time).abs() < 1e-3, "{} {time}", level.time);
        }
        let mut rng = Rng::new(7);
        let x = sampler::noise(SHAPE, &mut rng, &Device::default());
        assert_near("start", &x, &states[0]);
        let stride = if n > 100 { 100 } else { 1 };
        sampler.run(&Network(Target::Velocity), &levels, &chain, x, &mut rng, &mut |moment| {
            if (moment.step + 1) % stride == 0 {
                assert_near(&format!("step {}", moment.step), moment.x, &states[(moment.step + 1) / stride]);
            }
        });
    }
}
