//! The numbers of one batch, by name.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use genera::weights::Weights;

/// What a case computes on; on a plain device.
#[derive(Clone, Debug)]
pub struct Given(BTreeMap<String, (Tensor<1>, Vec<usize>)>);

impl From<Weights> for Given {
    /// Arrays with four axes are images; they are turned from `[B, C, H, W]` to `[B, H, W, C]` here, once.
    fn from(arrays: Weights) -> Self {
        let tensor = |values, shape: &[usize]| {
            Tensor::<1>::from_data(TensorData::new(values, [shape.iter().product::<usize>()]), &Device::flex())
        };
        let entries = arrays.into_iter().map(|(name, array)| {
            let (flat, shape) = (tensor(array.values, &array.shape), array.shape);
            let entry = match shape[..] {
                [batch, channels, height, width] => {
                    let nhwc = flat.reshape([batch, channels, height, width]).permute([0, 2, 3, 1]);
                    // A permuted view is copied when it is flattened.
                    (nhwc.reshape([batch * channels * height * width]), vec![batch, height, width, channels])
                }
                _ => (flat, shape),
            };
            (name, entry)
        });
        Self(entries.collect())
    }
}

impl Given {
    /// The array called `name`.
    pub fn get<const D: usize>(&self, name: &str) -> Tensor<D> {
        let (values, shape) = &self.0[name];
        let shape: [usize; D] = shape[..].try_into().expect("the task knows the axes of its inputs");
        values.clone().reshape(shape)
    }
}
