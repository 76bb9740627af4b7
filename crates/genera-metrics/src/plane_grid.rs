//! A density of the plane on a grid, and how far draws and Gaussians are from it.
//!
//! ```text
//! KL(q‖p) = Σ q ln(q / p)   over cells
//! ```
//!
//! This is the divergence of what the grid can tell apart: at most the one of the densities, and the same in the limit. Draws
//! are counted; to their counts half a draw of the density's own shape is added, so that an empty cell says nothing.

/// Masses of square cells, `side` in each direction, around the origin; what lies beyond counts as in the outermost cells.
#[derive(Clone, Debug, PartialEq)]
pub struct PlaneGrid {
    side: usize,
    cell: f64,
    masses: Vec<f64>,
}

/// Points along each side of a cell whose mean is its mass.
const FINE: usize = 4;
/// The least mass that counts as some.
const NOTHING: f64 = 1e-12;

impl PlaneGrid {
    /// The cells of width `cell` of a density whose logarithm is known up to a constant.
    pub fn of(log_density: impl Fn([f64; 2]) -> f64, side: usize, cell: f64) -> Self {
        let corner = |i: usize| (i as f64 - side as f64 / 2.0) * cell;
        let fine = |i: usize| (0..FINE).map(move |k| corner(i) + cell * (k as f64 + 0.5) / FINE as f64);
        let points = |at: usize| fine(at / side).flat_map(move |a| fine(at % side).map(move |b| [a, b]));
        let logs: Vec<Vec<f64>> = (0..side * side).map(|at| points(at).map(&log_density).collect()).collect();
        let most = logs.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
        let masses = logs.iter().map(|logs| logs.iter().map(|log| (log - most).exp()).sum()).collect();
        Self { side, cell, masses: shares(masses) }
    }

    /// `KL(q‖p)` in nats of the distribution `q` that gave these points, `[z₀, z₁, z₀, z₁, ..]`.
    pub fn kl_of_draws(&self, draws: &[f32]) -> f64 {
        let mut counts: Vec<f64> = self.masses.iter().map(|mass| 0.5 * mass).collect();
        let index = |z: f32| {
            let cell = (f64::from(z) / self.cell + self.side as f64 / 2.0).floor();
            cell.clamp(0.0, self.side as f64 - 1.0) as usize
        };
        for z in draws.chunks_exact(2) {
            counts[index(z[0]) * self.side + index(z[1])] += 1.0;
        }
        self.kl(&shares(counts))
    }

    /// The least `KL(q‖p)` of any Gaussian `q` with independent coordinates, by a search along the coordinates of means and
    /// deviations from several starts.
    pub fn kl_of_best_gaussian(&self) -> f64 {
        let [m0, m1] = self.mean();
        let starts = [[m0, m1, 0.7, 0.5], [m0 + 1.0, m1, 0.3, 0.4], [m0 - 1.0, m1, 0.3, 0.4]];
        starts.into_iter().map(|start| self.search(start)).fold(f64::INFINITY, f64::min)
    }

    fn search(&self, mut at: [f64; 4]) -> f64 {
        let (mut least, mut step) = (self.kl(&self.gaussian(at)), 0.4);
        while step > 0.01 {
            let mut moved = false;
            for (axis, sign) in (0..4).flat_map(|axis| [(axis, -1.0), (axis, 1.0)]) {
                let mut next = at;
                next[axis] += sign * step;
                // A Gaussian narrower than half a cell is a point to the grid.
                if axis >= 2 && next[axis] < 0.5 * self.cell {
                    continue;
                }
                let value = self.kl(&self.gaussian(next));
                if value < least {
                    (at, least, moved) = (next, value, true);
                }
            }
            step *= if moved { 1.0 } else { 0.5 };
        }
        least
    }

    fn centre(&self, i: usize) -> f64 {
        (i as f64 + 0.5 - self.side as f64 / 2.0) * self.cell
    }

    fn mean(&self) -> [f64; 2] {
        let mean = |of: fn(usize, usize) -> usize| {
            self.masses.iter().enumerate().map(|(at, mass)| mass * self.centre(of(at, self.side))).sum()
        };
        [mean(|at, side| at / side), mean(|at, side| at % side)]
    }

    fn gaussian(&self, [m0, m1, s0, s1]: [f64; 4]) -> Vec<f64> {
        let along = |m: f64, s: f64| -> Vec<f64> {
            (0..self.side).map(|i| (-0.5 * ((self.centre(i) - m) / s).powi(2)).exp()).collect()
        };
        let (first, second) = (along(m0, s0), along(m1, s1));
        shares(first.iter().flat_map(|a| second.iter().map(move |b| a * b)).collect())
    }

    fn kl(&self, q: &[f64]) -> f64 {
        let cells = q.iter().zip(&self.masses).filter(|(q, _)| **q > 0.0);
        cells.map(|(q, p)| q * (q / p.max(NOTHING)).ln()).sum()
    }
}

/// Numbers over their sum.
fn shares(numbers: Vec<f64>) -> Vec<f64> {
    let whole: f64 = numbers.iter().sum();
    numbers.into_iter().map(|number| number / whole).collect()
}

#[cfg(test)]
mod tests {
    use genera_rng::Rng;

    use super::*;

    fn normal(mean: [f64; 2], deviation: [f64; 2]) -> impl Fn([f64; 2]) -> f64 {
        move |z| -0.5 * (0..2).map(|i| ((z[i] - mean[i]) / deviation[i]).powi(2)).sum::<f64>()
    }

    #[test]
    fn draws_of_a_gaussian_have_its_divergence() {
        let grid = PlaneGrid::of(normal([0.5, -0.3], [0.8, 0.6]), 60, 0.12);
        let draws = |mean: [f32; 2], deviation: [f32; 2]| -> Vec<f32> {
            let z = Rng::new(1).normal(200_000, 2);
            z.chunks(2).flat_map(|z| [0, 1].map(|i| mean[i] + deviation[i] * z[i])).collect()
        };
        let own = grid.kl_of_draws(&draws([0.5, -0.3], [0.8, 0.6]));
        assert!((0.0..0.01).contains(&own), "{own}");
        // ½ (σ²/s² + (m − μ)²/s² − 1) + ln(s / σ), with the means 0.4 apart, one deviation halved.
        let other = grid.kl_of_draws(&draws([0.9, -0.3], [0.8, 0.3]));
        let exactly = 0.5 * 0.25 + 0.5 * (0.25 - 1.0) + 2.0_f64.ln();
        assert!((other - exactly).abs() < 0.02, "{other}, not {exactly}");
    }

    #[test]
    fn the_best_gaussian_of_a_gaussian_is_itself_and_of_two_is_one() {
        let one = PlaneGrid::of(normal([0.5, -0.3], [0.8, 0.6]), 60, 0.12);
        assert!(one.kl_of_best_gaussian() < 1e-3);
        // Of two equal ones far apart, the best sits on one of them: ln 2.
        let [left, right] = [-1.5, 1.5].map(|mean| normal([mean, 0.0], [0.3, 0.4]));
        let two = PlaneGrid::of(|z| (left(z).exp() + right(z).exp()).ln(), 60, 0.12);
        assert!((two.kl_of_best_gaussian() - 2.0_f64.ln()).abs() < 0.01, "{}", two.kl_of_best_gaussian());
    }
}
