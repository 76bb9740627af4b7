//! The optimiser's kernel against the plain expression: values, views, sharing, any number of threads.

mod common;

use burn::tensor::Tensor;
use common::{Source, assert_near, values, wide};
use genera_kernels::{AdamW, AdamWTensors, adamw_step, plain, sum_of_squares};

fn options(step: u64) -> AdamW {
    AdamW { learning_rate: 0.02, beta_1: 0.9, beta_2: 0.99, eps: 1e-6, weight_decay: 0.1, step, average_decay: 0.9 }
}

fn start(source: &mut Source, shape: [usize; 2], average: bool) -> AdamWTensors<2> {
    let [parameter, m, v] = [0; 3].map(|_| source.normal(shape));
    AdamWTensors { average: average.then(|| source.normal(shape)), parameter, m, v: v.square() }
}

fn parts(tensors: &AdamWTensors<2>) -> Vec<Vec<f64>> {
    [&tensors.parameter, &tensors.m, &tensors.v].into_iter().chain(&tensors.average).map(wide).collect()
}

#[test]
fn equals_the_plain_expression() {
    for (shape, average) in [([1, 1], true), ([7, 13], false), ([300, 201], true)] {
        let mut source = Source::new(5);
        let mut kernel = start(&mut source, shape, average);
        let mut expression = kernel.clone();
        for step in 1..4 {
            // A view, to be copied.
            let gradient = source.normal([shape[1], shape[0]]).transpose();
            kernel = adamw_step(kernel, gradient.clone(), &options(step));
            expression = plain::adamw_step(expression, gradient, &options(step));
        }
        for (got, reference) in parts(&kernel).iter().zip(parts(&expression)) {
            assert_near("adamw", &got.iter().map(|x| *x as f32).collect::<Vec<_>>(), &reference, 1e-6);
        }
    }
}

#[test]
fn in_place_unless_somebody_is_watching() {
    let mut source = Source::new(6);
    let tensors = start(&mut source, [50, 50], true);
    let (watched, before) = (tensors.parameter.clone(), wide(&tensors.parameter));
    let after = adamw_step(tensors, source.normal([50, 50]), &options(1));
    assert_eq!(wide(&watched), before);
    assert_ne!(wide(&after.parameter), before);
}

#[test]
fn same_bits_for_any_number_of_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut source = Source::new(7);
            let tensors = start(&mut source, [300, 700], true);
            let gradient = source.normal([300, 700]);
            let norm = sum_of_squares(gradient.clone());
            (parts(&adamw_step(tensors, gradient, &options(3))), norm.to_bits())
        })
    };
    let one = run(1);
    assert!(run(2) == one && run(4) == one);
}

#[test]
fn sum_of_squares_is_wide_and_sees_only_the_view() {
    let x = Source::new(8).normal([129, 517]);
    for view in [x.clone(), x.clone().transpose(), x.slice([3..90, 5..6])] {
        let reference: f64 = values(&view).iter().map(|x| f64::from(*x).powi(2)).sum();
        assert!((sum_of_squares(view) / reference - 1.0).abs() < 1e-12);
    }
    assert_eq!(sum_of_squares(Tensor::<1>::from_floats([1e4, 1.0, 1.0], &burn::tensor::Device::flex())), 1e8 + 2.0);
}
