//! Points in the plane: maximum mean discrepancy to held-out points, and whether that is more than chance.

use genera_metrics::{Kernel, Points, mmd2_unbiased, permutation_test};
use genera_rng::Rng;
use serde_json::json;

use super::{Plan, Subject, record};
use crate::export::Drawn;
use crate::failure::Outcome;
use crate::recipe::Measure;
use crate::run::{Baseline, Score};

/// `mmd@held-out` beside that of two fresh draws of the density, and `mmd-p@held-out`.
pub fn measure(subject: &Subject<'_>, plan: &Plan<'_>, drawn: &Drawn) -> Outcome<Vec<Score>> {
    let data = subject.data;
    // A density can be drawn afresh; a set of points has only those that were held out.
    let held_out = match data.toy() {
        Some(toy) => toy.sample(drawn.n, &mut Rng::new(plan.seed).fork("held-out")).values().to_vec(),
        None => data.first_rows(data.held_out(), drawn.n)?,
    };
    let samples = Points::new(&drawn.rows, drawn.n, 2)?;
    let real = Points::new(&held_out, held_out.len() / 2, 2)?;
    let kernel = Kernel::around_median(&samples, &real)?;
    let test = permutation_test(
        &samples,
        &real,
        &kernel,
        subject.recipe.measure.permutations,
        &mut Rng::new(plan.seed).fork("permutations"),
    )?;
    let baseline = match data.toy() {
        Some(toy) => {
            let fresh = toy.sample(drawn.n, &mut Rng::new(plan.seed).fork("fresh")).values().to_vec();
            let value = mmd2_unbiased(&Points::new(&fresh, drawn.n, 2)?, &real, &kernel)?;
            Some(Baseline { of: "fresh draw".to_owned(), value })
        }
        None => None,
    };
    let details = record(&json!({
        "n": drawn.n, "test": test, "seed": plan.seed, "kernel": kernel,
        "held_out": if data.toy().is_some() { "a fresh draw of the density" } else { "the held-out rows" },
    }));
    Ok(vec![
        Score { measure: Measure::Mmd.to_string(), value: test.statistic, baseline, record: details.clone() },
        Score { measure: Measure::MmdP.to_string(), value: test.p_value, baseline: None, record: details },
    ])
}
