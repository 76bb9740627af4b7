//! Tensors and comparisons that the tests share.
#![allow(dead_code)]

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use genera_rng::Rng;

/// Reproducible standard normal tensors on the plain processor.
pub struct Source {
    rng: Rng,
    device: Device,
}

impl Source {
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), device: Device::flex() }
    }

    pub fn with_autodiff(seed: u64) -> Self {
        Self { rng: Rng::new(seed), device: Device::flex().autodiff() }
    }

    pub fn normal<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        let values = self.rng.normal(1, shape.iter().product());
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }

    pub fn leaf<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        self.normal(shape).require_grad()
    }
}

pub fn values<const D: usize>(x: &Tensor<D>) -> Vec<f32> {
    x.clone().into_data().iter::<f32>().collect()
}

/// The largest difference, relative to the largest magnitude of the reference and to one.
pub fn distance(got: &[f32], reference: &[f64]) -> f64 {
    assert_eq!(got.len(), reference.len());
    let scale = reference.iter().fold(1.0_f64, |scale, value| scale.max(value.abs()));
    let worst = got.iter().zip(reference).map(|(a, b)| (f64::from(*a) - b).abs());
    worst.fold(0.0, |worst: f64, difference| if difference.is_nan() { f64::INFINITY } else { worst.max(difference) })
        / scale
}

pub fn wide<const D: usize>(x: &Tensor<D>) -> Vec<f64> {
    values(x).into_iter().map(f64::from).collect()
}

#[track_caller]
pub fn assert_near(what: &str, got: &[f32], reference: &[f64], bound: f64) {
    let distance = distance(got, reference);
    assert!(distance <= bound, "{what}: relative distance {distance:.2e} above {bound:.0e}");
}

/// A weighted sum of `y` differentiated: `y` first, then the gradients of the leaves, which `pick` reads.
pub fn outcome<const D: usize>(
    source: &mut Source,
    y: Tensor<D>,
    pick: impl FnOnce(&Gradients) -> Vec<Vec<f32>>,
) -> Vec<Vec<f32>> {
    let weight = source.normal(y.dims());
    let gradients = (y.clone() * weight).sum().backward();
    let mut all = vec![values(&y)];
    all.extend(pick(&gradients));
    all
}

pub fn gradient<const D: usize>(leaf: &Tensor<D>, gradients: &Gradients) -> Vec<f32> {
    values(&leaf.grad(gradients).expect("every leaf has a gradient"))
}

/// Which side of a comparison runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Kernel,
    Plain,
}

/// Runs `f` with the kernel and with the plain expression on the same numbers, compares all it returns to within 1e-5,
/// and checks that 1, 2 and 4 threads give the same bits.
#[track_caller]
pub fn compare(what: &str, f: impl Fn(Way, &mut Source) -> Vec<Vec<f32>> + Sync) {
    let reference = f(Way::Plain, &mut Source::with_autodiff(7));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| f(Way::Kernel, &mut Source::with_autodiff(7)))
    };
    let got = run(1);
    assert_eq!(got.len(), reference.len());
    for (i, (got, reference)) in got.iter().zip(&reference).enumerate() {
        let reference: Vec<f64> = reference.iter().map(|value| f64::from(*value)).collect();
        assert_near(&format!("{what}, result {i}"), got, &reference, 1e-5);
    }
    assert!(run(2) == got && run(4) == got, "{what}: the bits depend on the number of threads");
}
