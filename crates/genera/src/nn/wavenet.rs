//! WaveNet: van den Oord et al. (arXiv:1609.03499), dilated causal convolutions over the elements of a row.
//!
//! ```text
//! h = W x₋₁,   layer l of n: a = V₀ h(t - 2ˡ) + V₁ h(t),  z = tanh(a₁) σ(a₂),  s += S z,  h = h + R z,   y = Q f(P f(s))
//! ```
//!
//! with `f` the rectifier. The input is delayed by one element, so that output `t` sees the `2ⁿ` elements before it.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use genera_kernels::{Activation, ConvOptions, activate, conv2d};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::causal::{Alphabet, Causal, CausalError, Cursor, delayed, host, seen, sizes};
use super::gated_pixelcnn::gate;
use super::{Linear, init};
use crate::traits::Rows;

/// What a [`WaveNet`] looks like, apart from the data it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WaveNetConfig {
    /// Features of the residual stream.
    pub channels: usize,
    /// Features that layers give to the output.
    pub skip: usize,
    /// Number of layers: layer `l` looks `2ˡ` elements back.
    pub layers: usize,
}

impl Default for WaveNetConfig {
    fn default() -> Self {
        Self { channels: 32, skip: 64, layers: 6 }
    }
}

impl WaveNetConfig {
    /// Fresh weights for rows of `length` elements with `outputs` numbers for each.
    ///
    /// # Errors
    /// A size of zero.
    pub fn init(
        &self,
        length: usize,
        alphabet: Alphabet,
        outputs: usize,
        rng: &mut Rng,
        device: &Device,
    ) -> Result<WaveNet, CausalError> {
        let &Self { channels, skip, layers } = self;
        sizes([("length of a row", length), ("number of channels", channels), ("width of the skip", skip)])?;
        sizes([("number of layers", layers)])?;
        let input = Linear::new(alphabet.width(), channels, rng, device);
        let layer = |i: usize| Layer {
            weight: init::fan_in_uniform([2 * channels, channels, 2], 2 * channels, rng, device),
            bias: init::fan_in_uniform([2 * channels], 2 * channels, rng, device),
            skip: Linear::new(channels, skip, rng, device),
            residual: (i + 1 < layers).then(|| Linear::new(channels, channels, rng, device)),
        };
        let layers: Vec<Layer> = (0..layers).map(layer).collect();
        let output_1 = Linear::new(skip, skip, rng, device);
        let output_2 = Linear::new(skip, outputs, rng, device);
        Ok(WaveNet { input, layers, output_1, output_2, alphabet, orders: vec![(0..length).collect()] })
    }
}

/// Dilated causal convolutions: `[B, T] -> [B, T, P]`.
#[derive(Module, Debug)]
pub struct WaveNet {
    input: Linear,
    layers: Vec<Layer>,
    output_1: Linear,
    output_2: Linear,
    #[module(skip)]
    alphabet: Alphabet,
    #[module(skip)]
    orders: Vec<Vec<usize>>,
}

#[derive(Module, Debug)]
struct Layer {
    /// `[2 C, C, 2]`, as of PyTorch's `Conv1d`.
    weight: Param<Tensor<3>>,
    bias: Param<Tensor<1>>,
    skip: Linear,
    /// None in the last layer, after which nothing reads the stream.
    residual: Option<Linear>,
}

impl Layer {
    /// The gated convolution of a line of features: `[B, 1, T, C] -> [B, 1, T', C]`.
    fn gated(&self, h: Tensor<4>, dilation: usize, padding: usize) -> Tensor<4> {
        let options = ConvOptions { dilation: [1, dilation], padding: [[0; 2], [padding, 0]], ..Default::default() };
        gate(conv2d(h, self.weight.val().unsqueeze_dim(2), Some(self.bias.val()), None, options))
    }
}

impl WaveNet {
    /// `Q f(P f(s))`.
    fn output(&self, skips: Tensor<4>) -> Tensor<4> {
        let s = self.output_1.forward_into(activate(skips, Activation::Relu), Activation::Relu);
        self.output_2.forward(s)
    }

    /// All layers of features `h`, layer `l` convolving what `convolve(l, h)` makes of it.
    fn run(&self, h: Tensor<4>, mut convolve: impl FnMut(usize, &Tensor<4>) -> Tensor<4>) -> Tensor<4> {
        let mut h = h;
        let mut skips: Option<Tensor<4>> = None;
        for (i, layer) in self.layers.iter().enumerate() {
            let z = convolve(i, &h);
            let skip = layer.skip.forward(z.clone());
            skips = Some(match skips {
                None => skip,
                Some(skips) => skips + skip,
            });
            if let Some(residual) = &layer.residual {
                h = h + residual.forward(z);
            }
        }
        self.output(skips.unwrap_or(h))
    }
}

impl Causal for WaveNet {
    fn orders(&self) -> &[Vec<usize>] {
        &self.orders
    }

    fn outputs(&self) -> usize {
        self.output_2.weight.lazy_shape()[0]
    }

    fn forward(&self, x: Rows, _order: usize) -> Tensor<3> {
        let x: Tensor<4> = delayed(self.alphabet.encode(x)).unsqueeze_dim(1);
        let y = self.run(self.input.forward(x), |i, h| self.layers[i].gated(h.clone(), 1 << i, 1 << i));
        y.squeeze_dim(1)
    }

    fn cursor(&self, _order: usize, rows: usize) -> Box<dyn Cursor + '_> {
        Box::new(WaveNetCursor { net: self, past: vec![Vec::new(); self.layers.len()], rows })
    }
}

/// What each layer has read so far.
struct WaveNetCursor<'a> {
    net: &'a WaveNet,
    past: Vec<Vec<Tensor<4>>>,
    rows: usize,
}

impl Cursor for WaveNetCursor<'_> {
    fn advance(&mut self, previous: &[f32]) -> Vec<f32> {
        let Self { net, past, rows } = self;
        let x = seen(net.alphabet, previous, *rows, &net.input.weight.device());
        let x: Tensor<4> = x.unsqueeze_dims(&[1, 2]);
        host(net.run(net.input.forward(x), |i, h| {
            let back = past[i].len().checked_sub(1 << i).map_or_else(|| h.zeros_like(), |at| past[i][at].clone());
            past[i].push(h.clone());
            net.layers[i].gated(Tensor::cat(vec![back, h.clone()], 2), 1, 0)
        }))
    }
}
