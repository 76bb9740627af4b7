//! Diffusions of numbers with levels and learnt noise between them: bounds under the exact probability of the same density.

// The derive of `Module` names the crate `burn`.
use genera::Rng;
use genera::burn;
use genera::burn::module::{Module, ModuleDisplay};
use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::diffusion::{
    Bound, Diffusion, DiffusionConfig, DiffusionError, ProbabilityFlow, Schedule, Target, Times, Variance, Weighting,
};
use genera::flow::NoiseConfig;
use genera::nn::{ConditionalMlp, ConditionalMlpConfig, Conditioned};
use genera::stages::DequantisedDiffusion;
use genera::train::{Descent, DescentConfig};
use genera::traits::{Batch, Learner, LowerBound, Model, Net, Rows, Sample};
use genera::weights::collect;

/// Levels of each of two numbers, the deviation of their density, and half of a bin.
const K: usize = 4;
const S: f64 = 0.5;
const HALF: f64 = 1.0 / 3.0;

/// A network that says nothing, which under the karras target is the exact denoiser of `N(0, sigma_data²)`.
#[derive(Module, Debug)]
struct Silent {
    #[module(skip)]
    factor: f64,
}

impl Net<Conditioned, Rows> for Silent {
    fn forward(&self, input: Conditioned) -> Rows {
        input.x * self.factor
    }
}

fn config() -> DiffusionConfig {
    DiffusionConfig {
        target: Target::Karras { sigma_data: S },
        weighting: Weighting::Likelihood,
        times: Times::Continuous,
        bound: Bound::Continuous { draws: 24 },
        ..DiffusionConfig::new(2, Schedule::VarianceExploding { steps: 100, sigma_min: 0.01, sigma_max: 20.0 })
    }
}

/// The same, its likelihood by the flow.
fn along_the_flow() -> DiffusionConfig {
    let likelihood = Some(ProbabilityFlow { tolerance: 1e-4, ..ProbabilityFlow::default() });
    DiffusionConfig { likelihood, bound: Bound::Chain, ..config() }
}

fn with_noise<N: Module + Net<Conditioned, Rows>>(diffusion: Diffusion<N>) -> DequantisedDiffusion<N> {
    let noise: NoiseConfig = serde_json::from_str(r#"{"layers": 4, "hidden": [32]}"#).unwrap();
    let noise = noise.init(2, K, &mut Rng::new(1), &Device::default()).unwrap();
    DequantisedDiffusion::new(diffusion, noise).unwrap()
}

fn known(config: &DiffusionConfig) -> DequantisedDiffusion<Silent> {
    with_noise(config.init(Silent { factor: 0.0 }).unwrap())
}

/// Points of the density on the nearest levels.
fn batch(n: usize, rng: &mut Rng) -> Rows {
    let level = |z: f32| ((f64::from(z) * S + 1.0) * 1.5).round().clamp(0.0, 3.0) / 1.5 - 1.0;
    let values: Vec<f32> = rng.normal(n, 2).into_iter().map(|z| level(z) as f32).collect();
    Tensor::from_data(TensorData::new(values, [n, 2]), &Device::default())
}

fn trained<N: Module + ModuleDisplay + Net<Conditioned, Rows>>(
    model: DequantisedDiffusion<N>,
    steps: u64,
) -> DequantisedDiffusion<N> {
    let config: DescentConfig =
        serde_json::from_str(r#"{"optimizer": {"kind": "adam", "learning_rate": 0.01}, "clip_norm": 5.0}"#).unwrap();
    let mut descent = Descent::new(model, config, steps).unwrap();
    for step in 0..steps {
        let x = batch(256, &mut Rng::new(7).at(step));
        descent.step(vec![Batch { x, labels: None }], &mut Rng::new(8).at(step)).unwrap();
    }
    descent.model().clone()
}

fn values(x: &Rows) -> Vec<f64> {
    x.to_data().iter::<f32>().map(f64::from).collect()
}

/// `log P(l)` of each row: the normal density over its bins.
fn exact(x: &Rows) -> Vec<f64> {
    let below = |x: f64| 0.5 * libm::erfc(-x / S / std::f64::consts::SQRT_2);
    let of_bin = |x: &f64| (below(x + HALF) - below(x - HALF)).ln();
    values(x).chunks_exact(2).map(|row| row.iter().map(of_bin).sum()).collect()
}

fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n / (n - 1.0)).sqrt())
}

/// How far `bounds` fall short of the exact probabilities.
fn gap(exact: &[f64], bounds: &[f64]) -> (f64, f64) {
    mean_and_error(&exact.iter().zip(bounds).map(|(exact, bound)| exact - bound).collect::<Vec<_>>())
}

#[test]
fn the_bound_is_below_the_probability_and_learnt_noise_tightens_it() {
    let (fresh, learnt) = (known(&config()), trained(known(&config()), 300));
    let x = batch(1500, &mut Rng::new(11));
    let truth = exact(&x);
    let flow = |model: &DequantisedDiffusion<Silent>| {
        // The same noise, and the likelihood by the flow.
        let (y, log_q) = model.filled(&x, &mut Rng::new(5));
        let flow = along_the_flow().init(Silent { factor: 0.0 }).unwrap();
        let jacobian = 2.0 * (2.0 * HALF).ln();
        let nats = flow.flow_likelihood(y, &[]).nats;
        let log_q = log_q.to_data();
        nats.iter().zip(log_q.iter::<f32>()).map(|(nats, q)| nats - f64::from(q) + jacobian).collect::<Vec<f64>>()
    };
    let bound = |model: &DequantisedDiffusion<Silent>| model.lower_bound(x.clone(), &mut Rng::new(5));
    for (name, uniform, variational) in
        [("flow", flow(&fresh), flow(&learnt)), ("bound", bound(&fresh), bound(&learnt))]
    {
        let (u, v) = (gap(&truth, &uniform), gap(&truth, &variational));
        println!("{name}: {:.4} ± {:.4} nats below with uniform noise, {:.4} ± {:.4} with learnt", u.0, u.1, v.0, v.1);
        assert!(v.0 > -4.0 * v.1 - 2e-3, "{name}: above the probability, {v:?}");
        assert!(u.0 - v.0 > 3.0 * u.1.hypot(v.1), "{name}: no tighter than uniform noise, {u:?} {v:?}");
        assert!(v.0 < 0.5 * u.0, "{name}: {v:?} of {u:?}");
        // No pair of levels is given more than it has.
        for first in 0..K {
            for second in 0..K {
                let at = [first, second].map(|level| level as f64 / 1.5 - 1.0);
                let here = |row: &[f64]| row.iter().zip(at).all(|(x, at)| (x - at).abs() < 1e-3);
                let of_cell: Vec<f64> = values(&x)
                    .chunks_exact(2)
                    .zip(truth.iter().zip(&variational))
                    .filter(|(row, _)| here(row))
                    .map(|(_, (truth, bound))| truth - bound)
                    .collect();
                if of_cell.len() >= 20 {
                    let (gap, error) = mean_and_error(&of_cell);
                    assert!(gap > -4.0 * error - 5e-3, "{name}, {at:?}: {gap} ± {error}");
                }
            }
        }
    }
    // The model's own way along the flow is that one.
    let model = known(&along_the_flow());
    let found = model.flow_bound(&x.clone().narrow(0, 0, 40), &[], &mut Rng::new(5)).nats;
    assert!(found.iter().zip(flow(&fresh)).all(|(a, b)| (a - b).abs() < 1e-4));
}

#[test]
fn before_training_the_noise_is_uniform() {
    let model = known(&config());
    let x = batch(2000, &mut Rng::new(2));
    let (y, log_q) = model.filled(&x, &mut Rng::new(3));
    assert!(log_q.to_data().iter::<f32>().all(|log_q| log_q.abs() < 2e-3));
    let u: Vec<f64> = values(&((y - x) / (2.0 * HALF) + 0.5));
    let (mean, error) = mean_and_error(&u);
    let (square, spread) = mean_and_error(&u.iter().map(|u| u * u).collect::<Vec<_>>());
    assert!(u.iter().all(|u| (0.0..=1.0).contains(u)));
    assert!((mean - 0.5).abs() < 4.0 * error && (square - 1.0 / 3.0).abs() < 4.0 * spread, "{mean} {square}");
}

fn learning(likelihood: Option<ProbabilityFlow>) -> DequantisedDiffusion<ConditionalMlp> {
    let net = ConditionalMlpConfig { width: 32, ..Default::default() };
    let net = net.init(2, None, &mut Rng::new(4), &Device::default());
    let bound = if likelihood.is_some() { Bound::Chain } else { config().bound };
    with_noise(DiffusionConfig { likelihood, bound, ..config() }.init(net).unwrap())
}

/// The laws of a model, of one whose network learns beside the noise.
#[test]
fn network_and_noise_learn_together_and_rows_keep_to_themselves() {
    let start = learning(None);
    let model = trained(start.clone(), 60);
    let (before, after) = (collect(&start), collect(&model));
    for part in ["diffusion", "noise"] {
        let moved = after.iter().filter(|(name, array)| name.starts_with(part) && before[*name] != **array).count();
        assert!(moved >= 4, "{part} stands still");
    }
    let x = batch(600, &mut Rng::new(12));
    let of =
        |model: &DequantisedDiffusion<ConditionalMlp>| mean_and_error(&model.lower_bound(x.clone(), &mut Rng::new(13)));
    let (untrained, learnt) = (of(&start), of(&model));
    assert!(learnt.0 > untrained.0 + 3.0 * learnt.1.hypot(untrained.1), "{untrained:?} {learnt:?}");
    // No model of 16 pairs is better than their entropy says.
    let entropy = -exact(&x).iter().sum::<f64>() / 600.0;
    assert!(learnt.0 < -entropy + 4.0 * learnt.1 + 0.05, "{learnt:?} {entropy}");

    let few = x.clone().narrow(0, 0, 12);
    let whole = model.lower_bound(few.clone(), &mut Rng::new(6));
    let part = model.lower_bound(few.clone().narrow(0, 4, 4), &mut Rng::new(6).rows_from(4));
    assert!(whole[4..8].iter().zip(&part).all(|(a, b)| (a - b).abs() < 1e-3));
    assert_eq!(whole, model.lower_bound(few, &mut Rng::new(6)));
    let draw = |n| values(&model.diffusion.sample(n, &mut Rng::new(9)));
    assert_eq!(draw(3), draw(9)[..6]);
    let view = model.view();
    assert!(view.sample.is_some() && view.lower_bound.is_some() && view.denoise.is_some() && view.density.is_none());
    assert!(learning(Some(ProbabilityFlow::default())).view().density.is_some());
}

#[test]
fn what_does_not_fit_is_named() {
    let refused = |config: DiffusionConfig| {
        let noise: NoiseConfig = serde_json::from_str(r#"{"layers": 2, "hidden": [8]}"#).unwrap();
        let noise = noise.init(2, K, &mut Rng::new(1), &Device::default()).unwrap();
        match DequantisedDiffusion::new(config.init(Silent { factor: 0.0 }).unwrap(), noise) {
            Err(DiffusionError::Combination(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    assert!(refused(DiffusionConfig { weighting: Weighting::Simple, ..config() }).contains("weighting"));
    assert!(refused(DiffusionConfig { data_levels: Some(K), ..config() }).contains("data_levels"));
    let discrete = DiffusionConfig { times: Times::Discrete, variance: Variance::Learned, ..config() };
    assert!(refused(discrete).contains("fixed variance"));
    for bad in [r#"{"layers": 2, "hidden": [8], "draws": 3}"#, r#"{"hidden": [8]}"#] {
        assert!(serde_json::from_str::<NoiseConfig>(bad).is_err(), "{bad}");
    }
    let none: NoiseConfig = serde_json::from_str(r#"{"layers": 0, "hidden": [8]}"#).unwrap();
    assert!(none.init(2, K, &mut Rng::new(1), &Device::default()).is_err());
}
