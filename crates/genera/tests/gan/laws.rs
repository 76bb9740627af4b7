//! The laws of a game, for every objective, regulariser and network.

use std::ops::ControlFlow;

use genera::Rng;
use genera::burn::module::Module;
use genera::burn::tensor::Tensor;
use genera::gan::{
    Adversarial, CriticConfig, CriticNet, CriticNetConfig, FDivergence, Game, Generator, GeneratorConfig,
    GeneratorNetConfig, Noise, Objective, Regulariser, Scale, Sides, gradient_penalty,
};
use genera::nn::{Activation, Critic, Labelled, ResidualCriticConfig};
use genera::train::{DescentConfig, Ema, fit};
use genera::traits::{Batch, Caution, Cautious, Learner, Net, Sample, Scalars, StepError};
use genera::weights::{Metadata, Weights, apply, collect, from_bytes, to_bytes};

use super::estimates::{Still, Told};
use super::{adam, device, game, host, normal, perceptron, sgd, tensor};

type Players = Adversarial<Generator, Critic<CriticNet>>;
type Groups = Vec<(String, Weights)>;

/// Networks for pictures `[1, 4, 4]` or points, and whether they are told one of three classes.
struct Nets {
    name: &'static str,
    generator: GeneratorNetConfig,
    critic: CriticNetConfig,
    shape: Vec<usize>,
    classes: Option<usize>,
}

fn all_nets() -> Vec<Nets> {
    let mlp = || GeneratorNetConfig::Mlp { hidden: vec![8, 8] };
    let critic = || CriticNetConfig::Mlp { hidden: vec![8, 8], activation: Activation::LeakyRelu };
    let residual = ResidualCriticConfig { channels: 4, halvings: 2, blocks: 1 };
    vec![
        Nets { name: "points", generator: mlp(), critic: critic(), shape: vec![3], classes: None },
        Nets { name: "told points", generator: mlp(), critic: critic(), shape: vec![3], classes: Some(3) },
        Nets {
            name: "dcgan",
            generator: GeneratorNetConfig::Dcgan { channels: vec![16, 32] },
            critic: CriticNetConfig::Conv { channels: vec![4, 8] },
            shape: vec![1, 4, 4],
            classes: None,
        },
        Nets {
            name: "told residual",
            generator: GeneratorNetConfig::Residual { channels: 16, doublings: 1 },
            critic: CriticNetConfig::Residual(residual),
            shape: vec![1, 4, 4],
            classes: Some(3),
        },
    ]
}

impl Nets {
    fn init(&self, deviation: bool) -> (Generator, Critic<CriticNet>) {
        let config = GeneratorConfig { latents: 4, noise: Noise::Normal, net: self.generator.clone() };
        let generator = config.init(&self.shape, self.classes, &mut Rng::new(1), &device()).unwrap();
        let config = CriticConfig { net: self.critic.clone(), deviation };
        (generator, config.init(&self.shape, self.classes, &mut Rng::new(2), &device()).unwrap())
    }

    fn batch(&self, step: u64, first: u64, n: usize) -> Batch {
        let features = self.shape.iter().product();
        let x = Rng::new(5).at(step).rows_from(first).normal(n, features);
        let labels = self.classes.map(|classes| (first as usize..first as usize + n).map(|i| i % classes).collect());
        Batch { x: tensor(x.into_iter().map(|x| 0.5 * x + 0.3).collect(), features), labels }
    }
}

fn players(nets: &Nets, rules: Game, deviation: bool) -> Players {
    let generator = DescentConfig { ema: Some(Ema { decay: 0.9, warmup: true }), ..adam(1e-2) };
    Adversarial::new(nets.init(deviation), rules, [generator, adam(1e-2)], 20, &mut Rng::new(3)).unwrap()
}

fn state(learner: &dyn Learner) -> Groups {
    learner.save().into_iter().map(|(name, group)| (name.to_owned(), group)).collect()
}

fn quiet(_: u64, _: &Scalars, _: &dyn Learner) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

const PENALTY: Regulariser = Regulariser::GradientPenalty { weight: 10.0, sides: Sides::Two };

fn all_games() -> Vec<Game> {
    let plain = Objective::NonSaturating { smoothing: 0.1 };
    let with = |objective, regularise| Game { critic_steps: 2, regularise, ..game(objective) };
    let mut games = vec![
        with(Objective::Saturating { smoothing: 0.0 }, vec![]),
        with(plain, vec![Regulariser::R1 { gamma: 1.0, scale: Scale::Whole }]),
        with(plain, vec![Regulariser::R2 { gamma: 1.0, scale: Scale::Half }, Regulariser::Orthogonal { weight: 0.1 }]),
        with(Objective::LeastSquares { fake: 0.0, real: 1.0, wanted: 1.0 }, vec![]),
        with(Objective::Hinge, vec![Regulariser::Spectral { iterations: 1 }]),
        with(Objective::Wasserstein, vec![Regulariser::Clip { limit: 0.05 }]),
        with(Objective::Wasserstein, vec![PENALTY]),
        with(Objective::Wasserstein, vec![Regulariser::GradientPenalty { weight: 10.0, sides: Sides::One }]),
        Game { feature_matching: 1.0, ..with(plain, vec![]) },
    ];
    games.extend(FDivergence::ALL.map(|divergence| with(Objective::FDivergence { divergence }, vec![])));
    games
}

/// Both players move every parameter, what is saved comes back, and samples know nothing of each other.
fn laws(nets: &Nets, rules: Game, deviation: bool) {
    let name = format!("{} {rules:?}", nets.name);
    let mut learner = players(nets, rules.clone(), deviation);
    let before = state(&learner);
    for step in 0..3 {
        let batches = vec![nets.batch(step, 0, 8), nets.batch(step, 8, 8)];
        let scalars = learner.step(batches, &mut Rng::new(6).at(step)).unwrap();
        assert_eq!(scalars[0].0, "loss");
        assert!(scalars.iter().all(|(_, value)| value.is_finite()), "{name}: {scalars:?}");
        for wanted in ["grad-norm", "critic-value", "critic-grad-norm", "spread", "vanished"] {
            assert!(scalars.iter().any(|(known, _)| *known == wanted), "{name}: no {wanted}");
        }
        let penalised =
            rules.regularise.iter().any(|r| !matches!(r, Regulariser::Clip { .. } | Regulariser::Spectral { .. }));
        assert_eq!(scalars.iter().any(|(known, _)| *known == "penalty"), penalised, "{name}");
    }
    let after = state(&learner);
    for ((group, old), (_, new)) in before.iter().zip(&after) {
        for (path, old) in old {
            // A Wasserstein critic's last bias cancels, and what is added to all scores alike.
            let shift = group == "critic" && (path == "net.output.bias" || path == "net.layers.2.bias");
            // A unit vector of one number is ±1.
            let idle = ["optimizer", "critic-optimizer"].contains(&group.as_str())
                || (group == "spectral" && old.values.len() == 1);
            assert!(shift || idle || old.values != new[path].values, "{name}: {group} {path} did not move");
        }
    }
    let mut other = players(nets, rules, deviation);
    other.load(&after).unwrap();
    assert_eq!(state(&other), after, "{name}");
    let generator = learner.generator();
    let whole = host(generator.sample(24, &mut Rng::new(3)));
    let parts: Vec<f64> = (0..3).flat_map(|i| host(generator.sample(8, &mut Rng::new(3).rows_from(8 * i)))).collect();
    assert_eq!(whole, parts, "{name}");
    assert_eq!(host(other.view().sample.unwrap().sample(24, &mut Rng::new(3))), whole, "{name}");
    assert_eq!(generator.sample(0, &mut Rng::new(3)).dims()[0], 0);
}

#[test]
fn laws_of_every_game() {
    for rules in all_games() {
        laws(&all_nets()[0], rules, false);
    }
}

#[test]
fn laws_of_every_network() {
    for nets in all_nets() {
        let normalised =
            vec![Regulariser::Spectral { iterations: 1 }, Regulariser::R1 { gamma: 1.0, scale: Scale::Half }];
        laws(&nets, Game { regularise: vec![PENALTY], ..game(Objective::Hinge) }, true);
        laws(&nets, Game { regularise: normalised, ..game(Objective::Saturating { smoothing: 0.0 }) }, false);
    }
}

#[test]
fn resuming_changes_no_bit() {
    for (nets, regularise) in [(0, vec![PENALTY]), (3, vec![Regulariser::Spectral { iterations: 1 }])] {
        let nets = &all_nets()[nets];
        let rules = Game { critic_steps: 3, regularise, ..game(Objective::Hinge) };
        let batches = |step: u64| (0..3).map(|turn| nets.batch(step, 4 * turn, 4)).collect::<Vec<_>>();
        let rng = Rng::new(3);
        let mut whole = players(nets, rules.clone(), false);
        fit(&mut whole, 0..8, batches, &rng, &mut quiet).unwrap();
        let mut first = players(nets, rules.clone(), false);
        fit(&mut first, 0..5, batches, &rng, &mut quiet).unwrap();
        let file = |(name, group): (String, Weights)| (name, from_bytes(&to_bytes(&group, &Metadata::new())).unwrap());
        let saved: Groups = state(&first).into_iter().map(file).collect();
        let mut second = players(nets, rules, false);
        second.load(&saved).unwrap();
        fit(&mut second, 5..8, batches, &rng, &mut quiet).unwrap();
        assert!(state(&second) == state(&whole), "{}", nets.name);
        assert!(state(&second) != saved);
    }
}

#[test]
fn threads_change_no_bit() {
    let train = || {
        let nets = &all_nets()[3];
        let rules = Game { regularise: vec![PENALTY], ..game(Objective::Wasserstein) };
        let mut learner = players(nets, rules, true);
        fit(&mut learner, 0..3, |step| vec![nets.batch(step, 0, 64)], &Rng::new(3), &mut quiet).unwrap();
        state(&learner)
    };
    let [one, two, four] =
        [1, 2, 4].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(train));
    assert!(one == two && one == four);
}

/// Micro-batches of one turn draw the noise of one large batch; turns see rows of their own, in order.
#[test]
fn micro_batches_are_averaged_and_turns_are_dealt() {
    let nets = &all_nets()[0];
    let rules = |critic_steps| Game { critic_steps, regularise: vec![PENALTY], ..game(Objective::Hinge) };
    let new = |critic_steps| {
        Adversarial::new(nets.init(false), rules(critic_steps), [sgd(0.1), sgd(0.1)], 9, &mut Rng::new(3)).unwrap()
    };
    let (mut parts, mut whole) = (new(1), new(1));
    let few = parts.step(vec![nets.batch(0, 0, 6), nets.batch(0, 6, 2)], &mut Rng::new(1)).unwrap();
    let one = whole.step(vec![nets.batch(0, 0, 8)], &mut Rng::new(1)).unwrap();
    // The spread is that of a micro-batch.
    for ((name, a), (_, b)) in few.iter().zip(&one).filter(|((name, _), _)| *name != "spread") {
        assert!((a - b).abs() < 1e-5 * b.abs().max(1.0), "{name}: {a} {b}");
    }
    let mut twice = new(2);
    let [first, second] = [0, 1].map(|turn| nets.batch(turn, 0, 8));
    twice.step(vec![first.clone(), second.clone()], &mut Rng::new(1)).unwrap();
    let mut swapped = new(2);
    swapped.step(vec![second, first], &mut Rng::new(1)).unwrap();
    assert!(state(&twice) != state(&swapped));
    let refused = twice.step(vec![nets.batch(0, 0, 8)], &mut Rng::new(1)).unwrap_err();
    assert_eq!(refused, StepError::Turns { given: 1, turns: 2 });
}

#[test]
fn errors_name_the_player_and_change_nothing() {
    let nets = &all_nets()[0];
    let mut learner = players(nets, Game { critic_steps: 2, ..game(Objective::Hinge) }, false);
    let before = state(&learner);
    let mut bad = nets.batch(0, 0, 8);
    bad.x = bad.x * f32::NAN;
    // The first turn goes well, and is undone.
    let error = learner.step(vec![nets.batch(0, 0, 8), bad], &mut Rng::new(1)).unwrap_err();
    assert!(error.to_string().starts_with("the critic: the loss is NaN"), "{error}");
    assert!(state(&learner) == before);

    // Without anything to bound it, a Wasserstein critic runs away.
    let configs = [sgd(0.0), sgd(1e4)];
    let mut learner =
        Adversarial::new(nets.init(false), game(Objective::Wasserstein), configs, 50, &mut Rng::new(3)).unwrap();
    let error = (0..50).find_map(|step| learner.step(vec![nets.batch(step, 0, 8)], &mut Rng::new(1)).err()).unwrap();
    assert!(error.to_string().contains("grows without bound"), "{error}");

    for (rules, wanted) in [
        (Game { critic_steps: 0, ..game(Objective::Hinge) }, "critic_steps"),
        (Game { feature_matching: f64::NAN, ..game(Objective::Hinge) }, "feature_matching"),
        (game(Objective::Saturating { smoothing: 1.0 }), "objective.smoothing"),
        (Game { regularise: vec![Regulariser::Clip { limit: 0.0 }], ..game(Objective::Hinge) }, "regularise.limit"),
        (
            Game { regularise: vec![Regulariser::Spectral { iterations: 0 }], ..game(Objective::Hinge) },
            "regularise.iterations",
        ),
    ] {
        let refused = Adversarial::new(nets.init(false), rules, [sgd(0.1), sgd(0.1)], 9, &mut Rng::new(3));
        assert!(refused.err().unwrap().to_string().contains(wanted));
    }
    let mut learner = players(nets, game(Objective::Hinge), false);
    let mut groups = state(&learner);
    groups.push(("spectral".to_owned(), Weights::new()));
    assert!(learner.load(&groups).unwrap_err().to_string().contains("spectral"));
}

/// Against a perfect critic the saturating generator learns nothing and the other one does; and a collapsed generator shows.
#[test]
fn vanishing_gradients_and_collapse_are_seen() {
    let far = || vec![Batch { x: normal(64, 1, 4) * 0.1 + 20.0, labels: None }];
    let last = |objective| {
        let critic = perceptron(1, &[16], Activation::LeakyRelu);
        let configs = [sgd(0.0), adam(1e-1)];
        let mut players =
            Adversarial::new((Still::new(), critic), game(objective), configs, 200, &mut Rng::new(1)).unwrap();
        let steps = (0..200).map(|step| players.step(far(), &mut Rng::new(2).at(step)).unwrap());
        let scalars = steps.last().unwrap();
        move |name: &str| scalars.iter().find(|(known, _)| *known == name).unwrap().1
    };
    let (saturating, other) =
        (last(Objective::Saturating { smoothing: 0.0 }), last(Objective::NonSaturating { smoothing: 0.0 }));
    assert_eq!(saturating("vanished"), 1.0, "{}", saturating("grad-norm"));
    assert_eq!(other("vanished"), 0.0);
    assert!(other("grad-norm") > 1e-2);
    // U[−2, −1) has a deviation of 0.29, the data one of 0.1.
    assert!((saturating("spread") - 2.9).abs() < 0.6, "{}", saturating("spread"));
}

/// A generator that is told the class and makes one sample of each: it spreads as the data do, but not within a class.
#[test]
fn collapse_within_classes_is_seen_though_classes_differ() {
    let classes: Vec<usize> = (0..300).map(|row| row % 3).collect();
    let noise = Rng::new(4).normal(300, 1);
    let values = classes.iter().zip(noise).map(|(class, z)| 10.0 * *class as f32 + 2.0 * z).collect();
    let batch = Batch { x: tensor(values, 1), labels: Some(classes) };
    let step = |width: f32, batch: Batch| {
        let players = (Told { width, offset: Still::new() }, perceptron(1, &[16], Activation::LeakyRelu));
        let rules = game(Objective::NonSaturating { smoothing: 0.0 });
        let mut players = Adversarial::new(players, rules, [sgd(0.0), sgd(0.0)], 1, &mut Rng::new(1)).unwrap();
        players.step(vec![batch], &mut Rng::new(2)).unwrap()
    };
    let spreads = |width: f32| {
        let scalars = step(width, batch.clone());
        ["spread", "spread-within"].map(|name| scalars.iter().find(|(known, _)| *known == name).unwrap().1)
    };
    // U[0, 12) has a deviation of 3.46 around the mean of its class, the data one of 2.
    let [[_, healthy], [spread, collapsed]] = [spreads(12.0), spreads(0.01)];
    assert!((healthy - 12.0 / 12f64.sqrt() / 2.0).abs() < 0.15, "{healthy}");
    assert!(spread > 0.9 && collapsed < 0.01, "{spread} {collapsed}");

    // Rows that are each alone in their class, and rows without classes, have none.
    let rows = Batch { x: normal(3, 1, 4), labels: None };
    for labels in [None, Some(vec![0, 1, 2])] {
        let scalars = step(1.0, Batch { labels, ..rows.clone() });
        assert!(scalars.iter().all(|(name, _)| *name != "spread-within"), "{scalars:?}");
    }
}

#[test]
fn clipped_weights_stay_in_their_box_and_normalised_critics_are_flat() {
    let nets = &all_nets()[0];
    let mut clipped = players(
        nets,
        Game { regularise: vec![Regulariser::Clip { limit: 0.03 }], ..game(Objective::Wasserstein) },
        false,
    );
    let mut flat = players(
        nets,
        Game { regularise: vec![Regulariser::Spectral { iterations: 1 }], ..game(Objective::Hinge) },
        false,
    );
    for step in 0..20 {
        clipped.step(vec![nets.batch(step, 0, 16)], &mut Rng::new(1).at(step)).unwrap();
        flat.step(vec![nets.batch(step, 0, 16)], &mut Rng::new(1).at(step)).unwrap();
    }
    let largest =
        collect(&clipped.critic()).values().flat_map(|a| a.values.clone()).fold(0.0, |m: f32, w| m.max(w.abs()));
    assert!(largest <= 0.03 && largest > 0.02, "{largest}");
    let critic = flat.critic();
    let (x, y) = (normal(200, 3, 1) * 3.0, normal(200, 3, 2) * 3.0);
    let score = |x: &genera::traits::Rows| host(critic.forward(x.clone().into()));
    let distance = host((x.clone() - y.clone()).square().sum_dim(1).sqrt());
    let mut pairs = score(&x).into_iter().zip(score(&y)).zip(distance);
    assert!(pairs.all(|((a, b), distance)| (a - b).abs() <= 1.02 * distance));
}

#[test]
fn a_penalty_of_a_known_slope() {
    let linear = |weight: f32| {
        let critic = perceptron(4, &[], Activation::Relu);
        let mut weights = collect(&critic);
        weights.get_mut("net.layers.0.weight").unwrap().values = vec![weight; 4];
        apply(critic, &weights).unwrap().train()
    };
    let x = || Labelled::from(normal(7, 4, 1));
    // f(x) = x₀ + x₁ + x₂ + x₃ has a slope of 2, f = 0 one of 0: both are one away from one.
    for (weight, two, one) in [(1.0, 1.0, 1.0), (0.0, 1.0, 0.0), (0.5, 0.0, 0.0)] {
        assert_eq!(host(gradient_penalty(&linear(weight), x(), Sides::Two)), [two]);
        assert_eq!(host(gradient_penalty(&linear(weight), x(), Sides::One)), [one]);
    }
    // Where the slope is zero its length has no derivative: zero, as PyTorch has it.
    let flat = linear(0.0);
    let gradients = genera::train::Gradients::of(&gradient_penalty(&flat, x(), Sides::Two), &flat);
    assert_eq!(gradients.values("net.layers.0.weight").unwrap(), [0.0; 4]);
}

/// Samples of one class are told by it, and classes are drawn where none are asked for.
#[test]
fn a_generator_draws_what_it_is_told() {
    let (generator, critic) = all_nets()[1].init(false);
    let draw = |labels: Vec<usize>| host(generator.given(labels).sample(6, &mut Rng::new(4)));
    let (zeros, in_turn) = (draw(vec![0]), draw(vec![0, 1, 2]));
    for row in 0..6 {
        let same = zeros[3 * row..3 * row + 3] == in_turn[3 * row..3 * row + 3];
        assert_eq!(same, row % 3 == 0, "{row}");
    }
    assert!(generator.is_conditional());
    let (points, _) = all_nets()[0].init(false);
    let with = |caution| host(points.with_caution(caution).unwrap().sample(6, &mut Rng::new(4)));
    let plain = host(points.sample(6, &mut Rng::new(4)));
    assert_eq!(with(Caution::Temperature(1.0)), plain);
    assert_ne!(with(Caution::Truncation(0.5)), plain);
    let same = with(Caution::Temperature(0.0));
    assert!(same.chunks(3).all(|row| row == &same[..3]), "without noise all samples are one");
    assert!(points.with_caution(Caution::Truncation(-1.0)).is_none());
    let score = |class: i32| {
        let labels = Some(Tensor::from_data([class; 5], &device()));
        host(critic.forward(Labelled { x: normal(5, 3, 1), labels }))
    };
    assert_ne!(score(0), score(1));
    let nets = all_nets();
    let refused = |net: GeneratorNetConfig, shape: &[usize]| {
        GeneratorConfig { latents: 3, noise: Noise::Normal, net }
            .init(shape, None, &mut Rng::new(0), &device())
            .unwrap_err()
            .to_string()
    };
    assert!(refused(nets[2].generator.clone(), &[1, 6, 6]).contains("halved 2 times"));
    assert!(refused(nets[2].generator.clone(), &[3]).contains("take an mlp"));
    assert!(refused(GeneratorNetConfig::Mlp { hidden: vec![0] }, &[3]).contains("hidden"));
}
