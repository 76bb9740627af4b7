//! The variational bound: term by term against NumPy, in closed form for a Gaussian, and as a loss.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use genera::Rng;
use genera::diffusion::{
    Clip, DiffusionConfig, Level, Levels, MixtureDenoiser, Sampler, Schedule, Variance, VariationalBound,
};
use genera::nn::{ConditionalMlp, ConditionalMlpConfig, Conditioned};
use genera::traits::{Batch, Denoise, Model, Net, Rows, Sample};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    betas: Vec<f64>,
    x: Vec<Vec<f32>>,
    eps: Vec<Vec<f32>>,
    prior: Vec<f64>,
    terms: BTreeMap<Variance, Vec<Vec<f64>>>,
    density: BTreeMap<Variance, Vec<f64>>,
}

/// The stand-in for a network of `parity/bound.py`.
struct Standin;

impl Denoise for Standin {
    fn denoise(&self, x: Rows, _: &[Level]) -> Rows {
        (x * 1.5).tanh() * 0.8
    }

    fn denoise_with_variance(&self, x: Rows, levels: &[Level]) -> (Rows, Option<Rows>) {
        let fraction = ((x.clone() * 0.5).tanh() + 1.0) * 0.5;
        (self.denoise(x, levels), Some(fraction))
    }
}

fn bound_of(levels: &Levels, variance: Variance, data_levels: Option<usize>) -> VariationalBound {
    VariationalBound { chain: levels.chain(), variance, clip: Clip::Off, data_levels }
}

fn close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 2e-5 * expected.abs().max(1.0), "{what}: {found} {expected}");
    }
}

#[test]
fn every_term_is_that_of_numpy() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../parity/golden/bound.json");
    let golden: Golden = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let levels = Schedule::Betas { betas: golden.betas }.levels().unwrap();
    let (rows, width) = (golden.x.len(), golden.x[0].len());
    let x: Rows = Tensor::from_data(TensorData::new(golden.x.concat(), [rows, width]), &Device::default());
    for (variance, terms) in golden.terms {
        let bound = bound_of(&levels, variance, Some(17));
        close(&bound.prior(&x), &golden.prior, "L_T");
        for (t, expected) in terms.iter().enumerate() {
            let found = bound.term(&Standin, &x, &vec![t; rows], &golden.eps[t]);
            close(&found, expected, &format!("{variance:?} L_{t}"));
        }
        // Rows may be at different steps.
        let mixed = bound.term(&Standin, &x, &[0, 3, 7, 19], &golden.eps[0]);
        let alone = bound.term(&Standin, &x, &[3; 4], &golden.eps[0]);
        assert_eq!(mixed[1], alone[1]);
        let found = bound_of(&levels, variance, None).term(&Standin, &x, &vec![0; rows], &golden.eps[0]);
        close(&found, &golden.density[&variance], "L_0 of continuous data");
    }
}

/// Mean and standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n / (n - 1.0)).sqrt())
}

/// The expected terms `L_0, L_1, …, L_T` of the exact denoiser of `N(m, v)`, small fixed variance.
fn gaussian_terms(chain: &[Level], m: f64, v: f64) -> Vec<f64> {
    let left = |level: Level| v * level.sigma.powi(2) / (level.alpha.powi(2) * v + level.sigma.powi(2));
    let lowest_first: Vec<Level> = chain.iter().rev().copied().collect();
    let small = |s: Level, t: Level| (1.0 - (t.alpha / s.alpha).powi(2)) * s.sigma.powi(2) / t.sigma.powi(2);
    let decoder = small(lowest_first[1], lowest_first[2]);
    let mut terms = vec![0.5 * (std::f64::consts::TAU * decoder).ln() + left(lowest_first[1]) / (2.0 * decoder)];
    for pair in lowest_first[1..].windows(2) {
        // KL = (SNR(s) − SNR(t)) / 2 |x₀ − x̂₀|².
        terms.push(0.5 * (pair[0].snr() - pair[1].snr()) * left(pair[1]));
    }
    let (bar, noise) = (chain[0].alpha.powi(2), chain[0].sigma.powi(2));
    terms.push(0.5 * (noise - 1.0 - noise.ln() + bar * (m * m + v)));
    terms
}

#[test]
fn the_bound_of_a_gaussian_is_its_closed_form_and_tightens_to_its_entropy() {
    let (m, v) = (0.3, 0.25);
    let oracle = MixtureDenoiser::new(&[(1.0, vec![m], vec![v])], &Device::default()).unwrap();
    let levels = Schedule::linear(50).levels().unwrap();
    let bound = bound_of(&levels, Variance::FixedSmall, None);
    let expected = gaussian_terms(&bound.chain, m, v);
    let x = oracle.sample(20_000, &mut Rng::new(1));
    let terms = bound.terms(&oracle, &x, &mut Rng::new(2));
    assert_eq!(terms.len(), 51);
    for (t, (term, expected)) in terms.iter().zip(&expected).enumerate() {
        let (found, error) = mean(term);
        assert!((found - expected).abs() < 5.0 * error + 1e-6, "L_{t}: {found} ± {error}, {expected}");
    }
    let total: f64 = expected.iter().sum();
    let (estimate, error) = mean(&bound.estimate(&oracle, &x, &mut Rng::new(3)));
    assert!((estimate - total).abs() < 5.0 * error, "one term a row: {estimate} ± {error}, {total}");

    let entropy = 0.5 * (std::f64::consts::TAU * std::f64::consts::E * v).ln();
    let gap = |steps| {
        let chain = Schedule::linear(steps).levels().unwrap().chain();
        gaussian_terms(&chain, m, v).iter().sum::<f64>() - entropy
    };
    let gaps = [50, 200, 1000, 4000].map(gap);
    assert!(gaps.iter().all(|gap| *gap > 0.0) && gaps.windows(2).all(|w| w[1] < w[0]), "{gaps:?}");
    println!("nats above the entropy with 50, 200, 1000, 4000 steps: {gaps:.4?}");
}

#[derive(Module, Debug)]
struct Pair {
    mean: ConditionalMlp,
    variance: ConditionalMlp,
}

impl Net<Conditioned> for Pair {
    fn forward(&self, input: Conditioned) -> Rows {
        Tensor::cat(vec![self.mean.forward(input.clone()), self.variance.forward(input)], 1)
    }
}

fn config(variance: Variance, data_levels: Option<usize>) -> DiffusionConfig {
    let sampler = Sampler { steps: 50, ..Sampler::default() };
    DiffusionConfig { variance, data_levels, sampler, ..DiffusionConfig::new(2, Schedule::linear(50)) }
}

fn net(seed: u64) -> ConditionalMlp {
    ConditionalMlpConfig { width: 16, ..Default::default() }.init(2, None, &mut Rng::new(seed), &Device::default())
}

fn data(rows: usize) -> Rows {
    let values = Rng::new(4).below(rows * 2, 17).iter().map(|k| *k as f32 / 8.0 - 1.0).collect::<Vec<f32>>();
    Tensor::from_data(TensorData::new(values, [rows, 2]), &Device::default())
}

#[test]
fn the_bound_in_the_loss_is_the_bound() {
    for data_levels in [Some(17), None] {
        let pair = Pair { mean: net(1), variance: net(2) };
        let model = config(Variance::Learned, data_levels).init(pair).unwrap();
        let x = data(512);
        let drawn: Vec<f64> = (0..200)
            .map(|seed| {
                let loss = model.loss(Batch { x: x.clone(), labels: None }, &mut Rng::new(seed));
                loss.parts.iter().find(|(name, _)| *name == "bound").unwrap().1
            })
            .collect();
        let (found, error) = mean(&drawn);
        let bound = model.bound();
        let terms: Vec<f64> = (0..20)
            .map(|seed| {
                let terms = bound.terms(&model, &x, &mut Rng::new(1000 + seed));
                terms[..50].iter().flatten().sum::<f64>() / 512.0 / 2.0
            })
            .collect();
        let (expected, spread) = mean(&terms);
        println!("{data_levels:?}: {found} ± {error}, {expected} ± {spread}");
        assert!((found - expected).abs() < 5.0 * error.hypot(spread), "{found} ± {error}, {expected} ± {spread}");
    }
}

#[test]
fn the_bound_in_the_loss_moves_the_variances_only() {
    let gradients = |variance: bool| -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
        let batch = Batch { x: data(64), labels: None };
        if variance {
            let model = config(Variance::Learned, None).init(Pair { mean: net(1), variance: net(2) }).unwrap().train();
            let gradients = model.loss(batch, &mut Rng::new(3)).value.backward();
            let gradients = GradientsParams::from_grads(gradients, &model);
            (collect(&model.net.mean, &gradients), collect(&model.net.variance, &gradients))
        } else {
            let model = config(Variance::FixedSmall, None).init(net(1)).unwrap().train();
            let gradients = model.loss(batch, &mut Rng::new(3)).value.backward();
            (collect(&model.net, &GradientsParams::from_grads(gradients, &model)), Vec::new())
        }
    };
    let (with, variances) = gradients(true);
    let (without, _) = gradients(false);
    assert_eq!(with, without);
    assert!(variances.iter().any(|g| g.iter().any(|v| *v != 0.0)));
}

fn collect<M: Module>(module: &M, gradients: &GradientsParams) -> Vec<Vec<f32>> {
    struct Collect<'a>(&'a GradientsParams, Vec<Vec<f32>>);
    impl ModuleVisitor for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let gradient = self.0.get::<D>(param.id).map(|g| g.to_data().iter::<f32>().collect());
            self.1.push(gradient.unwrap_or_default());
        }
    }
    let mut visitor = Collect(gradients, Vec::new());
    module.visit(&mut visitor);
    visitor.1
}

#[test]
fn the_bound_needs_no_luck_at_the_edges() {
    let levels = Schedule::linear(4000).levels().unwrap();
    let bound = bound_of(&levels, Variance::FixedSmall, Some(256));
    // A denoiser that is entirely wrong costs a lot, but a finite lot.
    struct Wrong;
    impl Denoise for Wrong {
        fn denoise(&self, x: Rows, _: &[Level]) -> Rows {
            x * 0.0 - 3.0
        }
    }
    let x = Rows::from_floats([[1.0, -1.0, 0.0]], &Device::default());
    let term = bound.term(&Wrong, &x, &[0], &[0.0; 3]);
    assert!(term[0].is_finite() && term[0] > 1000.0);
    let one = VariationalBound { chain: vec![levels.training(100), levels.clean()], ..bound };
    assert!(one.terms(&Wrong, &x, &mut Rng::new(1)).iter().flatten().all(|v| v.is_finite()));
    let none = VariationalBound { chain: Vec::new(), ..one };
    assert!(none.terms(&Wrong, &x, &mut Rng::new(1)).iter().flatten().all(|v| *v == 0.0));
}
