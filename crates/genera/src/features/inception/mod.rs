//! Inception-v3 as the Fréchet inception distance knows it: the TensorFlow graph `inception-2015-12-05`.
//!
//! ```text
//! 299x299x3 → stem → 35x35x192 → A A A → B → 17x17x768 → C C C C → D → 8x8x1280 → E E → 8x8x2048
//! features = mean over the 8x8 places, [2048]          logits = W features, [1008]
//! ```
//!
//! Szegedy et al., "Rethinking the Inception Architecture for Computer Vision" (arXiv:1512.00567); as the features of
//! a distance: Heusel et al. (arXiv:1706.08500). The graph is not the network of torchvision: averages over a 3x3
//! window leave the padding out, the last block pools by maximum, and there are 1008 classes. Names and shapes of the
//! weights are those of the state dict that PyTorch ports of the graph share, so their `.pth` file is read as it is.
//!
//! For looking only: batch normalisation is folded into the convolutions when the weights are read, and an average
//! before a 1x1 convolution is taken after it, where there are fewer channels; both are the same map up to rounding.

mod blocks;
mod resize;

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use self::blocks::Network;
pub use self::resize::{Picture, PictureError, Resize};
use super::source::Source;
use crate::weights::{self, Weights, WeightsError};

/// Height and width that every image is brought to.
const SIDE: usize = 299;
/// Images that pass through the network at once: enough to pay for the preparation of the weights, and 70 MB.
const BATCH: usize = 16;

/// How many numbers [`Activations`] holds for each image.
pub const FEATURES: usize = 2048;
/// How many classes the graph knows: 1000 of ImageNet and eight that were never used.
pub const CLASSES: usize = 1008;

/// The network, and how it brings images to its size.
#[derive(Debug)]
pub struct Inception {
    network: Network,
    resize: Resize,
    name: String,
    device: Device,
}

/// What the network says of some images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Activations {
    /// The last hidden layer, row-major `[n, 2048]`.
    pub features: Vec<f32>,
    /// The class scores without their biases, row-major `[n, 1008]`: the inception score is taken of these.
    pub logits: Vec<f32>,
}

impl Inception {
    /// The network with the weights in a `.pth` or safetensors file.
    ///
    /// # Errors
    /// A file that cannot be read, or does not hold exactly the arrays of this network.
    pub fn read(path: impl AsRef<Path>, resize: Resize, device: &Device) -> Result<Self, WeightsError> {
        Self::from_weights(&weights::read_checkpoint(path)?, resize, device)
    }

    /// The network with these weights.
    ///
    /// # Errors
    /// Weights that are missing, of another shape, or unknown.
    pub fn from_weights(weights: &Weights, resize: Resize, device: &Device) -> Result<Self, WeightsError> {
        let mut source = Source::new(weights, device);
        let network = Network::from_source(&mut source)?;
        source.finish()?;
        Ok(Self { network, resize, name: format!("inception-v3-2015/{}", resize.name()), device: device.clone() })
    }

    /// What is printed beside every number computed from these features: the network and the way of resizing.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the network says of `pictures`, which may differ in size and in being grey or coloured. A row does not
    /// depend on its neighbours.
    ///
    /// # Errors
    /// A picture that contradicts itself.
    pub fn look(&self, pictures: &[Picture<'_>]) -> Result<Activations, PictureError> {
        let mut all = Activations::default();
        for batch in pictures.chunks(BATCH) {
            let resized: Vec<Vec<f32>> =
                batch.par_iter().map(|picture| self.resize.apply(picture, [SIDE; 2])).collect::<Result<_, _>>()?;
            // Exact in single precision for whole grey levels.
            let pixels: Vec<f32> = resized.concat().into_iter().map(|value| (value - 128.0) / 128.0).collect();
            let shape = [batch.len(), SIDE, SIDE, 3];
            let (features, logits) =
                self.network.forward(Tensor::from_data(TensorData::new(pixels, shape), &self.device));
            all.features.extend(numbers(features));
            all.logits.extend(numbers(logits));
        }
        Ok(all)
    }
}

/// Reading fails only when the device itself has failed, after which nothing can go on.
fn numbers(tensor: Tensor<2>) -> Vec<f32> {
    tensor.try_into_vec_as().expect("the device lost its data")
}

#[cfg(test)]
mod tests;
