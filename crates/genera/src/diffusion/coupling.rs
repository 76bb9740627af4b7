//! Which noise each row of a batch goes to.
//!
//! Independent noise gives lines from data to noise that cross; the network learns their mean, and samples follow bent
//! ways. Noise that is dealt out so that the squared distances of a batch are least in sum crosses little and bends
//! little: minibatch optimal transport (Pooladian et al., 2304.14772; Tong et al., 2302.00482). Each is still standard
//! normal, and the marginals are what they were.

use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::host;
use crate::traits::Rows;

/// How data and noise of one batch are paired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Coupling {
    /// As they come.
    #[default]
    Independent,
    /// So that the sum of squared distances is least. A row's noise then depends on its batch.
    Transport,
}

impl Coupling {
    /// `eps` in the order in which it belongs to the rows of `x`, both `[B, F]`.
    pub(super) fn pair(self, x: &Rows, eps: Rows) -> Rows {
        if self == Self::Independent {
            return eps;
        }
        let ([rows, width], device) = (x.dims(), x.device());
        let (data, noise) = (host(x), host(&eps));
        let cost = |i: usize, j: usize| {
            let pairs = data[i * width..(i + 1) * width].iter().zip(&noise[j * width..(j + 1) * width]);
            pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
        };
        let costs: Vec<f64> = (0..rows * rows).map(|at| cost(at / rows, at % rows)).collect();
        let order: Vec<i32> = assignment(&costs, rows).into_iter().map(|j| j as i32).collect();
        eps.select(0, Tensor::<1, Int>::from_data(TensorData::from(order.as_slice()), &device))
    }
}

/// The column of each row that makes the sum of `costs`, `[n, n]`, least: shortest augmenting paths with potentials
/// (Kuhn, 1955; Jonker and Volgenant, 1987), `O(n³)`.
fn assignment(costs: &[f64], n: usize) -> Vec<usize> {
    // Column n is where every row starts.
    let (mut of_row, mut of_column) = (vec![0.0; n], vec![0.0; n + 1]);
    let mut row_of = vec![usize::MAX; n + 1];
    for row in 0..n {
        row_of[n] = row;
        let (mut at, mut seen) = (n, vec![false; n + 1]);
        let (mut least, mut from) = (vec![f64::INFINITY; n], vec![n; n]);
        while row_of[at] != usize::MAX {
            seen[at] = true;
            let i = row_of[at];
            let (mut delta, mut next) = (f64::INFINITY, at);
            for j in (0..n).filter(|j| !seen[*j]) {
                let reduced = costs[i * n + j] - of_row[i] - of_column[j];
                if reduced < least[j] {
                    (least[j], from[j]) = (reduced, at);
                }
                if least[j] < delta {
                    (delta, next) = (least[j], j);
                }
            }
            for (j, seen) in seen.iter().enumerate() {
                if *seen {
                    of_row[row_of[j]] += delta;
                    of_column[j] -= delta;
                } else if j < n {
                    least[j] -= delta;
                }
            }
            if next == at {
                // Costs that are not finite: leave the rest as it is.
                break;
            }
            at = next;
        }
        while at != n {
            row_of[at] = row_of[from[at]];
            at = from[at];
        }
    }
    let mut columns: Vec<usize> = (0..n).collect();
    (0..n).filter(|j| row_of[*j] < n).for_each(|j| columns[row_of[j]] = j);
    columns
}

#[cfg(test)]
mod tests {
    use genera_rng::Rng;

    use super::*;

    /// The least sum over all orders, by trying them.
    fn exhaustive(costs: &[f64], n: usize, row: usize, taken: &mut Vec<bool>) -> f64 {
        if row == n {
            return 0.0;
        }
        let mut best = f64::INFINITY;
        for j in 0..n {
            if !taken[j] {
                taken[j] = true;
                best = best.min(costs[row * n + j] + exhaustive(costs, n, row + 1, taken));
                taken[j] = false;
            }
        }
        best
    }

    #[test]
    fn assignments_are_optimal() {
        for (seed, n) in [(0, 1), (1, 2), (2, 5), (3, 7), (4, 7)] {
            let costs: Vec<f64> = Rng::new(seed).normal(n, n).into_iter().map(f64::from).collect();
            let columns = assignment(&costs, n);
            let mut sorted = columns.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..n).collect::<Vec<_>>());
            let found: f64 = columns.iter().enumerate().map(|(i, j)| costs[i * n + j]).sum();
            assert!((found - exhaustive(&costs, n, 0, &mut vec![false; n])).abs() < 1e-9);
        }
        assert!(assignment(&[], 0).is_empty());
    }

    #[test]
    fn in_one_dimension_transport_sorts() {
        let column = |seed| -> Rows {
            Tensor::from_data(TensorData::new(Rng::new(seed).normal(40, 1), [40, 1]), &Default::default())
        };
        let (x, eps) = (column(1), column(2));
        let paired = Coupling::Transport.pair(&x, eps.clone());
        let mut pairs: Vec<(f32, f32)> = host(&x).into_iter().zip(host(&paired)).collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(pairs.windows(2).all(|p| p[0].1 <= p[1].1));
        assert_eq!(host(&Coupling::Independent.pair(&x, eps.clone())), host(&eps));
    }
}
