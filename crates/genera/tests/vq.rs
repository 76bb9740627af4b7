//! Discrete latents: codes learnt both ways, codes that start again, and the laws of a model.

use genera::Rng;
use genera::burn::module::{Module, ModuleDisplay};
use genera::burn::tensor::{Device, Int, Tensor, TensorData};
use genera::stages::{Coding, Latent, TwoStages, VqTraining};
use genera::train::{Descent, Gradients};
use genera::traits::{Batch, Books, Codec, DiscreteCode, Learner, LowerBound, Model, Rows, Sample, Tokens};
use genera::vae::LikelihoodConfig;
use genera::vae::vq::{
    DiscreteVae, DiscreteVaeConfig, GridConfig, HierarchicalVqVae, HierarchicalVqVaeConfig, Learning, QuantiserConfig,
    Sharpness, Temperature, Usage, VqVae, VqVaeConfig,
};
use genera::weights::{Metadata, collect, from_bytes, to_bytes};

fn device() -> Device {
    Device::flex()
}

fn rows(values: &[f64], width: usize) -> Rows {
    let data: Vec<f32> = values.iter().map(|v| *v as f32).collect();
    Tensor::from_data(TensorData::new(data, [values.len() / width, width]), &device())
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.to_data().convert::<f32>().iter::<f32>().map(f64::from).collect()
}

/// 8x8 pictures that are dark or light in each quarter.
fn pictures(n: usize) -> Rows {
    let quarters = |i: usize, p: usize| (i >> (2 * (p / 32) + p % 8 / 4)) & 1;
    rows(&(0..64 * n).map(|at| quarters(at / 64 * 7, at % 64) as f64).collect::<Vec<_>>(), 64)
}

fn net() -> GridConfig {
    GridConfig { channels: vec![8, 8, 8], blocks: 0 }
}

fn vq(quantiser: QuantiserConfig) -> VqVae {
    let config = VqVaeConfig { net: net(), quantiser, likelihood: LikelihoodConfig::Bernoulli, reconstruction: 4.0 };
    config.init([1, 8, 8], &mut Rng::new(3), &device()).unwrap()
}

fn training(quantiser: QuantiserConfig) -> VqTraining {
    training_of(vq(quantiser), quantiser)
}

fn training_of<M: Model + Module + genera::vae::vq::Quantising>(model: M, quantiser: QuantiserConfig) -> VqTraining<M> {
    // Averaged codes follow an encoder that moves slowly.
    let rate = if quantiser.learning == Learning::Gradient { 0.01 } else { 0.004 };
    let config = format!(r#"{{"optimizer": {{"kind": "adam", "learning_rate": {rate}}}}}"#);
    let config = serde_json::from_str(&config).unwrap();
    VqTraining::new(Descent::new(model, config, 100).unwrap())
}

/// Two levels: 4x4 fine codes, 2x2 coarse ones out of fewer.
fn hierarchical(quantiser: QuantiserConfig) -> HierarchicalVqVae {
    hierarchical_of(quantiser, QuantiserConfig { codes: quantiser.codes.div_ceil(2), ..quantiser })
}

fn hierarchical_of(quantiser: QuantiserConfig, top_quantiser: QuantiserConfig) -> HierarchicalVqVae {
    let config = HierarchicalVqVaeConfig {
        net: GridConfig { channels: vec![8, 8], blocks: 0 },
        top: GridConfig { channels: vec![8, 8], blocks: 0 },
        quantiser,
        top_quantiser,
        likelihood: LikelihoodConfig::Bernoulli,
        reconstruction: 4.0,
    };
    config.init([1, 8, 8], &mut Rng::new(3), &device()).unwrap()
}

fn step(training: &mut impl Learner, step: u64) -> f64 {
    let batch = Batch { x: pictures(32), labels: None };
    training.step(vec![batch], &mut Rng::new(5).at(step)).unwrap()[0].1
}

const SMALL: QuantiserConfig =
    QuantiserConfig { codes: 6, width: 4, commitment: 0.25, learning: Learning::Gradient, revive: 0.05 };

#[test]
fn both_ways_of_learning_reconstruct() {
    for learning in [Learning::Gradient, Learning::Average { decay: 0.9 }] {
        let mut training = training(QuantiserConfig { learning, ..SMALL });
        let before = training.model().lower_bound(pictures(32), &mut Rng::new(1)).iter().sum::<f64>() / 32.0;
        for s in 0..250 {
            step(&mut training, s);
        }
        let model = training.model();
        let after = model.lower_bound(pictures(32), &mut Rng::new(1)).iter().sum::<f64>() / 32.0;
        println!("{learning:?}: bound {before:.2} -> {after:.2}");
        // 64 log 2 = 44.4 nats for knowing nothing; 4 log 6 = 7.2 for the codes.
        assert!(after > -20.0 && after > before + 20.0, "{learning:?}: {before} -> {after}");
        let decoded = host(model.decode(model.encode(pictures(32))));
        let wrong = decoded.iter().zip(host(pictures(32))).filter(|(a, b)| (*a - b).abs() > 0.5).count();
        assert!(wrong < 32 * 64 / 50, "{learning:?}: {wrong}");
    }
}

#[test]
fn two_levels_reconstruct() {
    for (learning, fine) in [(Learning::Gradient, 6), (Learning::Average { decay: 0.9 }, 6)] {
        let quantiser = QuantiserConfig { learning, revive: 0.2, ..SMALL };
        let model =
            hierarchical_of(QuantiserConfig { codes: fine, ..quantiser }, QuantiserConfig { codes: 3, ..quantiser });
        let mut training = training_of(model, quantiser);
        let mean =
            |model: &HierarchicalVqVae| model.lower_bound(pictures(32), &mut Rng::new(1)).iter().sum::<f64>() / 32.0;
        let before = mean(training.model());
        for s in 0..250 {
            step(&mut training, s);
        }
        let model = training.model();
        let (after, codes) = (mean(model), model.encode(pictures(32)));
        let books = model.entries(pictures(32));
        let used = |level: usize| Usage::of(books[level].2.iter().copied(), books[level].1).used;
        println!("{learning:?}, {fine} fine codes: bound {before:.2} -> {after:.2}, used {} {}", used(0), used(1));
        // 64 log 2 = 44.4 nats for knowing nothing, and what the codes cost.
        let cost = 4.0 * 3.0_f64.ln() + 16.0 * (fine as f64).ln();
        assert!(after + cost > -15.0 && after > before + 20.0, "{learning:?}, {fine}: {before} -> {after}");
        let sizes: Vec<_> = books.iter().map(|book| (book.0, book.1, book.2.len())).collect();
        assert_eq!(sizes, [("top-codes", 3, 128), ("bottom-codes", fine, 512)]);
        assert!(used(1) > 0.5, "{learning:?}, {fine}");
        assert_eq!(codes.dims(), [32, 4 + 16]);
        let log_p = host(model.log_likelihood(pictures(32), codes.clone()));
        let bound = model.lower_bound(pictures(32), &mut Rng::new(1));
        assert!(log_p.iter().zip(&bound).all(|(l, b)| (l - cost - b).abs() < 1e-3));
        // Other coarse codes are another picture.
        let mut other: Vec<i32> = codes.clone().to_data().iter::<i64>().map(|code| code as i32).collect();
        other.chunks_exact_mut(20).for_each(|row| row[..4].iter_mut().for_each(|code| *code = (*code + 1) % 3));
        let other = Tensor::<2, Int>::from_data(TensorData::new(other, [32, 20]), &device());
        assert_ne!(host(model.decode(other)), host(model.decode(codes)), "{learning:?}, {fine}");
    }
}

#[test]
fn two_levels_of_one_code_each_and_one_row() {
    let one = QuantiserConfig { codes: 1, ..SMALL };
    let mut training = training_of(hierarchical(one), one);
    for s in 0..3 {
        let scalars = training.step(vec![Batch { x: pictures(1), labels: None }], &mut Rng::new(5).at(s)).unwrap();
        assert!(scalars.iter().all(|(_, value)| value.is_finite()));
        for level in ["perplexity-top", "perplexity-bottom", "usage-top", "usage-bottom"] {
            assert!(scalars.iter().any(|(name, value)| *name == level && (*value - 1.0).abs() < 1e-9), "{level}");
        }
    }
    assert_eq!(host(training.model().sample(0, &mut Rng::new(1))).len(), 0);
}

#[test]
fn averages_follow_their_formula() {
    let quantiser = QuantiserConfig { learning: Learning::Average { decay: 0.9 }, revive: 0.0, ..SMALL };
    let mut training = training(quantiser);
    let before = collect(training.model());
    step(&mut training, 0);
    let model = training.model();
    let z = host(model.vectors(pictures(32)));
    // The vectors are those of the encoder after the step, the codes those of the book before it.
    let book = &before["quantiser.codebook"].values;
    let nearest = |v: &[f64]| {
        let distance = |k: usize| (0..4).map(|j| (v[j] - f64::from(book[4 * k + j])).powi(2)).sum::<f64>();
        (0..6).min_by(|a, b| distance(*a).total_cmp(&distance(*b))).unwrap()
    };
    let after = collect(model);
    for k in 0..6 {
        let mine: Vec<&[f64]> = z.chunks_exact(4).filter(|v| nearest(v) == k).collect();
        let share = 0.9 / 6.0 + 0.1 * mine.len() as f64 / 128.0;
        assert!((f64::from(after["quantiser.shares"].values[k]) - share).abs() < 1e-6);
        for j in 0..4 {
            let sum = 0.9 * f64::from(book[4 * k + j]) / 6.0 + 0.1 * mine.iter().map(|v| v[j]).sum::<f64>() / 128.0;
            let expected = sum / ((share + 1e-5) / (1.0 + 6e-5));
            let found = f64::from(after["quantiser.codebook"].values[4 * k + j]);
            assert!((found - expected).abs() < 1e-5, "{k} {j}: {found} {expected}");
        }
    }
}

#[test]
fn codes_that_nobody_uses_start_again() {
    let used = |revive: f64| {
        let mut training = training(QuantiserConfig { codes: 24, revive, ..SMALL });
        for s in 0..120 {
            step(&mut training, s);
        }
        let codes =
            training.model().encode(pictures(32)).to_data().iter::<i64>().map(|c| c as usize).collect::<Vec<_>>();
        Usage::of(codes.into_iter(), 24)
    };
    let (never, always) = (used(0.0), used(0.4));
    println!("usage without and with revival: {never:?} {always:?}");
    assert!(always.used > never.used, "{never:?} {always:?}");
    let uniform = Usage::of(0..8, 8);
    assert!((uniform.perplexity - 8.0).abs() < 1e-9 && uniform.used == 1.0);
    assert_eq!(Usage::of([3, 3].into_iter(), 4), Usage { used: 0.25, perplexity: 1.0 });
}

#[test]
fn a_resumed_training_is_the_same_training() {
    let quantiser = QuantiserConfig { learning: Learning::Average { decay: 0.9 }, revive: 0.3, ..SMALL };
    resumes(&|| training(quantiser));
    resumes(&|| training_of(hierarchical(quantiser), quantiser));
}

fn resumes<L: Learner + Coding>(fresh: &dyn Fn() -> L) {
    let (mut whole, mut first, mut second) = (fresh(), fresh(), fresh());
    for s in 0..6 {
        step(&mut whole, s);
    }
    for s in 0..3 {
        step(&mut first, s);
    }
    let file = first
        .save()
        .into_iter()
        .map(|(name, group)| (name.to_owned(), from_bytes(&to_bytes(&group, &Metadata::new())).unwrap()));
    second.load(&file.collect::<Vec<_>>()).unwrap();
    for s in 3..6 {
        step(&mut second, s);
    }
    assert!(whole.save() == second.save());
}

#[test]
fn one_code_and_one_row() {
    let mut training = training(QuantiserConfig { codes: 1, ..SMALL });
    let batch = || Batch { x: pictures(1), labels: None };
    for s in 0..3 {
        let scalars = training.step(vec![batch()], &mut Rng::new(5).at(s)).unwrap();
        assert!(scalars.iter().all(|(_, value)| value.is_finite()));
        assert!(scalars.iter().any(|(name, value)| *name == "perplexity" && (*value - 1.0).abs() < 1e-9));
    }
    assert_eq!(training.model().encode(pictures(1)).dims(), [1, 4]);
    let refused = QuantiserConfig { codes: 0, ..SMALL }.init(&mut Rng::new(1), &device());
    assert!(refused.unwrap_err().to_string().contains("codes"));
}

/// A model's gradients, its samples and its bound.
fn laws<M: Module + ModuleDisplay + Model + Sample + LowerBound + Codec<Code = Tokens>>(model: M, untrained: &[&str]) {
    let training = model.clone().train();
    let loss = training.loss_at(3, Batch { x: pictures(8), labels: None }, &mut Rng::new(1)).value;
    let gradients = Gradients::of(&loss, &training);
    for name in collect(&model).keys().filter(|name| !untrained.contains(&name.as_str())) {
        assert!(gradients.values(name).is_some_and(|g| g.iter().any(|g| *g != 0.0)), "{name} has no gradient");
    }
    let whole = host(model.sample(64, &mut Rng::new(3)));
    let parts: Vec<f64> = (0..8).flat_map(|i| host(model.sample(8, &mut Rng::new(3).rows_from(8 * i)))).collect();
    assert_eq!(whole, parts);
    let bound =
        |i: usize, n: usize| model.lower_bound(pictures(16).narrow(0, i, n), &mut Rng::new(3).rows_from(i as u64));
    assert_eq!([bound(0, 8), bound(8, 8)].concat(), bound(0, 16));
    assert_eq!(model.decode(model.encode(pictures(3))).dims(), [3, 64]);
}

fn discrete(sharpness: Sharpness) -> DiscreteVae {
    let config = DiscreteVaeConfig {
        net: net(),
        codes: 6,
        width: 4,
        likelihood: LikelihoodConfig::Bernoulli,
        temperature: Temperature { start: 1.0, end: 0.3, steps: 100 },
        beta: genera::vae::Annealing::Linear { beta: 1.0, steps: 300 },
        sharpness,
    };
    config.init([1, 8, 8], &mut Rng::new(3), &device()).unwrap()
}

#[test]
fn laws_of_discrete_models() {
    laws(vq(SMALL), &["quantiser.shares"]);
    laws(hierarchical(SMALL), &["quantiser.shares", "top_quantiser.shares"]);
    laws(discrete(Sharpness::Soft), &[]);
    laws(discrete(Sharpness::StraightThrough), &[]);
}

#[test]
fn the_relaxed_model_learns_to_code() {
    for sharpness in [Sharpness::Soft, Sharpness::StraightThrough] {
        let config = serde_json::from_str(r#"{"optimizer": {"kind": "adam", "learning_rate": 0.01}}"#).unwrap();
        let mut descent = Descent::new(discrete(sharpness), config, 300).unwrap();
        let bound = |model: &DiscreteVae| model.lower_bound(pictures(32), &mut Rng::new(1)).iter().sum::<f64>() / 32.0;
        let before = bound(descent.model());
        for s in 0..300 {
            descent.step(vec![Batch { x: pictures(32), labels: None }], &mut Rng::new(5).at(s)).unwrap();
        }
        let after = bound(descent.model());
        println!("{sharpness:?}: bound {before:.2} -> {after:.2}");
        assert!(after > -25.0 && after > before + 15.0, "{sharpness:?}: {before} -> {after}");
    }
}

/// A prior over codes that always draws the same ones.
#[derive(Module, Debug)]
struct Always {
    #[module(skip)]
    codes: Vec<i32>,
}

impl Sample<Tokens> for Always {
    fn sample(&self, n: usize, _rng: &mut Rng) -> Tokens {
        Tensor::<2, Int>::from_data(TensorData::new(self.codes.repeat(n), [n, self.codes.len()]), &device())
    }
}

#[test]
fn two_stages_are_one_model() {
    let codes = vec![0, 3, 5, 1];
    let model = Latent::new(vq(SMALL), Always { codes: codes.clone() });
    let expected = Tensor::<2, Int>::from_data(TensorData::new(codes.repeat(2), [2, 4]), &device());
    assert_eq!(host(model.sample(2, &mut Rng::new(1))), host(model.codec.decode(expected)));
    assert!(model.view().sample.is_some());
}

/// A prior over four codes that learns their shares, whatever their place.
#[derive(Module, Debug)]
struct Shares {
    logits: genera::burn::module::Param<Tensor<2>>,
}

impl Model for Shares {
    fn loss(&self, batch: Batch, _rng: &mut Rng) -> genera::traits::Loss {
        let log_p = genera::burn::tensor::activation::log_softmax(self.logits.val(), 1);
        let [rows, places] = batch.x.dims();
        let codes = batch.x.reshape([rows * places]).int();
        let value = -log_p.squeeze_dim::<1>(0).select(0, codes).mean();
        genera::traits::Loss { value, parts: Vec::new() }
    }

    fn view(&self) -> genera::traits::View<'_> {
        genera::traits::View::default()
    }
}

impl genera::traits::Density<Tokens> for Shares {
    fn log_prob(&self, codes: Tokens) -> Tensor<1> {
        let log_p = genera::burn::tensor::activation::log_softmax(self.logits.val(), 1).squeeze_dim::<1>(0);
        let [rows, places] = codes.dims();
        log_p.select(0, codes.reshape([rows * places])).reshape([rows, places]).sum_dim(1).squeeze_dim(1)
    }
}

impl genera::traits::Cautious<Tokens> for Shares {
    fn with_caution(&self, _caution: genera::Caution) -> Option<Box<dyn Sample<Tokens> + '_>> {
        None
    }
}

impl Sample<Tokens> for Shares {
    fn sample(&self, n: usize, rng: &mut Rng) -> Tokens {
        let logits = self.logits.val().repeat_dim(0, 4 * n);
        let noise = genera::vae::vq::gumbel(n, 4 * 6, rng, &device()).reshape([4 * n, 6]);
        genera::vae::vq::gumbel_max(logits, noise).reshape([n, 4])
    }
}

#[test]
fn the_prior_learns_once_the_code_is_learnt_and_both_resume() {
    let fresh = || {
        let adam = serde_json::from_str(r#"{"optimizer": {"kind": "adam", "learning_rate": 0.05}}"#).unwrap();
        let logits = genera::burn::module::Param::from_tensor(Tensor::zeros([1, 6], &device()));
        let prior = Descent::new(Shares { logits }, adam, 80).unwrap();
        TwoStages::new(training(SMALL), prior, 40)
    };
    let walk = |stages: &mut TwoStages<VqTraining, Shares>, steps: std::ops::Range<u64>| {
        for s in steps {
            let batch = Batch { x: pictures(32), labels: None };
            let scalars = stages.step(vec![batch], &mut Rng::new(5).at(s)).unwrap();
            assert_eq!(scalars.last().unwrap(), &("stage", if s < 40 { 1.0 } else { 2.0 }));
        }
    };
    let (mut whole, mut first, mut second) = (fresh(), fresh(), fresh());
    walk(&mut whole, 0..120);
    walk(&mut first, 0..60);
    let saved: Vec<_> = first.save().into_iter().map(|(name, group)| (name.to_owned(), group)).collect();
    second.load(&saved).unwrap();
    walk(&mut second, 60..120);
    assert!(whole.save() == second.save());
    // Codes are drawn as often as the data have them.
    let share = |codes: Tokens| {
        let codes: Vec<usize> = codes.to_data().iter::<i64>().map(|c| c as usize).collect();
        (0..6).map(|k| codes.iter().filter(|c| **c == k).count() as f64 / codes.len() as f64).collect::<Vec<f64>>()
    };
    let (data, drawn) =
        (share(whole.coding().model().encode(pictures(32))), share(whole.prior().sample(500, &mut Rng::new(2))));
    assert!(data.iter().zip(&drawn).all(|(a, b)| (a - b).abs() < 0.06), "{data:?} {drawn:?}");
    // A prior that knows the shares bounds the likelihood better than a uniform one.
    let mean = |bound: Vec<f64>| bound.iter().sum::<f64>() / bound.len() as f64;
    let learnt = mean(whole.lower_bound(pictures(32), &mut Rng::new(1)));
    let uniform = mean(whole.coding().model().lower_bound(pictures(32), &mut Rng::new(1)));
    assert!(learnt > uniform + 0.1, "{learnt} {uniform}");
    assert_eq!(whole.view().sample.unwrap().sample(3, &mut Rng::new(1)).dims(), [3, 64]);
}
