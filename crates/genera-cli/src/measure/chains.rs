//! Whether the chains that a model draws by have arrived, and what their steps are worth.

use genera::mcmc::Walk;
use genera_metrics::{ChainDiagnostics, chain_diagnostics};
use genera_rng::Rng;
use serde_json::json;

use super::{Plan, record};
use crate::data::numbers;
use crate::failure::Outcome;
use crate::recipe::Measure;
use crate::run::Score;

/// Chains that are followed, over the second half of their steps: the first half is for arriving.
const CHAINS: usize = 64;

/// Where chains were.
pub struct Followed {
    /// The steps after the first half, by coordinate and chain: `[F][CHAINS][steps]`.
    pub coordinates: Vec<Vec<Vec<f64>>>,
    /// The share of its proposals that each chain took, where they may be refused.
    pub acceptance: Option<Vec<f64>>,
}

/// Runs [`CHAINS`] chains and keeps where they were.
pub fn follow(walk: &dyn Walk, rng: &mut Rng) -> Outcome<Followed> {
    let first = walk.steps() / 2;
    let mut seen = Vec::new();
    let (_, acceptance) = walk.walk(CHAINS, rng, &mut |step, x| {
        if step >= first {
            seen.push(x.clone());
        }
    });
    let mut coordinates: Vec<Vec<Vec<f64>>> = Vec::new();
    for x in seen {
        let features = x.dims()[1];
        coordinates.resize(features, vec![Vec::new(); CHAINS]);
        for (at, value) in numbers(x)?.into_iter().enumerate() {
            coordinates[at % features][at / features].push(f64::from(value));
        }
    }
    Ok(Followed { coordinates, acceptance })
}

/// `r-hat@chains`, `effective-share@chains` and, where steps may be refused, `acceptance@chains`.
pub fn measure(walk: &dyn Walk, plan: &Plan<'_>) -> Outcome<Vec<Score>> {
    let Followed { coordinates, acceptance } = follow(walk, &mut Rng::new(plan.seed).fork("chains"))?;
    // Too few steps, or coordinates that never move or are no numbers, cannot be diagnosed.
    let found: Option<Vec<ChainDiagnostics>> = coordinates.iter().map(|one| chain_diagnostics(one).ok()).collect();
    let mut scores = Vec::new();
    let mut add = |measure: Measure, value: f64, details: serde_json::Value| {
        scores.push(Score { measure: measure.to_string(), value, baseline: None, record: record(&details) });
    };
    if let Some(found) = found.filter(|found| !found.is_empty()) {
        let draws = (found[0].chains * found[0].draws) as f64;
        let r_hat = found.iter().map(|one| one.r_hat).fold(0.0, f64::max);
        let effective = found.iter().map(|one| one.effective_size).fold(f64::INFINITY, f64::min);
        let details = json!({ "chains": found[0].chains, "draws": found[0].draws, "seed": plan.seed });
        add(Measure::RHat, r_hat, details.clone());
        add(Measure::EffectiveShare, effective / draws, details);
    }
    if let Some(acceptance) = acceptance.filter(|all| !all.is_empty()) {
        let mean = acceptance.iter().sum::<f64>() / acceptance.len() as f64;
        add(Measure::Acceptance, mean, json!({ "chains": acceptance.len(), "seed": plan.seed }));
    }
    Ok(scores)
}
