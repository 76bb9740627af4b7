//! Optimal transport between small sets, exactly.
//!
//! ```text
//! min Σ c_ij f_ij   over f ≥ 0 with Σ_j f_ij = a_i, Σ_i f_ij = b_j
//!   = max Σ a_i u_i + Σ b_j v_j   over u_i + v_j ≤ c_ij                 (equality where f_ij > 0)
//! W_p(x, y)ᵖ: c_ij = ‖x_i − y_j‖ᵖ, and equal masses on each side
//! ```
//!
//! Successive shortest paths with potentials (Edmonds and Karp 1972; for assignments, Jonker and Volgenant 1987): mass
//! leaves one source after another along the cheapest path of the residual graph, found by Dijkstra's algorithm on
//! the reduced costs c − u − v ≥ 0. Masses are whole numbers, so the plan is a vertex, found in finitely many steps,
//! with no tolerance anywhere. Equal weights on both sides of equal size are the assignment problem, in O(n³).

use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::pairs::squared_distance;
use crate::wasserstein::check_power;
use crate::{MetricError, Points};

/// An optimal plan and the proof that it is optimal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransportPlan {
    /// Σ c f / Σ f: the mean cost of a unit of mass.
    pub cost: f64,
    /// Source, target and mass of every flow that is not zero, in order.
    pub flows: Vec<(usize, usize, u64)>,
    /// The dual variables u of the sources.
    pub source_potentials: Vec<f64>,
    /// The dual variables v of the targets.
    pub target_potentials: Vec<f64>,
}

/// ‖x_i − y_j‖ᵖ, row-major `[n, m]`.
///
/// # Errors
/// Different numbers of columns, a power below one or not finite, or a cost that overflows.
pub fn transport_costs(x: &Points<'_>, y: &Points<'_>, p: f64) -> Result<Vec<f64>, MetricError> {
    x.same_columns(y)?;
    check_power(p)?;
    let (left, right) = (x.rows(0..x.n()), y.rows(0..y.n()));
    let d = x.d();
    let pairs = left.chunks_exact(d).flat_map(|a| right.chunks_exact(d).map(move |b| squared_distance(a, b)));
    // The square of a square root would round: squares stay squares.
    let costs: Vec<f64> = pairs.map(|squared| if p == 2.0 { squared } else { squared.sqrt().powf(p) }).collect();
    let largest = costs.iter().fold(0.0, |largest: f64, cost| largest.max(*cost));
    require(largest.is_finite(), "the largest cost", largest, "finite: rescale the points or lower the power")?;
    Ok(costs)
}

/// The exact W_p between the empirical distributions of `x` and `y`. Holds the n x m costs; meant for some hundreds.
///
/// # Errors
/// As [`transport_costs`].
pub fn wasserstein(x: &Points<'_>, y: &Points<'_>, p: f64) -> Result<f64, MetricError> {
    let costs = transport_costs(x, y, p)?;
    let (n, m) = (x.n() as u64, y.n() as u64);
    let common = greatest_common_divisor(n, m);
    let (sources, targets) = (vec![m / common; x.n()], vec![n / common; y.n()]);
    Ok(transport(&costs, &sources, &targets)?.cost.powf(1.0 / p))
}

/// The cheapest way to move `sources`, `[n]` masses, onto `targets`, `[m]` masses, at `costs`, row-major `[n, m]`.
///
/// # Errors
/// No sources or targets, costs of another size or not within ±10³⁰⁰, a total mass of zero or over 2⁵³, or totals
/// that differ.
pub fn transport(costs: &[f64], sources: &[u64], targets: &[u64]) -> Result<TransportPlan, MetricError> {
    let (n, m) = (sources.len(), targets.len());
    check_costs(costs, n, m)?;
    let total = |masses: &[u64]| masses.iter().map(|mass| u128::from(*mass)).sum::<u128>();
    let mass = total(sources);
    require((1..=1 << 53).contains(&mass), "the total mass", mass as f64, "from 1 to 2⁵³")?;
    require(mass == total(targets), "the total mass of the targets", total(targets) as f64, "that of the sources")?;
    // Feasible potentials for costs of any sign: u = 0 and v_j = min_i c_ij.
    let v = (0..m).map(|j| (0..n).map(|i| costs[i * m + j]).fold(f64::INFINITY, f64::min)).collect();
    let mut network =
        Network { costs, flow: vec![0; n * m], u: vec![0.0; n], v, supply: sources.to_vec(), demand: targets.to_vec() };
    for source in 0..n {
        while network.supply[source] > 0 {
            network.augment(source);
        }
    }
    let flows: Vec<(usize, usize, u64)> =
        network.flow.iter().enumerate().filter(|(_, f)| **f > 0).map(|(at, &f)| (at / m, at % m, f)).collect();
    let cost = flows.iter().map(|&(i, j, f)| costs[i * m + j] * (f as f64 / mass as f64)).sum();
    Ok(TransportPlan { cost, flows, source_potentials: network.u, target_potentials: network.v })
}

/// Refuses costs of another size, or that are NaN or beyond ±10³⁰⁰, where sums along a path would overflow.
pub(crate) fn check_costs(costs: &[f64], n: usize, m: usize) -> Result<(), MetricError> {
    if n == 0 || m == 0 {
        return Err(MetricError::Empty { n, d: m });
    }
    if n.checked_mul(m) != Some(costs.len()) {
        return Err(MetricError::Length { len: costs.len(), n, d: m });
    }
    match costs.iter().position(|cost| !(-1e300..=1e300).contains(cost)) {
        Some(at) => Err(MetricError::NotFinite { row: at / m, column: at % m, value: costs[at] }),
        None => Ok(()),
    }
}

struct Network<'a> {
    costs: &'a [f64],
    flow: Vec<u64>,
    u: Vec<f64>,
    v: Vec<f64>,
    supply: Vec<u64>,
    demand: Vec<u64>,
}

impl Network<'_> {
    /// Sends mass from `source` along the shortest path to a target with demand left, and restores the potentials.
    fn augment(&mut self, source: usize) {
        let (n, m) = (self.u.len(), self.v.len());
        // Sources reached: their distance, and the target before them (none before the first). Targets likewise.
        let mut row: Vec<Option<(f64, Option<usize>)>> = vec![None; n];
        let mut column = vec![(f64::INFINITY, source); m];
        let mut settled = vec![false; m];
        row[source] = Some((0.0, None));
        let mut fresh = vec![(source, 0.0)];
        let (end, length) = loop {
            for (i, distance) in fresh.drain(..) {
                for j in (0..m).filter(|&j| !settled[j]) {
                    let reduced = self.costs[i * m + j] - self.u[i] - self.v[j];
                    // Rounding may leave a reduced cost a little below zero.
                    let through = distance + reduced.max(0.0);
                    if through < column[j].0 {
                        column[j] = (through, i);
                    }
                }
            }
            // Supply is left, so demand is, and every target can be reached from every source.
            let open = (0..m).filter(|&j| !settled[j]);
            let Some(j) = open.min_by(|&a, &b| column[a].0.total_cmp(&column[b].0)) else { return };
            let distance = column[j].0;
            settled[j] = true;
            if self.demand[j] > 0 {
                break (j, distance);
            }
            // Flow into a full target can be sent back at reduced cost zero.
            for i in (0..n).filter(|&i| self.flow[i * m + j] > 0) {
                if row[i].is_none() {
                    row[i] = Some((distance, Some(j)));
                    fresh.push((i, distance));
                }
            }
        };
        for (u, reached) in self.u.iter_mut().zip(&row) {
            *u += reached.map_or(0.0, |(distance, _)| length - distance);
        }
        for j in (0..m).filter(|&j| settled[j]) {
            self.v[j] -= length - column[j].0;
        }
        // The path from its end: forward from `i` into `j`, backward out of the target before `i`.
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        let mut next = Some(end);
        while let Some(j) = next {
            let i = column[j].1;
            forward.push(i * m + j);
            next = row[i].and_then(|(_, before)| before);
            backward.extend(next.map(|before| i * m + before));
        }
        let spare = self.supply[source].min(self.demand[end]);
        let mass = backward.iter().map(|&at| self.flow[at]).fold(spare, u64::min);
        forward.into_iter().for_each(|at| self.flow[at] += mass);
        backward.into_iter().for_each(|at| self.flow[at] -= mass);
        self.supply[source] -= mass;
        self.demand[end] -= mass;
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasserstein_1d;
    use genera_rng::Rng;

    fn normal(seed: u64, n: usize, d: usize) -> Vec<f64> {
        Rng::new(seed).normal(n, d).iter().map(|v| f64::from(*v)).collect()
    }

    /// Feasible, dual feasible, and of equal value: optimal, whatever found it.
    fn certify(costs: &[f64], sources: &[u64], targets: &[u64]) -> f64 {
        let plan = transport(costs, sources, targets).unwrap();
        let m = targets.len();
        let total = sources.iter().sum::<u64>() as f64;
        let (mut out, mut into) = (vec![0; sources.len()], vec![0; m]);
        plan.flows.iter().for_each(|&(i, j, f)| {
            out[i] += f;
            into[j] += f;
        });
        assert_eq!((&out[..], &into[..]), (sources, targets));
        let scale = costs.iter().fold(1.0, |a: f64, b| a.max(b.abs()));
        for (at, cost) in costs.iter().enumerate() {
            let reduced = cost - plan.source_potentials[at / m] - plan.target_potentials[at % m];
            assert!(reduced >= -1e-12 * scale, "{reduced}");
        }
        let value = |masses: &[u64], duals: &[f64]| masses.iter().zip(duals).map(|(a, u)| *a as f64 * u).sum::<f64>();
        let dual = (value(sources, &plan.source_potentials) + value(targets, &plan.target_potentials)) / total;
        assert!((dual - plan.cost).abs() <= 1e-11 * scale, "{dual} against {}", plan.cost);
        plan.cost
    }

    #[test]
    fn by_hand() {
        assert_eq!(certify(&[0.0, 1.0, 1.0, 0.0], &[1, 1], &[1, 1]), 0.0);
        // Greedy would take 1 and then 10.
        assert_eq!(certify(&[1.0, 2.0, 2.0, 10.0], &[1, 1], &[1, 1]), 2.0);
        assert_eq!(certify(&[3.0, 5.0], &[4], &[1, 3]), 4.5);
        assert_eq!(certify(&[-1.0, 4.0, 2.0, -3.0], &[2, 0], &[1, 1]), 1.5);
    }

    #[test]
    fn every_permutation_of_six() {
        fn best(costs: &[f64], row: usize, free: &mut Vec<usize>) -> f64 {
            let m = 6;
            if row == m {
                return 0.0;
            }
            (0..free.len())
                .map(|k| {
                    let j = free.remove(k);
                    let cost = costs[row * m + j] + best(costs, row + 1, free);
                    free.insert(k, j);
                    cost
                })
                .fold(f64::INFINITY, f64::min)
        }
        for seed in 0..20 {
            // Small whole numbers: many ties.
            let costs: Vec<f64> = Rng::new(seed).below(36, 7).iter().map(|c| *c as f64).collect();
            let expected = best(&costs, 0, &mut (0..6).collect()) / 6.0;
            assert!((certify(&costs, &[1; 6], &[1; 6]) - expected).abs() < 1e-14);
        }
    }

    #[test]
    fn random_masses_are_certified() {
        for seed in 0..30 {
            let mut rng = Rng::new(seed);
            let (n, m) = (1 + rng.below(1, 25)[0], 1 + rng.below(1, 25)[0]);
            let costs = normal(seed, n, m);
            let sources: Vec<u64> = rng.below(n, 1000).iter().map(|mass| *mass as u64 + 1).collect();
            let mut targets: Vec<u64> = vec![0; m];
            sources.iter().enumerate().for_each(|(i, mass)| {
                targets[i % m] += mass / 3;
                targets[(7 * i + 3) % m] += mass - mass / 3;
            });
            certify(&costs, &sources, &targets);
        }
    }

    #[test]
    fn agrees_with_the_line_and_is_a_metric() {
        let (x, y, z) = (normal(1, 30, 1), normal(2, 40, 1), normal(3, 24, 1));
        let [x, y, z] = [&x, &y, &z].map(|values| Points::new(values, values.len(), 1).unwrap());
        for p in [1.0, 2.0, 3.0] {
            let distance = |a, b| wasserstein(a, b, p).unwrap();
            assert!((distance(&x, &y) - wasserstein_1d(&x, &y, p).unwrap()).abs() < 1e-12, "{p}");
            assert!((distance(&x, &y) - distance(&y, &x)).abs() < 1e-12);
            assert!(distance(&x, &z) <= distance(&x, &y) + distance(&y, &z));
            assert_eq!(distance(&x, &x), 0.0);
        }
        // A shift in the plane costs its length.
        let a = normal(4, 60, 2);
        let b: Vec<f64> = a.chunks_exact(2).rev().flat_map(|r| [r[0] + 0.3, r[1] - 0.4]).collect();
        let (a, b) = (Points::new(&a, 60, 2).unwrap(), Points::new(&b, 60, 2).unwrap());
        assert!((wasserstein(&a, &b, 2.0).unwrap() - 0.5).abs() < 1e-12);
    }

    #[test]
    fn refusals() {
        let refused = |costs: &[f64], a: &[u64], b: &[u64]| transport(costs, a, b).unwrap_err();
        assert!(matches!(refused(&[], &[], &[1]), MetricError::Empty { .. }));
        assert!(matches!(refused(&[1.0], &[1], &[1, 1]), MetricError::Length { .. }));
        for bad in [f64::NAN, f64::INFINITY, -1e301] {
            assert!(matches!(refused(&[bad], &[1], &[1]), MetricError::NotFinite { .. }));
        }
        assert!(matches!(refused(&[1.0], &[0], &[0]), MetricError::Parameter { .. }));
        assert!(matches!(refused(&[1.0], &[1], &[2]), MetricError::Parameter { .. }));
        assert!(matches!(refused(&[1.0; 2], &[u64::MAX; 2], &[1]), MetricError::Parameter { .. }));
        let far = Points::new(&[0.0, 1e38], 2, 1).unwrap();
        assert!(wasserstein(&far, &far, 9.0).is_err() && wasserstein(&far, &far, 0.0).is_err());
    }
}
