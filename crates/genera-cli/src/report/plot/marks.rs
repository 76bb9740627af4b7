//! The marks of plots: lines, points, steps and cells. Paths are written in relative integers, which keeps them small.

use std::fmt::Write;

use super::Axes;
use crate::report::Density;
use maud::{Markup, html};

/// Steps of colour in a heat map.
const LEVELS: usize = 24;

/// A polyline through the finite `points`.
pub fn line(axes: &Axes, points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    let mut last = None;
    for (x, y) in finite(points) {
        let (x, y) = axes.place(x, y);
        _ = match last {
            None => write!(path, "M{x} {y}l0 0"),
            Some(place) if place == (x, y) => Ok(()),
            Some((u, v)) => write!(path, " {} {}", x - u, y - v),
        };
        last = Some((x, y));
    }
    path
}

/// A dot, by the round cap of an empty stroke, at each finite point.
pub fn dots(axes: &Axes, points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    let mut last = (0, 0);
    for (x, y) in finite(points) {
        let (x, y) = axes.place(x, y);
        // The first `m` of a path is absolute: relative to nothing.
        _ = write!(path, "m{} {}h0", x - last.0, y - last.1);
        last = (x, y);
    }
    path
}

/// The outline of a histogram: `heights[i]` between `edges[i]` and `edges[i + 1]`, closed at zero.
pub fn steps(axes: &Axes, edges: &[f64], heights: &[f64]) -> String {
    let Some(first) = edges.first() else { return String::new() };
    let (x, base) = axes.place(*first, 0.0);
    let mut path = format!("M{x} {base}");
    for (edge, height) in edges.iter().skip(1).zip(heights) {
        let (x, y) = axes.place(*edge, *height);
        _ = write!(path, "V{y}H{x}");
    }
    _ = write!(path, "V{base}z");
    path
}

/// A heat map: one path for each level of colour, equal neighbours in a row joined.
pub fn cells(axes: &Axes, density: &Density) -> Markup {
    let columns = density.columns.max(1);
    let rows = density.values.len() / columns;
    let values = || density.values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let level = |value: f64| match (value - low) / (high - low) {
        share if share.is_finite() => (share * LEVELS as f64).round() as usize,
        _ => 0,
    };
    let edge = |[low, high]: [f64; 2], index: usize, count: usize| low + (high - low) * index as f64 / count as f64;

    let mut paths = vec![String::new(); LEVELS + 1];
    for (row, values) in density.values.chunks_exact(columns).enumerate() {
        let (lower, upper) = (edge(density.y, row, rows), edge(density.y, row + 1, rows));
        let mut column = 0;
        for run in values.chunk_by(|one, two| level(*one) == level(*two)) {
            let (left, bottom) = axes.place(edge(density.x, column, columns), lower);
            column += run.len();
            let (right, top) = axes.place(edge(density.x, column, columns), upper);
            _ = write!(paths[level(run[0])], "M{left} {top}h{}v{}h{}z", right - left, bottom - top, left - right);
        }
    }
    html! {
        @for (level, path) in paths.iter().enumerate().skip(1).filter(|(_, path)| !path.is_empty()) {
            path.cell d=(path) fill-opacity=(format!("{:.2}", level as f64 / LEVELS as f64)) {}
        }
    }
}

fn finite(points: impl IntoIterator<Item = (f64, f64)>) -> impl Iterator<Item = (f64, f64)> {
    points.into_iter().filter(|(x, y)| x.is_finite() && y.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plot::Scale;

    const UNIT: Axes = Axes { x: Scale::Linear { low: 0.0, high: 1.0 }, y: Scale::Linear { low: 0.0, high: 1.0 } };

    #[test]
    fn lines_are_relative_and_skip_what_is_not_finite() {
        let points = [(0.0, 0.0), (0.5, f64::NAN), (0.5, 0.5), (0.5, 0.5), (1.0, 0.25)];
        assert_eq!(line(&UNIT, points), "M0 4000l0 0 2000 -2000 2000 1000");
        assert_eq!(dots(&UNIT, points[2..4].iter().copied()), "m2000 2000h0m0 0h0");
        assert_eq!(line(&UNIT, []), "");
    }

    #[test]
    fn places_far_outside_stay_near() {
        assert_eq!(line(&UNIT, [(1e300, -1e300)]), "M8000 8000l0 0");
    }

    #[test]
    fn histogram_steps_close_at_zero() {
        assert_eq!(steps(&UNIT, &[0.0, 0.5, 1.0], &[1.0, 0.5]), "M0 4000V0H2000V2000H4000V4000z");
        assert_eq!(steps(&UNIT, &[], &[]), "");
    }

    #[test]
    fn equal_neighbours_of_a_heat_map_are_one_rectangle() {
        let density = Density {
            x: [0.0, 1.0],
            y: [0.0, 1.0],
            columns: 2,
            values: vec![0.0, 0.0, 1.0, 1.0],
            ..Density::default()
        };
        let drawn = cells(&UNIT, &density).into_string();
        assert_eq!(drawn, r#"<path class="cell" d="M0 0h4000v2000h-4000z" fill-opacity="1.00"></path>"#);
    }
}
