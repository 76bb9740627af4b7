//! The training engine: the same bits however training is cut, threaded or batched, and PyTorch's numbers.

use std::ops::ControlFlow;

use genera::Rng;
use genera::burn::module::{Module, Param};
use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::train::{
    Descent, DescentConfig, Ema, FitError, Gradients, Optimizer, OptimizerConfig, Outcome, RateSchedule, fit,
};
use genera::traits::{Batch, Learner, Loss, Model, Scalars, StepError, View};
use genera::weights::{Metadata, Weights, collect, from_bytes, to_bytes};

/// Guesses the noise in `x + eps` with one hidden layer.
#[derive(Module, Debug)]
struct Guess {
    inside: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
    outside: Param<Tensor<2>>,
    /// No gradient is asked for it.
    offset: Param<Tensor<1>>,
}

impl Guess {
    fn new(width: usize, hidden: usize, device: &Device) -> Self {
        let mut rng = Rng::new(11);
        let mut matrix = |rows: usize, columns: usize| {
            let data = TensorData::new(rng.normal(rows, columns), [rows, columns]);
            Param::from_tensor(Tensor::from_data(data, device) / (rows as f64).sqrt())
        };
        let (inside, outside) = (matrix(width, hidden), matrix(hidden, width));
        let bias = Param::from_tensor(Tensor::zeros([hidden], device));
        let offset = Param::from_tensor(Tensor::ones([width], device)).set_require_grad(false);
        Self { inside, bias, outside, offset }
    }
}

impl Model for Guess {
    fn loss(&self, batch: Batch, rng: &mut Rng) -> Loss {
        let [rows, width] = batch.x.dims();
        let eps = Tensor::<2>::from_data(TensorData::new(rng.normal(rows, width), [rows, width]), &batch.x.device());
        let hidden = ((batch.x + eps.clone()).matmul(self.inside.val()) + self.bias.val().unsqueeze()).tanh();
        let guess = hidden.matmul(self.outside.val()) + self.offset.val().unsqueeze();
        Loss { value: (guess - eps).square().mean(), parts: vec![("rows", rows as f64)] }
    }

    fn view(&self) -> View<'_> {
        View::default()
    }
}

/// What a learner saves, by name.
type Groups = Vec<(String, Weights)>;

const STEPS: u64 = 10;

fn descent(config: DescentConfig) -> Descent<Guess> {
    Descent::new(Guess::new(6, 16, &Device::flex()), config, STEPS).unwrap()
}

fn rows(step: u64, first: u64, n: usize, width: usize) -> Batch {
    let x = Rng::new(5).fork("data").at(step).rows_from(first).normal(n, width);
    Batch { x: Tensor::from_data(TensorData::new(x, [n, width]), &Device::flex()), labels: None }
}

/// Two micro-batches of unequal size.
fn batches(step: u64) -> Vec<Batch> {
    vec![rows(step, 0, 5, 6), rows(step, 5, 3, 6)]
}

fn quiet(_: u64, _: &Scalars, _: &dyn Learner) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn configs() -> Vec<DescentConfig> {
    let (learning_rate, weight_decay, betas, epsilon) = (0.02, 0.1, [0.9, 0.99], 1e-8);
    [
        OptimizerConfig::Adamw { learning_rate, betas, epsilon, weight_decay },
        OptimizerConfig::Adam { learning_rate, betas, epsilon, weight_decay },
        OptimizerConfig::Sgd { learning_rate, momentum: 0.9, nesterov: true, weight_decay },
        OptimizerConfig::Sgd { learning_rate, momentum: 0.0, nesterov: false, weight_decay },
    ]
    .map(|optimizer| DescentConfig {
        optimizer,
        rate: RateSchedule::Cosine { warmup: 3, floor: 0.1 },
        clip_norm: Some(0.5),
        ema: Some(Ema { decay: 0.9, warmup: true }),
    })
    .into()
}

fn state(learner: &Descent<Guess>) -> Groups {
    learner.save().into_iter().map(|(name, group)| (name.to_owned(), group)).collect()
}

#[test]
fn resuming_changes_no_bit() {
    for config in configs() {
        let rng = Rng::new(3);
        let mut whole = descent(config);
        assert_eq!(fit(&mut whole, 0..STEPS, batches, &rng, &mut quiet), Ok(Outcome::Finished));

        let mut first = descent(config);
        let mut stop = |step: u64, _: &Scalars, _: &dyn Learner| match step {
            4 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        assert_eq!(fit(&mut first, 0..STEPS, batches, &rng, &mut stop), Ok(Outcome::Stopped(4)));
        let file = |(name, group): (String, Weights)| (name, from_bytes(&to_bytes(&group, &Metadata::new())).unwrap());
        let saved: Vec<_> = state(&first).into_iter().map(file).collect();

        let mut second = descent(config);
        second.load(&saved).unwrap();
        assert_eq!(second.steps_taken(), 5);
        fit(&mut second, 5..STEPS, batches, &rng, &mut quiet).unwrap();
        assert_eq!(state(&second), state(&whole), "{config:?}");
        assert_ne!(state(&second), saved, "{config:?}: nothing was trained");
    }
}

#[test]
fn threads_change_no_bit() {
    let train = || {
        // Wide enough for matrix products to be shared between threads.
        let model = Guess::new(64, 512, &Device::flex());
        let mut learner = Descent::new(model, configs()[0], 3).unwrap();
        fit(&mut learner, 0..3, |step| vec![rows(step, 0, 512, 64)], &Rng::new(3), &mut quiet).unwrap();
        state(&learner)
    };
    let [one, two, four] =
        [1, 2, 4].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(train));
    assert!(one == two && one == four);
}

#[test]
fn accumulation_equals_one_large_batch() {
    let optimizer = OptimizerConfig::Sgd { learning_rate: 0.1, momentum: 0.0, nesterov: false, weight_decay: 0.0 };
    let config = DescentConfig { optimizer, rate: RateSchedule::default(), clip_norm: None, ema: None };
    let (mut parts, mut whole) = (descent(config), descent(config));
    let a = parts.step(batches(0), &mut Rng::new(1)).unwrap();
    let b = whole.step(vec![rows(0, 0, 8, 6)], &mut Rng::new(1)).unwrap();
    assert_eq!(a.iter().map(|s| s.0).collect::<Vec<_>>(), ["loss", "grad-norm", "learning-rate", "rows"]);
    for (a, b) in a.iter().zip(&b).take(3) {
        assert!((a.1 - b.1).abs() < 1e-5 * b.1, "{a:?} {b:?}");
    }
    let before = collect(&Guess::new(6, 16, &Device::flex()));
    for (name, array) in collect(parts.model()) {
        let (large, start) = (&collect(whole.model())[&name], &before[&name]);
        assert!(array.values.iter().zip(&large.values).all(|(a, b)| (a - b).abs() < 1e-6), "{name}");
        assert_eq!(array.values != start.values, name != "offset", "{name} was, or was not, trained");
    }
}

#[test]
fn nan_stops_and_changes_nothing() {
    let mut learner = descent(configs()[0]);
    fit(&mut learner, 0..2, batches, &Rng::new(3), &mut quiet).unwrap();
    let before = state(&learner);
    for poison in [f32::NAN, f32::INFINITY] {
        let poisoned = |step| {
            let bad = Batch { x: Tensor::full([2, 6], poison, &Device::flex()), labels: None };
            if step == 2 { vec![rows(step, 0, 5, 6), bad] } else { batches(step) }
        };
        let error = fit(&mut learner, 2..5, poisoned, &Rng::new(3), &mut quiet).unwrap_err();
        assert!(matches!(error, FitError { step: 2, source: StepError::Loss { .. } }), "{error}");
        assert!(error.to_string().starts_with("step 2: the loss is "), "{error}");
        assert_eq!(state(&learner), before);
    }
    assert!(learner.step(vec![], &mut Rng::new(3)).is_err());
    assert_eq!(state(&learner), before);
}

/// Its loss is finite where its gradient is not.
#[derive(Module, Debug)]
struct Root {
    x: Param<Tensor<1>>,
}

impl Model for Root {
    fn loss(&self, _: Batch, _: &mut Rng) -> Loss {
        Loss { value: self.x.val().sqrt(), parts: vec![] }
    }

    fn view(&self) -> View<'_> {
        View::default()
    }
}

#[test]
fn an_infinite_gradient_stops_and_changes_nothing() {
    let model = Root { x: Param::from_tensor(Tensor::zeros([1], &Device::flex().autodiff())) };
    let mut learner = Descent::new(model, configs()[0], STEPS).unwrap();
    let error = learner.step(batches(0), &mut Rng::new(3)).unwrap_err();
    assert_eq!(error, StepError::Gradient { loss: 0.0, norm: f64::INFINITY });
    assert_eq!(collect(learner.model())["x"].values, [0.0]);
}

#[test]
fn the_average_has_its_closed_form() {
    let ema = Ema { decay: 0.2, warmup: true };
    assert_eq!([0, 1, 2, 9].map(|t| ema.decay_at(t)), [0.1, 2.0 / 11.0, 0.2, 0.2]);
    assert_eq!(Ema { decay: 0.2, warmup: false }.decay_at(0), 0.2);

    let mut learner = descent(DescentConfig { ema: Some(ema), ..configs()[0] });
    let bias = |weights: &Weights| weights["bias"].values.clone();
    let mut expected: Vec<f64> = bias(&collect(learner.model())).into_iter().map(f64::from).collect();
    for step in 0..6 {
        learner.step(batches(step), &mut Rng::new(step)).unwrap();
        let latest = bias(&state(&learner)[0].1);
        let d = ema.decay_at(step);
        expected.iter_mut().zip(latest).for_each(|(a, theta)| *a = d * *a + (1.0 - d) * f64::from(theta));
    }
    let average = bias(&collect(learner.model()));
    assert!(average.iter().zip(&expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-7), "{average:?} {expected:?}");
    assert_ne!(average, bias(&state(&learner)[0].1));
}

#[test]
fn a_state_that_does_not_fit_is_refused_whole() {
    let mut learner = descent(configs()[0]);
    learner.step(batches(0), &mut Rng::new(3)).unwrap();
    let before = state(&learner);
    let damage: [fn(&mut Groups); 7] = [
        |groups| drop(groups.pop()),
        |groups| drop(groups.remove(0)),
        |groups| groups.push(("critic".into(), Weights::new())),
        |groups| drop(groups[1].1.remove("m.bias")),
        |groups| drop(groups[1].1.remove("steps")),
        |groups| groups[1].1.get_mut("steps").unwrap().values[0] = 0.5,
        |groups| groups[2].1.get_mut("bias").unwrap().shape = vec![4, 4],
    ];
    for (index, damage) in damage.iter().enumerate() {
        let mut groups = before.clone();
        // Were anything loaded before the error, it would be seen.
        groups[0].1.get_mut("bias").unwrap().values.fill(7.0);
        damage(&mut groups);
        assert!(learner.load(&groups).is_err(), "damage {index}");
        assert_eq!(state(&learner), before, "damage {index}");
    }
    learner.load(&before).unwrap();
}

#[test]
fn steps_are_counted_exactly() {
    let mut learner = descent(configs()[0]);
    let mut groups = state(&learner);
    groups[1].1.get_mut("steps").unwrap().values = [0x4321_u16, 0x8765, 0xcba9, 0x1fed].map(f32::from).into();
    learner.load(&groups).unwrap();
    assert_eq!(learner.steps_taken(), 0x1fed_cba9_8765_4321);
    assert_eq!(state(&learner), groups);
}

#[test]
fn configurations_round_trip() {
    for config in configs() {
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<DescentConfig>(&text).unwrap(), config);
    }
    for rate in [
        r#"{"kind":"constant"}"#,
        r#"{"kind":"linear","warmup":5}"#,
        r#"{"kind":"cosine","floor":0.1}"#,
        r#"{"kind":"step","every":10,"gamma":0.5}"#,
    ] {
        let schedule: RateSchedule = serde_json::from_str(rate).unwrap();
        let again = serde_json::to_string(&schedule).unwrap();
        assert_eq!(serde_json::from_str::<RateSchedule>(&again).unwrap(), schedule);
        let typo = rate.replace('}', r#","warmpu":1}"#);
        assert!(serde_json::from_str::<RateSchedule>(&typo).unwrap_err().to_string().contains("warmpu"));
    }
    for wrong in [
        r#"{"optimizer":{"kind":"adamw","lr":0.1}}"#,
        r#"{"optimizer":{"kind":"sgd","betas":[0.9,0.99]}}"#,
        r#"{"optimizer":{"kind":"adam"},"rate":{"kind":"step","every":0,"gamma":0.5}}"#,
        r#"{"optimizer":{"kind":"adam"},"ema":{"decay":0.9,"power":2}}"#,
        r#"{"optimizer":{"kind":"adam"},"clip":1}"#,
    ] {
        assert!(serde_json::from_str::<DescentConfig>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn configurations_without_meaning_are_refused() {
    for wrong in [
        r#"{"optimizer":{"kind":"adamw","learning_rate":-1.0}}"#,
        r#"{"optimizer":{"kind":"adam","betas":[0.9,1.0]}}"#,
        r#"{"optimizer":{"kind":"adam","epsilon":0.0}}"#,
        r#"{"optimizer":{"kind":"sgd","momentum":1.5}}"#,
        r#"{"optimizer":{"kind":"sgd"},"clip_norm":0.0}"#,
        r#"{"optimizer":{"kind":"sgd"},"ema":{"decay":1.0}}"#,
        r#"{"optimizer":{"kind":"sgd"},"rate":{"kind":"linear","floor":-0.5}}"#,
    ] {
        let config: DescentConfig = serde_json::from_str(wrong).unwrap();
        assert!(Descent::new(Guess::new(2, 2, &Device::flex()), config, 1).is_err(), "{wrong}");
    }
}

#[derive(Module, Debug)]
struct Linear {
    w: Param<Tensor<2>>,
    b: Param<Tensor<1>>,
}

/// Step by step against PyTorch (parity/optimizers.py).
#[test]
fn optimizers_are_those_of_pytorch() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../../../parity/golden/optimizers.json")).unwrap();
    let device = Device::flex().autodiff();
    let tensor = |name: &str| {
        let rows: Vec<Vec<f32>> = serde_json::from_value(golden[name].clone()).unwrap();
        Tensor::<2>::from_data(TensorData::new(rows.concat(), [rows.len(), rows[0].len()]), &device)
    };
    let bias: Vec<f32> = serde_json::from_value(golden["b"].clone()).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let config: OptimizerConfig = serde_json::from_value(case["optimizer"].clone()).unwrap();
        let path: Vec<Vec<f32>> = serde_json::from_value(case["path"].clone()).unwrap();
        let mut model = Linear {
            w: Param::from_tensor(tensor("w")),
            b: Param::from_data(TensorData::new(bias.clone(), [2]), &device),
        };
        let mut optimizer = Optimizer::new(config, &model);
        for (step, expected) in path.iter().enumerate() {
            let guess = tensor("x").matmul(model.w.val()) + model.b.val().unsqueeze();
            let loss = (guess - tensor("y")).tanh().square().mean();
            let mut gradients = Gradients::of(&loss, &model);
            if let Some(most) = case["clip_norm"].as_f64() {
                let norm = gradients.norm();
                gradients = gradients.clipped(norm, most);
            }
            model = optimizer.step(model, gradients, config.learning_rate());
            let weights = collect(&model);
            let found = weights["w"].values.iter().chain(&weights["b"].values);
            for (found, expected) in found.zip(expected) {
                assert!((found - expected).abs() < 2e-6, "{config:?}, step {step}: {found}, not {expected}");
            }
        }
    }
}
