//! A plot: marks in SVG, stretched to the width they are given, between axes written in HTML.
//!
//! Strokes do not scale (`vector-effect: non-scaling-stroke` in the style sheet), so lines keep their width and the
//! round caps of empty strokes make round points, whatever the shape of the plot.

pub mod marks;
mod scale;

use maud::{Markup, html};
pub use scale::Scale;

/// Side of the square of integer coordinates that marks are drawn in.
const SIDE: f64 = 4000.0;

/// The two axes of a plot.
#[derive(Clone, Copy, Debug)]
pub struct Axes {
    pub x: Scale,
    pub y: Scale,
}

/// The proportions of a plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Wide,
    Square,
}

impl Axes {
    /// Drawing coordinates, `y` downwards; places far outside come to rest just outside.
    fn place(&self, x: f64, y: f64) -> (i64, i64) {
        let coordinate = |share: f64| (SIDE * share).clamp(-SIDE, 2.0 * SIDE).round() as i64;
        (coordinate(self.x.at(x)), coordinate(1.0 - self.y.at(y)))
    }

    /// Where a label of the point stands, as a style.
    pub fn style(&self, x: f64, y: f64) -> String {
        format!("{};{}", percent("left", self.x.at(x)), percent("top", 1.0 - self.y.at(y)))
    }

    /// Draws `marks` between these axes. `description` is read to those who cannot see them.
    pub fn plot(&self, shape: Shape, x_label: &str, description: &str, marks: &Markup) -> Markup {
        self.plot_with(shape, x_label, description, marks, &html! {})
    }

    /// The same with `labels` over the marks, each with a [`style`](Self::style) of its own.
    pub fn plot_with(&self, shape: Shape, x_label: &str, description: &str, marks: &Markup, labels: &Markup) -> Markup {
        let (columns, rows) = (self.x.ticks(), self.y.ticks());
        let widest = rows.iter().map(|tick| tick.label.chars().count()).max().unwrap_or(0);
        let lines: String = columns
            .iter()
            .map(|tick| format!("M{} 0V{SIDE}", (SIDE * tick.at).round()))
            .chain(rows.iter().map(|tick| format!("M0 {}H{SIDE}", (SIDE * (1.0 - tick.at)).round())))
            .collect();
        html! {
            div.plot.square[shape == Shape::Square] style={ "--y:" (widest) "ch" } {
                div.rows aria-hidden="true" {
                    @for tick in &rows { span style=(percent("top", 1.0 - tick.at)) { (tick.label) } }
                }
                div.area data-x=(ends(self.x)) data-y=(ends(self.y)) {
                    svg viewBox={ "0 0 " (SIDE) " " (SIDE) } preserveAspectRatio="none" role="img"
                        aria-label=(description)
                    {
                        path.grid d=(lines) {}
                        (marks)
                    }
                    (labels)
                }
                div.columns aria-hidden="true" {
                    @for tick in &columns { span.last[tick.at > 0.95] style=(percent("left", tick.at)) { (tick.label) } }
                }
                @if !x_label.is_empty() { div.axis aria-hidden="true" { (x_label) } }
            }
        }
    }
}

fn percent(property: &str, share: f64) -> String {
    format!("{property}:{:.2}%", 100.0 * share)
}

/// What the hover script needs to turn a position back into a value.
fn ends(scale: Scale) -> String {
    let (low, high) = scale.ends();
    let kind = if matches!(scale, Scale::Log { .. }) { "log" } else { "linear" };
    format!("{low:e} {high:e} {kind}")
}
