//! Another order of the columns: determinants of size one.
//!
//! [`Squeeze`] is RealNVP's (arXiv:1605.08803): the four pixels of each 2x2 block become four channels, in the order
//! `(B, C, H/2, 2, W/2, 2) → (0, 1, 3, 5, 2, 4)`.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use genera_rng::Rng;

use super::{FlowError, Transform, no_change};
use crate::traits::{Bijection, Rows};

/// Column `i` of `z` is column `order[i]` of `x`.
#[derive(Module, Debug)]
pub struct Permutation {
    order: Tensor<1, Int>,
    back: Tensor<1, Int>,
}

impl Permutation {
    /// # Errors
    /// An order that is no permutation of `0 .. F`.
    pub fn new(order: &[usize], device: &Device) -> Result<Self, FlowError> {
        let mut back = vec![usize::MAX; order.len()];
        for (to, from) in order.iter().enumerate() {
            if let Some(place) = back.get_mut(*from) {
                *place = to;
            }
        }
        let whole = !order.is_empty() && back.iter().all(|place| *place != usize::MAX);
        FlowError::unless(whole, "order", format!("{order:?}"), "each of 0, 1, 2, .. once")?;
        let indices = |values: &[usize]| {
            let values: Vec<i32> = values.iter().map(|value| *value as i32).collect();
            Tensor::from_data(TensorData::from(values.as_slice()), device)
        };
        Ok(Self { order: indices(order), back: indices(&back) })
    }

    /// The last column first.
    ///
    /// # Errors
    /// No columns.
    pub fn reverse(features: usize, device: &Device) -> Result<Self, FlowError> {
        Self::new(&(0..features).rev().collect::<Vec<_>>(), device)
    }

    /// A random order. It is no part of a checkpoint: draw it from what the configuration fixes.
    ///
    /// # Errors
    /// No columns.
    pub fn random(features: usize, rng: &mut Rng, device: &Device) -> Result<Self, FlowError> {
        Self::new(&rng.permutation(features), device)
    }
}

impl Bijection for Permutation {
    fn forward_and_log_det(&self, x: Rows) -> (Rows, Tensor<1>) {
        let log_det = no_change(&x);
        (x.select(1, self.order.clone()), log_det)
    }

    fn inverse_and_log_det(&self, z: Rows) -> (Rows, Tensor<1>) {
        let log_det = no_change(&z);
        (z.select(1, self.back.clone()), log_det)
    }
}

impl Transform for Permutation {
    fn stages(&self) -> Vec<(String, &dyn Transform)> {
        vec![("permutation".to_owned(), self)]
    }
}

/// Images of shape `[C, H, W]` as images of shape `[4C, H/2, W/2]`.
#[derive(Module, Debug)]
pub struct Squeeze {
    #[module(skip)]
    shape: [usize; 3],
}

impl Squeeze {
    /// # Errors
    /// A height or width that is odd.
    pub fn new(shape: [usize; 3]) -> Result<Self, FlowError> {
        let [channels, height, width] = shape;
        let fits = channels > 0 && height > 0 && width > 0 && height % 2 == 0 && width % 2 == 0;
        FlowError::unless(fits, "shape", format!("{shape:?}"), "of even height and width to be squeezed")?;
        Ok(Self { shape })
    }

    /// The shape after it.
    pub fn squeezed(&self) -> [usize; 3] {
        let [channels, height, width] = self.shape;
        [4 * channels, height / 2, width / 2]
    }
}

impl Bijection for Squeeze {
    fn forward_and_log_det(&self, x: Rows) -> (Rows, Tensor<1>) {
        let ([rows, features], log_det) = (x.dims(), no_change(&x));
        let [channels, height, width] = self.shape;
        let x: Tensor<6> = x.reshape([rows, channels, height / 2, 2, width / 2, 2]);
        (x.permute([0, 1, 3, 5, 2, 4]).reshape([rows, features]), log_det)
    }

    fn inverse_and_log_det(&self, z: Rows) -> (Rows, Tensor<1>) {
        let ([rows, features], log_det) = (z.dims(), no_change(&z));
        let [channels, height, width] = self.shape;
        let z: Tensor<6> = z.reshape([rows, channels, 2, 2, height / 2, width / 2]);
        (z.permute([0, 1, 4, 2, 5, 3]).reshape([rows, features]), log_det)
    }
}

impl Transform for Squeeze {
    fn stages(&self) -> Vec<(String, &dyn Transform)> {
        vec![("squeeze".to_owned(), self)]
    }
}
