//! Small square matrices on the host in double precision: what linear layers start from and are inverted with.

use burn::tensor::{Device, Tensor, TensorData};
use genera_rng::Rng;

/// A square matrix, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Matrix {
    size: usize,
    values: Vec<f64>,
}

impl Matrix {
    pub(super) fn identity(size: usize) -> Self {
        let values = (0..size * size).map(|at| f64::from(u8::from(at / size == at % size))).collect();
        Self { size, values }
    }

    /// The values of `tensor`, `[N, N]`.
    pub(super) fn of(tensor: &Tensor<2>) -> Self {
        let size = tensor.dims()[0];
        Self { size, values: tensor.to_data().iter::<f32>().map(f64::from).collect() }
    }

    pub(super) fn to_tensor(&self, device: &Device) -> Tensor<2> {
        let values: Vec<f32> = self.values.iter().map(|value| *value as f32).collect();
        Tensor::from_data(TensorData::new(values, [self.size, self.size]), device)
    }

    pub(super) fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.size + column]
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.size..][..self.size]
    }

    fn swap(&mut self, a: usize, b: usize) {
        (0..self.size).for_each(|column| self.values.swap(a * self.size + column, b * self.size + column));
    }

    /// Row `to` minus `factor` times row `from`.
    fn subtract(&mut self, to: usize, from: usize, factor: f64) {
        for column in 0..self.size {
            let value = self.at(from, column);
            self.values[to * self.size + column] -= factor * value;
        }
    }

    /// A random orthogonal matrix: Gram and Schmidt on normal numbers, twice over for accuracy.
    pub(super) fn orthogonal(size: usize, rng: &mut Rng) -> Self {
        let mut stream = rng.stream();
        let mut matrix = Self { size, values: (0..size * size).map(|_| stream.normal()).collect() };
        for row in 0..size {
            for _ in 0..2 {
                for earlier in 0..row {
                    let dot: f64 = matrix.row(row).iter().zip(matrix.row(earlier)).map(|(a, b)| a * b).sum();
                    matrix.subtract(row, earlier, dot);
                }
            }
            let norm = matrix.row(row).iter().map(|value| value * value).sum::<f64>().sqrt();
            matrix.values[row * size..][..size].iter_mut().for_each(|value| *value /= norm);
        }
        matrix
    }

    /// `P`, `L`, `U` with `self = P L U`, `L` lower triangular with ones on its diagonal and `U` upper triangular: row
    /// pivoting.
    pub(super) fn plu(&self) -> [Self; 3] {
        let size = self.size;
        let (mut lower, mut upper) = (Self::identity(size), self.clone());
        let mut order: Vec<usize> = (0..size).collect();
        for column in 0..size {
            let largest =
                |best, row| if upper.at(row, column).abs() > upper.at(best, column).abs() { row } else { best };
            let pivot = (column..size).fold(column, largest);
            upper.swap(column, pivot);
            order.swap(column, pivot);
            (0..column).for_each(|done| lower.values.swap(column * size + done, pivot * size + done));
            for row in column + 1..size {
                let factor = upper.at(row, column) / upper.at(column, column);
                lower.values[row * size + column] = factor;
                upper.subtract(row, column, factor);
            }
        }
        let mut permutation = Self { size, values: vec![0.0; size * size] };
        order.iter().enumerate().for_each(|(row, from)| permutation.values[from * size + row] = 1.0);
        [permutation, lower, upper]
    }

    /// The inverse, by Gauss and Jordan with row pivoting; not finite if there is none.
    pub(super) fn inverse(&self) -> Self {
        let size = self.size;
        let (mut left, mut right) = (self.clone(), Self::identity(size));
        for column in 0..size {
            let largest = |best, row| if left.at(row, column).abs() > left.at(best, column).abs() { row } else { best };
            let pivot = (column..size).fold(column, largest);
            left.swap(column, pivot);
            right.swap(column, pivot);
            let scale = 1.0 / left.at(column, column);
            for matrix in [&mut left, &mut right] {
                matrix.values[column * size..][..size].iter_mut().for_each(|value| *value *= scale);
            }
            for row in (0..size).filter(|row| *row != column) {
                let factor = left.at(row, column);
                left.subtract(row, column, factor);
                right.subtract(row, column, factor);
            }
        }
        right
    }
}

/// `W⁻¹`, computed in double precision, with its derivative `−W⁻¹ dW W⁻¹`: `[N, N] -> [N, N]`.
pub(super) fn inverse(w: Tensor<2>) -> Tensor<2> {
    let fixed = Matrix::of(&w).inverse().to_tensor(&w.device());
    if !w.is_autodiff() {
        return fixed;
    }
    let change = w.clone() - w.detach();
    fixed.clone() - fixed.clone().matmul(change).matmul(fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(a: &Matrix, b: &Matrix) -> Matrix {
        let size = a.size;
        let entry = |at: usize| (0..size).map(|k| a.at(at / size, k) * b.at(k, at % size)).sum();
        Matrix { size, values: (0..size * size).map(entry).collect() }
    }

    fn distance(a: &Matrix, b: &Matrix) -> f64 {
        a.values.iter().zip(&b.values).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn factors_multiply_to_the_matrix_and_inverses_to_one() {
        for size in [1, 2, 5, 24] {
            let mut stream = Rng::new(size as u64).stream();
            let w = Matrix { size, values: (0..size * size).map(|_| stream.normal()).collect() };
            let [p, l, u] = w.plu();
            assert!(distance(&product(&product(&p, &l), &u), &w) < 1e-12);
            for row in 0..size {
                assert!((row + 1..size).all(|column| l.at(row, column) == 0.0 && l.at(row, row) == 1.0));
                assert!((0..row).all(|column| u.at(row, column).abs() < 1e-12));
            }
            assert!(distance(&product(&w, &w.inverse()), &Matrix::identity(size)) < 1e-9);
            let q = Matrix::orthogonal(size, &mut Rng::new(7));
            let transposed = Matrix { size, values: (0..size * size).map(|at| q.at(at % size, at / size)).collect() };
            assert!(distance(&product(&q, &transposed), &Matrix::identity(size)) < 1e-13);
        }
    }

    #[test]
    fn the_inverse_has_the_derivative_of_an_inverse() {
        let device = Device::flex().autodiff();
        let w = Tensor::<2>::from_data([[2.0, 0.5], [-1.0, 1.5]], &device).require_grad();
        // d/dw of the sum of W⁻¹ is −(W⁻ᵀ 1 1ᵀ W⁻ᵀ).
        let gradients = inverse(w.clone()).sum().backward();
        let found: Vec<f32> = w.grad(&gradients).unwrap().to_data().iter::<f32>().collect();
        let v = Matrix::of(&w.inner()).inverse();
        let columns = [v.at(0, 0) + v.at(1, 0), v.at(0, 1) + v.at(1, 1)];
        let rows = [v.at(0, 0) + v.at(0, 1), v.at(1, 0) + v.at(1, 1)];
        for (at, found) in found.iter().enumerate() {
            let expected = -columns[at / 2] * rows[at % 2];
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{at}: {found} {expected}");
        }
    }
}
