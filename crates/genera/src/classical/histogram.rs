//! Histograms: a constant density in each of a grid of boxes.
//!
//! The maximum-likelihood estimate among such densities. Its mean squared error is at most `d L² h² + C/(n hᵈ)` for a
//! density with Lipschitz constant `L`: best for boxes of side `n^{−1/(d+2)}`.

use burn::tensor::{Device, Tensor};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::{ClassicalError, checked, host, rows, vector, within};
use crate::traits::{Density, Rows, Sample, View};

/// The most boxes.
const MOST: usize = 1 << 24;

/// A grid of boxes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistogramConfig {
    /// Boxes along each axis.
    pub bins: usize,
    /// Counted into every box before the data are: 0 is maximum likelihood, 1 is Laplace's rule, under which no box of
    /// the grid is impossible.
    #[serde(default)]
    pub pseudocount: f64,
    /// How much wider than the data the grid is on each side, as a share of their range: 0 ends it at the outermost rows.
    #[serde(default)]
    pub margin: f64,
}

/// A density that is constant in boxes.
#[derive(Clone, Debug)]
pub struct Histogram {
    bins: usize,
    /// Lower end of the grid and side of a box along each axis.
    axes: Vec<(f64, f64)>,
    /// The probability of each box, the last axis fastest.
    probabilities: Vec<f64>,
    /// Their running sums.
    cumulative: Vec<f64>,
    device: Device,
}

impl HistogramConfig {
    /// The estimate from rows `x`, `[n, F]`, over the range of each column.
    ///
    /// # Errors
    /// Fewer than two rows, a value that is not finite, a column without spread, no bins, more than 2²⁴ boxes, or a
    /// negative pseudocount.
    pub fn fit(&self, x: Rows) -> Result<Histogram, ClassicalError> {
        let (features, device) = (x.dims()[1], x.device());
        let data = host(x);
        checked(&data, features, 2)?;
        within(self.margin >= 0.0 && self.margin.is_finite(), "margin", self.margin, "at least 0")?;
        let column = |j: usize| data.iter().skip(j).step_by(features).copied();
        let axes = (0..features)
            .map(|j| {
                let (low, high) =
                    (column(j).fold(f64::INFINITY, f64::min), column(j).fold(f64::NEG_INFINITY, f64::max));
                if low == high {
                    return Err(ClassicalError::Constant { column: j, value: low });
                }
                let margin = self.margin * (high - low);
                Ok((low - margin, (high - low + 2.0 * margin) / self.bins.max(1) as f64))
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.fit_on(axes, &data, device)
    }

    fn fit_on(&self, axes: Vec<(f64, f64)>, data: &[f64], device: Device) -> Result<Histogram, ClassicalError> {
        let (features, bins) = (axes.len(), self.bins);
        within(bins > 0, "bins", bins as f64, "at least 1")?;
        within(self.pseudocount >= 0.0 && self.pseudocount.is_finite(), "pseudocount", self.pseudocount, "at least 0")?;
        let boxes = u32::try_from(features).ok().and_then(|features| bins.checked_pow(features));
        let boxes = boxes.filter(|boxes| *boxes <= MOST).ok_or(ClassicalError::Range {
            name: "bins",
            value: bins as f64,
            needed: "so few that there are at most 2^24 boxes",
        })?;
        let mut histogram =
            Histogram { bins, axes, probabilities: vec![self.pseudocount; boxes], cumulative: Vec::new(), device };
        for row in data.chunks_exact(features) {
            if let Some(place) = histogram.place(row) {
                histogram.probabilities[place] += 1.0;
            }
        }
        let total: f64 = histogram.probabilities.iter().sum();
        histogram.probabilities.iter_mut().for_each(|count| *count /= total);
        let mut sum = 0.0;
        histogram.cumulative = (histogram.probabilities.iter())
            .map(|p| {
                sum += p;
                sum
            })
            .collect();
        Ok(histogram)
    }
}

impl Histogram {
    /// The probability of each box, the last axis fastest.
    pub fn probabilities(&self) -> &[f64] {
        &self.probabilities
    }

    /// What the estimate can do.
    pub fn view(&self) -> View<'_> {
        View { sample: Some(self), density: Some(self), ..View::default() }
    }

    /// The box that holds `row`; none outside of the grid. Upper edges belong to the last boxes.
    fn place(&self, row: &[f64]) -> Option<usize> {
        row.iter().zip(&self.axes).try_fold(0, |place, (x, (low, side))| {
            let at = (x - low) / side;
            let inside = (0.0..=self.bins as f64 + 1e-9).contains(&at);
            inside.then(|| place * self.bins + (at as usize).min(self.bins - 1))
        })
    }

    /// `ln p(x)` of each row, `[m, F]`; −∞ outside of the grid and in empty boxes.
    pub fn log_densities(&self, x: &[f64]) -> Vec<f64> {
        let log_volume: f64 = self.axes.iter().map(|(_, side)| side.ln()).sum();
        let of_row =
            |row| self.place(row).map_or(f64::NEG_INFINITY, |place| self.probabilities[place].ln() - log_volume);
        x.chunks_exact(self.axes.len()).map(of_row).collect()
    }
}

impl Density for Histogram {
    fn log_prob(&self, x: Rows) -> Tensor<1> {
        let device = x.device();
        vector(self.log_densities(&host(x)), &device)
    }
}

impl Sample for Histogram {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        let features = self.axes.len();
        let mut out = Vec::with_capacity(n * features);
        for mut stream in rng.streams(n) {
            let level = stream.uniform() * self.cumulative.last().copied().unwrap_or(1.0);
            // An empty box adds nothing to the running sum and is never the first above the level.
            let mut place = self.cumulative.partition_point(|sum| *sum <= level).min(self.cumulative.len() - 1);
            let first = out.len();
            out.resize(first + features, 0.0);
            for (x, (low, side)) in out[first..].iter_mut().zip(&self.axes).rev() {
                *x = low + side * ((place % self.bins) as f64 + stream.uniform());
                place /= self.bins;
            }
        }
        rows(out, features, &self.device)
    }
}
