//! Optimal transport with an entropy, by Sinkhorn's iteration in the log domain.
//!
//! ```text
//! OT_ε = min_P Σ c_ij P_ij + ε KL(P ‖ a ⊗ b)       P_ij = a_i b_j exp((f_i + g_j − c_ij)/ε)
//! f_i ← −ε ln Σ_j b_j exp((g_j − c_ij)/ε)          g_j ← −ε ln Σ_i a_i exp((f_i − c_ij)/ε)
//! S_ε(x, y) = OT_ε(x, y) − ½ OT_ε(x, x) − ½ OT_ε(y, y)
//! ```
//!
//! Cuturi, "Sinkhorn distances" (arXiv:1306.0895); the divergence S_ε, which unlike OT_ε is zero exactly when both
//! sets are equal: Genevay, Peyré and Cuturi (arXiv:1706.00292), Feydy et al. (arXiv:1810.08278). Logarithms keep
//! every ε above 10⁻³⁰⁰ from underflowing, though small ones take many iterations; masses are equal on each side.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::transport::check_costs;
use crate::{MetricError, Points, transport_costs};

/// How strongly to smooth, and when to stop.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sinkhorn {
    /// The weight ε of the entropy, in the units of the cost.
    pub epsilon: f64,
    /// Stop when Σ_i |Σ_j P_ij − a_i| is at most this.
    pub tolerance: f64,
    /// Give up after so many iterations.
    pub iterations: usize,
}

/// A smoothed transport cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SinkhornCost {
    /// OT_ε, entropy included: Σ a f + Σ b g.
    pub value: f64,
    /// Σ c P, without the entropy: at least the exact optimal cost, up to the tolerance.
    pub transport: f64,
    /// Iterations made.
    pub iterations: usize,
    /// Σ_i |Σ_j P_ij − a_i| at the end; the other marginal is exact.
    pub marginal_error: f64,
}

impl Sinkhorn {
    /// OT_ε between `n` sources and `m` targets of equal masses at `costs`, row-major `[n, m]`.
    ///
    /// # Errors
    /// Costs of another size or not within ±10³⁰⁰, parameters out of range, or no convergence.
    pub fn cost(&self, costs: &[f64], n: usize, m: usize) -> Result<SinkhornCost, MetricError> {
        check_costs(costs, n, m)?;
        require(self.epsilon.is_finite() && self.epsilon >= 1e-300, "ε", self.epsilon, "positive and finite")?;
        let rule = "between 0 and 1";
        require(self.tolerance > 0.0 && self.tolerance < 1.0, "the tolerance", self.tolerance, rule)?;
        require(self.iterations >= 1, "the number of iterations", self.iterations as f64, "at least 1")?;
        let columns: Vec<f64> = (0..m).flat_map(|j| (0..n).map(move |i| costs[i * m + j])).collect();
        let (mut f, mut g) = (vec![0.0; n], vec![0.0; m]);
        let mut marginal_error = f64::INFINITY;
        for iteration in 0..=self.iterations {
            // What f would become says how far the rows are from their marginals: the ratio is exp((f − f′)/ε).
            let next = self.softened(costs, &g);
            if iteration > 0 {
                let off = |(old, new): (&f64, &f64)| ((old - new) / self.epsilon).exp_m1().abs() / n as f64;
                marginal_error = f.iter().zip(&next).map(off).sum();
                if marginal_error <= self.tolerance {
                    return Ok(self.report(costs, &f, &g, iteration, marginal_error));
                }
            }
            f = next;
            g = self.softened(&columns, &f);
        }
        Err(MetricError::NoConvergence { what: "Sinkhorn", iterations: self.iterations, error: marginal_error })
    }

    /// The Sinkhorn divergence S_ε between the empirical distributions of `x` and `y`, with costs ‖x − y‖ᵖ.
    ///
    /// # Errors
    /// As [`Self::cost`] and [`transport_costs`].
    pub fn divergence(&self, x: &Points<'_>, y: &Points<'_>, p: f64) -> Result<f64, MetricError> {
        let value = |a: &Points<'_>, b: &Points<'_>| {
            self.cost(&transport_costs(a, b, p)?, a.n(), b.n()).map(|found| found.value)
        };
        Ok(value(x, y)? - 0.5 * value(x, x)? - 0.5 * value(y, y)?)
    }

    /// −ε ln mean_j exp((g_j − c_ij)/ε), for every row i.
    fn softened(&self, costs: &[f64], g: &[f64]) -> Vec<f64> {
        let soft = |row: &[f64]| {
            let largest = row.iter().zip(g).map(|(c, g)| g - c).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().zip(g).map(|(c, g)| ((g - c - largest) / self.epsilon).exp()).sum();
            -largest - self.epsilon * (sum / g.len() as f64).ln()
        };
        costs.par_chunks_exact(g.len()).with_min_len(16).map(soft).collect()
    }

    fn report(&self, costs: &[f64], f: &[f64], g: &[f64], iterations: usize, marginal_error: f64) -> SinkhornCost {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let rows = costs.chunks_exact(g.len()).zip(f);
        let moved =
            rows.flat_map(|(row, f)| row.iter().zip(g).map(move |(c, g)| c * ((f + g - c) / self.epsilon).exp()));
        let transport = moved.sum::<f64>() / costs.len() as f64;
        SinkhornCost { value: mean(f) + mean(g), transport, iterations, marginal_error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasserstein;
    use genera_rng::Rng;

    fn sinkhorn(epsilon: f64) -> Sinkhorn {
        Sinkhorn { epsilon, tolerance: 1e-9, iterations: 20_000 }
    }

    #[test]
    fn two_points_in_closed_form() {
        // c = [0 1; 1 0]: P is [q, ½−q; ½−q, q] with q/(½−q) = e^{1/ε}.
        for epsilon in [0.05, 0.3, 1.0, 10.0_f64] {
            let found = sinkhorn(epsilon).cost(&[0.0, 1.0, 1.0, 0.0], 2, 2).unwrap();
            let off = 1.0 / (1.0 + (1.0 / epsilon).exp());
            let relative: f64 = [off, 1.0 - off].iter().map(|p| if *p > 0.0 { p * (2.0 * p).ln() } else { 0.0 }).sum();
            assert!((found.transport - off).abs() < 1e-9, "{epsilon}");
            assert!((found.value - (off + epsilon * relative)).abs() < 1e-9, "{epsilon}");
        }
    }

    #[test]
    fn tends_to_the_exact_cost() {
        let (x, y) = (Rng::new(1).normal(25, 2), Rng::new(2).normal(30, 2));
        let (x, y) = (Points::new(&x, 25, 2).unwrap(), Points::new(&y, 30, 2).unwrap());
        let exact = wasserstein(&x, &y, 2.0).unwrap().powi(2);
        let costs = transport_costs(&x, &y, 2.0).unwrap();
        let mut before = f64::INFINITY;
        for epsilon in [1.0, 0.1, 0.02] {
            let settings = Sinkhorn { epsilon, tolerance: 1e-6, iterations: 100_000 };
            let gap = settings.cost(&costs, 25, 30).unwrap().transport - exact;
            assert!(gap > -1e-5 && gap < 0.7 * before, "ε = {epsilon}: {gap}");
            before = gap;
        }
        assert!(before < 0.02 * exact);
    }

    #[test]
    fn the_divergence_is_zero_on_equals_symmetric_and_exact_on_shifts() {
        let x = Rng::new(1).normal(40, 3);
        let y: Vec<f32> = Rng::new(2).normal(30, 3).iter().map(|v| v + 1.0).collect();
        let moved: Vec<f32> = x.iter().map(|v| v + 2.0).collect();
        let (x, y, moved) =
            (Points::new(&x, 40, 3).unwrap(), Points::new(&y, 30, 3).unwrap(), Points::new(&moved, 40, 3).unwrap());
        let settings = Sinkhorn { epsilon: 3.0, tolerance: 1e-8, iterations: 20_000 };
        let divergence = |a, b| settings.divergence(a, b, 2.0).unwrap();
        assert!(divergence(&x, &x).abs() < 1e-12);
        assert!(divergence(&x, &y) > 0.5);
        assert!((divergence(&x, &y) - divergence(&y, &x)).abs() < 1e-7);
        // With squared distances a shift adds |δ|² whatever ε is.
        assert!((divergence(&x, &moved) - 12.0).abs() < 1e-5);
        let on = |threads| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| divergence(&x, &y))
        };
        assert_eq!(on(1).to_bits(), on(3).to_bits());
    }

    #[test]
    fn small_smoothing_does_not_underflow_and_refusals_are_clear() {
        let costs = [0.0, 1e6, 1e6, 3.0];
        let found = sinkhorn(1e-3).cost(&costs, 2, 2).unwrap();
        assert!((found.transport - 1.5).abs() < 1e-9 && found.value.is_finite());
        let hard = Sinkhorn { epsilon: 1e-3, tolerance: 1e-12, iterations: 2 };
        let costs: Vec<f64> = Rng::new(1).normal(10, 10).iter().map(|v| f64::from(v.abs())).collect();
        assert!(matches!(hard.cost(&costs, 10, 10), Err(MetricError::NoConvergence { iterations: 2, .. })));
        assert!(sinkhorn(0.0).cost(&[1.0], 1, 1).is_err() && sinkhorn(f64::NAN).cost(&[1.0], 1, 1).is_err());
        assert!(matches!(sinkhorn(1.0).cost(&[1.0], 1, 2), Err(MetricError::Length { .. })));
        assert!(matches!(sinkhorn(1.0).cost(&[f64::NAN], 1, 1), Err(MetricError::NotFinite { .. })));
        assert!(Sinkhorn { iterations: 0, ..sinkhorn(1.0) }.cost(&[1.0], 1, 1).is_err());
        assert!(Sinkhorn { tolerance: 0.0, ..sinkhorn(1.0) }.cost(&[1.0], 1, 1).is_err());
    }
}
