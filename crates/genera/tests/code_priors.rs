//! Networks that are told something of each row, and the priors over codes that are made of them: of classes, of two levels.

use genera::autoregressive::{Autoregressive, AutoregressiveConfig, Conditional, Draw};
use genera::burn::module::Module;
use genera::burn::tensor::{Device, Int, Tensor, TensorData};
use genera::nn::{
    Alphabet, Causal, Cursor, GatedPixelCnn, GatedPixelCnnConfig, ImageGpt, ImageGptConfig, PixelCnn, PixelCnnConfig,
    Told,
};
use genera::stages::{ClassPrior, CodeContextConfig, CodeHierarchy, TokenPrior, ToldPrior};
use genera::train::{Descent, Gradients};
use genera::traits::{Batch, Density, Learner, Model, Rows, Sample, Tokens};
use genera::weights::collect;
use genera::{Caution, Rng};

// The derive of `Module` names the crate `burn`.
use genera::burn;

#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there are few of it")]
enum Net {
    Pixel(PixelCnn),
    Gated(GatedPixelCnn),
    Gpt(ImageGpt),
}

impl Net {
    fn inner(&self) -> &dyn Told {
        match self {
            Self::Pixel(net) => net,
            Self::Gated(net) => net,
            Self::Gpt(net) => net,
        }
    }
}

impl Causal for Net {
    fn orders(&self) -> &[Vec<usize>] {
        self.inner().orders()
    }

    fn outputs(&self) -> usize {
        self.inner().outputs()
    }

    fn forward(&self, x: Rows, order: usize) -> Tensor<3> {
        self.inner().forward(x, order)
    }

    fn cursor(&self, order: usize, rows: usize) -> Box<dyn Cursor + '_> {
        self.inner().cursor(order, rows)
    }
}

impl Told for Net {
    fn forward_told(&self, x: Rows, order: usize, told: &Rows) -> Tensor<3> {
        self.inner().forward_told(x, order, told)
    }

    fn cursor_told(&self, order: usize, told: &Rows) -> Box<dyn Cursor + '_> {
        self.inner().cursor_told(order, told)
    }
}

/// A network over grids of so many codes that is told so many numbers.
type Constructor = fn([usize; 2], usize, usize) -> Net;

const NETS: [(&str, Constructor); 3] = [
    ("PixelCNN", |[h, w], codes, told| {
        let config = PixelCnnConfig { filters: 12, layers: 2, kernel: 3, ..PixelCnnConfig::default() };
        let alphabet = Alphabet::Symbols(codes);
        Net::Pixel(config.init_given([1, h, w], alphabet, [codes, told], &mut Rng::new(11), &device()).unwrap())
    }),
    ("Gated PixelCNN", |[h, w], codes, told| {
        let config = GatedPixelCnnConfig { filters: 8, layers: 3, kernel: 3 };
        let alphabet = Alphabet::Symbols(codes);
        Net::Gated(config.init_given([1, h, w], alphabet, [codes, told], &mut Rng::new(11), &device()).unwrap())
    }),
    ("Image GPT", |[h, w], codes, told| {
        let config = ImageGptConfig { width: 8, layers: 2, heads: 2, ..ImageGptConfig::default() };
        let alphabet = Alphabet::Symbols(codes);
        Net::Gpt(config.init_given(h * w, alphabet, [codes, told], &mut Rng::new(11), &device()).unwrap())
    }),
];

fn device() -> Device {
    Device::flex()
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.to_data().convert::<f32>().iter::<f32>().map(f64::from).collect()
}

fn noise(rows: usize, width: usize, seed: u64) -> Rows {
    Tensor::from_data(TensorData::new(Rng::new(seed).normal(rows, width), [rows, width]), &device())
}

fn tokens(values: Vec<i32>, width: usize) -> Tokens {
    let rows = values.len() / width;
    Tensor::<2, Int>::from_data(TensorData::new(values, [rows, width]), &device())
}

/// All rows of `width` codes out of `count`.
fn strings(count: usize, width: usize) -> Tokens {
    let all = count.pow(width as u32);
    tokens((0..all).flat_map(|s| (0..width).map(move |at| (s / count.pow(at as u32) % count) as i32)).collect(), width)
}

fn model(net: Net, codes: usize) -> Autoregressive<Net> {
    let config =
        AutoregressiveConfig { conditional: Conditional::Categorical { levels: codes }, draw: Draw::default() };
    config.init(net).unwrap()
}

/// Every network told once a row, and those that can be, told at every element.
fn cases() -> Vec<(String, Autoregressive<Net>, usize)> {
    let of = |(name, net): &(&str, Constructor)| {
        let once = (format!("{name}, once"), model(net([2, 3], 3, 4), 3), 4);
        let each = (format!("{name}, at each element"), model(net([2, 3], 3, 4), 3), 4 * 6);
        if *name == "Image GPT" { vec![once] } else { vec![once, each] }
    };
    NETS.iter().flat_map(of).collect()
}

#[test]
fn element_by_element_is_all_at_once() {
    for (name, model, width) in cases() {
        let (told, x) = (noise(5, width, 1), strings(3, 6).narrow(0, 100, 5).float());
        let whole = host(model.net.forward_told(x.clone(), 0, &told)); // [5, 6, 3]
        let (mut cursor, mut previous) = (model.net.cursor_told(0, &told), Vec::new());
        for element in 0..6 {
            let outputs = cursor.advance(&previous);
            let expected = (0..5).flat_map(|row| whole[(row * 6 + element) * 3..][..3].to_vec());
            assert!(outputs.iter().zip(expected).all(|(a, b)| f64::from(*a) == b), "{name}, element {element}");
            previous = host(x.clone().narrow(1, element, 1)).into_iter().map(|v| v as f32).collect();
        }
    }
}

#[test]
fn what_is_told_matters_and_makes_a_distribution() {
    for (name, model, width) in cases() {
        let told = noise(2, width, 2);
        for row in 0..2 {
            let log_p = host(model.given(told.clone().narrow(0, row, 1)).log_prob(strings(3, 6)));
            let total: f64 = log_p.iter().map(|l| l.exp()).sum();
            assert!((total - 1.0).abs() < 1e-5, "{name}: {total}");
        }
        let of = |row: usize| host(model.given(told.clone().narrow(0, row, 1)).log_prob(strings(3, 6)));
        assert!(of(0).iter().zip(of(1)).any(|(a, b)| (a - b).abs() > 1e-3), "{name} does not listen");
    }
}

#[test]
fn a_told_row_does_not_depend_on_its_company() {
    for (name, model, width) in cases() {
        let told = noise(5, width, 3);
        let given = |first: usize, count: usize| {
            let told = (first..first + count).map(|row| told.clone().narrow(0, row % 5, 1)).collect();
            model.given(Tensor::cat(told, 0))
        };
        // Rows that are told take what they are told in turn.
        let whole: Tokens = model.given(told.clone()).sample(250, &mut Rng::new(4));
        let parts = (0..5).flat_map(|part| {
            let rows: Tokens = given(50 * part, 50).sample(50, &mut Rng::new(4).rows_from(50 * part as u64));
            host(rows.float())
        });
        assert_eq!(host(whole.clone().float()), parts.collect::<Vec<_>>(), "{name}");
        let scores = host(model.given(told.clone()).log_prob(whole.clone()));
        for row in [0, 7, 249] {
            let alone = host(given(row, 1).log_prob(whole.clone().narrow(0, row, 1)));
            assert_eq!(alone, [scores[row]], "{name}");
        }
    }
}

/// A prior over four codes out of three, told one of two classes.
fn class_prior(net: &Constructor) -> ClassPrior<Net> {
    ClassPrior::new(model(net([2, 2], 3, 2), 3), 2)
}

/// A prior over two coarse codes and four fine ones, all out of two, told one of `classes`.
fn hierarchy(net: &Constructor, classes: usize) -> CodeHierarchy<Net> {
    let context = CodeContextConfig { width: 5 };
    let levels = [model(net([1, 2], 2, classes), 2), model(net([2, 2], 2, context.told(classes)), 2)];
    context.init(levels, [[1, 2], [2, 2]], 2, classes, &mut Rng::new(12), &device()).unwrap()
}

/// Every string of two coarse codes and four fine ones.
fn levels() -> Tokens {
    strings(2, 6)
}

/// The laws of a prior that is told one of two classes, whose every row is in `all`.
fn laws<P: ToldPrior>(name: &str, prior: &P, all: &Tokens) {
    let p = |labels: &[usize]| -> Vec<f64> {
        host(prior.given(labels).log_prob(all.clone())).into_iter().map(f64::exp).collect()
    };
    let (first, second, either) = (p(&[0]), p(&[1]), host(prior.log_prob(all.clone())));
    for p in [&first, &second] {
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-5, "{name}");
    }
    assert!(first.iter().zip(&second).any(|(a, b)| (a / b - 1.0).abs() > 1e-3), "{name} does not listen");
    for ((a, b), log_p) in first.iter().zip(&second).zip(&either) {
        assert!(((a + b) / 2.0 - log_p.exp()).abs() < 1e-6, "{name}");
    }
    // Draws have these probabilities, in classes that are asked for in turn and in none.
    let width = all.dims()[1];
    let key = |row: &[f64]| row.iter().fold(0, |key, code| 3 * key + *code as usize);
    let keys: Vec<usize> = host(all.clone().float()).chunks_exact(width).map(key).collect();
    let frequencies = |drawn: Tokens, take: &dyn Fn(usize) -> bool| -> (Vec<f64>, f64) {
        let drawn = host(drawn.float());
        let mut counts = vec![0.0; keys.len()];
        for (_, row) in drawn.chunks_exact(width).enumerate().filter(|(i, _)| take(*i)) {
            counts[keys.iter().position(|known| *known == key(row)).expect("a known row")] += 1.0;
        }
        let n = counts.iter().sum();
        (counts, n)
    };
    let (n, both) = (3000, prior.given(&[0, 1]).sample(3000, &mut Rng::new(6)));
    let unasked = prior.sample(n, &mut Rng::new(7));
    let even = frequencies(both.clone(), &|i| i % 2 == 0);
    let odd = frequencies(both.clone(), &|i| i % 2 == 1);
    let mixed = frequencies(unasked, &|_| true);
    let mean: Vec<f64> = either.iter().map(|l| l.exp()).collect();
    for ((counts, n), p) in [(&even, &first), (&odd, &second), (&mixed, &mean)] {
        let chi2: f64 = counts.iter().zip(p).map(|(c, p)| (c - n * p).powi(2) / (n * p)).sum();
        let freedom = (counts.len() - 1) as f64;
        assert!(chi2 < freedom + 5.0 * (2.0 * freedom).sqrt(), "{name}: chi-square {chi2} of {freedom}");
    }
    let parts = (0..3).map(|i| host(prior.sample(10, &mut Rng::new(7).rows_from(10 * i)).float()));
    let whole = host(prior.sample(30, &mut Rng::new(7)).float());
    assert_eq!(parts.flatten().collect::<Vec<_>>(), whole, "{name}");
    let bold = prior.with_caution(Caution::Temperature(1e-4)).unwrap().sample(2, &mut Rng::new(8));
    assert_eq!(bold.dims(), [2, width]);
    assert!(prior.with_caution(Caution::Truncation(1.0)).is_none());
}

#[test]
fn laws_of_priors_that_are_told_classes() {
    for (name, net) in &NETS {
        laws(name, &class_prior(net), &strings(3, 4));
    }
    for (name, net) in &NETS[..2] {
        laws(&format!("levels of {name}"), &hierarchy(net, 2), &levels());
        // Without classes nothing is told, also where the data have them, and all the rest holds.
        let alone = hierarchy(net, 1);
        assert!(!alone.has_classes());
        let (x, labels) = (levels().float(), (0..levels().dims()[0]).map(|i| i % 3).collect());
        let loss = alone.loss(Batch { x, labels: Some(labels) }, &mut Rng::new(1)).value;
        let mean = host(alone.log_prob(levels())).iter().sum::<f64>() / levels().dims()[0] as f64;
        assert!((host(loss)[0] * 6.0 + mean).abs() < 1e-4, "{name}: {mean}");
        let total: f64 = host(alone.log_prob(levels())).iter().map(|l| l.exp()).sum();
        assert!((total - 1.0).abs() < 1e-5, "{name}: {total}");
    }
}

/// A training of `prior` on codes that say their class: the mean share of the bound's gap that is closed.
fn learns<P: TokenPrior>(name: &str, prior: P, rows: impl Fn(usize) -> Vec<i32>) -> Descent<P> {
    let trained = prior.clone().train();
    let width = rows(0).len();
    let batch = || {
        let labels: Vec<usize> = (0..64).map(|i| i % 2).collect();
        let codes = labels.iter().enumerate().flat_map(|(i, label)| rows(2 * (i / 2) + label)).collect();
        Batch { x: tokens(codes, width).float(), labels: Some(labels) }
    };
    let gradients = Gradients::of(&trained.loss(batch(), &mut Rng::new(1)).value, &trained);
    // Above the one row of the coarse grid there is nothing to see.
    for parameter in collect(&prior).keys().filter(|name| *name != "top.net.layers.0.vertical.weight") {
        let found = gradients.values(parameter);
        assert!(found.is_some_and(|g| g.iter().any(|g| *g != 0.0)), "{name}: {parameter} has no gradient");
    }
    let config = r#"{"optimizer": {"kind": "adam", "learning_rate": 0.02}, "clip_norm": 1.0}"#;
    let mut descent = Descent::new(prior, serde_json::from_str(config).unwrap(), 200).unwrap();
    let step = |step, descent: &mut Descent<P>| descent.step(vec![batch()], &mut Rng::new(1).at(step)).unwrap()[0].1;
    let first = step(0, &mut descent);
    let last = (1..200).map(|s| step(s, &mut descent)).last().unwrap();
    assert!(last < 0.5 * first, "{name}: {first} -> {last}");
    descent
}

#[test]
fn priors_learn_what_they_are_told() {
    // Class 0 is one code four times, class 1 two codes in turn; the first code is free.
    let row = |i: usize| {
        let a = (i / 2 % 3) as i32;
        if i.is_multiple_of(2) { vec![a; 4] } else { vec![a, (a + 1) % 3, a, (a + 1) % 3] }
    };
    for (name, net) in &NETS {
        let descent = learns(name, class_prior(net), row);
        let drawn = host(descent.model().given(&[1, 0]).sample(60, &mut Rng::new(3)).float());
        let right = drawn.chunks_exact(4).enumerate().filter(|(i, c)| (c[0] == c[1]) == (i % 2 == 1)).count();
        assert!(right >= 54, "{name}: {right} of 60");
    }
    // Of two levels the coarse codes say which fine code comes first, the class whether it is repeated.
    for (name, net) in &NETS[..2] {
        let fine =
            |coarse: i32, label: usize| [coarse, (coarse + label as i32) % 2, coarse, (coarse + label as i32) % 2];
        let levels = |i: usize| [vec![(i / 2 % 2) as i32; 2], fine((i / 2 % 2) as i32, i % 2).to_vec()].concat();
        let descent = learns(name, hierarchy(net, 2), levels);
        let drawn = host(descent.model().given(&[1, 0]).sample(60, &mut Rng::new(3)).float());
        let right = drawn.chunks_exact(6).enumerate().filter(|(i, c)| {
            let expected = fine(c[0] as i32, (i + 1) % 2).map(f64::from);
            c[0] == c[1] && c[2..] == expected
        });
        let right = right.count();
        assert!(right >= 54, "{name}: {right} of 60");
    }
}

#[test]
fn senseless_sizes_are_refused() {
    let context = CodeContextConfig { width: 0 };
    let levels = || [model(NETS[0].1([1, 1], 2, 1), 2), model(NETS[0].1([2, 2], 3, 1), 3)];
    let refused = context.init(levels(), [[1, 1], [2, 2]], 2, 1, &mut Rng::new(1), &device());
    assert!(refused.unwrap_err().to_string().contains("context"));
}
