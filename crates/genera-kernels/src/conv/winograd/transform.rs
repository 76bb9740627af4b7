//! The transforms of tiles and kernels: one-dimensional transforms along columns, then along rows, eight or sixteen
//! channels at a time. Tiles of three outputs have those of four without the last output, pixel and point: what is only
//! for these is left out where the compiler sees it.

use super::tiling::Kind;
use super::{FREQUENCIES, OUTSIDE};
use crate::simd::gemm::PANEL;
use crate::simd::lanes::Lanes;
use crate::simd::vectorised;

/// An array from an expression of its index, written out: a closure would not be compiled for the vector unit, and an
/// array that is filled in a loop goes through memory twice.
macro_rules! array {
    (3, $i:ident => $value:expr) => {
        [
            {
                let $i = 0;
                $value
            },
            {
                let $i = 1;
                $value
            },
            {
                let $i = 2;
                $value
            },
        ]
    };
    (4, $i:ident => $value:expr) => {
        [
            {
                let $i = 0;
                $value
            },
            {
                let $i = 1;
                $value
            },
            {
                let $i = 2;
                $value
            },
            {
                let $i = 3;
                $value
            },
        ]
    };
    (6, $i:ident => $value:expr) => {
        [
            {
                let $i = 0;
                $value
            },
            {
                let $i = 1;
                $value
            },
            {
                let $i = 2;
                $value
            },
            {
                let $i = 3;
                $value
            },
            {
                let $i = 4;
                $value
            },
            {
                let $i = 5;
                $value
            },
        ]
    };
}

/// How long tiles are along one axis.
trait Length {
    const OUTPUTS: usize;
    const POINTS: usize = Self::OUTPUTS + 2;
}

struct Four;
struct Three;

impl Length for Four {
    const OUTPUTS: usize = 4;
}

impl Length for Three {
    const OUTPUTS: usize = 3;
}

/// Runs an expression with `$rows` and `$columns` naming the [`Length`]s of tiles of a [`Kind`].
macro_rules! with_lengths {
    ($kind:expr, $rows:ident, $columns:ident => $body:expr) => {
        match $kind {
            [4, 4] => with_lengths!(@ $rows = Four, $columns = Four, $body),
            [4, _] => with_lengths!(@ $rows = Four, $columns = Three, $body),
            [_, 4] => with_lengths!(@ $rows = Three, $columns = Four, $body),
            [_, _] => with_lengths!(@ $rows = Three, $columns = Three, $body),
        }
    };
    (@ $rows:ident = $tall:ident, $columns:ident = $wide:ident, $body:expr) => {{
        type $rows = $tall;
        type $columns = $wide;
        $body
    }};
}

/// `Bᵀ = [4 0 -5 0 1 0; 0 -4 -4 1 1 0; 0 4 -4 -1 1 0; 0 -2 -1 2 1 0; 0 2 -1 -2 1 0; 0 4 0 -5 0 1]`.
#[inline(always)]
fn before<V: Lanes>([d0, d1, d2, d3, d4, d5]: [V; 6]) -> [V; 6] {
    let (four, minus_four, minus_five) = (V::splat(4.0), V::splat(-4.0), V::splat(-5.0));
    let (a, b) = (minus_four.fma(d2, d4), minus_four.fma(d1, d3));
    let (c, d) = (d4.sub(d2), d3.sub(d1));
    [
        four.fma(d0, minus_five.fma(d2, d4)),
        a.add(b),
        a.sub(b),
        V::splat(2.0).fma(d, c),
        V::splat(-2.0).fma(d, c),
        four.fma(d1, minus_five.fma(d3, d5)),
    ]
}

/// `Aᵀ = [1 1 1 1 1 0; 0 1 -1 2 -2 0; 0 1 1 4 4 0; 0 1 -1 8 -8 1]`.
#[inline(always)]
fn after<V: Lanes>([m0, m1, m2, m3, m4, m5]: [V; 6]) -> [V; 4] {
    let (a, b, c, d) = (m1.add(m2), m1.sub(m2), m3.add(m4), m3.sub(m4));
    [m0.add(a).add(c), V::splat(2.0).fma(d, b), V::splat(4.0).fma(c, a), V::splat(8.0).fma(d, b).add(m5)]
}

/// `A`.
#[inline(always)]
fn spread<V: Lanes>([y0, y1, y2, y3]: [V; 4]) -> [V; 6] {
    let (a, b) = (y0.add(y2), y1.add(y3));
    let c = V::splat(4.0).fma(y2, y0);
    let d = V::splat(8.0).fma(y3, V::splat(2.0).mul(y1));
    [y0, a.add(b), a.sub(b), c.add(d), c.sub(d), y3]
}

/// `G = [1/4 0 0; -1/6 -1/6 -1/6; -1/6 1/6 -1/6; 1/24 1/12 1/6; 1/24 -1/12 1/6; 0 0 1]`.
#[inline(always)]
fn widen<V: Lanes>([g0, g1, g2]: [V; 3]) -> [V; 6] {
    let a = V::splat(-1.0 / 6.0).mul(g0.add(g2));
    let b = V::splat(-1.0 / 6.0).mul(g1);
    let c = V::splat(1.0 / 24.0).fma(g0, V::splat(1.0 / 6.0).mul(g2));
    let d = V::splat(1.0 / 12.0).mul(g1);
    [V::splat(0.25).mul(g0), a.add(b), a.sub(b), c.add(d), c.sub(d), g2]
}

/// `Gᵀ`.
#[inline(always)]
fn narrow<V: Lanes>([u0, u1, u2, u3, u4, u5]: [V; 6]) -> [V; 3] {
    let (a, b, c, d) = (u1.add(u2), u2.sub(u1), u3.add(u4), u3.sub(u4));
    let sixth = V::splat(1.0 / 6.0);
    let first = V::splat(1.0 / 24.0).fma(c, V::splat(0.25).mul(u0));
    [V::splat(-1.0 / 6.0).fma(a, first), sixth.fma(b, V::splat(1.0 / 12.0).mul(d)), sixth.fma(c.sub(a), u5)]
}

vectorised! {
    /// `Bᵀ d B` of one tile, whose neighbourhood lies at `places` of `x`, into the frequencies from `begin` on.
    pub(super) fn transform_image[V: Lanes](
        kind: Kind,
        x: &[f32],
        places: &[usize; FREQUENCIES],
        channels: usize,
        v: &mut [&mut [f32]; FREQUENCIES],
        begin: usize,
    ) {
        let zero = V::splat(0.0);
        with_lengths!(kind, Rows, Columns => for channel in (0..channels).step_by(V::LEN) {
            let columns = array!(6, j => if j < Columns::POINTS {
                before(array!(6, i => match places[i * 6 + j] {
                    place if place != OUTSIDE && i < Rows::POINTS => V::load(x, place + channel),
                    _ => zero,
                }))
            } else {
                [zero; 6]
            });
            array!(6, i => if i < Rows::POINTS {
                let row = before(array!(6, j => columns[j][i]));
                array!(6, j => if j < Columns::POINTS {
                    row[j].store(v[i * 6 + j], begin + channel);
                });
            });
        });
    }

    /// `Aᵀ m A` of one tile of the products, frequencies `apart`, plus bias and residual, into the `corner` that exists.
    pub(super) fn transform_result[V: Lanes](
        kind: Kind,
        m: &[f32],
        apart: usize,
        bias: &[f32],
        residual: Option<&[f32]>,
        y: &mut [f32],
        width: usize,
        corner: [usize; 2],
    ) {
        let (channels, zero) = (bias.len(), V::splat(0.0));
        with_lengths!(kind, Rows, Columns => for channel in (0..channels).step_by(V::LEN) {
            let columns = array!(6, j => if j < Columns::POINTS {
                after(array!(6, i => if i < Rows::POINTS {
                    V::load(m, (i * 6 + j) * apart + channel)
                } else {
                    zero
                }))
            } else {
                [zero; 4]
            });
            let bias = V::load(bias, channel);
            array!(4, i => if i < Rows::OUTPUTS && i < corner[0] {
                let row = after(array!(6, j => columns[j][i]));
                array!(4, j => if j < Columns::OUTPUTS && j < corner[1] {
                    let at = (i * width + j) * channels + channel;
                    let value = row[j].add(bias);
                    let value = match residual {
                        Some(residual) => value.add(V::load(residual, at)),
                        None => value,
                    };
                    value.store(y, at);
                });
            });
        });
    }

    /// `A ȳ Aᵀ` of the `corner` of one tile, packed for the matrix product: `n` are frequencies, each as panels, in which
    /// it is placed by whether the row and the column are the last.
    pub(super) fn transform_gradient[V: Lanes](
        kind: Kind,
        y: &[f32],
        width: usize,
        corner: [usize; 2],
        n: &mut [&mut [f32]],
        begins: [[usize; 2]; 2],
        channels: usize,
    ) {
        let (panels, zero) = (channels.div_ceil(PANEL), V::splat(0.0));
        with_lengths!(kind, Rows, Columns => for channel in (0..channels).step_by(V::LEN) {
            let columns = array!(4, j => spread(array!(4, i => {
                if i < Rows::OUTPUTS && j < Columns::OUTPUTS && i < corner[0] && j < corner[1] {
                    V::load(y, (i * width + j) * channels + channel)
                } else {
                    zero
                }
            })));
            let (panel, lane) = (channel / PANEL, channel % PANEL);
            array!(6, i => if i < Rows::POINTS {
                let row = spread(array!(4, j => columns[j][i]));
                array!(6, j => if j < Columns::POINTS {
                    row[j].store(n[(i * 6 + j) * panels + panel], begins[i / 5][j / 5] + lane);
                });
            });
        });
    }

    /// `G g Gᵀ` of 16 outputs and one input into frequencies `apart`.
    pub(super) fn transform_weight[V: Lanes](taps: &[[f32; PANEL]; 9], packed: &mut [f32], apart: usize) {
        for lane in (0..PANEL).step_by(V::LEN) {
            let columns = array!(3, j => widen(array!(3, i => V::load(&taps[3 * i + j], lane))));
            array!(6, i => {
                let row = widen(array!(3, j => columns[j][i]));
                array!(6, j => row[j].store(packed, (i * 6 + j) * apart + lane))
            });
        }
    }

    /// `Gᵀ s G` of neighbours in a spectrum, whose frequencies are `place.1` apart.
    pub(super) fn transform_spectrum[V: Lanes](spectrum: &[f32], place: (usize, usize), taps: &mut [[f32; PANEL]; 9]) {
        let columns = array!(6, j => narrow(array!(6, i => V::load(spectrum, place.0 + (i * 6 + j) * place.1))));
        array!(3, i => {
            let row = narrow(array!(6, j => columns[j][i]));
            array!(3, j => row[j].store(&mut taps[i * 3 + j], 0))
        });
    }
}
