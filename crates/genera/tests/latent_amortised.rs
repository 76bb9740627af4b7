//! Mixtures that learn by gradient: the density, the bound under it, and the turns of variational EM.

use genera::Rng;
use genera::burn::module::Module;
use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::latent::{AmortisedMixture, AmortisedMixtureConfig, LatentError, MixtureObjective};
use genera::train::{Descent, DescentConfig, Gradients};
use genera::traits::{Batch, Density, Learner, Model, Rows, Sample};
use genera::weights::{Array, apply, collect};

fn rows(values: Vec<f32>) -> Rows {
    let count = values.len() / 2;
    Tensor::from_data(TensorData::new(values, [count, 2]), &Device::flex())
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.to_data().iter::<f32>().map(f64::from).collect()
}

/// Two clouds, the second twice as often as the first.
fn clouds(n: usize, seed: u64) -> Rows {
    let eps = Rng::new(seed).normal(n, 2);
    let point = |i: usize| {
        let (a, b) = (eps[2 * i], eps[2 * i + 1]);
        if i.is_multiple_of(3) { [-3.0 + 0.5 * a, 1.0 + 0.3 * a + 0.8 * b] } else { [2.0 + a, -1.0 + 0.6 * b] }
    };
    rows((0..n).flat_map(point).collect())
}

fn mixture(objective: MixtureObjective) -> AmortisedMixture {
    let config = AmortisedMixtureConfig { components: 2, hidden: vec![16], objective };
    config.init(&clouds(300, 1), &mut Rng::new(2)).unwrap()
}

/// A mixture with factors that lean, by hand: weights 1/4 and 3/4.
fn by_hand() -> AmortisedMixture {
    let model = mixture(MixtureObjective::Joint);
    let mut weights = collect(&model);
    let mut set = |name: &str, values: Vec<f32>| {
        let array = weights.get(name).unwrap().clone();
        weights.insert(name.to_owned(), Array { values, ..array });
    };
    set("logits", vec![0.0, 3.0_f32.ln()]);
    set("means", vec![-1.0, 0.5, 1.0, -0.5]);
    // The upper triangle counts for nothing.
    set("factors", vec![0.5, 7.0, -0.8, 0.2, -0.3, -9.0, 0.4, 0.1]);
    apply(model, &weights).unwrap()
}

#[test]
fn the_density_is_the_formula() {
    let model = by_hand();
    let x: [f64; 2] = [0.3, -0.7];
    let part = |mean: [f64; 2], a: [f64; 3]| {
        let away = [x[0] - mean[0], x[1] - mean[1]];
        let white = [a[0].exp() * away[0], a[1] * away[0] + a[2].exp() * away[1]];
        (a[0] + a[2] - 0.5 * (white[0].powi(2) + white[1].powi(2))).exp() / std::f64::consts::TAU
    };
    let p = 0.25 * part([-1.0, 0.5], [0.5, -0.8, 0.2]) + 0.75 * part([1.0, -0.5], [-0.3, 0.4, 0.1]);
    let ours = host(model.log_prob(rows(vec![x[0] as f32, x[1] as f32])))[0];
    assert!((ours - p.ln()).abs() < 1e-5, "{ours} {}", p.ln());

    let side = 120;
    let at = |i: usize| (-8.0 + 16.0 * (i as f64 + 0.5) / side as f64) as f32;
    let grid = rows((0..side * side).flat_map(|i| [at(i / side), at(i % side)]).collect());
    let mass: f64 = host(model.log_prob(grid)).iter().map(|log| log.exp()).sum::<f64>() * (16.0 / side as f64).powi(2);
    assert!((mass - 1.0).abs() < 1e-3, "{mass}");
}

#[test]
fn samples_are_of_the_density() {
    let model = by_hand();
    let n = 40_000;
    let drawn = model.sample(n, &mut Rng::new(3));
    assert_eq!(drawn.clone().narrow(0, 0, 5).to_data(), model.sample(5, &mut Rng::new(3)).to_data());
    // Cross-entropy of samples equals the entropy on a grid: each point of the plane as often as its density says.
    let logs = host(model.log_prob(drawn));
    let mean = logs.iter().sum::<f64>() / n as f64;
    let error = (logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>()).sqrt() / n as f64;
    let side = 160;
    let at = |i: usize| (-8.0 + 16.0 * (i as f64 + 0.5) / side as f64) as f32;
    let grid = host(model.log_prob(rows((0..side * side).flat_map(|i| [at(i / side), at(i % side)]).collect())));
    let expected: f64 = grid.iter().map(|log| log.exp() * log).sum::<f64>() * (16.0 / side as f64).powi(2);
    assert!((mean - expected).abs() < 4.0 * error + 1e-3, "{mean} {expected} {error}");
}

fn trained(objective: MixtureObjective, steps: u64) -> AmortisedMixture {
    let config: DescentConfig =
        serde_json::from_str(r#"{"optimizer": {"kind": "adam", "learning_rate": 0.02}}"#).unwrap();
    let mut descent = Descent::new(mixture(objective), config, steps).unwrap();
    for step in 0..steps {
        let batch = Batch { x: clouds(192, 100 + step), labels: None };
        descent.step(vec![batch], &mut Rng::new(0)).unwrap();
    }
    descent.model().clone()
}

/// Every objective ends where the likelihood is highest, and the bound stays below it.
#[test]
fn every_objective_climbs_to_the_same_likelihood() {
    let fresh = clouds(3000, 5);
    let log_p = |model: &AmortisedMixture| host(model.log_prob(fresh.clone())).iter().sum::<f64>() / 3000.0;
    let before = log_p(&mixture(MixtureObjective::Joint));
    let best = log_p(&trained(MixtureObjective::Likelihood, 300));
    assert!(best > before + 0.15, "{before} {best}");
    for objective in [MixtureObjective::Joint, MixtureObjective::Alternating { steps: 25 }] {
        let model = trained(objective, 600);
        let value = log_p(&model);
        assert!((value - best).abs() < 0.03, "{objective:?}: {value} {best}");
        let loss = model.loss(Batch { x: fresh.clone(), labels: None }, &mut Rng::new(0));
        let gap = loss.parts.iter().find(|(name, _)| *name == "posterior-kl").unwrap().1;
        assert!((-1e-4..0.05).contains(&gap), "{objective:?}: {gap}");
    }
}

#[test]
fn turns_move_one_side_at_a_time() {
    let model = mixture(MixtureObjective::Alternating { steps: 3 }).train();
    let moved = |step: u64| {
        let loss = model.loss_at(step, Batch { x: clouds(30, 9), labels: None }, &mut Rng::new(0));
        let gradients = Gradients::of(&loss.value, &model);
        ["posterior.layers.0.weight", "means", "factors", "logits"].map(|path| gradients.values(path).is_some())
    };
    for step in 0..12 {
        let posterior = (step / 3) % 2 == 0;
        assert_eq!(moved(step), [posterior, !posterior, !posterior, !posterior], "{step}");
    }
}

#[test]
fn nonsense_is_named() {
    let config = AmortisedMixtureConfig { objective: MixtureObjective::Alternating { steps: 0 }, ..Default::default() };
    assert!(matches!(config.init(&clouds(90, 1), &mut Rng::new(1)), Err(LatentError::Range { .. })));
    let same = rows(vec![1.0; 20]);
    let many = AmortisedMixtureConfig { components: 2, ..Default::default() };
    assert!(matches!(many.init(&same, &mut Rng::new(1)), Err(LatentError::Components { distinct: 1, .. })));
    let one = AmortisedMixtureConfig { components: 1, ..Default::default() }.init(&same, &mut Rng::new(1)).unwrap();
    assert!(host(one.log_prob(same)).iter().all(|log| log.is_finite()));
}
