//! The tables as one HTML page, with quality against speed and precision against recall.

use maud::{Markup, html};

use super::markdown::{heading, notes};
use super::{Column, Good, Line, Table};
use crate::report::plot::{Axes, Scale, Shape, marks};
use crate::report::{document, meaning, number};

/// The whole page.
pub fn page(tables: &[Table]) -> String {
    let runs: usize = tables.iter().map(|table| table.lines.len()).sum();
    let body = html! {
        header {
            h1 { "Runs compared" }
            p.claim { (runs) " runs on " (tables.len()) @if tables.len() == 1 { " data set" } @else { " data sets" } "." }
            p.paper {
                "Numbers compare within a table. ↑ higher is better, ↓ lower is better, → 0 best at zero. The numbers in the \
                 plots are those of the lines."
            }
        }
        main {
            @for (index, table) in tables.iter().enumerate() {
                section.full id={ "data-" (index) } aria-labelledby={ "data-" (index) "-title" } {
                    h2 id={ "data-" (index) "-title" } { (table.data) }
                    div.body {
                        div.wide tabindex="0" role="group" aria-label={ "Runs on " (table.data) } { (grid(table)) }
                        @for note in notes(table) { p.note { (note) } }
                        div.charts { (plots(table)) }
                        (meanings(table))
                    }
                }
            }
        }
        footer { p { "Written by genera " (env!("CARGO_PKG_VERSION")) ". This page is one file and loads nothing." } }
    };
    document("Runs compared", &body)
}

fn grid(table: &Table) -> Markup {
    html! {
        table.compared {
            thead {
                tr {
                    th scope="col" { "#" }
                    th scope="col" { "Model" }
                    th.number scope="col" { "Parameters" }
                    th.number scope="col" { "Training" }
                    @for column in &table.columns {
                        th.number scope="col" {
                            (column.title) @if let Some(sign) = sign(column.good) { " " span.sign title=(better(column.good)) { (sign) } }
                            @if let Some(on) = &column.on { br; span.note { (on) } }
                        }
                    }
                }
            }
            tbody {
                @for (index, line) in table.lines.iter().enumerate() {
                    tr {
                        td.number { (index + 1) }
                        th scope="row" { b { (line.name(&table.lines)) } br; span.note { (line.family) } }
                        td.number data-label="Parameters" {
                            (line.parameters.map_or_else(|| "–".to_owned(), number::count))
                        }
                        td.number data-label="Training" { (line.minutes.map_or_else(|| "–".to_owned(), number::duration)) }
                        @for column in &table.columns { (cell(column, index)) }
                    }
                }
            }
        }
    }
}

fn cell(column: &Column, index: usize) -> Markup {
    html! {
        td.number.none[column.cells[index].is_none()] data-label=(labelled(column)) {
            @match &column.cells[index] {
                None => "–",
                Some(cell) => {
                    @if cell.best { b { (cell.text) } } @else { (cell.text) }
                    @if let Some(kind) = cell.kind.as_ref().filter(|kind| !column.says(kind)) {
                        br; span.note { (kind) }
                    }
                }
            }
        }
    }
}

/// What stands before a number where the heads of the columns do not fit.
fn labelled(column: &Column) -> String {
    let sign = sign(column.good).map_or_else(String::new, |sign| format!(" {sign}"));
    format!("{}{sign}", heading(column))
}

/// Which way is better.
fn sign(good: Good) -> Option<&'static str> {
    match good {
        Good::High => Some("↑"),
        Good::Low => Some("↓"),
        Good::Zero => Some("→ 0"),
        Good::None => None,
    }
}

fn better(good: Good) -> &'static str {
    match good {
        Good::High => "higher is better",
        Good::Low => "lower is better",
        Good::Zero => "near 0 is better",
        Good::None => "",
    }
}

/// Pairs of measures that pull against each other.
fn plots(table: &Table) -> Markup {
    let find = |name: &str| table.columns.iter().find(|column| column.measure.split('@').next() == Some(name));
    let quality = ["frechet", "kid", "mmd", "nats"].into_iter().find_map(find);
    let pairs = [
        ("Quality against speed", find("samples-per-second"), quality),
        ("Precision against recall", find("recall"), find("precision")),
    ];
    html! {
        @for (title, x, y) in pairs {
            @if let (Some(x), Some(y)) = (x, y) { (scatter(title, &table.lines, x, y)) }
        }
    }
}

fn scatter(title: &str, lines: &[Line], x: &Column, y: &Column) -> Markup {
    let place = |index: usize| -> Option<(usize, f64, f64)> {
        let (x, y) = (x.cells[index].as_ref()?.value, y.cells[index].as_ref()?.value);
        (x.is_finite() && y.is_finite()).then_some((index, x, y))
    };
    let places: Vec<_> = (0..lines.len()).filter_map(place).collect();
    let fit = |value: fn(&(usize, f64, f64)) -> f64| Scale::fit(places.iter().map(value));
    let axes = (places.len() >= 2).then(|| Some(Axes { x: fit(|place| place.1)?, y: fit(|place| place.2)? })).flatten();
    let better = |good: Good| match better(good) {
        "" => String::new(),
        text => format!(", {text}"),
    };
    html! {
        @if let Some(axes) = axes {
            figure {
                figcaption { b { (title) } br; span.note { (heading(y)) (better(y.good)) } }
                @let dots = html! { path.dots.runs d=(marks::dots(&axes, places.iter().map(|place| (place.1, place.2)))) {} };
                @let labels = html! {
                    @for (index, x, y) in &places {
                        span.name aria-hidden="true" style=(axes.style(*x, *y)) { (index + 1) }
                    }
                };
                @let description = places
                    .iter()
                    .map(|(index, x, y)| format!("{} at {}, {}", lines[*index].name(lines), number::plain(*x), number::plain(*y)))
                    .collect::<Vec<_>>()
                    .join("; ");
                (axes.plot_with(Shape::Wide, &format!("{}{}", heading(x), better(x.good)), &description, &dots, &labels))
                ol.legend {
                    @for (index, ..) in &places { li { (index + 1) " " (lines[*index].name(lines)) } }
                }
            }
        }
    }
}

/// What the measures of the table mean.
fn meanings(table: &Table) -> Markup {
    let known: Vec<(String, &str)> =
        table.columns.iter().filter_map(|column| Some((heading(column), meaning::of(&column.measure)?))).collect();
    html! {
        @if !known.is_empty() {
            details {
                summary { "What the columns mean" }
                dl.meanings { @for (title, text) in known { dt { (title) } dd { (text) } } }
            }
        }
    }
}
