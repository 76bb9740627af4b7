//! Tensors and comparisons that the tests share.
#![allow(dead_code)]

use burn::tensor::{Device, Tensor, TensorData};
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
