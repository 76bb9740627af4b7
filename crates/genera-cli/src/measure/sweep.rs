//! Drawing with more and more caution: precision rises, recall falls, and the report shows where the model stands.

use std::str::FromStr;

use genera::Caution;
use genera_metrics::frechet;
use genera_rng::Rng;

use super::beholder::Beholder;
use super::{Draw, Plan, Subject};
use crate::data::numbers;
use crate::failure::{Failure, Outcome};
use crate::run::{Sweep, SweepPoint};

/// Name, constructor, usual values.
type Kind = (&'static str, fn(f64) -> Caution, &'static [f64]);

/// The kinds of caution, and the values that are tried if none are named: the last is (next to) the model itself.
const KINDS: [Kind; 2] = [
    ("temperature", Caution::Temperature, &[0.3, 0.5, 0.7, 0.8, 0.9, 1.0]),
    ("truncation", Caution::Truncation, &[0.3, 0.6, 1.0, 1.5, 2.0, 4.0]),
];

/// What `--sweep` asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepRequest {
    /// One of the kinds; all that the model has, if it is not said.
    kind: Option<usize>,
    /// The values; the usual ones, if they are not said.
    values: Vec<f64>,
}

impl FromStr for SweepRequest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self { kind: None, values: Vec::new() });
        }
        let (name, values) = text.split_once('=').map_or((text, None), |(name, values)| (name, Some(values)));
        let kind = KINDS.iter().position(|(known, ..)| *known == name);
        let kind = kind.ok_or_else(|| format!("`{name}` is neither temperature, truncation nor all"))?;
        let value = |text: &str| match text.trim().parse::<f64>() {
            Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
            _ => Err(format!("`{text}` is no positive number")),
        };
        let values = values.map(|values| values.split(',').map(value).collect::<Result<Vec<f64>, _>>());
        let mut values = values.transpose()?.unwrap_or_default();
        values.sort_by(f64::total_cmp);
        Ok(Self { kind: Some(kind), values })
    }
}

/// Whether the model has what is to be turned down; before any work.
pub fn check(subject: &Subject<'_>, requests: &[SweepRequest]) -> Outcome {
    let cautious = subject.trainee.view().cautious;
    let has = |kind: usize| cautious.is_some_and(|model| model.with_caution(KINDS[kind].1(1.0)).is_some());
    for request in requests {
        let found = match request.kind {
            Some(kind) => has(kind),
            None => (0..KINDS.len()).any(has),
        };
        if !found {
            let asked = request.kind.map_or("caution", |kind| KINDS[kind].0);
            return Err(Failure::Usage(format!("--sweep: {} has no {asked} to turn down", subject.recipe.name)));
        }
    }
    Ok(())
}

/// Every sweep that is asked for, of the model's own samples.
pub fn measure(
    subject: &Subject<'_>,
    draw: &Draw<'_>,
    beholder: &Beholder<'_>,
    plan: &Plan<'_>,
    tell: &mut dyn FnMut(String),
) -> Outcome<Vec<Sweep>> {
    let mut sweeps: Vec<Sweep> = Vec::new();
    for request in plan.sweeps {
        for (index, (kind, caution, usual)) in KINDS.iter().enumerate() {
            if request.kind.is_some_and(|kind| kind != index) {
                continue;
            }
            let values = if request.values.is_empty() { usual } else { request.values.as_slice() };
            let points = values.iter().map(|at| {
                let point = point(subject, draw, beholder, plan, caution(*at), *at);
                if let Ok(Some(_)) = point {
                    tell(format!("{kind} {at}"));
                }
                point
            });
            let Some(points) = points.collect::<Outcome<Option<Vec<SweepPoint>>>>()? else { continue };
            let (n, by) = (subject.recipe.measure.samples, beholder.name().to_owned());
            sweeps.retain(|sweep| sweep.kind != *kind);
            sweeps.push(Sweep { kind: (*kind).to_owned(), by, n, seed: plan.seed, points });
        }
    }
    Ok(sweeps)
}

/// The measures at one value; none if the model does not draw with such caution.
fn point(
    subject: &Subject<'_>,
    draw: &Draw<'_>,
    beholder: &Beholder<'_>,
    plan: &Plan<'_>,
    caution: Caution,
    at: f64,
) -> Outcome<Option<SweepPoint>> {
    let cautious = subject.trainee.view().cautious;
    let Some(sampler) = cautious.and_then(|model| model.with_caution(caution)) else { return Ok(None) };
    let n = subject.recipe.measure.samples;
    // The same noise at every value.
    let rng = Rng::new(plan.seed).fork("sweep");
    let mut rows = Vec::new();
    for first in (0..n).step_by(draw.chunk) {
        rows.extend(numbers(sampler.sample(draw.chunk.min(n - first), &mut rng.rows_from(first as u64)))?);
    }
    if let Some(value) = rows.iter().find(|value| !value.is_finite()) {
        return Err(Failure::new(format!("a sample drawn with {caution:?} holds {value}; the model diverged")));
    }
    let samples = beholder.see(&draw.drawn(rows, None))?;
    let balls = beholder.balls(&samples)?;
    let distance = frechet(&beholder.held_out.points()?, &samples.points()?, beholder.name())?;
    Ok(Some(SweepPoint {
        at,
        precision: balls.precision,
        recall: balls.recall,
        density: balls.density,
        coverage: balls.coverage,
        frechet: distance.value,
    }))
}

#[cfg(test)]
mod tests {
    use super::SweepRequest;

    #[test]
    fn requests_are_read_and_nonsense_is_refused() {
        let read = |text: &str| text.parse::<SweepRequest>();
        assert_eq!(read("all").unwrap(), SweepRequest { kind: None, values: vec![] });
        assert_eq!(read("truncation").unwrap(), SweepRequest { kind: Some(1), values: vec![] });
        let values = read("temperature=1, 0.5").unwrap();
        assert_eq!(values, SweepRequest { kind: Some(0), values: vec![0.5, 1.0] });
        for nonsense in ["", "temp", "temperature=", "temperature=x", "temperature=0", "truncation=-1", "all=1"] {
            assert!(read(nonsense).is_err(), "{nonsense}");
        }
    }
}
