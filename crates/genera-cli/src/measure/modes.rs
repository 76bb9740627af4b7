//! Which modes of a known mixture samples cover.

use genera_metrics::{Mode, Points, modes};
use serde_json::json;

use super::{Plan, Subject, record};
use crate::data::Data;
use crate::export::Drawn;
use crate::failure::Outcome;
use crate::recipe::Measure;
use crate::run::{Baseline, Score};

/// `modes@samples` and `near-modes@samples`, for mixtures of several round Gaussians; nothing for other data.
pub fn measure(subject: &Subject<'_>, plan: &Plan<'_>, drawn: &Drawn) -> Outcome<Vec<Score>> {
    let Some(known) = known(subject.data) else { return Ok(Vec::new()) };
    let width = known[0].centre.len();
    let found = modes(&Points::new(&drawn.rows, drawn.n, width)?, &known)?;
    let centres: Vec<&[f64]> = known.iter().map(|mode| mode.centre.as_slice()).collect();
    let weights: Vec<f64> = known.iter().map(|mode| mode.weight).collect();
    let details = record(&json!({
        "n": drawn.n, "seed": plan.seed, "modes": known.len(), "shares": found.shares, "centres": centres,
        "weights": weights,
    }));
    let score = |measure: Measure, value: f64, baseline: f64| Score {
        measure: measure.to_string(),
        value,
        baseline: Some(Baseline { of: "the density itself".to_owned(), value: baseline }),
        record: details.clone(),
    };
    // Of a Gaussian in the plane 1 − e^{−9/2} is within three deviations; on the line erf(3/√2).
    let itself = if width == 2 { 1.0 - (-4.5_f64).exp() } else { 0.997_300_203_936_74 };
    Ok(vec![
        score(Measure::Modes, found.covered as f64, known.len() as f64),
        score(Measure::NearModes, found.near, itself),
    ])
}

/// Whether the data are a mixture whose modes are known.
pub fn are_known(data: &Data) -> bool {
    known(data).is_some()
}

/// How many modes the samples cover, of how many; none where they are not known.
pub fn covered(data: &Data, drawn: &Drawn) -> Outcome<Option<[usize; 2]>> {
    let Some(known) = known(data) else { return Ok(None) };
    let found = modes(&Points::new(&drawn.rows, drawn.n, known[0].centre.len())?, &known)?;
    Ok(Some([found.covered, known.len()]))
}

/// The modes of the data, where they are several and round.
fn known(data: &Data) -> Option<Vec<Mode>> {
    let mixture = match (data.toy(), data.line()) {
        (Some(toy), _) => toy.density().mixture()?.clone(),
        (None, Some(line)) => line.density(),
        (None, None) => return None,
    };
    let d = mixture.dims();
    let mode = |k: usize| {
        let covariance = mixture.covariance(k);
        let variance = covariance[0];
        let round = (0..d * d).all(|at| {
            let expected = if at / d == at % d { variance } else { 0.0 };
            (covariance[at] - expected).abs() < 1e-12 * variance
        });
        let centre = mixture.means()[k * d..(k + 1) * d].to_vec();
        round.then(|| Mode { centre, deviation: variance.sqrt(), weight: mixture.weights()[k] })
    };
    let modes: Vec<Mode> = (0..mixture.weights().len()).map(mode).collect::<Option<_>>()?;
    (modes.len() > 1).then_some(modes)
}
