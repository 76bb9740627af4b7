//! Drawing fresh parameters: PyTorch's default, a uniform distribution whose width follows the fan-in.
//!
//! He et al., "Delving Deep into Rectifiers" (arXiv:1502.01852), with the slope √5 that PyTorch passes to it: the
//! gain is √(2 / (1 + 5)), so that weights are uniform on `±gain √(3 / fan_in) = ±1/√fan_in`. Biases too.
//!
//! Parameters are filled when they are first read, so that a network that is about to receive weights from a file
//! costs nothing before its shapes have been compared with the file's. Each holds its own draw of the generator:
//! what it is filled with depends on where it stands in the network and never on when it is read.

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Shape, Tensor, TensorData};
use genera_rng::Rng;

/// Numbers uniform on `±1/√fan_in`.
pub(crate) fn fan_in_uniform<const D: usize>(
    shape: [usize; D],
    fan_in: usize,
    rng: &mut Rng,
    device: &Device,
) -> Param<Tensor<D>> {
    let bound = 1.0 / (fan_in.max(1) as f32).sqrt();
    let mut rng = next_draw(rng);
    parameter(shape, device, move |n| rng.uniform(1, n).into_iter().map(|u| (2.0 * u - 1.0) * bound).collect())
}

/// Normal numbers of mean zero.
pub(crate) fn normal<const D: usize>(
    shape: [usize; D],
    deviation: f32,
    rng: &mut Rng,
    device: &Device,
) -> Param<Tensor<D>> {
    let mut rng = next_draw(rng);
    parameter(shape, device, move |n| rng.normal(1, n).into_iter().map(|z| z * deviation).collect())
}

/// The same number everywhere.
pub(crate) fn constant<const D: usize>(shape: [usize; D], value: f32, device: &Device) -> Param<Tensor<D>> {
    parameter(shape, device, move |n| vec![value; n])
}

/// The generator at the draw that `rng` stands at; `rng` goes on to the next.
fn next_draw(rng: &mut Rng) -> Rng {
    let here = rng.clone();
    rng.stream();
    here
}

fn parameter<const D: usize>(
    shape: [usize; D],
    device: &Device,
    values: impl FnOnce(usize) -> Vec<f32> + Send + Sync + 'static,
) -> Param<Tensor<D>> {
    let init = move |device: &Device, learns: bool| {
        let values = values(shape.iter().product());
        Tensor::from_data(TensorData::new(values, shape), device).set_require_grad(learns)
    };
    Param::uninitialized(ParamId::new(), init, device.clone(), true, Shape::from(shape))
}
