//! The tables as Markdown.

use std::fmt::Write;

use super::{Column, Table};
use crate::report::number;

/// One table for each data set, with a note on what must not be compared.
pub fn markdown(tables: &[Table]) -> String {
    let mut out = String::new();
    for table in tables {
        _ = writeln!(out, "## {}\n", cell(&table.data));
        let measured = table.columns.iter().map(heading);
        let heads = ["model", "family", "parameters", "training"].map(str::to_owned).into_iter().chain(measured);
        row(&mut out, heads);
        let numbers = 2 + table.columns.len();
        row(&mut out, ["---"; 2].into_iter().chain(std::iter::repeat_n("---:", numbers)).map(str::to_owned));
        for (index, line) in table.lines.iter().enumerate() {
            let of_run = [
                line.name(&table.lines),
                line.family.clone(),
                line.parameters.map_or_else(|| "–".to_owned(), number::count),
                line.minutes.map_or_else(|| "–".to_owned(), number::duration),
            ];
            let measured = table.columns.iter().map(|column| match &column.cells[index] {
                None => "–".to_owned(),
                Some(found) => {
                    let kind = found.kind.as_ref().filter(|kind| !column.says(kind));
                    let kind = kind.map(|kind| format!(" ({kind})")).unwrap_or_default();
                    let mark = if found.best { "**" } else { "" };
                    format!("{mark}{}{mark}{kind}", found.text)
                }
            });
            row(&mut out, of_run.into_iter().chain(measured));
        }
        out.push('\n');
        for note in notes(table) {
            _ = writeln!(out, "{note}\n");
        }
    }
    out
}

/// What a reader must know about a table.
pub fn notes(table: &Table) -> Vec<String> {
    let mut notes = Vec::new();
    if table.columns.iter().any(|column| column.mixed) {
        notes.push(
            "Likelihoods of different kinds are ranked against each other, as was asked for: a lower bound says that \
             the likelihood is at least so high, an exact one what it is."
                .to_owned(),
        );
    }
    let apart = |column: &Column| table.columns.iter().filter(|other| other.measure == column.measure).count() > 1;
    if table.columns.iter().any(apart) {
        notes.push(
            "Likelihoods of different kinds stand in columns of their own and are not compared; --across-kinds puts \
             them side by side."
                .to_owned(),
        );
    }
    if table.columns.iter().any(|column| column.cells.iter().flatten().any(|cell| cell.best)) {
        notes.push("Bold: the best of its column; differences within the standard error mean nothing, and estimates below zero \
             count as zero."
                .to_owned());
    }
    notes
}

/// What stands above a column.
pub fn heading(column: &Column) -> String {
    match &column.on {
        Some(on) => format!("{} ({on})", column.title),
        None => column.title.clone(),
    }
}

fn row(out: &mut String, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.map(|text| cell(&text)).collect();
    _ = writeln!(out, "| {} |", cells.join(" | "));
}

/// Text that does not break a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
