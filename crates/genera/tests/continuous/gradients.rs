//! Gradients by both ways, and what they are good for.

use std::collections::BTreeMap;

use genera::Rng;
use genera::burn::module::Module;
use genera::burn::tensor::{Tensor, TensorData};
use genera::continuous::{
    Backward, ContinuousFlow, ContinuousFlowConfig, Divergence, FieldMlp, FieldMlpConfig, Integration, NeuralOdeConfig,
    Noise,
};
use genera::ode::{Method, Solver};
use genera::train::{Descent, DescentConfig, Gradients, Optimizer, OptimizerConfig, RateSchedule};
use genera::traits::{Batch, Learner, Loss, Model, Rows};
use genera::weights::{Array, Weights, apply, collect};

use crate::{device, field, flow, host, rows, tight};

fn gradient(config: ContinuousFlowConfig, x: &Rows) -> BTreeMap<String, Vec<f64>> {
    let model = flow(2, 2.5, config).train();
    let loss = model.loss(Batch { x: x.clone(), labels: None }, &mut Rng::new(4));
    let norm = Gradients::of(&loss.value, &model).norm();
    assert!(norm.is_finite() && norm > 0.0);
    let grads = model.loss(Batch { x: x.clone(), labels: None }, &mut Rng::new(4)).value.backward();
    let mut out = BTreeMap::new();
    struct Read<'a>(&'a genera::burn::tensor::Gradients, &'a mut BTreeMap<String, Vec<f64>>, usize);
    impl genera::burn::module::ModuleVisitor for Read<'_> {
        fn visit_float<const D: usize>(&mut self, param: &genera::burn::module::Param<Tensor<D>>) {
            let gradient = param.val().grad(self.0).expect("every parameter has a gradient");
            self.1.insert(self.2.to_string(), host(gradient));
            self.2 += 1;
        }
    }
    model.visit(&mut Read(&grads, &mut out, 0));
    out
}

fn relative_distance(a: &BTreeMap<String, Vec<f64>>, b: &BTreeMap<String, Vec<f64>>) -> f64 {
    let (mut apart, mut size) = (0.0, 0.0);
    for (name, a) in a {
        let distance: f64 = a.iter().zip(&b[name]).map(|(a, b)| (a - b).powi(2)).sum();
        let norm: f64 = a.iter().map(|a| a * a).sum();
        assert!(distance.sqrt() < 5e-3 * norm.sqrt(), "{name}: {} of {}", distance.sqrt(), norm.sqrt());
        apart += distance;
        size += norm;
    }
    (apart / size).sqrt()
}

#[test]
fn the_adjoint_gives_the_gradient_of_the_solver() {
    let x = rows(16, 2, 6);
    let regularised = ContinuousFlowConfig { kinetic: 0.3, jacobian: 0.2, ..tight(1e-6) };
    let probes = Divergence::Hutchinson { noise: Noise::Rademacher, probes: 1 };
    let stochastic = Integration { solver: Solver::adaptive(1e-6), divergence: probes };
    let lively = ContinuousFlowConfig { kinetic: 0.3, ..tight(1e-6) };
    for config in [tight(1e-6), lively, regularised, ContinuousFlowConfig { training: stochastic, ..tight(1e-6) }] {
        let solver = gradient(ContinuousFlowConfig { backward: Backward::Solver, ..config }, &x);
        let adjoint = gradient(ContinuousFlowConfig { backward: Backward::Adjoint, ..config }, &x);
        let distance = relative_distance(&solver, &adjoint);
        assert!(distance < 1e-3, "{config:?}: {distance}");
    }
}

#[test]
fn the_gradient_is_that_of_the_loss() {
    let x = rows(16, 2, 6);
    for jacobian in [0.0, 0.2] {
        the_gradient_with(jacobian, &x);
    }
}

fn the_gradient_with(jacobian: f64, x: &Rows) {
    let training = Integration { solver: Solver::fixed(Method::Rk4, 6), divergence: Divergence::Exact };
    let config = ContinuousFlowConfig { kinetic: 0.3, jacobian, flow_matching: 0.5, training, ..tight(1e-6) };
    let model = flow(2, 2.5, config);
    let weights = collect(&model);
    let ways: Weights = weights
        .iter()
        .map(|(name, array)| {
            let values = Rng::new(1).fork(name).normal(1, array.values.len());
            (name.clone(), Array { shape: array.shape.clone(), values })
        })
        .collect();
    let loss = |by: f32| {
        let mut moved = weights.clone();
        for (name, array) in &mut moved {
            array.values.iter_mut().zip(&ways[name].values).for_each(|(value, way)| *value += by * way);
        }
        let loss = apply(model.clone(), &moved).unwrap().loss(Batch { x: x.clone(), labels: None }, &mut Rng::new(4));
        f64::from(loss.value.into_scalar::<f32>())
    };
    let expected = (loss(2e-3) - loss(-2e-3)) / 4e-3;
    let order = [
        "field.layers.0.weight",
        "field.layers.0.bias",
        "field.layers.1.weight",
        "field.layers.1.bias",
        "field.layers.2.weight",
        "field.layers.2.bias",
    ];
    let found: f64 = gradient(config, x)
        .iter()
        .map(|(place, gradient)| {
            let way = &ways[order[place.parse::<usize>().unwrap()]].values;
            gradient.iter().zip(way).map(|(g, way)| g * f64::from(*way)).sum::<f64>()
        })
        .sum();
    assert!((found - expected).abs() < 3e-3 * expected.abs().max(1.0), "{found} {expected}");
}

/// The first steps descend flow matching alone, later ones the likelihood.
#[test]
fn a_quick_start_is_flow_matching() {
    let x = rows(16, 2, 6);
    let config = ContinuousFlowConfig { flow_matching: 1.0, matching_steps: 3, ..tight(1e-6) };
    let model = flow(2, 2.5, config);
    let batch = || Batch { x: x.clone(), labels: None };
    let at = |step| model.loss_at(step, batch(), &mut Rng::new(4));
    let whole = model.loss(batch(), &mut Rng::new(4));
    let matching = whole.parts.iter().find(|(name, _)| *name == "flow-matching").unwrap().1;
    let number = |loss: Loss| f64::from(loss.value.into_scalar::<f32>());
    assert!((number(at(2)) - matching).abs() < 1e-6 * matching);
    assert_eq!(number(at(3)), number(whole));
    // Gathered near the data: other times, where lines from the data to noise differ by all of the noise.
    let gathered = flow(2, 2.5, ContinuousFlowConfig { matching_emphasis: 9.0, ..config });
    let near = number(gathered.loss_at(0, batch(), &mut Rng::new(4)));
    assert!((near - number(at(0))).abs() > 1e-3 * near, "{near}");
    for emphasis in [-0.1, f64::NAN, 11.0] {
        assert!(ContinuousFlowConfig { matching_emphasis: emphasis, ..config }.init(gathered.field.clone()).is_err());
    }
}

#[test]
fn training_lowers_the_loss_and_a_checkpoint_holds_it() {
    let training = Integration { solver: Solver::fixed(Method::Rk4, 4), divergence: Divergence::Exact };
    let descent = DescentConfig {
        optimizer: OptimizerConfig::Adam { learning_rate: 1e-2, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.0 },
        rate: RateSchedule::default(),
        clip_norm: None,
        ema: None,
    };
    // A diagonal normal distribution far from the standard one: entropy 1 + ln 2π + ln 0.3.
    let batch = |step: u64| {
        let x = Rng::new(2).at(step).normal(128, 2);
        let x = x.chunks_exact(2).flat_map(|x| [1.5 + 0.3 * x[0], x[1] - 0.5]).collect::<Vec<f32>>();
        Batch { x: Tensor::from_data(TensorData::new(x, [128, 2]), &device()), labels: None }
    };
    let model = flow(2, 1.0, ContinuousFlowConfig { training, ..ContinuousFlowConfig::default() });
    let mut learner = Descent::new(model, descent, 150).unwrap();
    for step in 0..150 {
        learner.step(vec![batch(step)], &mut Rng::new(0).at(step)).unwrap();
    }
    let held_out = batch(1000).x;
    let entropy = 1.0 + std::f64::consts::TAU.ln() + 0.3_f64.ln();
    let nll = |learner: &Descent<ContinuousFlow<FieldMlp>>| -> f64 {
        host(learner.view().density.unwrap().log_prob(held_out.clone())).iter().sum::<f64>() / -128.0
    };
    let reached = nll(&learner);
    assert!((reached - entropy).abs() < 0.2, "{reached} {entropy}");
    let groups: Vec<(String, Weights)> =
        learner.save().into_iter().map(|(name, group)| (name.to_owned(), group)).collect();
    let mut other = Descent::new(flow(2, 1.0, tight(1e-5)), descent, 150).unwrap();
    other.load(&groups).unwrap();
    assert_eq!(nll(&other), reached);
}

#[test]
fn a_neural_ode_learns_a_turn() {
    for backward in [Backward::Solver, Backward::Adjoint] {
        let net = FieldMlpConfig { hidden: vec![32, 32], ..FieldMlpConfig::default() };
        let config = NeuralOdeConfig { span: [0.0, 2.0], solver: Solver::adaptive(1e-4), backward };
        let mut model = config.init(field(net, 2, 1.0)).unwrap().train();
        let optimizer =
            OptimizerConfig::Adam { learning_rate: 1e-2, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.0 };
        let mut optimizer = Optimizer::new(optimizer, &model);
        let mut losses = Vec::new();
        for step in 0..150 {
            let x = rows(64, 2, step);
            // A quarter turn and half the size.
            let (first, second) = (x.clone().narrow(1, 0, 1), x.clone().narrow(1, 1, 1));
            let target = Tensor::cat(vec![second.neg(), first], 1) * 0.5;
            let target = Tensor::from_inner(target);
            let loss = model.loss_at_end(x, |end| (end - target).square().mean());
            losses.push(f64::from(loss.clone().into_scalar::<f32>()));
            let gradients = Gradients::of(&loss, &model);
            model = optimizer.step(model, gradients, 1e-2);
        }
        assert!(losses[0] > 0.3 && losses[149] < 0.01, "{backward:?}: {} {}", losses[0], losses[149]);
        let (solution, dense) = model.valid().trajectory(rows(1, 2, 3));
        let end = dense.at(0, 2.0).unwrap();
        assert!(end.iter().zip(&solution.y).all(|(a, b)| (a - b).abs() < 1e-9));
    }
}
