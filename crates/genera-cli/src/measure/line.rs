//! Points on the line: their Wasserstein distance to fresh draws of a known density, or to held-out points.

use genera_metrics::{Points, wasserstein_1d};
use genera_rng::Rng;
use serde_json::json;

use super::{Plan, Subject, record};
use crate::export::Drawn;
use crate::failure::Outcome;
use crate::recipe::Measure;
use crate::run::{Baseline, Score};

/// Fresh draws for each sample: their own chance is then small beside that of the samples.
const DRAWS: usize = 10;

/// `wasserstein@held-out` beside the distance of as many fresh draws of the density.
pub fn measure(subject: &Subject<'_>, plan: &Plan<'_>, drawn: &Drawn) -> Outcome<Vec<Score>> {
    let data = subject.data;
    let rng = Rng::new(plan.seed);
    let fresh = |name: &str, n: usize| data.line().map(|line| line.sample(n, &mut rng.fork(name)).values().to_vec());
    let held_out =
        fresh("held-out", DRAWS * drawn.n).map_or_else(|| data.first_rows(data.held_out(), usize::MAX), Ok)?;
    let real = Points::new(&held_out, held_out.len(), 1)?;
    let distance = |rows: &[f32]| {
        Ok::<f64, crate::failure::Failure>(wasserstein_1d(&Points::new(rows, rows.len(), 1)?, &real, 1.0)?)
    };
    let baseline = fresh("fresh", drawn.n).map(|rows| distance(&rows)).transpose()?;
    Ok(vec![Score {
        measure: Measure::Wasserstein.to_string(),
        value: distance(&drawn.rows)?,
        baseline: baseline.map(|value| Baseline { of: "fresh draws".to_owned(), value }),
        record: record(&json!({
            "n": drawn.n, "power": 1, "seed": plan.seed,
            "held_out": if data.line().is_some() { "fresh draws of the density" } else { "the held-out rows" },
        })),
    }])
}
