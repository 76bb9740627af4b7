//! Rows in double precision, and the triangular factor of a small matrix.

use burn::tensor::{Device, Tensor, TensorData};

use super::LatentError;
use crate::traits::Rows;

/// Rows on the host, `[N, D]` row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Points {
    /// `D`.
    pub width: usize,
    /// `N D` numbers.
    pub values: Vec<f64>,
}

impl Points {
    /// The values of a tensor.
    pub fn new(x: &Rows) -> Self {
        let values = x.to_data().convert::<f32>().iter::<f32>().map(f64::from).collect();
        Self { width: x.dims()[1], values }
    }

    /// Those of some tensors, one after another.
    ///
    /// # Errors
    /// No row, or a value that is not finite.
    pub fn gather<'a>(tensors: impl Iterator<Item = &'a Rows>) -> Result<Self, LatentError> {
        let mut all = Self { width: 0, values: Vec::new() };
        for x in tensors {
            all.width = x.dims()[1];
            all.values.extend(Self::new(x).values);
        }
        if all.count() == 0 {
            return Err(LatentError::Empty { rows: 0, width: all.width });
        }
        let broken = all.rows().position(|row| row.iter().any(|v| !v.is_finite()));
        match broken {
            Some(row) => Err(LatentError::NotFinite(row)),
            None => Ok(all),
        }
    }

    /// `N`.
    pub fn count(&self) -> usize {
        self.values.len().checked_div(self.width).unwrap_or(0)
    }

    /// Each row.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> + Clone {
        self.values.chunks_exact(self.width.max(1))
    }

    /// Row `i`.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.width..(i + 1) * self.width]
    }

    /// The mean row.
    pub fn mean(&self) -> Vec<f64> {
        self.weighted_mean(std::iter::repeat_n(1.0, self.count()))
    }

    /// The mean row under weights, which need not sum to one.
    pub fn weighted_mean(&self, weights: impl Iterator<Item = f64>) -> Vec<f64> {
        let (mut sums, mut total) = (vec![0.0; self.width], 0.0);
        for (row, weight) in self.rows().zip(weights) {
            total += weight;
            sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += weight * v);
        }
        sums.iter_mut().for_each(|sum| *sum /= total);
        sums
    }

    /// `Σ w (x − m)(x − m)ᵀ / Σ w`, `[D, D]`.
    pub fn weighted_covariance(&self, mean: &[f64], weights: impl Iterator<Item = f64>) -> Vec<f64> {
        let d = self.width;
        let (mut sums, mut total, mut away) = (vec![0.0; d * d], 0.0, vec![0.0; d]);
        for (row, weight) in self.rows().zip(weights) {
            total += weight;
            away.iter_mut().zip(row.iter().zip(mean)).for_each(|(a, (x, m))| *a = x - m);
            for i in 0..d {
                let scaled = weight * away[i];
                sums[i * d..=i * d + i].iter_mut().zip(&away).for_each(|(sum, a)| *sum += scaled * a);
            }
        }
        for i in 0..d {
            for j in 0..=i {
                sums[i * d + j] /= total;
                sums[j * d + i] = sums[i * d + j];
            }
        }
        sums
    }
}

/// Rows as a tensor.
pub(super) fn tensor(values: &[f64], width: usize, device: &Device) -> Rows {
    let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
    let rows = values.len().checked_div(width).unwrap_or(0);
    Tensor::from_data(TensorData::new(values, [rows, width]), device)
}

/// The lower triangular `L` of `L Lᵀ`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cholesky {
    size: usize,
    factor: Vec<f64>,
}

impl Cholesky {
    /// Of a symmetric matrix, `[D, D]`; none if it is not positive definite.
    pub fn new(matrix: &[f64], size: usize) -> Option<Self> {
        let mut factor = vec![0.0; size * size];
        for i in 0..size {
            for j in 0..=i {
                let known: f64 = (0..j).map(|k| factor[i * size + k] * factor[j * size + k]).sum();
                let rest = matrix[i * size + j] - known;
                factor[i * size + j] = match i == j {
                    true if rest > 0.0 && rest.is_finite() => rest.sqrt(),
                    true => return None,
                    false => rest / factor[j * size + j],
                };
            }
        }
        Some(Self { size, factor })
    }

    /// `log |L Lᵀ|`.
    pub fn log_det(&self) -> f64 {
        (0..self.size).map(|i| 2.0 * self.factor[i * self.size + i].ln()).sum()
    }

    /// `L⁻¹ v`.
    pub fn whiten(&self, v: &[f64]) -> Vec<f64> {
        let mut out = Vec::with_capacity(self.size);
        for i in 0..self.size {
            let row = &self.factor[i * self.size..];
            let known: f64 = row.iter().zip(&out).map(|(l, o): (&f64, &f64)| l * o).take(i).sum();
            out.push((v[i] - known) / row[i]);
        }
        out
    }

    /// `(L Lᵀ)⁻¹ v`.
    pub fn solve(&self, v: &[f64]) -> Vec<f64> {
        let mut out = self.whiten(v);
        for i in (0..self.size).rev() {
            let known: f64 = (i + 1..self.size).map(|j| self.factor[j * self.size + i] * out[j]).sum();
            out[i] = (out[i] - known) / self.factor[i * self.size + i];
        }
        out
    }

    /// `L v`.
    pub fn times(&self, v: &[f64]) -> Vec<f64> {
        (0..self.size).map(|i| (0..=i).map(|j| self.factor[i * self.size + j] * v[j]).sum()).collect()
    }

    /// `(L Lᵀ)⁻¹`, `[D, D]`.
    pub fn inverse(&self) -> Vec<f64> {
        let unit = |i: usize| (0..self.size).map(|j| f64::from(u8::from(i == j))).collect::<Vec<f64>>();
        (0..self.size).flat_map(|i| self.solve(&unit(i))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_solve_and_multiply() {
        let matrix = [4.0, 1.0, 0.5, 1.0, 3.0, -0.2, 0.5, -0.2, 2.0];
        let factor = Cholesky::new(&matrix, 3).unwrap();
        let v = [1.0, -2.0, 0.3];
        let solved = factor.solve(&v);
        for i in 0..3 {
            let back: f64 = (0..3).map(|j| matrix[3 * i + j] * solved[j]).sum();
            assert!((back - v[i]).abs() < 1e-12);
        }
        let det: f64 = 4.0 * (3.0 * 2.0 - 0.04) - (2.0 + 0.1) + 0.5 * (-0.2 - 1.5);
        assert!((factor.log_det() - det.ln()).abs() < 1e-12);
        let again = factor.times(&factor.whiten(&v));
        assert!(again.iter().zip(v).all(|(a, b)| (a - b).abs() < 1e-12));
        assert!((factor.inverse()[4] - factor.solve(&[0.0, 1.0, 0.0])[1]).abs() < 1e-15);
        assert!(Cholesky::new(&[1.0, 2.0, 2.0, 1.0], 2).is_none());
    }

    #[test]
    fn moments() {
        let points = Points { width: 2, values: vec![0.0, 0.0, 2.0, 4.0] };
        assert_eq!(points.mean(), [1.0, 2.0]);
        assert_eq!(points.weighted_mean([1.0, 3.0].into_iter()), [1.5, 3.0]);
        assert_eq!(points.weighted_covariance(&[1.0, 2.0], [1.0, 1.0].into_iter()), [1.0, 2.0, 2.0, 4.0]);
    }
}
