//! 3 x 3 convolution by Winograd's minimal filtering F(4 x 4, 3 x 3): Lavin and Gray, "Fast Algorithms for
//! Convolutional Neural Networks" (arXiv:1509.09308).
//!
//! ```text
//! Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A
//! ```
//!
//! for every 4 x 4 tile of the result, `d` its 6 x 6 neighbourhood. Summed over channels, the product of elements is one
//! matrix product for each of the 36 frequencies: a quarter of the multiplications of the direct form. Tiles of three
//! outputs, which lack one point on that axis, fill sizes that are no multiple of four, see [`tiling`]. A block of tiles
//! is transformed, multiplied and transformed back while it stays in the second-level cache. Rounding errors are about
//! four times those of the direct form.
//!
//! The gradient of the image is the same convolution with the kernel turned around. That of the weight is
//! `ḡ = Gᵀ [ Σ (Bᵀ d B) ⊙ (A Ȳ Aᵀ) ] G`: all tiles of a larger block are transformed, then every frequency is one matrix
//! product, block after block, so the sums have a fixed order.

mod tiling;
mod transform;

use super::{Geometry, apart};
use crate::flex;
use crate::simd::gemm::{self, PANEL, Start, Strided};
use crate::simd::lanes::{Eight, Lanes, Sixteen};
use crate::simd::{Simd, parallel};
pub(super) use tiling::frequencies;
use tiling::{Block, Blocks, Tile, last};
use transform::{transform_gradient, transform_image, transform_result, transform_spectrum, transform_weight};

/// Outputs whose weights lie together: what the matrix product takes at once.
const PAIR: usize = 2 * PANEL;
/// Points along one axis at which the polynomials of a tile are multiplied: 0, 1, -1, 2, -2 and infinity.
const POINTS: usize = 6;
/// Points of a transformed tile.
const FREQUENCIES: usize = POINTS * POINTS;
/// Numbers of a block of transformed tiles that fit the second-level cache with the weights passing by.
const BLOCK: usize = 112 << 10;
/// The same for the gradient of the weight, which all threads compute together, and the fewest tiles: their number is
/// the depth of its matrix products, of which short ones spend their time on the sums that they load and store.
const GRADIENT_BLOCK: (usize, usize) = (5 * BLOCK, 48);
/// Numbers of such a block that one thread transforms at once: some ten parts a block, or one thread waits for the other.
const PART: usize = 32 << 10;

/// Frequencies that are `apart`.
fn split(values: &mut [f32], apart: usize) -> [&mut [f32]; FREQUENCIES] {
    let mut frequencies = values.chunks_mut(apart);
    std::array::from_fn(|_| frequencies.next().unwrap_or_default())
}

/// The kernel as a function of output, input and tap.
#[derive(Clone, Copy)]
pub(super) struct Taps<'a> {
    weight: &'a [f32],
    /// Distances between outputs and between inputs.
    strides: [usize; 2],
    /// The tap `t` of the convolution is the tap `t` or `8 - t` of the weight.
    turned: bool,
    /// Taps of the weight from this one on count as zero.
    seen: usize,
}

impl<'a> Taps<'a> {
    pub fn of(weight: &'a [f32], geometry: &Geometry) -> Self {
        Self { weight, strides: [9 * geometry.inputs, 9], turned: false, seen: geometry.seen }
    }

    /// Of the convolution that carries gradients back.
    pub fn reversed(weight: &'a [f32], geometry: &Geometry) -> Self {
        Self { weight, strides: [9, 9 * geometry.inputs], turned: true, seen: geometry.seen }
    }

    /// `G g Gᵀ` packed for the matrix product: `[O / 32, 36, 2, I, 16]`, frequencies [`apart`].
    fn transform<V: Lanes>(self, simd: Simd, packed: &mut [f32], inputs: usize, outputs: usize) {
        let (apart, work) = (apart(inputs * PAIR), 20 * packed.len());
        parallel::chunks(packed, FREQUENCIES * apart, work, |pair, packed| {
            let panels = (outputs - pair * PAIR).div_ceil(PANEL).min(2);
            for (panel, i) in (0..panels).flat_map(|panel| (0..inputs).map(move |i| (panel, i))) {
                let first = pair * PAIR + panel * PANEL;
                let columns = PANEL.min(outputs - first);
                let mut taps = [[0.0; PANEL]; 9];
                let starts = (0..columns).map(|lane| (first + lane) * self.strides[0] + i * self.strides[1]);
                for (lane, at) in starts.enumerate() {
                    let values = &self.weight[at..at + 9];
                    for (tap, value) in values.iter().enumerate().take(self.seen) {
                        taps[if self.turned { 8 - tap } else { tap }][lane] = *value;
                    }
                }
                transform_weight::<V>(simd, &taps, &mut packed[(panel * inputs + i) * PANEL..], apart);
            }
        });
    }
}

fn packed_len(inputs: usize, outputs: usize) -> usize {
    outputs.div_ceil(PAIR) * FREQUENCIES * apart(inputs * PAIR)
}

/// Whether channels can be transformed sixteen at a time.
fn by_sixteen(simd: Simd, geometry: &Geometry) -> bool {
    let sixteen = |channels: usize| channels.is_multiple_of(Sixteen::LEN);
    simd.wide() && sixteen(geometry.inputs) && sixteen(geometry.outputs)
}

/// See [`conv2d`](crate::conv2d).
pub(super) fn forward(
    simd: Simd,
    geometry: &Geometry,
    x: &[f32],
    taps: Taps<'_>,
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
) -> Vec<f32> {
    if by_sixteen(simd, geometry) {
        forward_by::<Sixteen>(simd, geometry, x, taps, bias, residual)
    } else {
        forward_by::<Eight>(simd, geometry, x, taps, bias, residual)
    }
}

fn forward_by<V: Lanes>(
    simd: Simd,
    geometry: &Geometry,
    x: &[f32],
    taps: Taps<'_>,
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
) -> Vec<f32> {
    let &Geometry { batch, inputs, outputs, size: [height, width], .. } = geometry;
    let mut y = flex::unwritten(batch * height * width * outputs);
    let blocks = Blocks::new(geometry, BLOCK, 6);
    let work = 2 * batch * frequencies(geometry.size) * inputs * outputs;
    let zeros = vec![0.0; outputs];
    let bias = bias.unwrap_or(&zeros);
    let lengths = (0..blocks.count()).map(|i| (blocks.begin(i + 1) - blocks.begin(i)) * width * outputs);
    let pieces = parallel::pieces(&mut y, lengths);
    parallel::scratch(packed_len(inputs, outputs), |weight| {
        taps.transform::<V>(simd, weight, inputs, outputs);
        let weight = &*weight;
        parallel::each(pieces, work, |index, y| {
            let block = blocks.get(index);
            let count = block.tiles.len();
            let [v_apart, m_apart, weight_apart] = [count * inputs, count * outputs, inputs * PAIR].map(apart);
            parallel::scratch(FREQUENCIES * (v_apart + m_apart), |scratch| {
                let (v, m) = scratch.split_at_mut(FREQUENCIES * v_apart);
                transform_images::<V>(simd, geometry, x, &block.tiles, split(v, v_apart));
                for (pair, weight) in weight.chunks_exact(FREQUENCIES * weight_apart).enumerate() {
                    let columns = PAIR.min(outputs - pair * PAIR);
                    for frequency in 0..FREQUENCIES {
                        let tiles = block.having(last(frequency));
                        if tiles.is_empty() {
                            continue;
                        }
                        let a = &v[frequency * v_apart + tiles.start * inputs..];
                        let a = Strided { values: a, row: inputs, step: 1 };
                        let packed = &weight[frequency * weight_apart..];
                        let m = &mut m[frequency * m_apart..][..m_apart][tiles.start * outputs + pair * PAIR..];
                        gemm::multiply(simd, [tiles.len(), inputs, columns], a, packed, Start::Zero, m, outputs);
                    }
                }
                let first = blocks.begin(index);
                for (at, tile) in block.tiles.iter().enumerate() {
                    let row = tile.sample * height + tile.place[0];
                    let pixel = |row: usize| (row * width + tile.place[1]) * outputs;
                    transform_result::<V>(
                        simd,
                        tile.kind,
                        &m[at * outputs..],
                        m_apart,
                        bias,
                        residual.map(|residual| &residual[pixel(row)..]),
                        &mut y[pixel(row - first)..],
                        width,
                        tile.corner(geometry.size),
                    );
                }
            });
        });
    });
    y
}

/// The gradient of the weight, `[O, I, 3, 3]`, from that of the result.
pub(super) fn weight_gradient(simd: Simd, geometry: &Geometry, x: &[f32], gradient: &[f32]) -> Vec<f32> {
    if by_sixteen(simd, geometry) {
        weight_gradient_by::<Sixteen>(simd, geometry, x, gradient)
    } else {
        weight_gradient_by::<Eight>(simd, geometry, x, gradient)
    }
}

fn weight_gradient_by<V: Lanes>(simd: Simd, geometry: &Geometry, x: &[f32], gradient: &[f32]) -> Vec<f32> {
    let &Geometry { inputs, outputs, size: [height, width], .. } = geometry;
    let blocks = Blocks::new(geometry, GRADIENT_BLOCK.0, GRADIENT_BLOCK.1);
    let panels = outputs.div_ceil(PANEL);
    let spectrum_apart = apart(inputs * outputs);
    let mut spectrum = match blocks.count() {
        0 => vec![0.0; FREQUENCIES * spectrum_apart],
        _ => flex::unwritten(FREQUENCIES * spectrum_apart),
    };
    // One block: Bᵀ d B as [36, tiles, I], then A Ȳ Aᵀ as [36, O / 16, tiles, 16].
    let [v_apart, n_apart] = [inputs, panels * PANEL].map(|channels| apart(blocks.len() * channels));
    let part = (PART / (FREQUENCIES * (inputs + outputs))).max(4);
    parallel::scratch(FREQUENCIES * (v_apart + n_apart), |scratch| {
        let (v, n) = scratch.split_at_mut(FREQUENCIES * v_apart);
        for index in 0..blocks.count() {
            let block = blocks.get(index);
            let work = 8 * (v.len() + n.len());
            let parts = parts(&block, part, (&mut *v, v_apart, inputs), (&mut *n, n_apart, panels));
            parallel::each(parts, work, |index, (v, mut n)| {
                let first = index * part;
                let tiles = &block.tiles[first..block.tiles.len().min(first + part)];
                transform_images::<V>(simd, geometry, x, tiles, v);
                if !outputs.is_multiple_of(PANEL) {
                    n.iter_mut().for_each(|piece| piece.fill(0.0));
                }
                for (at, tile) in tiles.iter().enumerate() {
                    let begin = |last| (first + at).saturating_sub(block.having(last).start.max(first)) * PANEL;
                    let begins = [[begin([0, 0]), begin([0, 1])], [begin([1, 0]), begin([1, 1])]];
                    let pixel = (tile.sample * height + tile.place[0]) * width + tile.place[1];
                    let (y, corner) = (&gradient[pixel * outputs..], tile.corner(geometry.size));
                    transform_gradient::<V>(simd, tile.kind, y, width, corner, &mut n, begins, outputs);
                }
            });
            let (v, n) = (&*v, &*n);
            let work = (v.len() + n.len()) * inputs.min(outputs);
            parallel::chunks(&mut spectrum, spectrum_apart, work, |frequency, spectrum| {
                let tiles = block.having(last(frequency));
                let a = &v[frequency * v_apart + tiles.start * inputs..];
                let a = Strided { values: a, row: 1, step: inputs };
                let packed = &n[frequency * n_apart..];
                let start = if index == 0 { Start::Zero } else { Start::Previous };
                gemm::multiply(simd, [inputs, tiles.len(), outputs], a, packed, start, spectrum, outputs);
            });
        }
    });
    let mut weight = flex::unwritten(outputs * inputs * 9);
    parallel::chunks(&mut weight, V::LEN * inputs * 9, 4 * spectrum.len(), |group, weight| {
        for i in 0..inputs {
            let mut taps = [[0.0; PANEL]; 9];
            transform_spectrum::<V>(simd, &spectrum, (i * outputs + group * V::LEN, spectrum_apart), &mut taps);
            for (tap, values) in taps.iter().enumerate() {
                for (lane, value) in values[..V::LEN].iter().enumerate() {
                    weight[(lane * inputs + i) * 9 + tap] = if tap < geometry.seen { *value } else { 0.0 };
                }
            }
        }
    });
    weight
}

/// A part of the tiles of a block: the frequencies of the image, and those of the gradient, each as panels.
type Part<'a> = ([&'a mut [f32]; FREQUENCIES], Vec<&'a mut [f32]>);

/// Cuts `v`, `[36, tiles, I]`, and `n`, `[36, O / 16, tiles, 16]`, which has no room for tiles that lack a frequency,
/// into parts of so many tiles. The frequencies are `apart`.
fn parts<'a>(
    block: &Block,
    part: usize,
    (v, v_apart, inputs): (&'a mut [f32], usize, usize),
    (n, n_apart, panels): (&'a mut [f32], usize, usize),
) -> Vec<Part<'a>> {
    let count = block.tiles.len();
    let mut v = split(v, v_apart).map(|v| v.chunks_mut(part * inputs));
    let mut parts: Vec<Part<'_>> = (0..count.div_ceil(part))
        .map(|_| (v.each_mut().map(|v| v.next().unwrap_or_default()), Vec::with_capacity(FREQUENCIES * panels)))
        .collect();
    for (frequency, mut n) in split(n, n_apart).into_iter().enumerate() {
        let having = block.having(last(frequency));
        for _ in 0..panels {
            for (index, (_, pieces)) in parts.iter_mut().enumerate() {
                let (first, end) = (index * part, (index + 1) * part);
                let common = having.end.min(end).saturating_sub(having.start.max(first));
                let piece;
                (piece, n) = n.split_at_mut(common * PANEL);
                pieces.push(piece);
            }
        }
    }
    parts
}

/// `Bᵀ d B` of tiles into frequencies `[tiles, I]`.
fn transform_images<V: Lanes>(
    simd: Simd,
    geometry: &Geometry,
    x: &[f32],
    tiles: &[Tile],
    mut v: [&mut [f32]; FREQUENCIES],
) {
    let &Geometry { image: [height, width], inputs, .. } = geometry;
    let [top, left] = [0, 1].map(|axis| geometry.options.padding[axis][0]);
    for (at, tile) in tiles.iter().enumerate() {
        let picture = &x[tile.sample * height * width * inputs..][..height * width * inputs];
        let [i, j] = tile.place;
        let places = std::array::from_fn(|at| {
            let (row, column) = ((i + at / 6).wrapping_sub(top), (j + at % 6).wrapping_sub(left));
            if row < height && column < width { (row * width + column) * inputs } else { OUTSIDE }
        });
        transform_image::<V>(simd, tile.kind, picture, &places, inputs, &mut v, at * inputs);
    }
}

/// The place of a pixel that is not there.
const OUTSIDE: usize = usize::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::ConvOptions;

    /// All kinds of tiles, also over the edge, channels for vectors of eight and of sixteen: the same bits with and
    /// without AVX-512.
    #[test]
    fn wide_vectors_change_no_bit() {
        let Some(simd) = Simd::detect() else { return };
        let channels = [(16, 48), (32, 16), (8, 24)];
        let sizes = [[9, 6], [14, 7], [5, 8], [3, 10]];
        for ((inputs, outputs), size) in channels.into_iter().flat_map(|channels| sizes.map(|size| (channels, size))) {
            let batch = 3;
            let options = ConvOptions::same(3);
            let geometry = Geometry { batch, image: size, inputs, outputs, kernel: [3; 2], seen: 9, size, options };
            let normal = |n, seed| genera_rng::Rng::new(seed).normal(1, n);
            let pixels = batch * size[0] * size[1];
            let (x, y) = (normal(pixels * inputs, 1), normal(pixels * outputs, 2));
            let (weight, bias) = (normal(9 * inputs * outputs, 3), normal(outputs, 4));
            let results = |simd| {
                let taps = Taps::of(&weight, &geometry);
                let result = forward(simd, &geometry, &x, taps, Some(&bias), Some(&y));
                (result, weight_gradient(simd, &geometry, &x, &y))
            };
            assert_eq!(results(simd), results(simd.narrow()), "{inputs} to {outputs} channels, {size:?}");
        }
    }
}
