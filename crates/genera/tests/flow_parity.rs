//! Against zuko and normflows with their weights; the golden file is written by `parity/flows.py`.

use genera::Rng;
use genera::burn::module::Module;
use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::flow::{
    ActNorm, Autoregressive, Base, Body, Conv1x1, Coupling, ImageNetConfig, Layer, Mask, MaskedMlpConfig, Part, Planar,
    Radial, Scale, StandardNormal, Transform, Univariate,
};
use genera::nn::Activation;
use genera::traits::{Bijection, Density, Rows};
use genera::weights::{Weights, apply, read};

const TOLERANCE: f32 = 1e-4;

struct Case {
    name: &'static str,
    golden: Weights,
}

impl Case {
    fn open(name: &'static str) -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../parity/golden/flows.safetensors");
        Self { name, golden: read(path).unwrap() }
    }

    fn values(&self, of: &str) -> Vec<f32> {
        self.golden[&format!("{}/{of}", self.name)].values.clone()
    }

    fn rows(&self, of: &str) -> Rows {
        let array = &self.golden[&format!("{}/{of}", self.name)];
        let shape = [array.shape[0], array.shape[1]];
        Tensor::from_data(TensorData::new(array.values.clone(), shape), &Device::flex())
    }

    /// `module` with the weights of this case.
    fn with_weights<M: Module>(&self, module: M) -> M {
        let prefix = format!("{}/weights", self.name);
        let of_case = self.golden.iter().filter_map(|(key, array)| {
            let name = key.strip_prefix(&prefix)?.replace('/', ".");
            Some((name.trim_start_matches('.').to_owned(), array.clone()))
        });
        apply(module, &of_case.collect()).unwrap()
    }

    fn agrees<const D: usize>(&self, what: &str, found: Tensor<D>) {
        let expected = self.values(what);
        let found: Vec<f32> = found.to_data().iter::<f32>().collect();
        assert_eq!(found.len(), expected.len(), "{} {what}", self.name);
        let error = found.iter().zip(&expected).map(|(f, e)| (f - e).abs() / e.abs().max(1.0));
        let error = error.fold(0.0, |most, e| if e > most || e.is_nan() { e } else { most });
        println!("{} {what}: {error:.1e}", self.name);
        assert!(error < TOLERANCE, "{} {what}: {error}", self.name);
    }
}

/// zuko's chain of masked transforms in ascending and descending order.
fn chain(layers: usize, context: usize, univariate: Univariate) -> Vec<Layer> {
    let one = |at: usize| {
        let order: Vec<usize> = if at.is_multiple_of(2) { vec![0, 1, 2] } else { vec![2, 1, 0] };
        let net = MaskedMlpConfig {
            order: order.clone(),
            context,
            hidden: vec![16, 16],
            parameters: univariate.parameters(),
            activation: Activation::Silu,
        };
        let net = net.init(&mut Rng::new(0), &Device::flex()).unwrap();
        Layer::Autoregressive(Autoregressive::new(net, order, univariate))
    };
    (0..layers).map(one).collect()
}

#[test]
fn autoregressive_flows_are_those_of_zuko() {
    let affine = Univariate::Affine(Scale::Soft);
    let spline = Univariate::Spline { bins: 6, bound: 5.0 };
    for (name, layers, width, univariate) in
        [("maf", 3, 0, affine), ("maf-context", 2, 2, affine), ("nsf", 2, 0, spline)]
    {
        let case = Case::open(name);
        let flow = case.with_weights(chain(layers, width, univariate));
        let context = (width > 0).then(|| case.rows("context"));
        let (z, log_det) = flow.forward_given(case.rows("x"), context.as_ref());
        let base = StandardNormal::new(3, &Device::flex());
        assert_eq!(base.classes(), None);
        case.agrees("log_prob", base.log_prob(z) + log_det);
        case.agrees("sample", flow.inverse_given(case.rows("noise"), context.as_ref()).0);
    }
}

#[test]
fn planar_and_radial_flows_are_those_of_normflows() {
    let (rng, device) = (&mut Rng::new(0), &Device::flex());
    let planar = Case::open("planar");
    let (z, log_det) = planar.with_weights(Planar::new(3, rng, device)).forward_and_log_det(planar.rows("x"));
    planar.agrees("z", z);
    planar.agrees("log_det", log_det);
    let radial = Case::open("radial");
    let (z, log_det) = radial.with_weights(Radial::new(3, rng, device)).forward_and_log_det(radial.rows("x"));
    radial.agrees("z", z);
    radial.agrees("log_det", log_det);
}

#[test]
fn a_step_of_glow_is_that_of_normflows() {
    let (rng, device) = (&mut Rng::new(0), &Device::flex());
    let net = ImageNetConfig { shape: [2, 4, 6], context: 0, channels: 6, body: Body::Pointwise, outputs: 4 };
    let coupling =
        Coupling::new(net.init(rng, device), Mask::Halves(Part::First), Univariate::Affine(Scale::Sigmoid), device);
    let step = vec![
        Layer::ActNorm(ActNorm::new(4, device)),
        Layer::Conv1x1(Conv1x1::new([4, 4, 6], rng, device)),
        Layer::ImageCoupling(coupling),
    ];
    let case = Case::open("glow");
    let step = case.with_weights(step);
    let (z, log_det) = step.forward_and_log_det(case.rows("x"));
    case.agrees("z", z);
    case.agrees("log_det", log_det);
    case.agrees("sample", step.inverse_and_log_det(case.rows("noise")).0);
}
