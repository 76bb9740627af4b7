//! The linear Gaussian model, whose likelihood and posterior are known: every bound and estimate against them.

use genera::Rng;
use genera::burn::module::Module;
use genera::nn::{Activation, Mlp, MlpConfig};
use genera::train::Gradients;
use genera::traits::{Batch, Model};
use genera::vae::{
    AnnealedImportanceSampling, Decoder, GaussianEncoder, LikelihoodConfig, Objective, PathGradient, Spread,
    StandardNormal, Vae, VaeConfig,
};
use genera::weights::{Array, Weights, apply};

use super::{device, host, mean, rows, standard_error};

/// A linear map with these weights and biases.
pub fn linear(weight: &[f64], bias: &[f64]) -> Mlp {
    let (outputs, inputs) = (bias.len(), weight.len() / bias.len());
    let config = MlpConfig { inputs, hidden: vec![], outputs, activation: Activation::Relu };
    let array = |shape: Vec<usize>, values: &[f64]| Array { shape, values: values.iter().map(|v| *v as f32).collect() };
    let weights: Weights = [
        ("layers.0.weight".to_owned(), array(vec![outputs, inputs], weight)),
        ("layers.0.bias".to_owned(), array(vec![outputs], bias)),
    ]
    .into();
    apply(config.init(&mut Rng::new(1), &device()), &weights).unwrap()
}

type LinearVae = Vae<GaussianEncoder<Mlp>, Decoder<Mlp>, StandardNormal>;

/// `x = W z + b + s ε` with orthogonal columns of `W`, whose posterior is therefore a diagonal Gaussian.
pub const W: [f64; 6] = [1.2, 0.4, -0.6, 0.8, 1.0, 0.0];
pub const B: [f64; 3] = [0.3, -0.5, 1.0];
const S: f64 = 0.7;

/// The linear Gaussian model with an encoder that is exact, or whose every mean is off by `off` and deviation too large by
/// `e^off`.
fn linear_gaussian(off: f64, objective: Objective) -> LinearVae {
    let dot = |i: usize, j: usize| (0..3).map(|r| W[2 * r + i] * W[2 * r + j]).sum::<f64>();
    assert!(dot(0, 1).abs() < 1e-12);
    let m = [dot(0, 0) + S * S, dot(1, 1) + S * S];
    let mut weight = vec![0.0; 12];
    let mut bias = vec![0.0; 4];
    for j in 0..2 {
        for r in 0..3 {
            weight[3 * j + r] = W[2 * r + j] / m[j];
        }
        bias[j] = off - (0..3).map(|r| W[2 * r + j] * B[r]).sum::<f64>() / m[j];
        bias[2 + j] = (S / m[j].sqrt()).ln() + off;
    }
    let likelihood = LikelihoodConfig::Gaussian { spread: Spread::Fixed(S) };
    let decoder = Decoder::new(linear(&W, &B), likelihood, &device()).unwrap();
    let config = VaeConfig { objective, ..VaeConfig::new(2) };
    config.init(GaussianEncoder::new(linear(&weight, &bias)), decoder, StandardNormal::new(2, &device())).unwrap()
}

/// `log N(x; b, W Wᵀ + s² I)` by the determinant and the inverse of a 3x3 matrix.
fn exact(x: &[f64]) -> f64 {
    let c: Vec<f64> = (0..9)
        .map(|at| {
            let (i, j) = (at / 3, at % 3);
            W[2 * i] * W[2 * j] + W[2 * i + 1] * W[2 * j + 1] + if i == j { S * S } else { 0.0 }
        })
        .collect();
    let minor = |i: usize, j: usize| {
        let at = |r: usize, k: usize| c[3 * ((i + r) % 3) + (j + k) % 3];
        at(1, 1) * at(2, 2) - at(1, 2) * at(2, 1)
    };
    let det = (0..3).map(|j| c[j] * minor(0, j)).sum::<f64>();
    let d: Vec<f64> = (0..3).map(|i| x[i] - B[i]).collect();
    let quadratic: f64 = (0..9).map(|at| d[at / 3] * d[at % 3] * minor(at / 3, at % 3) / det).sum();
    -0.5 * (quadratic + det.ln() + 3.0 * std::f64::consts::TAU.ln())
}

fn points(n: usize) -> Vec<f64> {
    Rng::new(17).normal(n, 3).into_iter().map(|v| 1.5 * f64::from(v)).collect()
}

#[test]
fn with_the_exact_posterior_every_draw_gives_the_exact_likelihood() {
    let (vae, x) = (linear_gaussian(0.0, Objective::default()), points(5));
    let eps = rows(&Rng::new(3).normal(20, 2).into_iter().map(f64::from).collect::<Vec<_>>(), 2);
    let log_w = host(vae.log_weights(rows(&x, 3), None, eps));
    for (i, log_w) in log_w.iter().enumerate() {
        let exact = exact(&x[3 * (i / 4)..3 * (i / 4) + 3]);
        assert!((log_w - exact).abs() < 2e-5 * exact.abs(), "{i}: {log_w} {exact}");
    }
    // The closed form of the divergence has the same mean: E log p(x|z) − KL = log p(x).
    let n = 4000;
    let eps = rows(&Rng::new(4).normal(n, 2).into_iter().map(f64::from).collect::<Vec<_>>(), 2);
    let terms = vae.terms(rows(&x[..3].repeat(n), 3), None, eps);
    let elbo = host(terms.log_likelihood - terms.divergence);
    assert!((mean(&elbo) - exact(&x[..3])).abs() < 4.0 * standard_error(&elbo));
}

#[test]
fn bounds_come_from_below_in_order() {
    let (vae, n) = (linear_gaussian(0.6, Objective::default()), 64);
    let x = points(n);
    let exact: Vec<f64> = x.chunks_exact(3).map(exact).collect();
    let bound = |k: usize| vae.k_sample_bound(rows(&x, 3), None, k, &mut Rng::new(5));
    let gap = |found: &[f64]| {
        let gaps: Vec<f64> = exact.iter().zip(found).map(|(e, f)| e - f).collect();
        (mean(&gaps), standard_error(&gaps))
    };
    let gaps = [1, 10, 100, 2000].map(|k| gap(&bound(k)));
    for pair in gaps.windows(2) {
        assert!(pair[0].0 > pair[1].0, "{gaps:?}");
    }
    assert!(gaps[0].0 > 0.3 && gaps[3].0.abs() < 3.0 * gaps[3].1 + 2e-3, "{gaps:?}");
    let plan = AnnealedImportanceSampling { chains: 8, temperatures: 60, leaps: 4, step: 0.2 };
    let annealed = gap(&vae.annealed_log_prob(rows(&x, 3), &plan, &mut Rng::new(6)));
    assert!(annealed.0 > -3.0 * annealed.1 && annealed.0 < 0.1, "{annealed:?}");
    // Draws of the prior say the same with far more of them.
    let naive = gap(&vae.prior_estimate(rows(&x, 3), None, 20, &mut Rng::new(7)));
    assert!(naive.0 > gaps[2].0 && naive.0 > 0.0, "{naive:?} {gaps:?}");
    println!("gaps of K = 1, 10, 100, 2000: {gaps:?}; annealed {annealed:?}; naive with 20 {naive:?}");
}

#[test]
fn bounds_do_not_depend_on_the_batch() {
    let vae = linear_gaussian(0.3, Objective::default());
    let x = rows(&points(9), 3);
    for k in [1, 7, 3000] {
        let whole = vae.k_sample_bound(x.clone(), None, k, &mut Rng::new(5));
        let root = Rng::new(5);
        let parts: Vec<f64> = (0..3)
            .flat_map(|i| vae.k_sample_bound(x.clone().narrow(0, 3 * i, 3), None, k, &mut root.rows_from(3 * i as u64)))
            .collect();
        assert_eq!(whole, parts, "{k}");
    }
    assert_eq!(vae.k_sample_bound(x, None, 0, &mut Rng::new(5)), [f64::NEG_INFINITY; 9]);
}

fn gradient_of(vae: &LinearVae, name: &str, seed: u64) -> (f64, Vec<f64>) {
    let vae = vae.clone().train();
    let loss = vae.loss(Batch { x: rows(&points(32), 3), labels: None }, &mut Rng::new(seed));
    let value = host(loss.value.clone())[0];
    let gradients = Gradients::of(&loss.value, &vae);
    (value, gradients.values(name).unwrap_or_default())
}

#[test]
fn the_doubly_reparametrised_gradient_is_unbiased_and_vanishes_at_the_exact_posterior() {
    let objective = |gradient| Objective::Iwae { samples: 5, gradient };
    let [plain, doubly] = [PathGradient::Reparametrised, PathGradient::DoublyReparametrised];
    for name in ["encoder.net.layers.0.bias", "decoder.net.layers.0.weight"] {
        let averages = [plain, doubly].map(|gradient| {
            let vae = linear_gaussian(0.4, objective(gradient));
            let draws: Vec<(f64, Vec<f64>)> = (0..300).map(|seed| gradient_of(&vae, name, seed)).collect();
            let values = mean(&draws.iter().map(|draw| draw.0).collect::<Vec<_>>());
            let of = |j: usize| draws.iter().map(|draw| draw.1[j]).collect::<Vec<f64>>();
            (values, (0..draws[0].1.len()).map(|j| (mean(&of(j)), standard_error(&of(j)))).collect::<Vec<_>>())
        });
        assert!((averages[0].0 - averages[1].0).abs() < 1e-4, "{averages:?}");
        for (a, b) in averages[0].1.iter().zip(&averages[1].1) {
            assert!((a.0 - b.0).abs() < 4.5 * a.1.hypot(b.1) + 1e-5, "{name}: {averages:?}");
        }
    }
    let found = gradient_of(&linear_gaussian(0.0, objective(doubly)), "encoder.net.layers.0.bias", 1).1;
    assert!(found.iter().all(|g| g.abs() < 1e-5), "{found:?}");
    let plain = gradient_of(&linear_gaussian(0.0, objective(plain)), "encoder.net.layers.0.bias", 1).1;
    assert!(plain.iter().any(|g| g.abs() > 1e-3), "{plain:?}");
}
