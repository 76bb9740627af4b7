//! The transforms of tiles and kernels: one-dimensional transforms along columns, then along rows, eight or sixteen
//! channels at a time.
//!
//! Along an axis the frequencies are polynomials at the points 0, 1/2, -1, infinity and 2; a tile of three outputs goes
//! without the last. With 1 for 1/2, rounding errors would be twice as large. In this order the weight has
//! `G = [1 0; 1 1/2; 1 -1; 0 1; 1 2]` for both lengths, and
//!
//! ```text
//! four:   Aᵀ = [1 1 1 0 1; 0 1/2 -1 0 2; 0 1/4 1 0 4; 0 1/8 -1 1 8]
//!         Bᵀ = [18 -27 -27 18 0; 0 32 16 -16 0; 0 -4 10 -4 0; 0 18 -27 -27 18; 0 -1 1 2 0] / 18
//! three:  Aᵀ = [1 1 1 0; 0 1/2 -1 0; 0 1/4 1 1]
//!         Bᵀ = [6 -6 -12 0; 0 8 8 0; 0 -2 4 0; 0 -3 3 6] / 6
//! ```

use super::plan::{FREQUENCIES, Phases};
use crate::simd::gemm::PANEL;
use crate::simd::lanes::Lanes;
use crate::simd::vectorised;

/// The place of a number that is not there.
pub(super) const OUTSIDE: usize = usize::MAX;

/// The length of a tile along one axis.
pub(super) trait Side {
    /// Four outputs, else three.
    const FOUR: bool;
}

pub(super) struct Four;
pub(super) struct Three;

impl Side for Four {
    const FOUR: bool = true;
}

impl Side for Three {
    const FOUR: bool = false;
}

/// An array from an expression of its index, written out: a closure would not be compiled for the vector unit, and an
/// array that is filled in a loop goes through memory twice.
macro_rules! array {
    (2, $i:ident => $value:expr) => { array!(@ $i, $value, 0 1) };
    (4, $i:ident => $value:expr) => { array!(@ $i, $value, 0 1 2 3) };
    (5, $i:ident => $value:expr) => { array!(@ $i, $value, 0 1 2 3 4) };
    (@ $i:ident, $value:expr, $($index:literal)*) => {
        [$({
            let $i = $index;
            $value
        }),*]
    };
}

/// Whether a tile of this length has the frequency, or needs the number of the image, of this index.
#[inline(always)]
const fn has<S: Side>(index: usize) -> bool {
    S::FOUR || index < 4
}

/// `Bᵀ`.
#[inline(always)]
fn before<V: Lanes, S: Side>([d0, d1, d2, d3, d4]: [V; 5]) -> [V; 5] {
    let (two, half) = (V::splat(2.0), V::splat(0.5));
    if S::FOUR {
        let minus = V::splat(-1.5);
        [
            minus.fma(d1.add(d2), d0.add(d3)),
            V::splat(8.0 / 9.0).mul(two.fma(d1, d2.sub(d3))),
            V::splat(5.0 / 9.0).fma(d2, V::splat(-2.0 / 9.0).mul(d1.add(d3))),
            minus.fma(d2.add(d3), d1.add(d4)),
            V::splat(1.0 / 18.0).mul(two.fma(d3, d2.sub(d1))),
        ]
    } else {
        [
            V::splat(-2.0).fma(d2, d0.sub(d1)),
            V::splat(4.0 / 3.0).mul(d1.add(d2)),
            V::splat(1.0 / 3.0).mul(two.fma(d2, V::splat(0.0).sub(d1))),
            half.fma(d2.sub(d1), d3),
            d4,
        ]
    }
}

/// `B`.
#[inline(always)]
fn before_back<V: Lanes, S: Side>([m0, m1, m2, m3, m4]: [V; 5]) -> [V; 5] {
    let (two, minus_two) = (V::splat(2.0), V::splat(-2.0));
    if S::FOUR {
        let minus = V::splat(-1.5);
        let (a, b, c) = (V::splat(8.0 / 9.0).mul(m1), V::splat(1.0 / 9.0).mul(m2), V::splat(1.0 / 18.0).mul(m4));
        [
            m0,
            two.fma(a.sub(b), minus.fma(m0, m3)).sub(c),
            V::splat(5.0).fma(b, minus.fma(m0.add(m3), a)).add(c),
            two.fma(c.sub(b), minus.fma(m3, m0)).sub(a),
            m3,
        ]
    } else {
        let (a, b, c) = (V::splat(4.0 / 3.0).mul(m1), V::splat(1.0 / 3.0).mul(m2), V::splat(0.5).mul(m3));
        [m0, a.sub(b).sub(m0.add(c)), minus_two.fma(m0.sub(b), a.add(c)), m3, m4]
    }
}

/// `Aᵀ`.
#[inline(always)]
fn after<V: Lanes, S: Side>([m0, m1, m2, m3, m4]: [V; 5]) -> [V; 4] {
    let (half, quarter, eighth) = (V::splat(0.5), V::splat(0.25), V::splat(0.125));
    if S::FOUR {
        [
            m0.add(m1).add(m2).add(m4),
            V::splat(2.0).fma(m4, half.fma(m1, V::splat(0.0).sub(m2))),
            V::splat(4.0).fma(m4, quarter.fma(m1, m2)),
            V::splat(8.0).fma(m4, eighth.fma(m1, m3.sub(m2))),
        ]
    } else {
        [m0.add(m1).add(m2), half.fma(m1, V::splat(0.0).sub(m2)), quarter.fma(m1, m2.add(m3)), m4]
    }
}

/// `A`.
#[inline(always)]
fn spread<V: Lanes, S: Side>([y0, y1, y2, y3]: [V; 4]) -> [V; 5] {
    let (two, half) = (V::splat(2.0), V::splat(0.5));
    if S::FOUR {
        let one_half = half.fma(half.fma(half.fma(y3, y2), y1), y0);
        let at_two = two.fma(two.fma(two.fma(y3, y2), y1), y0);
        [y0, one_half, y0.add(y2).sub(y1.add(y3)), y3, at_two]
    } else {
        [y0, half.fma(half.fma(y2, y1), y0), y0.sub(y1).add(y2), y2, y3]
    }
}

/// `G`.
#[inline(always)]
fn widen<V: Lanes>([g0, g1]: [V; 2]) -> [V; 5] {
    [g0, V::splat(0.5).fma(g1, g0), g0.sub(g1), g1, V::splat(2.0).fma(g1, g0)]
}

/// `Gᵀ`.
#[inline(always)]
fn narrow<V: Lanes>([u0, u1, u2, u3, u4]: [V; 5]) -> [V; 2] {
    [u0.add(u1).add(u2).add(u4), V::splat(2.0).fma(u4, V::splat(0.5).fma(u1, u3.sub(u2)))]
}

vectorised! {
    /// `Bᵀ d B` of the four phases of one tile, which begins at the beginning of `frame`, whose rows are `line` apart.
    pub(super) fn transform_image[V: Lanes, R: Side, C: Side](
        frame: &[f32],
        line: usize,
        channels: usize,
        v: &mut [f32],
        to: &Phases,
    ) {
        for (phase, to) in to.iter().enumerate() {
            let first = phase / 2 * line + phase % 2 * channels;
            for channel in (0..channels).step_by(V::LEN) {
                let columns = array!(5, j => before::<V, R>(array!(5, i => if has::<R>(i) && has::<C>(j) {
                    V::load(frame, first + 2 * (i * line + j * channels) + channel)
                } else {
                    V::splat(0.0)
                })));
                array!(5, i => if has::<R>(i) {
                    let row = before::<V, C>(array!(5, j => columns[j][i]));
                    array!(5, j => if has::<C>(j) && to[5 * i + j] != OUTSIDE {
                        row[j].store(v, to[5 * i + j] + channel);
                    });
                });
            }
        }
    }

    /// Adds `B m Bᵀ` of the four phases to what [`transform_image`] reads.
    pub(super) fn add_to_image[V: Lanes, R: Side, C: Side](
        m: &[f32],
        from: &Phases,
        channels: usize,
        frame: &mut [f32],
        line: usize,
    ) {
        for (phase, from) in from.iter().enumerate() {
            let first = phase / 2 * line + phase % 2 * channels;
            for channel in (0..channels).step_by(V::LEN) {
                let columns = array!(5, j => before_back::<V, R>(array!(5, i => {
                    if has::<R>(i) && has::<C>(j) && from[5 * i + j] != OUTSIDE {
                        V::load(m, from[5 * i + j] + channel)
                    } else {
                        V::splat(0.0)
                    }
                })));
                array!(5, i => if has::<R>(i) {
                    let row = before_back::<V, C>(array!(5, j => columns[j][i]));
                    array!(5, j => if has::<C>(j) {
                        let at = first + 2 * (i * line + j * channels) + channel;
                        row[j].add(V::load(frame, at)).store(frame, at);
                    });
                });
            }
        }
    }

    /// `Aᵀ m A` of one tile of the products, frequencies `apart`, plus bias and residual, into the `corner` that exists.
    pub(super) fn transform_result[V: Lanes, R: Side, C: Side](
        m: &[f32],
        apart: usize,
        bias: &[f32],
        residual: Option<&[f32]>,
        y: &mut [f32],
        width: usize,
        corner: [usize; 2],
    ) {
        let channels = bias.len();
        for channel in (0..channels).step_by(V::LEN) {
            let columns = array!(5, j => after::<V, R>(array!(5, i => if has::<R>(i) && has::<C>(j) {
                V::load(m, (5 * i + j) * apart + channel)
            } else {
                V::splat(0.0)
            })));
            let bias = V::load(bias, channel);
            array!(4, i => if i < corner[0] {
                let row = after::<V, C>(array!(5, j => columns[j][i]));
                array!(4, j => if j < corner[1] {
                    let at = (i * width + j) * channels + channel;
                    let value = row[j].add(bias);
                    let value = match residual {
                        Some(residual) => value.add(V::load(residual, at)),
                        None => value,
                    };
                    value.store(y, at);
                });
            });
        }
    }

    /// `A ȳ Aᵀ` of the `corner` of one tile: to where `to` says, panels of channels so far apart.
    pub(super) fn transform_gradient[V: Lanes, R: Side, C: Side](
        y: &[f32],
        width: usize,
        corner: [usize; 2],
        channels: usize,
        n: &mut [f32],
        to: &[(usize, usize); FREQUENCIES],
    ) {
        for channel in (0..channels).step_by(V::LEN) {
            let columns = array!(4, j => spread::<V, R>(array!(4, i => if i < corner[0] && j < corner[1] {
                V::load(y, (i * width + j) * channels + channel)
            } else {
                V::splat(0.0)
            })));
            let (panel, lane) = (channel / PANEL, channel % PANEL);
            array!(5, i => if has::<R>(i) {
                let row = spread::<V, C>(array!(4, j => columns[j][i]));
                array!(5, j => if has::<C>(j) {
                    let (first, panels) = to[5 * i + j];
                    row[j].store(n, first + panel * panels + lane);
                });
            });
        }
    }

    /// `G g Gᵀ` of the taps of one phase of neighbours in a panel.
    pub(super) fn transform_weight[V: Lanes](taps: &[[f32; PANEL]; 4], packed: &mut [f32], to: &[usize; FREQUENCIES]) {
        let columns = array!(2, j => widen(array!(2, i => V::load(&taps[2 * i + j], 0))));
        array!(5, i => {
            let row = widen(array!(2, j => columns[j][i]));
            array!(5, j => if to[5 * i + j] != OUTSIDE {
                row[j].store(packed, to[5 * i + j]);
            });
        });
    }

    /// `Gᵀ s G` of one phase of neighbours in a spectrum.
    pub(super) fn transform_spectrum[V: Lanes](
        spectrum: &[f32],
        from: &[usize; FREQUENCIES],
        taps: &mut [[f32; PANEL]; 4],
    ) {
        let columns = array!(5, j => narrow(array!(5, i => match from[5 * i + j] {
            OUTSIDE => V::splat(0.0),
            at => V::load(spectrum, at),
        })));
        array!(2, i => {
            let row = narrow(array!(5, j => columns[j][i]));
            array!(2, j => row[j].store(&mut taps[2 * i + j], 0));
        });
    }
}
