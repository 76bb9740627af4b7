//! Penalties and spectral norms against PyTorch's double backward (parity/gan.py).

use genera::Rng;
use genera::burn::module::Module;
use genera::burn::tensor::{Int, Tensor, TensorData};
use genera::gan::{CriticConfig, CriticNet, CriticNetConfig, Sides, Spectral, gradient_penalty, squared_slope};
use genera::nn::{
    Activation, Critic, DcganGenerator, Labelled, Mlp, MlpConfig, ResidualCriticConfig, ResidualGenerator,
};
use genera::train::Gradients;
use genera::traits::{Net, Rows};
use genera::weights::{Array, Weights, apply, from_bytes};

use super::{device, host};

fn golden(prefix: &str) -> Weights {
    below(&from_bytes(include_bytes!("../../../../parity/golden/gan.safetensors")).unwrap(), prefix)
}

pub fn below(weights: &Weights, prefix: &str) -> Weights {
    weights.iter().filter_map(|(name, array)| Some((name.strip_prefix(prefix)?.to_owned(), array.clone()))).collect()
}

pub fn rows(array: &Array) -> Rows {
    Tensor::from_data(TensorData::new(array.values.clone(), array.shape.clone()), &device())
}

/// Equal to within 1e-5 of the largest number.
#[track_caller]
pub fn agree(what: &str, got: &[f64], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-3_f64, |most, x| most.max(f64::from(x.abs())));
    for (i, (a, b)) in got.iter().zip(expected).enumerate() {
        assert!((a - f64::from(*b)).abs() <= 1e-5 * scale, "{what}[{i}]: {a}, expected {b} of at most {scale}");
    }
}

/// Every gradient equal, where PyTorch may have zeros for a parameter that has no say.
pub fn gradients_agree(what: &str, gradients: &Gradients, expected: Weights) {
    assert!(!expected.is_empty(), "{what}");
    for (path, array) in expected {
        let zeros = || vec![0.0; array.values.len()];
        agree(&format!("{what} {path}"), &gradients.values(&path).unwrap_or_else(zeros), &array.values);
    }
}

fn critics() -> [(&'static str, Critic<CriticNet>); 4] {
    let mlp = |hidden: &[usize], activation| CriticNetConfig::Mlp { hidden: hidden.to_vec(), activation };
    let residual = ResidualCriticConfig { channels: 8, halvings: 2, blocks: 1 };
    let make = |net, shape: &[usize], classes: Option<usize>| {
        let config = CriticConfig { net, deviation: classes.is_some() };
        config.init(shape, classes, &mut Rng::new(0), &device()).unwrap()
    };
    [
        ("conv", make(CriticNetConfig::Conv { channels: vec![8, 12] }, &[2, 9, 8], None)),
        ("residual", make(CriticNetConfig::Residual(residual), &[2, 9, 8], None)),
        ("mlp", make(mlp(&[16, 16], Activation::LeakyRelu), &[5], None)),
        ("told", make(mlp(&[16, 12], Activation::Tanh), &[5], Some(3))),
    ]
}

#[test]
fn penalties_and_their_gradients_are_those_of_pytorch() {
    for (name, critic) in critics() {
        let golden = golden(&format!("{name}."));
        let critic = apply(critic, &below(&golden, "weights.")).unwrap().train();
        let [real, fake, share] = ["real", "fake", "share"].map(|what| rows(&golden[what]));
        let labels = golden.get("labels").map(|array| {
            let classes: Vec<i32> = array.values.iter().map(|class| *class as i32).collect();
            let rows = classes.len();
            Tensor::<1, Int>::from_data(TensorData::new(classes, [rows]), &device())
        });
        let at = |x: Rows| Labelled { x, labels: labels.clone() };
        agree(name, &host(critic.forward(at(real.clone()))), &golden["score"].values);
        let between = real.clone() + (fake - real.clone()) * share;
        for (kind, penalty) in [
            ("two", gradient_penalty(&critic, at(between.clone()), Sides::Two)),
            ("one", gradient_penalty(&critic, at(between), Sides::One)),
            ("r1", squared_slope(&critic, at(real))),
        ] {
            let what = format!("{name} {kind}");
            agree(&what, &host(penalty.clone()), &golden[kind].values);
            gradients_agree(&what, &Gradients::of(&penalty, &critic), below(&golden, &format!("{kind}.gradient.")));
        }
    }
}

/// What a generator draws and the gradients of its weights.
fn generator_agrees<N: Module + Net>(name: &str, fresh: N) {
    let all = from_bytes(include_bytes!("../../../../parity/golden/generators.safetensors")).unwrap();
    let golden = below(&all, &format!("{name}."));
    let net = apply(fresh, &below(&golden, "weights.")).unwrap().train();
    let x = net.forward(rows(&golden["z"]));
    agree(name, &host(x.clone()), &golden["x"].values);
    let gradients = Gradients::of(&(x - 1.0).square().sum(), &net);
    gradients_agree(name, &gradients, below(&golden, "gradient."));
}

#[test]
fn generators_are_those_of_pytorch() {
    let shape = [2, 12, 8];
    generator_agrees("dcgan", DcganGenerator::new(5, &[12, 16], shape, &mut Rng::new(0), &device()));
    generator_agrees("residual", ResidualGenerator::new(5, 16, 2, shape, &mut Rng::new(0), &device()));
}

#[test]
fn spectral_normalisation_is_that_of_pytorch() {
    let golden = golden("spectral.");
    let config = MlpConfig { inputs: 4, hidden: vec![10, 7], outputs: 1, activation: Activation::LeakyRelu };
    let mlp: Mlp = apply(config.init(&mut Rng::new(0), &device()), &below(&golden, "weights.")).unwrap().train();
    let before = below(&golden, "before.");
    let mut spectral = Spectral::new(&mlp, 1, &mut Rng::new(1)).loaded(&before).unwrap();
    assert_eq!(spectral.save(), before);
    spectral.advance(&mlp);
    for (name, array) in below(&golden, "after.") {
        let got: Vec<f64> = spectral.save()[&name].values.iter().map(|x| f64::from(*x)).collect();
        agree(&name, &got, &array.values);
    }
    let score = spectral.normalised(mlp.clone()).forward(rows(&golden["x"]));
    agree("score", &host(score.clone()), &golden["score"].values);
    let gradients = Gradients::of(&score.sum(), &mlp);
    for (path, array) in below(&golden, "gradient.") {
        agree(&path, &gradients.values(&path).unwrap(), &array.values);
    }
    (0..200).for_each(|_| spectral.advance(&mlp));
    for (path, norm) in spectral.norms(&mlp) {
        let largest = f64::from(golden[&format!("largest.{path}")].values[0]);
        assert!((norm - largest).abs() <= 1e-4 * largest, "{path}: {norm}, not {largest}");
    }
    assert_eq!(spectral.norms(&mlp).len(), 3);
}
