//! Numbers at the edge: logits at 0 and 1, spline tails, singular linear layers, planar layers at the limit of
//! invertibility, levels. All is finite, or an error names the row.

use genera::Rng;
use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::flow::{
    Conv1x1, Dequantised, Flow, FlowConfig, FlowError, Layer, Logit, Noise, Planar, Plu, Qr, Radial, StandardNormal,
    Sylvester,
};
use genera::traits::{Bijection, LowerBound, Rows, Sample};
use genera::weights::{Array, apply, collect};

type AnyFlow = Flow<Vec<Layer>, Noise>;

fn device() -> Device {
    Device::flex()
}

fn rows(values: Vec<f32>, features: usize) -> Rows {
    let count = values.len() / features;
    Tensor::from_data(TensorData::new(values, [count, features]), &device())
}

fn values<const D: usize>(x: &Tensor<D>) -> Vec<f64> {
    x.to_data().iter::<f32>().map(f64::from).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn flow(json: &str, features: usize, classes: Option<usize>) -> AnyFlow {
    let config: FlowConfig = serde_json::from_str(json).unwrap();
    config.init(&[features], classes, &mut Rng::new(1), &device()).unwrap()
}

/// The flow with every trained parameter moved.
fn moved(flow: AnyFlow, by: f32) -> AnyFlow {
    let mut rng = Rng::new(2);
    let still = |name: &str| ["p", "sign_s", "initialised", "logits"].contains(&name.rsplit('.').next().unwrap());
    let weights = collect(&flow).into_iter().map(|(name, array)| {
        let noise = rng.normal(1, array.values.len());
        let by = if still(&name) { 0.0 } else { by };
        let values = array.values.iter().zip(noise).map(|(v, e)| v + by * e).collect();
        (name, Array { values, ..array })
    });
    apply(flow.clone(), &weights.collect()).unwrap()
}

fn one_layer(layer: Layer, features: usize) -> AnyFlow {
    Flow::new(vec![layer], Noise::Normal(StandardNormal::new(features, &device())))
}

#[test]
fn logits_at_the_ends() {
    let ends = rows(vec![0.5, 0.5, 0.0, 1.0, 1.0, 0.0], 2);
    let soft = one_layer(Layer::Logit(Logit::new(0.0, 1.0, 0.05).unwrap()), 2);
    assert!(soft.scores(ends.clone()).is_ok());
    let hard = one_layer(Layer::Logit(Logit::new(0.0, 1.0, 0.0).unwrap()), 2);
    let error = hard.scores(ends).unwrap_err();
    assert!(matches!(&error, FlowError::Row { row: 1, at, .. } if at.contains("layer 0, logit")), "{error}");
    let error = soft.scores(rows(vec![0.5, 0.5, 0.5, 2.0], 2)).unwrap_err();
    assert!(matches!(error, FlowError::Row { row: 1, .. }), "{error}");
    // Far out in the noise the samples are the ends of the interval, and the way back is finite.
    let (x, log_det) = Logit::new(0.0, 1.0, 0.0).unwrap().inverse_and_log_det(rows(vec![-200.0, 200.0], 2));
    assert_eq!(values(&x), [0.0, 1.0]);
    assert!(values(&log_det)[0].is_finite());
}

#[test]
fn spline_tails() {
    let json = r#"{"architecture": {"kind": "coupling", "layers": 2, "hidden": [8],
        "univariate": {"spline": {"bins": 5, "bound": 3.0}}}}"#;
    let flow = moved(flow(json, 2, None), 3.0);
    let at = [-1e6, -3.000_001, -3.0, -2.999_999, 0.0, 2.999_999, 3.0, 3.000_001, 1e6];
    let x = rows(at.iter().flat_map(|a| at.map(|b| [*a, b])).flatten().collect(), 2);
    let (z, log_det) = flow.bijection.forward_and_log_det(x.clone());
    let (back, _) = flow.bijection.inverse_and_log_det(z.clone());
    assert!(values(&z).iter().chain(&values(&log_det)).chain(&values(&back)).all(|v| v.is_finite()));
    let nan = rows(vec![0.0, 0.0, f32::NAN, 0.0], 2);
    let error = flow.scores(nan).unwrap_err();
    assert!(matches!(&error, FlowError::Row { row: 1, at, .. } if at == "the data"), "{error}");
}

#[test]
fn singular_linear_layers() {
    let with = |log_s: f32| {
        let flow = one_layer(Layer::Plu(Plu::new(2, &mut Rng::new(1), &device())), 2);
        let mut weights = collect(&flow);
        weights.get_mut("bijection.0.log_s").unwrap().values = vec![log_s, 0.0];
        apply(flow, &weights).unwrap()
    };
    // e⁻²⁰⁰ is zero in single precision: the density is finite, but there is no way back.
    let x = rows(Rng::new(2).normal(5, 2), 2);
    let singular = with(-200.0);
    assert!(singular.scores(x.clone()).is_ok());
    let error = singular.draws(5, &mut Rng::new(3)).unwrap_err();
    assert!(matches!(&error, FlowError::Row { row: 0, at, .. } if at.contains("plu")), "{error}");
    let error = with(200.0).scores(x).unwrap_err();
    assert!(matches!(&error, FlowError::Row { row: 0, at, .. } if at.contains("plu")), "{error}");
    assert!(with(0.1).draws(5, &mut Rng::new(3)).is_ok());
}

/// `layer` with one of its parameters set everywhere to `value`.
fn set(layer: Layer, features: usize, name: &str, value: f32) -> AnyFlow {
    let flow = one_layer(layer, features);
    let mut weights = collect(&flow);
    let array = weights.get_mut(&format!("bijection.0.{name}")).unwrap_or_else(|| panic!("no {name}"));
    array.values.iter_mut().for_each(|v| *v = value);
    apply(flow, &weights).unwrap()
}

/// Finite scores and finite samples, or errors that name the row and the layer.
fn finite_or_named(flow: &AnyFlow, features: usize, layer: &str) {
    let x = rows(Rng::new(2).normal(20, features), features);
    let named = |error: FlowError| matches!(&error, FlowError::Row { at, .. } if at.contains(layer));
    for error in [flow.scores(x).err(), flow.draws(20, &mut Rng::new(3)).err()].into_iter().flatten() {
        assert!(named(error.clone()), "{layer}: {error}");
    }
}

#[test]
fn every_layer_at_its_limit_is_finite_or_named() {
    let new = |seed| Rng::new(seed);
    for value in [-1e4, -200.0, -30.0, 30.0, 200.0, 1e4] {
        finite_or_named(&set(Layer::Qr(Qr::new(2, &mut new(1), &device())), 2, "log_s", value), 2, "qr");
        let conv = Layer::Conv1x1(Conv1x1::new([2, 1, 1], &mut new(1), &device()));
        finite_or_named(&set(conv, 2, "channels.log_s", value), 2, "1x1 convolution");
        for name in ["log_alpha", "raw_beta"] {
            finite_or_named(&set(Layer::Radial(Radial::new(2, &mut new(1), &device())), 2, name, value), 2, "radial");
        }
        for name in ["diagonal", "diagonal_tilde", "b"] {
            let layer = Layer::Sylvester(Sylvester::new(2, 2, &mut new(1), &device()).unwrap());
            finite_or_named(&set(layer, 2, name, value), 2, "sylvester");
        }
    }
    // Scales e^a of a masked autoregressive layer and of a coupling, with a of every size.
    for kind in ["coupling", "autoregressive"] {
        for by in [1.0, 30.0, 1e4] {
            let json = format!(
                r#"{{"architecture": {{"kind": "{kind}", "layers": 1, "hidden": [8], "univariate": {{"affine": "exponential"}}}}}}"#
            );
            finite_or_named(&moved(flow(&json, 2, None), by), 2, "layer");
        }
    }
    // r r̃ → −1: the slope of a Sylvester layer all but vanishes, and the way back is still found.
    let layer = Layer::Sylvester(Sylvester::new(2, 2, &mut new(1), &device()).unwrap());
    let flow = set(layer, 2, "diagonal", 30.0);
    let mut weights = collect(&flow);
    weights.get_mut("bijection.0.diagonal_tilde").unwrap().values = vec![-30.0; 2];
    let flow = apply(flow, &weights).unwrap();
    assert!(flow.scores(rows(Rng::new(2).normal(200, 2), 2)).is_ok());
    assert!(flow.draws(200, &mut Rng::new(3)).is_ok());
}

#[test]
fn planar_layers_at_the_limit_of_invertibility() {
    for scale in [1.0_f32, 30.0, 1e3, 1e6] {
        let planar = Planar::new(2, &mut Rng::new(1), &device());
        let mut weights = collect(&planar);
        weights.get_mut("w").unwrap().values = vec![1.0, 0.5];
        weights.get_mut("u").unwrap().values = vec![-scale, -0.5 * scale]; // w·u → −∞
        weights.get_mut("b").unwrap().values = vec![0.0];
        let planar = apply(planar, &weights).unwrap();
        let mut x = vec![0.0, 0.0, 1e-4, 0.0];
        x.extend(Rng::new(2).normal(100, 2));
        let x = rows(x, 2);
        let (z, forth) = planar.forward_and_log_det(x.clone());
        let (back, inverse) = planar.inverse_and_log_det(z);
        for tensor in [values(&forth), values(&inverse), values(&back)] {
            assert!(tensor.iter().all(|v| v.is_finite()), "scale {scale}");
        }
        if scale <= 30.0 {
            // Where the slope is 1e-5, a rounding of z is one of x a hundred thousand times as large.
            let error = values(&x).iter().zip(values(&back)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(error < 0.02, "scale {scale}: {error}");
        }
    }
    // No direction at all: a shift, whose determinant is one.
    let planar = Planar::new(2, &mut Rng::new(1), &device());
    let mut weights = collect(&planar);
    weights.get_mut("w").unwrap().values = vec![0.0, 0.0];
    let planar = apply(planar, &weights).unwrap();
    let (z, log_det) = planar.forward_and_log_det(rows(vec![1.0, 2.0], 2));
    assert!(values(&z).iter().all(|v| v.is_finite()));
    assert_eq!(values(&log_det), [0.0]);
}

/// Levels 0 .. 3 under a uniform density of the unit square: exactly `2 log 4` nats.
#[test]
fn dequantisation_adds_its_jacobian_and_more_draws_tighten_the_bound() {
    let json =
        r#"{"architecture": {"kind": "planar", "layers": 2}, "interval": {"low": 0.0, "high": 1.0, "alpha": 0.0}}"#;
    let density = moved(flow(json, 2, None), 0.5);
    let x = rows((0..16).flat_map(|cell| [(cell / 4) as f32, (cell % 4) as f32]).collect(), 2);
    let bound = |draws, seed| {
        let model = Dequantised { density: density.clone(), levels: 4, draws };
        model.lower_bound(x.clone(), &mut Rng::new(seed))
    };
    // The probabilities of all pairs of levels sum to one: with many draws the bound is nearly exact.
    let total: f64 = bound(300, 0).into_iter().map(f64::exp).sum();
    assert!((total - 1.0).abs() < 0.02, "{total}");
    let rough = mean(&(1..50).map(|seed| mean(&bound(1, seed))).collect::<Vec<_>>());
    assert!(rough < mean(&bound(300, 0)), "a single draw is no bound from below: {rough}");

    let model = Dequantised { density, levels: 4, draws: 1 };
    let levels = values(&model.sample(50, &mut Rng::new(2)));
    assert!(levels.iter().all(|l| (0.0..=3.0).contains(l) && l.fract() == 0.0));
}
