//! What the latents of an autoencoder carry.

use genera::vae::Diagnostics;
use genera_rng::Rng;
use serde_json::json;

use super::{Plan, Subject, record};
use crate::data::tensor;
use crate::failure::Outcome;
use crate::recipe::Measure;
use crate::run::Score;

/// Rows that are looked at: their number squared is the cost, and its logarithm the most that can be seen.
const ROWS: usize = 1000;

/// Of the first held-out rows; none of models without a Gaussian posterior.
pub fn diagnostics(subject: &Subject<'_>, rng: &mut Rng) -> Outcome<Option<Diagnostics>> {
    let held_out = subject.data.held_out();
    let rows = subject.data.first_rows(held_out, ROWS)?;
    Ok(subject.trainee.offers().diagnostics(tensor(rows, held_out.features(), subject.device), rng))
}

/// `active-units`, `mutual-information` and `aggregate-divergence`.
pub fn measure(subject: &Subject<'_>, plan: &Plan<'_>) -> Outcome<Vec<Score>> {
    let Some(found) = diagnostics(subject, &mut Rng::new(plan.seed).fork("latents"))? else { return Ok(Vec::new()) };
    let details = record(&json!({
        "rows": subject.data.held_out().len().min(ROWS), "seed": plan.seed, "latents": found.spread.len(),
        "spread": found.spread, "divergence": found.divergence,
    }));
    let measures = [
        (Measure::ActiveUnits, found.active_units() as f64),
        (Measure::MutualInformation, found.surgery.information),
        (Measure::AggregateDivergence, found.surgery.aggregate),
    ];
    let score = |(measure, value): (Measure, f64)| Score {
        measure: measure.to_string(),
        value,
        baseline: None,
        record: details.clone(),
    };
    Ok(measures.map(score).into())
}
