//! Drawing with more and more caution or guidance: precision rises, recall falls, and the report shows where the model
//! stands. Or in more and more steps: what samples are worth, and what they cost.

use std::str::FromStr;

use genera::Caution;
use genera::diffusion::{Levels, Sampler};
use genera_metrics::frechet;
use genera_rng::Rng;

use super::beholder::Beholder;
use super::classifier::agreement;
use super::evaluations::counted;
use super::{Draw, Plan, Subject, Way};
use crate::data::numbers;
use crate::export::Drawn;
use crate::failure::{Failure, Outcome};
use crate::run::{STEPS, Sweep, SweepPoint};
use crate::solver::{self, Choice};

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
    /// How strongly samples are drawn towards the classes that the model is told.
    Guidance,
    /// How many steps a solver takes.
    Steps,
}

const KINDS: [Kind; 5] = [
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
    Kind { asked: "steps", name: "steps", dial: Dial::Steps, usual: &[5.0, 10.0, 20.0, 50.0, 100.0] },
];

/// What `--sweep` asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepRequest {
    /// What one of the kinds is asked for by; all that the model has but steps, which cost more than they turn down, if it
    /// is not said.
    kind: Option<&'static str>,
    /// The values; the usual ones, if they are not said.
    values: Vec<f64>,
}

impl SweepRequest {
    fn asks_for(&self, kind: &Kind) -> bool {
        self.kind.map_or(!matches!(kind.dial, Dial::Steps), |asked| asked == kind.asked)
    }
}

impl FromStr for SweepRequest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self { kind: None, values: Vec::new() });
        }
        let (name, values) = text.split_once('=').map_or((text, None), |(name, values)| (name, Some(values)));
        let kind = KINDS.iter().find(|kind| kind.asked == name);
        let kind =
            kind.ok_or_else(|| format!("`{name}` is neither temperature, truncation, guidance, steps nor all"))?;
        let value = |text: &str| {
            let value = text.trim().parse::<f64>().ok().filter(|value| value.is_finite());
            match kind.dial {
                // Without guidance, or away from the class.
                Dial::Guidance => value.ok_or_else(|| format!("`{text}` is no number")),
                Dial::Caution(_) => {
                    value.filter(|value| *value > 0.0).ok_or_else(|| format!("`{text}` is no positive number"))
                }
                Dial::Steps => {
                    let whole = value.filter(|value| *value >= 1.0 && value.fract() == 0.0);
                    whole.ok_or_else(|| format!("`{text}` is no number of steps"))
                }
            }
        };
        let values = values.map(|values| values.split(',').map(value).collect::<Result<Vec<f64>, _>>());
        let mut values = values.transpose()?.unwrap_or_default();
        values.sort_by(f64::total_cmp);
        Ok(Self { kind: Some(kind.asked), values })
    }
}

/// Whether the model has what is to be turned down; before any work.
pub fn check(subject: &Subject<'_>, plan: &Plan<'_>) -> Outcome {
    let over_steps = || plan.sweeps.iter().filter(|request| request.kind == Some("steps"));
    if !plan.choice.is_empty() && over_steps().next().is_none() {
        return Err(Failure::Usage("--solver and --eta: they are for --sweep=steps".to_owned()));
    }
    let draw = Draw::of_recipe(subject)?;
    for request in over_steps() {
        let Some((levels, own)) = draw.as_ref().and_then(chain) else { continue };
        // Of the usual values those are taken that the chain serves; one step always is.
        let values = if request.values.is_empty() { &[1.0] } else { request.values.as_slice() };
        for at in values {
            stepping(subject, plan, own, *at)?.chain(levels)?;
        }
    }
    let cautious = subject.trainee.view().cautious;
    let has = |kind: &Kind| match kind.dial {
        Dial::Caution(caution) => cautious.is_some_and(|model| model.with_caution(caution(1.0)).is_some()),
        Dial::Guidance => subject.recipe.model.is_guidable(),
        Dial::Steps => draw.as_ref().and_then(chain).is_some(),
    };
    for request in plan.sweeps {
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
            if !request.asks_for(kind) {
                continue;
            }
            let (name, values) = match (kind.dial, chain(draw)) {
                (Dial::Steps, None) => continue,
                (Dial::Steps, Some((levels, own))) => {
                    let serves =
                        |at: &f64| stepping(subject, plan, own, *at).is_ok_and(|way| way.chain(levels).is_ok());
                    (
                        name_of(&plan.choice.over(own, Some(&subject.recipe.model))?),
                        kind.usual.iter().copied().filter(serves).collect(),
                    )
                }
                _ => (kind.name.to_owned(), kind.usual.to_vec()),
            };
            let values = if request.values.is_empty() { values } else { request.values.clone() };
            let points = values.iter().map(|at| {
                let Some((drawn, evaluations)) = drawn(subject, draw, plan, kind.dial, *at)? else { return Ok(None) };
                tell(format!("{name} {at}"));
                point(&drawn, beholder, *at).map(|point| Some(SweepPoint { evaluations, ..point }))
            });
            let Some(points) = points.collect::<Outcome<Option<Vec<SweepPoint>>>>()? else { continue };
            let (n, by) = (subject.recipe.measure.samples, beholder.name().to_owned());
            sweeps.retain(|sweep| sweep.kind != name);
            sweeps.push(Sweep { kind: name, by, n, seed: plan.seed, points });
        }
    }
    Ok(sweeps)
}

/// The levels and the recipe's sampler, of what comes down a chain.
fn chain<'b>(draw: &'b Draw<'_>) -> Option<(&'b Levels, &'b Sampler)> {
    match &draw.way {
        Way::Chain { levels, sampler, .. } => Some((levels, sampler)),
        Way::Direct(_) => None,
    }
}

/// The sampler of a sweep over steps at one value.
fn stepping(subject: &Subject<'_>, plan: &Plan<'_>, own: &Sampler, at: f64) -> Outcome<Sampler> {
    Choice { steps: Some(at as usize), ..plan.choice }.over(own, Some(&subject.recipe.model))
}

/// What a sweep over the steps of this sampler is called.
fn name_of(sampler: &Sampler) -> String {
    let eta = if sampler.eta > 0.0 { format!(", eta {}", sampler.eta) } else { String::new() };
    format!("{STEPS}{}{eta}", solver::name(sampler.solver))
}

/// Samples at one value, from the same noise at every value, with the evaluations that each took; none if the model has no
/// such dial.
fn drawn(
    subject: &Subject<'_>,
    draw: &Draw<'_>,
    plan: &Plan<'_>,
    dial: Dial,
    at: f64,
) -> Outcome<Option<(Drawn, Option<f64>)>> {
    let (n, rng) = (subject.recipe.measure.samples, Rng::new(plan.seed).fork("sweep"));
    let caution = match dial {
        Dial::Caution(caution) => caution(at),
        Dial::Guidance if subject.recipe.model.is_guidable() => {
            let mut draw = draw.telling(draw.labels.clone());
            draw.guide(subject.trainee, subject.recipe.guidance(at))?;
            return counted(&draw, None, n, &rng).map(Some);
        }
        Dial::Guidance => return Ok(None),
        Dial::Steps => {
            let Some((_, own)) = chain(draw) else { return Ok(None) };
            return counted(draw, Some(stepping(subject, plan, own, at)?), n, &rng).map(Some);
        }
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
    Ok(Some((draw.drawn(rows, None), None)))
}

/// The measures of samples drawn at one value.
fn point(drawn: &Drawn, beholder: &Beholder<'_>, at: f64) -> Outcome<SweepPoint> {
    let samples = beholder.see(drawn)?;
    let balls = beholder.balls(&samples)?;
    let distance = frechet(&beholder.held_out.points()?, &samples.points()?, beholder.name())?;
    Ok(SweepPoint {
        at,
        evaluations: None,
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
        assert_eq!(read("guidance=4,-1").unwrap(), SweepRequest { kind: Some("guidance"), values: vec![-1.0, 4.0] });
        assert_eq!(read("steps=50,5").unwrap(), SweepRequest { kind: Some("steps"), values: vec![5.0, 50.0] });
        let values = read("temperature=1, 0.5").unwrap();
        assert_eq!(values, SweepRequest { kind: Some("temperature"), values: vec![0.5, 1.0] });
        for nonsense in ["", "temp", "temperature=", "temperature=x", "temperature=0", "truncation=-1", "all=1"] {
            assert!(read(nonsense).is_err(), "{nonsense}");
        }
        for nonsense in ["guidance=inf", "steps=0", "steps=2.5", "steps=-1", "steps=nan"] {
            assert!(read(nonsense).is_err(), "{nonsense}");
        }
    }
}
