//! Drawing with more and more caution or guidance: precision rises, recall falls, and the report shows where the model
//! stands.

use std::str::FromStr;

use genera::Caution;
use genera::diffusion::Guidance;
use genera_metrics::frechet;
use genera_rng::Rng;

use super::beholder::Beholder;
use super::classifier::agreement;
use super::{Draw, Plan, Subject, Way};
use crate::data::numbers;
use crate::export::Drawn;
use crate::failure::{Failure, Outcome};
use crate::run::{Sweep, SweepPoint};

/// A dial.
struct Kind {
    /// What it is asked for by; a model has at most one of those that share this.
    asked: &'static str,
    /// What the sweep is called.
    name: &'static str,
    dial: Dial,
    /// The values that are tried if none are named: of caution the last is (next to) the model itself, of guidance 1.
    usual: &'static [f64],
}

/// What is turned.
#[derive(Clone, Copy)]
enum Dial {
    /// How a model draws.
    Caution(fn(f64) -> Caution),
    /// How strongly a chain is drawn towards the classes that it is told.
    Guidance,
}

const KINDS: [Kind; 4] = [
    Kind {
        asked: "temperature",
        name: "temperature",
        dial: Dial::Caution(Caution::Temperature),
        usual: &[0.3, 0.5, 0.7, 0.8, 0.9, 1.0],
    },
    Kind {
        asked: "truncation",
        name: "truncation",
        dial: Dial::Caution(Caution::Truncation),
        usual: &[0.3, 0.6, 1.0, 1.5, 2.0, 4.0],
    },
    Kind {
        asked: "truncation",
        name: "truncation of styles",
        dial: Dial::Caution(Caution::Style),
        usual: &[0.3, 0.5, 0.7, 0.85, 1.0],
    },
    Kind { asked: "guidance", name: "guidance", dial: Dial::Guidance, usual: &[0.0, 1.0, 2.0, 4.0, 8.0] },
];

/// What `--sweep` asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepRequest {
    /// What one of the kinds is asked for by; all that the model has, if it is not said.
    kind: Option<&'static str>,
    /// The values; the usual ones, if they are not said.
    values: Vec<f64>,
}

impl SweepRequest {
    fn asks_for(&self, kind: &Kind) -> bool {
        self.kind.is_none_or(|asked| asked == kind.asked)
    }
}

impl FromStr for SweepRequest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self { kind: None, values: Vec::new() });
        }
        let (name, values) = text.split_once('=').map_or((text, None), |(name, values)| (name, Some(values)));
        let kind = KINDS.iter().map(|kind| kind.asked).find(|known| *known == name);
        let kind = kind.ok_or_else(|| format!("`{name}` is neither temperature, truncation, guidance nor all"))?;
        // No guidance at all is one of its values.
        let least = kind == "guidance";
        let value = |text: &str| match text.trim().parse::<f64>() {
            Ok(value) if (value > 0.0 || least && value == 0.0) && value.is_finite() => Ok(value),
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
    let has = |kind: &Kind| match kind.dial {
        Dial::Caution(caution) => cautious.is_some_and(|model| model.with_caution(caution(1.0)).is_some()),
        Dial::Guidance => subject.recipe.model.is_guidable(),
    };
    for request in requests {
        if !KINDS.iter().any(|kind| request.asks_for(kind) && has(kind)) {
            let asked = request.kind.unwrap_or("caution");
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
        for kind in &KINDS {
            let Kind { name, dial, usual, .. } = kind;
            if !request.asks_for(kind) {
                continue;
            }
            let values: &[f64] = if request.values.is_empty() { usual } else { request.values.as_slice() };
            let points = values.iter().map(|at| {
                let Some(drawn) = drawn(subject, draw, plan, *dial, *at)? else { return Ok(None) };
                tell(format!("{name} {at}"));
                point(&drawn, beholder, *at).map(Some)
            });
            let Some(points) = points.collect::<Outcome<Option<Vec<SweepPoint>>>>()? else { continue };
            let (n, by) = (subject.recipe.measure.samples, beholder.name().to_owned());
            sweeps.retain(|sweep| sweep.kind != *name);
            sweeps.push(Sweep { kind: (*name).to_owned(), by, n, seed: plan.seed, points });
        }
    }
    Ok(sweeps)
}

/// Samples at one value, from the same noise at every value; none if the model has no such dial.
fn drawn(subject: &Subject<'_>, draw: &Draw<'_>, plan: &Plan<'_>, dial: Dial, at: f64) -> Outcome<Option<Drawn>> {
    let (n, rng) = (subject.recipe.measure.samples, Rng::new(plan.seed).fork("sweep"));
    let caution = match (dial, &draw.way) {
        (Dial::Caution(caution), _) => caution(at),
        (Dial::Guidance, Way::Chain { sampler, .. }) if subject.recipe.model.is_guidable() => {
            let guidance = Guidance { scale: at, ..sampler.guidance.unwrap_or_else(|| Guidance::of(at)) };
            return Ok(Some(draw.guided(guidance).rows(n, &rng)?));
        }
        (Dial::Guidance, _) => return Ok(None),
    };
    let cautious = subject.trainee.view().cautious;
    let Some(sampler) = cautious.and_then(|model| model.with_caution(caution)) else { return Ok(None) };
    let mut rows = Vec::new();
    for first in (0..n).step_by(draw.chunk) {
        rows.extend(numbers(sampler.sample(draw.chunk.min(n - first), &mut rng.rows_from(first as u64)))?);
    }
    if let Some(value) = rows.iter().find(|value| !value.is_finite()) {
        return Err(Failure::new(format!("a sample drawn with {caution:?} holds {value}; the model diverged")));
    }
    Ok(Some(draw.drawn(rows, None)))
}

/// The measures of samples drawn at one value.
fn point(drawn: &Drawn, beholder: &Beholder<'_>, at: f64) -> Outcome<SweepPoint> {
    let samples = beholder.see(drawn)?;
    let balls = beholder.balls(&samples)?;
    let distance = frechet(&beholder.held_out.points()?, &samples.points()?, beholder.name())?;
    Ok(SweepPoint {
        at,
        accuracy: drawn.labels.as_deref().and_then(|labels| agreement(&samples, labels.iter().copied())),
        precision: balls.precision,
        recall: balls.recall,
        density: balls.density,
        coverage: balls.coverage,
        frechet: distance.value,
    })
}

#[cfg(test)]
mod tests {
    use super::SweepRequest;

    #[test]
    fn requests_are_read_and_nonsense_is_refused() {
        let read = |text: &str| text.parse::<SweepRequest>();
        assert_eq!(read("all").unwrap(), SweepRequest { kind: None, values: vec![] });
        assert_eq!(read("truncation").unwrap(), SweepRequest { kind: Some("truncation"), values: vec![] });
        assert_eq!(read("guidance=4,0").unwrap(), SweepRequest { kind: Some("guidance"), values: vec![0.0, 4.0] });
        let values = read("temperature=1, 0.5").unwrap();
        assert_eq!(values, SweepRequest { kind: Some("temperature"), values: vec![0.5, 1.0] });
        for nonsense in ["", "temp", "temperature=", "temperature=x", "temperature=0", "truncation=-1", "all=1"] {
            assert!(read(nonsense).is_err(), "{nonsense}");
        }
    }
}
