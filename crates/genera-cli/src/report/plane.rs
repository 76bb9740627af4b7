//! Two-dimensional data: what was given, what was drawn, the density between, and the ways from noise to data.

use super::{
    Density, Judged, Plane, Ways,
    curve::every,
    number, or,
    plot::{Axes, Scale, Shape, marks},
};
use maud::{Markup, html};

const POINTS: usize = 2500;
const PATHS: usize = 48;
const STATIONS: usize = 64;
/// Cells in each direction; the eye sees no more in a panel.
const CELLS: usize = 120;
/// What lies further out than this share of the points does not decide the frame.
const TAIL: f64 = 0.002;

/// The panels of `plane`, or nothing if it has no finite point.
pub fn figure(plane: &Plane) -> Option<Markup> {
    let data = Panel::of("Data", "data", &plane.data);
    let samples = Panel::of("Samples", "samples", &plane.samples);
    let both = plane.data.iter().chain(&plane.samples).copied();
    let axes = frame(both).or_else(|| plane.densities.first().and_then(|density| frame(corners(density))));
    let ways = trajectories(plane);
    let threads = threads(&plane.ways);
    let bent = bent(plane);
    let judged = axes.as_ref().zip(plane.judged.as_ref()).and_then(|(axes, judged)| surface(judged, axes));
    let densities: Vec<Markup> =
        axes.iter().flat_map(|axes| plane.densities.iter().filter_map(|density| heat_map(density, axes))).collect();
    let points: Vec<Markup> = [data, samples]
        .into_iter()
        .flatten()
        .zip(axes.into_iter().cycle())
        .map(|(panel, axes)| panel.draw(&axes))
        .collect();
    if points.is_empty()
        && densities.is_empty()
        && ways.is_none()
        && threads.is_empty()
        && bent.is_none()
        && judged.is_none()
    {
        return None;
    }
    Some(html! {
        @if !plane.title.is_empty() { h3 { (plane.title) } }
        div.panels {
            @for panel in points { (panel) }
            @for density in densities { (density) }
            @for threads in threads { (threads) }
            @if let Some(ways) = ways { (ways) }
            @if let Some(bent) = bent { (bent) }
            @if let Some(judged) = judged { (judged) }
        }
    })
}

/// A cloud of points.
struct Panel<'a> {
    name: &'static str,
    class: &'static str,
    points: &'a [[f64; 2]],
}

impl<'a> Panel<'a> {
    fn of(name: &'static str, class: &'static str, points: &'a [[f64; 2]]) -> Option<Self> {
        points.iter().any(finite).then_some(Self { name, class, points })
    }

    fn draw(&self, axes: &Axes) -> Markup {
        let shown = every(self.points, POINTS);
        let outside = self.points.iter().filter(|point| !inside(axes, point)).count();
        let description =
            format!("Scatter plot of the {}: {} points.", self.class, number::count(self.points.len() as u64));
        let marks = html! { path.dots.(self.class) d=(marks::dots(axes, shown.iter().map(pair))) {} };
        html! {
            figure.panel {
                figcaption { b { (self.name) } }
                (axes.plot(Shape::Square, "", &description, &marks))
                p.note {
                    @if shown.len() < self.points.len() {
                        (number::count(shown.len() as u64)) " of "
                    }
                    (number::count(self.points.len() as u64)) " points"
                    @if outside > 0 { ", " (number::count(outside as u64)) " outside the frame" }
                    "."
                }
            }
        }
    }
}

fn heat_map(density: &Density, axes: &Axes) -> Option<Markup> {
    let rows = density.values.len().checked_div(density.columns)?;
    let values = || density.values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = (values().reduce(f64::min)?, values().reduce(f64::max)?);
    let label = or(&density.label, "p(x)");
    let description = format!(
        "Heat map of {label} on a grid of {} by {rows}, from {} to {}.",
        density.columns,
        number::plain(negligible(low, high)),
        number::plain(high)
    );
    Some(html! {
        figure.panel {
            figcaption { b { "Density" } }
            (axes.plot(Shape::Square, "", &description, &marks::cells(axes, &coarser(density, rows))))
            p.note.ramp { (number::plain(negligible(low, high))) span aria-hidden="true" {} (number::plain(high)) " = " (label) }
        }
    })
}

/// What judges points: dark where it is high, with lines from dots to where it rises.
fn surface(judged: &Judged, axes: &Axes) -> Option<Markup> {
    let Judged { surface, arrows } = judged;
    let rows = surface.values.len().checked_div(surface.columns)?;
    let values = || surface.values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = (values().reduce(f64::min)?, values().reduce(f64::max)?);
    let label = or(&surface.label, "f(x)");
    let (low, high) = (number::plain(low), number::plain(high));
    let description =
        format!("Heat map of {label} from {low} to {high}, with its gradient at {} points.", arrows.len());
    let whole = arrows.iter().filter(|arrow| arrow.iter().all(finite));
    let lines: String = whole.clone().map(|arrow| marks::line(axes, arrow.iter().map(pair))).collect();
    let marks = html! {
        (marks::cells(axes, &coarser(surface, rows)))
        path.arrow d=(lines) {}
        path.dots.arrow d=(marks::dots(axes, whole.map(|arrow| pair(&arrow[0])))) {}
    };
    Some(html! {
        figure.panel {
            figcaption { b { "Judgement" } }
            (axes.plot(Shape::Square, "", &description, &marks))
            p.note.ramp { (low) span aria-hidden="true" {} (high) " = " (label) }
            p.note { "Lines go from their dots to where it rises: the way that samples are sent." }
        }
    })
}

/// The grid of noise among data: where it is dense the model sees much, and no line crosses another of its kind.
fn bent(plane: &Plane) -> Option<Markup> {
    let axes = frame(plane.bent.iter().flatten().copied())?;
    let lines: String =
        plane.bent.iter().map(|line| marks::line(&axes, line.iter().filter(|point| finite(point)).map(pair))).collect();
    let description = format!("{} lines of a regular grid of noise, as the flow bends them.", plane.bent.len());
    let marks = html! { path.way d=(lines) {} };
    Some(html! {
        figure.panel {
            figcaption { b { "Grid" } }
            (axes.plot(Shape::Square, "", &description, &marks))
            p.note { "A regular grid of noise, from −3 to 3 in each direction, where the flow takes it." }
        }
    })
}

fn trajectories(plane: &Plane) -> Option<Markup> {
    let ways: Vec<Vec<[f64; 2]>> = every(&plane.trajectories.iter().collect::<Vec<_>>(), PATHS)
        .into_iter()
        .map(|way| every(way, STATIONS).into_iter().filter(finite).collect())
        .filter(|way: &Vec<_>| !way.is_empty())
        .collect();
    let axes = frame(ways.iter().flatten().copied())?;
    let lines: String = ways.iter().map(|way| marks::line(&axes, way.iter().map(pair))).collect();
    let description = format!("{} sampling trajectories from noise to data.", ways.len());
    let marks = html! {
        path.way d=(lines) {}
        path.dots.start d=(marks::dots(&axes, ways.iter().filter_map(|way| way.first()).map(pair))) {}
        path.dots.samples d=(marks::dots(&axes, ways.iter().filter_map(|way| way.last()).map(pair))) {}
    };
    Some(html! {
        figure.panel {
            figcaption { b { "Trajectories" } }
            (axes.plot(Shape::Square, "", &description, &marks))
            p.legend { span.key.start { "noise" } span.key.second { "sample" } }
        }
    })
}

/// Ways in colour, all in one frame.
fn threads(ways: &[Ways]) -> Vec<Markup> {
    let Some(axes) = frame(ways.iter().flat_map(|ways| ways.lines.iter().flatten()).copied()) else {
        return Vec::new();
    };
    let panel = |ways: &Ways| {
        let lines: Vec<(i32, Vec<[f64; 2]>)> = every(&ways.lines.iter().collect::<Vec<_>>(), PATHS)
            .into_iter()
            .map(|line| every(line, STATIONS).into_iter().filter(finite).collect())
            .filter_map(|line: Vec<_>| Some((hue(line.first()?), line)))
            .collect();
        let description = format!("{} ways from noise to data: {}.", lines.len(), ways.title);
        let colour = |hue: &i32| format!("hsl({hue} 70% 48%)");
        let marks = html! {
            @for (hue, line) in lines.iter().take(ways.shown) {
                path.thread stroke=(colour(hue)) d=(marks::line(&axes, line.iter().map(pair))) {}
            }
            @for (hue, end) in lines.iter().filter_map(|(hue, line)| Some((hue, line.last()?))) {
                path.dots.end stroke=(colour(hue)) d=(marks::dots(&axes, [pair(end)])) {}
            }
        };
        html! {
            figure.panel {
                figcaption { b { (ways.title) } }
                (axes.plot(Shape::Square, "", &description, &marks))
                p.note { (ways.note) }
            }
        }
    };
    ways.iter().map(panel).collect()
}

/// The direction in which a point lies, in degrees.
fn hue([x, y]: &[f64; 2]) -> i32 {
    y.atan2(*x).to_degrees().rem_euclid(360.0).round() as i32
}

/// Axes of equal unit that hold all but the furthest of the points.
fn frame(points: impl Iterator<Item = [f64; 2]>) -> Option<Axes> {
    let points: Vec<_> = points.filter(finite).collect();
    let extent = |axis: usize| {
        let mut values: Vec<f64> = points.iter().map(|point| point[axis]).collect();
        values.sort_by(f64::total_cmp);
        let tail = (TAIL * values.len() as f64) as usize;
        Scale::exact(values.get(tail..values.len() - tail)?.iter().copied()).map(Scale::ends)
    };
    let ((left, right), (bottom, top)) = (extent(0)?, extent(1)?);
    let half = 0.56 * (right - left).max(top - bottom);
    let around = |low: f64, high: f64| {
        let centre = low + 0.5 * (high - low);
        Scale::Linear { low: centre - half, high: centre + half }
    };
    half.is_finite().then(|| Axes { x: around(left, right), y: around(bottom, top) })
}

/// The density with at most [`CELLS`] cells in each direction, each the mean of those that it covers.
fn coarser(density: &Density, rows: usize) -> Density {
    let group = density.columns.max(rows).div_ceil(CELLS).max(1);
    if group == 1 {
        return density.clone();
    }
    let (columns, rows) = (density.columns / group, rows / group);
    let mean = |row: usize, column: usize| {
        let line = |inner| &density.values[(row * group + inner) * density.columns + column * group..][..group];
        (0..group).flat_map(line).sum::<f64>() / (group * group) as f64
    };
    // Cells that do not fill a group are cut off, and the borders move with them.
    let border = |[low, high]: [f64; 2], kept: usize, all: usize| [low, low + (high - low) * kept as f64 / all as f64];
    Density {
        label: density.label.clone(),
        x: border(density.x, columns * group, density.columns),
        y: border(density.y, rows * group, density.values.len() / density.columns),
        columns,
        values: (0..rows).flat_map(|row| (0..columns).map(move |column| mean(row, column))).collect(),
    }
}

/// Zero for a `low` that is nothing beside `high`: densities do not vanish, they get small.
fn negligible(low: f64, high: f64) -> f64 {
    if low.abs() < 1e-3 * high.abs() { 0.0 } else { low }
}

fn corners(density: &Density) -> impl Iterator<Item = [f64; 2]> {
    [[density.x[0], density.y[0]], [density.x[1], density.y[1]]].into_iter()
}

fn inside(axes: &Axes, point: &[f64; 2]) -> bool {
    (0.0..=1.0).contains(&axes.x.at(point[0])) && (0.0..=1.0).contains(&axes.y.at(point[1]))
}

fn finite(point: &[f64; 2]) -> bool {
    point.iter().all(|value| value.is_finite())
}

fn pair(point: &[f64; 2]) -> (f64, f64) {
    (point[0], point[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_equal_units_and_ignores_a_stray_point() {
        let cloud = (0..1000).map(|i| [f64::from(i % 10), f64::from(i % 7)]).chain([[1e9, 1e9], [f64::NAN, 0.0]]);
        let axes = frame(cloud).expect("finite points");
        let ((left, right), (bottom, top)) = (axes.x.ends(), axes.y.ends());
        assert!((right - left - (top - bottom)).abs() < 1e-9 && right - left < 20.0, "{axes:?}");
        assert!(frame([[f64::NAN, 0.0]].into_iter()).is_none());
    }

    #[test]
    fn a_colour_is_a_direction() {
        let hues = [[1.0, 0.0], [0.0, 2.0], [-1.0, 0.0], [0.0, -0.1]].map(|point| hue(&point));
        assert_eq!(hues, [0, 90, 180, 270]);
    }

    #[test]
    fn a_coarser_density_keeps_its_mean() {
        let values: Vec<f64> = (0..250 * 240).map(|i| f64::from(i % 17)).collect();
        let density = Density { x: [0.0, 1.0], y: [0.0, 2.0], columns: 240, values, ..Density::default() };
        let coarse = coarser(&density, 250);
        assert_eq!((coarse.columns, coarse.values.len()), (80, 80 * 83));
        assert!((coarse.y[1] - 2.0 * 249.0 / 250.0).abs() < 1e-12 && coarse.x[1] == 1.0);
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        assert!((mean(&coarse.values) - mean(&density.values[..249 * 240])).abs() < 1e-9);
    }
}
