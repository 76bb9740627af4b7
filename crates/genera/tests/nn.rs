//! Networks: shapes, initial weights, gradients, and what the rows of a batch may know of each other.

use genera::Rng;
use genera::burn::module::{Module, ModuleVisitor, Param};
use genera::burn::tensor::{Device, Gradients, Int, Tensor, TensorData};
use genera::nn::unet::{DownBlockType, UpBlockType};
use genera::nn::{
    Activation, ConditionalMlpConfig, ConditionalResNetConfig, Conditioned, Conv2d, ConvOptions, Embedding, Halves,
    Linear, MlpConfig, ResidualMlpConfig, UNetConfig, images, rows, sinusoids,
};
use genera::traits::{Net, Rows};

const SHAPE: [usize; 3] = [2, 4, 3];

fn device() -> Device {
    Device::flex()
}

fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.try_into_vec_as::<f32>().unwrap()
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), &device())
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn noisy(batch: usize, features: usize, labels: Option<Vec<i32>>) -> Conditioned {
    let mut rng = Rng::new(3).fork("input");
    Conditioned {
        x: tensor(rng.normal(batch, features), [batch, features]),
        time: tensor(rng.uniform(1, batch).into_iter().map(|u| u * 999.0).collect(), [batch]),
        labels: labels.map(|labels| Tensor::<1, Int>::from_data(TensorData::new(labels, [batch]), &device())),
    }
}

/// The name of every parameter that has no gradient, and the number of those that have one.
struct Gradless<'a> {
    gradients: &'a Gradients,
    path: Vec<String>,
    missing: Vec<String>,
    found: usize,
}

impl ModuleVisitor for Gradless<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        match param.val().grad(self.gradients) {
            Some(gradient) if values(gradient.clone().abs().sum())[0] > 0.0 => self.found += 1,
            _ => self.missing.push(self.path.join(".")),
        }
    }
}

fn every_parameter_learns<I>(net: impl Module + Net<I, Rows>, input: I) {
    let net = net.train();
    let gradients = net.forward(input).square().sum().backward();
    let mut visitor = Gradless { gradients: &gradients, path: Vec::new(), missing: Vec::new(), found: 0 };
    net.visit(&mut visitor);
    assert!(visitor.missing.is_empty(), "no gradient for {:?}", visitor.missing);
    assert!(visitor.found > 0);
}

/// Not even by rounding: a sample has the same bits in a batch of any size.
fn rows_do_not_see_each_other(net: &impl Net<Conditioned>, input: Conditioned) {
    let whole = values(net.forward(input.clone()));
    let [batch, features] = input.x.dims();
    for row in 0..batch {
        let alone = net.forward(Conditioned {
            x: input.x.clone().narrow(0, row, 1),
            time: input.time.clone().narrow(0, row, 1),
            labels: input.labels.clone().map(|labels| labels.narrow(0, row, 1)),
        });
        assert_eq!(values(alone), whole[row * features..(row + 1) * features], "row {row} differs when alone");
    }
}

#[test]
fn initial_weights_are_uniform_and_reproducible() {
    let make = |seed| Linear::new(64, 500, &mut Rng::new(seed), &device());
    let weight = values(make(0).weight.val());
    assert_eq!(weight, values(make(0).weight.val()));
    assert_ne!(weight, values(make(1).weight.val()));
    let bound = 1.0 / 8.0;
    assert!(weight.iter().all(|w| w.abs() <= bound));
    // Five standard errors of the second moment of 32 000 uniform numbers, whose kurtosis is 9/5.
    let moment = weight.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>() / 32_000.0;
    let expected = f64::from(bound).powi(2) / 3.0;
    assert!((moment / expected - 1.0).abs() < 5.0 * (0.8_f64 / 32_000.0).sqrt(), "{moment} is not {expected}");

    // The draw belongs to the place in the network, not to the moment of the first reading.
    let (early, late) = (make(0), make(0));
    let bias = values(late.bias.unwrap().val());
    assert_eq!(values(early.weight.val()), values(late.weight.val()));
    assert_eq!(values(early.bias.unwrap().val()), bias);
    assert_ne!(&values(early.weight.val())[..500], bias);

    let depthwise = ConvOptions { groups: 4, ..ConvOptions::same(3) };
    let conv = Conv2d::new(4, 8, 3, depthwise, &mut Rng::new(0), &device());
    assert_eq!(conv.weight.dims(), [8, 1, 3, 3]);
    let largest = values(conv.weight.val()).into_iter().map(f32::abs).fold(0.0, f32::max);
    assert!(largest <= 1.0 / 3.0 && largest > 0.25);
}

#[test]
fn linear_and_embedding_are_what_they_say() {
    let mut linear = Linear::new(2, 3, &mut Rng::new(0), &device());
    linear.weight = Param::from_tensor(tensor(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [3, 2]));
    linear.bias = Some(Param::from_tensor(tensor(vec![-20.0, 0.5, 0.0], [3])));
    let x = tensor(vec![1.0, 10.0], [1, 1, 2]);
    assert_eq!(values(linear.forward(x.clone())), [1.0, 43.5, 65.0]);
    linear.bias = Some(Param::from_tensor(tensor(vec![-30.0, 0.5, 0.0], [3])));
    assert_eq!(values(linear.forward_into(x, Activation::Relu)), [0.0, 43.5, 65.0]);

    let table = Embedding::new(4, 3, &mut Rng::new(0), &device());
    let all = values(table.weight.val());
    let picked = values(table.forward(Tensor::<1, Int>::from_data([2, 0], &device())));
    assert_eq!(table.classes(), 4);
    assert_eq!(picked, [&all[6..9], &all[0..3]].concat());
}

#[test]
fn images_store_channels_last_and_rows_first() {
    let x: Vec<f32> = (0..48).map(|i| i as f32).collect();
    let image = images(tensor(x.clone(), [2, 24]), SHAPE);
    assert_eq!(image.dims(), [2, 4, 3, 2]);
    // Image 1, row 2, column 1, channel 1 is element 24 + (1 · 4 + 2) · 3 + 1 of the rows.
    assert_eq!(values(image.clone())[24 + (2 * 3 + 1) * 2 + 1], 43.0);
    assert_eq!(values(rows(image)), x);
}

#[test]
fn sinusoids_by_hand() {
    let time = [0.0, 1.5, 700.0];
    let embed = |width, shift, halves| values(sinusoids(tensor(time.to_vec(), [3]), width, shift, halves));
    let wave = |t: f32, i: i32, last: f64| f64::from(t) * 10_000.0_f64.powf(-f64::from(i) / last);
    let expected = |last: f64| -> Vec<f32> {
        let row =
            |t: f32| [wave(t, 0, last).sin(), wave(t, 1, last).sin(), wave(t, 0, last).cos(), wave(t, 1, last).cos()];
        time.iter().flat_map(|t| row(*t)).map(|value| value as f32).collect()
    };
    assert!(largest_difference(&embed(4, 0.0, Halves::SinCos), &expected(2.0)) < 1e-5);
    assert!(largest_difference(&embed(4, 1.0, Halves::SinCos), &expected(1.0)) < 1e-5);
    let flipped = embed(4, 0.0, Halves::CosSin);
    let unflipped: Vec<f32> = flipped.chunks(4).flat_map(|row| [row[2], row[3], row[0], row[1]]).collect();
    assert!(largest_difference(&unflipped, &expected(2.0)) < 1e-5);
    let odd = embed(5, 0.0, Halves::SinCos);
    assert!(odd.chunks(5).all(|row| row[4] == 0.0));
}

#[test]
fn mlp() {
    let config = MlpConfig { inputs: 3, hidden: vec![5, 4], outputs: 2, activation: Activation::Tanh };
    let net = config.init(&mut Rng::new(0), &device());
    assert_eq!(net.num_params(), 3 * 5 + 5 + 5 * 4 + 4 + 4 * 2 + 2);
    assert_eq!(net.forward(noisy(7, 3, None).x).dims(), [7, 2]);
    every_parameter_learns(net, noisy(7, 3, None).x);
    let affine = MlpConfig { hidden: vec![], ..config }.init(&mut Rng::new(0), &device());
    let x = noisy(4, 3, None).x;
    let (twice, once, zero) = (x.clone() * 2.0, x.clone(), x * 0.0);
    let curvature = affine.forward(twice) - affine.forward(once) * 2.0 + affine.forward(zero);
    assert!(values(curvature).into_iter().all(|value| value.abs() < 1e-5), "no activation follows the last layer");
}

#[test]
fn conditional_networks() {
    let labels = vec![0, 2, 1];
    let input = noisy(3, 24, Some(labels));
    macro_rules! check {
        ($init:expr) => {{
            let init = $init;
            let net = init(Some(3), &mut Rng::new(0));
            let y = net.forward(input.clone());
            assert_eq!(y.dims(), [3, 24]);
            assert_eq!(values(y.clone()), values(init(Some(3), &mut Rng::new(0)).forward(input.clone())));
            rows_do_not_see_each_other(&net, input.clone());
            let earlier = Conditioned { time: input.time.clone() * 0.5, ..input.clone() };
            assert!(largest_difference(&values(y.clone()), &values(net.forward(earlier))) > 1e-4);
            let unlabelled = Conditioned { labels: None, ..input.clone() };
            assert!(largest_difference(&values(y), &values(net.forward(unlabelled.clone()))) > 1e-4);
            every_parameter_learns(net, input.clone());
            every_parameter_learns(init(None, &mut Rng::new(0)), unlabelled);
        }};
    }
    check!(|classes, rng: &mut Rng| ConditionalMlpConfig::default().init(24, classes, rng, &device()));
    check!(|classes, rng: &mut Rng| ResidualMlpConfig::default().init(24, classes, rng, &device()));
    let resnet = ConditionalResNetConfig { channels: 8, blocks: 2, width: 16 };
    check!(|classes, rng: &mut Rng| resnet.init(SHAPE, classes, rng, &device()));
    let unet = UNetConfig {
        block_out_channels: vec![8, 16],
        down_block_types: vec![DownBlockType::AttnDownBlock2D, DownBlockType::DownBlock2D],
        up_block_types: vec![UpBlockType::UpBlock2D, UpBlockType::AttnUpBlock2D],
        norm_num_groups: 4,
        ..UNetConfig::default()
    };
    check!(|classes, rng: &mut Rng| unet.clone().on([2, 6, 2], classes).init(rng, &device()).unwrap());
}
