//! The networks of a style-based generator against PyTorch (parity/stylegan.py), and the laws of a game that grows.

use std::ops::ControlFlow;

use genera::Rng;
use genera::burn::module::Module;
use genera::burn::tensor::{Tensor, TensorData};
use genera::gan::{Game, Growth, Objective, Regulariser, Scale, StyleGan, StyleGanConfig, squared_slope};
use genera::nn::{Additions, Critic, GrowingCriticConfig, Grown, Labelled, StyleGeneratorConfig, rows};
use genera::train::{DescentConfig, Ema, Gradients, fit};
use genera::traits::{Batch, Caution, Learner, Net, Rows, Scalars};
use genera::weights::{Metadata, Weights, apply, from_bytes, to_bytes};

use super::parity::{agree, below, gradients_agree, rows as stored};
use super::{adam, device, game, host, normal, tensor};

const STAGES: [(usize, f64, &str); 3] = [(0, 1.0, "0.1.0"), (1, 1.0, "1.1.0"), (2, 0.3, "2.0.3")];

fn golden(prefix: &str) -> Weights {
    below(&from_bytes(include_bytes!("../../../../parity/golden/stylegan.safetensors")).unwrap(), prefix)
}

#[test]
fn a_growing_critic_and_its_penalty_are_those_of_pytorch() {
    let net = GrowingCriticConfig { channels: vec![6, 4, 5], colours: 2 }.init(&mut Rng::new(0), &device());
    let net = apply(net, &golden("critic.weights.")).unwrap();
    for (stage, alpha, name) in STAGES {
        let net = net.clone().at(Grown { stage, alpha });
        let critic = Critic::new(net, Additions::default(), &mut Rng::new(0), &device()).train();
        let golden = golden(&format!("critic.{name}."));
        let x = stored(&golden["x"]);
        agree(name, &host(critic.forward(x.clone().into())), &golden["score"].values);
        let penalty = squared_slope(&critic, x.into());
        agree(name, &host(penalty.clone()), &golden["r1"].values);
        let expected = below(&golden, "r1.gradient.").into_iter().map(|(path, array)| (format!("net.{path}"), array));
        gradients_agree(name, &Gradients::of(&penalty, &critic), expected.collect());
    }
}

#[test]
fn a_style_generator_is_that_of_pytorch() {
    let config = StyleGeneratorConfig { latents: 3, mapping: vec![7], style: 5, channels: vec![6, 4, 5], colours: 2 };
    let net = apply(config.init(&mut Rng::new(0), &device()), &golden("generator.weights.")).unwrap().train();
    let all = golden("generator.");
    let z = stored(&all["z"]);
    agree("styles", &host(net.styles(z.clone())), &all["styles"].values);
    for (stage, alpha, name) in STAGES {
        let net = net.clone().at(Grown { stage, alpha });
        let golden = below(&all, &format!("{name}."));
        let noise = stored(&golden["noise"]);
        assert_eq!([net.layers(), net.noise()], [2 * stage + 2, noise.dims()[1]]);
        let w = net.styles(z.clone());
        let image = rows(net.synthesise(|_| w.clone(), noise));
        agree(name, &host(image.clone()), &golden["image"].values);
        let loss = (image * stored(&golden["weight"])).sum();
        gradients_agree(name, &Gradients::of(&loss, &net), below(&golden, "gradient."));
    }
}

fn rules() -> Game {
    let r1 = Regulariser::R1 { gamma: 1.0, scale: Scale::Whole };
    Game { regularise: vec![r1], ..game(Objective::NonSaturating { smoothing: 0.0 }) }
}

/// Pictures of 7 x 6 on a canvas of 8: two stages, the second from step 3 on, there in full two steps later.
fn config(mixing: f64) -> StyleGanConfig {
    StyleGanConfig {
        latents: 4,
        mapping: vec![8],
        style: 4,
        channels: vec![6, 4],
        mixing,
        deviation: true,
        background: -1.0,
        growth: Growth { steps: vec![3], fade: 2 },
    }
}

fn players(mixing: f64, rules: Game) -> StyleGan {
    let generator = DescentConfig { ema: Some(Ema { decay: 0.9, warmup: true }), ..adam(1e-2) };
    config(mixing).init(&[1, 7, 6], rules, [generator, adam(1e-2)], 20, &mut Rng::new(1), &device()).unwrap()
}

fn batches(step: u64) -> Vec<Batch> {
    let x = Rng::new(5).at(step).normal(6, 42).into_iter().map(|x| (0.5 * x).tanh()).collect();
    vec![Batch { x: tensor(x, 42), labels: None }]
}

fn train(players: &mut StyleGan, steps: std::ops::Range<u64>) -> Scalars {
    let mut last = Scalars::new();
    let mut watch = |_: u64, scalars: &Scalars, _: &dyn Learner| {
        last = scalars.clone();
        ControlFlow::Continue(())
    };
    fit(players, steps, batches, &Rng::new(3), &mut watch).unwrap();
    last
}

fn state(players: &StyleGan) -> Vec<(String, Weights)> {
    players.save().into_iter().map(|(name, group)| (name.to_owned(), group)).collect()
}

fn drawn(players: &StyleGan, n: usize, rng: &Rng) -> Vec<f64> {
    host(players.view().sample.unwrap().sample(n, &mut rng.clone()))
}

#[test]
fn growth_is_a_function_of_the_steps_taken() {
    let growth = Growth { steps: vec![3, 4], fade: 2 };
    let at = |taken| growth.at(taken, 3);
    let expected =
        [(0, 0, 1.0), (2, 0, 1.0), (3, 1, 0.0), (4, 1, 0.5), (5, 1, 1.0), (6, 1, 1.0), (7, 2, 0.0), (99, 2, 1.0)];
    for (taken, stage, alpha) in expected {
        assert_eq!(at(taken), Grown { stage, alpha }, "{taken}");
    }
    assert_eq!(Growth { steps: vec![3], fade: 0 }.at(3, 2), Grown { stage: 1, alpha: 1.0 });
    assert_eq!(Growth { steps: vec![], fade: 5 }.at(100, 1), Grown { stage: 0, alpha: 1.0 });
}

#[test]
fn every_parameter_in_use_moves_and_no_other() {
    let mut players = players(1.0, rules());
    let before = state(&players);
    let scalars = train(&mut players, 0..3);
    for wanted in ["loss", "grad-norm", "critic-value", "penalty", "spread", "side", "alpha"] {
        assert!(scalars.iter().any(|(known, _)| *known == wanted), "no {wanted}");
    }
    let moved = |before: &[(String, Weights)], after: &[(String, Weights)], group: usize| -> Vec<(String, bool)> {
        let paths = before[group].1.iter().map(|(path, old)| (path.clone(), after[group].1[path].values != old.values));
        paths.collect()
    };
    let first = state(&players);
    let names: Vec<&str> = first.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["model", "optimizer", "ema", "critic", "critic-optimizer"]);
    for group in [0, 3] {
        for (path, moved) in moved(&before, &first, group) {
            let later = ["net.stages.1.", "net.from_rgb.1.", "net.blocks."].iter().any(|later| path.starts_with(later));
            assert_eq!(moved, !later, "{path}");
        }
    }
    let scalars = train(&mut players, 3..8);
    assert!(scalars.contains(&("side", 8.0)) && scalars.contains(&("alpha", 1.0)));
    for group in [0, 3] {
        for (path, moved) in moved(&first, &state(&players), group) {
            // Once the second stage is there, the first has no images of its own.
            assert!(moved || path.contains("rgb.0.") || path.contains("stages.0.to_rgb"), "{path}");
        }
    }
}

/// Within a stage, where one begins, while it fades in and afterwards.
#[test]
fn resuming_changes_no_bit_within_and_between_stages() {
    let mut whole = players(0.5, rules());
    train(&mut whole, 0..7);
    for stop in [2, 3, 4, 6] {
        let mut first = players(0.5, rules());
        train(&mut first, 0..stop);
        let file = |(name, group): (String, Weights)| (name, from_bytes(&to_bytes(&group, &Metadata::new())).unwrap());
        let saved: Vec<(String, Weights)> = state(&first).into_iter().map(file).collect();
        let mut second = players(0.5, rules());
        second.load(&saved).unwrap();
        assert_eq!(drawn(&first, 3, &Rng::new(8)), drawn(&second, 3, &Rng::new(8)), "{stop}");
        train(&mut second, stop..7);
        assert!(state(&second) == state(&whole), "{stop}");
    }
}

#[test]
fn threads_change_no_bit_and_errors_change_nothing() {
    let run = || {
        let mut players = players(0.5, rules());
        train(&mut players, 0..5);
        state(&players)
    };
    let [one, two] = [1, 2].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(run));
    assert!(one == two);

    let mut players = players(0.5, rules());
    train(&mut players, 0..2);
    let before = state(&players);
    let bad = vec![Batch { x: tensor(vec![f32::NAN; 42], 42), labels: None }];
    let error = players.step(bad, &mut Rng::new(1)).unwrap_err();
    assert!(error.to_string().starts_with("the critic: "), "{error}");
    assert!(state(&players) == before);
}

/// A stage begins as what was there: with `α = 0` the picture is the old one.
#[test]
fn a_new_stage_begins_with_the_pictures_of_the_old_one() {
    let config = StyleGeneratorConfig { latents: 3, mapping: vec![7], style: 5, channels: vec![6, 4], colours: 1 };
    let net = config.init(&mut Rng::new(2), &device());
    let (old, new) = (net.clone(), net.at(Grown { stage: 1, alpha: 0.0 }));
    let w = old.styles(normal(4, 3, 1));
    let noise = normal(4, new.noise(), 2);
    let small = old.synthesise(|_| w.clone(), noise.clone().narrow(1, 0, old.noise()));
    let large = new.synthesise(|_| w.clone(), noise);
    assert_eq!(host(genera::kernels::upsample_nearest2x(small)), host(large));
    // And so do the data.
    let image: Tensor<4> = Tensor::from_data(TensorData::new(Rng::new(3).normal(1, 64), [1, 8, 8, 1]), &device());
    let coarse = genera::kernels::upsample_nearest2x(genera::kernels::avg_pool2x2(image.clone()));
    assert_eq!(host(Grown { stage: 1, alpha: 0.0 }.faded(image.clone())), host(coarse));
    assert_eq!(host(Grown { stage: 1, alpha: 1.0 }.faded(image.clone())), host(image));
}

#[test]
fn samples_know_nothing_of_each_other_and_fill_the_shape() {
    let mut players = players(0.5, rules());
    for (from, to) in [(0, 0), (0, 4), (4, 8)] {
        train(&mut players, from..to);
        let whole = drawn(&players, 9, &Rng::new(3));
        assert_eq!(whole.len(), 9 * 42);
        let parts: Vec<f64> = (0..3).flat_map(|i| drawn(&players, 3, &Rng::new(3).rows_from(3 * i))).collect();
        assert_eq!(whole, parts);
        assert!(whole.iter().all(|x| x.abs() <= 1.0));
    }
}

#[test]
fn truncation_draws_styles_towards_their_mean() {
    // Untrained, and trained with noise in the pixels.
    for steps in [0, 8] {
        let mut players = players(0.0, rules());
        train(&mut players, 0..steps);
        let cautious = |psi: f64, n: usize| -> Vec<f64> {
            let model = players.view().cautious.unwrap();
            host(model.with_caution(Caution::Style(psi)).unwrap().sample(n, &mut Rng::new(3)))
        };
        assert_eq!(cautious(1.0, 5), drawn(&players, 5, &Rng::new(3)));
        let none = cautious(0.0, 5);
        assert!(none.chunks(42).all(|row| row == &none[..42]), "{steps}");
        // The less of it there is, the less samples differ.
        let spread = |psi: f64| {
            let x = cautious(psi, 64);
            let mean = |at: usize| x.iter().skip(at).step_by(42).sum::<f64>() / 64.0;
            let variance = |at: usize| x.iter().skip(at).step_by(42).map(|x| (x - mean(at)).powi(2)).sum::<f64>();
            (0..42).map(variance).sum::<f64>()
        };
        let spreads = [0.0, 0.3, 0.6, 1.0].map(spread);
        assert!(spreads.is_sorted() && spreads[0] < 1e-6 * spreads[3], "{spreads:?}");
    }
    let players = players(0.0, rules());
    let model = players.view().cautious.unwrap();
    for other in [Caution::Style(-0.1), Caution::Style(f64::NAN), Caution::Truncation(1.0), Caution::Temperature(0.5)] {
        assert!(model.with_caution(other).is_none(), "{other:?}");
    }
}

#[test]
fn coarse_layers_follow_one_style_and_fine_ones_another() {
    let mut players = players(1.0, rules());
    train(&mut players, 0..8);
    let view = players.view();
    let styles = view.styles.unwrap();
    let [a, b] = [1, 2].map(|seed| styles.styles(6, &mut Rng::new(seed)));
    let mixed =
        |coarse: &Rows, fine: &Rows, cut| host(styles.drawn(coarse.clone(), fine.clone(), cut, &mut Rng::new(4)));
    assert_eq!(styles.layers(), 4);
    assert_eq!(mixed(&a, &b, 4), mixed(&a, &a, 0));
    assert_eq!(mixed(&a, &b, 0), mixed(&b, &b, 4));
    for cut in 1..4 {
        let there = mixed(&a, &b, cut);
        assert!(there != mixed(&a, &a, 0) && there != mixed(&b, &b, 0), "{cut}");
    }
    // Training mixes as often as it is told, from every layer but the first: with a place of 1/2 of four layers, the first
    // two follow the first style.
    let generator = players.generator();
    let z = normal(3, 8, 7);
    let noise = normal(3, 2 * (16 + 64), 8);
    let at = |place: f64| {
        let place = Tensor::full([3, 1], place as f32, &device());
        let row = Tensor::cat(vec![z.clone(), place, noise.clone()], 1);
        host(generator.forward(Labelled { x: row, labels: None }))
    };
    assert!(at(0.1) != at(0.5) && at(0.5) != at(0.9) && at(0.4) == at(0.5));
}

#[test]
fn what_does_not_fit_is_refused() {
    let init = |config: StyleGanConfig, shape: &[usize]| {
        let started = config.init(shape, rules(), [adam(0.1), adam(0.1)], 9, &mut Rng::new(1), &device());
        started.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let with = |change: fn(&mut StyleGanConfig)| {
        let mut config = config(0.5);
        change(&mut config);
        init(config, &[1, 7, 6])
    };
    for (message, wanted) in [
        (init(config(0.5), &[1, 9, 8]), "does not fit"),
        (init(config(0.5), &[2]), "images [C, H, W]"),
        (with(|config| config.growth.steps = vec![]), "growth.steps"),
        (with(|config| config.channels = vec![]), "`channels` is 0"),
        (with(|config| config.mapping = vec![0]), "`mapping` is 0"),
        (with(|config| config.mixing = 1.5), "mixing"),
        (with(|config| config.background = f64::NAN), "background"),
    ] {
        assert!(message.contains(wanted), "{wanted}: {message}");
    }
}
