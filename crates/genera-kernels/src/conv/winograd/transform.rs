//! The transforms of tiles and kernels: one-dimensional transforms along columns, then along rows, eight channels at a
//! time.

use super::{FREQUENCIES, OUTSIDE};
use crate::simd::gemm::PANEL;
use crate::simd::lanes::{LANES, Lanes, add, fma, load, mul, splat, store, sub};
use crate::simd::vectorised;

/// The eight numbers of `values` from `at` on.
#[inline(always)]
fn eight(values: &[f32], at: usize) -> &[f32; LANES] {
    values[at..].first_chunk().expect("channels come in multiples of eight")
}

#[inline(always)]
fn eight_mut(values: &mut [f32], at: usize) -> &mut [f32; LANES] {
    values[at..].first_chunk_mut().expect("channels come in multiples of eight")
}

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

/// The one-dimensional transforms, each a product with the matrix in its comment.
macro_rules! transforms {
    ($($(#[$meta:meta])* fn $name:ident($argument:pat, $from:literal -> $to:literal) $body:block)*) => {$(
        $(#[$meta])*
        #[inline]
        #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma"))]
        fn $name($argument: [Lanes; $from]) -> [Lanes; $to] $body
    )*};
}

transforms! {
    /// `Bᵀ = [4 0 -5 0 1 0; 0 -4 -4 1 1 0; 0 4 -4 -1 1 0; 0 -2 -1 2 1 0; 0 2 -1 -2 1 0; 0 4 0 -5 0 1]`.
    fn before([d0, d1, d2, d3, d4, d5], 6 -> 6) {
        let (four, minus_four, minus_five) = (splat(4.0), splat(-4.0), splat(-5.0));
        let (a, b) = (fma(minus_four, d2, d4), fma(minus_four, d1, d3));
        let (c, d) = (sub(d4, d2), sub(d3, d1));
        [
            fma(four, d0, fma(minus_five, d2, d4)),
            add(a, b),
            sub(a, b),
            fma(splat(2.0), d, c),
            fma(splat(-2.0), d, c),
            fma(four, d1, fma(minus_five, d3, d5)),
        ]
    }

    /// `Aᵀ = [1 1 1 1 1 0; 0 1 -1 2 -2 0; 0 1 1 4 4 0; 0 1 -1 8 -8 1]`.
    fn after([m0, m1, m2, m3, m4, m5], 6 -> 4) {
        let (a, b, c, d) = (add(m1, m2), sub(m1, m2), add(m3, m4), sub(m3, m4));
        [
            add(add(m0, a), c),
            fma(splat(2.0), d, b),
            fma(splat(4.0), c, a),
            add(fma(splat(8.0), d, b), m5),
        ]
    }

    /// `A`.
    fn spread([y0, y1, y2, y3], 4 -> 6) {
        let (a, b) = (add(y0, y2), add(y1, y3));
        let c = fma(splat(4.0), y2, y0);
        let d = fma(splat(8.0), y3, mul(splat(2.0), y1));
        [y0, add(a, b), sub(a, b), add(c, d), sub(c, d), y3]
    }

    /// `G = [1/4 0 0; -1/6 -1/6 -1/6; -1/6 1/6 -1/6; 1/24 1/12 1/6; 1/24 -1/12 1/6; 0 0 1]`.
    fn widen([g0, g1, g2], 3 -> 6) {
        let a = mul(splat(-1.0 / 6.0), add(g0, g2));
        let b = mul(splat(-1.0 / 6.0), g1);
        let c = fma(splat(1.0 / 24.0), g0, mul(splat(1.0 / 6.0), g2));
        let d = mul(splat(1.0 / 12.0), g1);
        [mul(splat(0.25), g0), add(a, b), sub(a, b), add(c, d), sub(c, d), g2]
    }

    /// `Gᵀ`.
    fn narrow([u0, u1, u2, u3, u4, u5], 6 -> 3) {
        let (a, b, c, d) = (add(u1, u2), sub(u2, u1), add(u3, u4), sub(u3, u4));
        let sixth = splat(1.0 / 6.0);
        let first = fma(splat(1.0 / 24.0), c, mul(splat(0.25), u0));
        [
            fma(splat(-1.0 / 6.0), a, first),
            fma(sixth, b, mul(splat(1.0 / 12.0), d)),
            fma(sixth, sub(c, a), u5),
        ]
    }
}

vectorised! {
    /// `Bᵀ d B` of one tile, whose neighbourhood lies at `places` of `x`.
    pub(super) fn transform_image(
        x: &[f32],
        places: &[usize; FREQUENCIES],
        channels: usize,
        v: &mut [f32],
        tile: usize,
        count: usize,
    ) {
        for channel in (0..channels).step_by(LANES) {
            let columns = array!(6, j => before(array!(6, i => match places[i * 6 + j] {
                OUTSIDE => splat(0.0),
                place => load(eight(x, place + channel)),
            })));
            array!(6, i => {
                let row = before(array!(6, j => columns[j][i]));
                array!(6, j => store(row[j], eight_mut(v, ((i * 6 + j) * count + tile) * channels + channel)))
            });
        }
    }

    /// `Aᵀ m A` of one tile of the products `[36, count, O]` plus bias and residual, into the `corner` that exists.
    pub(super) fn transform_result(
        m: &[f32],
        tile: usize,
        count: usize,
        bias: &[f32],
        residual: Option<&[f32]>,
        y: &mut [f32],
        width: usize,
        corner: [usize; 2],
    ) {
        let channels = bias.len();
        for channel in (0..channels).step_by(LANES) {
            let columns = array!(6, j => after(array!(6, i => {
                load(eight(m, ((i * 6 + j) * count + tile) * channels + channel))
            })));
            let bias = load(eight(bias, channel));
            array!(4, i => if i < corner[0] {
                let row = after(array!(6, j => columns[j][i]));
                array!(4, j => if j < corner[1] {
                    let at = (i * width + j) * channels + channel;
                    let value = add(row[j], bias);
                    let value = match residual {
                        Some(residual) => add(value, load(eight(residual, at))),
                        None => value,
                    };
                    store(value, eight_mut(y, at));
                });
            });
        }
    }

    /// `A ȳ Aᵀ` of the `corner` of one tile, packed for the matrix product: `[36, O / 16, count, 16]`.
    pub(super) fn transform_gradient(
        y: &[f32],
        width: usize,
        corner: [usize; 2],
        n: &mut [f32],
        tile: usize,
        count: usize,
        channels: usize,
    ) {
        let panels = channels.div_ceil(PANEL);
        for channel in (0..channels).step_by(LANES) {
            let columns = array!(4, j => spread(array!(4, i => if i < corner[0] && j < corner[1] {
                load(eight(y, (i * width + j) * channels + channel))
            } else {
                splat(0.0)
            })));
            let (panel, lane) = (channel / PANEL, channel % PANEL);
            array!(6, i => {
                let row = spread(array!(4, j => columns[j][i]));
                array!(6, j => {
                    store(row[j], eight_mut(n, (((i * 6 + j) * panels + panel) * count + tile) * PANEL + lane));
                })
            });
        }
    }

    /// `G g Gᵀ` of 16 outputs and one input into `[36, I, 16]`.
    pub(super) fn transform_weight(taps: &[[f32; PANEL]; 9], packed: &mut [f32], input: usize, inputs: usize) {
        for lane in [0, LANES] {
            let columns = array!(3, j => widen(array!(3, i => load(eight(&taps[3 * i + j], lane)))));
            array!(6, i => {
                let row = widen(array!(3, j => columns[j][i]));
                array!(6, j => store(row[j], eight_mut(packed, ((i * 6 + j) * inputs + input) * PANEL + lane)))
            });
        }
    }

    /// `Gᵀ s G` of eight neighbours in a spectrum, whose frequencies are `place.1` apart.
    pub(super) fn transform_spectrum(spectrum: &[f32], place: (usize, usize), taps: &mut [[f32; LANES]; 9]) {
        let columns = array!(6, j => narrow(array!(6, i => load(eight(spectrum, place.0 + (i * 6 + j) * place.1)))));
        array!(3, i => {
            let row = narrow(array!(6, j => columns[j][i]));
            array!(3, j => store(row[j], &mut taps[i * 3 + j]))
        });
    }
}
