//! PixelCNN: van den Oord, Kalchbrenner and Kavukcuoglu, "Pixel Recurrent Neural Networks" (arXiv:1601.06759), section
//! 3.5, as a plain chain of masked convolutions.
//!
//! ```text
//! h = conv_A(x),   n times h = h' + conv_B(f(norm(h))),   y = conv_B 1x1(f(norm(h)))
//! ```
//!
//! with `f` the rectifier and `h'` either `h` (residual) or nothing. The paper's blocks are bottlenecks; these are not. A
//! network that is told something of each picture, a latent or a class, or of each pixel, a coarser code, adds `W c` to every
//! `h`: van den Oord et al. (arXiv:1606.05328), section 2.3.
//! What lies right above and to the right can stay unseen however many layers there are: the blind spot that
//! [`GatedPixelCnn`](super::GatedPixelCnn) removes.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera_kernels::{Activation, activate};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::causal::{Alphabet, Causal, CausalError, Cursor, Told, divides, host, sizes, told, told_at, with};
use super::masked_conv::{Mask, MaskedConv2d, Painter, Raster, RowCache, Taps, elements, pictures, raster};
use super::{LayerNorm, Linear};
use crate::traits::Rows;

/// What a [`PixelCnn`] looks like, apart from the data it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PixelCnnConfig {
    /// Features of every layer.
    pub filters: usize,
    /// Layers between the first and the last.
    pub layers: usize,
    /// Side of the kernels of all layers but the last.
    pub kernel: usize,
    /// Whether features are normalised before each rectifier: over the features of one pixel and one channel.
    pub norm: bool,
    /// Whether layers add to what they read.
    pub residual: bool,
}

impl Default for PixelCnnConfig {
    fn default() -> Self {
        Self { filters: 32, layers: 5, kernel: 5, norm: true, residual: true }
    }
}

impl PixelCnnConfig {
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
    ) -> Result<PixelCnn, CausalError> {
        self.init_given(shape, alphabet, [outputs, 0], rng, device)
    }

    /// The same for a network that is told `context` numbers of each picture, or of each pixel of it.
    ///
    /// # Errors
    /// As [`PixelCnnConfig::init`].
    pub fn init_given(
        &self,
        shape: [usize; 3],
        alphabet: Alphabet,
        [outputs, context]: [usize; 2],
        rng: &mut Rng,
        device: &Device,
    ) -> Result<PixelCnn, CausalError> {
        let &Self { filters, kernel, .. } = self;
        let [channels, height, width] = shape;
        sizes([
            ("number of channels", channels),
            ("height", height),
            ("width", width),
            ("number of filters", filters),
        ])?;
        divides(("the number of filters", filters), ("channels", channels))?;
        let norm = || self.norm.then(|| LayerNorm::new(filters / channels, 1e-5, device));
        let kernel = [kernel; 2];
        let conv_in = [channels * alphabet.width(), filters];
        let conv_in = MaskedConv2d::new(Mask::A, channels, conv_in, kernel, rng, device)?;
        let layers = (0..self.layers).map(|_| {
            let conv = MaskedConv2d::new(Mask::B, channels, [filters; 2], kernel, rng, device)?;
            Ok(Layer { norm: norm(), conv })
        });
        let layers = layers.collect::<Result<_, CausalError>>()?;
        let conv = MaskedConv2d::new(Mask::B, channels, [filters, channels * outputs], [1; 2], rng, device)?;
        let (orders, last) = (vec![raster(shape)], Layer { norm: norm(), conv });
        let told = (0..self.layers + 1).filter(|_| context > 0);
        let context = told.map(|_| Linear::new(context, filters, rng, device)).collect();
        Ok(PixelCnn { conv_in, layers, last, context, residual: self.residual, shape, alphabet, outputs, orders })
    }
}

/// Masked convolutions: `[B, C · H · W] -> [B, C · H · W, P]`.
#[derive(Module, Debug)]
pub struct PixelCnn {
    conv_in: MaskedConv2d,
    layers: Vec<Layer>,
    last: Layer,
    /// `W` of all layers but the last; empty if the network is told nothing.
    context: Vec<Linear>,
    #[module(skip)]
    residual: bool,
    #[module(skip)]
    shape: [usize; 3],
    #[module(skip)]
    alphabet: Alphabet,
    #[module(skip)]
    outputs: usize,
    #[module(skip)]
    orders: Vec<Vec<usize>>,
}

/// Normalisation, rectifier, convolution.
#[derive(Module, Debug)]
struct Layer {
    norm: Option<LayerNorm>,
    conv: MaskedConv2d,
}

impl Layer {
    /// What the convolution reads.
    fn prepare(&self, h: Tensor<4>) -> Tensor<4> {
        let Some(norm) = &self.norm else { return activate(h, Activation::Relu) };
        // Each group of features by itself: a group must not learn of later ones from their common mean.
        let [batch, height, width, features] = h.dims();
        let group = norm.weight.dims()[0];
        let h: Tensor<5> = h.reshape([batch, height, width, features / group, group]);
        norm.forward_into(h, Activation::Relu).reshape([batch, height, width, features])
    }
}

impl PixelCnn {
    /// All outputs, given what is told of each picture, `[B, context]`, or of each pixel, `[B, H · W · context]`:
    /// `[B, C · H · W] -> [B, C · H · W, P]`.
    pub fn forward_given(&self, x: Rows, context: Option<&Rows>) -> Tensor<3> {
        let told = self.told(context);
        let h = self.conv_in.forward(pictures(x, self.shape, self.alphabet));
        let h = self.layers.iter().enumerate().fold(with(h, told.first().cloned()), |h, (i, layer)| {
            let inner = layer.prepare(h.clone());
            let h = if self.residual { layer.conv.forward_onto(inner, h) } else { layer.conv.forward(inner) };
            with(h, told.get(i + 1).cloned())
        });
        elements(self.last.conv.forward(self.last.prepare(h)), self.shape[0])
    }

    /// The same outputs one after another, for as many rows as `context` has.
    pub fn cursor_given(&self, rows: usize, context: Option<&Rows>) -> Box<dyn Cursor + '_> {
        let convolutions = [&self.conv_in].into_iter().chain(self.layers.iter().map(|layer| &layer.conv));
        let convolutions: Vec<&MaskedConv2d> = convolutions.chain([&self.last.conv]).collect();
        let painter = PixelCnnPainter {
            net: self,
            told: self.told(context),
            taps: convolutions.iter().map(|conv| conv.taps()).collect(),
            caches: convolutions.iter().map(|conv| conv.cache(rows, self.shape[2])).collect(),
        };
        let device = self.conv_in.weight.device();
        Box::new(Raster {
            painter,
            shape: self.shape,
            alphabet: self.alphabet,
            outputs: self.outputs,
            device,
            place: 0,
        })
    }

    /// `W c` of every layer but the last; none if nothing is told.
    fn told(&self, context: Option<&Rows>) -> Vec<Tensor<4>> {
        told(&self.context, context, [self.shape[1], self.shape[2]])
    }
}

impl Causal for PixelCnn {
    fn orders(&self) -> &[Vec<usize>] {
        &self.orders
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn forward(&self, x: Rows, _order: usize) -> Tensor<3> {
        self.forward_given(x, None)
    }

    fn cursor(&self, _order: usize, rows: usize) -> Box<dyn Cursor + '_> {
        self.cursor_given(rows, None)
    }
}

impl Told for PixelCnn {
    fn forward_told(&self, x: Rows, _order: usize, told: &Rows) -> Tensor<3> {
        self.forward_given(x, Some(told))
    }

    fn cursor_told(&self, _order: usize, told: &Rows) -> Box<dyn Cursor + '_> {
        self.cursor_given(told.dims()[0], Some(told))
    }
}

/// For each convolution what it reads, and the convolution.
struct PixelCnnPainter<'a> {
    net: &'a PixelCnn,
    told: Vec<Tensor<4>>,
    taps: Vec<Taps>,
    caches: Vec<RowCache>,
}

impl Painter for PixelCnnPainter<'_> {
    fn see(&mut self, [row, column]: [usize; 2], channel: usize, seen: &[f32]) {
        self.caches[0].set(row, column, channel * self.net.alphabet.width(), seen);
    }

    fn start_row(&mut self, row: usize) {
        self.caches.iter_mut().for_each(|cache| cache.start_row(row));
    }

    fn pixel(&mut self, [row, column]: [usize; 2]) -> Vec<f32> {
        let (taps, caches) = (&self.taps, &mut self.caches);
        let told = |layer: usize| self.told.get(layer).map(|told| told_at(told, [row, column]));
        let mut h = with(taps[0].at(&caches[0], row, Some(column), None), told(0));
        let layers = self.net.layers.iter().chain([&self.net.last]);
        for (i, layer) in (1..).zip(layers) {
            caches[i].set(row, column, 0, &host(layer.prepare(h.clone())));
            let onto = (self.net.residual && i < taps.len() - 1).then_some(h);
            h = with(taps[i].at(&caches[i], row, Some(column), onto), told(i));
        }
        host(h)
    }
}
