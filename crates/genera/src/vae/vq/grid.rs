//! Networks between images and grids of vectors.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera_kernels::{Activation, activate};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::super::VaeError;
use super::super::error::some;
use super::super::nets::{Down, Up, smallest};
use crate::nn::{Conv2d, ConvOptions};
use crate::traits::{Net, Rows};

/// The convolutions of both networks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GridConfig {
    /// Channels of the encoder's layers; the first keeps the size of the image, each other halves it.
    pub channels: Vec<usize>,
    /// Residual blocks after every layer.
    #[serde(default)]
    pub blocks: usize,
}

impl GridConfig {
    /// Height and width of the grid of an image of `shape`.
    ///
    /// # Errors
    /// No channels, or a width of zero.
    pub fn size(&self, shape: [usize; 3]) -> Result<[usize; 2], VaeError> {
        some("the number of channels", self.channels.len())?;
        self.channels.iter().try_for_each(|width| some("a width of the network", *width))?;
        Ok(smallest(shape, &self.channels))
    }

    /// Images of `shape` to `width` numbers a place. The grid must have a [`size`](GridConfig::size).
    pub(super) fn encoder(&self, shape: [usize; 3], width: usize, rng: &mut Rng, device: &Device) -> GridEncoder {
        let last = self.channels[self.channels.len() - 1];
        GridEncoder {
            down: Down::new(shape, &self.channels, self.blocks, rng, device),
            output: Conv2d::new(last, width, 1, ConvOptions::default(), rng, device),
        }
    }

    /// `width` numbers a place to images of `shape`.
    pub(super) fn decoder(&self, width: usize, shape: [usize; 3], rng: &mut Rng, device: &Device) -> GridDecoder {
        let last = self.channels[self.channels.len() - 1];
        GridDecoder {
            input: Conv2d::new(width, last, 3, ConvOptions::same(3), rng, device),
            up: Up::new(&self.channels, self.blocks, shape, rng, device),
            grid: smallest(shape, &self.channels),
            width,
        }
    }
}

/// Images to grids of vectors: `[B, C · H · W] -> [B, h · w · D]`, the vector of a place side by side.
#[derive(Module, Debug)]
pub struct GridEncoder {
    down: Down,
    output: Conv2d,
}

impl Net for GridEncoder {
    fn forward(&self, x: Rows) -> Rows {
        let grid = self.output.forward(self.down.forward(x));
        let [rows, height, width, channels] = grid.dims();
        grid.reshape([rows, height * width * channels])
    }
}

/// Grids of vectors to images: `[B, h · w · D] -> [B, C · H · W]`.
#[derive(Module, Debug)]
pub struct GridDecoder {
    input: Conv2d,
    up: Up,
    #[module(skip)]
    grid: [usize; 2],
    #[module(skip)]
    width: usize,
}

impl Net for GridDecoder {
    fn forward(&self, z: Rows) -> Rows {
        let (rows, [height, width]) = (z.dims()[0], self.grid);
        let grid: Tensor<4> = z.reshape([rows, height, width, self.width]);
        self.up.forward(activate(self.input.forward(grid), Activation::Relu))
    }
}
