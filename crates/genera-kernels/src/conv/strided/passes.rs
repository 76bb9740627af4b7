//! The three passes: transforms of a block of samples, a matrix product for each frequency, transforms back.

use super::super::{Geometry, apart};
use super::pack::{PAIR, Packed, weight_of};
use super::plan::{CLASSES, FREQUENCIES, Plan, Table, sides};
use super::transform::{Four, Three, add_to_image, transform_gradient, transform_image, transform_result};
use crate::flex;
use crate::simd::gemm::{self, PANEL, Start, Strided};
use crate::simd::lanes::Lanes;
use crate::simd::{Simd, parallel};

/// Numbers of the transformed tiles that are kept at once for the gradient of the weight.
const STRETCH: usize = 2 << 20;

/// Runs an expression with the types of the sides of a class.
macro_rules! by_class {
    ($class:expr, $rows:ident, $columns:ident => $body:expr) => {
        by_class!(@ sides($class), $rows, $columns, $body, (true, Four) (false, Three))
    };
    (@ $class:expr, $rows:ident, $columns:ident, $body:expr, $(($four:literal, $side:ident))*) => {
        match $class {
            $([$four, true] => {
                type $rows = $side;
                type $columns = Four;
                $body
            }
            [$four, false] => {
                type $rows = $side;
                type $columns = Three;
                $body
            })*
        }
    };
}

/// A geometry with its division.
struct Passes<'a> {
    simd: Simd,
    geometry: &'a Geometry,
    plan: Plan,
    /// Height and width of a frame.
    frame: [usize; 2],
}

impl<'a> Passes<'a> {
    fn new(simd: Simd, geometry: &'a Geometry) -> Self {
        let plan = Plan::new(geometry);
        Self { simd, geometry, plan, frame: plan.frame() }
    }

    /// Numbers of a frame.
    fn frame_len(&self) -> usize {
        self.frame[0] * self.frame[1] * self.plan.inputs
    }

    /// Numbers of an image and of a result.
    fn sample(&self) -> [usize; 2] {
        let &Geometry { image, size, inputs, outputs, .. } = self.geometry;
        [image[0] * image[1] * inputs, size[0] * size[1] * outputs]
    }

    fn work(&self) -> usize {
        2 * self.geometry.batch * self.plan.products() * self.plan.inputs * self.plan.outputs
    }

    /// The rows of an image that its frame shows: where they begin in the image and in the frame, and their length.
    fn lines(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let &Geometry { image: [height, width], inputs, options, .. } = self.geometry;
        let [top, left] = [0, 1].map(|axis| options.padding[axis][0]);
        let [tall, wide] = self.frame;
        let length = width.min(wide.saturating_sub(left)) * inputs;
        let rows = height.min(tall.saturating_sub(top));
        (0..rows).map(move |i| (i * width * inputs, ((i + top) * wide + left) * inputs, length))
    }

    /// `Bᵀ d B` of the images of a block: `[25, tiles, phases and inputs]`, frequencies `apart`.
    fn transform_images<V: Lanes>(&self, x: &[f32], frame: &mut [f32], v: &mut [f32], apart: usize) {
        let (plan, [picture, _]) = (&self.plan, self.sample());
        let (samples, line) = (x.len() / picture, self.frame[1] * plan.inputs);
        let to = plan.places(|position, frequency| frequency * apart + position * plan.inputs);
        frame.fill(0.0);
        for (sample, x) in x.chunks_exact(picture).enumerate() {
            for (from, at, length) in self.lines() {
                frame[at..at + length].copy_from_slice(&x[from..from + length]);
            }
            for class in 0..CLASSES {
                for tile in plan.tiles_of(class, sample, samples) {
                    let frame = &frame[2 * (tile.begin[0] * line + tile.begin[1] * plan.inputs)..];
                    let v = &mut v[tile.index * plan.distances()[0]..];
                    by_class!(class, R, C => {
                        transform_image::<V, R, C>(self.simd, frame, line, plan.inputs, v, &to);
                    });
                }
            }
        }
    }

    /// `A ȳ Aᵀ` of the results of a block, as the tables of the classes say, rows of tiles `distance` apart.
    fn transform_gradients<V: Lanes>(&self, y: &[f32], n: &mut [f32], distance: usize, table: impl Fn(usize) -> Table) {
        let (plan, [_, result], width) = (&self.plan, self.sample(), self.geometry.size[1]);
        let samples = y.len() / result;
        for class in 0..CLASSES {
            let to = table(class);
            for (sample, y) in y.chunks_exact(result).enumerate() {
                for tile in plan.tiles_of(class, sample, samples) {
                    let y = &y[(tile.begin[0] * width + tile.begin[1]) * plan.outputs..];
                    let n = &mut n[tile.in_class * distance..];
                    by_class!(class, R, C => {
                        transform_gradient::<V, R, C>(self.simd, y, width, tile.corner, plan.outputs, n, &to);
                    });
                }
            }
        }
    }
}

/// See [`conv2d`](crate::conv2d).
pub(super) fn forward<V: Lanes>(
    simd: Simd,
    geometry: &Geometry,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
) -> Vec<f32> {
    let passes = Passes::new(simd, geometry);
    let (plan, [picture, result], width) = (&passes.plan, passes.sample(), geometry.size[1]);
    let (outputs, [wide, narrow]) = (plan.outputs, plan.distances());
    let (samples, form) = (plan.even_samples(geometry.batch), Packed::forward(plan));
    let zeros = vec![0.0; outputs];
    let bias = bias.unwrap_or(&zeros);
    let mut y = flex::unwritten(geometry.batch * result);
    parallel::scratch(form.len(), |packed| {
        form.pack_forward::<V>(simd, plan, weight, packed);
        let packed = &*packed;
        parallel::chunks(&mut y, samples * result, passes.work(), |block, y| {
            let (first, samples) = (block * samples, y.len() / result);
            let [v_apart, m_apart] = [wide, narrow].map(|numbers| apart(samples * plan.tiles() * numbers));
            parallel::scratch(FREQUENCIES * (v_apart + m_apart) + passes.frame_len(), |numbers| {
                let (frame, numbers) = numbers.split_at_mut(passes.frame_len());
                let (v, m) = numbers.split_at_mut(FREQUENCIES * v_apart);
                passes.transform_images::<V>(&x[first * picture..][..samples * picture], frame, v, v_apart);
                for frequency in plan.frequencies() {
                    let range = plan.range(frequency, samples);
                    for pair in 0..outputs.div_ceil(PAIR) {
                        let columns = PAIR.min(outputs - pair * PAIR);
                        let values = &v[frequency * v_apart + range.start * wide..];
                        let a = Strided { values, row: wide, step: 1 };
                        let m = &mut m[frequency * m_apart + range.start * narrow + pair * PAIR..];
                        let shape = [range.len(), plan.depth(frequency), columns];
                        gemm::multiply(simd, shape, a, form.at(packed, pair, frequency), Start::Zero, m, narrow);
                    }
                }
                for (sample, y) in y.chunks_exact_mut(result).enumerate() {
                    for class in 0..CLASSES {
                        for tile in plan.tiles_of(class, sample, samples) {
                            let at = (tile.begin[0] * width + tile.begin[1]) * outputs;
                            let residual = residual.map(|residual| &residual[(first + sample) * result + at..]);
                            let (y, m) = (&mut y[at..], &m[tile.index * narrow..]);
                            by_class!(class, R, C => transform_result::<V, R, C>(
                                simd, m, m_apart, bias, residual, y, width, tile.corner
                            ));
                        }
                    }
                }
            });
        });
    });
    y
}

/// The gradient of the image from that of the result.
pub(super) fn image_gradient<V: Lanes>(simd: Simd, geometry: &Geometry, gradient: &[f32], weight: &[f32]) -> Vec<f32> {
    let passes = Passes::new(simd, geometry);
    let (plan, [picture, result]) = (&passes.plan, passes.sample());
    let (inputs, outputs, [wide, narrow]) = (plan.inputs, plan.outputs, plan.distances());
    let (samples, form) = (plan.even_samples(geometry.batch), Packed::backward(plan));
    let line = passes.frame[1] * inputs;
    let mut x = flex::unwritten(geometry.batch * picture);
    parallel::scratch(form.len(), |packed| {
        form.pack_backward::<V>(simd, plan, weight, packed);
        let packed = &*packed;
        parallel::chunks(&mut x, samples * picture, passes.work(), |block, x| {
            let (first, samples) = (block * samples, x.len() / picture);
            let [m_apart, n_apart] = [wide, narrow].map(|numbers| apart(samples * plan.tiles() * numbers));
            parallel::scratch(FREQUENCIES * (m_apart + n_apart) + passes.frame_len(), |numbers| {
                let (frame, numbers) = numbers.split_at_mut(passes.frame_len());
                let (m, n) = numbers.split_at_mut(FREQUENCIES * m_apart);
                let gradient = &gradient[first * result..][..samples * result];
                passes.transform_gradients::<V>(gradient, n, narrow, |class| plan.by_rows(class, samples, n_apart));
                for frequency in plan.frequencies() {
                    let (range, depth) = (plan.range(frequency, samples), plan.depth(frequency));
                    for pair in 0..depth.div_ceil(PAIR) {
                        let columns = PAIR.min(depth - pair * PAIR);
                        let values = &n[frequency * n_apart + range.start * narrow..];
                        let a = Strided { values, row: narrow, step: 1 };
                        let m = &mut m[frequency * m_apart + range.start * wide + pair * PAIR..];
                        let shape = [range.len(), outputs, columns];
                        gemm::multiply(simd, shape, a, form.at(packed, pair, frequency), Start::Zero, m, wide);
                    }
                }
                let from = plan.places(|position, frequency| frequency * m_apart + position * inputs);
                for (sample, x) in x.chunks_exact_mut(picture).enumerate() {
                    frame.fill(0.0);
                    for class in 0..CLASSES {
                        for tile in plan.tiles_of(class, sample, samples) {
                            let frame = &mut frame[2 * (tile.begin[0] * line + tile.begin[1] * inputs)..];
                            let m = &m[tile.index * wide..];
                            by_class!(class, R, C => add_to_image::<V, R, C>(simd, m, &from, inputs, frame, line));
                        }
                    }
                    // Pixels that no output sees.
                    if passes.lines().map(|(.., length)| length).sum::<usize>() < picture {
                        x.fill(0.0);
                    }
                    for (to, at, length) in passes.lines() {
                        x[to..to + length].copy_from_slice(&frame[at..at + length]);
                    }
                }
            });
        });
    });
    x
}

/// The gradient of the weight from that of the result.
pub(super) fn weight_gradient<V: Lanes>(simd: Simd, geometry: &Geometry, x: &[f32], gradient: &[f32]) -> Vec<f32> {
    let passes = Passes::new(simd, geometry);
    let (plan, [picture, result], batch) = (&passes.plan, passes.sample(), geometry.batch);
    let (inputs, outputs, [wide, _]) = (plan.inputs, plan.outputs, plan.distances());
    let samples = 2 * plan.samples();
    let blocks = batch.div_ceil(samples);
    let panels = outputs.div_ceil(PANEL);
    // One block: a frame, Bᵀ d B as [25, tiles, phases and I], A Ȳ Aᵀ as [25, O / 16, tiles, 16].
    let lengths = |samples: usize| [wide, panels * PANEL].map(|n| apart(samples * plan.tiles() * n));
    let [v_len, n_len] = lengths(samples).map(|len| FREQUENCIES * len);
    let block_len = v_len + n_len;
    let together = (STRETCH / block_len).clamp(1, blocks.max(1));
    let spectrum_apart = apart(4 * inputs * outputs);
    let mut spectrum = match blocks {
        0 => vec![0.0; FREQUENCIES * spectrum_apart],
        _ => flex::unwritten(FREQUENCIES * spectrum_apart),
    };
    parallel::scratch(together * block_len, |stretch| {
        for first in (0..blocks).step_by(together) {
            let count = |block: usize| samples.min(batch - (first + block) * samples);
            let stretch = &mut stretch[..together.min(blocks - first) * block_len];
            let work = 8 * stretch.len();
            parallel::chunks(stretch, block_len, work, |block, numbers| {
                let (begin, count) = ((first + block) * samples, count(block));
                let [v_apart, n_apart] = lengths(count);
                let (v, n) = numbers.split_at_mut(v_len);
                let x = &x[begin * picture..][..count * picture];
                parallel::scratch(passes.frame_len(), |frame| passes.transform_images::<V>(x, frame, v, v_apart));
                if !outputs.is_multiple_of(PANEL) {
                    n.fill(0.0);
                }
                let gradient = &gradient[begin * result..][..count * result];
                passes.transform_gradients::<V>(gradient, n, PANEL, |class| plan.by_panels(class, count, n_apart));
            });
            let stretch = &*stretch;
            let work = stretch.len() * inputs.min(outputs);
            parallel::chunks(&mut spectrum, spectrum_apart, work, |frequency, spectrum| {
                if plan.range(frequency, 1).is_empty() {
                    if first == 0 {
                        spectrum.fill(0.0);
                    }
                    return;
                }
                for (block, numbers) in stretch.chunks_exact(block_len).enumerate() {
                    let [v_apart, n_apart] = lengths(count(block));
                    let range = plan.range(frequency, count(block));
                    let (v, n) = numbers.split_at(v_len);
                    let values = &v[frequency * v_apart + range.start * wide..];
                    let a = Strided { values, row: 1, step: wide };
                    let shape = [plan.depth(frequency), range.len(), outputs];
                    let start = if first + block == 0 { Start::Zero } else { Start::Previous };
                    gemm::multiply(simd, shape, a, &n[frequency * n_apart..], start, spectrum, outputs);
                }
            });
        }
    });
    weight_of::<V>(simd, plan, &spectrum, spectrum_apart)
}
