//! How near the learnt bound of a divergence comes to the divergence itself.

use genera::gan::{DivergenceBound, FDivergence};
use genera_data::Mixture;
use genera_metrics::divergence::{Divergence, FDivergence as Row, fenchel_bound, on_grid};
use genera_rng::Rng;
use serde_json::json;

use super::{Plan, Subject, record};
use crate::data::tensor;
use crate::failure::{Failure, Outcome};
use crate::recipe::Measure;
use crate::run::{Baseline, Score};

/// Fresh points of each distribution, and how many are scored at a time.
const POINTS: usize = 100_000;
const CHUNK: usize = 10_000;
/// The cells of the integral, and how many deviations beyond the means they reach.
const CELLS: usize = 20_000;
const REACH: f64 = 12.0;

/// `divergence-gap@fresh`: what the bound on fresh points lacks of the divergence, as a part of it.
pub fn measure(subject: &Subject<'_>, plan: &Plan<'_>, model: &DivergenceBound) -> Outcome<Vec<Score>> {
    let Some(line) = subject.data.line() else { return Ok(Vec::new()) };
    let (row, reference, device) = (row(model.divergence()), model.reference(), subject.device);
    let rng = Rng::new(plan.seed);
    let witness = |rows: &[f32]| -> Vec<f64> {
        rows.chunks(CHUNK).flat_map(|rows| model.witness(tensor(rows.to_vec(), 1, device))).collect()
    };
    let on_data = witness(line.sample(POINTS, &mut rng.fork("data")).values());
    let on_reference = witness(&reference.sample(POINTS, 1, &mut rng.fork("reference")));
    let bound = fenchel_bound(row, &on_data, &on_reference)?;

    let density = line.density();
    let (low, high) = extent(&density, [reference.mean, reference.deviation]);
    let width = (high - low) / CELLS as f64;
    let grid: Vec<f64> = (0..CELLS).map(|cell| low + (cell as f64 + 0.5) * width).collect();
    let log_pi: Vec<f64> = grid.iter().map(|x| density.log_density(&[*x])).collect();
    let log_p: Vec<f64> = grid.iter().map(|x| reference.log_density(&[*x])).collect();
    let exact = on_grid(Divergence::F(row), &log_pi, &log_p, width)?;
    // Of equal distributions it is f(1), which is zero but for the game's.
    let whole = exact - row.f(1.0);
    if !(whole > 0.0 && whole.is_finite()) {
        return Err(Failure::new(format!("model.divergence: it is {exact} here, of which nothing can be a part")));
    }
    Ok(vec![Score {
        measure: Measure::DivergenceGap.to_string(),
        value: (exact - bound.value) / whole,
        baseline: Some(Baseline { of: "chance".to_owned(), value: bound.standard_error / whole }),
        record: record(&json!({
            "n": POINTS, "seed": plan.seed, "divergence": row, "bound": bound.value, "exact": exact,
            "standard_error": bound.standard_error / whole,
        })),
    }])
}

/// Where either density has its mass.
fn extent(density: &Mixture, reference: [f64; 2]) -> (f64, f64) {
    let of = |k: usize| [density.means()[k], density.covariance(k)[0].sqrt()];
    let ends = (0..density.means().len()).map(of).chain([reference]).map(|[m, d]| (m - REACH * d, m + REACH * d));
    ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (a, b)| (low.min(a), high.max(b)))
}

/// The row of the measures' table.
fn row(divergence: FDivergence) -> Row {
    match divergence {
        FDivergence::ForwardKl => Row::ForwardKl,
        FDivergence::ReverseKl => Row::ReverseKl,
        FDivergence::Pearson => Row::Pearson,
        FDivergence::SquaredHellinger => Row::SquaredHellinger,
        FDivergence::JensenShannon => Row::JensenShannon,
        FDivergence::Gan => Row::Gan,
        FDivergence::TotalVariation => Row::TotalVariation,
    }
}
