//! `genera eval RUN`: measures a run and holds it against its recipe.

use std::path::Path;

use super::{Context, Loaded};
use crate::args::Eval;
use crate::console::{Colour, Console, table};
use crate::export;
use crate::failure::{Failure, Outcome};
use crate::measure::{self, Plan};
use crate::run::{STEPS, Score, Scores, SweepPoint};
use crate::solver::Choice;

pub fn run(context: &Context, args: &Eval) -> Outcome {
    let console = context.console;
    let loaded = Loaded::open(&args.run, context)?;
    let runs = loaded.run.path().parent().unwrap_or(Path::new("."));
    let subject = loaded.subject(context);
    let features = subject.data.shape().iter().product();
    let samples = args.samples.as_deref().map(|path| export::read_rows(path, features)).transpose()?;
    let own = samples.is_none();
    let plan = Plan {
        seed: args.seed,
        classifier: args.classifier.as_deref(),
        samples,
        sweeps: &args.sweep,
        choice: Choice { solver: args.solver, steps: None, eta: args.eta },
        intervals: args.intervals.map(|n| n as usize),
        ..Plan::usual(runs)
    };
    let mut scores = measure::evaluate(&subject, &plan, |what| console.note(what))?;
    // Somebody else's samples are no score of this run.
    if own {
        // Sweeps of the same model are kept until they are made anew.
        if let Ok(Some(before)) = loaded.run.scores()
            && (before.step, before.recipe_sha256.as_str()) == (scores.step, scores.recipe_sha256.as_str())
        {
            scores.keep_sweeps(before.sweeps);
        }
        loaded.run.write_scores(&scores)?;
    }
    if console.json {
        console.json(&scores)?
    } else {
        say(console, &scores)?
    }
    if args.check && scores.verdicts.iter().any(|verdict| !verdict.met) {
        return Err(Failure::Unmet);
    }
    Ok(())
}

/// Prints scores and verdicts as a table.
pub fn say(console: Console, scores: &Scores) -> Outcome {
    let mut rows = vec![["measure", "measured", "beside", "expected", ""].map(str::to_owned).to_vec()];
    for score in &scores.measures {
        let beside = score.baseline.as_ref().map(|baseline| format!("{} ({})", number(baseline.value), baseline.of));
        let verdict = scores.verdicts.iter().find(|verdict| verdict.measure == score.measure);
        let expected = verdict.map_or_else(String::new, |verdict| verdict.expected.clone());
        let met = verdict.map(|verdict| verdict.met);
        rows.push(vec![
            score.measure.clone(),
            measured(score),
            beside.unwrap_or_default(),
            expected,
            word(console, met),
        ]);
    }
    for verdict in scores.verdicts.iter().filter(|verdict| verdict.measured.is_none()) {
        let (measure, expected) = (verdict.measure.clone(), verdict.expected.clone());
        rows.push(vec![measure, "not measured".to_owned(), String::new(), expected, word(console, Some(false))]);
    }
    table(&rows).iter().try_for_each(|line| console.say(line))?;
    scores.sweeps.iter().try_for_each(|sweep| {
        console.say(format!("\n{} of {} samples each, by {}", sweep.kind, sweep.n, sweep.by))?;
        let told = sweep.points.iter().all(|point| point.accuracy.is_some());
        let counted = sweep.points.iter().all(|point| point.evaluations.is_some());
        let dial = if sweep.kind.starts_with(STEPS) { "steps" } else { sweep.kind.as_str() };
        let heads = std::iter::once(dial)
            .chain(counted.then_some("evaluations"))
            .chain(["precision", "recall", "density", "coverage", "frechet"])
            .chain(told.then_some("accuracy"));
        let row = |point: &SweepPoint| -> Vec<String> {
            let SweepPoint { at, evaluations, precision, recall, density, coverage, frechet, accuracy } = *point;
            let measures = [precision, recall, density, coverage, frechet];
            std::iter::once(at)
                .chain(evaluations.filter(|_| counted))
                .chain(measures)
                .chain(accuracy.filter(|_| told))
                .map(number)
                .collect()
        };
        let heads = heads.map(str::to_owned).collect();
        let rows: Vec<Vec<String>> = std::iter::once(heads).chain(sweep.points.iter().map(row)).collect();
        table(&rows).iter().try_for_each(|line| console.say(line))
    })
}

/// The value, with its interval where one was measured.
fn measured(score: &Score) -> String {
    match score.record.get("interval").and_then(|interval| interval.as_array()).map(Vec::as_slice) {
        Some([low, high]) => {
            let end = |value: &serde_json::Value| value.as_f64().map_or_else(String::new, number);
            format!("{} ({} to {})", number(score.value), end(low), end(high))
        }
        _ => number(score.value),
    }
}

fn word(console: Console, met: Option<bool>) -> String {
    match met {
        Some(true) => console.coloured("met", Colour::Green),
        Some(false) => console.coloured("NOT MET", Colour::Red),
        None => String::new(),
    }
}

/// Four significant digits.
fn number(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { 3 - value.abs().log10().floor() as i32 };
    match digits {
        ..=0 => format!("{value:.0}"),
        1..=6 => format!("{value:.*}", digits as usize),
        _ => format!("{value:.3e}"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 12345.6, 1.23456, 0.012345, 1e-9, -2.5, f64::NAN].map(super::number);
        assert_eq!(shown, ["0", "12346", "1.235", "0.01235", "1.000e-9", "-2.500", "NaN"]);
    }
}
