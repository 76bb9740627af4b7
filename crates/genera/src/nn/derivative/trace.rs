//! Traces of Jacobians.

use burn::tensor::{Tensor, TensorData};

use super::Linearise;
use crate::traits::Rows;

/// `f(x)` and `tr ∂f/∂x` of each row, exactly, by one push along every axis: `[B, F] -> ([B, F], [B])`.
///
/// # Panics
/// If the network does not give as many numbers as it takes.
pub fn exact_trace<I>(net: &impl Linearise<I>, input: I) -> (Rows, Tensor<1>) {
    let at = net.linearise(input);
    let [rows, features] = at.value.dims();
    let device = at.value.device();
    let diagonal = |axis: usize| {
        let unit: Vec<f32> = (0..features).map(|j| if j == axis { 1.0 } else { 0.0 }).collect();
        let unit = Tensor::<2>::from_data(TensorData::new(unit, [1, features]), &device);
        at.push(unit.expand([rows, features])).narrow(1, axis, 1)
    };
    let zero = Tensor::zeros([rows, 1], &device);
    let trace = (0..features).fold(zero, |sum, axis| sum + diagonal(axis));
    (at.value, trace.squeeze_dim(1))
}

/// `f(x)` and `vᵀ (∂f/∂x) v` of each row, whose mean over directions `v` with covariance one is the trace: Hutchinson
/// (1990), as in Grathwohl et al., "FFJORD" (arXiv:1810.01367). `v` is `[B, F]`: `[B, F] -> ([B, F], [B])`.
pub fn hutchinson_trace<I>(net: &impl Linearise<I>, input: I, v: Rows) -> (Rows, Tensor<1>) {
    let at = net.linearise(input);
    let along = at.push(v.clone());
    (at.value, (along * v).sum_dim(1).squeeze_dim(1))
}
