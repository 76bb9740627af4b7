//! Transformed weights, packed for the matrix product, and weights from their spectrum.

use super::super::apart;
use super::plan::{FREQUENCIES, Plan};
use super::transform::{OUTSIDE, transform_spectrum, transform_weight};
use crate::flex;
use crate::simd::gemm::PANEL;
use crate::simd::lanes::Lanes;
use crate::simd::{Simd, parallel};

/// Columns whose weights lie together: what the matrix product takes at once.
pub(super) const PAIR: usize = 2 * PANEL;

/// Transformed weights as `[columns / 32, 25, 2, rows, 16]`, frequencies [`apart`].
#[derive(Clone, Copy)]
pub(super) struct Packed {
    /// The most rows of a frequency.
    rows: usize,
    columns: usize,
}

impl Packed {
    /// `[phases and inputs, outputs]`.
    pub fn forward(plan: &Plan) -> Self {
        Self { rows: 4 * plan.inputs, columns: plan.outputs }
    }

    /// `[outputs, phases and inputs]`.
    pub fn backward(plan: &Plan) -> Self {
        Self { rows: plan.outputs, columns: 4 * plan.inputs }
    }

    fn apart(&self) -> usize {
        apart(self.rows * PAIR)
    }

    pub fn len(&self) -> usize {
        self.columns.div_ceil(PAIR) * FREQUENCIES * self.apart()
    }

    /// The weights of some columns at a frequency.
    pub fn at<'a>(&self, packed: &'a [f32], pair: usize, frequency: usize) -> &'a [f32] {
        &packed[(pair * FREQUENCIES + frequency) * self.apart()..][..self.rows * PAIR]
    }

    /// Fills what [`forward`](Self::forward) describes.
    pub fn pack_forward<V: Lanes>(&self, simd: Simd, plan: &Plan, weight: &[f32], packed: &mut [f32]) {
        let (apart, work) = (self.apart(), 10 * packed.len());
        parallel::chunks(packed, FREQUENCIES * apart, work, |pair, packed| {
            if !plan.outputs.is_multiple_of(PANEL) {
                packed.fill(0.0);
            }
            let first = pair * PAIR;
            for o in (first..plan.outputs.min(first + PAIR)).step_by(V::LEN) {
                let (panel, lane) = ((o - first) / PANEL, o % PANEL);
                let to = plan.places(|position, frequency| {
                    frequency * apart + (panel * plan.depth(frequency) + position * plan.inputs) * PANEL + lane
                });
                for i in 0..plan.inputs {
                    for (phase, to) in to.iter().enumerate() {
                        let taps = taps(plan, weight, phase, V::LEN, |lane| (o + lane) * plan.inputs + i);
                        transform_weight::<V>(simd, &taps, &mut packed[i * PANEL..], to);
                    }
                }
            }
        });
    }

    /// Fills what [`backward`](Self::backward) describes.
    pub fn pack_backward<V: Lanes>(&self, simd: Simd, plan: &Plan, weight: &[f32], packed: &mut [f32]) {
        let (apart, work) = (self.apart(), 10 * packed.len());
        parallel::chunks(packed, FREQUENCIES * apart, work, |pair, packed| {
            // Else every panel that a product reads is written whole.
            if !plan.inputs.is_multiple_of(PANEL) {
                packed.fill(0.0);
            }
            let first = pair * PAIR;
            for column in (first..self.columns.min(first + PAIR)).step_by(V::LEN) {
                let (panel, lane) = ((column - first) / PANEL, column % PANEL);
                let (wanted, i) = (column / plan.inputs, column % plan.inputs);
                let to = plan.places(|position, frequency| match position == wanted {
                    true => frequency * apart + panel * self.rows * PANEL + lane,
                    false => OUTSIDE,
                });
                for (phase, to) in to.iter().enumerate().filter(|(_, to)| to.iter().any(|at| *at != OUTSIDE)) {
                    for o in 0..plan.outputs {
                        let taps = taps(plan, weight, phase, V::LEN, |lane| o * plan.inputs + i + lane);
                        transform_weight::<V>(simd, &taps, &mut packed[o * PANEL..], to);
                    }
                }
            }
        });
    }
}

/// The taps of a phase, zero where the kernel ends, in the kernels that `kernel` numbers.
#[inline(always)]
fn taps(plan: &Plan, weight: &[f32], phase: usize, lanes: usize, kernel: impl Fn(usize) -> usize) -> [[f32; PANEL]; 4] {
    let mut taps = [[0.0; PANEL]; 4];
    for (at, taps) in taps.iter_mut().enumerate() {
        if let Some(tap) = plan.tap(phase, [at / 2, at % 2]) {
            for (lane, value) in taps.iter_mut().enumerate().take(lanes) {
                *value = weight[kernel(lane) * plan.taps() + tap];
            }
        }
    }
    taps
}

/// The weight, `[O, I, k, k]`, of a spectrum, `[25, phases and inputs, O]`, frequencies `apart`.
pub(super) fn weight_of<V: Lanes>(simd: Simd, plan: &Plan, spectrum: &[f32], apart: usize) -> Vec<f32> {
    let (inputs, outputs, all) = (plan.inputs, plan.outputs, plan.taps());
    let mut weight = flex::unwritten(outputs * inputs * all);
    parallel::chunks(&mut weight, V::LEN * inputs * all, 4 * spectrum.len(), |group, weight| {
        let from = plan.places(|position, frequency| frequency * apart + position * inputs * outputs);
        for i in 0..inputs {
            for (phase, from) in from.iter().enumerate() {
                let mut values = [[0.0; PANEL]; 4];
                transform_spectrum::<V>(simd, &spectrum[i * outputs + group * V::LEN..], from, &mut values);
                for (at, values) in values.iter().enumerate() {
                    if let Some(tap) = plan.tap(phase, [at / 2, at % 2]) {
                        for (lane, value) in values[..V::LEN].iter().enumerate() {
                            weight[(lane * inputs + i) * all + tap] = *value;
                        }
                    }
                }
            }
        }
    });
    weight
}
