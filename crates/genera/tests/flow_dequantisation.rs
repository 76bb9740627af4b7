//! Numbers with levels: the bounds of dequantisation in their proven order, under the exact probability of the same flow.

use genera::Rng;
use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::flow::{Dequantised, DequantiserConfig, FlowConfig, VariationalDequantisation};
use genera::train::{Descent, DescentConfig};
use genera::traits::{Batch, Density, Learner, LowerBound, Model, Rows, Sample};
use genera::weights::{apply, collect};

/// Levels of each of the two numbers, and the chance of each pair in sixteenths of 1.
const K: usize = 4;
const CHANCES: [f64; 16] = [5., 0., 1., 0., 0., 3., 0., 1., 1., 0., 2., 0., 0., 1., 0., 2.];

fn rows(values: Vec<f32>) -> Rows {
    let count = values.len() / 2;
    Tensor::from_data(TensorData::new(values, [count, 2]), &Device::flex())
}

fn config(json: &str) -> FlowConfig {
    serde_json::from_str(json).unwrap()
}

fn model(bound_samples: usize) -> VariationalDequantisation {
    let spline =
        r#"{"kind": "coupling", "layers": 4, "hidden": [32], "univariate": {"spline": {"bins": 6, "bound": 4.0}}}"#;
    let flow =
        config(&format!(r#"{{"architecture": {spline}, "interval": {{"low": 0.0, "high": 1.0, "alpha": 0.05}}}}"#));
    let mut rng = Rng::new(1);
    let flow = flow.init(&[2], None, &mut rng, &Device::flex()).unwrap();
    let noise: DequantiserConfig =
        serde_json::from_str(&format!(r#"{{"layers": 4, "hidden": [32], "bound_samples": {bound_samples}}}"#)).unwrap();
    noise.init(flow, 2, K, &mut rng, &Device::flex()).unwrap()
}

/// Pairs of levels, as often as their chances say.
fn batch(n: usize, rng: &mut Rng) -> Rows {
    let cell = |u: f32| {
        let mut left = f64::from(u) * 16.0;
        CHANCES
            .iter()
            .position(|chance| {
                left -= chance;
                left < 0.0
            })
            .unwrap_or(0)
    };
    rows(rng.uniform(n, 1).into_iter().map(cell).flat_map(|cell| [(cell / K) as f32, (cell % K) as f32]).collect())
}

fn trained() -> VariationalDequantisation {
    let config: DescentConfig =
        serde_json::from_str(r#"{"optimizer": {"kind": "adam", "learning_rate": 0.005}, "clip_norm": 5.0}"#).unwrap();
    let first = Batch { x: batch(256, &mut Rng::new(9)), labels: None };
    let mut descent = Descent::new(model(1).started(&first, &mut Rng::new(3)), config, 300).unwrap();
    for step in 0..300 {
        let x = batch(128, &mut Rng::new(7).at(step));
        descent.step(vec![Batch { x, labels: None }], &mut Rng::new(8).at(step)).unwrap();
    }
    descent.model().clone()
}

fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n / n).sqrt())
}

/// `log ∫ p` over the cell of each pair of levels, by a grid of midpoints, `[16]`.
fn exact(flow: &impl Density) -> Vec<f64> {
    const FINE: usize = 24;
    let cells = (0..16).map(|cell| {
        let at = |level: usize, i: usize| (level as f64 + (i as f64 + 0.5) / FINE as f64) / K as f64;
        let grid = (0..FINE * FINE).flat_map(|i| [at(cell / K, i / FINE) as f32, at(cell % K, i % FINE) as f32]);
        let density =
            flow.log_prob(rows(grid.collect())).to_data().iter::<f32>().map(|log| f64::from(log).exp()).sum::<f64>();
        (density / (K * K * FINE * FINE) as f64).ln()
    });
    cells.collect()
}

#[test]
fn the_bounds_come_in_their_order() {
    let model = trained();
    let truth = exact(&model.flow);
    let total: f64 = truth.iter().map(|log| log.exp()).sum();
    assert!((total - 1.0).abs() < 0.02, "the cells hold everything: {total}");

    let n = 4000;
    let x = batch(n, &mut Rng::new(11));
    let levels = x.to_data().iter::<f32>().map(|level| level as usize).collect::<Vec<_>>();
    let exact: Vec<f64> = levels.chunks_exact(2).map(|pair| truth[pair[0] * K + pair[1]]).collect();
    let gap = |bounds: &[f64]| {
        mean_and_error(&exact.iter().zip(bounds).map(|(exact, bound)| exact - bound).collect::<Vec<_>>())
    };
    let of_draws = |draws: usize| {
        let more = apply(self::model(draws), &collect(&model)).unwrap();
        gap(&more.lower_bound(x.clone(), &mut Rng::new(5)))
    };
    let uniform = Dequantised { density: model.flow.clone(), levels: K, draws: 1 };
    let uniform = gap(&uniform.lower_bound(x.clone(), &mut Rng::new(5)));
    let (variational, weighted, many) = (of_draws(1), of_draws(4), of_draws(64));
    // Every gap is above zero, and each bound is clearly tighter than the one before.
    let order = [uniform, variational, weighted, many];
    for pair in order.windows(2) {
        assert!(pair[0].0 - pair[1].0 > 3.0 * pair[0].1.hypot(pair[1].1), "{order:?}");
    }
    assert!(many.0 > -4.0 * many.1 - 0.005 && many.0 < 0.05, "{order:?}");
}

#[test]
fn before_training_the_bound_is_the_uniform_one() {
    let model = model(1);
    let x = batch(4000, &mut Rng::new(2));
    let uniform =
        Dequantised { density: model.flow.clone(), levels: K, draws: 1 }.lower_bound(x.clone(), &mut Rng::new(3));
    let ours = model.lower_bound(x, &mut Rng::new(3));
    // The same numbers from the generator, up to the ends that are kept free.
    let worst = uniform.iter().zip(&ours).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst < 2e-3, "{worst}");
}

#[test]
fn the_laws_of_a_model() {
    let model = model(3);
    let (a, b) = (model.sample(64, &mut Rng::new(4)), model.sample(8, &mut Rng::new(4)));
    assert_eq!(a.clone().narrow(0, 0, 8).to_data(), b.to_data());
    assert!(a.to_data().iter::<f32>().all(|level| level.fract() == 0.0 && (0.0..K as f32).contains(&level)));
    let x = batch(16, &mut Rng::new(6));
    let whole = model.lower_bound(x.clone(), &mut Rng::new(7));
    let part = model.lower_bound(x.clone().narrow(0, 4, 4), &mut Rng::new(7).rows_from(4));
    assert!(whole[4..8].iter().zip(&part).all(|(a, b)| (a - b).abs() < 1e-5));
    assert!(serde_json::from_str::<DequantiserConfig>(r#"{"layers": 2, "hidden": [4], "depth": 3}"#).is_err());

    let trained = trained();
    let loss = |model: &VariationalDequantisation| {
        let batch = Batch { x: batch(256, &mut Rng::new(12)), labels: None };
        model.loss(batch, &mut Rng::new(13)).value.into_scalar::<f32>()
    };
    assert!(loss(&trained) < loss(&model) - 0.2);
}
