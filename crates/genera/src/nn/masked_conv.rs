//! Convolutions that see only pixels already drawn: van den Oord, Kalchbrenner and Kavukcuoglu, "Pixel Recurrent Neural
//! Networks" (arXiv:1601.06759), section 3.4; the stacks of Gated PixelCNN (arXiv:1606.05328), section 2.2.
//!
//! Pixels are drawn row by row, and the channels of a pixel one after another. Features fall into as many groups as the
//! picture has channels; a feature of group `g` knows channels of its own pixel up to `g` (in first layers: below `g`).
//! Weights have PyTorch's full shape `[O, I, kh, kw]`; what lies below the centre is cut away, so that it costs nothing,
//! and the rest is multiplied by the mask.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use genera_kernels::{ConvOptions, conv2d};
use genera_rng::Rng;

use super::causal::{Alphabet, CausalError, Cursor, host};
use super::{images, init};
use crate::traits::Rows;

/// What a masked convolution sees of the row of pixels that it computes; rows above are always seen, rows below never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// The pixels to the left, and of its own pixel the channels before: for first layers.
    A,
    /// The pixels to the left, and of its own pixel the groups up to its own: for all other layers.
    B,
    /// Nothing: the vertical stack's first layer.
    Above,
    /// All of it: the vertical stack's other layers, whose features already know rows above only.
    AboveAndBeside,
}

/// A convolution with a [`Mask`] that keeps the size of the picture.
#[derive(Module, Debug)]
pub struct MaskedConv2d {
    /// `[outputs, inputs, kh, kw]`.
    pub weight: Param<Tensor<4>>,
    /// `[outputs]`.
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    mask: Mask,
    #[module(skip)]
    channels: usize,
    #[module(skip)]
    halves: usize,
}

/// A masked convolution, ready to be applied: the rows of the kernel down to the centre.
pub(super) struct Taps {
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
}

impl MaskedConv2d {
    /// Weights as of a [`Conv2d`](super::Conv2d), for pictures of `channels` channels, which divide both numbers of features.
    ///
    /// # Errors
    /// A kernel of even size.
    pub(super) fn new(
        mask: Mask,
        channels: usize,
        [inputs, outputs]: [usize; 2],
        [height, width]: [usize; 2],
        rng: &mut Rng,
        device: &Device,
    ) -> Result<Self, CausalError> {
        if let Some(even) = [height, width].into_iter().find(|size| size % 2 == 0) {
            return Err(CausalError::Kernel(even));
        }
        let fan_in = inputs * height * width;
        Ok(Self {
            weight: init::fan_in_uniform([outputs, inputs, height, width], fan_in, rng, device),
            bias: Some(init::fan_in_uniform([outputs], fan_in, rng, device)),
            mask,
            channels,
            halves: 1,
        })
    }

    /// The same with outputs that are two halves, each with groups of its own.
    pub(super) fn in_halves(self) -> Self {
        Self { halves: 2, ..self }
    }

    /// Whether the tap at `[dy, dx]` from the centre carries features of group `from` to group `to`.
    fn allows(&self, [dy, dx]: [isize; 2], from: usize, to: usize) -> bool {
        match self.mask {
            _ if dy != 0 => dy < 0,
            Mask::Above => false,
            Mask::AboveAndBeside => true,
            Mask::A => dx < 0 || dx == 0 && from < to,
            Mask::B => dx < 0 || dx == 0 && from <= to,
        }
    }

    /// The kernel that is applied.
    pub(super) fn taps(&self) -> Taps {
        let [outputs, inputs, height, width] = self.weight.dims();
        let (rows, columns) = (height / 2 + 1, self.columns());
        let weight = self.weight.val().narrow(2, 0, rows).narrow(3, 0, columns);
        let centre = |size: usize, tap: usize| tap as isize - (size / 2) as isize;
        let places: Vec<[isize; 2]> =
            (0..rows).flat_map(|u| (0..columns).map(move |v| [centre(height, u), centre(width, v)])).collect();
        // With one channel all features are of one group, and one picture of the mask serves them all.
        let [o, i] = if self.channels == 1 { [1, 1] } else { [outputs, inputs] };
        let group = |feature: usize, period: usize| feature % period * self.channels / period;
        let mut mask = Vec::with_capacity(o * i * places.len());
        for to in (0..o).map(|o| group(o, outputs / self.halves)) {
            for from in (0..i).map(|i| group(i, inputs)) {
                mask.extend(places.iter().map(|place| f32::from(u8::from(self.allows(*place, from, to)))));
            }
        }
        let mask = Tensor::from_data(TensorData::new(mask, [o, i, rows, columns]), &weight.device());
        Taps { weight: weight * mask, bias: self.bias.as_ref().map(Param::val) }
    }

    /// The columns of the kernel that are applied: none right of the centre where there is but one row.
    fn columns(&self) -> usize {
        let [.., height, width] = self.weight.dims();
        if height == 1 { width / 2 + 1 } else { width }
    }

    /// `[B, H, W, inputs] -> [B, H, W, outputs]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.apply(x, None)
    }

    /// The convolution of `x`, plus `residual`.
    pub fn forward_onto(&self, x: Tensor<4>, residual: Tensor<4>) -> Tensor<4> {
        self.apply(x, Some(residual))
    }

    fn apply(&self, x: Tensor<4>, residual: Option<Tensor<4>>) -> Tensor<4> {
        let [.., height, width] = self.weight.dims();
        let right = self.columns() - 1 - width / 2;
        let padding = [[height / 2, 0], [width / 2, right]];
        let Taps { weight, bias } = self.taps();
        conv2d(x, weight, bias, residual, ConvOptions { padding, ..ConvOptions::default() })
    }

    /// A cache of what this convolution reads, for pictures of `width` columns.
    pub(super) fn cache(&self, rows: usize, width: usize) -> RowCache {
        let [_, inputs, height, kernel] = self.weight.dims();
        let (left, right) = (kernel / 2, self.columns() - 1 - kernel / 2);
        RowCache::new(rows, height / 2 + 1, [left, width, right], inputs)
    }
}

impl Taps {
    /// The convolution where the kernel lies wholly on what `cache` holds of `row`: one column, or all.
    pub(super) fn at(&self, cache: &RowCache, row: usize, column: Option<usize>, onto: Option<Tensor<4>>) -> Tensor<4> {
        let kernel = self.weight.dims()[3];
        let window = match column {
            Some(column) => cache.window(row, column..column + kernel),
            None => cache.window(row, 0..cache.width),
        };
        let window = Tensor::from_data(window, &self.weight.device());
        conv2d(window, self.weight.clone(), self.bias.clone(), onto, ConvOptions::default())
    }
}

/// The last few rows of the features of some pictures, with the zeros beside them.
pub(super) struct RowCache {
    values: Vec<f32>,
    kept: usize,
    left: usize,
    width: usize,
    channels: usize,
}

impl RowCache {
    fn new(rows: usize, kept: usize, [left, width, right]: [usize; 3], channels: usize) -> Self {
        let width = left + width + right;
        Self { values: vec![0.0; rows * kept * width * channels], kept, left, width, channels }
    }

    /// Forgets what is too far above `row`.
    pub(super) fn start_row(&mut self, row: usize) {
        let line = self.width * self.channels;
        for picture in self.values.chunks_exact_mut(self.kept * line) {
            picture[row % self.kept * line..][..line].fill(0.0);
        }
    }

    /// Puts features `[B, .., C']` at `row` from `column` and `channel` on: some channels of one pixel, or whole pixels.
    pub(super) fn set(&mut self, row: usize, column: usize, channel: usize, features: &[f32]) {
        let line = self.width * self.channels;
        let pictures = self.values.len() / (self.kept * line);
        let each = features.len() / pictures.max(1);
        let at = row % self.kept * line + (self.left + column) * self.channels + channel;
        for (picture, features) in self.values.chunks_exact_mut(self.kept * line).zip(features.chunks_exact(each)) {
            picture[at..at + each].copy_from_slice(features);
        }
    }

    /// The rows down to `row` and these columns, padding included: `[B, kept, columns, C]`.
    fn window(&self, row: usize, columns: std::ops::Range<usize>) -> TensorData {
        let line = self.width * self.channels;
        let pictures = self.values.len() / (self.kept * line);
        let shape = [pictures, self.kept, columns.len(), self.channels];
        let mut window = Vec::with_capacity(shape.iter().product());
        for picture in self.values.chunks_exact(self.kept * line) {
            // The slot after that of `row` holds the oldest.
            for slot in (1..=self.kept).map(|age| (row + age) % self.kept) {
                let from = slot * line;
                window.extend_from_slice(
                    &picture[from + columns.start * self.channels..from + columns.end * self.channels],
                );
            }
        }
        TensorData::new(window, shape)
    }
}

/// What a picture network sees of rows: `[B, C · H · W] -> [B, H, W, C · width]`, the numbers of one channel adjacent.
pub(super) fn pictures(x: Rows, shape: [usize; 3], alphabet: Alphabet) -> Tensor<4> {
    let [channels, height, width] = shape;
    match alphabet.width() {
        1 => {
            let [rows, length] = x.dims();
            images(alphabet.encode(x).reshape([rows, length]), shape)
        }
        depth => {
            let rows = x.dims()[0];
            let x = alphabet.encode(x).reshape([rows, channels, height, width, depth]);
            x.permute([0, 2, 3, 1, 4]).reshape([rows, height, width, channels * depth])
        }
    }
}

/// The outputs of a picture network, by element: `[B, H, W, C · P] -> [B, C · H · W, P]`.
pub(super) fn elements(y: Tensor<4>, channels: usize) -> Tensor<3> {
    let [rows, height, width, features] = y.dims();
    let outputs = features / channels;
    let y = y.reshape([rows, height, width, channels, outputs]);
    y.permute([0, 3, 1, 2, 4]).reshape([rows, channels * height * width, outputs])
}

/// Row by row, pixel by pixel, channel by channel: the elements of rows of shape `[C, H, W]`.
pub(super) fn raster([channels, height, width]: [usize; 3]) -> Vec<usize> {
    let pixels = height * width;
    (0..pixels).flat_map(|pixel| (0..channels).map(move |channel| channel * pixels + pixel)).collect()
}

/// What a cursor over pictures computes at one element.
pub(super) trait Painter {
    /// Keeps what is seen of a channel of the pixel at `[row, column]`: `[B, width]`.
    fn see(&mut self, at: [usize; 2], channel: usize, seen: &[f32]);
    /// A row is about to begin; all above are complete.
    fn start_row(&mut self, row: usize);
    /// The outputs of all channels of a pixel, given what has been seen: `[B, C · P]`.
    fn pixel(&mut self, at: [usize; 2]) -> Vec<f32>;
}

/// The order of a picture around a [`Painter`].
pub(super) struct Raster<P> {
    pub painter: P,
    pub shape: [usize; 3],
    pub alphabet: Alphabet,
    pub outputs: usize,
    pub device: Device,
    pub place: usize,
}

impl<P: Painter> Cursor for Raster<P> {
    fn advance(&mut self, previous: &[f32]) -> Vec<f32> {
        let [channels, _, width] = self.shape;
        let split = |place: usize| ([place / channels / width, place / channels % width], place % channels);
        if let Some(before) = self.place.checked_sub(1) {
            let (at, channel) = split(before);
            let x = Tensor::from_data(TensorData::new(previous.to_vec(), [previous.len(), 1]), &self.device);
            self.painter.see(at, channel, &host(self.alphabet.encode(x)));
        }
        let (at, channel) = split(self.place);
        if (at[1], channel) == (0, 0) {
            self.painter.start_row(at[0]);
        }
        self.place += 1;
        let outputs = self.painter.pixel(at);
        if channels == 1 {
            return outputs;
        }
        let each = self.outputs;
        outputs.chunks_exact(channels * each).flat_map(|pixel| pixel[channel * each..][..each].to_vec()).collect()
    }
}
