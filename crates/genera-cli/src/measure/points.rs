//! Rows of tables, most often points in the plane: maximum mean discrepancy to held-out points, and whether that is more than chance.
//!
//! A test at the level of 5 % fails a perfect model once in twenty draws, so one draw decides little. Where the density
//! can be drawn afresh, the samples are tested in groups, each against a fresh draw of its own, and the median p-value
//! counts: of five, it is below 0.05 for one perfect model in a thousand.

use genera_metrics::{Kernel, PermutationTest, Points, mmd2_unbiased, permutation_test};
use genera_rng::Rng;
use serde_json::json;

use super::beholder::Beholder;
use super::{Plan, Subject, record};
use crate::failure::Outcome;
use crate::recipe::Measure;
use crate::run::{Baseline, Score};
use crate::seen::Seen;

/// Samples of one test, about.
const GROUP: usize = 1000;

/// `mmd@held-out` beside that of two fresh draws of the density, `mmd-p@held-out`, and what a beholder of points says.
pub fn measure(subject: &Subject<'_>, beholder: &Beholder<'_>, samples: &Seen, plan: &Plan<'_>) -> Outcome<Vec<Score>> {
    let mut scores = discrepancy(subject, beholder, samples, plan)?;
    scores.extend(beholder.measure(samples, plan)?);
    Ok(scores)
}

fn discrepancy(subject: &Subject<'_>, beholder: &Beholder<'_>, drawn: &Seen, plan: &Plan<'_>) -> Outcome<Vec<Score>> {
    let (toy, d) = (subject.data.toy(), drawn.d);
    let rng = Rng::new(plan.seed);
    // A set of points has only those that were held out.
    let groups = if toy.is_some() { (drawn.n / GROUP).max(1) } else { 1 };
    let group = drawn.n.div_ceil(groups);
    let fresh = |name: &str, at: usize, n: usize| {
        toy.map(|toy| toy.sample(n, &mut rng.fork(name).rows_from((at * group) as u64)).values().to_vec())
    };
    let mut tests: Vec<PermutationTest> = Vec::new();
    let mut between_fresh = Vec::new();
    for (at, samples) in drawn.features.chunks(d * group).enumerate() {
        let n = samples.len() / d;
        let held_out = match fresh("held-out", at, n) {
            Some(fresh) => fresh,
            None => beholder.held_out.features[..beholder.held_out.n.min(drawn.n) * d].to_vec(),
        };
        let samples = Points::new(samples, n, d)?;
        let real = Points::new(&held_out, held_out.len() / d, d)?;
        let kernel = Kernel::around_median(&samples, &real)?;
        let permutations = subject.recipe.measure.permutations;
        tests.push(permutation_test(&samples, &real, &kernel, permutations, &mut rng.fork("permutations"))?);
        if let Some(fresh) = fresh("fresh", at, n) {
            between_fresh.push(mmd2_unbiased(&Points::new(&fresh, n, d)?, &real, &kernel)?);
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let statistic = mean(&tests.iter().map(|test| test.statistic).collect::<Vec<_>>());
    let mut p_values: Vec<f64> = tests.iter().map(|test| test.p_value).collect();
    p_values.sort_by(f64::total_cmp);
    let details = record(&json!({
        "n": drawn.n, "groups": groups, "tests": tests, "seed": plan.seed,
        "held_out": if toy.is_some() { "a fresh draw of the density for each group" } else { "the held-out rows" },
    }));
    let baseline = toy.map(|_| Baseline { of: "fresh draws".to_owned(), value: mean(&between_fresh) });
    Ok(vec![
        Score { measure: Measure::Mmd.to_string(), value: statistic, baseline, record: details.clone() },
        Score { measure: Measure::MmdP.to_string(), value: median(&p_values), baseline: None, record: details },
    ])
}

/// The middle of sorted values, or the mean of the two in the middle.
fn median(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { 0.5 * (sorted[half - 1] + sorted[half]) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(
            [super::median(&[3.0]), super::median(&[1.0, 2.0, 9.0]), super::median(&[1.0, 2.0])],
            [3.0, 2.0, 1.5]
        );
    }
}
