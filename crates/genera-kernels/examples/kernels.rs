//! Times every kernel against the plain expression, in turn, on shapes of the default recipes: forward, and forward
//! with backward. Medians in milliseconds; arguments select rows by substring.

use std::time::Instant;

use burn::tensor::{Device, Distribution, Gradients, Tensor};
use genera_kernels::{
    Activation, AdamW, AdamWTensors, AttentionMask, ConvOptions, adamw_step, attention, conv2d, group_norm, layer_norm,
    linear, plain,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Runs both sides in turn and prints one row.
fn row(name: &str, flops: f64, mut kernel: impl FnMut(), mut plain: impl FnMut()) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.is_empty() && !arguments.iter().any(|part| name.contains(part.as_str())) {
        return;
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let time = |f: &mut dyn FnMut()| {
        let start = Instant::now();
        f();
        start.elapsed().as_secs_f64() * 1e3
    };
    kernel();
    plain();
    let begin = Instant::now();
    while ours.len() < 5 || (begin.elapsed().as_secs_f64() < 1.5 && ours.len() < 60) {
        (0..3).for_each(|_| ours.push(time(&mut kernel)));
        theirs.push(time(&mut plain));
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!("| {name:44} | {ours:8.3} | {theirs:9.3} | {:6.1} | {:7.1} |", theirs / ours, flops / ours * 1e-6);
}

/// Forward alone, then forward and backward.
fn both<const D: usize, const E: usize>(
    name: &str,
    flops: f64,
    shape: [usize; E],
    kernel: impl Fn(Tensor<E>) -> Tensor<D>,
    plain: impl Fn(Tensor<E>) -> Tensor<D>,
) {
    let device = Device::flex();
    let x = random(shape, &device);
    row(&format!("{name} forward"), flops, || drop(kernel(x.clone())), || drop(plain(x.clone())));
    let x = random(shape, &device.autodiff()).require_grad();
    let train = |y: Tensor<D>| -> Gradients { y.sum().backward() };
    row(&format!("{name} train"), 3.0 * flops, || drop(train(kernel(x.clone()))), || drop(train(plain(x.clone()))));
}

fn convolution(batch: usize, size: usize, inputs: usize, outputs: usize, kernel: usize, stride: usize) {
    let device = Device::flex().autodiff();
    let weight = (random([outputs, inputs, kernel, kernel], &device) * 0.05).require_grad();
    let bias = random([outputs], &device).require_grad();
    let options = ConvOptions { stride: [stride; 2], ..ConvOptions::same(kernel) };
    let out = size.div_ceil(stride);
    let flops = 2.0 * (batch * out * out * inputs * outputs * kernel * kernel) as f64;
    both(
        &format!("conv {kernel}x{kernel}/{stride} {inputs}->{outputs} {size}x{size} b{batch}"),
        flops,
        [batch, size, size, inputs],
        |x| {
            let (weight, bias) = matched(&x, &weight, &bias);
            conv2d(x, weight, Some(bias), None, options)
        },
        |x| {
            let (weight, bias) = matched(&x, &weight, &bias);
            plain::conv2d(x, weight, Some(bias), None, options)
        },
    );
}

/// The parameters with or without their graph, as `x` has.
fn matched<const X: usize, const D: usize>(
    x: &Tensor<X>,
    weight: &Tensor<D>,
    bias: &Tensor<1>,
) -> (Tensor<D>, Tensor<1>) {
    if x.device().is_autodiff() {
        (weight.clone(), bias.clone())
    } else {
        (weight.clone().inner(), bias.clone().inner())
    }
}

fn main() {
    println!("| case {:39} | kernel ms | plain ms | ratio | GFLOP/s |", "");
    println!("|---|---|---|---|---|");
    // Inside the pool, the calling thread is a worker and need not be woken.
    rayon::scope(|_| cases());
}

fn cases() {
    for (batch, size, inputs, outputs) in [
        (64, 28, 32, 32),
        (64, 28, 64, 64),
        (64, 14, 64, 64),
        (64, 14, 128, 128),
        (64, 7, 128, 128),
        (64, 8, 32, 32),
        (128, 8, 64, 64),
        (64, 4, 64, 64),
    ] {
        convolution(batch, size, inputs, outputs, 3, 1);
    }
    convolution(64, 28, 1, 32, 3, 1);
    convolution(64, 28, 32, 1, 3, 1);
    convolution(64, 28, 32, 64, 3, 2);
    convolution(64, 14, 128, 64, 1, 1);

    let device = Device::flex().autodiff();
    for (batch, size, channels) in [(64, 28, 64), (128, 8, 64)] {
        let (weight, bias) = (random([channels], &device).require_grad(), random([channels], &device).require_grad());
        both(
            &format!("group norm + silu {channels} {size}x{size} b{batch}"),
            0.0,
            [batch, size, size, channels],
            |x| {
                let (weight, bias) = matched(&x, &weight, &bias);
                group_norm(x, weight, bias, 8, 1e-5, Activation::Silu)
            },
            |x| {
                let (weight, bias) = matched(&x, &weight, &bias);
                plain::group_norm(x, weight, bias, 8, 1e-5, Activation::Silu)
            },
        );
    }
    let (weight, bias) = (random([256], &device).require_grad(), random([256], &device).require_grad());
    both(
        "layer norm 256 rows 4096",
        0.0,
        [4096, 256],
        |x| {
            let (weight, bias) = matched(&x, &weight, &bias);
            layer_norm(x, weight, bias, 1e-5, Activation::Identity)
        },
        |x| {
            let (weight, bias) = matched(&x, &weight, &bias);
            plain::layer_norm(x, weight, bias, 1e-5, Activation::Identity)
        },
    );
    for rows in [64, 512, 4096] {
        let (weight, bias) = (random([128, 128], &device).require_grad(), random([128], &device).require_grad());
        both(
            &format!("linear + selu 128->128 rows {rows}"),
            2.0 * (rows * 128 * 128) as f64,
            [rows, 128],
            |x| {
                let (weight, bias) = matched(&x, &weight, &bias);
                linear(x, weight, Some(bias), Activation::Selu)
            },
            |x| {
                let (weight, bias) = matched(&x, &weight, &bias);
                plain::linear(x, weight, Some(bias), Activation::Selu)
            },
        );
    }
    for (batch, tokens) in [(32, 64), (4, 784)] {
        both(
            &format!("attention 4 heads of 32, {tokens} tokens b{batch}"),
            4.0 * (batch * 4 * tokens * tokens * 32) as f64,
            [batch, 4, tokens, 32],
            |x| attention(x.clone(), x.clone(), x, 0.17, AttentionMask::Full),
            |x| plain::attention(x.clone(), x.clone(), x, 0.17, AttentionMask::Full),
        );
    }
    let options = AdamW {
        learning_rate: 1e-3,
        beta_1: 0.9,
        beta_2: 0.999,
        eps: 1e-8,
        weight_decay: 0.01,
        step: 5,
        average_decay: 0.999,
    };
    let state = || {
        let zeros = || Tensor::<1>::zeros([1_000_000], &Device::flex());
        Some(AdamWTensors { parameter: zeros(), m: zeros(), v: zeros(), average: Some(zeros()) })
    };
    let gradient = random([1_000_000], &Device::flex());
    let (mut ours, mut theirs) = (state(), state());
    row(
        "AdamW + average 1 M",
        0.0,
        || ours = ours.take().map(|tensors| adamw_step(tensors, gradient.clone(), &options)),
        || theirs = theirs.take().map(|tensors| plain::adamw_step(tensors, gradient.clone(), &options)),
    );
}
