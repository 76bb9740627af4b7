//! Convolution as matrix products: the pixels that each output looks at are gathered into rows (im2col) for one small
//! block of outputs at a time, which stays in the cache. Masked taps are never gathered; groups are products of their own.
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

/// The places that a point looks at, relative to `step` times its own: in each of some rows, some columns.
struct Taps {
    step: [usize; 2],
    rows: Vec<(isize, Vec<isize>)>,
    /// The tap of the kernel that each place is seen through, in reading order.
    numbers: Vec<usize>,
}

/// A picture to look at, or the channels of one group of it.
#[derive(Clone, Copy)]
struct Picture<'a> {
    values: &'a [f32],
    size: [usize; 2],
    /// Numbers of a pixel.
    pixel: usize,
    /// The first channel of the group, and how many.
    channels: [usize; 2],
}

impl Taps {
    fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Copies what the point `[i, j]` looks at, zeros where that is outside.
    fn gather(&self, picture: Picture<'_>, point: [usize; 2], mut out: &mut [f32]) {
        let Picture { values, size, pixel, channels: [lane, channels] } = picture;
        let [height, width] = size.map(|n| n as isize);
        let [top, left] = [0, 1].map(|axis| (self.step[axis] * point[axis]) as isize);
        for (row, columns) in &self.rows {
            let n = columns.len();
            let line;
            (line, out) = out.split_at_mut(n * channels);
            let row = top + row;
            if !(0..height).contains(&row) {
                line.fill(0.0);
                continue;
            }
            let from = &values[(row * width) as usize * pixel..][..width as usize * pixel];
            let adjacent = channels == pixel && columns.windows(2).all(|pair| pair[1] == pair[0] + 1);
            if adjacent && n > 0 {
                let first = left + columns[0];
                let begin = (-first).clamp(0, n as isize) as usize;
                let end = (width - first).clamp(begin as isize, n as isize) as usize;
                line[..begin * channels].fill(0.0);
                if begin < end {
                    let at = (first + begin as isize) as usize * channels;
                    line[begin * channels..end * channels].copy_from_slice(&from[at..][..(end - begin) * channels]);
                }
                line[end * channels..].fill(0.0);
            } else {
                for (column, out) in columns.iter().zip(line.chunks_exact_mut(channels)) {
                    match left + column {
                        column if (0..width).contains(&column) => {
                            out.copy_from_slice(&from[column as usize * pixel + lane..][..channels]);
                        }
                        _ => out.fill(0.0),
                    }
                }
            }
        }
    }
}

impl Geometry {
    /// Where an output looks in the image.
    fn taps(&self) -> Taps {
        let place =
            |axis: usize, u: usize| (u * self.options.dilation[axis]) as isize - self.options.padding[axis][0] as isize;
        let [kh, kw] = self.kernel;
        let columns = |u: usize| (0..kw.min(self.seen.saturating_sub(u * kw))).map(|v| place(1, v)).collect();
        let rows = (0..kh).map(|u| (place(0, u), columns(u))).collect();
        Taps { step: self.options.stride, rows, numbers: (0..self.seen).collect() }
    }

    /// Where a pixel of `phase` looks in the outputs.
    fn taps_of_phase(&self, phase: [usize; 2]) -> Taps {
        // From the last tap to the first, so that neighbours in the list are neighbours in the picture.
        let along = |axis: usize| {
            let stride = self.options.stride[axis] as isize;
            let taps = (0..self.kernel[axis]).rev().map(move |u| {
                let from = phase[axis] + self.options.padding[axis][0];
                (from as isize - (u * self.options.dilation[axis]) as isize, u)
            });
            taps.filter(move |(distance, _)| distance % stride == 0).map(move |(distance, u)| (distance / stride, u))
        };
        let (mut rows, mut numbers) = (Vec::new(), Vec::new());
        for (row, u) in along(0) {
            let number = |v: usize| u * self.kernel[1] + v;
            let seen = along(1).filter(|(_, v)| number(*v) < self.seen);
            let (columns, seen): (Vec<isize>, Vec<usize>) = seen.map(|(column, v)| (column, number(v))).unzip();
            rows.push((row, columns));
            numbers.extend(seen);
        }
        Taps { step: [1; 2], rows, numbers }
    }

    /// Inputs and outputs of a group.
    fn group(&self) -> [usize; 2] {
        [self.inputs, self.outputs].map(|channels| channels / self.options.groups)
    }

    /// The weight of an output, an input of its group and a tap.
    pub(super) fn weight_at(&self, weight: &[f32], [o, i, tap]: [usize; 3]) -> f32 {
        weight[(o * self.group()[0] + i) * self.kernel[0] * self.kernel[1] + tap]
    }

    /// Whether the rows of the image are already what [`Taps::gather`] would make.
    fn is_pointwise(&self) -> bool {
        self.kernel == [1; 2]
            && self.seen == 1
            && self.options.groups == 1
            && self.options.stride == [1; 2]
            && self.options.padding == [[0; 2]; 2]
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
    let &Geometry { batch, image, inputs, outputs, size, .. } = geometry;
    let [inputs_here, outputs_here] = geometry.group();
    let taps = geometry.taps();
    let (k, points) = (taps.len() * inputs_here, size[0] * size[1]);
    let picture = image[0] * image[1] * inputs;
    // Dot products write rows without gaps, so they serve one group.
    let few = outputs <= gemm::FEW && k > 0 && geometry.options.groups == 1;
    let len = gemm::packed_len(k, outputs_here);
    let mut y = flex::unwritten(batch * points * outputs);
    parallel::scratch(geometry.options.groups * len, |packed| {
        for (group, packed) in packed.chunks_exact_mut(len.max(1)).enumerate() {
            let element = |k: usize, o: usize| {
                let (tap, i) = (k / inputs_here, k % inputs_here);
                geometry.weight_at(weight, [group * outputs_here + o, i, taps.numbers[tap]])
            };
            if few {
                packed[..outputs * k].iter_mut().enumerate().for_each(|(at, value)| *value = element(at % k, at / k));
            } else {
                gemm::pack(packed, k, outputs_here, element);
            }
        }
        let packed = &*packed;
        parallel::chunks(&mut y, ROWS * outputs, 2 * batch * points * k * outputs, |block, y| {
            let (first, rows) = (block * ROWS, y.len() / outputs);
            let mut product = |group: usize, a: &[f32]| {
                if few {
                    return gemm::few_columns(simd, k, a, &packed[..outputs * k], bias, y);
                }
                let column = group * outputs_here;
                let start = bias.map_or(Start::Zero, |bias| Start::Row(&bias[column..][..outputs_here]));
                let (a, packed) = (Strided { values: a, row: k, step: 1 }, &packed[group * len..]);
                gemm::multiply(simd, [rows, k, outputs_here], a, packed, start, &mut y[column..], outputs);
            };
            if geometry.is_pointwise() {
                product(0, &x[first * inputs..][..rows * inputs]);
            } else {
                parallel::scratch(rows * k, |gathered| {
                    for group in 0..geometry.options.groups {
                        for (row, out) in (first..).zip(gathered.chunks_exact_mut(k.max(1))) {
                            let (values, channels) =
                                (&x[row / points * picture..][..picture], [group * inputs_here, inputs_here]);
                            let picture = Picture { values, size: image, pixel: inputs, channels };
                            taps.gather(picture, [row % points / size[1], row % points % size[1]], out);
                        }
                        product(group, gathered);
                    }
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
    let [inputs_here, outputs_here] = geometry.group();
    let picture = size[0] * size[1] * outputs;
    let phases: Vec<_> = (0..options.stride[0])
        .flat_map(|i| (0..options.stride[1]).map(move |j| [i, j]))
        .filter(|phase| phase[0] < image[0] && phase[1] < image[1])
        .map(|phase| {
            let taps = geometry.taps_of_phase(phase);
            let k = taps.len() * outputs_here;
            let len = gemm::packed_len(k, inputs_here);
            let mut packed = vec![0.0; options.groups * len];
            for (group, packed) in packed.chunks_exact_mut(len.max(1)).enumerate() {
                gemm::pack(packed, k, inputs_here, |k, i| {
                    let (tap, o) = (k / outputs_here, k % outputs_here);
                    geometry.weight_at(weight, [group * outputs_here + o, i, taps.numbers[tap]])
                });
            }
            (phase, taps, packed)
        })
        .collect();

    let pixels = image[0] * image[1];
    let mut x = flex::unwritten(batch * pixels * inputs);
    let samples = (2 * ROWS).div_ceil(pixels.max(1)).max(1);
    let work = 2 * batch * size[0] * size[1] * geometry.seen * inputs * outputs_here;
    parallel::chunks(&mut x, samples * pixels * inputs, work, |task, x| {
        for (phase, taps, packed) in &phases {
            let k = taps.len() * outputs_here;
            let len = gemm::packed_len(k, inputs_here);
            let counts = [0, 1].map(|axis| (image[axis] - phase[axis]).div_ceil(options.stride[axis]));
            let points = counts[0] * counts[1];
            let place = |index: usize| (index / points, [index % points / counts[1], index % points % counts[1]]);
            let total = x.len() / (pixels * inputs) * points;
            parallel::scratch(ROWS * (k + inputs_here), |block| {
                let (gathered, product) = block.split_at_mut(ROWS * k);
                for (group, first) in (0..options.groups).flat_map(|g| (0..total).step_by(ROWS).map(move |i| (g, i))) {
                    let rows = ROWS.min(total - first);
                    for row in 0..rows {
                        let (sample, point) = place(first + row);
                        let values = &gradient[(task * samples + sample) * picture..][..picture];
                        let channels = [group * outputs_here, outputs_here];
                        let picture = Picture { values, size, pixel: outputs, channels };
                        taps.gather(picture, point, &mut gathered[row * k..][..k]);
                    }
                    let a = Strided { values: gathered, row: k, step: 1 };
                    let packed = &packed[group * len..];
                    gemm::multiply(simd, [rows, k, inputs_here], a, packed, Start::Zero, product, inputs_here);
                    for (row, from) in product[..rows * inputs_here].chunks_exact(inputs_here).enumerate() {
                        let (sample, [i, j]) = place(first + row);
                        let [i, j] = [phase[0] + i * options.stride[0], phase[1] + j * options.stride[1]];
                        let at = ((sample * image[0] + i) * image[1] + j) * inputs + group * inputs_here;
                        x[at..][..inputs_here].copy_from_slice(from);
                    }
                }
            });
        }
    });
    x
}

/// The gradient of the weight from that of the result.
pub(super) fn weight_gradient(simd: Simd, geometry: &Geometry, x: &[f32], gradient: &[f32]) -> Vec<f32> {
    let &Geometry { batch, image, inputs, outputs, kernel, size, options, .. } = geometry;
    let [inputs_here, outputs_here] = geometry.group();
    let taps = geometry.taps();
    let places: Vec<[isize; 2]> =
        taps.rows.iter().flat_map(|(row, columns)| columns.iter().map(|column| [*row, *column])).collect();
    let (k, points, all) = (taps.len() * inputs_here, size[0] * size[1], kernel[0] * kernel[1]);
    // Masked taps stay at zero.
    let mut weight = vec![0.0; outputs * inputs_here * all];
    for (group, weight) in weight.chunks_exact_mut((outputs_here * inputs_here * all).max(1)).enumerate() {
        let fill = |first: usize, panel: usize, values: &mut [[f32; PANEL]]| {
            // The runs of channels of one tap that lie side by side in this panel: (lane, length, tap, channel).
            let mut runs = Vec::with_capacity(PANEL);
            let mut column = panel * PANEL;
            let end = k.min(column + PANEL);
            while column < end {
                let length = (inputs_here - column % inputs_here).min(end - column);
                runs.push((column % PANEL, length, column / inputs_here, column % inputs_here));
                column += length;
            }
            values.as_flattened_mut().fill(0.0);
            for (row, values) in (first..).zip(values) {
                let (sample, point) = (row / points, row % points);
                let point = [point / size[1], point % size[1]];
                for &(lane, length, tap, channel) in &runs {
                    let [i, j] = [0, 1].map(|axis| (taps.step[axis] * point[axis]) as isize + places[tap][axis]);
                    if (0..image[0] as isize).contains(&i) && (0..image[1] as isize).contains(&j) {
                        let pixel = (sample * image[0] + i as usize) * image[1] + j as usize;
                        let at = pixel * inputs + group * inputs_here + channel;
                        values[lane..lane + length].copy_from_slice(&x[at..at + length]);
                    }
                }
            }
        };
        let own: Vec<f32>;
        let gradient = if options.groups == 1 {
            gradient
        } else {
            let columns = group * outputs_here..(group + 1) * outputs_here;
            own = gradient.chunks_exact(outputs).flat_map(|row| &row[columns.clone()]).copied().collect();
            &own
        };
        // [O, taps, I], to be turned into [O, I, kh kw].
        let mut by_tap = vec![0.0; outputs_here * k];
        gemm::add_transposed_product(simd, [outputs_here, batch * points, k], gradient, fill, &mut by_tap);
        for (o, weight) in weight.chunks_exact_mut(inputs_here * all).enumerate() {
            for (i, weight) in weight.chunks_exact_mut(all).enumerate() {
                for (tap, number) in taps.numbers.iter().enumerate() {
                    weight[*number] = by_tap[(o * taps.len() + tap) * inputs_here + i];
                }
            }
        }
    }
    weight
}
