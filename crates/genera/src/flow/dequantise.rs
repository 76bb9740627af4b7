//! Densities of numbers with levels: uniform dequantisation.
//!
//! ```text
//! log P(l) = log ∫ p((l + u) / K) du − F log K  ≥  E_u log p((l + u) / K) − F log K
//! ```
//!
//! `l` are whole numbers `0 .. K − 1` and `u` is uniform on `[0, 1)^F`: Theis, van den Oord and Bethge
//! (arXiv:1511.01844). With `S` draws the logarithm of the mean over `u` tightens the bound (it is exact as `S → ∞`).
//! `−F log K` is the log-Jacobian of the scaling to `[0, 1)`.

use burn::tensor::{Tensor, TensorData};
use genera_rng::Rng;

use crate::traits::{Density, LowerBound, Rows, Sample};

/// A density of `[0, 1)^F` as a model of whole numbers `0 .. levels − 1`.
#[derive(Clone, Debug)]
pub struct Dequantised<D> {
    /// The density of the dequantised numbers.
    pub density: D,
    /// `K`.
    pub levels: usize,
    /// `S`: draws of `u` a row.
    pub draws: usize,
}

impl<D: Density> LowerBound for Dequantised<D> {
    /// Rows of whole numbers `l`. One value of `−∞` or NaN among the draws counts as what it is.
    fn lower_bound(&self, x: Rows, rng: &mut Rng) -> Vec<f64> {
        let ([rows, features], draws) = (x.dims(), self.draws.max(1));
        let offset = features as f64 * (self.levels as f64).ln() + (draws as f64).ln();
        let mut logs = vec![Vec::with_capacity(draws); rows];
        for _ in 0..draws {
            let u = TensorData::new(rng.uniform(rows, features), [rows, features]);
            let y = (x.clone() + Tensor::from_data(u, &x.device())) * (1.0 / self.levels as f64);
            let values = self.density.log_prob(y).to_data();
            logs.iter_mut().zip(values.iter::<f32>()).for_each(|(logs, value)| logs.push(f64::from(value)));
        }
        let log_sum = |logs: &Vec<f64>| {
            let most = logs.iter().copied().fold(f64::NEG_INFINITY, |a, b| if b > a || b.is_nan() { b } else { a });
            if most.is_finite() { most + logs.iter().map(|log| (log - most).exp()).sum::<f64>().ln() } else { most }
        };
        logs.iter().map(|logs| log_sum(logs) - offset).collect()
    }
}

impl<D: Sample> Sample for Dequantised<D> {
    /// Whole numbers as rows.
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        let top = self.levels as f64 - 1.0;
        (self.density.sample(n, rng) * self.levels as f64).floor().clamp(0.0, top)
    }
}
