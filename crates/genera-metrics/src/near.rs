//! Which pairs are near and which are far, quickly and surely: distances in single precision with a bound on their
//! error, and exact ones for the pairs that the bound leaves open.
//!
//! ```text
//! e = ‖x‖² + ‖y‖² − 2 x·y  of centred rows in single precision, u = 2⁻²⁴:
//! |e − ‖x − y‖²| ≤ (1.1 d + 16) u (‖x‖² + ‖y‖²)
//! ```
//!
//! The bound is the classical one of rounding: d u ‖x‖‖y‖ for a product of d terms and 4u for rounding the rows, plus
//! what is lost where numbers are subnormal. Decisions made on it never depend on the fast form.

use std::ops::Range;

use faer::MatRef;
use rayon::prelude::*;

use crate::Points;
use crate::pairs::{pieces, product, squared_distance};

/// Rows of the left side of a block, and of its right side: half a megabyte of estimates, which a core's cache holds.
/// Blocks have fixed sizes, so results do not depend on the number of threads.
pub(crate) const LEFT: usize = 256;
pub(crate) const RIGHT: usize = 512;
/// Up to this many columns, exact distances are faster than estimates.
const DIRECT: usize = 16;

/// A set whose pairs with another (or itself) are looked at.
pub(crate) struct Sketch<'a> {
    points: Points<'a>,
    /// Centred rows over `scale`, `[n, d]`; none in low dimension.
    single: Vec<f32>,
    norms: Vec<f64>,
    scale: f64,
}

/// What is known of a pair.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Estimate {
    /// About ‖x − y‖²,
    squared: f64,
    /// within this.
    slack: f64,
}

impl Estimate {
    /// Whether ‖x − y‖² ≤ `limit`, asking for the exact value where the estimate does not tell.
    pub(crate) fn within(self, limit: f64, exact: impl FnOnce() -> f64) -> bool {
        self.squared + self.slack <= limit || self.possibly_within(limit) && exact() <= limit
    }

    /// Whether ‖x − y‖² ≤ `limit` cannot be excluded.
    pub(crate) fn possibly_within(self, limit: f64) -> bool {
        self.squared - self.slack <= limit
    }
}

impl<'a> Sketch<'a> {
    /// Two sets that are compared, centred at the same point.
    pub(crate) fn pair(x: &Points<'a>, y: &Points<'a>) -> [Self; 2] {
        let d = x.d();
        if d <= DIRECT {
            return [x, y].map(|points| Self { points: *points, single: Vec::new(), norms: Vec::new(), scale: 1.0 });
        }
        // Any centre will do: the mean of some rows.
        let (some, n) = (x.rows(0..x.n().min(RIGHT)), x.n().min(RIGHT) as f64);
        let mut centre = vec![0.0; d];
        some.chunks_exact(d).for_each(|row| centre.iter_mut().zip(row).for_each(|(c, v)| *c += v / n));
        let reach = |points: &Points<'_>| {
            let far = |range| {
                let rows = points.rows(range);
                rows.iter().zip(centre.iter().cycle()).map(|(v, c)| (v - c).abs()).fold(0.0, f64::max)
            };
            pieces(points.n(), RIGHT).collect::<Vec<_>>().into_par_iter().map(far).reduce(|| 0.0, f64::max)
        };
        // A power of two divides exactly; squares of what is left neither overflow nor vanish.
        let scale = reach(x).max(reach(y)).max(f64::MIN_POSITIVE).log2().ceil().exp2();
        [x, y].map(|points| {
            let mut single = vec![0.0_f32; points.n() * d];
            single.par_chunks_mut(RIGHT * d).enumerate().for_each(|(piece, out)| {
                let rows = points.rows(piece * RIGHT..piece * RIGHT + out.len() / d);
                let centred = rows.iter().zip(centre.iter().cycle()).map(|(v, c)| ((v - c) / scale) as f32);
                out.iter_mut().zip(centred).for_each(|(out, value)| *out = value);
            });
            let norm = |row: &[f32]| row.iter().map(|v| f64::from(*v).powi(2)).sum();
            let norms = single.par_chunks(d).map(norm).collect();
            Self { points: *points, single, norms, scale }
        })
    }

    /// One set.
    pub(crate) fn of(x: &Points<'a>) -> Self {
        let [x, _] = Self::pair(x, x);
        x
    }

    pub(crate) fn n(&self) -> usize {
        self.points.n()
    }

    fn matrix(&self, rows: &Range<usize>) -> MatRef<'_, f32> {
        let d = self.points.d();
        MatRef::from_row_major_slice(&self.single[rows.start * d..rows.end * d], rows.len(), d)
    }

    /// ‖x_i − y_j‖², summed directly.
    pub(crate) fn exact(&self, i: usize, other: &Self, j: usize) -> f64 {
        squared_distance(&self.points.rows(i..i + 1), &other.points.rows(j..j + 1))
    }

    /// Visits every pair of `rows` of this set and `columns` of `other`, row by row.
    pub(crate) fn visit(
        &self,
        rows: Range<usize>,
        other: &Self,
        columns: Range<usize>,
        buffer: &mut Vec<f32>,
        mut visit: impl FnMut(usize, usize, Estimate),
    ) {
        let d = self.points.d();
        if d <= DIRECT {
            let (x, y) = (self.points.rows(rows.clone()), other.points.rows(columns.clone()));
            for (i, x) in rows.zip(x.chunks_exact(d)) {
                for (j, y) in columns.clone().zip(y.chunks_exact(d)) {
                    visit(i, j, Estimate { squared: squared_distance(x, y), slack: 0.0 });
                }
            }
            return;
        }
        buffer.resize(rows.len() * columns.len(), 0.0);
        product(self.matrix(&rows), other.matrix(&columns).transpose(), buffer);
        let relative = (1.1 * d as f64 + 16.0) * 2_f64.powi(-24);
        let (unit, lost) = (self.scale * self.scale, d as f64 * 1e-40);
        let width = columns.len();
        for (i, products) in rows.zip(buffer.chunks_exact(width)) {
            let x2 = self.norms[i];
            for ((j, xy), y2) in columns.clone().zip(products).zip(&other.norms[columns.clone()]) {
                let squared = unit * (x2 + y2 - 2.0 * f64::from(*xy));
                visit(i, j, Estimate { squared, slack: unit * (relative * (x2 + y2) + lost) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use genera_rng::Rng;

    #[test]
    fn estimates_keep_their_bound() {
        for (d, size, offset) in
            [(1, 1.0, 0.0), (16, 1.0, 1e3), (17, 1.0, 100.0), (64, 1e-30, 0.0), (500, 1e30, 0.0), (2000, 3.0, 1e6)]
        {
            let values: Vec<f64> =
                Rng::new(d as u64).normal(40, d).iter().map(|v| size * (f64::from(*v) + offset)).collect();
            let points = Points::new(&values, 40, d).unwrap();
            let (x, mut seen) = (Sketch::of(&points), 0);
            x.visit(0..15, &x, 10..40, &mut Vec::new(), |i, j, estimate| {
                let exact = x.exact(i, &x, j);
                assert!((estimate.squared - exact).abs() <= estimate.slack, "{d}: {estimate:?} for {exact}");
                assert!(d > DIRECT || estimate.slack == 0.0);
                // The bound is of use: it is far below the distances themselves.
                assert!(i == j || estimate.slack < 0.01 * exact, "{d}: {estimate:?} for {exact}");
                assert!(estimate.within(exact, || exact) && !estimate.within(exact * 0.9 - 1e-300, || exact));
                assert_eq!(i == j, exact == 0.0);
                seen += 1;
            });
            assert_eq!(seen, 15 * 30);
        }
    }
}
