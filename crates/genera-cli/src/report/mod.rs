//! The report of a run: one self-contained HTML page.
//!
//! [`Report`] is plain data, [`render`] turns it into one string. The page needs no network, no script and no font of
//! its own: plots are inline SVG, pictures are PNGs in base64, colours follow the reader's light or dark preference.
//! A section without data is absent. Every text is escaped, and a content security policy forbids whatever is not on
//! the page.
//!
//! Plots are written here instead of by a library. `plotters` fixes its colours as `#RRGGBB`, so a plot cannot follow
//! the dark mode; `kuva` costs 95 000 lines and 18 s of compilation; and both put labels inside the picture, where they
//! shrink with it to half of a readable size on a phone. Here only the marks are SVG, stretched to the width of the
//! page, while labels are HTML text beside them and keep their size.

mod curve;
mod histogram;
mod lines;
pub mod meaning;
pub mod number;
mod page;
mod picture;
mod plane;
pub mod plot;
mod results;
#[cfg(test)]
mod tests;

pub use page::{document, render};

/// Everything that the page of one run shows.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The headline.
    pub title: String,
    /// The recipe's name.
    pub recipe: String,
    /// Authors, title and arXiv number; the number becomes a link.
    pub paper: String,
    /// What the recipe claims, in a sentence or two.
    pub claim: String,
    /// The resolved recipe, as TOML.
    pub recipe_toml: String,
    pub facts: Facts,
    /// Grids of generated pictures.
    pub samples: Vec<Picture>,
    pub scores: Vec<Score>,
    pub likelihoods: Vec<Likelihood>,
    pub bars: Vec<Bars>,
    pub histograms: Vec<Histogram>,
    /// What caution in drawing does.
    pub sweeps: Vec<Lines>,
    /// What the steps of a solver do, and cost.
    pub costs: Vec<Lines>,
    pub neighbours: Vec<Neighbour>,
    /// Stations of one sampling run, from noise to data.
    pub trajectory: Vec<Frame>,
    pub planes: Vec<Plane>,
    /// What else the model can do.
    pub galleries: Vec<Gallery>,
    pub curves: Vec<Curve>,
    /// Commands that reproduce the run, one a line.
    pub commands: Vec<String>,
}

/// How the run was made. An empty text or a zero is left out of the page.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Always shown: zero is a seed.
    pub seed: u64,
    pub recipe_hash: String,
    pub dataset: String,
    pub device: String,
    pub threads: usize,
    pub steps: u64,
    /// Of training, wall-clock.
    pub minutes: f64,
    /// Trained scalars.
    pub parameters: u64,
    /// Program and version.
    pub version: String,
    /// As the caller writes it: the page knows no clock.
    pub date: String,
}

/// A PNG and what it shows.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// The bytes of a PNG file.
    pub png: Vec<u8>,
    pub caption: String,
}

/// One measured number beside what the recipe expects of it.
#[derive(Clone, Debug, Default)]
pub struct Score {
    /// For example `frechet@digits-classifier`. The page explains the measures that it knows by name.
    pub measure: String,
    pub value: f64,
    /// Number of samples behind the value.
    pub n: Option<u64>,
    pub standard_error: Option<f64>,
    /// The same measure of something known, and what that is, for example `training data`.
    pub baseline: Option<(String, f64)>,
    /// For example `at most 4.2`.
    pub expectation: Option<String>,
    /// Whether the value meets the expectation.
    pub holds: Option<bool>,
}

/// A likelihood with all that one needs to compare it.
#[derive(Clone, Debug, Default)]
pub struct Likelihood {
    /// Of which points, for example `test`.
    pub split: String,
    /// `exact`, `lower bound`, `importance-weighted bound, K = 50`, ...
    pub kind: String,
    /// The mean of −ln p(x) over points, or a bound on it, in nats.
    pub negative_log_likelihood: f64,
    /// Of the mean, in nats.
    pub standard_error: f64,
    pub bits_per_dim: Option<f64>,
    /// `none`, `uniform`, ...
    pub dequantisation: String,
    /// What else was done, and how well it is known: name and value.
    pub more: Vec<(&'static str, String)>,
    pub n: u64,
    pub seed: u64,
}

/// Labelled bars, for example the share of each class among the samples.
#[derive(Clone, Debug, Default)]
pub struct Bars {
    pub title: String,
    pub unit: Unit,
    pub bars: Vec<(String, f64)>,
    /// A value that every bar is compared with, and its name.
    pub mark: Option<(String, f64)>,
}

/// How the value of a bar is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// As it is.
    #[default]
    Plain,
    /// A fraction, written in per cent.
    Share,
}

/// Distributions of one quantity, drawn over each other as the share of the values that falls into each bin.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    pub title: String,
    pub x_label: String,
    /// Name and values.
    pub series: Vec<(String, Vec<f64>)>,
}

/// Several quantities against one.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    pub title: String,
    pub x_label: String,
    /// What a reader should know.
    pub note: String,
    /// Name and points.
    pub series: Vec<(String, Vec<(f64, f64)>)>,
    pub axis: Axis,
}

/// How the values below a figure are laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Axis {
    /// Equal differences, equal distances.
    #[default]
    Even,
    /// Equal ratios, equal distances, if all values are positive.
    Decades,
}

/// A sample and the training point nearest to it.
#[derive(Clone, Debug, Default)]
pub struct Neighbour {
    /// PNG bytes.
    pub sample: Vec<u8>,
    /// PNG bytes.
    pub neighbour: Vec<u8>,
    pub distance: f64,
}

/// One station of a sampling trajectory.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// PNG bytes.
    pub png: Vec<u8>,
    /// For example `t = 40`.
    pub label: String,
}

/// A section of pictures, and of a table.
#[derive(Clone, Debug, Default)]
pub struct Gallery {
    /// Of the section, as a link names it.
    pub id: &'static str,
    pub title: &'static str,
    /// What there is to see; may be empty.
    pub lead: String,
    pub pictures: Vec<Picture>,
    pub charts: Vec<Lines>,
    /// Rows of cells, the first of heads; may be empty.
    pub table: Vec<Vec<String>>,
}

/// Two-dimensional data and what the model makes of it.
#[derive(Clone, Debug, Default)]
pub struct Plane {
    pub title: String,
    pub data: Vec<[f64; 2]>,
    pub samples: Vec<[f64; 2]>,
    pub densities: Vec<Density>,
    /// Polylines from noise to data.
    pub trajectories: Vec<Vec<[f64; 2]>>,
    /// Other ways from the same noise.
    pub ways: Vec<Ways>,
    /// The lines of a grid of noise as they are among data.
    pub bent: Vec<Vec<[f64; 2]>>,
    /// What judges points, and where it rises.
    pub judged: Option<Judged>,
}

/// Ways from noise to data, each in the colour of the direction in which it begins.
#[derive(Clone, Debug, Default)]
pub struct Ways {
    pub title: &'static str,
    /// What a reader should know.
    pub note: String,
    /// Polylines, of which the first point is noise.
    pub lines: Vec<Vec<[f64; 2]>>,
    /// How many of them are drawn; of the others only where they end.
    pub shown: usize,
}

/// A surface over the plane with its gradient.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    pub surface: Density,
    /// From a point to where the surface rises.
    pub arrows: Vec<[[f64; 2]; 2]>,
}

/// Values on a regular grid of cells, row by row from the lowest `y`.
#[derive(Clone, Debug, Default)]
pub struct Density {
    /// What the values are, for example `p(x)`.
    pub label: String,
    /// Left and right border of the grid.
    pub x: [f64; 2],
    /// Lower and upper border of the grid.
    pub y: [f64; 2],
    pub columns: usize,
    pub values: Vec<f64>,
}

/// A scalar over the course of training.
#[derive(Clone, Debug, Default)]
pub struct Curve {
    pub name: String,
    /// For example `step`.
    pub x_label: String,
    pub points: Vec<(f64, f64)>,
}

/// `text`, or `fallback` if it is empty.
fn or<'a>(text: &'a str, fallback: &'a str) -> &'a str {
    if text.is_empty() { fallback } else { text }
}
