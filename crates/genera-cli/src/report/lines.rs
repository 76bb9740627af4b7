//! Several quantities against one: what changes together as something is turned.

use super::{
    Axis, Lines, number,
    plot::{Axes, Scale, Shape, marks},
};
use maud::{Markup, html};

/// The figure of `lines`, or nothing if no line has two finite points.
pub fn figure(lines: &Lines) -> Markup {
    let finite = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
        points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
    };
    let series: Vec<(&str, Vec<(f64, f64)>)> = lines
        .series
        .iter()
        .map(|(name, points)| (name.as_str(), finite(points)))
        .filter(|(_, points)| points.len() > 1)
        .collect();
    let all = || series.iter().flat_map(|(_, points)| points.iter().copied());
    let x = match lines.axis {
        Axis::Even => Scale::exact(all().map(|point| point.0)),
        Axis::Decades => Scale::decades(all().map(|point| point.0)),
    };
    let (Some(x), Some(y)) = (x, Scale::fit(all().map(|point| point.1))) else {
        return html! {};
    };
    let axes = Axes { x, y };
    let told: Vec<String> = series
        .iter()
        .filter_map(|(name, points)| {
            let (first, last) = (points.first()?.1, points.last()?.1);
            Some(format!("{name} from {} to {}", number::plain(first), number::plain(last)))
        })
        .collect();
    let description = format!("Line plot against {}: {}.", lines.x_label, told.join(", "));
    let marks = html! {
        @for (index, (_, points)) in series.iter().enumerate() {
            path.series.(colour(index)) d=(marks::line(&axes, points.iter().copied())) {}
            path.dots.series.(colour(index)) d=(marks::dots(&axes, points.iter().copied())) {}
        }
    };
    html! {
        figure.lines {
            figcaption { b { (lines.title) } }
            (axes.plot(Shape::Wide, &lines.x_label, &description, &marks))
            p.legend { @for (index, (name, _)) in series.iter().enumerate() { span.key.(colour(index)) { (name) } } }
            @if !lines.note.is_empty() { p.note { (lines.note) } }
        }
    }
}

/// The style of the series at `index`; those after the third look like the third.
fn colour(index: usize) -> &'static str {
    ["first", "second", "third"][index.min(2)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_needs_two_finite_points() {
        let lines = |points: Vec<(f64, f64)>| Lines { series: vec![("a".to_owned(), points)], ..Lines::default() };
        assert!(figure(&lines(vec![(0.0, 1.0), (1.0, f64::NAN)])).0.is_empty());
        let drawn = figure(&lines(vec![(0.0, 1.0), (0.5, f64::NAN), (1.0, 0.5)])).into_string();
        assert!(drawn.contains("a from 1 to 0.5"), "{drawn}");
        let decades = |points| figure(&Lines { axis: Axis::Decades, ..lines(points) }).into_string();
        assert!(decades(vec![(10.0, 1.0), (20.0, 0.5)]).contains(" log\""));
        assert!(!decades(vec![(0.0, 1.0), (20.0, 0.5)]).contains(" log\""));
    }
}
