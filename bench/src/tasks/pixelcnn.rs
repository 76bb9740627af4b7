//! Masked convolutions: van den Oord et al. (arXiv:1601.06759).

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use genera::Rng;
use genera::nn::{Activation, Conv2d, ConvOptions, images, rows};
use genera_kernels::{activate, conv2d};
use serde::Deserialize;

use crate::given::Given;
use crate::work::Task;

#[derive(Deserialize)]
pub struct Config {
    shape: [usize; 3],
    channels: usize,
    blocks: usize,
}

#[derive(Module, Debug)]
pub struct PixelCnn {
    conv_in: Conv2d,
    blocks: Vec<Block>,
    conv_out: Conv2d,
    #[module(skip)]
    shape: [usize; 3],
}

#[derive(Module, Debug)]
struct Block {
    conv_1: Conv2d,
    conv_2: Conv2d,
    conv_3: Conv2d,
}

impl Config {
    pub fn init(&self, rng: &mut Rng, device: &Device) -> PixelCnn {
        let &Self { shape, channels, blocks } = self;
        let mut conv =
            |inputs, outputs, kernel| Conv2d::new(inputs, outputs, kernel, ConvOptions::same(kernel), rng, device);
        PixelCnn {
            conv_in: conv(shape[0], channels, 7),
            blocks: (0..blocks)
                .map(|_| Block {
                    conv_1: conv(channels, channels / 2, 1),
                    conv_2: conv(channels / 2, channels / 2, 3),
                    conv_3: conv(channels / 2, channels, 1),
                })
                .collect(),
            conv_out: conv(channels, shape[0], 1),
            shape,
        }
    }
}

/// `conv` without the taps from number `seen` on, in reading order.
fn masked(conv: &Conv2d, x: Tensor<4>, seen: usize) -> Tensor<4> {
    let weight = conv.weight.val();
    let [_, _, kh, kw] = weight.dims();
    let mask: Vec<f32> = (0..kh * kw).map(|tap| f32::from(tap < seen)).collect();
    let mask = Tensor::<4>::from_data(TensorData::new(mask, [1, 1, kh, kw]), &x.device());
    conv2d(x, weight * mask, conv.bias.as_ref().map(Param::val), None, ConvOptions::same(kh))
}

impl Task for PixelCnn {
    fn loss(&self, given: &Given) -> Tensor<1> {
        let x: Tensor<2> = given.get("x");
        let relu = |x| activate(x, Activation::Relu);
        let h = masked(&self.conv_in, images(x.clone(), self.shape), 24);
        let h = self.blocks.iter().fold(h, |h, block| {
            let inner = masked(&block.conv_2, relu(block.conv_1.forward(relu(h.clone()))), 5);
            block.conv_3.forward_onto(relu(inner), h)
        });
        let logits = rows(self.conv_out.forward(relu(h)));
        (activate(logits.clone(), Activation::Softplus) - x * logits).mean()
    }
}
