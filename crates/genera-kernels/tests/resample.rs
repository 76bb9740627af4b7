//! Halving, doubling, joining and shifting against the plain expressions: values, gradients, odd shapes, views, any number of threads.

mod common;

use common::{Way, compare, gradient, outcome};
use genera_kernels::{avg_pool2x2, join_channels, plain, shift_pixels, upsample_nearest2x};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn halving_and_doubling(
        (batch, height, width, channels) in (1_usize..5, 2_usize..30, 2_usize..30, 1_usize..20),
        from_nchw: bool,
        halve: bool,
    ) {
        compare(&format!("{batch}x{height}x{width}x{channels}, halve: {halve}"), |way, source| {
            let nhwc = [batch, height, width, channels];
            let leaf = source.leaf(if from_nchw { [batch, channels, height, width] } else { nhwc });
            let x = if from_nchw { leaf.clone().permute([0, 2, 3, 1]) } else { leaf.clone() };
            let y = match (way, halve) {
                (Way::Kernel, true) => avg_pool2x2(x),
                (Way::Kernel, false) => upsample_nearest2x(x),
                (Way::Plain, true) => plain::avg_pool2x2(x),
                (Way::Plain, false) => plain::upsample_nearest2x(x),
            };
            outcome(source, y, |g| vec![gradient(&leaf, g)])
        });
    }
}
proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn joining(
        (batch, height, width) in (1_usize..5, 1_usize..30, 1_usize..30),
        (left, right) in (1_usize..20, 1_usize..20),
        from_nchw: bool,
    ) {
        compare(&format!("{batch}x{height}x{width}, {left} and {right}"), |way, source| {
            let nhwc = |channels| [batch, height, width, channels];
            let leaf = source.leaf(if from_nchw { [batch, left, height, width] } else { nhwc(left) });
            let a = if from_nchw { leaf.clone().permute([0, 2, 3, 1]) } else { leaf.clone() };
            let b = source.leaf(nhwc(right));
            let y = match way {
                Way::Kernel => join_channels(a, b.clone()),
                Way::Plain => plain::join_channels(a, b.clone()),
            };
            outcome(source, y, |g| vec![gradient(&leaf, g), gradient(&b, g)])
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn shifting(
        (batch, height, width, channels) in (1_usize..5, 1_usize..30, 1_usize..30, 1_usize..20),
        from_nchw: bool,
    ) {
        compare(&format!("{batch}x{height}x{width}x{channels}"), |way, source| {
            let nhwc = [batch, height, width, channels];
            let leaf = source.leaf(if from_nchw { [batch, channels, height, width] } else { nhwc });
            let x = if from_nchw { leaf.clone().permute([0, 2, 3, 1]) } else { leaf.clone() };
            let shift = source.leaf([batch, channels]);
            let y = match way {
                Way::Kernel => shift_pixels(x, shift.clone()),
                Way::Plain => plain::shift_pixels(x, shift.clone()),
            };
            outcome(source, y, |g| vec![gradient(&leaf, g), gradient(&shift, g)])
        });
    }
}
