//! The kernels alone, under criterion: `cargo bench` in this folder, with a part of a name to select.

use std::hint::black_box;

use burn::tensor::{Device, Tensor, TensorData};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use genera_kernels::{
    Activation, AttentionMask, ConvOptions, activate, attention, conv2d, cross_entropy, group_norm, layer_norm, linear,
};
use genera_rng::Rng;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn normal<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let values = Rng::new(7).normal(1, shape.iter().product());
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// Times `f` on a constant, and with its gradient.
fn both<const D: usize, const E: usize>(
    criterion: &mut Criterion,
    name: &str,
    operations: usize,
    x: Tensor<D>,
    f: impl Fn(Tensor<D>) -> Tensor<E>,
) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20);
    group.throughput(Throughput::Elements(operations as u64));
    group.bench_function("forward", |bencher| bencher.iter(|| f(black_box(x.clone()))));
    let leaf = Tensor::from_inner(x).require_grad();
    group.throughput(Throughput::Elements(2 * operations as u64));
    group.bench_function("with the gradient of x", |bencher| {
        bencher.iter(|| f(black_box(leaf.clone())).sum().backward());
    });
    group.finish();
}

fn convolutions(criterion: &mut Criterion) {
    for (size, inputs, outputs, kernel, stride) in [
        (28, 64, 64, 3, 1),
        (28, 32, 32, 3, 1),
        (14, 128, 128, 3, 1),
        (7, 128, 128, 3, 1),
        (8, 32, 32, 3, 1),
        (28, 1, 32, 3, 1),
        (28, 32, 1, 3, 1),
        (28, 64, 64, 3, 2),
        (28, 128, 64, 1, 1),
        (28, 1, 64, 7, 1),
    ] {
        let options = ConvOptions { stride: [stride; 2], ..ConvOptions::same(kernel) };
        let (weight, side) = (normal([outputs, inputs, kernel, kernel]) * 0.05, size / stride);
        let operations = 2 * 64 * side * side * inputs * outputs * kernel * kernel;
        let name = format!("conv2d {kernel}x{kernel} {inputs} to {outputs}, {size}x{size}, stride {stride}");
        both(criterion, &name, operations, normal([64, size, size, inputs]), |x| {
            let weight = if x.device().is_autodiff() { Tensor::from_inner(weight.clone()) } else { weight.clone() };
            conv2d(x, weight, None, None, options)
        });
    }
}

fn layers(criterion: &mut Criterion) {
    for rows in [64, 512, 4096] {
        let weight = normal([128, 128]) * 0.1;
        both(
            criterion,
            &format!("linear 128 to 128 with selu, {rows} rows"),
            2 * rows * 128 * 128,
            normal([rows, 128]),
            |x| {
                let weight = if x.device().is_autodiff() { Tensor::from_inner(weight.clone()) } else { weight.clone() };
                linear(x, weight, None, Activation::Selu)
            },
        );
    }
    let (gain, shift) = (normal([64]), normal([64]));
    both(criterion, "group norm with silu, 64x28x28x64", 64 * 28 * 28 * 64, normal([64, 28, 28, 64]), |x| {
        let [gain, shift] =
            [&gain, &shift].map(|t| if x.device().is_autodiff() { Tensor::from_inner(t.clone()) } else { t.clone() });
        group_norm(x, gain, shift, 8, 1e-5, Activation::Silu)
    });
    let (gain, shift) = (normal([256]), normal([256]));
    both(criterion, "layer norm, 4096x256", 4096 * 256, normal([4096, 256]), |x| {
        let [gain, shift] =
            [&gain, &shift].map(|t| if x.device().is_autodiff() { Tensor::from_inner(t.clone()) } else { t.clone() });
        layer_norm(x, gain, shift, 1e-5, Activation::Identity)
    });
    for activation in [Activation::Silu, Activation::Gelu, Activation::Softplus] {
        both(criterion, &format!("{activation:?}, 1 M"), 1 << 20, normal([1 << 20]), |x| activate(x, activation));
    }
    for (batch, tokens) in [(32, 64), (4, 784)] {
        let operations = 4 * batch * 4 * tokens * tokens * 32;
        both(
            criterion,
            &format!("attention, {batch}x4 heads of 32, {tokens} tokens"),
            operations,
            normal([batch, 4, tokens, 32]),
            |x| attention(x.clone(), x.clone(), x, 0.17, AttentionMask::Full),
        );
    }
    let classes =
        Tensor::from_data(TensorData::new((0..4096).map(|i| i % 256).collect::<Vec<i32>>(), [4096]), &Device::flex());
    both(criterion, "cross-entropy, 4096x256", 4096 * 256, normal([4096, 256]), |x| cross_entropy(x, classes.clone()));
}

criterion_group!(kernels, convolutions, layers);
criterion_main!(kernels);
