//! Measuring a trained model: what fits it, and whether that is what its recipe promised.

mod beholder;
mod books;
mod bound;
mod caption;
mod chains;
mod classifier;
mod clip;
mod draw;
mod evaluations;
mod known;
mod latents;
mod likelihood;
mod line;
pub mod modes;
mod points;
mod posterior;
mod prior;
mod sweep;

use std::path::Path;

use genera::burn::tensor::Device;
use genera_data::Dataset;
use genera_metrics::{MetricError, Points};
use genera_rng::Rng;
use serde::Serialize;
use serde_json::{Map, Value};

pub use beholder::intervals;
pub use chains::follow;
pub use classifier::Judge;
pub use draw::{Draw, Way, labels_in_turn};
pub use latents::diagnostics;
pub use sweep::SweepRequest;

use beholder::Beholder;

use crate::data::Data;
use crate::export::Drawn;
use crate::failure::{Failure, Outcome};
use crate::family::Trainee;
use crate::recipe::{Measure, Recipe};
use crate::run::{Score, Scores, Verdict};
use crate::seen::Cache;
use crate::solver::Choice;

/// A trained model and what it was trained on.
pub struct Subject<'a> {
    pub recipe: &'a Recipe,
    pub recipe_sha256: &'a str,
    pub trainee: &'a dyn Trainee,
    pub data: &'a Data,
    pub device: &'a Device,
    /// Steps taken.
    pub step: u64,
}

/// How to measure.
pub struct Plan<'a> {
    /// The seed of every sample drawn.
    pub seed: u64,
    /// The run of the classifier, if the user named one.
    pub classifier: Option<&'a Path>,
    /// Where to look for runs of classifiers.
    pub runs: &'a Path,
    /// Samples to judge in place of the model's own, row-major in the model's numbers.
    pub samples: Option<Vec<f32>>,
    /// What to turn down, and how far.
    pub sweeps: &'a [SweepRequest],
    /// The solver of a sweep over steps, where it is not the recipe's.
    pub choice: Choice,
    /// Pairs of halves for intervals; none without.
    pub intervals: Option<usize>,
    /// Where features of data are kept.
    pub cache: Cache,
}

impl<'a> Plan<'a> {
    /// What `genera train` measures at its end.
    pub fn usual(runs: &'a Path) -> Self {
        Self {
            seed: 0,
            classifier: None,
            runs,
            samples: None,
            sweeps: &[],
            choice: Choice::default(),
            intervals: None,
            cache: Cache::usual(),
        }
    }

    /// The 95 % intervals of what `measure` gives of two sets, if they are asked for.
    fn intervals<const K: usize>(
        &self,
        x: &Points<'_>,
        y: &Points<'_>,
        measure: impl Fn(&Points<'_>, &Points<'_>) -> Result<[f64; K], MetricError>,
    ) -> Outcome<[Option<[f64; 2]>; K]> {
        intervals(self.intervals, &Rng::new(self.seed), x, y, measure)
    }
}

/// What is measured of samples; none if the model cannot draw them. Its likelihood still makes sense; an expectation of
/// samples is then not met.
fn samples(
    subject: &Subject<'_>,
    plan: &Plan<'_>,
    draw: &Draw<'_>,
    measures: &mut Vec<Score>,
    tell: &mut dyn FnMut(String),
) -> Outcome<Option<Drawn>> {
    if let Some(rows) = &plan.samples {
        return Ok(Some(draw.drawn(rows.clone(), None)));
    }
    let n = subject.recipe.measure.samples;
    tell(format!("drawing {n} samples"));
    let started = std::time::Instant::now();
    match draw.rows(n, &Rng::new(plan.seed).fork("evaluation")) {
        Ok(drawn) => {
            measures.push(speed(n, started.elapsed().as_secs_f64()));
            Ok(Some(drawn))
        }
        Err(Failure::Failed(message)) if subject.trainee.view().density.is_some() => {
            tell(format!("samples are not measured: {message}"));
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

/// Measures everything that fits the model. `tell` hears what is going on and what could not be measured.
pub fn evaluate(subject: &Subject<'_>, plan: &Plan<'_>, mut tell: impl FnMut(String)) -> Outcome<Scores> {
    sweep::check(subject, plan)?;
    let (mut measures, mut sweeps) = (Vec::new(), Vec::new());
    let view = subject.trainee.view();
    let draw = Draw::of_recipe(subject)?;
    let drawn = match &draw {
        Some(draw) => samples(subject, plan, draw, &mut measures, &mut tell)?,
        None => None,
    };
    if let Some((draw, drawn)) = draw.zip(drawn) {
        let mut sweep = |beholder: &Beholder<'_>, tell: &mut dyn FnMut(String)| -> Outcome {
            sweeps.extend(sweep::measure(subject, &draw, beholder, plan, tell)?);
            Ok(())
        };
        if matches!(subject.data.train(), Dataset::Table(_)) {
            tell("comparing them with held-out points".to_owned());
            let beholder = Beholder::points(subject.data)?;
            measures.extend(points::measure(subject, &beholder, &beholder.see(&drawn)?, plan)?);
            measures.extend(known::components(subject, &drawn));
            sweep(&beholder, &mut tell)?;
        }
        if subject.data.shape() == [1] {
            measures.extend(line::measure(subject, plan, &drawn)?);
        }
        measures.extend(modes::measure(subject, plan, &drawn)?);
        if plan.samples.is_none() && subject.data.captions().is_some() {
            measures.extend(clip::score_samples(subject, &draw, plan, &mut tell)?);
        }
        if let Some(name) = classifier::name_for(subject, plan.classifier) {
            tell(format!("comparing them with held-out rows by {name}"));
            match Judge::open(&name, plan.classifier, plan.runs, subject.device) {
                Ok(judge) => {
                    let beholder = Beholder::judge(&judge, subject, &drawn, plan, &mut tell)?;
                    let seen = beholder.see(&drawn)?;
                    measures.extend(judge.measure(&beholder, &seen, plan)?);
                    let labels = subject.data.held_out().labels().map(|labels| labels.rows());
                    measures.extend(judge.class_accuracy(&beholder, &seen, drawn.labels.as_deref(), labels));
                    if plan.samples.is_none() {
                        measures.extend(caption::measure(subject, &draw, &judge, plan, &mut tell)?);
                    }
                    if let Some(uniform) = subject.trainee.offers().uniform_codes().filter(|_| plan.samples.is_none()) {
                        tell("drawing codes uniformly, to compare the prior with".to_owned());
                        measures.push(prior::gain(&draw, uniform, &beholder, &seen, plan)?);
                    }
                    sweep(&beholder, &mut tell)?;
                }
                // Other measures still make sense; an expectation that needs this one is then not met.
                Err(Failure::Failed(message)) => tell(format!("not measured with {name}: {message}")),
                Err(other) => return Err(other),
            }
        }
    }
    if let Some(walk) = subject.trainee.offers().chains().filter(|_| plan.samples.is_none()) {
        measures.extend(chains::measure(walk, plan)?);
    }
    if view.score.is_some() && plan.samples.is_none() {
        measures.extend(known::fisher(subject, plan)?);
    }
    if (view.density.is_some() || view.lower_bound.is_some()) && plan.samples.is_none() {
        tell("the likelihood of held-out rows".to_owned());
        measures.extend(likelihood::measure(subject, plan, &mut tell)?);
    }
    if plan.samples.is_none() {
        measures.extend(latents::measure(subject, plan)?);
    }
    if let Some(books) = view.books.filter(|_| plan.samples.is_none()) {
        measures.extend(books::measure(subject, books)?);
    }
    if let Some(model) = subject.trainee.offers().divergence_bound() {
        tell("the bound on fresh points".to_owned());
        measures.extend(bound::measure(subject, plan, model)?);
    }
    if let Some(model) = subject.trainee.offers().bent() {
        tell("the posterior on a grid".to_owned());
        measures.push(posterior::measure(subject, plan, model)?);
    }
    if let Some(model) = subject.trainee.offers().clip() {
        measures.push(clip::retrieval(subject, model)?);
    }
    if let Some(classifier) = subject.trainee.offers().classifier() {
        measures.extend(classifier::accuracy(subject, classifier)?);
    }
    Ok(Scores {
        recipe_sha256: subject.recipe_sha256.to_owned(),
        step: subject.step,
        seed: plan.seed,
        verdicts: verdicts(subject, &measures),
        measures,
        sweeps,
    })
}

fn verdicts(subject: &Subject<'_>, measures: &[Score]) -> Vec<Verdict> {
    let held = |expect: &crate::recipe::Expect| {
        let measured = measures.iter().find(|score| score.measure == expect.measure.to_string());
        let measured = measured.map(|score| score.value);
        Verdict {
            measure: expect.measure.to_string(),
            expected: expect.bound(),
            measured,
            met: measured.is_some_and(|value| expect.holds(value)),
        }
    };
    subject.recipe.expect.iter().map(held).collect()
}

fn speed(n: usize, seconds: f64) -> Score {
    Score {
        measure: Measure::SamplesPerSecond.to_string(),
        value: n as f64 / seconds,
        baseline: None,
        record: record(&serde_json::json!({ "n": n, "seconds": seconds })),
    }
}

/// A record of the metrics crate as the JSON object that `scores.json` keeps.
fn record(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(map)) => map,
        Ok(other) => Map::from_iter([("record".to_owned(), other)]),
        Err(error) => Map::from_iter([("error".to_owned(), Value::String(error.to_string()))]),
    }
}
