//! Straighter ways: noise dealt out by optimal transport, and a second training on a flow's own pairs.

use burn::tensor::{Device, Tensor, TensorData};
use genera::Rng;
use genera::diffusion::{
    Coupling, Diffusion, DiffusionConfig, MixtureDenoiser, Reflow, Sampler, Schedule, Solver, Target, Times,
};
use genera::nn::{ConditionalMlp, ConditionalMlpConfig};
use genera::train::{Descent, DescentConfig};
use genera::traits::{Batch, Learner, Rows, Sample};
use genera::weights::Weights;

fn mixture() -> MixtureDenoiser {
    let part = |x, y| (1.0, vec![x, y], vec![0.05, 0.05]);
    MixtureDenoiser::new(&[part(-1.0, -0.5), part(1.0, -0.5), part(0.0, 1.0)], &Device::default()).unwrap()
}

fn descent(coupling: Coupling, steps: u64) -> Descent<Diffusion<ConditionalMlp>> {
    let net =
        ConditionalMlpConfig { width: 64, ..Default::default() }.init(2, None, &mut Rng::new(1), &Device::default());
    let config = DiffusionConfig {
        target: Target::Velocity,
        times: Times::Continuous,
        coupling,
        ..DiffusionConfig::new(2, Schedule::linear_flow(1000))
    };
    let descent: DescentConfig = serde_json::from_str(
        r#"{"optimizer": {"kind": "adam", "learning_rate": 0.004}, "rate": {"kind": "linear", "floor": 0.1},
            "clip_norm": 1.0, "ema": {"decay": 0.99}}"#,
    )
    .unwrap();
    Descent::new(config.init(net).unwrap(), descent, steps).unwrap()
}

fn run(learner: &mut dyn Learner, steps: std::ops::Range<u64>, rows: usize) {
    for step in steps {
        let mut rng = Rng::new(5).at(step);
        let x = mixture().sample(rows, &mut rng.fork("data"));
        learner.step(vec![Batch { x, labels: None }], &mut rng).unwrap();
    }
}

/// How far one step of Euler's rule lands from where the flow leads, root mean square.
fn bend(model: &Diffusion<ConditionalMlp>) -> f64 {
    let n = 500;
    let noise = || Tensor::from_data(TensorData::new(Rng::new(7).normal(n, 2), [n, 2]), &Device::default());
    let ends = |solver, steps| {
        let sampler = Sampler { solver, steps, ..Sampler::default() };
        sampler.sample_from(model, model.levels(), noise(), &mut Rng::new(1)).unwrap()
    };
    let apart: Rows = ends(Solver::Euler, 1) - ends(Solver::Heun, 30);
    f64::from(apart.square().mean().sqrt().into_scalar::<f32>())
}

#[test]
fn transport_and_reflow_straighten_the_ways() {
    let (first, all) = (350, 700);
    let mut plain = descent(Coupling::Independent, all);
    run(&mut plain, 0..first, 128);
    let mut transported = descent(Coupling::Transport, all);
    run(&mut transported, 0..first, 128);
    let mut reflow = Reflow::new(descent(Coupling::Independent, all), first, 8).unwrap();
    run(&mut reflow, 0..all, 128);
    let (chance, transport, again) = (bend(plain.model()), bend(transported.model()), bend(reflow.model()));
    println!("bend by chance {chance:.3}, by transport {transport:.3}, after reflow {again:.3}");
    assert!(transport < 0.7 * chance && again < 0.5 * chance, "{chance} {transport} {again}");
    // What is drawn is still the mixture: mean 0, variances 2/3 + 0.05 and 1/2 + 0.05.
    let sampler = Sampler { solver: Solver::Heun, steps: 10, ..Sampler::default() };
    let model = reflow.model();
    let x = sampler.sample(model, model.levels(), [2000, 2], &mut Rng::new(3), &Device::default()).unwrap();
    let x: Vec<f32> = x.to_data().iter::<f32>().collect();
    for (axis, expected) in [0.717_f32, 0.55].into_iter().enumerate() {
        let values = || x.iter().skip(axis).step_by(2);
        let mean = values().sum::<f32>() / 2000.0;
        let variance = values().map(|v| (v - mean).powi(2)).sum::<f32>() / 2000.0;
        assert!(mean.abs() < 0.2 && (variance - expected).abs() < 0.2, "axis {axis}: {mean} {variance}");
    }
}

/// A training that stops in its second part and goes on is one that never stopped.
#[test]
fn a_checkpoint_keeps_the_teacher() {
    let fresh = || Reflow::new(descent(Coupling::Independent, 8), 3, 4).unwrap();
    let mut whole = fresh();
    run(&mut whole, 0..8, 16);
    let mut first = fresh();
    run(&mut first, 0..5, 16);
    let saved: Vec<(String, Weights)> =
        first.save().into_iter().map(|(name, weights)| (name.to_owned(), weights)).collect();
    assert!(saved.iter().any(|(name, _)| name == "teacher"));
    let mut second = fresh();
    second.load(&saved).unwrap();
    run(&mut second, 5..8, 16);
    for ((name, a), (_, b)) in whole.save().into_iter().zip(second.save()) {
        assert_eq!(a, b, "{name}");
    }
    assert!(Reflow::new(descent(Coupling::Independent, 8), 3, 0).is_err());
}
