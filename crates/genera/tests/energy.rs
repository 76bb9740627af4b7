//! Energy-based models: gradients, chains that survive a checkpoint, densities that are found.

use burn::tensor::{Device, Tensor, TensorData};
use genera::Rng;
use genera::energy::{Chains, EnergyModel, EnergyModelConfig, EnergyTraining};
use genera::mcmc::{Langevin, Start};
use genera::nn::{Activation, Mlp, MlpConfig};
use genera::score::fisher_divergence;
use genera::train::{Descent, DescentConfig};
use genera::traits::{Batch, Learner, Net, Rows, Sample, Score};
use genera::weights::Weights;
use genera_data::Mixture;

const PERSISTENT: Chains = Chains::Persistent { capacity: 2000, fresh: 0.05 };

fn config(chains: Chains) -> EnergyModelConfig {
    EnergyModelConfig {
        features: 2,
        start: Start::Uniform { low: -3.0, high: 3.0 },
        training: Langevin { step: 0.1, steps: 20 },
        chains,
        sampling: Langevin { step: 0.05, steps: 200 },
        penalty: 1e-3,
    }
}

fn model(chains: Chains) -> EnergyModel<Mlp> {
    let net = MlpConfig { inputs: 2, hidden: vec![32, 32], outputs: 1, activation: Activation::Silu };
    config(chains).init(net.init(&mut Rng::new(1), &Device::flex())).unwrap()
}

fn training(chains: Chains, steps: u64) -> EnergyTraining<Mlp> {
    let descent: DescentConfig = serde_json::from_str(
        r#"{"optimizer": {"kind": "adam", "learning_rate": 0.01}, "rate": {"kind": "cosine"}, "clip_norm": 1.0,
            "ema": {"decay": 0.98}}"#,
    )
    .unwrap();
    EnergyTraining::new(Descent::new(model(chains), descent, steps).unwrap())
}

fn data() -> Mixture {
    let v = 0.2;
    Mixture::new(vec![0.5, 0.5], vec![-0.7, -0.5, 0.7, 0.5], &[v, 0.0, 0.0, v].repeat(2)).unwrap()
}

fn batch(step: u64, rows: usize) -> Vec<Batch> {
    let values = data().sample(rows, &mut Rng::new(2).at(step)).values().to_vec();
    vec![Batch { x: Tensor::from_data(TensorData::new(values, [rows, 2]), &Device::flex()), labels: None }]
}

fn run(training: &mut EnergyTraining<Mlp>, steps: std::ops::Range<u64>) {
    for step in steps {
        training.step(batch(step, 128), &mut Rng::new(3).at(step)).unwrap();
    }
}

struct Known(Mixture);

impl Score for Known {
    fn score(&self, x: Rows) -> Rows {
        let values: Vec<f32> = x.to_data().iter::<f32>().collect();
        let score = values.chunks_exact(2).flat_map(|x| self.0.score(&[f64::from(x[0]), f64::from(x[1])]));
        Tensor::from_data(TensorData::new(score.map(|s| s as f32).collect::<Vec<f32>>(), x.dims()), &x.device())
    }
}

#[test]
fn the_score_is_minus_the_slope_of_the_energy() {
    let model = model(Chains::Short);
    let x = Rows::from_floats([[0.3, -0.2], [1.0, 0.5]], &Device::flex());
    let score: Vec<f32> = model.score(x.clone()).to_data().iter::<f32>().collect();
    let h = 1e-2;
    for axis in 0..2 {
        let unit = Rows::from_floats([[f32::from(axis == 0), f32::from(axis == 1)]], &Device::flex());
        let at = |by: f64| model.net.forward(x.clone() + unit.clone() * by);
        let slope: Vec<f32> = ((at(h) - at(-h)) / (2.0 * h)).to_data().iter::<f32>().collect();
        for (score, slope) in score.iter().skip(axis).step_by(2).zip(&slope) {
            assert!((score + slope).abs() < 1e-3, "{score} {slope}");
        }
    }
}

#[test]
fn short_and_persistent_chains_find_the_density() {
    for chains in [Chains::Short, PERSISTENT] {
        let mut training = training(chains, 400);
        run(&mut training, 0..400);
        let values = data().sample(2000, &mut Rng::new(9)).values().to_vec();
        let x = Tensor::from_data(TensorData::new(values, [2000, 2]), &Device::flex());
        let fisher = fisher_divergence(training.model(), &Known(data()), x);
        println!("{chains:?}: {fisher:?}");
        assert!(fisher.relative < 0.25, "{chains:?}: {fisher:?}");
        let drawn: Vec<f32> = training.model().sample(500, &mut Rng::new(4)).to_data().iter::<f32>().collect();
        let mean = |f: fn(&[f32]) -> f32| drawn.chunks_exact(2).map(f).sum::<f32>() / 500.0;
        // E x₀ = 0, E x₀ x₁ = 0.35.
        assert!(mean(|x| x[0]).abs() < 0.25, "{}", mean(|x| x[0]));
        assert!((mean(|x| x[0] * x[1]) - 0.35).abs() < 0.25, "{}", mean(|x| x[0] * x[1]));
        let few: Vec<f32> = training.model().sample(3, &mut Rng::new(4)).to_data().iter::<f32>().collect();
        assert_eq!(few, drawn[..6]);
    }
}

/// A training that stops and goes on is one that never stopped, buffer and all.
#[test]
fn a_checkpoint_keeps_the_chains() {
    let mut whole = training(PERSISTENT, 10);
    run(&mut whole, 0..10);
    let mut first = training(PERSISTENT, 10);
    run(&mut first, 0..6);
    let saved: Vec<(String, Weights)> =
        first.save().into_iter().map(|(name, weights)| (name.to_owned(), weights)).collect();
    assert!(saved.iter().any(|(name, weights)| name == "chains" && weights["buffer"].shape == [2000, 2]));
    let mut second = training(PERSISTENT, 10);
    second.load(&saved).unwrap();
    run(&mut second, 6..10);
    for ((name, a), (_, b)) in whole.save().into_iter().zip(second.save()) {
        assert_eq!(a, b, "{name}");
    }
    // Without its chains it is not the same, and says so.
    let without: Vec<(String, Weights)> = saved.into_iter().filter(|(name, _)| name != "chains").collect();
    assert!(second.load(&without).is_err());
}

#[test]
fn hostile_settings_are_errors() {
    let net = || MlpConfig { inputs: 2, hidden: vec![4], outputs: 1, activation: Activation::Silu };
    let refused = |config: EnergyModelConfig| config.init(net().init(&mut Rng::new(1), &Device::flex())).is_err();
    let good = config(Chains::Short);
    assert!(!refused(good));
    assert!(refused(EnergyModelConfig { penalty: -1.0, ..good }));
    assert!(refused(EnergyModelConfig { training: Langevin { step: 0.0, steps: 1 }, ..good }));
    assert!(refused(EnergyModelConfig { sampling: Langevin { step: 0.1, steps: 0 }, ..good }));
    assert!(refused(config(Chains::Persistent { capacity: 0, fresh: 0.1 })));
    assert!(refused(config(Chains::Persistent { capacity: 5, fresh: f64::NAN })));
}
