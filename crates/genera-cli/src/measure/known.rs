//! What can be said of samples and scores where the density is known: which component samples belong to, and how far a
//! learnt score is from the true one.

use genera::score::fisher_divergence;
use genera_rng::Rng;
use serde_json::json;

use super::{Plan, Subject, record};
use crate::data::tensor;
use crate::export::Drawn;
use crate::failure::Outcome;
use crate::family::{Family, KnownScore};
use crate::recipe::Measure;
use crate::run::{Baseline, Score as Measured};

/// Fresh points of a known density.
const FRESH: usize = 2000;

/// `heaviest-component@samples`: the share of samples that most likely come from the heaviest part of a known mixture.
pub fn components(subject: &Subject<'_>, drawn: &Drawn) -> Option<Measured> {
    let density = subject.data.toy()?.density();
    let weights = density.component_weights()?.to_vec();
    let heaviest = (0..weights.len()).max_by(|a, b| weights[*a].total_cmp(&weights[*b]))?;
    // Among equals, the first says nothing.
    if weights.iter().filter(|weight| **weight == weights[heaviest]).count() > 1 {
        return None;
    }
    let points = drawn.rows.chunks_exact(2).map(|x| [f64::from(x[0]), f64::from(x[1])]);
    let there = points.filter(|x| density.likeliest_component(*x) == Some(heaviest)).count();
    let share = there as f64 / drawn.n as f64;
    let error = (share * (1.0 - share) / drawn.n as f64).sqrt();
    Some(Measured {
        measure: Measure::HeaviestComponent.to_string(),
        value: share,
        baseline: Some(Baseline { of: "the density itself".to_owned(), value: weights[heaviest] }),
        record: record(&json!({ "n": drawn.n, "standard_error": error })),
    })
}

/// `fisher@fresh`: the relative Fisher divergence of a learnt score from that of a known density, on fresh points.
pub fn fisher(subject: &Subject<'_>, plan: &Plan<'_>) -> Outcome<Option<Measured>> {
    let (Some(toy), Some(score)) = (subject.data.toy(), subject.trainee.view().score) else { return Ok(None) };
    if matches!(subject.recipe.model, Family::Langevin(_)) {
        // The score that is known is the true one.
        return Ok(None);
    }
    let fresh = toy.sample(FRESH, &mut Rng::new(plan.seed).fork("held-out")).values().to_vec();
    let density = toy.density();
    let found = fisher_divergence(score, &KnownScore(&density), tensor(fresh, 2, subject.device));
    if !found.relative.is_finite() {
        // A density with edges has no score everywhere.
        return Ok(None);
    }
    let details = json!({ "n": FRESH, "divergence": found.divergence, "seed": plan.seed });
    let record = record(&details);
    Ok(Some(Measured { measure: Measure::Fisher.to_string(), value: found.relative, baseline: None, record }))
}
