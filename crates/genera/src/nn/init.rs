//! Drawing fresh parameters: PyTorch's default, a uniform distribution whose width follows the fan-in.
//!
//! He et al., "Delving Deep into Rectifiers" (arXiv:1502.01852), with the slope √5 that PyTorch passes to it: the
//! gain is √(2 / (1 + 5)), so that weights are uniform on `±gain √(3 / fan_in) = ±1/√fan_in`. Biases too.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use genera_rng::Rng;

/// Numbers uniform on `±1/√fan_in`.
pub(super) fn fan_in_uniform<const D: usize>(
    shape: [usize; D],
    fan_in: usize,
    rng: &mut Rng,
    device: &Device,
) -> Param<Tensor<D>> {
    let bound = 1.0 / (fan_in.max(1) as f32).sqrt();
    let unit = rng.uniform(1, shape.iter().product());
    parameter(unit.into_iter().map(|u| (2.0 * u - 1.0) * bound).collect(), shape, device)
}

/// Normal numbers of mean zero.
pub(super) fn normal<const D: usize>(
    shape: [usize; D],
    deviation: f32,
    rng: &mut Rng,
    device: &Device,
) -> Param<Tensor<D>> {
    let unit = rng.normal(1, shape.iter().product());
    parameter(unit.into_iter().map(|z| z * deviation).collect(), shape, device)
}

/// The same number everywhere.
pub(super) fn constant<const D: usize>(shape: [usize; D], value: f32, device: &Device) -> Param<Tensor<D>> {
    parameter(vec![value; shape.iter().product()], shape, device)
}

fn parameter<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    Param::from_data(TensorData::new(values, shape), device)
}
