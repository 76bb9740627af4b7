//! The chains that a model draws by: where a few of them go.

use genera_rng::Rng;

use crate::failure::Outcome;
use crate::measure::{Subject, follow};
use crate::report::{Gallery, Lines, Report};

/// Chains that are drawn, and steps of each at most: more make no line.
const SHOWN: usize = 6;
const STATIONS: usize = 250;

pub fn show(report: &mut Report, subject: &Subject<'_>, rng: &Rng) -> Outcome {
    let Some(walk) = subject.trainee.offers().chains() else { return Ok(()) };
    let followed = follow(walk, &mut rng.fork("chains"))?;
    let Some(first) = followed.coordinates.first() else { return Ok(()) };
    let start = walk.steps() / 2;
    let every = first[0].len().div_ceil(STATIONS).max(1);
    let line = |chain: &Vec<f64>| -> Vec<(f64, f64)> {
        chain.iter().enumerate().step_by(every).map(|(step, x)| ((start + step) as f64, *x)).collect()
    };
    let chart = Lines {
        title: "The first coordinate of a few chains".to_owned(),
        x_label: "step".to_owned(),
        note: "The second half of their steps. Chains that have arrived cross each other all the time.".to_owned(),
        series: first.iter().take(SHOWN).enumerate().map(|(at, chain)| (format!("chain {at}"), line(chain))).collect(),
        ..Lines::default()
    };
    report.galleries.push(Gallery { id: "chains", title: "Chains", charts: vec![chart], ..Gallery::default() });
    Ok(())
}
