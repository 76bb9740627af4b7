//! Variational autoencoders: closed forms, the order of the bounds, collapse and its cure, and the laws of a model.

use genera::Rng;
use genera::burn::module::{Module, ModuleDisplay};
use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::nn::{Activation, Mlp, MlpConfig};
use genera::train::Gradients;
use genera::traits::{Batch, Codec, LowerBound, Model, Rows, Sample};
use genera::vae::{
    AnnealedImportanceSampling, Annealing, Decode, Decoder, Encode, GaussianEncoder, InverseFlowConfig,
    InverseFlowEncoder, Learnt, Likelihood, LikelihoodConfig, MixturePrior, NetConfig, Objective, Observe,
    PathGradient, PlanarEncoder, Posterior, Prior, Spread, StandardNormal, Vae, VaeConfig, VampPrior,
};
use genera::weights::{Array, Weights, apply, collect};

fn device() -> Device {
    Device::flex()
}

fn rows(values: &[f64], width: usize) -> Rows {
    let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
    let n = values.len() / width;
    Tensor::from_data(TensorData::new(values, [n, width]), &device())
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.inner_or_self().try_into_vec_as::<f32>().unwrap().into_iter().map(f64::from).collect()
}

/// Reading needs no autodiff.
trait InnerOrSelf {
    fn inner_or_self(self) -> Self;
}

impl<const D: usize> InnerOrSelf for Tensor<D> {
    fn inner_or_self(self) -> Self {
        if self.is_autodiff() { self.inner() } else { self }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn standard_error(values: &[f64]) -> f64 {
    let centre = mean(values);
    (values.iter().map(|v| (v - centre).powi(2)).sum::<f64>() / (values.len() as f64).powi(2)).sqrt()
}

/// A linear map with these weights and biases.
fn linear(weight: &[f64], bias: &[f64]) -> Mlp {
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
const W: [f64; 6] = [1.2, 0.4, -0.6, 0.8, 1.0, 0.0];
const B: [f64; 3] = [0.3, -0.5, 1.0];
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

/// A flow as an autoencoder: `q(z|x) = δ(z − f(x))`, `p(x|z) = δ(x − f⁻¹(z))`; what is left of `log p(x|z) − log q(z|x)` is
/// `log |det ∂f/∂x|`. Here `f(x) = x + ½ tanh x` for each value.
#[derive(Module, Debug)]
struct Delta {
    slope: genera::burn::module::Param<Tensor<1>>,
}

#[derive(Clone, Debug)]
struct AtPoint(Rows);

impl Posterior for AtPoint {
    fn draw(&self, _eps: Rows) -> (Rows, Tensor<1>) {
        let tanh = self.0.clone().tanh();
        let log_det = ((tanh.clone().square().neg() + 1.0) * 0.5 + 1.0).log().sum_dim(1).squeeze_dim(1);
        (self.0.clone() + tanh * 0.5, log_det.neg())
    }

    fn latents(&self) -> usize {
        self.0.dims()[1]
    }

    fn mean(&self) -> Rows {
        self.draw(self.0.clone()).0
    }

    fn repeat(&self, k: usize) -> Self {
        assert_eq!(k, 1);
        self.clone()
    }
}

#[derive(Debug)]
struct Sure(Rows);

impl Likelihood for Sure {
    fn log_prob(&self, x: Rows) -> Tensor<1> {
        Tensor::zeros([x.dims()[0]], &x.device())
    }

    fn mean(&self) -> Rows {
        self.0.clone()
    }

    fn sample(&self, _rng: &mut Rng) -> Rows {
        self.0.clone()
    }
}

impl Encode for Delta {
    type Posterior = AtPoint;

    fn posterior(&self, x: Rows) -> AtPoint {
        AtPoint(x)
    }
}

impl Decode for Delta {
    type Likelihood = Sure;

    fn likelihood(&self, z: Rows) -> Sure {
        Sure(z)
    }
}

#[test]
fn a_flow_is_an_autoencoder_whose_bound_is_exact() {
    let delta = || Delta { slope: genera::burn::module::Param::from_tensor(Tensor::ones([1], &device())) };
    let vae = VaeConfig::new(1).init(delta(), delta(), StandardNormal::new(1, &device())).unwrap();
    let grid: Vec<f64> = (0..1601).map(|i| -8.0 + 0.01 * f64::from(i)).collect();
    let log_p = vae.lower_bound(rows(&grid, 1), &mut Rng::new(1));
    let total: f64 = log_p.iter().map(|l| l.exp() * 0.01).sum();
    assert!((total - 1.0).abs() < 1e-5, "{total}");
    for (x, found) in grid.iter().zip(&log_p).step_by(97) {
        let exact = -0.5 * (x + 0.5 * x.tanh()).powi(2) - 0.5 * std::f64::consts::TAU.ln()
            + (1.0 + 0.5 * (1.0 - x.tanh().powi(2))).ln();
        assert!((found - exact).abs() < 1e-5 * exact.abs().max(1.0));
    }
}

/// A small model of 4x4 pictures for every combination below.
fn small<E: Module + Encode, P: Module + Prior<E>>(
    encoder: E,
    prior: P,
    likelihood: LikelihoodConfig,
    net: &NetConfig,
    objective: Objective,
) -> Vae<E, Decoder<genera::vae::Network>, P> {
    let mut rng = Rng::new(8);
    let net = net.decoder(3, 0, &[1, 4, 4], likelihood.parameters(), &mut rng, &device()).unwrap();
    let decoder = Decoder::new(net, likelihood, &device()).unwrap();
    VaeConfig { objective, ..VaeConfig::new(3) }.init(encoder, decoder, prior).unwrap()
}

/// Stripes and their opposite, in the range of the likelihood.
fn pictures(n: usize, likelihood: LikelihoodConfig) -> Rows {
    let bits = (0..n).flat_map(|i| (0..16).map(move |p| f64::from(u8::from((p / 4 + i) % 2 == 0))));
    let scale = |bit: f64| match likelihood {
        LikelihoodConfig::Bernoulli => bit,
        LikelihoodConfig::Categorical { .. } => 2.0 * bit,
        _ => 2.0 * bit - 1.0,
    };
    rows(&bits.map(scale).collect::<Vec<_>>(), 16)
}

/// Every parameter gets a gradient, the loss falls, what is saved comes back, and samples know nothing of each other.
fn laws<E: Module + ModuleDisplay + Encode, P: Module + ModuleDisplay + Prior<E>>(
    name: &str,
    vae: Vae<E, Decoder<genera::vae::Network>, P>,
    likelihood: LikelihoodConfig,
) {
    let x = pictures(24, likelihood);
    let batch = || Batch { x: x.clone(), labels: None };
    let trained = vae.clone().train();
    let loss = trained.loss(batch(), &mut Rng::new(1));
    let gradients = Gradients::of(&loss.value, &trained);
    for parameter in collect(&vae).keys() {
        let found = gradients.values(parameter);
        assert!(found.is_some_and(|g| g.iter().any(|g| *g != 0.0)), "{name}: {parameter} has no gradient");
    }
    let config = serde_json::from_str(r#"{"optimizer": {"kind": "adam", "learning_rate": 0.01}}"#).unwrap();
    let mut descent = genera::train::Descent::new(vae.clone(), config, 30).unwrap();
    let losses: Vec<f64> = (0..30)
        .map(|step| genera::traits::Learner::step(&mut descent, vec![batch()], &mut Rng::new(9).at(step)).unwrap()[0].1)
        .collect();
    assert!(mean(&losses[25..]) < mean(&losses[..5]), "{name}: {losses:?}");
    let model = descent.model().clone();
    let bound = |model: &Vae<E, Decoder<genera::vae::Network>, P>| model.lower_bound(x.clone(), &mut Rng::new(2));
    assert_eq!(bound(&apply(vae, &collect(&model)).unwrap()), bound(&model), "{name}");
    let whole = host(model.sample(24, &mut Rng::new(3)));
    let parts: Vec<f64> = (0..3).flat_map(|i| host(model.sample(8, &mut Rng::new(3).rows_from(8 * i)))).collect();
    assert_eq!(whole, parts, "{name}");
    assert_eq!(model.sample(0, &mut Rng::new(3)).dims(), [0, 16]);
    assert_eq!(model.decode(model.encode(x.clone())).dims(), [24, 16]);
}

#[test]
fn laws_of_every_likelihood_and_network() {
    let conv = NetConfig::Conv { channels: vec![8, 8], blocks: 0 };
    let residual = NetConfig::Conv { channels: vec![4, 8], blocks: 1 };
    let mlp = NetConfig::Mlp { hidden: vec![16] };
    for (likelihood, net) in [
        (LikelihoodConfig::Bernoulli, &conv),
        (LikelihoodConfig::Bernoulli, &residual),
        (LikelihoodConfig::Categorical { levels: 3 }, &conv),
        (LikelihoodConfig::Gaussian { spread: Spread::Fixed(0.5) }, &mlp),
        (LikelihoodConfig::Gaussian { spread: Spread::Shared }, &mlp),
        (LikelihoodConfig::Gaussian { spread: Spread::Each }, &mlp),
        (LikelihoodConfig::DiscretisedLogistic { levels: 17, components: 2 }, &mlp),
        (LikelihoodConfig::DiscretisedGaussian { levels: 17 }, &conv),
    ] {
        let encoder = net.encoder(&[1, 4, 4], 0, 6, &mut Rng::new(7), &device()).unwrap();
        let prior = StandardNormal::new(3, &device());
        let vae = small(GaussianEncoder::new(encoder), prior, likelihood, net, Objective::default());
        laws(&format!("{likelihood:?} {net:?}"), vae, likelihood);
    }
}

#[test]
fn laws_of_every_objective_posterior_and_prior() {
    let (net, bits) = (NetConfig::Mlp { hidden: vec![16] }, LikelihoodConfig::Bernoulli);
    let network = |outputs| net.encoder(&[1, 4, 4], 0, outputs, &mut Rng::new(7), &device()).unwrap();
    let gaussian = || GaussianEncoder::new(network(6));
    let normal = || StandardNormal::new(3, &device());
    let capacity = Some(genera::vae::Capacity { nats: 2.0, steps: 10, weight: 3.0 });
    for objective in [
        Objective::Elbo { beta: Annealing::Linear { beta: 1.0, steps: 10 }, free_bits: 0.0, capacity: None },
        Objective::Elbo { beta: Annealing::default(), free_bits: 0.1, capacity: None },
        Objective::Elbo { beta: Annealing::default(), free_bits: 0.0, capacity },
        Objective::Iwae { samples: 4, gradient: PathGradient::Reparametrised },
        Objective::Iwae { samples: 4, gradient: PathGradient::DoublyReparametrised },
        Objective::Wae { weight: 10.0 },
    ] {
        laws(&format!("{objective:?}"), small(gaussian(), normal(), bits, &net, objective), bits);
    }
    let mut rng = Rng::new(6);
    let elbo = Objective::default();
    let mixture = MixturePrior::new(3, 5, &mut rng, &device());
    laws("mixture", small(gaussian(), mixture.clone(), bits, &net, elbo), bits);
    laws("learnt", small(gaussian(), Learnt::new(mixture), bits, &net, elbo), bits);
    laws("vamp", small(gaussian(), VampPrior::new(pictures(5, bits)), bits, &net, elbo), bits);
    let flow = InverseFlowConfig { steps: 2, hidden: 8, context: 4 };
    let inverse: InverseFlowEncoder<_> = flow.init(network(flow.outputs(3)), 3, &mut rng, &device());
    laws("inverse flow", small(inverse, normal(), bits, &net, elbo), bits);
    let planar = PlanarEncoder::new(network(PlanarEncoder::<genera::vae::Network>::outputs(3, 2)), 3);
    laws("planar", small(planar, normal(), bits, &net, elbo), bits);
}

/// The two-dimensional Gaussians of the lecture, `N((2, 3), diag(9, 1))`, turned by 45 degrees or not.
fn cloud(n: usize, rotated: bool, seed: u64) -> Vec<f64> {
    let turn = if rotated { std::f64::consts::FRAC_1_SQRT_2 } else { 0.0 };
    let eps = Rng::new(seed).normal(n, 2);
    let point = |e: &[f32]| {
        let (a, b) = (3.0 * f64::from(e[0]), f64::from(e[1]));
        if rotated { [2.0 + turn * (a - b), 3.0 + turn * (a + b)] } else { [2.0 + a, 3.0 + b] }
    };
    eps.chunks_exact(2).flat_map(point).collect()
}

/// The test loss in nats and the number of active units after a short training.
fn two_dimensional(rotated: bool, free_bits: f64) -> (f64, f64, usize) {
    let mut rng = Rng::new(2);
    let net = NetConfig::Mlp { hidden: vec![64, 64] };
    let encoder = GaussianEncoder::new(net.encoder(&[2], 0, 4, &mut rng, &device()).unwrap());
    let likelihood = LikelihoodConfig::Gaussian { spread: Spread::Each };
    let decoder =
        Decoder::new(net.decoder(2, 0, &[2], 2, &mut rng, &device()).unwrap(), likelihood, &device()).unwrap();
    let objective = Objective::Elbo { beta: Annealing::default(), free_bits, capacity: None };
    let config = VaeConfig { objective, ..VaeConfig::new(2) };
    let vae = config.init(encoder, decoder, StandardNormal::new(2, &device())).unwrap();
    let descent =
        r#"{"optimizer": {"kind": "adam", "learning_rate": 0.004}, "rate": {"kind": "cosine"}, "clip_norm": 5.0}"#;
    let steps = 700;
    let mut descent = genera::train::Descent::new(vae, serde_json::from_str(descent).unwrap(), steps).unwrap();
    let train = cloud(9000, rotated, 1);
    for step in 0..steps {
        let picked = Rng::new(4).at(step).below(256, 9000);
        let x: Vec<f64> = picked.iter().flat_map(|i| [train[2 * i], train[2 * i + 1]]).collect();
        let batch = Batch { x: rows(&x, 2), labels: None };
        genera::traits::Learner::step(&mut descent, vec![batch], &mut Rng::new(5).at(step)).unwrap();
    }
    let held_out = rows(&cloud(4000, rotated, 9), 2);
    let terms = {
        let eps = rows(&Rng::new(6).normal(4000, 2).into_iter().map(f64::from).collect::<Vec<_>>(), 2);
        descent.model().terms(held_out.clone(), None, eps)
    };
    let loss = -mean(&host(terms.log_likelihood - terms.divergence));
    let diagnostics = descent.model().diagnostics(held_out.narrow(0, 0, 400), 1, &mut Rng::new(7));
    (loss, diagnostics.divergence.iter().sum(), diagnostics.active_units())
}

#[test]
fn latents_are_used_where_they_pay_and_where_free_bits_pay_for_them() {
    let entropy = 3.93649;
    let found = [(true, 0.0), (false, 0.0), (false, 0.5)].map(|(rotated, bits)| two_dimensional(rotated, bits));
    println!("loss, divergence, active units of rotated, aligned, aligned with free bits: {found:?}");
    // 4000 held-out points: the mean of −log p has a standard error of 1/√4000.
    for (loss, _, _) in &found[..2] {
        assert!(*loss > entropy - 0.05 && *loss < entropy + 0.06, "{found:?}");
    }
    assert_eq!([found[0].2, found[1].2], [1, 0], "{found:?}");
    assert!(found[1].1 < 0.05 && found[2].1 > 0.9 && found[2].2 >= 1, "{found:?}");
}

#[test]
fn a_conditional_model_draws_the_class_that_is_asked_for() {
    let mut rng = Rng::new(2);
    let net = NetConfig::Mlp { hidden: vec![16] };
    let encoder = GaussianEncoder::new(net.encoder(&[2], 2, 2, &mut rng, &device()).unwrap());
    let likelihood = LikelihoodConfig::Gaussian { spread: Spread::Fixed(0.2) };
    let decoder =
        Decoder::new(net.decoder(1, 2, &[2], 1, &mut rng, &device()).unwrap(), likelihood, &device()).unwrap();
    let config = VaeConfig { classes: Some(2), observe: Observe::Mean, ..VaeConfig::new(1) };
    let vae = config.init(encoder, decoder, StandardNormal::new(1, &device())).unwrap();
    let config = serde_json::from_str(r#"{"optimizer": {"kind": "adam", "learning_rate": 0.01}}"#).unwrap();
    let mut descent = genera::train::Descent::new(vae, config, 500).unwrap();
    for step in 0..500 {
        let labels: Vec<usize> = (0..32).map(|i| i % 2).collect();
        let eps = Rng::new(3).at(step).normal(32, 2);
        let x: Vec<f64> = (0..64).map(|at| labels[at / 2] as f64 * 4.0 - 2.0 + 0.2 * f64::from(eps[at])).collect();
        let batch = Batch { x: rows(&x, 2), labels: Some(labels) };
        genera::traits::Learner::step(&mut descent, vec![batch], &mut Rng::new(5).at(step)).unwrap();
    }
    let model = descent.model();
    let drawn = host(model.given(vec![1, 0]).sample(20, &mut Rng::new(4)));
    for (i, row) in drawn.chunks_exact(2).enumerate() {
        let expected = if i % 2 == 0 { 2.0 } else { -2.0 };
        assert!(row.iter().all(|v| (v - expected).abs() < 1.0), "{i}: {row:?}");
    }
    assert_eq!(model.sample(7, &mut Rng::new(4)).dims(), [7, 2]);
    let bound = model.k_sample_bound(rows(&[2.0, 2.0], 2), Some(&[1]), 50, &mut Rng::new(1))[0];
    let other = model.k_sample_bound(rows(&[2.0, 2.0], 2), Some(&[0]), 50, &mut Rng::new(1))[0];
    assert!(bound > other + 10.0, "{bound} {other}");
    let given = |labels: Vec<usize>| model.given(labels).lower_bound(rows(&[2.0, 2.0], 2), &mut Rng::new(1))[0];
    let whole = model.lower_bound(rows(&[2.0, 2.0], 2), &mut Rng::new(1))[0];
    assert!(given(vec![1]) > given(vec![0]) && whole < given(vec![1]) + 5.0 && whole > given(vec![0]), "{whole}");
}

#[test]
fn settings_without_a_meaning_are_refused() {
    let parts = || {
        let decoder = Decoder::new(linear(&W, &B), LikelihoodConfig::Bernoulli, &device()).unwrap();
        (GaussianEncoder::new(linear(&[0.0; 12], &[0.0; 4])), decoder, StandardNormal::new(2, &device()))
    };
    let refuse = |config: VaeConfig| {
        let (encoder, decoder, prior) = parts();
        config.init(encoder, decoder, prior).unwrap_err().to_string()
    };
    assert!(refuse(VaeConfig::new(0)).contains("latents"));
    assert!(refuse(VaeConfig { bound_samples: 0, ..VaeConfig::new(2) }).contains("bound_samples"));
    let iwae = Objective::Iwae { samples: 0, gradient: PathGradient::Reparametrised };
    assert!(refuse(VaeConfig { objective: iwae, ..VaeConfig::new(2) }).contains("samples"));
    for likelihood in [
        LikelihoodConfig::Categorical { levels: 1 },
        LikelihoodConfig::Gaussian { spread: Spread::Fixed(0.0) },
        LikelihoodConfig::DiscretisedLogistic { levels: 256, components: 0 },
    ] {
        assert!(Decoder::new(linear(&W, &B), likelihood, &device()).is_err(), "{likelihood:?}");
    }
    let conv = NetConfig::Conv { channels: vec![8], blocks: 0 };
    assert!(conv.encoder(&[6], 0, 4, &mut Rng::new(1), &device()).is_err());
    assert!(conv.encoder(&[1, 4, 4], 2, 4, &mut Rng::new(1), &device()).is_err());
    let none = NetConfig::Conv { channels: vec![], blocks: 0 };
    assert!(none.encoder(&[1, 4, 4], 0, 4, &mut Rng::new(1), &device()).is_err());
}

/// Asked for by name: `cargo test --test vae many_draws -- --ignored --nocapture`, best with `--release`.
#[test]
#[ignore = "a measurement of time"]
fn many_draws_of_many_images_are_faster_together() {
    let mut rng = Rng::new(2);
    let net = NetConfig::Mlp { hidden: vec![400, 400] };
    let encoder = GaussianEncoder::new(net.encoder(&[784], 0, 80, &mut rng, &device()).unwrap());
    let decoder = net.decoder(40, 0, &[784], 1, &mut rng, &device()).unwrap();
    let decoder = Decoder::new(decoder, LikelihoodConfig::Bernoulli, &device()).unwrap();
    let vae = VaeConfig::new(40).init(encoder, decoder, StandardNormal::new(40, &device())).unwrap();
    let (images, k) = (20, 500);
    let x =
        rows(&Rng::new(3).uniform(images, 784).iter().map(|u| f64::from(u8::from(*u < 0.2))).collect::<Vec<_>>(), 784);
    let together = || vae.k_sample_bound(x.clone(), None, k, &mut Rng::new(4));
    let one_by_one = || {
        let draw =
            |i: usize, draw: u64| vae.k_sample_bound(x.clone().narrow(0, i, 1), None, 1, &mut Rng::new(4).at(draw))[0];
        (0..images).map(|i| (0..k as u64).map(|d| draw(i, d)).fold(f64::NEG_INFINITY, f64::max)).collect::<Vec<f64>>()
    };
    let time = |work: &dyn Fn() -> Vec<f64>| {
        work();
        let started = std::time::Instant::now();
        work();
        started.elapsed().as_secs_f64()
    };
    let (fast, slow) = (time(&together), time(&one_by_one));
    println!(
        "{images} images, K = {k}: {fast:.3} s together, {slow:.3} s one draw at a time, {:.1} times",
        slow / fast
    );
    assert!(slow > 5.0 * fast, "{slow} {fast}");
}
