//! The permutation test of MMD: is the distance between two sets more than chance would give?
//!
//! ```text
//! p = (1 + #{b : MMD²_b ≥ MMD²}) / (1 + B)        MMD²_b: after the b-th random relabelling of the pooled rows
//! ```
//!
//! Under the hypothesis that both sets come from one distribution, P(p ≤ α) ≤ α for every n, m and B. Gretton et al.,
//! "A kernel two-sample test" (JMLR 2012); the added ones: Phipson and Smyth (arXiv:1603.05766).
//!
//! With z ∈ {0,1}ᴺ the membership in the smaller set, K the pooled kernel with a zero diagonal, and r = K1:
//! Σ_xx = zᵀKz, Σ_xy = zᵀr − Σ_xx, Σ_yy = 1ᵀr − 2zᵀr + Σ_xx. So each block of K is evaluated once, multiplied with all
//! relabellings together, and forgotten: time N²B, memory NB bytes, whatever N is.

use std::ops::Range;

use faer::MatRef;
use genera_rng::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::mmd::unbiased;
use crate::pairs::{LEFT, RIGHT, Rows, pieces, product};
use crate::{Kernel, MetricError, Points};

/// The outcome of a permutation test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PermutationTest {
    /// The unbiased MMD² of the two sets as given.
    pub statistic: f64,
    /// The probability of a statistic at least this large if both sets come from one distribution.
    pub p_value: f64,
    /// The number B of relabellings; the smallest possible p-value is 1/(1 + B).
    pub permutations: usize,
    /// Rows of the two sides.
    pub n: [usize; 2],
}

/// Tests whether `x` and `y` come from one distribution, by the unbiased MMD² and `permutations` relabellings.
///
/// The kernel must not depend on which rows are in which set (the median over the pooled rows does not).
///
/// # Errors
/// Different numbers of columns, fewer than two rows on a side, no permutations, or a kernel out of range.
pub fn permutation_test(
    x: &Points<'_>,
    y: &Points<'_>,
    kernel: &Kernel,
    permutations: usize,
    rng: &mut Rng,
) -> Result<PermutationTest, MetricError> {
    x.same_columns(y)?;
    x.at_least(2, "a permutation test")?;
    y.at_least(2, "a permutation test")?;
    kernel.check()?;
    require(permutations >= 1, "the number of permutations", permutations as f64, "at least 1")?;
    let pooled = x.stacked(y);
    let total = x.n() + y.n();
    let pooled = Points::new(&pooled, total, x.d())?;
    // The first labelling is the one observed; the statistic is symmetric, so membership means the smaller set.
    let (small, observed) = if x.n() <= y.n() { (x.n(), 0..x.n()) } else { (y.n(), x.n()..total) };
    let mut labels = Labels::new(total, permutations + 1);
    labels.set(0, observed);
    (1..=permutations).for_each(|b| labels.set(b, rng.permutation(total)[..small].iter().copied()));

    let sums = quadratic_forms(&pooled, kernel, &labels);
    let statistic = |b: usize| {
        let (within, row_sums) = (sums.within[b], sums.row_sums[b]);
        let rest = sums.all - 2.0 * row_sums + within;
        unbiased(within, rest, row_sums - within, small, total - small)
    };
    let first = statistic(0);
    // Equal labellings may differ by rounding: counting a tie as larger keeps the test valid.
    let rounding = 1e-12 * (sums.all.abs() / (total * total) as f64 + first.abs());
    let larger = (1..=permutations).filter(|&b| statistic(b) >= first - rounding).count();
    let p_value = (1 + larger) as f64 / (1 + permutations) as f64;
    Ok(PermutationTest { statistic: first, p_value, permutations, n: [x.n(), y.n()] })
}

/// Membership of each row under each labelling, `[N, B]`.
struct Labels {
    member: Vec<bool>,
    width: usize,
}

impl Labels {
    fn new(total: usize, width: usize) -> Self {
        Self { member: vec![false; total * width], width }
    }

    fn set(&mut self, labelling: usize, rows: impl IntoIterator<Item = usize>) {
        rows.into_iter().for_each(|row| self.member[row * self.width + labelling] = true);
    }

    fn rows(&self, range: Range<usize>) -> Vec<f64> {
        self.member[range.start * self.width..range.end * self.width].iter().map(|&m| f64::from(u8::from(m))).collect()
    }
}

/// zᵀKz and zᵀr for every labelling, and 1ᵀr.
struct Forms {
    within: Vec<f64>,
    row_sums: Vec<f64>,
    all: f64,
}

fn quadratic_forms(pooled: &Points<'_>, kernel: &Kernel, labels: &Labels) -> Forms {
    let width = labels.width;
    // K is symmetric: a strip takes its diagonal block, and what lies right of it twice (once as its mirror image).
    let strip = |range: Range<usize>| {
        let (left, left_labels) = (Rows::of(pooled, range.clone()), labels.rows(range.clone()));
        let mut forms = Forms { within: vec![0.0; width], row_sums: vec![0.0; width], all: 0.0 };
        let (mut buffer, mut product_buffer) = (Vec::new(), vec![0.0; left.len() * width]);
        let rest = pieces(pooled.n() - range.end, RIGHT).map(|right| range.end + right.start..range.end + right.end);
        for right in std::iter::once(range.clone()).chain(rest) {
            let (rows, right_labels) = (Rows::of(pooled, right.clone()), labels.rows(right.clone()));
            let block = kernel.block(&left, &rows, &mut buffer);
            let mirrored = right != range;
            if !mirrored {
                block.iter_mut().step_by(rows.len() + 1).for_each(|value| *value = 0.0);
            }
            let twice = if mirrored { 2.0 } else { 1.0 };
            let weights = MatRef::from_row_major_slice(&right_labels, rows.len(), width);
            product(MatRef::from_row_major_slice(block, left.len(), rows.len()), weights, &mut product_buffer);
            for (kz, z) in product_buffer.chunks_exact(width).zip(left_labels.chunks_exact(width)) {
                forms.within.iter_mut().zip(kz.iter().zip(z)).for_each(|(sum, (kz, z))| *sum += twice * kz * z);
                if mirrored {
                    forms.row_sums.iter_mut().zip(kz).for_each(|(sum, kz)| *sum += kz);
                }
            }
            for (row, z) in block.chunks_exact(rows.len()).zip(left_labels.chunks_exact(width)) {
                let row_sum: f64 = row.iter().sum();
                forms.all += twice * row_sum;
                forms.row_sums.iter_mut().zip(z).for_each(|(sum, z)| *sum += row_sum * z);
            }
        }
        forms
    };
    let strips: Vec<Forms> = pieces(pooled.n(), LEFT).collect::<Vec<_>>().into_par_iter().map(strip).collect();
    let zero = Forms { within: vec![0.0; width], row_sums: vec![0.0; width], all: 0.0 };
    strips.into_iter().fold(zero, |mut total, strip| {
        total.within.iter_mut().zip(strip.within).for_each(|(a, b)| *a += b);
        total.row_sums.iter_mut().zip(strip.row_sums).for_each(|(a, b)| *a += b);
        total.all += strip.all;
        total
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mmd2_unbiased;

    fn normal(seed: u64, n: usize, shift: f32) -> Vec<f32> {
        Rng::new(seed).normal(n, 2).iter().map(|v| v + shift).collect()
    }

    #[test]
    fn the_statistic_is_the_unbiased_mmd_whichever_side_is_smaller() {
        for (n, m) in [(30, 700), (700, 30), (5, 5)] {
            let (x, y) = (normal(1, n, 0.0), normal(2, m, 0.4));
            let (x, y) = (Points::new(&x, n, 2).unwrap(), Points::new(&y, m, 2).unwrap());
            for kernel in [Kernel::gaussian(1.0), Kernel::cubic()] {
                let test = permutation_test(&x, &y, &kernel, 10, &mut Rng::new(3)).unwrap();
                let plain = mmd2_unbiased(&x, &y, &kernel).unwrap();
                assert!((test.statistic - plain).abs() < 1e-10 * (1.0 + plain.abs()), "{n} {m}");
            }
        }
    }

    #[test]
    fn every_relabelling_of_a_tiny_set() {
        // {0, 1} against {10, 11}: of the 6 labellings, 2 (this and its mirror) separate, so p → 1/3.
        let (x, y) = (Points::new(&[0.0, 1.0], 2, 1).unwrap(), Points::new(&[10.0, 11.0], 2, 1).unwrap());
        let test = permutation_test(&x, &y, &Kernel::gaussian(3.0), 6000, &mut Rng::new(1)).unwrap();
        // Five standard errors of 6000 draws.
        assert!((test.p_value - 1.0 / 3.0).abs() < 0.031, "{test:?}");
        // Equal sets have the smallest statistic of all labellings.
        let same = permutation_test(&x, &x, &Kernel::gaussian(3.0), 200, &mut Rng::new(1)).unwrap();
        assert_eq!(same.p_value, 1.0);
    }

    #[test]
    fn p_values_are_uniform_under_the_hypothesis_and_small_against_it() {
        let p = |seed: u64, shift: f32| {
            let (x, y) = (normal(2 * seed, 40, 0.0), normal(2 * seed + 1, 30, shift));
            let (x, y) = (Points::new(&x, 40, 2).unwrap(), Points::new(&y, 30, 2).unwrap());
            permutation_test(&x, &y, &Kernel::median(&x, &y).unwrap(), 99, &mut Rng::new(seed)).unwrap().p_value
        };
        let null: Vec<f64> = (0..400).map(|seed| p(seed, 0.0)).collect();
        // P(p ≤ α) = α for α a multiple of 1/100; four standard errors of 400 trials.
        for alpha in [0.05, 0.2, 0.5, 0.8_f64] {
            let fraction = null.iter().filter(|&&p| p <= alpha + 1e-9).count() as f64 / 400.0;
            assert!((fraction - alpha).abs() < 4.0 * (alpha * (1.0 - alpha) / 400.0).sqrt(), "{alpha}: {fraction}");
        }
        assert!((1000..1010).all(|seed| p(seed, 2.0) == 0.01));
    }

    #[test]
    fn bits_do_not_depend_on_threads_and_it_is_fast() {
        let (x, y) = (normal(5, 1000, 0.0), normal(6, 300, 0.1));
        let (x, y) = (Points::new(&x, 1000, 2).unwrap(), Points::new(&y, 300, 2).unwrap());
        let kernel = Kernel::median(&x, &y).unwrap();
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| permutation_test(&x, &y, &kernel, 500, &mut Rng::new(1)).unwrap())
        };
        let start = std::time::Instant::now();
        let one = on(1);
        println!("1000 against 300 points, 500 permutations, one thread: {:?}", start.elapsed());
        assert_eq!(one, on(3));
    }

    #[test]
    fn refusals() {
        let (x, one) = (Points::new(&[0.0, 1.0], 2, 1).unwrap(), Points::new(&[0.0], 1, 1).unwrap());
        let (kernel, rng) = (Kernel::gaussian(1.0), &mut Rng::new(0));
        assert!(matches!(permutation_test(&x, &one, &kernel, 9, rng), Err(MetricError::TooFew { .. })));
        assert!(permutation_test(&x, &x, &kernel, 0, rng).is_err());
        assert!(permutation_test(&x, &Points::new(&[0.0; 4], 2, 2).unwrap(), &kernel, 9, rng).is_err());
    }
}
