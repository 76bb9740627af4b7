//! Consistency models: a student of a diffusion that draws in one step, and the sampler's rule against diffusers.

use burn::tensor::{Device, Tensor, TensorData};
use genera::Rng;
use genera::diffusion::{
    Consistency, ConsistencyConfig, Diffusion, DiffusionConfig, Distillation, Finish, Level, MixtureDenoiser,
    PairWeighting, Sampler, Schedule, Solver, Target, Times,
};
use genera::nn::{ConditionalMlp, ConditionalMlpConfig};
use genera::train::DescentConfig;
use genera::traits::{Batch, Denoise, Learner, Rows, Sample as _};
use genera::weights::Weights;
use serde::Deserialize;

fn mixture() -> MixtureDenoiser {
    let part = |x, y| (1.0, vec![x, y], vec![0.05, 0.05]);
    MixtureDenoiser::new(&[part(-1.0, -0.5), part(1.0, -0.5), part(0.0, 1.0)], &Device::default()).unwrap()
}

const TARGET: Target = Target::Karras { sigma_data: 0.8 };

fn teacher(target: Target) -> Diffusion<ConditionalMlp> {
    let net =
        ConditionalMlpConfig { width: 64, ..Default::default() }.init(2, None, &mut Rng::new(1), &Device::default());
    let schedule = Schedule::Karras { steps: 100, sigma_min: 0.02, sigma_max: 10.0, rho: 7.0 };
    DiffusionConfig { target, times: Times::Continuous, ..DiffusionConfig::new(2, schedule) }.init(net).unwrap()
}

fn descent() -> DescentConfig {
    serde_json::from_str(
        r#"{"optimizer": {"kind": "adam", "learning_rate": 0.004}, "rate": {"kind": "linear", "floor": 0.1},
            "clip_norm": 1.0, "ema": {"decay": 0.98}}"#,
    )
    .unwrap()
}

fn learner(steps: [u64; 2]) -> Distillation<ConditionalMlp> {
    Distillation::new(teacher(TARGET), steps, ConsistencyConfig::new(20), descent()).unwrap()
}

fn run(learner: &mut dyn Learner, steps: std::ops::Range<u64>, rows: usize) {
    for step in steps {
        let mut rng = Rng::new(5).at(step);
        let x = mixture().sample(rows, &mut rng.fork("data"));
        learner.step(vec![Batch { x, labels: None }], &mut rng).unwrap();
    }
}

fn values(x: &Rows) -> Vec<f64> {
    x.to_data().iter::<f32>().map(f64::from).collect()
}

/// Where a thousand rows of noise, always the same, end.
fn in_steps(model: &Diffusion<ConditionalMlp>, solver: Solver, steps: usize) -> Vec<f64> {
    let n = 1000;
    let noise = Tensor::from_data(TensorData::new(Rng::new(7).normal(n, 2), [n, 2]), &Device::default());
    let sampler = Sampler { solver, steps, ..Sampler::default() };
    values(&sampler.sample_from(model, model.levels(), noise, &mut Rng::new(1)).unwrap())
}

fn apart(a: &[f64], b: &[f64]) -> f64 {
    (a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / a.len() as f64).sqrt()
}

/// The student's single step lands near where many steps of the teacher do, and the teacher's own single step, a mean
/// over all there is, does not.
#[test]
fn one_step_of_the_student_is_many_of_the_teacher() {
    let (first, second) = (500, 700);
    let mut learner = learner([first, second]);
    run(&mut learner, 0..first, 128);
    let teacher = learner.model().clone();
    run(&mut learner, first..first + second, 128);
    let student = learner.model();
    let flow = in_steps(&teacher, Solver::Heun, 30);
    let (before, after) = (in_steps(&teacher, Solver::Euler, 1), in_steps(student, Solver::Consistency, 1));
    let (before, after) = (apart(&before, &flow), apart(&after, &flow));
    println!("one step of the teacher {before:.3} from the end of its flow, of the student {after:.3}");
    assert!(after < 0.35 && after < 0.5 * before, "{before} {after}");
}

/// Two steps draw the mixture: variances 2/3 + 0.05 and 1/2 + 0.05.
#[test]
fn two_steps_draw_the_mixture() {
    let (first, second) = (1500, 3000);
    let mut learner = learner([first, second]);
    run(&mut learner, 0..first + second, 128);
    let drawn = in_steps(learner.model(), Solver::Consistency, 2);
    for (axis, expected) in [0.717, 0.55].into_iter().enumerate() {
        let of_axis = || drawn.iter().skip(axis).step_by(2);
        let mean = of_axis().sum::<f64>() / 1000.0;
        let variance = of_axis().map(|v| (v - mean).powi(2)).sum::<f64>() / 1000.0;
        println!("axis {axis}: mean {mean:.3}, variance {variance:.3} of {expected}");
        assert!(mean.abs() < 0.12 && (variance - expected).abs() < 0.12, "axis {axis}: {mean} {variance}");
    }
}

/// `w` is one over the gap of a pair, with a mean of one over the grid: on a grid of two steps the loss of a
/// row is that of equal weights times the weight of its pair.
#[test]
fn pairs_weigh_as_their_gap_says() {
    let loss = |weighting: PairWeighting, row: usize| {
        let taught = ConsistencyConfig { weighting, ..ConsistencyConfig::new(2) };
        let mut learner = Distillation::new(teacher(TARGET), [0, 3], taught, descent()).unwrap();
        let x = Tensor::from_data(TensorData::new(vec![0.5_f32, -0.2], [1, 2]), &Device::default());
        learner.step(vec![Batch { x, labels: None }], &mut Rng::new(row as u64)).unwrap()[0].1
    };
    let grid = Sampler { solver: Solver::Heun, steps: 2, finish: Finish::Lowest, ..Sampler::default() };
    let grid = grid.chain(teacher(TARGET).levels()).unwrap();
    let gap = |place: usize| (grid[place].sigma - grid[place + 1].sigma).recip();
    let mean = (gap(0) + gap(1)) / 2.0;
    let mut met = [false; 2];
    for row in 0..12 {
        let ratio = loss(PairWeighting::InverseGap, row) / loss(PairWeighting::Uniform, row);
        let place = (0..2).find(|place| (ratio / (gap(*place) / mean) - 1.0).abs() < 1e-4);
        met[place.unwrap_or_else(|| panic!("a weight of {ratio}"))] = true;
    }
    assert_eq!(met, [true; 2]);
}

#[test]
fn where_the_flow_ends_nothing_moves() {
    let model = Consistency::of(&teacher(TARGET), 0.1).unwrap();
    let x: Rows = Tensor::from_data(TensorData::new(Rng::new(2).normal(4, 2), [4, 2]), &Device::default());
    let found = model.student.denoise(x.clone(), &[model.student.levels().lowest(); 4]);
    for (found, x) in values(&found).into_iter().zip(values(&x)) {
        assert!((found - x).abs() < 1e-6, "{found} {x}");
    }
    let elsewhere = model.student.denoise(x.clone(), &[model.student.levels().top(); 4]);
    assert!(apart(&values(&elsewhere), &values(&x)) > 0.1);
}

/// A training that stops in its second part and goes on is one that never stopped.
#[test]
fn a_checkpoint_keeps_teacher_and_student() {
    let fresh = || learner([3, 5]);
    let saved = |learner: &Distillation<ConditionalMlp>| -> Vec<(String, Weights)> {
        learner.save().into_iter().map(|(name, weights)| (name.to_owned(), weights)).collect()
    };
    let mut whole = fresh();
    run(&mut whole, 0..8, 16);
    for stop in [2, 3, 5] {
        let mut first = fresh();
        run(&mut first, 0..stop, 16);
        assert_eq!(saved(&first).iter().any(|(name, _)| name == "student"), stop > 3);
        let mut second = fresh();
        second.load(&saved(&first)).unwrap();
        run(&mut second, stop..8, 16);
        assert_eq!(saved(&whole), saved(&second), "stopped after {stop}");
    }
}

#[test]
fn what_cannot_be_distilled_is_refused() {
    let begun = |target: Target, taught: ConsistencyConfig| {
        Distillation::new(teacher(target), [1, 1], taught, descent()).map(|_| ())
    };
    let of = ConsistencyConfig::new;
    assert!(begun(Target::Noise, of(10)).unwrap_err().to_string().contains("karras"));
    assert!(begun(TARGET, of(0)).unwrap_err().to_string().contains("levels"));
    assert!(begun(TARGET, of(101)).is_ok(), "a continuous chain has as many levels as one likes");
    for knee in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let refused = begun(TARGET, ConsistencyConfig { knee, ..of(10) }).unwrap_err().to_string();
        assert!(refused.contains("consistency.knee"), "{refused}");
    }
    let config = DiffusionConfig {
        target: Target::Consistency { sigma_data: 0.5, sigma_min: 0.01 },
        ..DiffusionConfig::new(2, Schedule::karras(10))
    };
    let net = ConditionalMlpConfig::default().init(2, None, &mut Rng::new(1), &Device::default());
    assert!(config.init(net).unwrap_err().to_string().contains("teacher"));
}

#[derive(Deserialize)]
struct Walk {
    sigma_min: f64,
    sigma_max: f64,
    sigma_data: f64,
    sigmas: Vec<f64>,
    states: Vec<Vec<f64>>,
}

/// The stand-in for a network of `parity/schedulers.py`, whose time is a thousand times `c_noise`.
struct Standin(Target);

impl Denoise for Standin {
    fn denoise(&self, x: Rows, levels: &[Level]) -> Rows {
        let c = self.0.coefficients(levels[0]);
        let seen = x.clone() * c.c_in;
        let output = seen.clone().tanh() * 0.9 + seen * 0.05 + 0.1 * c.c_noise;
        x * c.c_skip + output * c.c_out
    }
}

/// The golden file is written by `parity/consistency.py`.
#[test]
fn every_step_is_that_of_diffusers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../parity/golden/consistency.json");
    let walks: Vec<Walk> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(walks.len() >= 4);
    let mut worst = 0.0_f64;
    for Walk { sigma_min, sigma_max, sigma_data, sigmas, states } in walks {
        let levels = Schedule::Karras { steps: 40, sigma_min, sigma_max, rho: 7.0 }.levels().unwrap();
        let chain: Vec<Level> =
            sigmas.iter().map(|sigma| Level { time: levels.time_of(*sigma), alpha: 1.0, sigma: *sigma }).collect();
        let sampler = Sampler { solver: Solver::Consistency, ..Sampler::default() };
        let start: Vec<f32> = states[0].iter().map(|v| *v as f32).collect();
        let x: Rows = Tensor::from_data(TensorData::new(start, [3, 8]), &Device::default());
        let standin = Standin(Target::Consistency { sigma_data, sigma_min });
        let mut seen = 0;
        sampler.run(&standin, &levels, &chain, x, &mut Rng::new(7), &mut |moment| {
            seen += 1;
            for (found, expected) in values(moment.x).into_iter().zip(&states[moment.step + 1]) {
                let error = (found - expected).abs() / expected.abs().max(1.0);
                worst = worst.max(error);
                assert!(error < 1e-5, "{sigmas:?}, step {}: {found} {expected}", moment.step);
            }
        });
        assert_eq!(seen, sigmas.len() - 1);
    }
    println!("largest error {worst:.1e}");
}
