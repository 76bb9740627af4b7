//! Derivatives with respect to the input: against PyTorch's double backward (parity/derivatives.py), against finite
//! differences, and against each other: `u · J v = Jᵀ u · v`.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use genera::Rng;
use genera::burn;
use genera::nn::derivative::{Linearise, Linearised, exact_trace, hutchinson_trace, input_gradient};
use genera::nn::{
    Activation, ConditionalMlpConfig, ConditionalResNetConfig, Conditioned, ConvCritic, ConvCriticConfig, GroupNorm,
    LayerNorm, Mlp, MlpConfig, ResidualMlpConfig,
};
use genera::train::Gradients;
use genera::traits::{Net, Rows};
use genera::weights::{Weights, apply, collect, from_bytes};

fn golden() -> Weights {
    from_bytes(include_bytes!("../../../parity/golden/derivatives.safetensors")).unwrap()
}

/// The arrays below `prefix`.
fn part(golden: &Weights, prefix: &str) -> Weights {
    let below = golden.iter().filter_map(|(name, array)| Some((name.strip_prefix(prefix)?, array)));
    below.map(|(name, array)| (name.to_owned(), array.clone())).collect()
}

fn rows(golden: &Weights, name: &str) -> Rows {
    let array = &golden[name];
    Tensor::from_data(TensorData::new(array.values.clone(), array.shape.clone()), &Device::flex())
}

fn numbers<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().iter::<f32>().collect()
}

#[track_caller]
fn assert_near(what: &str, got: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-3_f32, |most, x| most.max(x.abs()));
    for (i, (a, b)) in got.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance * scale, "{what}[{i}]: {a}, expected {b}");
    }
}

/// `net` with the weights of the golden file, its loss, and every gradient of it.
fn check_gradients<M: Module>(name: &str, net: M, loss: impl Fn(&M, &Weights) -> Tensor<1>) {
    let golden = golden();
    let net = apply(net, &part(&golden, &format!("{name}.weights."))).unwrap().train();
    let loss = loss(&net, &part(&golden, &format!("{name}.")));
    assert_near(name, &numbers(loss.clone()), &golden[&format!("{name}.loss")].values, 1e-5);
    let gradients = Gradients::of(&loss, &net);
    let expected = part(&golden, &format!("{name}.gradient."));
    let without = collect(&net).into_keys().filter(|path| !expected.contains_key(path));
    assert!(without.into_iter().all(|path| gradients.values(&path).is_none()), "{name}: PyTorch has no such gradient");
    for (path, array) in expected {
        let got = gradients.values(&path).unwrap_or_else(|| panic!("{name}: no gradient of {path}"));
        let got: Vec<f32> = got.into_iter().map(|x| x as f32).collect();
        assert_near(&format!("{name} {path}"), &got, &array.values, 3e-5);
    }
}

fn penalised<M: Linearise>(net: &M, golden: &Weights) -> Tensor<1> {
    let (score, slope) = input_gradient(net, rows(golden, "x"));
    assert_near("slope", &numbers(slope.clone()), &golden["slope"].values, 1e-5);
    let length = slope.square().sum_dim(1).sqrt();
    (length - 1.0).square().mean() + score.mean()
}

#[test]
fn gradient_penalties_are_those_of_pytorch() {
    let (device, mut rng) = (Device::flex(), Rng::new(0));
    let critic: ConvCritic = ConvCriticConfig { channels: vec![8, 12] }.init([2, 9, 8], &mut rng, &device);
    check_gradients("critic", critic, penalised);
    check_gradients("scorer", mlp([5, 16, 16, 1], Activation::Tanh), penalised);
}

#[test]
fn traces_are_those_of_pytorch() {
    check_gradients("field", mlp([3, 16, 16, 3], Activation::Softplus), |net, golden| {
        let (_, trace) = exact_trace(net, rows(golden, "x"));
        let (_, along) = hutchinson_trace(net, rows(golden, "x"), rows(golden, "v"));
        assert_near("trace", &numbers(trace.clone()), &golden["trace"].values, 1e-5);
        assert_near("along", &numbers(along.clone()), &golden["along"].values, 1e-5);
        trace.square().mean() + along.mean()
    });
}

fn mlp([inputs, first, second, outputs]: [usize; 4], activation: Activation) -> Mlp {
    MlpConfig { inputs, hidden: vec![first, second], outputs, activation }.init(&mut Rng::new(1), &Device::flex())
}

fn normal<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let values = Rng::new(seed).normal(1, shape.iter().product());
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// The value is `f(x)`, the push is the difference quotient, and the pull is the transpose of the push.
fn check_linearised<const D: usize, const E: usize>(
    what: &str,
    f: impl Fn(Tensor<D>) -> Tensor<E>,
    at: Linearised<'_, Tensor<D>, Tensor<E>>,
    x: Tensor<D>,
) {
    assert_near(&format!("{what}: value"), &numbers(at.value.clone()), &numbers(f(x.clone())), 1e-6);
    let (v, u) = (normal(x.dims(), 11), normal(at.value.dims(), 12));
    let along = at.push(v.clone());
    let h = 1e-2;
    // The mean of the quotients with h and h / 2 that cancels the error of second order.
    let quotient = |h: f32| (f(x.clone() + v.clone() * h) - f(x.clone() - v.clone() * h)) / (2.0 * h);
    let expected = (quotient(h / 2.0) * 4.0 - quotient(h)) / 3.0;
    assert_near(&format!("{what}: push"), &numbers(along.clone()), &numbers(expected), 2e-3);
    let (left, right) = (numbers((along * u.clone()).sum())[0], numbers((at.pull(u) * v).sum())[0]);
    assert!((left - right).abs() < 1e-4 * left.abs().max(1.0), "{what}: {left} and {right} differ");
}

#[test]
fn networks_have_their_derivatives() {
    let (device, mut rng) = (Device::flex(), Rng::new(3));
    for activation in [Activation::Silu, Activation::Gelu, Activation::Selu, Activation::Tanh] {
        let (net, x) = (mlp([4, 16, 16, 3], activation), normal([5, 4], 4));
        check_linearised("mlp", |x| net.forward(x), net.linearise(x.clone()), x);
    }
    let time = Tensor::<1>::from_floats([3.0, 100.0, 500.0], &device);
    let given = |x: Rows| Conditioned { x, time: time.clone(), labels: None };

    let net =
        ConditionalMlpConfig { width: 32, layers: 2, activation: Activation::Silu }.init(4, None, &mut rng, &device);
    let x = normal([3, 4], 5);
    check_linearised("conditional", |x| net.forward(given(x)), net.linearise(given(x.clone())), x.clone());
    let net = ResidualMlpConfig { width: 32, ..Default::default() }.init(4, None, &mut rng, &device);
    check_linearised("residual", |x| net.forward(given(x)), net.linearise(given(x.clone())), x);

    // Piecewise linear: differences are exact only within a piece, so the step must be short for most to be.
    let net = ConditionalResNetConfig { channels: 8, blocks: 2, width: 16 }.init([2, 6, 5], None, &mut rng, &device);
    let x = normal([3, 60], 6);
    let at = net.linearise(given(x.clone()));
    let (v, u) = (normal([3, 60], 7), normal([3, 60], 8));
    let (left, right) = ((at.push(v.clone()) * u.clone()).sum(), (at.pull(u.clone()) * v.clone()).sum());
    assert_near("images: transpose", &numbers(left), &numbers(right), 1e-4);
    let leaf = Tensor::from_inner(x).require_grad();
    let out = net.clone().train().forward(given(leaf.clone()));
    let gradient = leaf.grad(&(out * u.clone()).sum().backward()).unwrap();
    assert_near("images: pull", &numbers(at.pull(u)), &numbers(gradient), 1e-5);
}

#[test]
fn normalisations_have_their_derivatives() {
    let device = Device::flex();
    let norm = GroupNorm::new(2, 6, 1e-3, &device);
    let weights = |module: &Weights| -> Weights {
        module
            .iter()
            .map(|(name, array)| {
                let mut array = array.clone();
                array.values.iter_mut().enumerate().for_each(|(i, x)| *x += 0.3 * (i as f32 + 1.0).sin());
                (name.clone(), array)
            })
            .collect()
    };
    let norm = apply(norm.clone(), &weights(&collect(&norm))).unwrap();
    let x = normal([3, 4, 5, 6], 9);
    check_linearised("group norm", |x| norm.forward(x), norm.linearise(x.clone()), x);
    let norm = LayerNorm::new(6, 1e-3, &device);
    let norm = apply(norm.clone(), &weights(&collect(&norm))).unwrap();
    let x = normal([7, 6], 10);
    check_linearised("layer norm", |x| norm.forward(x), norm.linearise(x.clone()), x);
}

/// Over many directions the estimate of the trace approaches the trace, and its error is what its spread says.
#[test]
fn hutchinson_has_no_bias() {
    let net = mlp([3, 16, 16, 3], Activation::Tanh);
    let x = normal([1, 3], 13).expand([4096, 3]);
    let exact = numbers(exact_trace(&net, x.clone().narrow(0, 0, 1)).1)[0];
    let estimates = numbers(hutchinson_trace(&net, x, normal([4096, 3], 14)).1);
    let mean = estimates.iter().sum::<f32>() / 4096.0;
    let variance = estimates.iter().map(|e| (e - mean).powi(2)).sum::<f32>() / 4095.0;
    assert!((mean - exact).abs() < 4.0 * (variance / 4096.0).sqrt(), "{mean} and {exact}");
}
