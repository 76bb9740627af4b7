//! What every bijection must obey, over a table of constructors.

use genera::Rng;
use genera::burn::module::{Module, ModuleVisitor, Param};
use genera::burn::tensor::{Device, Gradients, Tensor, TensorData};
use genera::flow::{
    ActNorm, Autoregressive, Body, Conv1x1, Coupling, Elementwise, FlowConfig, ImageNetConfig, Inverse, Layer, Logit,
    Mask, MaskedMlpConfig, Part, Permutation, Planar, Plu, Qr, Radial, Scale, Split, Squeeze, Sylvester, Transform,
    Univariate,
};
use genera::nn::{Activation, MlpConfig};
use genera::traits::{Bijection, Rows};
use genera::weights::{Array, apply, collect};

const SPLINE: Univariate = Univariate::Spline { bins: 5, bound: 2.5 };
const SHAPE: [usize; 3] = [2, 2, 4];

fn device() -> Device {
    Device::flex()
}

fn mlp_coupling(features: usize, part: Part, univariate: Univariate, context: usize) -> Layer {
    let mask = Mask::Halves(part);
    let (kept, moved) = mask.widths(features);
    let net = MlpConfig {
        inputs: kept + context,
        hidden: vec![8],
        outputs: moved * univariate.parameters(),
        activation: Activation::Tanh,
    };
    Layer::Coupling(Coupling::new(net.init(&mut Rng::new(3), &device()), mask, univariate, &device()))
}

fn image_coupling(mask: Mask, body: Body) -> Layer {
    let (kept, moved) = mask.widths(16);
    let net = ImageNetConfig { shape: [kept / 8, 2, 4], context: 0, channels: 4, body, outputs: 2 * moved / 8 };
    Layer::ImageCoupling(Coupling::bounded(net.init(&mut Rng::new(3), &device()), mask, &device()))
}

fn autoregressive(order: &[usize], univariate: Univariate, context: usize) -> Layer {
    let net = MaskedMlpConfig {
        order: order.to_vec(),
        context,
        hidden: vec![9, 7],
        parameters: univariate.parameters(),
        activation: Activation::Tanh,
    };
    let net = net.init(&mut Rng::new(4), &device()).unwrap();
    Layer::Autoregressive(Autoregressive::new(net, order.to_vec(), univariate))
}

fn split() -> Layer {
    let net = ImageNetConfig { shape: [1, 2, 4], context: 0, channels: 4, body: Body::Residual(0), outputs: 2 };
    let net = net.init(&mut Rng::new(5), &device());
    let prior = Coupling::new(net, Mask::Halves(Part::First), Univariate::Affine(Scale::Soft), &device());
    let rest = vec![Layer::Conv1x1(Conv1x1::new([2, 2, 2], &mut Rng::new(6), &device())), planar(8)];
    Layer::Split(Split { prior, rest })
}

fn planar(features: usize) -> Layer {
    Layer::Planar(Planar::new(features, &mut Rng::new(2), &device()))
}

/// All layers of a flow of pictures `[1, 4, 4]`.
fn whole(architecture: &str) -> Layer {
    let config: FlowConfig = serde_json::from_str(&format!(r#"{{"architecture": {architecture}}}"#)).unwrap();
    Layer::Chain(config.init(&[1, 4, 4], None, &mut Rng::new(8), &device()).unwrap().bijection)
}

/// One line a bijection: its name, the width of a row, the layer.
fn table() -> Vec<(&'static str, usize, Layer)> {
    let rng = || Rng::new(7);
    let affine = Univariate::Affine(Scale::Soft);
    let glow = Univariate::Affine(Scale::Sigmoid);
    let elementwise = |univariate| Layer::Elementwise(Elementwise::new(3, univariate, &device()));
    vec![
        ("elementwise additive", 3, elementwise(Univariate::Additive)),
        ("elementwise affine", 3, elementwise(affine)),
        ("elementwise sigmoid", 3, elementwise(glow)),
        ("elementwise between a half and one", 3, elementwise(Univariate::Affine(Scale::Half))),
        ("elementwise exponential", 3, elementwise(Univariate::Affine(Scale::Exponential))),
        ("elementwise spline", 3, elementwise(SPLINE)),
        ("permutation", 4, Layer::Permutation(Permutation::new(&[2, 0, 3, 1], &device()).unwrap())),
        ("squeeze", 16, Layer::Squeeze(Squeeze::new(SHAPE).unwrap())),
        ("plu", 5, Layer::Plu(Plu::new(5, &mut rng(), &device()))),
        ("qr", 5, Layer::Qr(Qr::new(5, &mut rng(), &device()))),
        ("1x1 convolution", 12, Layer::Conv1x1(Conv1x1::new([3, 2, 2], &mut rng(), &device()))),
        ("actnorm", 6, Layer::ActNorm(ActNorm::new(3, &device()))),
        ("planar", 3, planar(3)),
        ("radial", 3, Layer::Radial(Radial::new(3, &mut rng(), &device()))),
        ("sylvester", 5, Layer::Sylvester(Sylvester::new(5, 3, &mut rng(), &device()).unwrap())),
        ("nice", 5, mlp_coupling(5, Part::First, Univariate::Additive, 0)),
        ("realnvp", 5, mlp_coupling(5, Part::Second, affine, 0)),
        ("glow's coupling", 4, mlp_coupling(4, Part::First, glow, 0)),
        ("spline coupling", 5, mlp_coupling(5, Part::First, SPLINE, 0)),
        ("spline coupling of the first half", 2, mlp_coupling(2, Part::Second, SPLINE, 0)),
        ("checkerboard", 16, image_coupling(Mask::Checkerboard(SHAPE, Part::First), Body::Residual(1))),
        ("the other checkerboard", 16, image_coupling(Mask::Checkerboard(SHAPE, Part::Second), Body::Pointwise)),
        ("channels", 16, image_coupling(Mask::Halves(Part::Second), Body::Pointwise)),
        ("maf", 4, autoregressive(&[0, 1, 2, 3], affine, 0)),
        ("maf in another order", 4, autoregressive(&[2, 0, 3, 1], affine, 0)),
        ("maf of one column", 1, autoregressive(&[0], affine, 0)),
        ("autoregressive spline", 3, autoregressive(&[2, 1, 0], SPLINE, 0)),
        ("iaf", 4, Layer::Inverse(Inverse { of: vec![autoregressive(&[0, 1, 2, 3], affine, 0)] })),
        ("inverse planar", 3, Layer::Inverse(Inverse { of: vec![planar(3), planar(3)] })),
        ("split", 16, split()),
        ("logit", 3, Layer::Logit(Logit::new(-4.0, 4.0, 0.05).unwrap())),
        ("a whole RealNVP", 16, whole(r#"{"kind": "real-nvp", "couplings": 1, "channels": 4, "blocks": 1}"#)),
        ("a whole Glow", 16, whole(r#"{"kind": "glow", "levels": 2, "steps": 1, "channels": 4}"#)),
        ("chain", 3, Layer::Chain(vec![planar(3), elementwise(affine), autoregressive(&[1, 0, 2], SPLINE, 0)])),
    ]
}

fn values<const D: usize>(x: &Tensor<D>) -> Vec<f32> {
    x.to_data().iter::<f32>().collect()
}

fn rows(values: Vec<f32>, features: usize) -> Rows {
    let count = values.len() / features;
    Tensor::from_data(TensorData::new(values, [count, features]), &device())
}

/// Points with a deviation of 1.3: splines see both their inside and their tails.
fn points(count: usize, features: usize) -> Rows {
    rows(Rng::new(11).normal(count, features).into_iter().map(|v| 1.3 * v).collect(), features)
}

/// The layer with every trained parameter moved by a normal number, so that nothing stands at its start.
fn moved(layer: Layer, by: f32) -> Layer {
    let mut rng = Rng::new(12);
    let frozen = ["p", "sign_s", "initialised"];
    let weights = collect(&layer)
        .into_iter()
        .map(|(name, array)| {
            let noise = rng.normal(1, array.values.len());
            let still = frozen.contains(&name.rsplit('.').next().unwrap());
            let values = array.values.iter().zip(noise).map(|(v, e)| if still { *v } else { v + by * e }).collect();
            (name, Array { values, ..array })
        })
        .collect();
    apply(layer, &weights).unwrap()
}

/// How far the parameters are moved: many layers one after another magnify rounding.
fn by(name: &str) -> f32 {
    if name.starts_with("a whole") { 0.1 } else { 0.3 }
}

fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    // `max` would ignore NaN.
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |most, d| if d > most || d.is_nan() { d } else { most })
}

#[test]
fn forth_and_back_is_where_we_were_and_log_determinants_cancel() {
    for (name, features, layer) in table() {
        let layer = moved(layer, by(name));
        let x = points(200, features);
        let (z, forth) = layer.forward_and_log_det(x.clone());
        let (back, inverse) = layer.inverse_and_log_det(z.clone());
        assert_eq!((z.dims(), forth.dims()), ([200, features], [200]), "{name}");
        let error = worst(&values(&x), &values(&back));
        assert!(error < 1e-4, "{name}: round trip off by {error}");
        let sum = worst(&values(&forth), &values(&-inverse));
        assert!(sum < 2e-4, "{name}: log-determinants differ by {sum}");

        // The other way round, from noise.
        let z = if name == "logit" { points(200, features) } else { z };
        let (x, _) = layer.inverse_and_log_det(z.clone());
        let error = worst(&values(&z), &values(&layer.forward_and_log_det(x).0));
        assert!(error < 1e-4, "{name}: from noise and back, off by {error}");
    }
}

/// `log |det|` of a small matrix by elimination, in double precision.
fn log_abs_det(mut m: Vec<Vec<f64>>) -> f64 {
    let n = m.len();
    let mut total = 0.0;
    for column in 0..n {
        let pivot = (column..n).max_by(|a, b| m[*a][column].abs().total_cmp(&m[*b][column].abs())).unwrap();
        m.swap(column, pivot);
        total += m[column][column].abs().ln();
        let top = m[column].clone();
        for row in &mut m[column + 1..] {
            let factor = row[column] / top[column];
            row.iter_mut().zip(&top).for_each(|(value, top)| *value -= factor * top);
        }
    }
    total
}

/// `log |det ∂y/∂x|` of each row from the full Jacobian, by as many backward passes as there are columns.
fn by_jacobian(map: impl Fn(Rows) -> Rows, x: &Rows) -> Vec<f32> {
    let [count, features] = x.dims();
    let gradients: Vec<Vec<f32>> = (0..features)
        .map(|column| {
            let x = x.clone().autodiff().require_grad();
            let gradients = map(x.clone()).narrow(1, column, 1).sum().backward();
            values(&x.grad(&gradients).expect("the output depends on the input"))
        })
        .collect();
    let jacobian = |row: usize| {
        gradients.iter().map(|of| of[row * features..][..features].iter().map(|g| f64::from(*g)).collect()).collect()
    };
    (0..count).map(|row| log_abs_det(jacobian(row)) as f32).collect()
}

#[test]
fn log_determinants_are_those_of_the_full_jacobian_in_both_directions() {
    for (name, features, layer) in table() {
        let layer = moved(layer, by(name)).train();
        let x = points(9, features);
        let (z, forth) = layer.forward_and_log_det(x.clone().autodiff());
        let z = z.inner();
        let (_, back) = layer.inverse_and_log_det(z.clone().autodiff());
        let forward = worst(&values(&forth.inner()), &by_jacobian(|x| layer.forward_and_log_det(x).0, &x));
        let inverse = worst(&values(&back.inner()), &by_jacobian(|z| layer.inverse_and_log_det(z).0, &z));
        assert!(forward < 1e-4 * features as f32, "{name}: forward off by {forward}");
        assert!(inverse < 2e-4 * features as f32, "{name}: inverse off by {inverse}");
    }
}

/// Parameters that have no gradient although they are trained.
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
        let value = param.val();
        if !value.is_require_grad() {
            return;
        }
        let gradient = value.grad(self.gradients).map_or(0.0, |gradient| {
            let values = values(&gradient);
            assert!(values.iter().all(|v| v.is_finite()), "{} has a gradient that is not finite", self.path.join("."));
            values.iter().map(|v| v.abs()).sum::<f32>()
        });
        if gradient == 0.0 {
            self.missing.push(self.path.join("."));
        }
    }
}

#[test]
fn every_parameter_receives_a_gradient_in_both_directions() {
    for (name, features, layer) in table() {
        let layer = moved(layer, by(name)).train();
        let x = points(64, features).autodiff();
        // Of a single column there is nothing to see: all its connections are cut.
        let no_parameters = layer.num_params() == 0 || name == "maf of one column";
        type Map = fn(&Layer, Rows) -> (Rows, Tensor<1>);
        let maps: [(Map, Rows); 2] = [
            (Layer::forward_and_log_det, x.clone()),
            (Layer::inverse_and_log_det, layer.forward_and_log_det(x).0.detach()),
        ];
        for (map, x) in maps {
            if no_parameters {
                continue;
            }
            let (z, log_det) = map(&layer, x);
            let weights = rows((1..=z.dims()[1]).map(|v| v as f32).collect(), z.dims()[1]);
            let gradients = ((z.square() * weights).sum() + log_det.sum()).backward();
            let mut visitor = Gradless { gradients: &gradients, path: Vec::new(), missing: Vec::new() };
            layer.visit(&mut visitor);
            assert!(visitor.missing.is_empty(), "{name}: no gradient for {:?}", visitor.missing);
        }
    }
}

#[test]
fn what_is_saved_is_what_is_loaded() {
    for ((name, features, layer), (_, _, other)) in table().into_iter().zip(table()) {
        let layer = moved(layer, 0.5);
        let loaded = apply(other, &collect(&layer)).unwrap();
        let x = points(20, features);
        let ((z, a), (w, b)) = (layer.forward_and_log_det(x.clone()), loaded.forward_and_log_det(x));
        assert_eq!((values(&z), values(&a)), (values(&w), values(&b)), "{name}");
    }
}

#[test]
fn a_row_does_not_depend_on_its_company() {
    for (name, features, layer) in table() {
        let layer = moved(layer, by(name));
        let x = points(70, features);
        let (z, log_det) = layer.forward_and_log_det(x.clone());
        let (back, _) = layer.inverse_and_log_det(z.clone());
        for (first, count) in [(0, 1), (5, 3), (33, 37)] {
            let (part, part_log_det) = layer.forward_and_log_det(x.clone().narrow(0, first, count));
            let (part_back, _) = layer.inverse_and_log_det(z.clone().narrow(0, first, count));
            let slice = |x: &Rows| values(&x.clone().narrow(0, first, count));
            assert_eq!(slice(&z), values(&part), "{name}");
            assert_eq!(slice(&back), values(&part_back), "{name}, inverse");
            assert_eq!(values(&log_det.clone().narrow(0, first, count)), values(&part_log_det), "{name}");
        }
    }
}

#[test]
fn autoregressive_means_that_a_column_sees_only_those_before_it() {
    for order in [vec![0, 1, 2, 3], vec![2, 0, 3, 1]] {
        let layer = moved(autoregressive(&order, Univariate::Affine(Scale::Soft), 0), 0.5).train();
        let x = points(1, 4);
        for output in 0..4 {
            let x = x.clone().autodiff().require_grad();
            let gradients = layer.forward_and_log_det(x.clone()).0.narrow(1, output, 1).sum().backward();
            let seen = values(&x.grad(&gradients).unwrap());
            for input in 0..4 {
                assert_eq!(seen[input] != 0.0, order[input] <= order[output], "{order:?}: {input} in {output}");
            }
        }
    }
}

#[test]
fn couplings_and_autoregressive_maps_listen_to_their_context() {
    let context = points(6, 2);
    let (zero, x) = (context.zeros_like(), points(6, 4));
    for layer in [
        mlp_coupling(4, Part::First, SPLINE, 2),
        autoregressive(&[0, 1, 2, 3], Univariate::Affine(Scale::Soft), 2),
        Layer::Chain(vec![mlp_coupling(4, Part::Second, Univariate::Additive, 2)]),
    ] {
        let layer = moved(layer, 0.3);
        let (z, forth) = layer.forward_given(x.clone(), Some(&context));
        let (back, inverse) = layer.inverse_given(z.clone(), Some(&context));
        assert!(worst(&values(&x), &values(&back)) < 1e-4);
        assert!(worst(&values(&forth), &values(&-inverse)) < 1e-4);
        assert!(worst(&values(&z), &values(&layer.forward_given(x.clone(), Some(&zero)).0)) > 1e-3);
    }
}

/// Whatever a network asks for, the inverse of a coupling with half slopes at most doubles.
#[test]
fn half_slopes_bound_the_inverse() {
    let asked: Vec<f32> = [-1e30, -100.0, -2.0, 0.0, 100.0, 1e30].to_vec();
    let (n, z) = (asked.len(), 3.0);
    let parameters = Tensor::<2>::from_data(TensorData::new([vec![0.0; n], asked].concat(), [2, n]), &device());
    let z = rows(vec![z; n], n);
    let (x, slope) = Univariate::Affine(Scale::Half).inverse(z, parameters.unsqueeze());
    assert!(values(&x).iter().all(|x| (3.0..=6.0).contains(x)), "{x}");
    assert!(values(&slope).iter().all(|slope| (0.0..=0.693_148).contains(slope)), "{slope}");
}

#[test]
fn actnorm_starts_once_and_says_so_in_the_checkpoint() {
    // Two channels of three positions, with means 5 and −1 and deviations 2 and 0.5.
    let noise = Rng::new(1).normal(500, 6);
    let x: Vec<f32> =
        noise.iter().enumerate().map(|(at, e)| if at % 6 < 3 { 5.0 + 2.0 * e } else { -1.0 + 0.5 * e }).collect();
    let x = rows(x, 6);
    let fresh = ActNorm::new(2, &device());
    assert_eq!(values(&fresh.forward_and_log_det(x.clone()).0), values(&x));
    let started = fresh.started(&x, None);
    let z: Tensor<3> = started.forward_and_log_det(x.clone()).0.reshape([500, 2, 3]);
    for channel in 0..2 {
        let z = values(&z.clone().narrow(1, channel, 1));
        let mean = z.iter().sum::<f32>() / 1500.0;
        let variance = z.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 1500.0;
        assert!(mean.abs() < 1e-4 && (variance - 1.0).abs() < 1e-3, "{mean} {variance}");
    }
    let saved = collect(&started);
    assert_eq!(saved["initialised"].values, [1.0]);
    let loaded = apply(ActNorm::new(2, &device()), &saved).unwrap();
    let again = loaded.started(&(x * 10.0), None);
    assert_eq!(collect(&again), saved, "a loaded layer starts again");
}

#[test]
fn squeeze_takes_two_by_two_blocks_to_channels() {
    let x = rows((0..16).map(|v| v as f32).collect(), 16);
    let squeeze = Squeeze::new([1, 4, 4]).unwrap();
    let z = values(&squeeze.forward_and_log_det(x).0);
    // Channel by channel: upper left, upper right, lower left, lower right of each block.
    assert_eq!(z, [0., 2., 8., 10., 1., 3., 9., 11., 4., 6., 12., 14., 5., 7., 13., 15.]);
    assert!(Squeeze::new([1, 3, 4]).is_err());
}
