//! How far an estimate is from the truth, and how far it must be.
//!
//! ```text
//! ISE    ∫ (p̂(x) − p(x))² dx                           of one estimate; its mean over data sets is the IMSE
//! MSE    ≤ d L² h² + C / (n h^d)                       of a histogram of boxes of side h at a point, p L-Lipschitz, p ≤ C
//! h*     (C / (2 L² n))^{1/(d+2)}                      where the bound is least: an error of order n^{−2/(d+2)}
//! ```
//!
//! Silverman, "Density estimation for statistics and data analysis" (1986).

/// The integrated squared error of log-densities on an even grid whose cells have the volume `cell`: the truth and the
/// estimate, one number a cell, −∞ where a density is zero.
pub fn integrated_squared_error(truth: &[f64], estimate: &[f64], cell: f64) -> f64 {
    truth.iter().zip(estimate).map(|(p, q)| (p.exp() - q.exp()).powi(2)).sum::<f64>() * cell
}

/// What bounds the error of a histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HistogramError {
    /// `d`, the number of columns.
    pub columns: u32,
    /// `n`, the number of rows.
    pub rows: f64,
    /// `L`, the largest slope of the density.
    pub slope: f64,
    /// `C`, the largest value of the density.
    pub most: f64,
}

impl HistogramError {
    /// The bound on the mean squared error at a point, of boxes of side `h`.
    pub fn bound(self, h: f64) -> f64 {
        f64::from(self.columns) * (self.slope * h).powi(2) + self.most / (self.rows * h.powf(f64::from(self.columns)))
    }

    /// The side at which the bound is least.
    pub fn best_side(self) -> f64 {
        (self.most / (2.0 * self.slope.powi(2) * self.rows)).powf(1.0 / (f64::from(self.columns) + 2.0))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};
    use genera_rng::Rng;

    use super::super::{Bandwidth, HistogramConfig, KdeConfig, Kernel};
    use super::*;

    /// `½ N(0.2, 0.05²) + ½ N(0.6, 0.15²)`.
    fn truth(x: f64) -> f64 {
        let normal = |mean: f64, s: f64| (-0.5 * ((x - mean) / s).powi(2)).exp() / (s * std::f64::consts::TAU.sqrt());
        (0.5 * normal(0.2, 0.05) + 0.5 * normal(0.6, 0.15)).ln()
    }

    fn rows(n: usize) -> Tensor<2> {
        let mut rng = Rng::new(42);
        let (which, noise) = (rng.uniform(n, 1), rng.normal(n, 1));
        let of = |(which, noise): (f32, f32)| if which < 0.5 { 0.2 + 0.05 * noise } else { 0.6 + 0.15 * noise };
        let values: Vec<f32> = which.into_iter().zip(noise).map(of).collect();
        Tensor::from_data(TensorData::new(values, [n, 1]), &Device::flex())
    }

    /// Too narrow an estimate follows the noise, too wide a one sees nothing: the best lies between, for every kernel, and
    /// Silverman's rule comes near it.
    #[test]
    fn the_error_of_a_kernel_estimate_has_a_least_in_the_middle() {
        let grid: Vec<f64> = (0..500).map(|i| -0.3 + 1.8 * f64::from(i) / 500.0).collect();
        let exact: Vec<f64> = grid.iter().map(|x| truth(*x)).collect();
        let error = |kernel, bandwidth| {
            let kde = KdeConfig { kernel, bandwidth }.fit(rows(1000)).unwrap();
            integrated_squared_error(&exact, &kde.log_densities(&grid), 1.8 / 500.0)
        };
        for kernel in Kernel::ALL {
            let widths = [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32];
            let errors: Vec<f64> = widths.iter().map(|h| error(kernel, Bandwidth::Fixed(*h))).collect();
            let best = errors.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
            assert!(best > 0 && best < widths.len() - 1, "{kernel:?}: {errors:?}");
            assert!(errors[0] > 2.0 * errors[best] && errors[6] > 2.0 * errors[best], "{kernel:?}: {errors:?}");
            for rule in [Bandwidth::Scott, Bandwidth::Silverman, Bandwidth::CvLs] {
                assert!(error(kernel, rule) < errors[6].max(errors[0]), "{kernel:?} {rule:?}");
            }
            assert!(error(kernel, Bandwidth::CvLs) < 1.5 * errors[best], "{kernel:?}: {errors:?}");
        }
    }

    #[test]
    fn the_best_side_is_where_the_bound_is_flat_and_its_order_is_that_of_the_theorem() {
        for columns in [1, 2, 5] {
            let of = |rows| HistogramError { columns, rows, slope: 3.0, most: 2.0 };
            let (error, h) = (of(1e4), of(1e4).best_side());
            assert!(error.bound(h) < error.bound(1.01 * h) && error.bound(h) < error.bound(0.99 * h), "{columns}");
            let ratio = of(1e4).bound(of(1e4).best_side()) / of(1e6).bound(of(1e6).best_side());
            assert!((ratio - 100.0_f64.powf(2.0 / (f64::from(columns) + 2.0))).abs() < 1e-9 * ratio, "{columns}");
        }
        // A histogram obeys it: the slope of this density is at most 47, its height at most 4.4.
        let (n, bins, grid) = (1000, 30, (0..500).map(|i| 0.05 + 0.9 * f64::from(i) / 500.0).collect::<Vec<_>>());
        let histogram = HistogramConfig { bins, pseudocount: 0.0, margin: 0.0 }.fit(rows(n)).unwrap();
        let found = histogram.log_densities(&grid);
        let exact: Vec<f64> = grid.iter().map(|x| truth(*x)).collect();
        let mean = integrated_squared_error(&exact, &found, 1.0 / 500.0);
        let bound = HistogramError { columns: 1, rows: n as f64, slope: 47.0, most: 4.4 };
        assert!(mean < bound.bound(1.2 / bins as f64), "{mean} {}", bound.bound(1.2 / bins as f64));
    }
}
