//! What a model measured, and whether that is what its recipe promised.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::failure::{Failure, Outcome};

/// `scores.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// The recipe that was measured.
    pub recipe_sha256: String,
    /// The number of training steps taken.
    pub step: u64,
    /// The seed of the evaluation.
    pub seed: u64,
    /// Everything that was measured.
    pub measures: Vec<Score>,
    /// The recipe's expectations, held against it.
    pub verdicts: Vec<Verdict>,
    /// What more and more caution in drawing does, or more and more steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sweeps: Vec<Sweep>,
}

impl Scores {
    /// Adds those sweeps of `before` that were not made again.
    pub fn keep_sweeps(&mut self, before: Vec<Sweep>) {
        let made = |sweep: &Sweep| self.sweeps.iter().any(|own| own.kind == sweep.kind && own.by == sweep.by);
        let kept: Vec<Sweep> = before.into_iter().filter(|sweep| !made(sweep)).collect();
        self.sweeps.extend(kept);
    }
}

/// What the name of a sweep over the steps of a solver begins with.
pub const STEPS: &str = "steps of ";

/// Fidelity and variety as a model draws with more and more caution, or in more and more steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// `temperature`, `truncation`, `guidance`, or [`STEPS`] and a solver.
    pub kind: String,
    /// What compared samples with held-out data.
    pub by: String,
    /// Samples at each value.
    pub n: usize,
    /// Of the samples: the same noise at each value.
    pub seed: u64,
    /// In rising order of the value: of temperature and truncation from the most caution to none, of guidance and steps from the least up.
    pub points: Vec<SweepPoint>,
}

/// One value of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepPoint {
    /// The temperature, the largest absolute value of the noise, the scale of guidance, or the number of steps.
    pub at: f64,
    /// How often a sample asked the network that removes noise, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluations: Option<f64>,
    /// The share of samples in which the classes that were asked for are seen, where a classifier looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    pub precision: f64,
    pub recall: f64,
    pub density: f64,
    pub coverage: f64,
    pub frechet: f64,
}

/// One number that says what it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// What was measured, as recipes name it.
    pub measure: String,
    /// The number.
    pub value: f64,
    /// The same measure of something known, to hold the number against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// How it was measured: sizes of samples, features, unit, standard error, seed.
    pub record: Map<String, Value>,
}

impl Score {
    /// What a likelihood is: the kind, what was done to grey levels, and what the model was told.
    pub fn kind(&self) -> Option<String> {
        let protocol = self.record.get("protocol")?;
        let text = |pointer: &str| protocol.pointer(pointer).and_then(Value::as_str).map(|text| text.replace('_', " "));
        let count = |pointer: &str| protocol.pointer(pointer).and_then(Value::as_u64);
        let mut kind = text("/kind/name")?;
        if let Some(k) = count("/kind/k") {
            kind = kind.replacen("k ", &format!("{k}-"), 1);
        }
        match text("/dequantisation/name").as_deref() {
            None | Some("none" | "continuous") => {}
            Some("uniform k") => {
                let k = count("/dequantisation/k").unwrap_or_default();
                kind = format!("{kind}, {k} draws of uniform noise");
            }
            Some(noise) => kind = format!("{kind}, {noise} noise"),
        }
        if let Some(given) = self.record.get("given").and_then(Value::as_str) {
            kind = format!("{kind}, given {given}");
        }
        Some(kind)
    }
}

/// A number to hold a score against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// What it was measured on.
    pub of: String,
    /// The number.
    pub value: f64,
}

/// One expectation of the recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What is measured.
    pub measure: String,
    /// What was promised, in words.
    pub expected: String,
    /// What was measured; nothing if it could not be.
    pub measured: Option<f64>,
    /// Whether the promise is kept.
    pub met: bool,
}

pub fn read(path: &Path) -> Outcome<Option<Scores>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::file(path)(error)),
    };
    let unreadable = |error| Failure::new(format!("{}: {error}; `genera eval` writes it anew", path.display()));
    serde_json::from_slice(&text).map(Some).map_err(unreadable)
}
