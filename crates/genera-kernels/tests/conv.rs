//! Convolution kernels against the plain expression: values, all gradients, odd shapes, views, any number of threads.

mod common;

use common::{Source, Way, compare, gradient, outcome, values};
use genera_kernels::{ConvOptions, conv_transpose2d, conv2d, masked_conv2d, plain};
use proptest::prelude::*;

/// One comparison: image `[B, H, W, I]`, kernel `[O, kh, kw]`.
fn check(image: [usize; 4], kernel: [usize; 3], options: ConvOptions, with_bias: bool, from_nchw: bool) {
    check_masked(image, kernel, kernel[1] * kernel[2], options, with_bias, from_nchw);
}

fn check_masked(
    image: [usize; 4],
    kernel: [usize; 3],
    seen: usize,
    options: ConvOptions,
    with_bias: bool,
    from_nchw: bool,
) {
    let [batch, height, width, inputs] = image;
    let [outputs, kh, kw] = kernel;
    let size = options.output_size([height, width], [kh, kw]).unwrap();
    compare(&format!("conv2d {image:?} {kernel:?} {seen} {options:?}"), |way, source| {
        let leaf = source.leaf(if from_nchw { [batch, inputs, height, width] } else { image });
        let x = if from_nchw { leaf.clone().permute([0, 2, 3, 1]) } else { leaf.clone() };
        let weight = source.leaf([outputs, inputs / options.groups, kh, kw]);
        let scaled = weight.clone() * ((inputs * kh * kw) as f32).powf(-0.5);
        let (bias, residual) = (source.leaf([outputs]), source.leaf([batch, size[0], size[1], outputs]));
        let run = if way == Way::Kernel { masked_conv2d } else { plain::masked_conv2d };
        let (b, r) = (with_bias.then(|| bias.clone()), (!with_bias).then(|| residual.clone()));
        let y = run(x, scaled, b, r, seen, options);
        outcome(source, y, |g| {
            let last = if with_bias { gradient(&bias, g) } else { gradient(&residual, g) };
            vec![gradient(&leaf, g), gradient(&weight, g), last]
        })
    });
}

/// For pictures, vectors of eight, of sixteen and both.
const CHANNELS: &[usize] = &[1, 3, 8, 16, 24, 40, 64];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_convolution(
        (batch, height, width) in (1_usize..4, 1_usize..12, 1_usize..12),
        (inputs, outputs) in (1_usize..20, 1_usize..36),
        kernel in [1_usize..5, 1_usize..5],
        stride in [1_usize..4, 1_usize..4],
        dilation in [1_usize..3, 1_usize..3],
        padding in [[0_usize..4, 0_usize..4], [0_usize..4, 0_usize..4]],
        with_bias: bool,
        from_nchw: bool,
    ) {
        let options = ConvOptions { stride, padding, dilation, groups: 1 };
        prop_assume!(options.output_size([height, width], kernel).is_some());
        check([batch, height, width, inputs], [outputs, kernel[0], kernel[1]], options, with_bias, from_nchw);
    }

    #[test]
    fn winograd(
        (batch, height, width) in (1_usize..4, 3_usize..16, 3_usize..16),
        (inputs, outputs) in (1_usize..6, 1_usize..6),
        padding in [[0_usize..3, 0_usize..3], [0_usize..3, 0_usize..3]],
        seen in 0_usize..10,
        with_bias: bool,
        from_nchw: bool,
    ) {
        let options = ConvOptions { padding, ..ConvOptions::default() };
        check_masked([batch, height, width, 8 * inputs], [8 * outputs, 3, 3], seen, options, with_bias, from_nchw);
    }

    #[test]
    fn stride_two(
        (batch, height, width) in (prop::sample::select(vec![1_usize, 3]), 4_usize..16, 4_usize..16),
        channels in [prop::sample::select(CHANNELS), prop::sample::select(CHANNELS)],
        kernel in 3_usize..5,
        padding in [[0_usize..3, 0_usize..3], [0_usize..3, 0_usize..3]],
        with_bias: bool,
        is_transposed: bool,
    ) {
        let options = ConvOptions { stride: [2; 2], padding, ..ConvOptions::default() };
        let image = [batch, height, width, channels[0]];
        let kernel = [channels[1], kernel, kernel];
        if is_transposed {
            check_transposed(image, kernel, options, with_bias);
        } else {
            check(image, kernel, options, with_bias, false);
        }
    }

    #[test]
    fn few_channels(
        (batch, height, width) in (1_usize..4, 4_usize..16, 4_usize..16),
        channels in [1_usize..8, 1_usize..20],
        kernel in [1_usize..6, 1_usize..6],
        stride in [1_usize..3, 1_usize..3],
        dilation in [1_usize..3, 1_usize..3],
        padding in [[0_usize..3, 0_usize..3], [0_usize..3, 0_usize..3]],
        seen in 0.0..2.0_f64,
        with_bias: bool,
        to_few: bool,
    ) {
        let stride = if to_few { [1; 2] } else { stride };
        let options = ConvOptions { stride, padding, dilation, groups: 1 };
        prop_assume!(options.output_size([height, width], kernel).is_some());
        let channels = if to_few { [channels[1] + 7, channels[0]] } else { channels };
        let taps = kernel[0] * kernel[1];
        let seen = ((seen * taps as f64) as usize).min(taps);
        let kernel = [channels[1], kernel[0], kernel[1]];
        check_masked([batch, height, width, channels[0]], kernel, seen, options, with_bias, false);
    }

    #[test]
    fn groups_and_masks(
        (batch, height, width) in (1_usize..4, 1_usize..12, 1_usize..12),
        (groups, inputs, outputs) in (1_usize..5, 1_usize..6, 1_usize..10),
        kernel in [1_usize..5, 1_usize..5],
        stride in [1_usize..4, 1_usize..4],
        dilation in [1_usize..3, 1_usize..3],
        padding in [[0_usize..4, 0_usize..4], [0_usize..4, 0_usize..4]],
        seen in 0.0..1.0_f64,
        with_bias: bool,
        from_nchw: bool,
    ) {
        let options = ConvOptions { stride, padding, dilation, groups };
        prop_assume!(options.output_size([height, width], kernel).is_some());
        let seen = (seen * (kernel[0] * kernel[1] + 1) as f64) as usize;
        let kernel = [groups * outputs, kernel[0], kernel[1]];
        check_masked([batch, height, width, groups * inputs], kernel, seen, options, with_bias, from_nchw);
    }
}

#[test]
fn shapes_of_real_networks() {
    let half = ConvOptions { stride: [2; 2], ..ConvOptions::same(3) };
    check([64, 8, 8, 32], [32, 3, 3], ConvOptions::same(3), true, false);
    check([64, 4, 4, 64], [64, 3, 3], ConvOptions::same(3), false, false);
    check([8, 28, 28, 1], [32, 3, 3], ConvOptions::same(3), true, false);
    check([8, 28, 28, 32], [1, 3, 3], ConvOptions::same(3), true, false);
    check([8, 28, 28, 32], [64, 1, 1], ConvOptions::default(), true, false);
    check([5, 28, 28, 24], [40, 3, 3], half, true, false);
    check([5, 7, 7, 128], [136, 3, 3], ConvOptions::same(3), true, false);
    check([24, 14, 14, 64], [72, 3, 3], ConvOptions::same(3), true, false);
    check([2, 9, 9, 8], [8, 3, 3], ConvOptions { groups: 4, ..ConvOptions::same(3) }, true, false);
    check([2, 9, 9, 8], [8, 3, 3], ConvOptions { groups: 8, ..ConvOptions::same(3) }, true, false);
    check([13, 28, 28, 16], [32, 3, 3], half, true, false);
    check([51, 7, 7, 32], [64, 3, 3], half, false, false);
    check([5, 28, 28, 1], [64, 3, 3], half, true, false);
    check_masked([8, 28, 28, 1], [64, 7, 7], 24, ConvOptions::same(7), true, false);
    check_masked([8, 28, 28, 32], [32, 3, 3], 5, ConvOptions::same(3), true, false);
}

/// Results of these sizes are cut into tiles of four and of three outputs.
const MIXED: [usize; 8] = [3, 5, 6, 7, 9, 10, 13, 14];

/// Every pair of sizes; batches, channels, paddings and masks take turns.
#[test]
fn tiles_of_four_and_of_three() {
    let channels = [8, 16, 24, 40];
    for (case, (height, width)) in MIXED.into_iter().flat_map(|height| MIXED.map(|width| (height, width))).enumerate() {
        let padding = [[case % 3, case / 3 % 3], [case / 2 % 3, case / 5 % 3]];
        let [image_height, image_width] =
            [(height, padding[0]), (width, padding[1])].map(|(n, [before, after])| n + 2 - before - after);
        let (inputs, outputs) = (channels[case % 4], channels[case / 4 % 4]);
        let (batch, seen) = ([1, 3][case / 7 % 2], [9, 9, 6, 8, 5][case % 5]);
        let options = ConvOptions { padding, ..ConvOptions::default() };
        let image = [batch, image_height, image_width, inputs];
        check_masked(image, [outputs, 3, 3], seen, options, case % 2 == 0, false);
    }
}

/// A sample has the same bits alone and in a batch.
#[test]
fn samples_do_not_see_their_batch() {
    for (n, [inputs, outputs]) in MIXED.into_iter().chain([8, 28]).zip([[8, 40], [64, 32]].into_iter().cycle()) {
        let mut source = Source::new(n as u64);
        let (x, weight) = (source.normal([21, n, n, inputs]), source.normal([outputs, inputs, 3, 3]));
        let run = |x| conv2d(x, weight.clone(), None, None, ConvOptions::same(3));
        let all = run(x.clone());
        for sample in [0, 1, 11, 20] {
            let alone = run(x.clone().narrow(0, sample, 1));
            assert_eq!(values(&alone), values(&all.clone().narrow(0, sample, 1)), "sample {sample}, {n} x {n}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn transposed(
        (batch, height, width) in (1_usize..4, 1_usize..12, 1_usize..12),
        (inputs, outputs) in (1_usize..20, 1_usize..20),
        kernel in [1_usize..5, 1_usize..5],
        stride in [1_usize..4, 1_usize..4],
        dilation in [1_usize..3, 1_usize..3],
        padding in [[0_usize..3, 0_usize..3], [0_usize..3, 0_usize..3]],
        groups in prop::sample::select(vec![1_usize, 1, 2, 3]),
        with_bias: bool,
    ) {
        let options = ConvOptions { stride, padding, dilation, groups };
        let size = options.output_size([height, width], kernel);
        prop_assume!(size.is_some());
        let kernel = [groups * inputs, kernel[0], kernel[1]];
        check_transposed([batch, height, width, groups * outputs], kernel, options, with_bias);
    }
}

/// One comparison: result `[B, H, W, O]`, kernel `[I, kh, kw]`.
fn check_transposed(result: [usize; 4], kernel: [usize; 3], options: ConvOptions, with_bias: bool) {
    let [batch, height, width, outputs] = result;
    let [inputs, kh, kw] = kernel;
    let size = options.output_size([height, width], [kh, kw]).unwrap();
    compare(&format!("conv_transpose2d {result:?} {kernel:?} {options:?}"), |way, source| {
        let x = source.leaf([batch, size[0], size[1], inputs]);
        let weight = source.leaf([inputs, outputs / options.groups, kh, kw]);
        let bias = source.leaf([outputs]);
        let scaled = weight.clone() * ((inputs * kh * kw) as f32).powf(-0.5);
        let run = if way == Way::Kernel { conv_transpose2d } else { plain::conv_transpose2d };
        let y = run(x.clone(), scaled, with_bias.then(|| bias.clone()), [height, width], options);
        outcome(source, y, |g| {
            let mut all = vec![gradient(&x, g), gradient(&weight, g)];
            if with_bias {
                all.push(gradient(&bias, g));
            }
            all
        })
    });
}

#[test]
fn transposed_shapes_of_real_networks() {
    check_transposed([4, 8, 8, 16], [32, 3, 3], ConvOptions::same(3), true);
    let half = ConvOptions { stride: [2; 2], ..ConvOptions::same(3) };
    check_transposed([4, 28, 28, 16], [24, 4, 4], half, true);
    check_transposed([13, 14, 14, 64], [128, 4, 4], half, true);
    check_transposed([5, 28, 28, 1], [64, 4, 4], half, true);
}
