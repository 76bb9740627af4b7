//! Laws of autoregressive models, over a table of networks: causality, total probability, sampling in one pass.

#[path = "autoregressive/table.rs"]
mod table;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use genera::Rng;
use genera::autoregressive::{Autoregressive, AutoregressiveConfig, Conditional, Draw};
use genera::nn::{Alphabet, Causal, Cursor, FullPass};
use genera::train::{Descent, DescentConfig};
use genera::traits::{Batch, Density, Learner, Model, Rows, Sample, Tokens};
use genera::weights::{apply, collect};

use table::{AnyNet, Model as AnyModel, NETS, device, discrete, model, real, values};

fn rows(values: Vec<f32>, width: usize) -> Rows {
    let count = values.len() / width;
    Tensor::from_data(TensorData::new(values, [count, width]), &device())
}

/// Whole numbers below `size`.
fn random(size: usize, shape: [usize; 2], seed: u64) -> Vec<f32> {
    Rng::new(seed).below(shape[0] * shape[1], size).into_iter().map(|value| value as f32).collect()
}

#[test]
fn an_element_changes_nothing_at_or_before_it() {
    for (name, model, shape, size) in discrete() {
        let length = shape.iter().product();
        let x = random(size, [3, length], 1);
        for (which, order) in model.net.orders().iter().enumerate() {
            let run = |x: Vec<f32>| model.net.forward(rows(x, length), which);
            let before = run(x.clone());
            for (place, element) in order.iter().enumerate() {
                let mut changed = x.clone();
                changed.chunks_exact_mut(length).for_each(|row| row[*element] = (row[*element] + 1.0) % size as f32);
                let after = run(changed);
                let moved = |at: &usize| {
                    let of = |y: &Tensor<3>| values(y.clone().narrow(1, *at, 1));
                    of(&before) != of(&after)
                };
                assert!(!order[..=place].iter().any(moved), "{name}: element {element} is seen too early");
                let later = &order[place + 1..];
                assert!(place > 0 || later.iter().any(moved), "{name}: nothing looks at the first element");
            }
        }
    }
}

#[test]
fn probabilities_of_all_strings_sum_to_one() {
    for (name, model, shape, size) in discrete() {
        let length: usize = shape.iter().product();
        let count = size.pow(length as u32);
        let digit = |string: usize, place: usize| (string / size.pow(place as u32) % size) as f32;
        let strings = (0..count).flat_map(|string| (0..length).map(move |place| digit(string, place))).collect();
        let log_prob = values(Density::<Rows>::log_prob(&model, rows(strings, length)));
        let sum: f64 = log_prob.iter().map(|value| f64::from(*value).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{name}: {sum}");
    }
}

#[test]
fn densities_integrate_to_one() {
    for (name, model) in real() {
        let (side, step) = (140, 0.25);
        let at = |i: usize| (i as f32 + 0.5 - side as f32 / 2.0) * step;
        let points = (0..side * side).flat_map(|i| [at(i / side), at(i % side)]).collect();
        let log_density = values(Density::<Rows>::log_prob(&model, rows(points, 2)));
        let sum: f64 = log_density.iter().map(|value| f64::from(*value).exp()).sum::<f64>() * f64::from(step * step);
        assert!((sum - 1.0).abs() < 1e-3, "{name}: {sum}");
    }
}

/// A network that is run as a whole for each element.
#[derive(Module, Debug)]
struct Naive {
    net: AnyNet,
}

impl Causal for Naive {
    fn orders(&self) -> &[Vec<usize>] {
        self.net.orders()
    }

    fn outputs(&self) -> usize {
        self.net.outputs()
    }

    fn forward(&self, x: Rows, order: usize) -> Tensor<3> {
        self.net.forward(x, order)
    }

    fn cursor(&self, order: usize, rows: usize) -> Box<dyn Cursor + '_> {
        Box::new(FullPass::new(&self.net, order, rows, device()))
    }
}

/// Outputs bit for bit, hence points too.
#[test]
fn sampling_in_one_pass_draws_what_a_pass_for_each_element_draws() {
    let whole = discrete().into_iter().map(|(name, model, ..)| (name, model));
    // Wider networks and larger pictures of bits, of grey levels, of bytes and of codes, also in colour, so that all
    // kernels are met.
    let alphabets = [
        (Alphabet::Levels(2), [1, 5, 6]),
        (Alphabet::Levels(17), [1, 4, 5]),
        (Alphabet::Levels(256), [1, 5, 6]),
        (Alphabet::Levels(5), [3, 3, 3]),
        (Alphabet::Symbols(40), [1, 5, 6]),
    ];
    let wide = NETS.iter().flat_map(|(name, net)| {
        alphabets.map(|(alphabet, shape)| {
            let conditional = Conditional::Categorical { levels: alphabet.size().unwrap() };
            (format!("wide {name}, {alphabet:?}, {shape:?}"), model(net, conditional, alphabet, shape, 4))
        })
    });
    for (name, model) in whole.chain(real()).chain(wide) {
        let naive = model.config().init(Naive { net: model.net.clone() }).unwrap();
        let rng = Rng::new(5);
        let quick = values(Sample::<Rows>::sample(&model, 5, &mut rng.clone()));
        let slow = values(Sample::<Rows>::sample(&naive, 5, &mut rng.clone()));
        assert_eq!(quick, slow, "{name}");
        for order in 0..model.net.orders().len() {
            let (mut quick_cursor, mut slow_cursor) = (model.net.cursor(order, 5), naive.net.cursor(order, 5));
            let (mut previous, length) = (Vec::new(), model.net.orders()[order].len());
            for element in &model.net.orders()[order] {
                let (a, b) = (quick_cursor.advance(&previous), slow_cursor.advance(&previous));
                assert_eq!(a.len(), b.len());
                assert!(a.iter().zip(&b).all(|(a, b)| a.to_bits() == b.to_bits()), "{name}: {a:?} {b:?}");
                previous = quick.chunks_exact(length).map(|row| row[*element]).collect();
            }
        }
    }
}

#[test]
fn a_row_does_not_depend_on_its_company() {
    for (name, model, shape, _) in discrete() {
        let length = shape.iter().product();
        let root = Rng::new(2);
        let whole = Sample::<Rows>::sample(&model, 64, &mut root.clone());
        assert_eq!(values(whole.clone()), values(Sample::<Rows>::sample(&model, 64, &mut root.clone())), "{name}");
        let parts: Vec<f32> =
            (0..8).flat_map(|part| values(Sample::<Rows>::sample(&model, 8, &mut root.rows_from(part * 8)))).collect();
        assert_eq!(values(whole.clone()), parts, "{name}");
        let other = values(Sample::<Rows>::sample(&model, 64, &mut Rng::new(3)));
        assert_ne!(parts, other, "{name}");
        let scores = values(Density::<Rows>::log_prob(&model, whole));
        for row in [0, 17, 63] {
            let alone = rows(parts[row * length..][..length].to_vec(), length);
            assert_eq!(values(Density::<Rows>::log_prob(&model, alone)), [scores[row]], "{name}");
        }
    }
}

#[test]
fn samples_have_the_probabilities_that_the_model_gives_them() {
    for (name, model, shape, size) in discrete().into_iter().filter(|(.., size)| *size == 2) {
        let length: usize = shape.iter().product();
        let n = 4096;
        let drawn = values(Sample::<Rows>::sample(&model, n, &mut Rng::new(4)));
        let mut counts = vec![0.0; size.pow(length as u32)];
        for row in drawn.chunks_exact(length) {
            counts[row.iter().fold(0, |string, bit| 2 * string + *bit as usize)] += 1.0;
        }
        let bits = |string: usize| (0..length).rev().map(move |place| (string >> place & 1) as f32);
        let strings = (0..counts.len()).flat_map(bits).collect();
        let expected = values(Density::<Rows>::log_prob(&model, rows(strings, length)));
        let chi2: f64 = counts
            .iter()
            .zip(expected)
            .map(|(count, log_p)| (count, f64::from(log_p).exp() * n as f64))
            .map(|(count, expected): (&f64, f64)| (count - expected).powi(2) / expected)
            .sum();
        assert!(chi2 < 115.0, "{name}: chi-square {chi2} with 63 degrees of freedom"); // p = 0.0001
    }
}

#[test]
fn completion_keeps_what_is_known_and_continues_with_the_same_noise() {
    for (name, model, shape, size) in discrete() {
        let length: usize = shape.iter().product();
        let (n, rng) = (6, Rng::new(7));
        let complete = |x: Rows, known: &[bool]| values(model.complete(x, known, &mut rng.clone()).unwrap());
        let drawn = values(Sample::<Rows>::sample(&model, n, &mut rng.clone()));
        if let [order] = model.net.orders() {
            // The beginning of a sample, continued with the noise of the sample, gives the sample.
            let mut known = vec![false; length];
            order[..length / 2].iter().for_each(|element| known[*element] = true);
            let begun = drawn.iter().enumerate().map(|(i, v)| if known[i % length] { *v } else { 0.0 }).collect();
            assert_eq!(complete(rows(begun, length), &known), drawn, "{name}");
        }
        let given = random(size, [n, length], 9);
        let known: Vec<bool> = (0..length).map(|element| element % 2 == 1).collect();
        let completed = complete(rows(given.clone(), length), &known);
        let kept = |i: usize| !known[i % length] || completed[i] == given[i];
        assert!((0..n * length).all(kept), "{name}");
        assert_eq!(complete(rows(given.clone(), length), &vec![true; length]), given);
        assert!(model.complete(rows(given.clone(), length), &[true], &mut rng.clone()).is_err());
        assert!(model.complete(rows(given, length / 2), &known, &mut rng.clone()).is_err());
    }
}

#[test]
fn tokens_are_rows_of_whole_numbers() {
    for (name, model, shape, size) in discrete() {
        let length: usize = shape.iter().product();
        let x = rows(random(size, [4, length], 3), length);
        let tokens: Tokens = x.clone().int();
        assert_eq!(values(Density::<Tokens>::log_prob(&model, tokens)), values(Density::<Rows>::log_prob(&model, x)));
        let drawn: Tokens = model.sample(4, &mut Rng::new(1));
        assert_eq!(values(drawn.float()), values(Sample::<Rows>::sample(&model, 4, &mut Rng::new(1))), "{name}");
        // Beyond the alphabet nothing panics and nothing is possible.
        for stranger in [-1.0, size as f32, 0.5, f32::NAN] {
            let mut x = vec![0.0; length];
            x[length / 2] = stranger;
            assert_eq!(values(Density::<Rows>::log_prob(&model, rows(x, length))), [f32::NEG_INFINITY], "{name}");
        }
    }
}

#[test]
fn the_likeliest_value_needs_no_luck() {
    for (name, model, ..) in discrete() {
        let Ok(model) = model.drawing(Draw { top_k: Some(1), ..Draw::default() }) else { continue };
        if model.net.orders().len() == 1 {
            let drawn = |seed| values(Sample::<Rows>::sample(&model, 1, &mut Rng::new(seed)));
            assert_eq!(drawn(1), drawn(2), "{name}");
        }
    }
}

/// The names of the parameters without a gradient.
struct Gradless<'a> {
    gradients: &'a Gradients,
    path: Vec<String>,
    missing: Vec<String>,
}

impl ModuleVisitor for Gradless<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        match param.val().grad(self.gradients) {
            Some(gradient) if values(gradient.clone().abs().sum())[0] > 0.0 => (),
            _ => self.missing.push(self.path.join(".")),
        }
    }
}

#[test]
fn every_parameter_learns_and_what_is_saved_comes_back() {
    let whole = discrete().into_iter().map(|(name, model, shape, size)| {
        let length = shape.iter().product();
        (name, model, rows(random(size, [8, length], 6), length))
    });
    let plane = real().into_iter().map(|(name, model)| (name, model, rows(Rng::new(6).normal(8, 2), 2)));
    for (name, model, x) in whole.chain(plane) {
        let x = || x.clone();
        let trained = model.clone().train();
        // All orders: units may be out of sight in one of them.
        let losses = (0..40).map(|i| trained.loss(Batch { x: x(), labels: None }, &mut Rng::new(i)).value);
        let gradients = losses.reduce(|a, b| a + b).unwrap().backward();
        let mut visitor = Gradless { gradients: &gradients, path: Vec::new(), missing: Vec::new() };
        trained.visit(&mut visitor);
        // A picture of one line has nothing above it.
        visitor.missing.retain(|path| x().dims()[1] != 2 || !path.contains("vertical"));
        assert!(visitor.missing.is_empty(), "{name}: no gradient for {:?}", visitor.missing);

        let weights = collect(&model);
        let noise = Rng::new(8);
        let other = weights.iter().enumerate().map(|(i, (name, array))| {
            let mut array = array.clone();
            array.values = noise.at(i as u64).normal(1, array.values.len());
            (name.clone(), array)
        });
        let other = apply(model.clone(), &other.collect()).unwrap();
        let score = |model: &AnyModel| values(Density::<Rows>::log_prob(model, x()));
        assert_ne!(score(&other), score(&model), "{name}");
        assert_eq!(score(&apply(other, &weights).unwrap()), score(&model), "{name}");
    }
}

#[test]
fn loss_falls_to_what_the_data_leaves_open() {
    // Rows of one repeated value: the first element is worth log `size`, the rest nothing.
    for (name, model, shape, size) in discrete() {
        let length: usize = shape.iter().product();
        let config = r#"{"optimizer": {"kind": "adam", "learning_rate": 0.02}, "clip_norm": 1.0}"#;
        let config: DescentConfig = serde_json::from_str(config).unwrap();
        let mut descent = Descent::new(model, config, 150).unwrap();
        let batch = |step: u64| {
            let values = Rng::new(step).below(64, size).into_iter();
            let x = values.flat_map(|value| vec![value as f32; length]).collect();
            Batch { x: rows(x, length), labels: None }
        };
        let loss = |step, descent: &mut Descent<AnyModel>| {
            descent.step(vec![batch(step)], &mut Rng::new(1).at(step)).unwrap()[0].1
        };
        let first = loss(0, &mut descent);
        let last = (1..150).map(|step| loss(step, &mut descent)).last().unwrap();
        let floor = (size as f64).ln() / length as f64;
        assert!(first > floor + 0.3 && last < 0.3 * first + 0.7 * floor, "{name}: {first} -> {last}, at best {floor}");
        assert!(descent.view().density.is_some() && descent.view().sample.is_some());
    }
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let net = || table::NETS[0].1([1, 1, 4], Alphabet::Levels(2), 1, 1);
    let config = |conditional| AutoregressiveConfig { conditional, draw: Draw::default() };
    assert!(config(Conditional::Bernoulli).init(net()).is_ok());
    assert!(config(Conditional::Categorical { levels: 3 }).init(net()).is_err());
    let model: Autoregressive<AnyNet> = config(Conditional::Bernoulli).init(net()).unwrap();
    assert!(model.drawing(Draw { temperature: -1.0, top_k: None }).is_err());
    let _: Device = device();
}
