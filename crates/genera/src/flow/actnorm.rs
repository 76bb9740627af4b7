//! Activation normalisation: a learned scale and shift of each channel that start from the first batch.
//!
//! ```text
//! z = eᵃ x + t,   at first a = −log std(x), t = −mean(x) / std(x)      log det = H W Σ a
//! ```
//!
//! Kingma and Dhariwal, "Glow" (arXiv:1807.03039). Whether it has started is part of the checkpoint, so that a resumed
//! run never starts again.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};

use super::{Transform, for_each_row};
use crate::traits::{Bijection, Rows};

/// A standard deviation below this counts as this: a channel that never changes is not blown up.
const LEAST_DEVIATION: f64 = 1e-3;

/// A scale and shift of each channel.
#[derive(Module, Debug)]
pub struct ActNorm {
    /// `a`: `[C]`.
    pub log_scale: Param<Tensor<1>>,
    /// `t`: `[C]`.
    pub shift: Param<Tensor<1>>,
    /// One once `a` and `t` have been taken from a batch, zero before; not trained: `[1]`.
    pub initialised: Param<Tensor<1>>,
}

impl ActNorm {
    /// The identity, until it is [`started`](Transform::started). Rows are `channels` equal parts.
    pub fn new(channels: usize, device: &Device) -> Self {
        let zeros = |size| Param::from_tensor(Tensor::zeros([size], device));
        Self { log_scale: zeros(channels), shift: zeros(channels), initialised: zeros(1).set_require_grad(false) }
    }

    /// `[B, F] -> [B, C, F / C]`.
    fn by_channel(&self, x: Rows) -> Tensor<3> {
        let ([rows, features], channels) = (x.dims(), self.shift.dims()[0]);
        x.reshape([rows, channels, features / channels])
    }

    /// `[C] -> [1, C, 1]`.
    fn column(values: Tensor<1>) -> Tensor<3> {
        values.unsqueeze_dims(&[0, 2])
    }

    /// The log-determinant of the forward map.
    fn log_det(&self, rows: usize, positions: usize) -> Tensor<1> {
        for_each_row(self.log_scale.val().sum() * positions as f64, rows)
    }
}

impl Bijection for ActNorm {
    fn forward_and_log_det(&self, x: Rows) -> (Rows, Tensor<1>) {
        let shape = x.dims();
        let x = self.by_channel(x);
        let positions = x.dims()[2];
        let z = x * Self::column(self.log_scale.val().exp()) + Self::column(self.shift.val());
        (z.reshape(shape), self.log_det(shape[0], positions))
    }

    fn inverse_and_log_det(&self, z: Rows) -> (Rows, Tensor<1>) {
        let shape = z.dims();
        let z = self.by_channel(z);
        let positions = z.dims()[2];
        let x = (z - Self::column(self.shift.val())) * Self::column((-self.log_scale.val()).exp());
        (x.reshape(shape), -self.log_det(shape[0], positions))
    }
}

impl Transform for ActNorm {
    fn started(mut self, x: &Rows, _context: Option<&Rows>) -> Self {
        let begun = self.initialised.val().to_data().iter::<f32>().any(|flag| flag != 0.0);
        if begun || x.dims()[0] == 0 {
            return self;
        }
        let x = self.by_channel(x.clone());
        let ([rows, channels, positions], device) = (x.dims(), self.shift.device());
        let values: Vec<f64> = x.to_data().iter::<f32>().map(f64::from).collect();
        let (mut scales, mut shifts) = (Vec::with_capacity(channels), Vec::with_capacity(channels));
        for channel in 0..channels {
            let of_row = |row: usize| &values[(row * channels + channel) * positions..][..positions];
            let all = || (0..rows).flat_map(of_row);
            let count = (rows * positions) as f64;
            let mean = all().sum::<f64>() / count;
            let variance = all().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
            let deviation = variance.sqrt().max(LEAST_DEVIATION);
            scales.push(-deviation.ln() as f32);
            shifts.push((-mean / deviation) as f32);
        }
        let fill = |param: Param<Tensor<1>>, values: Vec<f32>| {
            let (id, count) = (param.id, values.len());
            param.transform_for_load(Tensor::from_data(TensorData::new(values, [count]), &device), id)
        };
        self.log_scale = fill(self.log_scale, scales);
        self.shift = fill(self.shift, shifts);
        self.initialised = fill(self.initialised, vec![1.0]);
        self
    }

    fn stages(&self) -> Vec<(String, &dyn Transform)> {
        vec![("actnorm".to_owned(), self)]
    }
}
