//! How wide a kernel is.
//!
//! ```text
//! scott       h_j = σ_j n^{−1/(d+4)}                          silverman   h_j = σ_j (n (d+2)/4)^{−1/(d+4)}
//! cv_ls       the minimum of ∫ p_h² − 2/n Σ_i p_{h,−i}(x_i), an unbiased estimate of ∫ (p_h − p)² − ∫ p²
//! ```
//!
//! The rules are those of SciPy's `gaussian_kde` (σ with n − 1), applied column by column. Least-squares
//! cross-validation (Rudemo 1982, Bowman 1984) searches for one factor of Scott's bandwidths.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::kernel::Kernel;
use super::{ClassicalError, checked, within};

/// A rule for bandwidths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bandwidth {
    /// The same for every column.
    Fixed(f64),
    /// Scott's rule.
    #[default]
    Scott,
    /// Silverman's rule.
    Silverman,
    /// Least-squares cross-validation.
    CvLs,
}

impl Bandwidth {
    /// A bandwidth for each column of rows `x`, `[n, d]`.
    ///
    /// # Errors
    /// Fewer than two rows, a value that is not finite, a column without spread (unless the bandwidth is fixed), or a
    /// fixed bandwidth that is not positive.
    pub fn of(self, x: &[f64], d: usize, kernel: Kernel) -> Result<Vec<f64>, ClassicalError> {
        let n = checked(x, d, 2)?;
        if let Self::Fixed(h) = self {
            within(h > 0.0 && h.is_finite(), "bandwidth", h, "positive")?;
            return Ok(vec![h; d]);
        }
        let power = -1.0 / (d as f64 + 4.0);
        let factor = match self {
            Self::Silverman => (n as f64 * (d as f64 + 2.0) / 4.0).powf(power),
            _ => (n as f64).powf(power),
        };
        let h = (0..d)
            .map(|column| match deviation(x, d, column) {
                0.0 => Err(ClassicalError::Constant { column, value: x[column] }),
                deviation => Ok(factor * deviation),
            })
            .collect::<Result<Vec<f64>, _>>()?;
        if self != Self::CvLs {
            return Ok(h);
        }
        let convolution = Convolution::new(kernel);
        let scaled = |factor: f64| h.iter().map(|h| h * factor).collect::<Vec<f64>>();
        // A coarse look from a twentieth to five times Scott's, then golden sections around the best.
        let at = |i: i32| 0.05 * (f64::from(i) / 24.0 * 100.0_f64.ln()).exp();
        let score = |factor: f64| risk(x, d, &scaled(factor), kernel, &convolution);
        let best = (0..=24).map(|i| (score(at(i)), i)).fold((f64::INFINITY, 0), |a, b| if b.0 < a.0 { b } else { a }).1;
        Ok(scaled(golden_section(at((best - 1).max(0)), at((best + 1).min(24)), score)))
    }
}

/// The standard deviation of a column, with n − 1.
fn deviation(x: &[f64], d: usize, column: usize) -> f64 {
    let values = || x.iter().skip(column).step_by(d);
    let n = (x.len() / d) as f64;
    let mean = values().sum::<f64>() / n;
    (values().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt()
}

/// `∫ p_h² − 2/n Σ_i p_{h,−i}(x_i)`.
fn risk(x: &[f64], d: usize, h: &[f64], kernel: Kernel, convolution: &Convolution) -> f64 {
    let n = x.len() / d;
    // Rows are added in order, whatever the number of threads.
    let of_row = |i: usize| {
        let (mut squares, mut others) = (0.0, 0.0);
        for j in 0..i {
            let (mut convolved, mut density) = (1.0, 1.0);
            for (k, h) in h.iter().enumerate() {
                let u = (x[i * d + k] - x[j * d + k]) / h;
                convolved *= convolution.at(u);
                density *= kernel.density(u);
            }
            squares += 2.0 * convolved;
            others += 2.0 * density;
        }
        (squares, others)
    };
    let pairs: Vec<(f64, f64)> = (0..n).into_par_iter().map(of_row).collect();
    let (squares, others) = pairs.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
    let volume: f64 = h.iter().product();
    let (n, own) = (n as f64, n as f64 * convolution.at(0.0).powi(d as i32));
    ((squares + own) / (n * n) - 2.0 * others / (n * (n - 1.0))) / volume
}

/// `K∗K` as a table.
struct Convolution {
    reach: f64,
    values: Vec<f64>,
}

impl Convolution {
    const CELLS: usize = 8192;

    fn new(kernel: Kernel) -> Self {
        let reach = (2.0 * kernel.radius()).min(15.0);
        let values = (0..=Self::CELLS + 1).map(|i| kernel.convolved(reach * i as f64 / Self::CELLS as f64)).collect();
        Self { reach, values }
    }

    fn at(&self, u: f64) -> f64 {
        let place = u.abs() / self.reach * Self::CELLS as f64;
        if place >= Self::CELLS as f64 {
            return 0.0;
        }
        let (cell, part) = (place as usize, place.fract());
        self.values[cell] * (1.0 - part) + self.values[cell + 1] * part
    }
}

/// The minimum of `f` between `low` and `high`, to a ten-thousandth.
fn golden_section(mut low: f64, mut high: f64, f: impl Fn(f64) -> f64) -> f64 {
    let golden = 0.5 * (5.0_f64.sqrt() - 1.0);
    let (mut a, mut b) = (high - golden * (high - low), low + golden * (high - low));
    let (mut of_a, mut of_b) = (f(a), f(b));
    while high - low > 1e-4 * high {
        if of_a < of_b {
            (high, b, of_b) = (b, a, of_a);
            a = high - golden * (high - low);
            of_a = f(a);
        } else {
            (low, a, of_a) = (a, b, of_b);
            b = low + golden * (high - low);
            of_b = f(b);
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use genera_rng::Rng;

    use super::*;

    fn sample(n: usize, seed: u64) -> Vec<f64> {
        Rng::new(seed).normal(n, 1).into_iter().map(f64::from).collect()
    }

    #[test]
    fn the_risk_is_the_integral() {
        let x = sample(40, 1);
        for kernel in Kernel::ALL {
            let h = 0.6;
            let density = |at: f64, without: Option<usize>| {
                let rows = x.iter().enumerate().filter(|(i, _)| Some(*i) != without);
                let rest = x.len() - usize::from(without.is_some());
                rows.map(|(_, x)| kernel.density((at - x) / h) / h).sum::<f64>() / rest as f64
            };
            let step = 1e-3;
            let squares: f64 = (0..12_000).map(|i| density(-6.0 + f64::from(i) * step, None).powi(2) * step).sum();
            let others: f64 = (0..40).map(|i| density(x[i], Some(i))).sum::<f64>() / 40.0;
            let found = risk(&x, 1, &[h], kernel, &Convolution::new(kernel));
            assert!((found - (squares - 2.0 * others)).abs() < 2e-4, "{kernel:?}: {found} {}", squares - 2.0 * others);
        }
    }

    #[test]
    fn cross_validation_finds_the_minimum() {
        // For a normal sample and a normal kernel the best bandwidth is about 1.06 n^(−1/5).
        let x = sample(600, 2);
        let h = Bandwidth::CvLs.of(&x, 1, Kernel::Gaussian).unwrap()[0];
        assert!((0.5..1.7).contains(&(h / (1.06 * 600.0_f64.powf(-0.2)))), "{h}");
        let convolution = Convolution::new(Kernel::Gaussian);
        let score = |h: f64| risk(&x, 1, &[h], Kernel::Gaussian, &convolution);
        assert!((1..40).all(|i| score(h) <= score(0.02 * f64::from(i) + 0.05) + 1e-9));
        let wide: Vec<f64> = x.iter().map(|x| 10.0 * x).collect();
        assert!((Bandwidth::CvLs.of(&wide, 1, Kernel::Gaussian).unwrap()[0] / (10.0 * h) - 1.0).abs() < 1e-2);
    }

    #[test]
    fn refusals() {
        let of = |rule: Bandwidth, x: &[f64], d: usize| rule.of(x, d, Kernel::Gaussian).unwrap_err().to_string();
        assert!(of(Bandwidth::Scott, &[1.0], 1).contains("at least 2 rows"));
        assert!(of(Bandwidth::Scott, &[1.0, 2.0, 3.0], 2).contains("no rows of 2"));
        assert!(of(Bandwidth::Scott, &[1.0, 5.0, 2.0, 5.0], 2).contains("column 1 is 5 in every row"));
        assert!(of(Bandwidth::Silverman, &[1.0, f64::NAN], 1).contains("row 1, column 0 is NaN"));
        assert!(of(Bandwidth::Fixed(0.0), &[1.0, 2.0], 1).contains("bandwidth is 0"));
    }
}
