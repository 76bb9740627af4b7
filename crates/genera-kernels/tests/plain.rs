//! The plain expressions against their definitions, spelled out in f64.

mod common;

use burn::tensor::{Device, Tensor, TensorData};
use common::{Source, assert_near, values, wide};
use genera_kernels::{Activation, AdamW, AdamWTensors, AttentionMask, ConvOptions, LEAKY_SLOPE, SELU, plain};

fn definition(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Identity => x,
        Activation::Relu => x.max(0.0),
        Activation::LeakyRelu => x.max(f64::from(LEAKY_SLOPE) * x),
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Selu => f64::from(SELU.1) * if x > 0.0 { x } else { f64::from(SELU.0) * x.exp_m1() },
        // Φ by Simpson's rule on [0, x].
        Activation::Gelu => {
            let (n, end) = (2000, x.clamp(-9.0, 9.0));
            let density = |t: f64| (-0.5 * t * t).exp() / (2.0 * std::f64::consts::PI).sqrt();
            let weight = |i: usize| if i == 0 || i == n { 1.0 } else { 2.0 + 2.0 * (i % 2) as f64 };
            let step = end / n as f64;
            let area: f64 = (0..=n).map(|i| weight(i) * density(i as f64 * step)).sum();
            x * (0.5 + area * step / 3.0)
        }
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
    }
}

#[test]
fn activations_follow_their_definitions() {
    let grid: Vec<f32> = (-400..=400).map(|i| i as f32 * 0.0437 + 0.001).collect();
    for activation in Activation::ALL {
        let x = Tensor::<1>::from_data(TensorData::new(grid.clone(), [grid.len()]), &Device::flex().autodiff());
        let x = x.require_grad();
        let y = plain::activate(x.clone(), activation);
        let reference: Vec<f64> = grid.iter().map(|x| definition(activation, f64::from(*x))).collect();
        assert_near(&format!("{activation:?}"), &values(&y), &reference, 1e-6);

        let gradient = x.grad(&y.sum().backward()).unwrap();
        let h = 1e-5;
        let slope = |x: f64| (definition(activation, x + h) - definition(activation, x - h)) / (2.0 * h);
        let reference: Vec<f64> = grid.iter().map(|x| slope(f64::from(*x))).collect();
        assert_near(&format!("{activation:?}'"), &values(&gradient), &reference, 2e-6);
    }
}

#[test]
fn activations_are_finite_far_out() {
    let far = vec![-3e38, -1e4, -104.0, -88.8, -20.0, 0.0, 20.0, 88.8, 104.0, 1e4, 1e18];
    for activation in Activation::ALL {
        let x = Tensor::<1>::from_data(TensorData::new(far.clone(), [far.len()]), &Device::flex().autodiff());
        let x = x.require_grad();
        let y = plain::activate(x.clone(), activation);
        assert!(values(&y).iter().all(|y| y.is_finite()), "{activation:?}: {y}");
        let gradient = x.grad(&y.sum().backward()).unwrap();
        assert!(values(&gradient).iter().all(|y| y.is_finite()), "{activation:?}': {gradient}");
    }
}

#[test]
fn linear_is_a_matrix_product() {
    let mut source = Source::new(1);
    let (x, weight, bias) = (source.normal([2, 3, 5]), source.normal([4, 5]), source.normal([4]));
    let y = plain::linear(x.clone(), weight.clone(), Some(bias.clone()), Activation::Tanh);
    assert_eq!(y.dims(), [2, 3, 4]);
    let (x, weight, bias) = (wide(&x), wide(&weight), wide(&bias));
    let dot = |row: usize, o: usize| (0..5).map(|i| x[row * 5 + i] * weight[o * 5 + i]).sum::<f64>();
    let reference: Vec<f64> = (0..24).map(|at| (dot(at / 4, at % 4) + bias[at % 4]).tanh()).collect();
    assert_near("linear", &values(&y), &reference, 1e-6);
}

#[test]
fn convolution_with_every_option() {
    let mut source = Source::new(2);
    let options = ConvOptions { stride: [2, 1], padding: [[0, 3], [2, 1]], dilation: [1, 2], groups: 2 };
    let (x, weight) = (source.normal([2, 7, 6, 4]), source.normal([6, 2, 3, 2]));
    let bias = source.normal([6]);
    let [height, width] = options.output_size([7, 6], [3, 2]).unwrap();
    let residual = source.normal([2, height, width, 6]);
    let y = plain::conv2d(x.clone(), weight.clone(), Some(bias.clone()), Some(residual.clone()), options);
    assert_eq!(y.dims(), [2, height, width, 6]);

    let (x, weight, bias, residual) = (wide(&x), wide(&weight), wide(&bias), wide(&residual));
    let pixel = |b: usize, h: isize, w: isize, c: usize| {
        let inside = (0..7).contains(&h) && (0..6).contains(&w);
        if inside { x[((b * 7 + h as usize) * 6 + w as usize) * 4 + c] } else { 0.0 }
    };
    let mut reference = Vec::new();
    for b in 0..2 {
        for h in 0..height {
            for w in 0..width {
                for o in 0..6 {
                    let mut sum = bias[o] + residual[reference.len()];
                    for (i, u, v) in (0..2).flat_map(|i| (0..3).flat_map(move |u| (0..2).map(move |v| (i, u, v)))) {
                        let at = ((2 * h + u) as isize, (w + 2 * v) as isize - 2);
                        sum += weight[((o * 2 + i) * 3 + u) * 2 + v] * pixel(b, at.0, at.1, o / 3 * 2 + i);
                    }
                    reference.push(sum);
                }
            }
        }
    }
    assert_near("conv2d", &values(&y), &reference, 1e-6);
}

/// `<conv(image), y> = <image, convᵀ(y)>`.
#[test]
fn transposed_convolution_is_the_adjoint() {
    let mut source = Source::new(9);
    let options = ConvOptions { stride: [2, 3], padding: [[0, 3], [2, 1]], dilation: [1, 2], groups: 2 };
    let (image, weight) = (source.normal([2, 8, 7, 4]), source.normal([6, 2, 3, 2]));
    let [height, width] = options.output_size([8, 7], [3, 2]).unwrap();
    let y = source.normal([2, height, width, 6]);
    let forth = plain::conv2d(image.clone(), weight.clone(), None, None, options) * y.clone();
    let back = plain::conv_transpose2d(y, weight, None, [8, 7], options) * image;
    let [forth, back] = [forth, back].map(|products| wide(&products).iter().sum::<f64>());
    assert!((forth - back).abs() < 1e-4, "{forth} {back}");
}

#[test]
fn output_sizes() {
    assert_eq!(ConvOptions::same(3).output_size([7, 5], [3, 3]), Some([7, 5]));
    assert_eq!(ConvOptions { stride: [2; 2], ..ConvOptions::same(3) }.output_size([7, 8], [3, 3]), Some([4, 4]));
    assert_eq!(ConvOptions::default().output_size([2, 2], [3, 3]), None);
}

fn normalised(x: &[f64]) -> Vec<f64> {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
    x.iter().map(|x| (x - mean) / (variance + 1e-5).sqrt()).collect()
}

#[test]
fn norms_normalise() {
    let mut source = Source::new(3);
    let (x, weight, bias) = (source.normal([2, 3, 5, 6]), source.normal([6]), source.normal([6]));
    let y = plain::group_norm(x.clone(), weight.clone(), bias.clone(), 2, 1e-5, Activation::Silu);
    let z = plain::layer_norm(x.clone(), weight.clone(), bias.clone(), 1e-5, Activation::Identity);
    let (x, weight, bias) = (wide(&x), wide(&weight), wide(&bias));

    let mut reference = vec![0.0; x.len()];
    for (b, g) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let at: Vec<usize> = (0..15).flat_map(|p| (0..3).map(move |c| (b * 15 + p) * 6 + g * 3 + c)).collect();
        let normal = normalised(&at.iter().map(|i| x[*i]).collect::<Vec<_>>());
        for (i, normal) in at.into_iter().zip(normal) {
            reference[i] = definition(Activation::Silu, normal * weight[i % 6] + bias[i % 6]);
        }
    }
    assert_near("group_norm", &values(&y), &reference, 1e-6);

    let reference: Vec<f64> = x
        .chunks(6)
        .flat_map(|row| {
            normalised(row).into_iter().enumerate().map(|(c, x)| x * weight[c] + bias[c]).collect::<Vec<_>>()
        })
        .collect();
    assert_near("layer_norm", &values(&z), &reference, 1e-6);
}

#[test]
fn attention_averages_values() {
    let mut source = Source::new(4);
    let (q, k, v) = (source.normal([2, 2, 3, 4]), source.normal([2, 2, 5, 4]), source.normal([2, 2, 5, 6]));
    for mask in [AttentionMask::Full, AttentionMask::Causal] {
        let y = plain::attention(q.clone(), k.clone(), v.clone(), 0.5, mask);
        assert_eq!(y.dims(), [2, 2, 3, 6]);
        let (q, k, v) = (wide(&q), wide(&k), wide(&v));
        let mut reference = Vec::new();
        for (head, i) in (0..4).flat_map(|head| (0..3).map(move |i| (head, i))) {
            let visible = if mask == AttentionMask::Causal { i + 3 } else { 5 };
            let score = |j: usize| (0..4).map(|d| q[(head * 3 + i) * 4 + d] * k[(head * 5 + j) * 4 + d]).sum::<f64>();
            let weight: Vec<f64> = (0..visible).map(|j| (0.5 * score(j)).exp()).collect();
            let total: f64 = weight.iter().sum();
            reference.extend(
                (0..6).map(|e| (0..visible).map(|j| weight[j] * v[(head * 5 + j) * 6 + e]).sum::<f64>() / total),
            );
        }
        assert_near("attention", &values(&y), &reference, 1e-6);
    }
}

#[test]
fn resampling() {
    let x = Tensor::<4>::from_data(
        TensorData::new((0..12).map(|i| i as f32).collect::<Vec<_>>(), [1, 3, 2, 2]),
        &Device::flex(),
    );
    assert_eq!(values(&plain::avg_pool2x2(x.clone())), [3.0, 4.0]);
    let y = plain::upsample_nearest2x(x);
    assert_eq!(y.dims(), [1, 6, 4, 2]);
    assert_eq!(values(&y)[8..16], [0.0, 1.0, 0.0, 1.0, 2.0, 3.0, 2.0, 3.0]);
}

/// The numbers are those of `torch.optim.AdamW([0.5, -1.5, 2.0], lr=0.1, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.2)`
/// in double precision with the gradients `p²`, three steps; the average has decay 0.75.
#[test]
fn adamw_is_that_of_pytorch() {
    let device = Device::flex();
    let start = Tensor::<1>::from_floats([0.5, -1.5, 2.0], &device);
    let zeros = Tensor::<1>::zeros([3], &device);
    let mut tensors = AdamWTensors { parameter: start.clone(), m: zeros.clone(), v: zeros, average: Some(start) };
    for step in 1..=3 {
        let gradient = tensors.parameter.clone().square();
        let options = AdamW {
            learning_rate: 0.1,
            beta_1: 0.8,
            beta_2: 0.9,
            eps: 1e-3,
            weight_decay: 0.2,
            step,
            average_decay: 0.75,
        };
        tensors = plain::adamw_step(tensors, gradient, &options);
    }
    assert_near("parameter", &values(&tensors.parameter), &PYTORCH_PARAMETER, 1e-7);
    assert_near("average", &values(&tensors.average.unwrap()), &PYTORCH_AVERAGE, 1e-7);
}

const PYTORCH_PARAMETER: [f64; 3] = [0.19424293686981553, -1.706286485769988, 1.5909737541463087];
const PYTORCH_AVERAGE: [f64; 3] = [0.3682725332974986, -1.587411024788585, 1.8262227844643981];

#[test]
fn sum_of_squares_is_wide() {
    let x = Tensor::<1>::from_floats([1e4, 1.0, 1.0], &Device::flex());
    assert_eq!(plain::sum_of_squares(x), 1e8 + 2.0);
}
