//! The critic of a game in the plane, and what it says of a distance on the line.

use genera::gan::Objective;

use crate::data::{numbers, tensor};
use crate::failure::Outcome;
use crate::family::Family;
use crate::measure::Subject;
use crate::report::{Density, Gallery, Judged, Lines, Report};

/// Cells of the surface and arrows of the field, a side.
const CELLS: usize = 80;
const ARROWS: usize = 18;
/// The longest arrow, in distances between two.
const LONGEST: f64 = 0.9;

pub fn show(report: &mut Report, subject: &Subject<'_>) -> Outcome {
    let Family::Adversarial(spec) = &subject.recipe.model else { return Ok(()) };
    // Of the other games the critic's value is no distance.
    if spec.game.objective == Objective::Wasserstein {
        distances(report);
    }
    let Some(frame) = report.planes.first().and_then(|plane| frame(&plane.data)) else { return Ok(()) };
    let judged = |side: usize| -> Outcome<Option<[Vec<f64>; 2]>> {
        let points = grid(frame, side).into_iter().flatten().map(|x| x as f32).collect();
        let Some((score, slope)) = subject.trainee.offers().judged(tensor(points, 2, subject.device)) else {
            return Ok(None);
        };
        let wide = |rows: Vec<f32>| rows.into_iter().map(f64::from).collect();
        Ok(Some([wide(numbers(score)?), wide(numbers(slope)?)]))
    };
    let (Some([scores, _]), Some([_, slopes])) = (judged(CELLS)?, judged(ARROWS)?) else { return Ok(()) };
    let (label, values) = match spec.game.objective {
        Objective::Saturating { .. } | Objective::NonSaturating { .. } => (
            "D(x): how likely the discriminator holds x for data",
            scores.iter().map(|f| 1.0 / (1.0 + (-f).exp())).collect(),
        ),
        _ => ("f(x): the critic's score", scores),
    };
    let surface = Density { label: label.to_owned(), x: frame[0], y: frame[1], columns: CELLS, values };
    let reach = LONGEST * (frame[0][1] - frame[0][0]) / ARROWS as f64;
    if let Some(plane) = report.planes.first_mut() {
        plane.judged = Some(Judged { surface, arrows: arrows(&grid(frame, ARROWS), &slopes, reach) });
    }
    Ok(())
}

/// The range of points with a margin, along both axes.
fn frame(points: &[[f64; 2]]) -> Option<[[f64; 2]; 2]> {
    let along = |axis: usize| {
        let values = || points.iter().map(|point| point[axis]);
        let (low, high) = (values().reduce(f64::min)?, values().reduce(f64::max)?);
        let margin = 0.1 * (high - low);
        Some([low - margin, high + margin])
    };
    Some([along(0)?, along(1)?])
}

/// The centres of `side` cells in each direction, row by row from the lowest.
fn grid([x, y]: [[f64; 2]; 2], side: usize) -> Vec<[f64; 2]> {
    let place = |[low, high]: [f64; 2], i: usize| low + (high - low) * (i as f64 + 0.5) / side as f64;
    (0..side).flat_map(|row| (0..side).map(move |column| [place(x, column), place(y, row)])).collect()
}

/// Arrows along `slopes`, the longest `reach` long; none where there is no slope.
fn arrows(points: &[[f64; 2]], slopes: &[f64], reach: f64) -> Vec<[[f64; 2]; 2]> {
    let length = |slope: &[f64]| slope[0].hypot(slope[1]);
    let most = slopes.chunks_exact(2).map(length).fold(0.0, f64::max);
    let from = |(point, slope): (&[f64; 2], &[f64])| {
        let scale = reach / most;
        (length(slope) > 0.0).then(|| [*point, [point[0] + scale * slope[0], point[1] + scale * slope[1]]])
    };
    points.iter().zip(slopes.chunks_exact(2)).filter_map(from).collect()
}

/// The critic's value beside the exact distance of the same batches, where the log has both.
fn distances(report: &mut Report) {
    let curve = |name: &str| report.curves.iter().find(|curve| curve.name == name).map(|curve| curve.points.clone());
    if let (Some(value), Some(distance)) = (curve("critic-value"), curve("distance")) {
        let note =
            "Of the batches of each step: the distance of few points is larger than that of their distributions.";
        let chart = Lines {
            title: "What the critic makes large, and the distance".to_owned(),
            x_label: "step".to_owned(),
            note: note.to_owned(),
            series: vec![("critic's value".to_owned(), value), ("Wasserstein distance".to_owned(), distance)],
            ..Lines::default()
        };
        report.galleries.push(Gallery {
            id: "distance",
            title: "Value and distance",
            charts: vec![chart],
            ..Gallery::default()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_follow_slopes_and_the_longest_has_the_reach() {
        let points = grid([[0.0, 2.0], [0.0, 4.0]], 2);
        assert_eq!(points, [[0.5, 1.0], [1.5, 1.0], [0.5, 3.0], [1.5, 3.0]]);
        let found = arrows(&points, &[3.0, 4.0, 0.0, 0.0, -1.5, 2.0, 0.0, 2.5], 0.5);
        assert_eq!(found.len(), 3);
        let near = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).abs() < 1e-12 && (a[1] - b[1]).abs() < 1e-12;
        assert!(near(found[0][1], [0.8, 1.4]) && near(found[1][1], [0.35, 3.2]) && near(found[2][1], [1.5, 3.25]));
        assert_eq!(frame(&[[0.0, 1.0], [1.0, 1.0]]), Some([[-0.1, 1.1], [1.0, 1.0]]));
        assert_eq!(frame(&[]), None);
    }
}
