//! Kernels of layers against the plain expressions: values, all gradients, odd shapes, views, any number of threads.

mod common;

use burn::tensor::{Device, Int, Tensor, TensorData};
use common::{Way, compare, gradient, outcome, values};
use genera_kernels::{
    Activation, activate, activation_tangent, cross_entropy, group_norm, layer_norm, linear, plain, sin_cos,
};
use proptest::prelude::*;

fn any_activation() -> impl Strategy<Value = Activation> {
    prop::sample::select(Activation::ALL.to_vec())
}

#[test]
fn activations() {
    for activation in Activation::ALL {
        for shape in [[1, 1], [3, 17], [300, 129]] {
            compare(&format!("{activation:?} {shape:?}"), |way, source| {
                let x = source.leaf(shape);
                let scaled = x.clone() * 4.0;
                let y = match way {
                    Way::Kernel => activate(scaled, activation),
                    Way::Plain => plain::activate(scaled, activation),
                };
                outcome(source, y, |g| vec![gradient(&x, g)])
            });
        }
    }
}

#[test]
fn tangents_of_activations() {
    for activation in Activation::ALL {
        for shape in [[1, 1], [3, 17], [300, 129]] {
            compare(&format!("{activation:?}' {shape:?}"), |way, source| {
                let (x, v) = (source.leaf(shape), source.leaf([shape[1], shape[0]]));
                let (scaled, turned) = (x.clone() * 4.0, v.clone().transpose());
                let y = match way {
                    Way::Kernel => activation_tangent(scaled, turned, activation),
                    Way::Plain => plain::activation_tangent(scaled, turned, activation),
                };
                outcome(source, y, |g| vec![gradient_or_zero(&x, g), gradient(&v, g)])
            });
        }
    }
}

/// The gradient of `leaf`, zero where the plain expression does not depend on it: piecewise linear functions.
fn gradient_or_zero(leaf: &Tensor<2>, gradients: &burn::tensor::Gradients) -> Vec<f32> {
    let zero = || vec![0.0; leaf.dims().iter().product()];
    leaf.grad(gradients).map_or_else(zero, |gradient| values(&gradient))
}

/// `f'(x) v` is the derivative of `f` at `x` along `v`, which autodiff gives too.
#[test]
fn tangents_are_derivatives() {
    let device = Device::flex().autodiff();
    for activation in Activation::ALL {
        let grid: Vec<f32> = (-60..=60).map(|i| 0.13 * i as f32 + 0.01).collect();
        let v: Vec<f32> = (0..grid.len()).map(|i| (i as f32).sin()).collect();
        let tensor = |values: &[f32]| Tensor::<1>::from_data(TensorData::new(values.to_vec(), [values.len()]), &device);
        let (x, v) = (tensor(&grid).require_grad(), tensor(&v));
        let gradients = (activate(x.clone(), activation) * v.clone()).sum().backward();
        let wide: Vec<f64> = gradient(&x, &gradients).into_iter().map(f64::from).collect();
        common::assert_near("tangent", &values(&activation_tangent(x, v, activation)), &wide, 1e-6);
    }
}

#[test]
fn sines_and_cosines() {
    let angles = common::Source::new(3).normal([300, 129]) * 300.0;
    let ((sin, cos), (a, b)) = (sin_cos(angles.clone().transpose()), plain::sin_cos(angles.transpose()));
    common::assert_near("sin", &values(&sin), &common::wide(&a), 2e-7);
    common::assert_near("cos", &values(&cos), &common::wide(&b), 2e-7);
}

#[test]
fn activations_are_finite_far_out() {
    let far = vec![-3e38, -1e4, -104.0, -88.8, -20.0, 0.0, 20.0, 88.8, 104.0, 1e4, 1e18];
    for activation in Activation::ALL {
        let x = Tensor::<1>::from_data(TensorData::new(far.clone(), [far.len()]), &Device::flex().autodiff());
        let x = x.require_grad();
        let y = activate(x.clone(), activation);
        assert!(values(&y).iter().all(|y| y.is_finite()), "{activation:?}: {y}");
        let slopes = gradient(&x, &y.sum().backward());
        assert!(slopes.iter().all(|y| y.is_finite()), "{activation:?}': {slopes:?}");
        if ![Activation::Identity, Activation::Relu, Activation::LeakyRelu].contains(&activation) {
            let slope = activation_tangent(x.clone(), x.ones_like(), activation);
            let bends = gradient(&x, &slope.sum().backward());
            assert!(bends.iter().all(|y| y.is_finite()), "{activation:?}'': {bends:?}");
        }
        let nan = Tensor::<1>::from_floats([f32::NAN; 9], &Device::flex());
        assert!(values(&activate(nan, activation)).iter().all(|y| y.is_nan()), "{activation:?} hides a NaN");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn linear_layers(
        rows in 1_usize..140,
        inputs in 1_usize..80,
        outputs in 1_usize..80,
        activation in any_activation(),
        with_bias: bool,
        transposed: bool,
    ) {
        compare(&format!("linear {rows}x{inputs}x{outputs} {activation:?}"), |way, source| {
            let leaf = source.leaf(if transposed { [inputs, rows] } else { [rows, inputs] });
            let x = if transposed { leaf.clone().transpose() } else { leaf.clone() };
            let (weight, bias) = (source.leaf([outputs, inputs]), source.leaf([outputs]));
            let run = if way == Way::Kernel { linear } else { plain::linear };
            let scaled = weight.clone() * (inputs as f32).powf(-0.5);
            let y = run(x, scaled, with_bias.then(|| bias.clone()), activation);
            outcome(source, y, |g| {
                let mut all = vec![gradient(&leaf, g), gradient(&weight, g)];
                if with_bias {
                    all.push(gradient(&bias, g));
                }
                all
            })
        });
    }
}

#[test]
fn large_linear_layer() {
    compare("linear 2000x70x90", |way, source| {
        let (x, weight, bias) = (source.leaf([4, 500, 70]), source.leaf([90, 70]), source.leaf([90]));
        let run = if way == Way::Kernel { linear } else { plain::linear };
        let y = run(x.clone(), weight.clone() * 0.1, Some(bias.clone()), Activation::Silu);
        outcome(source, y, |g| vec![gradient(&x, g), gradient(&weight, g), gradient(&bias, g)])
    });
}

#[test]
fn constants_and_plain_devices() {
    let mut source = common::Source::new(3);
    let (x, weight) = (source.normal([5, 4]), source.normal([3, 4]));
    let y = linear(x.clone(), weight.clone(), None, Activation::Tanh);
    common::assert_near(
        "no autodiff",
        &values(&y),
        &common::wide(&plain::linear(x.clone(), weight.clone(), None, Activation::Tanh)),
        1e-6,
    );
    // A tracked input with a constant weight.
    let tracked = Tensor::<2>::from_data(x.clone().into_data(), &Device::flex().autodiff()).require_grad();
    let y = linear(tracked.clone(), weight.clone(), None, Activation::Identity);
    let got = gradient(&tracked, &y.sum().backward());
    common::assert_near("constant weight", &got, &common::wide(&weight.sum_dim(0).expand([5, 4])), 1e-6);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn group_norms(
        batch in 1_usize..5,
        height in 1_usize..12,
        width in 1_usize..12,
        groups in 1_usize..5,
        per_group in 1_usize..20,
        activation in any_activation(),
        from_nchw: bool,
    ) {
        // One number a group has variance zero, whose gradient is rounding noise.
        prop_assume!(height * width * per_group > 3);
        let channels = groups * per_group;
        compare(&format!("group_norm {batch}x{height}x{width}x{channels} by {groups} {activation:?}"), |way, source| {
            let shape = [batch, height, width, channels];
            let leaf = source.leaf(if from_nchw { [batch, channels, height, width] } else { shape });
            let x = if from_nchw { leaf.clone().permute([0, 2, 3, 1]) } else { leaf.clone() } + 0.5;
            let (weight, bias) = (source.leaf([channels]), source.leaf([channels]));
            let run = if way == Way::Kernel { group_norm } else { plain::group_norm };
            let y = run(x, weight.clone(), bias.clone(), groups, 1e-5, activation);
            outcome(source, y, |g| vec![gradient(&leaf, g), gradient(&weight, g), gradient(&bias, g)])
        });
    }

    #[test]
    fn layer_norms(rows in 1_usize..200, channels in 4_usize..70, activation in any_activation()) {
        compare(&format!("layer_norm {rows}x{channels} {activation:?}"), |way, source| {
            let (x, weight, bias) = (source.leaf([2, rows, channels]), source.leaf([channels]), source.leaf([channels]));
            let run = if way == Way::Kernel { layer_norm } else { plain::layer_norm };
            let y = run(x.clone(), weight.clone(), bias.clone(), 1e-5, activation);
            outcome(source, y, |g| vec![gradient(&x, g), gradient(&weight, g), gradient(&bias, g)])
        });
    }
}

#[test]
fn large_group_norm() {
    compare("group_norm 16x28x28x64", |way, source| {
        let (x, weight, bias) = (source.leaf([16, 28, 28, 64]), source.leaf([64]), source.leaf([64]));
        let run = if way == Way::Kernel { group_norm } else { plain::group_norm };
        let y = run(x.clone(), weight.clone(), bias.clone(), 8, 1e-5, Activation::Silu);
        outcome(source, y, |g| vec![gradient(&x, g), gradient(&weight, g), gradient(&bias, g)])
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn cross_entropies(rows in 1_usize..200, classes in 1_usize..70, strength in 0.1_f32..30.0) {
        compare(&format!("cross_entropy {rows}x{classes}"), |way, source| {
            let logits = source.leaf([classes, rows]);
            let targets: Vec<i32> = (0..rows).map(|row| (row * 7919 % classes) as i32).collect();
            let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [rows]), &logits.device());
            let run = if way == Way::Kernel { cross_entropy } else { plain::cross_entropy };
            let cost = run(logits.clone().transpose() * strength, targets);
            outcome(source, cost, |g| vec![gradient(&logits, g)])
        });
    }
}
