//! The variational bound on held-out rows, as a likelihood that says what it is.

use genera_metrics::{Dequantisation, Likelihood, LikelihoodKind, LogJacobian, Protocol};
use genera_rng::Rng;

use super::{Plan, Subject, record};
use crate::data::tensor;
use crate::failure::Outcome;
use crate::recipe::Measure;
use crate::run::Score;

/// Rows at a time.
const CHUNK: usize = 64;

/// `nats@held-out` and, for grey levels, `bits-per-dimension@held-out`.
pub fn measure(subject: &Subject<'_>, plan: &Plan<'_>) -> Outcome<Vec<Score>> {
    let (data, view) = (subject.data, subject.trainee.view());
    let Some(model) = view.lower_bound else { return Ok(Vec::new()) };
    let features = data.held_out().features();
    let rows = data.first_rows(data.held_out(), subject.recipe.measure.likelihood_rows)?;
    let rng = Rng::new(plan.seed).fork("bound");
    let mut nats = Vec::new();
    for (chunk, first) in rows.chunks(CHUNK * features).zip((0..).step_by(CHUNK)) {
        nats.extend(model.lower_bound(tensor(chunk.to_vec(), features, subject.device), &mut rng.rows_from(first)));
    }
    // A decoder of grey levels gives probabilities of the levels themselves; points have a density.
    let dequantisation = match data.levels() {
        Some(levels) => Dequantisation::None { levels: levels.into() },
        None => Dequantisation::Continuous,
    };
    let protocol = Protocol {
        kind: LikelihoodKind::LowerBound,
        dequantisation,
        preprocessing: "none".to_owned(),
        dims: features,
        seed: plan.seed,
    };
    let likelihood = Likelihood::of_rows(&nats, LogJacobian::Constant(0.0), protocol)?;
    let score = |measure: Measure, value: f64, standard_error: f64| {
        let mut details = record(&likelihood);
        // The record's own is in nats.
        details.insert("standard_error".to_owned(), standard_error.into());
        Score { measure: measure.to_string(), value, baseline: None, record: details }
    };
    let nats = score(Measure::Nats, likelihood.nats, likelihood.standard_error);
    let bits = likelihood.bits_per_dim().zip(likelihood.bits_per_dim_standard_error());
    let bits = bits.map(|(value, standard_error)| score(Measure::BitsPerDimension, value, standard_error));
    Ok([nats].into_iter().chain(bits).collect())
}
