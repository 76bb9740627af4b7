//! Brownian paths that can be asked anywhere: a row's path is the same on every grid and in every batch.
//!
//! ```text
//! w(0) = 0, w(T) = √T ε;   the middle of [a, b]: ½ (w(a) + w(b)) + ½ √(b − a) ε
//! ```
//!
//! Lévy's construction, read off as a binary tree whose node `k` has the noise of stream `(row's key, k)` and nothing in
//! memory: Li et al. (arXiv:2001.01328). Times are rounded to `2⁻²²` of the span.

use burn::tensor::{Device, Tensor, TensorData};
use genera_rng::Rng;

use crate::traits::Rows;

/// Halvings of the span.
const DEPTH: u32 = 22;

/// One path of `width` independent coordinates for each row, over a span of time.
#[derive(Clone, Debug)]
pub struct Brownian {
    rows: Vec<Rng>,
    width: usize,
    span: [f64; 2],
    /// The place last asked for: grids ask for each of theirs twice.
    last: Option<(u64, Vec<f64>)>,
}

impl Brownian {
    /// Paths over `span`, whose ends may be in any order: one draw of `rng`, row `i` from its row `i`.
    pub fn new([rows, width]: [usize; 2], span: [f64; 2], rng: &mut Rng) -> Self {
        let rows = rng.streams(rows).map(|mut stream| Rng::new(stream.next_u64())).collect();
        Self { rows, width, span, last: None }
    }

    /// `w(to) − w(from)`: `[rows, width]`.
    pub fn increment(&mut self, from: f64, to: f64, device: &Device) -> Rows {
        let (start, end) = (self.cell(from), self.cell(to));
        let before = match self.last.take() {
            Some((cell, values)) if cell == start => values,
            _ => self.at(start),
        };
        let after = self.at(end);
        let values: Vec<f32> = after.iter().zip(&before).map(|(a, b)| (a - b) as f32).collect();
        self.last = Some((end, after));
        Tensor::from_data(TensorData::new(values, [self.rows.len(), self.width]), device)
    }

    /// The same divided by the root of the stretch of time: standard normal.
    pub fn standard_increment(&mut self, from: f64, to: f64, device: &Device) -> Rows {
        self.increment(from, to, device) * (to - from).abs().sqrt().recip()
    }

    fn cell(&self, t: f64) -> u64 {
        let [from, to] = self.span;
        let most = (1_u64 << DEPTH) as f64;
        (((t - from) / (to - from)).clamp(0.0, 1.0) * most).round() as u64
    }

    /// `w` at a cell, row-major.
    fn at(&self, cell: u64) -> Vec<f64> {
        let span = (self.span[1] - self.span[0]).abs();
        let (mut low, mut high) = (0, 1_u64 << DEPTH);
        let mut below = vec![0.0; self.rows.len() * self.width];
        if cell == low {
            return below;
        }
        let mut above = self.normal(high, span.sqrt());
        while cell != high {
            let middle = (low + high) / 2;
            let wide = span * (high - low) as f64 / (1_u64 << DEPTH) as f64;
            let mut between = self.normal(middle, 0.5 * wide.sqrt());
            between.iter_mut().zip(below.iter().zip(&above)).for_each(|(w, (a, b))| *w += 0.5 * (a + b));
            if cell >= middle {
                (low, below) = (middle, between);
                if cell == low {
                    return below;
                }
            } else {
                (high, above) = (middle, between);
            }
        }
        above
    }

    /// The noise of a node, scaled.
    fn normal(&self, node: u64, scale: f64) -> Vec<f64> {
        let of_row = |row: &Rng| row.at(node).normal(1, self.width);
        self.rows.iter().flat_map(of_row).map(|z| scale * f64::from(z)).collect()
    }
}
