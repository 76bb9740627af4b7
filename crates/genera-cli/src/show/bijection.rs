//! Flows: how they bend the plane, and whether the volume that they state is the volume there is.

use genera::traits::{Bijection, Rows};

use super::held_out;
use crate::data::{numbers, tensor};
use crate::failure::Outcome;
use crate::measure::Subject;
use crate::report::{Gallery, Report, number};

/// Lines of the grid in each direction, from −3 to 3, and points of each.
const LINES: usize = 13;
const POINTS: usize = 61;
const REACH: f64 = 3.0;
/// Rows whose volume is checked, of at most so many columns: their Jacobian takes two evaluations for each.
const CHECKED: usize = 6;
const MOST_COLUMNS: usize = 64;
/// The step of a difference, relative to one.
const STEP: f32 = 4e-3;

pub fn show(report: &mut Report, subject: &Subject<'_>) -> Outcome {
    let Some(flow) = subject.trainee.view().bijection else { return Ok(()) };
    let columns = subject.data.train().features();
    if columns == 2
        && let Some(plane) = report.planes.first_mut()
    {
        let z = tensor(lines(), 2, subject.device);
        let x = numbers(flow.inverse_and_log_det(z).0)?;
        let line = |points: &[f32]| points.chunks_exact(2).map(|x| [f64::from(x[0]), f64::from(x[1])]).collect();
        plane.bent = x.chunks_exact(2 * POINTS).map(line).collect();
    }
    if columns > MOST_COLUMNS {
        return Ok(());
    }
    let x = held_out(subject, CHECKED)?;
    let stated = numbers(flow.forward_and_log_det(x.clone()).1.unsqueeze_dim(1))?;
    let differences = by_differences(flow, &numbers(x)?, columns, subject)?;
    let worst = stated.iter().zip(&differences).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
    let mut table = vec![["held-out row", "stated", "by differences"].map(str::to_owned).to_vec()];
    table.extend(stated.iter().zip(&differences).enumerate().map(|(row, (stated, differences))| {
        vec![row.to_string(), number::plain(f64::from(*stated)), number::plain(*differences)]
    }));
    let lead = format!(
        "log |det ∂z/∂x| as the flow states it, and of its Jacobian by central differences in single precision; they \
         differ by at most {}.",
        number::plain(worst)
    );
    report.galleries.push(Gallery { id: "volume", title: "Log-determinant", lead, table, ..Gallery::default() });
    Ok(())
}

/// Lines of constant z₁, then of constant z₂.
fn lines() -> Vec<f32> {
    let place = |i: usize, count: usize| (REACH * (2.0 * i as f64 / (count - 1) as f64 - 1.0)) as f32;
    let along = |i: usize| (0..POINTS).map(move |j| (place(i, LINES), place(j, POINTS)));
    let upright = (0..LINES).flat_map(along).flat_map(|(a, b)| [a, b]);
    let level = (0..LINES).flat_map(along).flat_map(|(a, b)| [b, a]);
    upright.chain(level).collect()
}

/// `log |det ∂z/∂x|` of each row from central differences.
fn by_differences(flow: &dyn Bijection, x: &[f32], columns: usize, subject: &Subject<'_>) -> Outcome<Vec<f64>> {
    let forward = |x: Vec<f32>| -> Outcome<Vec<f32>> {
        let x: Rows = tensor(x, columns, subject.device);
        numbers(flow.forward_and_log_det(x).0)
    };
    let log_det = |row: &[f32]| {
        let steps: Vec<f32> = row.iter().map(|x| STEP * x.abs().max(0.25)).collect();
        let moved = |sign: f32| -> Vec<f32> {
            (0..columns)
                .flat_map(|j| {
                    let mut x = row.to_vec();
                    x[j] += sign * steps[j];
                    x
                })
                .collect()
        };
        let (up, down) = (moved(1.0), moved(-1.0));
        // The steps as they were taken, after rounding.
        let taken: Vec<f64> =
            (0..columns).map(|j| f64::from(up[j * columns + j]) - f64::from(down[j * columns + j])).collect();
        let (up, down) = (forward(up)?, forward(down)?);
        let slope = |at: usize| (f64::from(up[at]) - f64::from(down[at])) / taken[at / columns];
        Ok(log_abs_det((0..columns * columns).map(slope).collect(), columns))
    };
    x.chunks_exact(columns).map(log_det).collect()
}

/// `log |det a|` of a square matrix, by elimination with pivots.
fn log_abs_det(mut a: Vec<f64>, d: usize) -> f64 {
    let mut sum = 0.0;
    for k in 0..d {
        let pivot = (k..d).max_by(|i, j| a[i * d + k].abs().total_cmp(&a[j * d + k].abs())).unwrap_or(k);
        (0..d).for_each(|j| a.swap(k * d + j, pivot * d + j));
        let head = a[k * d + k];
        sum += head.abs().ln();
        if head == 0.0 {
            return f64::NEG_INFINITY;
        }
        for i in k + 1..d {
            let factor = a[i * d + k] / head;
            (k..d).for_each(|j| a[i * d + j] -= factor * a[k * d + j]);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn determinants_by_hand() {
        assert!((log_abs_det(vec![0.0, 2.0, 3.0, 5.0], 2) - 6.0_f64.ln()).abs() < 1e-14);
        assert!((log_abs_det(vec![2.0, 1.0, 1.0, 1.0, 3.0, 2.0, 1.0, 0.0, 0.0], 3) - 0.0).abs() < 1e-14);
        assert_eq!(log_abs_det(vec![1.0, 2.0, 2.0, 4.0], 2), f64::NEG_INFINITY);
    }

    #[test]
    fn lines_cross_the_square() {
        let z = lines();
        assert_eq!(z.len(), 4 * LINES * POINTS);
        assert_eq!((&z[..2], &z[z.len() - 2..]), (&[-3.0, -3.0][..], &[3.0, 3.0][..]));
    }
}
