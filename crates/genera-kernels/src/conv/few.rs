//! Convolution of images of few channels, for which gathering and padded columns of the matrix product would cost more
//! than the arithmetic.
//!
//! A picture is copied once into a frame of zeros, so that no point has an edge to look out for. A point then looks at a
//! few runs of numbers, one for each row of the kernel. Their gradient goes the other way: one product of the result's
//! gradient, in place, with the weights of all taps, whose rows are added to the frame.

use super::Geometry;
use crate::flex;
use crate::simd::gemm::{self, PANEL, Start, Strided};
use crate::simd::{Simd, parallel, vectorised};

/// Outputs that are gathered at once.
const ROWS: usize = 48;
/// Runs are copied so many numbers at a time, the last ones of the run before a next one writes over them.
const STEP: usize = 4;

/// Numbers that lie side by side in the frame and in the row of a point.
#[derive(Clone, Copy)]
struct Run {
    /// Their place in the frame, from that of the point on.
    from: usize,
    /// Their place in the row.
    at: usize,
    len: usize,
}

/// A picture with zeros around it.
struct Frame {
    /// `[H + top + bottom, W + left + right]`.
    size: [usize; 2],
    /// Numbers of a frame, with some to spare after the last.
    len: usize,
    /// What a point looks at.
    runs: Vec<Run>,
    /// Numbers that a point looks at.
    k: usize,
}

impl Frame {
    fn new(geometry: &Geometry) -> Self {
        let &Geometry { image, inputs, kernel: [kh, kw], seen, options, .. } = geometry;
        let size = [0, 1].map(|axis| image[axis] + options.padding[axis][0] + options.padding[axis][1]);
        let mut runs: Vec<Run> = Vec::new();
        for tap in 0..seen.min(kh * kw) {
            let from = (tap / kw * options.dilation[0] * size[1] + tap % kw * options.dilation[1]) * inputs;
            match runs.last_mut() {
                Some(run) if run.from + run.len == from => run.len += inputs,
                _ => runs.push(Run { from, at: tap * inputs, len: inputs }),
            }
        }
        Self { size, len: size[0] * size[1] * inputs + STEP, runs, k: seen * inputs }
    }

    /// Where the point `[i, j]` begins.
    fn point(&self, geometry: &Geometry, [i, j]: [usize; 2]) -> usize {
        let [down, right] = geometry.options.stride;
        (i * down * self.size[1] + j * right) * geometry.inputs
    }

    /// Rows of numbers of a frame and of its picture that belong together: their begins.
    fn lines(&self, geometry: &Geometry) -> impl Iterator<Item = (usize, usize)> {
        let [top, left] = [0, 1].map(|axis| geometry.options.padding[axis][0]);
        let (inputs, wide, width) = (geometry.inputs, self.size[1], geometry.image[1]);
        (0..geometry.image[0]).map(move |i| (((i + top) * wide + left) * inputs, i * width * inputs))
    }

    /// All pictures of a batch in frames.
    fn frames(&self, geometry: &Geometry, x: &[f32], frames: &mut [f32]) {
        let (picture, line) =
            (geometry.image[0] * geometry.image[1] * geometry.inputs, geometry.image[1] * geometry.inputs);
        parallel::chunks(frames, self.len, x.len(), |sample, frame| {
            frame.fill(0.0);
            for (to, from) in self.lines(geometry) {
                frame[to..to + line].copy_from_slice(&x[sample * picture + from..][..line]);
            }
        });
    }
}

vectorised! {
    /// The rows of points that begin at `points` of the frames, `[points, k]`, and some numbers to spare.
    fn gather(frames: &[f32], points: &[usize], runs: &[Run], k: usize, rows: &mut [f32]) {
        let short = runs.iter().all(|run| run.len <= STEP);
        for (row, point) in points.iter().enumerate() {
            if short {
                let row = &mut rows[row * k..][..k + STEP];
                for run in runs {
                    let values: [f32; STEP] = frames[point + run.from..][..STEP].try_into().unwrap_or_default();
                    row[run.at..][..STEP].copy_from_slice(&values);
                }
                continue;
            }
            for run in runs {
                for step in (0..run.len).step_by(STEP) {
                    let values: [f32; STEP] = frames[point + run.from + step..][..STEP].try_into().unwrap_or_default();
                    rows[row * k + run.at + step..][..STEP].copy_from_slice(&values);
                }
            }
        }
    }

    /// As [`gather`], to rows of a panel, zeros elsewhere; numbers right after the last run may be any.
    fn gather_panel(frames: &[f32], points: &[usize], runs: &[Run], rows: &mut [[f32; PANEL]]) {
        let short = runs.iter().all(|run| run.len <= STEP && run.at + STEP <= PANEL);
        for (row, point) in rows.iter_mut().zip(points) {
            *row = [0.0; PANEL];
            for run in runs {
                if short {
                    let values: [f32; STEP] = frames[point + run.from..][..STEP].try_into().unwrap_or_default();
                    row[run.at..][..STEP].copy_from_slice(&values);
                    continue;
                }
                let values = &frames[point + run.from..][..run.len];
                row[run.at..][..run.len].iter_mut().zip(values).for_each(|(to, value)| *to = *value);
            }
        }
    }

    /// Adds the rows of points, `[points, n]`, to a frame.
    fn scatter(frame: &mut [f32], points: &[usize], runs: &[Run], n: usize, rows: &[f32]) {
        for (row, point) in rows.chunks_exact(n).zip(points) {
            for run in runs {
                let values = &row[run.at..][..run.len];
                frame[point + run.from..][..run.len].iter_mut().zip(values).for_each(|(to, value)| *to += *value);
            }
        }
    }
}

impl Geometry {
    /// Whether these kernels apply, and most of a panel would be padding otherwise.
    pub(super) fn few(&self) -> bool {
        self.options.groups == 1 && (1..8).contains(&self.inputs) && self.kernel != [1; 2] && self.seen > 0
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
    let &Geometry { batch, inputs, outputs, size, .. } = geometry;
    let frame = Frame::new(geometry);
    let (k, points) = (frame.k, size[0] * size[1]);
    let few = outputs <= gemm::FEW;
    let mut y = flex::unwritten(batch * points * outputs);
    parallel::scratch(batch * frame.len, |frames| {
        frame.frames(geometry, x, frames);
        let frames = &*frames;
        parallel::scratch(gemm::packed_len(k, outputs), |packed| {
            let element = |k: usize, o: usize| geometry.weight_at(weight, [o, k % inputs, k / inputs]);
            if few {
                packed[..outputs * k].iter_mut().enumerate().for_each(|(at, value)| *value = element(at % k, at / k));
            } else {
                gemm::pack(packed, k, outputs, element);
            }
            let packed = &*packed;
            parallel::chunks(&mut y, ROWS * outputs, 2 * batch * points * k * outputs, |block, y| {
                let (first, rows) = (block * ROWS, y.len() / outputs);
                let places = geometry.places(&frame, first, rows);
                parallel::scratch(rows * k + STEP, |gathered| {
                    gather(simd, frames, &places[..rows], &frame.runs, k, gathered);
                    let gathered = &gathered[..rows * k];
                    if few {
                        gemm::few_columns(simd, k, gathered, &packed[..outputs * k], bias, y);
                    } else {
                        let start = bias.map_or(Start::Zero, Start::Row);
                        let a = Strided { values: gathered, row: k, step: 1 };
                        gemm::multiply(simd, [rows, k, outputs], a, packed, start, y, outputs);
                    }
                });
                if let Some(residual) = residual {
                    y.iter_mut().zip(&residual[first * outputs..]).for_each(|(y, residual)| *y += residual);
                }
            });
        });
    });
    y
}

impl Geometry {
    /// Where the next `rows` points from `first` on, counted over the batch, begin in the frames.
    fn places(&self, frame: &Frame, first: usize, rows: usize) -> [usize; ROWS] {
        let [height, width] = self.size;
        let (mut sample, rest) = (first / (height * width), first % (height * width));
        let [mut i, mut j] = [rest / width, rest % width];
        let mut places = [0; ROWS];
        for place in &mut places[..rows] {
            *place = sample * frame.len + frame.point(self, [i, j]);
            j += 1;
            if j == width {
                (i, j) = (i + 1, 0);
            }
            if i == height {
                (sample, i) = (sample + 1, 0);
            }
        }
        places
    }
}

/// The gradient of the image from that of the result.
pub(super) fn image_gradient(simd: Simd, geometry: &Geometry, gradient: &[f32], weight: &[f32]) -> Vec<f32> {
    let &Geometry { batch, image, inputs, outputs, size, .. } = geometry;
    let frame = Frame::new(geometry);
    let (k, points) = (frame.k, size[0] * size[1]);
    // Whole panels, which the matrix product writes in place.
    let n = k.next_multiple_of(PANEL);
    let (picture, line) = (image[0] * image[1] * inputs, image[1] * inputs);
    let mut x = flex::unwritten(batch * picture);
    parallel::scratch(gemm::packed_len(outputs, n), |packed| {
        let element = |o: usize, at: usize| geometry.weight_at(weight, [o, at % inputs, at / inputs]);
        gemm::pack(packed, outputs, n, |o, at| if at < k { element(o, at) } else { 0.0 });
        let packed = &*packed;
        parallel::chunks(&mut x, picture, 2 * batch * points * k * outputs, |sample, x| {
            parallel::scratch(frame.len + ROWS * n, |block| {
                let (sum, product) = block.split_at_mut(frame.len);
                sum.fill(0.0);
                for first in (0..points).step_by(ROWS) {
                    let rows = ROWS.min(points - first);
                    let values = &gradient[(sample * points + first) * outputs..][..rows * outputs];
                    let a = Strided { values, row: outputs, step: 1 };
                    gemm::multiply(simd, [rows, outputs, n], a, packed, Start::Zero, product, n);
                    let places = geometry.places(&frame, first, rows);
                    scatter(simd, sum, &places[..rows], &frame.runs, n, product);
                }
                for (from, to) in frame.lines(geometry) {
                    x[to..to + line].copy_from_slice(&sum[from..][..line]);
                }
            });
        });
    });
    x
}

/// The gradient of the weight from that of the result.
pub(super) fn weight_gradient(simd: Simd, geometry: &Geometry, x: &[f32], gradient: &[f32]) -> Vec<f32> {
    let &Geometry { batch, inputs, outputs, kernel, size, .. } = geometry;
    let frame = Frame::new(geometry);
    let (k, points, all) = (frame.k, size[0] * size[1], kernel[0] * kernel[1]);
    // [O, taps, I], to be turned into [O, I, kh kw]; masked taps stay at zero.
    let mut by_tap = vec![0.0; outputs * k];
    parallel::scratch(batch * frame.len, |frames| {
        frame.frames(geometry, x, frames);
        let frames = &*frames;
        let fill = |first: usize, panel: usize, values: &mut [[f32; PANEL]]| {
            // The parts of runs in this panel.
            let columns = panel * PANEL..(panel + 1) * PANEL;
            let inside = frame.runs.iter().filter_map(|run| {
                let (begin, end) = (run.at.max(columns.start), (run.at + run.len).min(columns.end));
                let from = run.from + begin.wrapping_sub(run.at);
                (begin < end).then(|| Run { from, at: begin - columns.start, len: end - begin })
            });
            let runs: Vec<Run> = inside.collect();
            for (block, values) in values.chunks_mut(ROWS).enumerate() {
                let places = geometry.places(&frame, first + block * ROWS, values.len());
                gather_panel(simd, frames, &places, &runs, values);
            }
        };
        gemm::add_transposed_product(simd, [outputs, batch * points, k], gradient, fill, &mut by_tap);
    });
    let mut weight = vec![0.0; outputs * inputs * all];
    for (o, weight) in weight.chunks_exact_mut(inputs * all).enumerate() {
        for (at, value) in by_tap[o * k..][..k].iter().enumerate() {
            weight[at % inputs * all + at / inputs] = *value;
        }
    }
    weight
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::ConvOptions;

    /// Runs longer and shorter than a step: the same bits with and without AVX-512, and for a sample alone.
    #[test]
    fn wide_vectors_and_batches_change_no_bit() {
        let Some(simd) = Simd::detect() else { return };
        for (inputs, outputs, stride) in [(1, 24, 2), (3, 16, 1), (2, 3, 2)] {
            let options = ConvOptions { stride: [stride; 2], ..ConvOptions::same(3) };
            let (batch, image, kernel, seen) = (7, [9, 12], [3; 2], 9);
            let size = options.output_size(image, kernel).unwrap();
            let geometry = Geometry { batch, image, inputs, outputs, kernel, seen, size, options };
            let normal = |n, seed| genera_rng::Rng::new(seed).normal(1, n);
            let (pixels, points) = (image[0] * image[1] * inputs, size[0] * size[1] * outputs);
            let (x, y) = (normal(batch * pixels, 1), normal(batch * points, 2));
            let (weight, bias) = (normal(seen * inputs * outputs, 3), normal(outputs, 4));
            let results = |simd| {
                let result = forward(simd, &geometry, &x, &weight, Some(&bias), Some(&y));
                let image = image_gradient(simd, &geometry, &y, &weight);
                (result, image, weight_gradient(simd, &geometry, &x, &y))
            };
            let all = results(simd);
            assert_eq!(all, results(simd.narrow()), "{inputs} to {outputs} channels");
            let one = Geometry { batch: 1, ..geometry };
            let last = batch - 1;
            let (x, y) = (&x[last * pixels..], &y[last * points..]);
            assert_eq!(forward(simd, &one, x, &weight, Some(&bias), Some(y)), &all.0[last * points..]);
            assert_eq!(image_gradient(simd, &one, y, &weight), &all.1[last * pixels..]);
        }
    }
}
