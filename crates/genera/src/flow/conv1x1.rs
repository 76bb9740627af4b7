//! Invertible 1x1 convolutions: one linear map of the channels at every position.
//!
//! `log |det| = H W Σ log |s|` with `W = P L (U + diag s)`: Kingma and Dhariwal, "Glow" (arXiv:1807.03039).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera_rng::Rng;

use super::{Plu, Transform, for_each_row};
use crate::nn::{Activation, images, rows};
use crate::traits::{Bijection, Rows};

/// A [`Plu`] over the channels of images.
#[derive(Module, Debug)]
pub struct Conv1x1 {
    /// The map of the channels.
    pub channels: Plu,
    #[module(skip)]
    shape: [usize; 3],
}

impl Conv1x1 {
    /// For images of `shape` `[C, H, W]`; starts at a random rotation.
    pub fn new(shape: [usize; 3], rng: &mut Rng, device: &Device) -> Self {
        Self { channels: Plu::new(shape[0], rng, device), shape }
    }

    fn apply(&self, x: Rows, weight: Tensor<2>, log_det: Tensor<1>) -> (Rows, Tensor<1>) {
        let [_, height, width] = self.shape;
        let count = x.dims()[0];
        let image = genera_kernels::linear(images(x, self.shape), weight, None, Activation::Identity);
        (rows(image), for_each_row(log_det * (height * width) as f64, count))
    }
}

impl Bijection for Conv1x1 {
    fn forward_and_log_det(&self, x: Rows) -> (Rows, Tensor<1>) {
        self.apply(x, self.channels.weight(), self.channels.log_det())
    }

    fn inverse_and_log_det(&self, z: Rows) -> (Rows, Tensor<1>) {
        self.apply(z, self.channels.inverse_weight(), -self.channels.log_det())
    }
}

impl Transform for Conv1x1 {
    fn stages(&self) -> Vec<(String, &dyn Transform)> {
        vec![("1x1 convolution".to_owned(), self)]
    }
}
