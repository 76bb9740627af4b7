//! Numbers of a game that can be worked out by hand.

use genera::Rng;
use genera::gan::{Adversarial, DivergenceBoundConfig, Game, Objective, Regulariser, Scale, Spectral};
use genera::nn::{Activation, ConvCriticConfig};
use genera::train::DescentConfig;
use genera::traits::{Batch, Learner, Scalars};
use genera::weights::{apply, collect};

use super::estimates::Still;
use super::{device, game, perceptron, sgd, tensor};

/// The scalars of one step against `f(x) = 3 max(x, 0)`, where all data lie at `at` and samples in [−2, −1).
fn played(rules: Game, at: f32) -> Scalars {
    played_with(1.0, rules, at)
}

/// The same against `f(x) = 3 max(first · x, 0)`.
fn played_with(first: f32, rules: Game, at: f32) -> Scalars {
    let critic = perceptron(1, &[1], Activation::Relu);
    let mut weights = collect(&critic);
    for (path, values) in [("0.weight", first), ("0.bias", 0.0), ("1.weight", 3.0), ("1.bias", 0.0)] {
        weights.get_mut(&format!("net.layers.{path}")).unwrap().values = vec![values];
    }
    let critic = apply(critic, &weights).unwrap();
    let mut players =
        Adversarial::new((Still::new(), critic), rules, [sgd(0.0), sgd(0.0)], 9, &mut Rng::new(1)).unwrap();
    players.step(vec![Batch { x: tensor(vec![at; 8], 1), labels: None }], &mut Rng::new(2)).unwrap()
}

fn number(scalars: &Scalars, name: &str) -> f64 {
    scalars.iter().find(|(known, _)| *known == name).unwrap().1
}

/// The slope is 3 above zero and 0 below: R1 looks at the data, R2 at the samples.
#[test]
fn slopes_at_data_and_at_samples() {
    let penalty = |rule, at| {
        let rules = Game { regularise: vec![rule], ..game(Objective::Hinge) };
        number(&played(rules, at), "penalty")
    };
    for (scale, factor) in [(Scale::Half, 0.5), (Scale::Whole, 1.0)] {
        let (r1, r2) = (Regulariser::R1 { gamma: 2.0, scale }, Regulariser::R2 { gamma: 2.0, scale });
        assert_eq!([penalty(r1, 5.0), penalty(r1, -5.0)], [18.0 * factor, 0.0]);
        assert_eq!([penalty(r2, 5.0), penalty(r2, -5.0)], [0.0, 0.0]);
    }
    // Turned over: samples have the slope −3, and data above zero have none.
    let turned = |rule| {
        let rules = Game { regularise: vec![rule], ..game(Objective::Hinge) };
        number(&played_with(-1.0, rules, 5.0), "penalty")
    };
    assert_eq!(turned(Regulariser::R2 { gamma: 2.0, scale: Scale::Half }), 9.0);
    assert_eq!(turned(Regulariser::R1 { gamma: 2.0, scale: Scale::Half }), 0.0);
}

/// Weights 1 and 3: `‖W Wᵀ − 1‖²` is 0 and 64.
#[test]
fn orthogonality_counts_every_weight() {
    let rules = Game { regularise: vec![Regulariser::Orthogonal { weight: 0.5 }], ..game(Objective::Hinge) };
    assert_eq!(number(&played(rules, 1.0), "penalty"), 32.0);
}

/// The features are what the last layer sees: `max(x, 0)`, 5 of the data and 0 of the samples.
#[test]
fn matched_features_are_those_of_the_last_layer() {
    let plain = number(&played(game(Objective::Wasserstein), 5.0), "loss");
    let matched = played(Game { feature_matching: 0.1, ..game(Objective::Wasserstein) }, 5.0);
    assert_eq!(number(&matched, "feature-distance"), 25.0);
    assert!((number(&matched, "loss") - plain - 2.5).abs() < 1e-6);
}

/// Of two rows the largest singular value has a closed form.
#[test]
fn the_norm_of_a_kernel_is_its_largest_singular_value() {
    let critic = ConvCriticConfig { channels: vec![2] }.init([3, 4, 4], &mut Rng::new(4), &device());
    let mut spectral = Spectral::new(&critic, 1, &mut Rng::new(1));
    (0..200).for_each(|_| spectral.advance(&critic));
    let (path, kernel) = collect(&critic).into_iter().find(|(_, array)| array.shape.len() == 4).unwrap();
    assert_eq!(kernel.shape, [2, 3, 3, 3]);
    let (a, b) = kernel.values.split_at(27);
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let [aa, ab, bb] = [dot(a, a), dot(a, b), dot(b, b)];
    let largest = (0.5 * (aa + bb) + (0.25 * (aa - bb).powi(2) + ab * ab).sqrt()).sqrt();
    let norm = spectral.norms(&critic)[&path];
    assert!((norm - largest).abs() < 1e-4 * largest, "{norm}, not {largest}");
}

/// One schedule for both, however many turns the critic has.
#[test]
fn both_players_have_the_rate_of_the_step() {
    let schedules = [
        r#"{"kind": "constant", "warmup": 4}"#,
        r#"{"kind": "linear", "warmup": 2, "floor": 0.1}"#,
        r#"{"kind": "cosine", "warmup": 3}"#,
        r#"{"kind": "step", "warmup": 1, "every": 3, "gamma": 0.5}"#,
    ];
    for schedule in schedules {
        let config = DescentConfig { rate: serde_json::from_str(schedule).unwrap(), ..sgd(0.1) };
        let critic = perceptron(1, &[4], Activation::LeakyRelu);
        let rules = Game { critic_steps: 3, ..game(Objective::Hinge) };
        let mut players = Adversarial::new((Still::new(), critic), rules, [config; 2], 12, &mut Rng::new(1)).unwrap();
        let rates: Vec<[f64; 2]> = (0..12)
            .map(|step| {
                let batch = |turn| Batch { x: super::normal(8, 1, 10 * step + turn), labels: None };
                let scalars = players.step((0..3).map(batch).collect(), &mut Rng::new(2).at(step)).unwrap();
                ["learning-rate", "critic-learning-rate"].map(|name| number(&scalars, name))
            })
            .collect();
        assert!(rates.iter().all(|[one, other]| (one - other).abs() < 1e-15), "{schedule}: {rates:?}");
        assert!(rates.windows(2).any(|pair| pair[0] != pair[1]), "{schedule}: {rates:?}");
    }
}

/// A witness that depends on the batch is none, and normalising twice is a slip.
#[test]
fn what_would_be_ignored_or_wrong_is_refused() {
    let text = |deviation: bool| {
        format!(
            r#"{{"divergence": "pearson", "reference": {{"mean": 0.0, "deviation": 1.0}},
                "critic": {{"net": {{"kind": "mlp", "hidden": [4]}}, "deviation": {deviation}}}}}"#
        )
    };
    let init = |deviation| {
        let config: DivergenceBoundConfig = serde_json::from_str(&text(deviation)).unwrap();
        config.init(&[1], &mut Rng::new(1), &device()).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(init(false), Ok(()));
    assert!(init(true).unwrap_err().contains("critic.deviation"));
    let twice = vec![Regulariser::Spectral { iterations: 1 }; 2];
    let rules = Game { regularise: twice, ..game(Objective::Hinge) };
    let players = (Still::new(), perceptron(1, &[4], Activation::LeakyRelu));
    let refused = Adversarial::new(players, rules, [sgd(0.1), sgd(0.1)], 9, &mut Rng::new(1));
    assert!(refused.err().unwrap().to_string().contains("spectral once"));
}
