//! What a prior over codes is worth: how far samples are from data by it, and by codes drawn uniformly.

use genera::traits::Sample;
use genera_rng::Rng;
use serde_json::json;

use super::beholder::{Beholder, score};
use super::{Draw, Plan, Way};
use crate::failure::Outcome;
use crate::recipe::Measure;
use crate::run::Score;
use crate::seen::Seen;

/// `prior-gain@CLASSIFIER`: as many rows from `uniform` as `samples` has, drawn as `draw` draws, and both distances.
pub fn gain(
    draw: &Draw<'_>,
    uniform: &dyn Sample,
    beholder: &Beholder<'_>,
    samples: &Seen,
    plan: &Plan<'_>,
) -> Outcome<Score> {
    let plain = draw.by(Way::Direct(Box::new(|_| Box::new(uniform))));
    let drawn = plain.rows(samples.n, &Rng::new(plan.seed).fork("uniform-codes"))?;
    let (without, with) = (beholder.distance(&beholder.see(&drawn)?)?, beholder.distance(samples)?);
    let details = json!({ "n": samples.n, "uniform": without, "prior": with });
    Ok(score(Measure::PriorGain(beholder.name().to_owned()), without / with, None, None, &details))
}
