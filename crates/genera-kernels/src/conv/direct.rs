//! Convolution as matrix products: the pixels that each output looks at are gathered into rows (im2col) for one small
//! block of outputs at a time, which stays in the cache.
//!
//! The gradient of the image is gathered in the same way. With stride `s`, the image falls into `s` phases along each
//! axis; a pixel of phase `p` at `p + s i` receives from the outputs `i + (p + top - d u) / s` through the taps `u` for
//! which the division is exact. Within a phase that is a convolution with stride one and no tap is wasted.

use super::Geometry;
use crate::flex;
use crate::simd::gemm::{self, PANEL, Start, Strided};
use crate::simd::{Simd, parallel};

/// Outputs that are gathered at once.
const ROWS: usize = 48;

/// The places that a point looks at, relative to `step` times its own: all pairs of a row and a column.
struct Taps {
    step: [usize; 2],
    rows: Vec<isize>,
    columns: Vec<isize>,
}

impl Taps {
    fn len(&self) -> usize {
        self.rows.len() * self.columns.len()
    }

    /// Copies what the point `[i, j]` of a picture of `size` and `channels` looks at, zeros where that is outside.
    fn gather(&self, picture: &[f32], size: [usize; 2], channels: usize, point: [usize; 2], mut out: &mut [f32]) {
        let [height, width] = size.map(|n| n as isize);
        let [top, left] = [0, 1].map(|axis| (self.step[axis] * point[axis]) as isize);
        let n = self.columns.len();
        let adjacent = self.columns.windows(2).all(|pair| pair[1] == pair[0] + 1);
        for row in &self.rows {
            let line;
            (line, out) = out.split_at_mut(n * channels);
            let row = top + row;
            if !(0..height).contains(&row) {
                line.fill(0.0);
                continue;
            }
            let from = &picture[(row * width) as usize * channels..][..width as usize * channels];
            if adjacent && n > 0 {
                let first = left + self.columns[0];
                let begin = (-first).clamp(0, n as isize) as usize;
                let end = (width - first).clamp(begin as isize, n as isize) as usize;
                line[..begin * channels].fill(0.0);
                if begin < end {
                    let at = (first + begin as isize) as usize * channels;
                    line[begin * channels..end * channels].copy_from_slice(&from[at..][..(end - begin) * channels]);
                }
                line[end * channels..].fill(0.0);
            } else {
                for (column, pixel) in self.columns.iter().zip(line.chunks_exact_mut(channels)) {
                    match left + column {
                        column if (0..width).contains(&column) => {
                            pixel.copy_from_slice(&from[column as usize * channels..][..channels]);
                        }
                        _ => pixel.fill(0.0),
                    }
                }
            }
        }
    }
}

impl Geometry {
    /// Where an output looks in the image.
    fn taps(&self) -> Taps {
        let along = |axis: usize| {
            let before = self.options.padding[axis][0] as isize;
            (0..self.kernel[axis]).map(|u| (u * self.options.dilation[axis]) as isize - before).collect()
        };
        Taps { step: self.options.stride, rows: along(0), columns: along(1) }
    }

    /// Where a pixel of `phase` looks in the outputs, and the rows and columns of the kernel that it does it through.
    fn taps_of_phase(&self, phase: [usize; 2]) -> (Taps, [Vec<usize>; 2]) {
        let along = |axis: usize| -> (Vec<isize>, Vec<usize>) {
            let stride = self.options.stride[axis] as isize;
            // From the last tap to the first, so that neighbours in the list are neighbours in the picture.
            let taps = (0..self.kernel[axis]).rev().map(|u| {
                let from = phase[axis] + self.options.padding[axis][0];
                (from as isize - (u * self.options.dilation[axis]) as isize, u)
            });
            taps.filter(|(distance, _)| distance % stride == 0).map(|(distance, u)| (distance / stride, u)).unzip()
        };
        let ((rows, u), (columns, v)) = (along(0), along(1));
        (Taps { step: [1; 2], rows, columns }, [u, v])
    }

    fn weight_at(&self, weight: &[f32], [o, i, u, v]: [usize; 4]) -> f32 {
        weight[((o * self.inputs + i) * self.kernel[0] + u) * self.kernel[1] + v]
    }

    /// Whether the rows of the image are already what [`Taps::gather`] would make.
    fn is_pointwise(&self) -> bool {
        self.kernel == [1; 2] && self.options.stride == [1; 2] && self.options.padding == [[0; 2]; 2]
    }
}

/// See [`conv2d`](crate::conv2d).
pub(super) fn forward(
    simd: Simd,
    geometry: &Geometry,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
) -> Vec<f32> {
    let &Geometry { batch, image, inputs, outputs, kernel, size, .. } = geometry;
    let taps = geometry.taps();
    let (k, points) = (taps.len() * inputs, size[0] * size[1]);
    let picture = image[0] * image[1] * inputs;
    let start = bias.map_or(Start::Zero, Start::Row);
    let mut y = flex::unwritten(batch * points * outputs);
    parallel::scratch(gemm::packed_len(k, outputs), |packed| {
        let element = |k: usize, o: usize| {
            let (tap, i) = (k / inputs, k % inputs);
            geometry.weight_at(weight, [o, i, tap / kernel[1], tap % kernel[1]])
        };
        if outputs <= gemm::FEW {
            packed[..outputs * k].iter_mut().enumerate().for_each(|(at, value)| *value = element(at % k, at / k));
        } else {
            gemm::pack(packed, k, outputs, element);
        }
        let packed = &*packed;
        parallel::chunks(&mut y, ROWS * outputs, 2 * batch * points * k * outputs, |block, y| {
            let (first, rows) = (block * ROWS, y.len() / outputs);
            let mut product = |a: &[f32]| {
                if outputs <= gemm::FEW {
                    return gemm::few_columns(simd, k, a, &packed[..outputs * k], bias, y);
                }
                gemm::multiply(
                    simd,
                    [rows, k, outputs],
                    Strided { values: a, row: k, step: 1 },
                    packed,
                    start,
                    y,
                    outputs,
                );
            };
            if geometry.is_pointwise() {
                product(&x[first * inputs..][..rows * inputs]);
            } else {
                parallel::scratch(rows * k, |gathered| {
                    for (row, out) in (first..).zip(gathered.chunks_exact_mut(k.max(1))) {
                        let (sample, point) = (row / points, row % points);
                        let point = [point / size[1], point % size[1]];
                        taps.gather(&x[sample * picture..][..picture], image, inputs, point, out);
                    }
                    product(gathered);
                });
            }
            if let Some(residual) = residual {
                y.iter_mut().zip(&residual[first * outputs..]).for_each(|(y, residual)| *y += residual);
            }
        });
    });
    y
}

/// The gradient of the image from that of the result.
pub(super) fn image_gradient(simd: Simd, geometry: &Geometry, gradient: &[f32], weight: &[f32]) -> Vec<f32> {
    let &Geometry { batch, image, inputs, outputs, size, options, .. } = geometry;
    let picture = size[0] * size[1] * outputs;
    let phases: Vec<_> = (0..options.stride[0])
        .flat_map(|i| (0..options.stride[1]).map(move |j| [i, j]))
        .filter(|phase| phase[0] < image[0] && phase[1] < image[1])
        .map(|phase| {
            let (taps, [u, v]) = geometry.taps_of_phase(phase);
            let k = taps.len() * outputs;
            let mut packed = vec![0.0; gemm::packed_len(k, inputs)];
            gemm::pack(&mut packed, k, inputs, |k, i| {
                let (tap, o) = (k / outputs, k % outputs);
                geometry.weight_at(weight, [o, i, u[tap / v.len()], v[tap % v.len()]])
            });
            (phase, taps, packed)
        })
        .collect();

    let pixels = image[0] * image[1];
    let mut x = flex::unwritten(batch * pixels * inputs);
    let samples = (2 * ROWS).div_ceil(pixels.max(1)).max(1);
    let work = 2 * batch * size[0] * size[1] * geometry.kernel[0] * geometry.kernel[1] * inputs * outputs;
    parallel::chunks(&mut x, samples * pixels * inputs, work, |task, x| {
        for (phase, taps, packed) in &phases {
            let k = taps.len() * outputs;
            let counts = [0, 1].map(|axis| (image[axis] - phase[axis]).div_ceil(options.stride[axis]));
            let points = counts[0] * counts[1];
            let place = |index: usize| (index / points, [index % points / counts[1], index % points % counts[1]]);
            let total = x.len() / (pixels * inputs) * points;
            parallel::scratch(ROWS * (k + inputs), |block| {
                let (gathered, product) = block.split_at_mut(ROWS * k);
                for first in (0..total).step_by(ROWS) {
                    let rows = ROWS.min(total - first);
                    for row in 0..rows {
                        let (sample, point) = place(first + row);
                        let from = &gradient[(task * samples + sample) * picture..][..picture];
                        taps.gather(from, size, outputs, point, &mut gathered[row * k..][..k]);
                    }
                    let a = Strided { values: gathered, row: k, step: 1 };
                    gemm::multiply(simd, [rows, k, inputs], a, packed, Start::Zero, product, inputs);
                    for (row, from) in product[..rows * inputs].chunks_exact(inputs).enumerate() {
                        let (sample, [i, j]) = place(first + row);
                        let [i, j] = [phase[0] + i * options.stride[0], phase[1] + j * options.stride[1]];
                        x[((sample * image[0] + i) * image[1] + j) * inputs..][..inputs].copy_from_slice(from);
                    }
                }
            });
        }
    });
    x
}

/// The gradient of the weight from that of the result.
pub(super) fn weight_gradient(simd: Simd, geometry: &Geometry, x: &[f32], gradient: &[f32]) -> Vec<f32> {
    let &Geometry { batch, image, inputs, outputs, kernel, size, .. } = geometry;
    let taps = geometry.taps();
    let (k, points) = (taps.len() * inputs, size[0] * size[1]);
    let fill = |first: usize, panel: usize, values: &mut [[f32; PANEL]]| {
        // The runs of channels of one tap that lie side by side in this panel: (lane, length, tap, channel).
        let mut runs = Vec::with_capacity(PANEL);
        let mut column = panel * PANEL;
        let end = k.min(column + PANEL);
        while column < end {
            let length = (inputs - column % inputs).min(end - column);
            runs.push((column % PANEL, length, column / inputs, column % inputs));
            column += length;
        }
        values.as_flattened_mut().fill(0.0);
        for (row, values) in (first..).zip(values) {
            let (sample, point) = (row / points, row % points);
            let point = [point / size[1], point % size[1]];
            for &(lane, length, tap, channel) in &runs {
                let i = (taps.step[0] * point[0]) as isize + taps.rows[tap / kernel[1]];
                let j = (taps.step[1] * point[1]) as isize + taps.columns[tap % kernel[1]];
                if (0..image[0] as isize).contains(&i) && (0..image[1] as isize).contains(&j) {
                    let at = ((sample * image[0] + i as usize) * image[1] + j as usize) * inputs + channel;
                    values[lane..lane + length].copy_from_slice(&x[at..at + length]);
                }
            }
        }
    };
    // [O, kh kw, I], to be turned into [O, I, kh kw].
    let mut by_tap = vec![0.0; outputs * k];
    gemm::add_transposed_product(simd, [outputs, batch * points, k], gradient, fill, &mut by_tap);
    let mut weight = flex::unwritten(outputs * k);
    for (o, values) in weight.chunks_exact_mut(k.max(1)).enumerate() {
        for (i, values) in values.chunks_exact_mut(taps.len()).enumerate() {
            for (tap, value) in values.iter_mut().enumerate() {
                *value = by_tap[(o * taps.len() + tap) * inputs + i];
            }
        }
    }
    weight
}
