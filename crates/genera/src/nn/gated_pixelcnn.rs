//! Gated PixelCNN: van den Oord et al., "Conditional Image Generation with PixelCNN Decoders" (arXiv:1606.05328).
//!
//! Two stacks. The vertical one knows the rows above, the horizontal one these and what is left in the row; together
//! they see all that has been drawn, without a blind spot. One layer (figure 2 of the paper):
//!
//! ```text
//! a = conv k x k (v)      v' = tanh(a₁) σ(a₂)
//! b = conv 1 x k (h) + W_v a      h' = W_h tanh(b₁) σ(b₂) + h
//! ```
//!
//! without `+ h` in the first. Last come a rectifier, a 1x1 convolution, a rectifier and the 1x1 convolution that gives
//! the outputs. A network that is told a class, or of each pixel a coarser code, adds `V c` to `a` (section 2.3).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera_kernels::{Activation, activate};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::Linear;
use super::causal::{Alphabet, Causal, CausalError, Cursor, Told, divides, host, sizes, told, told_along, with};
use super::masked_conv::{Mask, MaskedConv2d, Painter, Raster, RowCache, Taps, elements, pictures, raster};
use crate::traits::Rows;

/// What a [`GatedPixelCnn`] looks like, apart from the data it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatedPixelCnnConfig {
    /// Features of each stack.
    pub filters: usize,
    /// Number of layers.
    pub layers: usize,
    /// Side of the kernels.
    pub kernel: usize,
}

impl Default for GatedPixelCnnConfig {
    fn default() -> Self {
        Self { filters: 32, layers: 7, kernel: 3 }
    }
}

impl GatedPixelCnnConfig {
    /// Fresh weights for pictures of shape `[C, H, W]` with `outputs` numbers for each channel of each pixel.
    ///
    /// # Errors
    /// A size of zero, an even kernel, or channels that do not divide the filters.
    pub fn init(
        &self,
        shape: [usize; 3],
        alphabet: Alphabet,
        outputs: usize,
        rng: &mut Rng,
        device: &Device,
    ) -> Result<GatedPixelCnn, CausalError> {
        self.init_given(shape, alphabet, [outputs, 0], rng, device)
    }

    /// The same for a network that is told `context` numbers of each picture, or of each pixel of it.
    ///
    /// # Errors
    /// As [`GatedPixelCnnConfig::init`].
    pub fn init_given(
        &self,
        shape: [usize; 3],
        alphabet: Alphabet,
        [outputs, context]: [usize; 2],
        rng: &mut Rng,
        device: &Device,
    ) -> Result<GatedPixelCnn, CausalError> {
        let &Self { filters, layers, kernel } = self;
        let [channels, height, width] = shape;
        sizes([("number of channels", channels), ("height", height), ("width", width)])?;
        sizes([("number of filters", filters), ("number of layers", layers)])?;
        divides(("the number of filters", filters), ("channels", channels))?;
        let mut conv = |mask, features, kernel| MaskedConv2d::new(mask, channels, features, kernel, rng, device);
        let mut layer = |first: bool| -> Result<Layer, CausalError> {
            let inputs = if first { channels * alphabet.width() } else { filters };
            let (above, left) = if first { (Mask::Above, Mask::A) } else { (Mask::AboveAndBeside, Mask::B) };
            Ok(Layer {
                vertical: conv(above, [inputs, 2 * filters], [kernel; 2])?,
                horizontal: conv(left, [inputs, 2 * filters], [1, kernel])?.in_halves(),
                link: conv(Mask::AboveAndBeside, [2 * filters; 2], [1; 2])?,
                mix: conv(Mask::B, [filters; 2], [1; 2])?,
            })
        };
        let made = (0..layers).map(|i| layer(i == 0)).collect::<Result<_, _>>()?;
        let (conv_1, conv_2) =
            (conv(Mask::B, [filters; 2], [1; 2])?, conv(Mask::B, [filters, channels * outputs], [1; 2])?);
        let context =
            (0..layers).filter(|_| context > 0).map(|_| Linear::new(context, 2 * filters, rng, device)).collect();
        Ok(GatedPixelCnn {
            layers: made,
            conv_1,
            conv_2,
            context,
            shape,
            alphabet,
            outputs,
            orders: vec![raster(shape)],
        })
    }
}

/// Two gated stacks of masked convolutions: `[B, C · H · W] -> [B, C · H · W, P]`.
#[derive(Module, Debug)]
pub struct GatedPixelCnn {
    layers: Vec<Layer>,
    conv_1: MaskedConv2d,
    conv_2: MaskedConv2d,
    /// `V` of all layers; empty if the network is told nothing.
    context: Vec<Linear>,
    #[module(skip)]
    shape: [usize; 3],
    #[module(skip)]
    alphabet: Alphabet,
    #[module(skip)]
    outputs: usize,
    #[module(skip)]
    orders: Vec<Vec<usize>>,
}

#[derive(Module, Debug)]
struct Layer {
    vertical: MaskedConv2d,
    horizontal: MaskedConv2d,
    link: MaskedConv2d,
    mix: MaskedConv2d,
}

/// `tanh(a₁) σ(a₂)` of the two halves of the features: `[B, H, W, 2 F] -> [B, H, W, F]`.
pub(super) fn gate<const D: usize>(a: Tensor<D>) -> Tensor<D> {
    let half = a.dims()[D - 1] / 2;
    let (a1, a2) = (a.clone().narrow(D - 1, 0, half), a.narrow(D - 1, half, half));
    activate(a1, Activation::Tanh) * activate(a2, Activation::Sigmoid)
}

impl Causal for GatedPixelCnn {
    fn orders(&self) -> &[Vec<usize>] {
        &self.orders
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn forward(&self, x: Rows, _order: usize) -> Tensor<3> {
        self.run(x, None)
    }

    fn cursor(&self, _order: usize, rows: usize) -> Box<dyn Cursor + '_> {
        self.start(rows, None)
    }
}

impl Told for GatedPixelCnn {
    fn forward_told(&self, x: Rows, _order: usize, told: &Rows) -> Tensor<3> {
        self.run(x, Some(told))
    }

    fn cursor_told(&self, _order: usize, told: &Rows) -> Box<dyn Cursor + '_> {
        self.start(told.dims()[0], Some(told))
    }
}

impl GatedPixelCnn {
    /// All outputs.
    fn run(&self, x: Rows, context: Option<&Rows>) -> Tensor<3> {
        let told = told(&self.context, context, [self.shape[1], self.shape[2]]);
        let x = pictures(x, self.shape, self.alphabet);
        let (mut v, mut h) = (x.clone(), x);
        for (i, layer) in self.layers.iter().enumerate() {
            let a = with(layer.vertical.forward(v), told.get(i).cloned());
            v = gate(a.clone());
            let b = gate(layer.horizontal.forward_onto(h.clone(), layer.link.forward(a)));
            h = if i == 0 { layer.mix.forward(b) } else { layer.mix.forward_onto(b, h) };
        }
        let y = activate(self.conv_1.forward(activate(h, Activation::Relu)), Activation::Relu);
        elements(self.conv_2.forward(y), self.shape[0])
    }

    /// The same outputs one after another.
    fn start(&self, rows: usize, context: Option<&Rows>) -> Box<dyn Cursor + '_> {
        let width = self.shape[2];
        let of = |conv: fn(&Layer) -> &MaskedConv2d| -> Vec<_> { self.layers.iter().map(conv).collect() };
        let taps = |convolutions: Vec<&MaskedConv2d>| convolutions.into_iter().map(MaskedConv2d::taps).collect();
        let caches = |convolutions: Vec<&MaskedConv2d>| -> Vec<RowCache> {
            convolutions.into_iter().map(|conv| conv.cache(rows, width)).collect()
        };
        let painter = GatedPainter {
            net: self,
            told: told(&self.context, context, [self.shape[1], width]),
            vertical: taps(of(|layer| &layer.vertical)),
            horizontal: taps(of(|layer| &layer.horizontal)),
            above: caches(of(|layer| &layer.vertical)),
            left: caches(of(|layer| &layer.horizontal)),
            links: Vec::new(),
        };
        let device = self.conv_1.weight.device();
        Box::new(Raster {
            painter,
            shape: self.shape,
            alphabet: self.alphabet,
            outputs: self.outputs,
            device,
            place: 0,
        })
    }
}

/// What both stacks read, and what the vertical one says about the present row.
struct GatedPainter<'a> {
    net: &'a GatedPixelCnn,
    told: Vec<Tensor<4>>,
    vertical: Vec<Taps>,
    horizontal: Vec<Taps>,
    above: Vec<RowCache>,
    left: Vec<RowCache>,
    /// `W_v a` of each layer: `[B, 1, W, 2 F]`.
    links: Vec<Tensor<4>>,
}

impl Painter for GatedPainter<'_> {
    fn see(&mut self, [row, column]: [usize; 2], channel: usize, seen: &[f32]) {
        let first = channel * self.net.alphabet.width();
        self.above[0].set(row, column, first, seen);
        self.left[0].set(row, column, first, seen);
    }

    fn start_row(&mut self, row: usize) {
        self.above.iter_mut().chain(&mut self.left).for_each(|cache| cache.start_row(row));
        self.links.clear();
        for (i, layer) in self.net.layers.iter().enumerate() {
            let told = self.told.get(i).map(|told| told_along(told, row));
            let a = with(self.vertical[i].at(&self.above[i], row, None, None), told);
            if let Some(next) = self.above.get_mut(i + 1) {
                next.set(row, 0, 0, &host(gate(a.clone())));
            }
            self.links.push(layer.link.forward(a));
        }
    }

    fn pixel(&mut self, [row, column]: [usize; 2]) -> Vec<f32> {
        let mut h = None;
        for (i, layer) in self.net.layers.iter().enumerate() {
            if let Some(h) = &h {
                self.left[i].set(row, column, 0, &host(Tensor::clone(h)));
            }
            let link = self.links[i].clone().narrow(2, column, 1);
            let b = gate(self.horizontal[i].at(&self.left[i], row, Some(column), Some(link)));
            h = Some(match h {
                None => layer.mix.forward(b),
                Some(h) => layer.mix.forward_onto(b, h),
            });
        }
        let net = self.net;
        let y = h.map(|h| activate(net.conv_1.forward(activate(h, Activation::Relu)), Activation::Relu));
        y.map_or_else(Vec::new, |y| host(net.conv_2.forward(y)))
    }
}
