//! Flows as densities, as samplers and in training: against grids, closed forms and the toys of genera-data.

use std::sync::Arc;

use genera::Rng;
use genera::burn::module::Module;
use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::flow::{Energy, EnergyFlow, Flow, FlowConfig, Layer, Noise, PlaneEnergy, Plu, StandardNormal, Transform};
use genera::train::{Descent, DescentConfig};
use genera::traits::{Batch, Bijection, Caution, Cautious, Density, Faults, Learner, Model, Rows, Sample};
use genera::weights::{Array, apply, collect};
use genera_data::Toy;

type AnyFlow = Flow<Vec<Layer>, Noise>;

fn device() -> Device {
    Device::flex()
}

fn rows(values: Vec<f32>, features: usize) -> Rows {
    let count = values.len() / features;
    Tensor::from_data(TensorData::new(values, [count, features]), &device())
}

fn values<const D: usize>(x: &Tensor<D>) -> Vec<f64> {
    x.to_data().iter::<f32>().map(f64::from).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn config(json: &str) -> FlowConfig {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn flow(json: &str, features: usize, classes: Option<usize>) -> AnyFlow {
    config(json).init(&[features], classes, &mut Rng::new(1), &device()).unwrap()
}

/// The flow with every trained parameter moved.
fn moved(flow: AnyFlow, by: f32) -> AnyFlow {
    let mut rng = Rng::new(2);
    let still = |name: &str| ["p", "sign_s", "initialised", "logits"].contains(&name.rsplit('.').next().unwrap());
    let weights = collect(&flow).into_iter().map(|(name, array)| {
        let noise = rng.normal(1, array.values.len());
        let by = if still(&name) { 0.0 } else { by };
        let values = array.values.iter().zip(noise).map(|(v, e)| v + by * e).collect();
        (name, Array { values, ..array })
    });
    apply(flow.clone(), &weights.collect()).unwrap()
}

/// The architectures of the plane.
const PLANE: [&str; 12] = [
    r#"{"architecture": {"kind": "planar", "layers": 4}}"#,
    r#"{"architecture": {"kind": "radial", "layers": 3}}"#,
    r#"{"architecture": {"kind": "sylvester", "layers": 3, "hidden": 2}}"#,
    r#"{"architecture": {"kind": "plu"}}"#,
    r#"{"architecture": {"kind": "qr"}, "base": {"mixture": 3}}"#,
    r#"{"architecture": {"kind": "coupling", "layers": 3, "hidden": [8], "univariate": "additive"}}"#,
    r#"{"architecture": {"kind": "coupling", "layers": 3, "hidden": [8], "univariate": {"affine": "soft"}}}"#,
    r#"{"architecture": {"kind": "coupling", "layers": 2, "hidden": [8],
        "univariate": {"spline": {"bins": 5, "bound": 3.0}}}}"#,
    r#"{"architecture": {"kind": "autoregressive", "layers": 2, "hidden": [8], "univariate": {"affine": "soft"}}}"#,
    r#"{"architecture": {"kind": "autoregressive", "layers": 2, "hidden": [8],
        "univariate": {"spline": {"bins": 4, "bound": 3.0}}}, "base": {"mixture": 2}}"#,
    r#"{"architecture": {"kind": "planar", "layers": 3}, "fast": "sampling"}"#,
    r#"{"architecture": {"kind": "autoregressive", "layers": 2, "hidden": [8], "univariate": {"affine": "soft"}},
        "fast": "sampling", "interval": {"low": -9.0, "high": 9.0}}"#,
];

#[test]
fn densities_of_the_plane_integrate_to_one() {
    let (cells, half) = (300, 9.0_f64);
    let step = 2.0 * half / cells as f64;
    let at = |i: usize| (-half + step * (i as f64 + 0.5)) as f32;
    let grid: Vec<f32> = (0..cells * cells).flat_map(|cell| [at(cell / cells), at(cell % cells)]).collect();
    for json in PLANE {
        let flow = moved(flow(json, 2, None), 0.2);
        let mass: f64 =
            values(&flow.log_prob(rows(grid.clone(), 2))).into_iter().map(f64::exp).sum::<f64>() * step * step;
        assert!((mass - 1.0).abs() < 4e-3, "{json}: {mass}");
    }
}

#[test]
fn samples_are_reproducible_independent_of_their_number_and_of_the_density() {
    for json in PLANE {
        let flow = moved(flow(json, 2, None), 0.2);
        let whole = values(&flow.sample(64, &mut Rng::new(9)));
        assert_eq!(whole, values(&flow.sample(64, &mut Rng::new(9))), "{json}");
        let root = Rng::new(9);
        let parts: Vec<f64> = (0..8).flat_map(|at| values(&flow.sample(8, &mut root.rows_from(at * 8)))).collect();
        assert_eq!(whole, parts, "{json}");

        // The share of samples in the right half plane is the mass of the density there.
        let n = 4000;
        let x = values(&flow.sample(n, &mut Rng::new(10)));
        let share = x.chunks(2).filter(|x| x[0] > 0.3).count() as f64 / n as f64;
        let (cells, half) = (200, 9.0_f64);
        let step = 2.0 * half / cells as f64;
        let at = |i: usize| -half + step * (i as f64 + 0.5);
        let grid: Vec<f32> =
            (0..cells * cells).flat_map(|cell| [at(cell / cells) as f32, at(cell % cells) as f32]).collect();
        let density = values(&flow.log_prob(rows(grid, 2)));
        let mass: f64 = density
            .iter()
            .enumerate()
            .filter(|(cell, _)| at(cell / cells) > 0.3)
            .map(|(_, log)| log.exp() * step * step)
            .sum();
        assert!((share - mass).abs() < 0.04, "{json}: {share} of the samples, {mass} of the mass");
    }
}

#[test]
fn uniform_and_class_bases_are_densities() {
    let (cells, half) = (600, 12.0_f64);
    let step = 2.0 * half / cells as f64;
    let at = |i: usize| (-half + step * (i as f64 + 0.5)) as f32;
    let grid: Vec<f32> = (0..cells * cells).flat_map(|cell| [at(cell / cells), at(cell % cells)]).collect();
    let mass = |flow: &AnyFlow| -> f64 {
        values(&flow.log_prob(rows(grid.clone(), 2))).into_iter().map(f64::exp).sum::<f64>() * step * step
    };
    // A linear map of the square [-2, 2]²: one density inside of a parallelogram, none outside.
    let flow_ = moved(
        flow(r#"{"architecture": {"kind": "plu"}, "base": {"uniform": {"low": -2.0, "high": 2.0}}}"#, 2, None),
        0.2,
    );
    assert!((mass(&flow_) - 1.0).abs() < 0.02, "{}", mass(&flow_));
    let x = flow_.sample(2000, &mut Rng::new(4));
    let log_p = values(&flow_.log_prob(x));
    let (_, log_det) = flow_.bijection.forward_and_log_det(rows(vec![0.0, 0.0], 2));
    let expected = values(&log_det)[0] - 16.0_f64.ln();
    assert!(log_p.iter().all(|log_p| (log_p - expected).abs() < 1e-5), "every sample lies inside");
    // Outside the error names the row and the place.
    let error = flow_.scores(rows(vec![0.0, 0.0, 50.0, 50.0], 2)).unwrap_err().to_string();
    assert!(error.contains("row 1") && error.contains("-inf") && error.contains("the base"), "{error}");
    assert_eq!(flow_.fault(rows(vec![0.0, 0.0, 50.0, 50.0], 2)), Some(error));
    assert_eq!(flow_.fault(rows(vec![0.0, 0.0], 2)), None);

    let json = r#"{"architecture": {"kind": "coupling", "layers": 2, "hidden": [8], "univariate": {"affine": "soft"}},
        "base": "classes", "context": 3}"#;
    let classes = moved(flow(json, 2, Some(3)), 0.1);
    assert!((mass(&classes) - 1.0).abs() < 4e-3, "{}", mass(&classes));
    for class in 0..3 {
        let given = classes.given(vec![class]).unwrap();
        let of_class = values(&given.log_prob(rows(grid.clone(), 2)));
        let mass = of_class.into_iter().map(f64::exp).sum::<f64>() * step * step;
        assert!((mass - 1.0).abs() < 4e-3, "class {class}: {mass}");
    }
}

/// Weights that are not numbers choose no component in silence.
#[test]
fn a_mixture_without_weights_draws_nothing() {
    let flow = flow(r#"{"architecture": {"kind": "plu"}, "base": {"mixture": 3}}"#, 2, None);
    let mut weights = collect(&flow);
    let name = weights.keys().find(|name| name.ends_with("logits")).unwrap().clone();
    weights.get_mut(&name).unwrap().values[1] = f32::NAN;
    let broken = apply(flow.clone(), &weights).unwrap();
    assert!(flow.draws(5, &mut Rng::new(1)).is_ok());
    assert!(broken.draws(5, &mut Rng::new(1)).unwrap_err().to_string().contains("row 0"));
}

#[test]
fn unknown_words_and_settings_without_meaning_are_refused() {
    for json in [
        r#"{"architecture": {"kind": "planar", "layers": 4, "hidden": 3}}"#,
        r#"{"architecture": {"kind": "planar", "layers": 4}, "bass": "normal"}"#,
        r#"{"architecture": {"kind": "magic"}}"#,
    ] {
        assert!(serde_json::from_str::<FlowConfig>(json).is_err(), "{json}");
    }
    for (json, word) in [
        (r#"{"architecture": {"kind": "planar", "layers": 0}}"#, "layers"),
        (r#"{"architecture": {"kind": "sylvester", "layers": 1, "hidden": 3}}"#, "hidden"),
        (r#"{"architecture": {"kind": "glow", "levels": 1, "steps": 1, "channels": 4}}"#, "shape"),
        (r#"{"architecture": {"kind": "plu"}, "base": "classes"}"#, "classes"),
        (r#"{"architecture": {"kind": "plu"}, "base": {"uniform": {"low": 1.0, "high": 0.0}}}"#, "uniform"),
        (r#"{"architecture": {"kind": "plu"}, "interval": {"low": 0.0, "high": 1.0, "alpha": 0.5}}"#, "alpha"),
        (
            r#"{"architecture": {"kind": "coupling", "layers": 1, "hidden": [4],
                "univariate": {"spline": {"bins": 1, "bound": 3.0}}}}"#,
            "bins",
        ),
    ] {
        let config = config(json);
        let error = config.init(&[2], None, &mut Rng::new(1), &device()).expect_err(json).to_string();
        assert!(error.contains(word), "{json}: {error}");
        assert_eq!(config, serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap());
    }
}

fn descent(rate: f64) -> DescentConfig {
    let json = format!(
        r#"{{"optimizer": {{"kind": "adam", "learning_rate": {rate}}}, "rate": {{"kind": "cosine", "warmup": 10}}}}"#
    );
    serde_json::from_str(&json).unwrap()
}

/// Trains on `batch(step)` and returns the trained model and each step's scalars.
fn train<M: Model + Module>(
    model: M,
    rate: f64,
    steps: u64,
    batch: impl Fn(u64) -> Batch,
) -> (M, Vec<Vec<(&'static str, f64)>>) {
    let mut learner = Descent::new(model, descent(rate), steps).unwrap();
    let noise = Rng::new(5);
    let log = (0..steps).map(|step| learner.step(vec![batch(step)], &mut noise.at(step)).unwrap()).collect();
    (learner.model().clone(), log)
}

#[test]
fn a_spline_flow_learns_moons_and_never_beats_their_entropy() {
    let toy = |n, seed| rows(Toy::Moons.sample(n, &mut Rng::new(seed)).values().to_vec(), 2);
    let entropy = Toy::Moons.entropy().nats;
    let json = r#"{"architecture": {"kind": "coupling", "layers": 3, "hidden": [32],
        "univariate": {"spline": {"bins": 8, "bound": 4.0}}}}"#;
    let fresh = flow(json, 2, None);
    let fresh = Flow { entropy: Some(entropy), ..fresh }.started(&Batch { x: toy(500, 1), labels: None });
    let test = toy(2000, 2);
    let nats = |flow: &AnyFlow| -mean(&flow.scores(test.clone()).unwrap());
    let before = nats(&fresh);
    let (model, log) = train(fresh, 1e-2, 150, |step| Batch { x: toy(256, 100 + step), labels: None });
    let after = nats(&model);
    println!("moons: {before:.3} -> {after:.3} nats, entropy {entropy:.3}");
    assert!(after < before - 0.5 && after < entropy + 0.35, "{before} -> {after}");
    assert!(after > entropy - 0.05, "{after} beats the entropy {entropy}");
    let last = log.last().unwrap();
    let of = |name: &str| last.iter().find(|(known, _)| *known == name).unwrap().1;
    assert!((of("forward-kl") - (of("loss") - entropy)).abs() < 1e-9);
}

#[test]
fn energies_are_those_of_the_toys() {
    for (energy, toy) in PlaneEnergy::ALL.into_iter().zip([
        Toy::U1,
        Toy::U2,
        Toy::U3,
        Toy::U4,
        Toy::Ring,
        Toy::EightGaussians,
        Toy::Banana,
    ]) {
        let half = energy.half_side().unwrap_or(6.0) as f32;
        let x: Vec<f32> = Rng::new(3).uniform(2000, 2).into_iter().map(|u| half * (2.0 * u - 1.0) * 0.999).collect();
        let density = toy.density();
        let found = values(&energy.energy(rows(x.clone(), 2)));
        for (x, u) in x.chunks(2).zip(found) {
            let expected = density.log_density([x[0], x[1]].map(f64::from));
            let log = -u - energy.log_z().unwrap();
            // Far from all modes the energies are hundreds, of which f32 keeps seven digits.
            assert!((log - expected).abs() < 1e-5 * expected.abs().max(10.0), "{energy:?} at {x:?}: {log} {expected}");
        }
    }
}

/// `½ |x − m|²` in one or more columns.
#[derive(Debug)]
struct Bowl {
    centre: f64,
    features: f64,
}

impl Energy for Bowl {
    fn energy(&self, x: Rows) -> Tensor<1> {
        ((x - self.centre).square() * 0.5).sum_dim(1).squeeze_dim(1)
    }

    fn log_z(&self) -> Option<f64> {
        Some(0.5 * self.features * std::f64::consts::TAU.ln())
    }
}

#[test]
fn estimates_of_divergences_are_those_of_two_gaussians() {
    let (n, m) = (200_000, 0.8_f64);
    let batch = || Batch { x: rows(vec![0.0; n], 1), labels: None };
    let of = |alpha: f64| {
        let flow: AnyFlow = Flow::new(Vec::new(), Noise::Normal(StandardNormal::new(1, &device())));
        let model = EnergyFlow::new(flow, Arc::new(Bowl { centre: m, features: 1.0 }), alpha).unwrap();
        model.loss(batch(), &mut Rng::new(4)).parts[0]
    };
    let (name, reverse) = of(-1.0);
    assert_eq!(name, "reverse-kl");
    assert!((reverse - 0.5 * m * m).abs() < 0.01, "{reverse}");
    for alpha in [-0.8, -0.5, 0.0, 0.5, 0.8] {
        let c = 0.5 * (1.0 + alpha);
        let expected = -(-c * (1.0 - c) * m * m / 2.0).exp_m1() / (c * (1.0 - c));
        let (name, found) = of(alpha);
        assert_eq!(name, "alpha-divergence");
        assert!((found - expected).abs() < 0.02, "alpha {alpha}: {found} {expected}");
    }
    let flow: AnyFlow = Flow::new(Vec::new(), Noise::Normal(StandardNormal::new(1, &device())));
    assert!(EnergyFlow::new(flow, Arc::new(Bowl { centre: 0.0, features: 1.0 }), 1.0).is_err());
}

#[test]
fn reverse_kl_and_alpha_divergences_fall_to_zero_where_the_flow_can_be_the_target() {
    for alpha in [-1.0, 0.0] {
        let json = r#"{"architecture": {"kind": "autoregressive", "layers": 1, "hidden": [4],
            "univariate": {"affine": "soft"}}, "fast": "sampling"}"#;
        let model = EnergyFlow::new(flow(json, 2, None), Arc::new(Bowl { centre: 1.5, features: 2.0 }), alpha).unwrap();
        let (model, log) = train(model, 3e-2, 400, |_| Batch { x: rows(vec![0.0; 2 * 128], 2), labels: None });
        let last = log[390..].iter().map(|scalars| scalars.last().unwrap().1).fold(0.0, f64::max);
        assert!(last < 0.02, "alpha {alpha}: {last}");
        let x = values(&model.flow.sample(4000, &mut Rng::new(6)));
        assert!((mean(&x) - 1.5).abs() < 0.06, "alpha {alpha}: {}", mean(&x));
    }
}

#[test]
fn a_planar_flow_approaches_an_energy() {
    let json = r#"{"architecture": {"kind": "planar", "layers": 8}, "fast": "sampling",
        "interval": {"low": -4.0, "high": 4.0}}"#;
    let model = EnergyFlow::new(flow(json, 2, None), Arc::new(PlaneEnergy::U1), -1.0).unwrap();
    let (_, log) = train(model, 2e-2, 150, |_| Batch { x: rows(vec![0.0; 2 * 128], 2), labels: None });
    let of = |part: &[Vec<(&'static str, f64)>]| mean(&part.iter().map(|s| s.last().unwrap().1).collect::<Vec<_>>());
    let (first, last) = (of(&log[..10]), of(&log[140..]));
    println!("U1: reverse KL {first:.3} -> {last:.3}");
    assert!(last < 0.6 * first && last > 0.0, "{first} -> {last}");
}

/// The divergence of the data from the model is that of the pushed-forward data from the base.
#[test]
fn forward_kl_is_the_reverse_kl_of_the_noise() {
    let plu = Plu::new(2, &mut Rng::new(3), &device());
    let w = values(&plu.weight());
    let flow: AnyFlow = Flow::new(vec![Layer::Plu(plu)], Noise::Normal(StandardNormal::new(2, &device())));
    let n = 100_000;
    let x = rows(Toy::RotatedGaussian.sample(n, &mut Rng::new(4)).values().to_vec(), 2);
    let forward = -mean(&values(&flow.log_prob(x))) - Toy::RotatedGaussian.entropy().nats;
    // KL(N(Wμ, WΣWᵀ) ‖ N(0, I)) with μ = (2, 3), Σ = [[5, 4], [4, 5]] and W a rotation.
    let mu = [2.0 * w[0] + 3.0 * w[1], 2.0 * w[2] + 3.0 * w[3]];
    let pushed = 0.5 * (10.0 + mu[0] * mu[0] + mu[1] * mu[1] - 2.0 - 9.0_f64.ln());
    assert!((forward - pushed).abs() < 0.1, "{forward} {pushed}");
}

#[test]
fn a_flow_of_given_classes_scores_and_draws_them_and_its_mean_is_the_whole() {
    for json in [
        r#"{"architecture": {"kind": "plu"}, "base": "classes"}"#,
        r#"{"architecture": {"kind": "coupling", "layers": 2, "hidden": [8], "univariate": {"affine": "soft"}},
            "context": 3}"#,
        r#"{"architecture": {"kind": "autoregressive", "layers": 2, "hidden": [8], "univariate": {"affine": "soft"}},
            "context": 2, "base": "classes"}"#,
    ] {
        let flow = moved(flow(json, 2, Some(3)), 0.3);
        assert_eq!(flow.classes(), Some(3));
        let x = rows(Rng::new(1).normal(20, 2), 2);
        let of = |class| values(&flow.given(vec![class]).unwrap().log_prob(x.clone()));
        let (a, b, c) = (of(0), of(1), of(2));
        assert!(a.iter().zip(&b).any(|(a, b)| (a - b).abs() > 1e-2), "{json}: the class changes nothing");
        for (row, whole) in values(&flow.log_prob(x.clone())).into_iter().enumerate() {
            let mean = ((a[row].exp() + b[row].exp() + c[row].exp()) / 3.0).ln();
            assert!((mean - whole).abs() < 1e-4, "{json}: {mean} {whole}");
        }
        let all = values(&flow.given(vec![0, 1, 2]).unwrap().sample(6, &mut Rng::new(2)));
        let one = values(&flow.given(vec![1]).unwrap().sample(6, &mut Rng::new(2)));
        assert_eq!((&all[2..4], &all[8..10]), (&one[2..4], &one[8..10]));
        assert_ne!(all[0..2], one[0..2]);
        assert!(flow.given(vec![3]).is_err() && flow.given(Vec::new()).is_err());

        // Batches with labels train the conditional density.
        let labels = vec![0, 2, 1, 1];
        let four = x.clone().narrow(0, 0, 4);
        let loss = flow.loss(Batch { x: four.clone(), labels: Some(labels.clone()) }, &mut Rng::new(0));
        let expected = -mean(&values(&flow.given(labels).unwrap().log_prob(four)));
        assert!((f64::from(loss.value.into_scalar::<f32>()) - expected).abs() < 1e-5);
    }
    let plain = flow(PLANE[0], 2, None);
    assert!(plain.given(vec![0]).is_err());
}

#[test]
fn image_flows_are_bijections_with_finite_densities() {
    for json in [
        r#"{"architecture": {"kind": "real-nvp", "couplings": 2, "channels": 8, "blocks": 1},
            "interval": {"low": 0.0, "high": 1.0, "alpha": 0.05}}"#,
        r#"{"architecture": {"kind": "glow", "levels": 2, "steps": 2, "channels": 8},
            "interval": {"low": 0.0, "high": 1.0, "alpha": 0.05}, "context": 2}"#,
    ] {
        let flow = config(json).init(&[1, 8, 8], Some(2), &mut Rng::new(1), &device()).unwrap();
        let x = rows(Rng::new(2).uniform(40, 64), 64);
        let flow = moved(flow.started(&Batch { x: x.clone(), labels: Some(vec![0; 40]) }), 0.02);
        let context = flow.label.as_ref().map(|label| label.weight.val().narrow(0, 1, 1).expand([40, 2]));
        let (z, forth) = flow.bijection.forward_given(x.clone(), context.as_ref());
        let (back, inverse) = flow.bijection.inverse_given(z, context.as_ref());
        let worst = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst(&values(&x), &values(&back)) < 1e-4, "{json}");
        assert!(worst(&values(&forth), &values(&-inverse)) < 1e-2, "{json}");
        assert!(flow.scores(x).is_ok());
        let cold = values(&flow.with_caution(Caution::Temperature(0.0)).unwrap().sample(3, &mut Rng::new(3)));
        assert!(cold.iter().all(|v| v.is_finite()));
        if flow.classes().is_none() {
            assert_eq!(cold[..64], cold[64..128], "without noise all samples are one");
        }
    }
    let odd = config(r#"{"architecture": {"kind": "glow", "levels": 2, "steps": 1, "channels": 8}}"#);
    assert!(odd.init(&[1, 6, 6], None, &mut Rng::new(1), &device()).is_err(), "3x3 cannot be squeezed");
}
