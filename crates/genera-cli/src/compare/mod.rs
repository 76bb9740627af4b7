//! Runs side by side, whatever their family: the table behind `genera compare`.
//!
//! Numbers are put beside each other only where they compare: one table for each data set, one column for each measure
//! with what it was measured on, and a likelihood never without its kind. The best of a column is marked only where
//! all of it was measured in one way.

mod markdown;
mod page;

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

pub use markdown::markdown;
pub use page::page;

use crate::failure::{Failure, Outcome};
use crate::report::number;
use crate::run::{RunDir, Score};

/// What is shown of each run, where it was measured, in this order: the measure up to its `@`, the words above its
/// column, and which end of it is good.
const COLUMNS: [(&str, &str, Good); 17] = [
    ("nats", "likelihood, nats a row", Good::High),
    ("bits-per-dimension", "bits a dimension", Good::Low),
    ("kl", "divergence, nats", Good::Low),
    ("frechet", "Fréchet distance", Good::Low),
    ("frechet-ratio", "… over that of data", Good::Low),
    ("kid", "kernel distance", Good::Zero),
    ("mmd", "mean discrepancy", Good::Zero),
    ("precision", "precision", Good::High),
    ("recall", "recall", Good::High),
    ("density", "density", Good::None),
    ("coverage", "coverage", Good::High),
    ("rarest-class", "rarest class", Good::High),
    ("top-probability", "surest class", Good::None),
    ("class-accuracy", "class asked for", Good::High),
    ("memorisation", "nearer to training data", Good::None),
    ("accuracy", "accuracy", Good::High),
    ("samples-per-second", "samples a second", Good::High),
];

/// Which end of a measure is the good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Good {
    High,
    Low,
    /// Zero: an estimate without bias, which chance may carry below.
    Zero,
    /// Neither: there is a right value in between, or the measure means little alone.
    None,
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    pub run: PathBuf,
    pub recipe: String,
    pub title: String,
    pub family: String,
    pub data: String,
    pub seed: u64,
    pub steps: u64,
    pub parameters: Option<u64>,
    /// Of training.
    pub minutes: Option<f64>,
    pub measures: Vec<Score>,
}

/// One number of a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    pub value: f64,
    pub text: String,
    /// What a likelihood is: exact, a bound, an estimate, and of which noise.
    pub kind: Option<String>,
    /// The values that an element of the data has for it; likelihoods of others do not compare at all.
    pub levels: Option<u64>,
    /// Whether it is the best of its column.
    pub best: bool,
}

/// One measure.
#[derive(Clone, Debug, Serialize)]
pub struct Column {
    pub measure: String,
    pub title: String,
    /// What it was measured with or on, if that is not held-out data.
    pub on: Option<String>,
    pub good: Good,
    /// Likelihoods of different kinds stand in it, because they were asked for so.
    pub mixed: bool,
    /// One a line.
    pub cells: Vec<Option<Cell>>,
}

/// The runs on one data set.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    pub data: String,
    pub lines: Vec<Line>,
    pub columns: Vec<Column>,
}

impl Column {
    /// Whether its head says that it is of this kind.
    fn says(&self, kind: &str) -> bool {
        self.on.as_ref().is_some_and(|on| on.starts_with(kind))
    }
}

impl Line {
    /// What the run at `path` says of itself.
    pub fn of(path: &Path, complain: impl FnMut(String)) -> Outcome<Self> {
        let run = RunDir::open(path)?;
        let recipe = run.recipe();
        let scores = run.scores()?.ok_or_else(|| {
            let path = path.display();
            Failure::new(format!("{path}: nothing was measured yet; do it with `genera eval {path}`"))
        })?;
        let family = serde_json::to_value(&recipe.model).ok();
        let family = family.as_ref().and_then(|model| model.get("family")).and_then(Value::as_str);
        let checkpoint = run.checkpoints().latest(complain)?;
        // Of a model in parts, all parts: what is neither an average nor the state of an optimiser.
        let groups = checkpoint.iter().flat_map(|checkpoint| &checkpoint.groups);
        let weights: Vec<_> = groups.filter(|(name, _)| !name.contains("optimizer") && !name.contains("ema")).collect();
        let count = weights.iter().flat_map(|(_, group)| group.values()).map(|array| array.values.len() as u64).sum();
        Ok(Self {
            run: path.to_owned(),
            recipe: recipe.name.clone(),
            title: recipe.title.clone(),
            family: family.unwrap_or("?").to_owned(),
            data: recipe.data.name.clone(),
            seed: recipe.seed,
            steps: scores.step,
            parameters: (!weights.is_empty()).then_some(count),
            minutes: run.log()?.last().map(|line| line.seconds / 60.0),
            measures: scores.measures,
        })
    }

    /// The name of the line: its recipe, with the seed where the recipe stands there more than once.
    pub fn name(&self, among: &[Self]) -> String {
        let same: Vec<&Self> = among.iter().filter(|other| other.recipe == self.recipe).collect();
        if same.len() == 1 {
            return self.recipe.clone();
        }
        if same.iter().filter(|other| other.seed == self.seed).count() == 1 {
            return format!("{} (seed {})", self.recipe, self.seed);
        }
        format!("{} ({})", self.recipe, self.run.display())
    }

    fn score(&self, measure: &str) -> Option<&Score> {
        // Of grey levels the same likelihood in bits a dimension says more.
        let in_bits = || self.measures.iter().any(|score| score.measure == "bits-per-dimension@held-out");
        self.measures.iter().find(|score| score.measure == measure).filter(|_| measure != "nats@held-out" || !in_bits())
    }
}

/// Which likelihoods are compared with which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kinds {
    /// Only those of one kind, under one noise: each has a column of its own.
    Apart,
    /// All: they stand in one column that shows the kinds.
    Together,
}

/// One table for each data set, in the order in which they first occur.
pub fn tables(lines: Vec<Line>, kinds: Kinds) -> Vec<Table> {
    let mut tables: Vec<(String, Vec<Line>)> = Vec::new();
    for line in lines {
        match tables.iter_mut().find(|(data, _)| *data == line.data) {
            Some((_, lines)) => lines.push(line),
            None => tables.push((line.data.clone(), vec![line])),
        }
    }
    let table = |(data, lines): (String, Vec<Line>)| Table { data, columns: columns(&lines, kinds), lines };
    tables.into_iter().map(table).collect()
}

fn columns(lines: &[Line], kinds: Kinds) -> Vec<Column> {
    let mut columns = Vec::new();
    for (kind, title, good) in COLUMNS {
        // Of each extractor of features its own column: distances in different spaces do not compare.
        let mut measures: Vec<&str> = Vec::new();
        for score in lines.iter().flat_map(|line| &line.measures) {
            let here = score.measure.split('@').next() == Some(kind);
            if here && !measures.contains(&score.measure.as_str()) {
                measures.push(&score.measure);
            }
        }
        for measure in measures {
            let on =
                measure.split_once('@').map(|(_, on)| on.to_owned()).filter(|on| on != "held-out" && on != "fresh");
            let cells: Vec<Option<Cell>> = lines.iter().map(|line| line.score(measure).map(cell)).collect();
            let group = |cell: &Cell| (cell.levels, cell.kind.clone().filter(|_| kinds == Kinds::Apart));
            let mut groups = Vec::new();
            for found in cells.iter().flatten().map(group) {
                if !groups.contains(&found) {
                    groups.push(found);
                }
            }
            let several = groups.iter().any(|other| other.0 != groups[0].0);
            for here in &groups {
                let of_group = |cell: &Option<Cell>| cell.clone().filter(|cell| group(cell) == *here);
                let mut cells: Vec<Option<Cell>> = cells.iter().map(of_group).collect();
                let first = cells.iter().flatten().next().and_then(|cell| cell.kind.clone());
                let mixed = cells.iter().flatten().any(|cell| cell.kind != first);
                mark_best(&mut cells, good);
                let levels = here.0.filter(|_| several).map(|levels| format!("{levels} levels"));
                let parts: Vec<String> = here.1.clone().into_iter().chain(levels).collect();
                let on =
                    if groups.len() == 1 { on.clone() } else { Some(parts.join(", ")).filter(|on| !on.is_empty()) };
                columns.push(Column { measure: measure.to_owned(), title: title.to_owned(), on, good, mixed, cells });
            }
        }
    }
    columns
}

fn cell(score: &Score) -> Cell {
    let error = score.record.get("standard_error").and_then(Value::as_f64);
    let levels = score.record.get("protocol").and_then(|protocol| protocol.pointer("/dequantisation/levels"));
    let levels = levels.and_then(Value::as_u64);
    Cell { value: score.value, text: number::measured(score.value, error), kind: score.kind(), levels, best: false }
}

fn mark_best(cells: &mut [Option<Cell>], good: Good) {
    // Higher is better; below zero chance is at work.
    let rank = |value: f64| match good {
        Good::High => Some(value),
        Good::Low => Some(-value),
        Good::Zero => Some(-value.max(0.0)),
        Good::None => None,
    };
    let ranks: Vec<Option<f64>> = cells
        .iter()
        .map(|cell| cell.as_ref().filter(|cell| !cell.value.is_nan()).and_then(|cell| rank(cell.value)))
        .collect();
    let Some(best) = ranks.iter().flatten().copied().reduce(f64::max) else { return };
    // Where all are equal none stands out.
    if ranks.iter().flatten().any(|rank| *rank != best) {
        for (cell, rank) in cells.iter_mut().zip(ranks) {
            if let (Some(cell), Some(rank)) = (cell, rank) {
                cell.best = rank == best;
            }
        }
    }
}

#[cfg(test)]
mod tests;
