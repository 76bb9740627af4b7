//! A small network learns a two-dimensional mixture; samples do not depend on their company.

use burn::module::{Module, ModuleDisplay};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Tensor};
use genera::Rng;
use genera::diffusion::{
    Corrector, Diffusion, DiffusionConfig, MixtureDenoiser, Sampler, Schedule, Solver, Spacing, StepSize, Target,
    Times, Variance, VariationalBound,
};
use genera::nn::{ConditionalMlp, ConditionalMlpConfig, Conditioned, UNetConfig};
use genera::traits::{Batch, Denoise, LowerBound, Model, Net, Rows, Sample};

fn mixture() -> MixtureDenoiser {
    let part = |x, y| (1.0, vec![x, y], vec![0.05, 0.05]);
    MixtureDenoiser::new(&[part(-1.0, -0.5), part(1.0, -0.5), part(0.0, 1.0)], &device()).unwrap()
}

fn device() -> Device {
    Device::default()
}

fn config(target: Target) -> DiffusionConfig {
    DiffusionConfig { target, ..DiffusionConfig::new(2, Schedule::linear(100)) }
}

fn net(classes: Option<usize>) -> ConditionalMlp {
    ConditionalMlpConfig { width: 64, ..Default::default() }.init(2, classes, &mut Rng::new(1), &device())
}

/// Two networks side by side: the prediction and the variance.
#[derive(Module, Debug)]
struct Pair {
    mean: ConditionalMlp,
    variance: ConditionalMlp,
}

impl Net<Conditioned> for Pair {
    fn forward(&self, input: Conditioned) -> Rows {
        Tensor::cat(vec![self.mean.forward(input.clone()), self.variance.forward(input)], 1)
    }
}

/// Trains and returns the mean loss of the first and the last fifty steps.
fn train<N: Module + ModuleDisplay + Net<Conditioned, Rows>>(
    model: Diffusion<N>,
    steps: u64,
) -> (Diffusion<N>, f64, f64) {
    let mut model = model.train();
    let mut adam = AdamConfig::new().with_epsilon(1e-8).init();
    let mut losses = Vec::new();
    let (data, root) = (mixture(), Rng::new(5));
    for step in 0..steps {
        let mut rng = root.at(step);
        let batch = Batch { x: data.sample(256, &mut rng.fork("data")), labels: None };
        let loss = model.loss(batch, &mut rng);
        losses.push(f64::from(loss.value.clone().inner().into_scalar::<f32>()));
        let gradients = GradientsParams::from_grads(loss.value.backward(), &model);
        // A rate that falls to zero averages the noise of the last steps away.
        model = adam.step(4e-3 * (1.0 - step as f64 / steps as f64), model, gradients);
    }
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    (model.valid(), mean(&losses[..50]), mean(&losses[losses.len() - 50..]))
}

/// The loss of the exact denoiser.
fn least_loss(model: &Diffusion<ConditionalMlp>) -> f64 {
    let (mut total, n, mut rng) = (0.0, 20_000, Rng::new(8));
    let x0 = values(&mixture().sample(n, &mut rng));
    let eps = rng.normal(n, 2);
    let normal: Vec<f64> = rng.normal(n, 1).into_iter().map(f64::from).collect();
    for (i, u) in rng.uniform(n, 1).into_iter().enumerate() {
        let level = match model.config().times {
            Times::Discrete => model.levels().training((f64::from(u) * 100.0) as usize),
            Times::Continuous => model.levels().at_fraction(f64::from(u)),
            Times::LogNormal { mean, deviation } => model.levels().at_noise((mean + deviation * normal[i]).exp()),
        };
        let c_out = model.config().target.coefficients(level).c_out;
        let x0 = &x0[2 * i..2 * i + 2];
        let x_t = [0, 1].map(|j| level.alpha * x0[j] + level.sigma * f64::from(eps[2 * i + j]));
        let best = mixture().mean(&x_t, level);
        total += (0..2).map(|j| ((best[j] - x0[j]) / c_out).powi(2)).sum::<f64>() / 2.0;
    }
    total / n as f64
}

#[test]
fn every_target_learns_and_its_samples_have_the_moments_of_the_data() {
    for (target, schedule, times) in [
        (Target::Noise, Schedule::linear(100), Times::Discrete),
        (Target::V, Schedule::cosine(100), Times::Discrete),
        (Target::Velocity, Schedule::linear_flow(100), Times::Continuous),
        (
            Target::Karras { sigma_data: 0.8 },
            Schedule::Karras { steps: 100, sigma_min: 0.01, sigma_max: 10.0, rho: 7.0 },
            Times::LogNormal { mean: -1.2, deviation: 1.2 },
        ),
    ] {
        let sampler = Sampler { solver: Solver::Heun, steps: 30, ..Sampler::default() };
        let config = DiffusionConfig { schedule, times, sampler, ..config(target) };
        let (model, first, last) = train(config.init(net(None)).unwrap(), 1000);
        let floor = least_loss(&model);
        println!("{target:?}: loss {first:.4} -> {last:.4}, least possible {floor:.4}");
        assert!(last < first && last < 1.1 * floor && last > 0.9 * floor, "{target:?}: {first} -> {last}, {floor}");
        let x = values(&model.sample(2000, &mut Rng::new(9)));
        let [mx, my] = [0, 1].map(|axis| x.iter().skip(axis).step_by(2).sum::<f64>() / 2000.0);
        let [vx, vy] = [(0, mx), (1, my)]
            .map(|(axis, mean)| x.iter().skip(axis).step_by(2).map(|v| (v - mean).powi(2)).sum::<f64>() / 2000.0);
        // The mixture has mean (0, 0) and variances (2/3 + 0.05, 1/2 + 0.05).
        assert!(mx.abs() < 0.15 && my.abs() < 0.15, "{target:?}: mean {mx} {my}");
        assert!((vx - 0.717).abs() < 0.2 && (vy - 0.55).abs() < 0.2, "{target:?}: variance {vx} {vy}");
    }
}

#[test]
fn learned_variance_tightens_the_bound() {
    let pair = Pair { mean: net(None), variance: net(None) };
    let sampler = Sampler { steps: 50, variance: Variance::Learned, ..Sampler::default() };
    let config = DiffusionConfig {
        schedule: Schedule::linear(50),
        variance: Variance::Learned,
        sampler,
        ..config(Target::Noise)
    };
    let fresh = config.init(pair).unwrap();
    let x = mixture().sample(512, &mut Rng::new(3));
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    let before = mean(fresh.lower_bound(x.clone(), &mut Rng::new(4)));
    let (model, first, last) = train(fresh, 400);
    assert!(last < first);
    let after = mean(model.lower_bound(x.clone(), &mut Rng::new(4)));
    // The same network with a fixed variance: its means are as good, its variances are not.
    let fixed = |variance| {
        let terms = VariationalBound { variance, ..model.bound() }.terms(&model, &x, &mut Rng::new(4));
        -terms.iter().map(|term| mean(term.clone())).sum::<f64>()
    };
    let (small, large) = (fixed(Variance::FixedSmall), fixed(Variance::FixedLarge));
    assert!(after > before, "{before} -> {after}");
    assert!(after > small.min(large), "learned {after}, small {small}, large {large}");
    assert!(model.loss(Batch { x, labels: None }, &mut Rng::new(1)).parts.iter().any(|(name, _)| *name == "bound"));
}

#[test]
fn a_sample_depends_neither_on_n_nor_on_the_pieces_that_the_network_sees() {
    for solver in [
        Solver::Ancestral,
        Solver::Ddim,
        Solver::Euler,
        Solver::Heun,
        Solver::DpmSolver,
        Solver::EulerMaruyama,
        Solver::ReverseDiffusion,
        Solver::StochasticHeun,
        Solver::ProbabilityFlow,
        Solver::Langevin,
    ] {
        let corrector = (solver == Solver::Langevin || solver == Solver::ReverseDiffusion)
            .then_some(Corrector { steps: 2, size: StepSize::SignalToNoise(0.16) });
        let default = Sampler::default();
        let tolerance = if solver == Solver::ProbabilityFlow { 1e-3 } else { default.tolerance };
        let sampler = Sampler { solver, steps: 10, spacing: Spacing::Trailing, corrector, tolerance, ..default };
        let model = DiffusionConfig { sampler, ..config(Target::Noise) }.init(net(None)).unwrap();
        let whole = values(&model.sample(64, &mut Rng::new(2)));
        let root = Rng::new(2);
        let parts: Vec<f64> =
            (0..8).flat_map(|chunk| values(&model.sample(8, &mut root.rows_from(chunk * 8)))).collect();
        assert_eq!(whole, parts, "{solver:?}");
    }
    let model = config(Target::Noise).init(net(None)).unwrap();
    let x = Tensor::from_data(burn::tensor::TensorData::new(Rng::new(3).normal(3000, 2), [3000, 2]), &device());
    let level = model.levels().training(40);
    let whole = values(&model.denoise(x.clone(), &vec![level; 3000]));
    for (first, last) in [(0, 1), (1, 4), (7, 100), (1000, 2100), (2999, 3000)] {
        let part = values(&model.denoise(x.clone().narrow(0, first, last - first), &vec![level; last - first]));
        assert_eq!(whole[2 * first..2 * last], part);
    }
}

#[test]
fn labels_choose_and_repeat() {
    let model = config(Target::Noise).init(net(Some(3))).unwrap();
    let all = values(&model.given(vec![0, 1, 2]).sample(6, &mut Rng::new(2)));
    let one = values(&model.given(vec![1]).sample(6, &mut Rng::new(2)));
    assert_eq!(all[2..4], one[2..4]);
    assert_eq!(all[8..10], one[8..10]);
    assert_ne!(all[0..2], one[0..2]);
}

#[test]
fn loss_is_reproducible_and_noise_differs_by_draw() {
    let model = config(Target::Noise).init(net(None)).unwrap();
    let loss = |seed| {
        let x = mixture().sample(32, &mut Rng::new(1));
        model.loss(Batch { x, labels: None }, &mut Rng::new(seed)).value.into_scalar::<f32>()
    };
    assert_eq!(loss(1), loss(1));
    assert_ne!(loss(1), loss(2));
}

fn values(x: &Rows) -> Vec<f64> {
    x.to_data().iter::<f32>().map(f64::from).collect()
}

#[test]
fn a_picture_from_a_unet_does_not_depend_on_its_company() {
    let unet: UNetConfig = serde_json::from_str(
        r#"{"down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
            "block_out_channels": [16, 32], "layers_per_block": 1, "norm_num_groups": 8, "attention_head_dim": 8}"#,
    )
    .unwrap();
    let net = unet.on([1, 8, 8], None).init(&mut Rng::new(1), &device()).unwrap();
    let sampler = Sampler { steps: 3, ..Sampler::default() };
    let model = DiffusionConfig { features: 64, sampler, ..config(Target::Noise) }.init(net).unwrap();
    let whole = values(&model.sample(70, &mut Rng::new(2)));
    for (first, last) in [(0, 1), (3, 8), (5, 70), (69, 70)] {
        let part = values(&model.sample(last - first, &mut Rng::new(2).rows_from(first as u64)));
        assert!(whole[64 * first..64 * last] == part, "rows {first} to {last}");
    }
}
