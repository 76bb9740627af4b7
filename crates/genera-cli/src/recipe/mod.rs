//! Recipes: what to train, on what, and the numbers it must reach.
//!
//! A recipe is TOML, embedded (see [`embedded`]) or a file. Unknown keys are refused, `--set` changes values before
//! anything is typed, and what is written into a run has every default spelled out.

mod embedded;
mod expect;
mod overrides;
mod stray;
mod suggest;

use std::path::Path;

use genera::diffusion::{Guidance, Sampler};
use genera::train::{DescentConfig, Ema, OptimizerConfig, RateSchedule};
use serde::{Deserialize, Serialize};
use toml::Table;

pub use embedded::{DEFAULT, names};
pub use expect::{Expect, Measure, POINTS};
pub use suggest::nearest;

use crate::failure::{Failure, Outcome, one_line};
use crate::family::Family;

/// Everything that determines a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The name; default run directories carry it.
    pub name: String,
    /// What it is, in a line.
    pub title: String,
    /// Where it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paper: Option<String>,
    /// The lecture that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lecture: Option<u32>,
    /// The seed of everything random.
    #[serde(default)]
    pub seed: u64,
    /// What to learn from.
    pub data: DataSpec,
    /// What learns.
    pub model: Family,
    /// How it learns.
    pub train: TrainSpec,
    /// How to draw from what has learnt (`genera sample` may say otherwise); absent where nothing is drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sampler>,
    /// On how much it is measured.
    #[serde(default)]
    pub measure: MeasureSpec,
    /// The numbers that must be reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<Expect>,
}

/// A data set and how the model sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// A known set (`genera data` lists them), a toy density, or a path.
    pub name: String,
    /// The numbers that stand for a row.
    pub view: genera_data::View,
    /// How many points to draw; only for toy densities, which have no fixed size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<usize>,
    /// The shape `[C, H, W]` to bring pictures to; only for folders of pictures and Parquet files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<[usize; 3]>,
    /// Grey levels to bring pictures to, at most as many as they have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levels: Option<u16>,
    /// Whether captions of the pictures stand in the place of their classes; only for digits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub captions: bool,
}

/// On how much a trained model is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MeasureSpec {
    /// Samples that are drawn.
    pub samples: usize,
    /// Held-out rows whose likelihood is measured. All, if absent; 64 where each costs as many evaluations of a network
    /// as a chain has steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub likelihood_rows: Option<usize>,
    /// Draws of uniform noise that tighten the likelihood of a dequantised row.
    pub dequantisation_draws: usize,
    /// Relabellings of the permutation test.
    pub permutations: usize,
}

impl Default for MeasureSpec {
    fn default() -> Self {
        Self { samples: 1000, likelihood_rows: None, dequantisation_draws: 1, permutations: 500 }
    }
}

/// The course of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainSpec {
    /// Updates to take.
    pub steps: u64,
    /// Rows of one micro-batch.
    pub batch_size: usize,
    /// Micro-batches whose gradients are averaged into one update.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// The rule of an update.
    pub optimizer: OptimizerConfig,
    /// The learning rate over time.
    #[serde(default)]
    pub rate: RateSchedule,
    /// The largest global norm of a gradient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// The moving average of the weights that samples are drawn from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<Ema>,
    /// Steps between lines of the log.
    #[serde(default = "ten")]
    pub log_every: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// How many of the newest checkpoints stay (the best one always does).
    #[serde(default = "three")]
    pub keep: usize,
    /// Steps between previews of samples; 0 for none.
    #[serde(default)]
    pub preview_every: u64,
}

impl TrainSpec {
    /// The part that the training engine knows.
    pub fn descent(&self) -> DescentConfig {
        DescentConfig { optimizer: self.optimizer, rate: self.rate, clip_norm: self.clip_norm, ema: self.ema }
    }
}

fn one() -> usize {
    1
}

fn three() -> usize {
    3
}

fn ten() -> u64 {
    10
}

impl Recipe {
    /// The embedded recipe `name_or_path`, or the one in that file, with `overrides` (`a.b.c=value`) applied.
    pub fn find(name_or_path: &str, overrides: &[String]) -> Outcome<Self> {
        let (text, origin) = match embedded::text(name_or_path) {
            Some(text) => (text.to_owned(), format!("recipe {name_or_path}")),
            None => (read_file(name_or_path)?, name_or_path.to_owned()),
        };
        Self::from_toml(&text, &origin)?.with(overrides)
    }

    /// Types the TOML `text`, which comes from `origin`.
    pub fn from_toml(text: &str, origin: &str) -> Outcome<Self> {
        let recipe: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let place = line.map_or_else(|| origin.to_owned(), |line| format!("{origin}, line {line}"));
            Failure::new(format!("{place}: {}", suggest::with_suggestion(&one_line(error.message()))))
        })?;
        let given = text.parse().unwrap_or_default();
        recipe.refuse_stray(&given).and_then(|()| recipe.check()).map_err(|error| error.during(origin))?;
        Ok(recipe)
    }

    /// What of `given`, from which this was typed, no type looked at.
    fn refuse_stray(&self, given: &Table) -> Outcome {
        let typed = Table::try_from(self).map_err(|error| Failure::new(one_line(&error.to_string())))?;
        stray::find(given, &typed).map_or(Ok(()), |line| Err(Failure::new(line)))
    }

    /// The recipe with `overrides` applied, each `a.b.c=value` with a TOML value.
    pub fn with(self, overrides: &[String]) -> Outcome<Self> {
        if overrides.is_empty() { Ok(self) } else { overrides::apply(&self, overrides) }
    }

    /// Guidance as the recipe has it, at another scale.
    pub fn guidance(&self, scale: f64) -> Guidance {
        let own = self.sample.as_ref().and_then(|sampler| sampler.guidance);
        Guidance { scale, ..own.unwrap_or_else(|| Guidance::of(scale)) }
    }

    /// The recipe with every default spelled out.
    pub fn to_toml(&self) -> Outcome<String> {
        toml::to_string(self)
            .map_err(|error| Failure::new(format!("recipe {}: {}", self.name, one_line(&error.to_string()))))
    }

    /// What types cannot say.
    fn check(&self) -> Outcome {
        let train = &self.train;
        let positive = [
            ("train.batch_size", train.batch_size as u64),
            ("train.accumulate", train.accumulate as u64),
            ("train.log_every", train.log_every),
            ("train.checkpoint_every", train.checkpoint_every),
            ("train.keep", train.keep as u64),
            ("measure.permutations", self.measure.permutations as u64),
            ("measure.dequantisation_draws", self.measure.dequantisation_draws as u64),
        ];
        for (key, value) in positive {
            if value == 0 {
                return Err(Failure::new(format!("{key} is 0; it must be at least 1")));
            }
        }
        let rows = self.measure.likelihood_rows.unwrap_or(usize::MAX);
        for (key, value) in [("samples", self.measure.samples), ("likelihood_rows", rows)] {
            if value < 2 {
                return Err(Failure::new(format!("measure.{key} is {value}; it must be at least 2")));
            }
        }
        if self.name.is_empty() || self.name.contains(['/', '\\']) || self.name.starts_with('.') {
            return Err(Failure::new(format!("the name `{}` cannot be that of a folder", self.name)));
        }
        if i64::try_from(self.seed).is_err() {
            return Err(Failure::new(format!(
                "the seed {} is above {}, the largest whole number of TOML",
                self.seed,
                i64::MAX
            )));
        }
        Ok(())
    }
}

fn read_file(path: &str) -> Outcome<String> {
    let looks_like_a_path = path.ends_with(".toml") || path.contains(['/', '\\']);
    if !looks_like_a_path && !Path::new(path).is_file() {
        let hint = nearest(path, names()).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        return Err(Failure::new(format!("no recipe is called `{path}`{hint}; `genera recipes` lists them")));
    }
    std::fs::read_to_string(path).map_err(Failure::file(Path::new(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_recipe_survives_being_written() {
        for name in names() {
            let recipe = Recipe::find(name, &[]).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            assert_eq!(recipe.name, name);
            let text = recipe.to_toml().unwrap();
            let again = Recipe::from_toml(&text, name).unwrap();
            assert_eq!(again, recipe, "{name}");
            assert_eq!(again.to_toml().unwrap(), text, "{name}");
        }
    }

    #[test]
    fn mistakes_get_a_line_and_a_suggestion() {
        let message = |result: Outcome<Recipe>| result.unwrap_err().line().unwrap();
        let text = embedded::text(DEFAULT).unwrap().replace("batch_size", "batchsize");
        let line = message(Recipe::from_toml(&text, "x.toml"));
        assert!(line.contains("x.toml, line ") && line.contains("did you mean `batch_size`?"), "{line}");
        let line = message(Recipe::find("ddpm-digit", &[]));
        assert!(line.contains("did you mean `ddpm-digits`?"), "{line}");
        for (set, wanted) in [
            ("train.stepz=3", "did you mean `steps`?"),
            ("trian.steps=3", "did you mean `train`?"),
            ("train.steps=many", "train.steps"),
            ("train.steps", "a.b.c=value"),
            ("train.steps.more=1", "train.steps"),
            ("train.batch_size=0", "at least 1"),
            ("model.net.kind=\"unett\"", "did you mean `unet`?"),
        ] {
            let line = message(Recipe::find(DEFAULT, &[set.to_owned()]));
            assert!(line.contains(wanted) && line.contains(set.split('=').next().unwrap()), "{set}: {line}");
        }
    }

    #[test]
    fn set_changes_what_it_names() {
        let sets = ["train.steps=7", "train.optimizer.learning_rate=0.5", "title=a plain string"].map(str::to_owned);
        let recipe = Recipe::find(DEFAULT, &sets).unwrap();
        assert_eq!((recipe.train.steps, recipe.title.as_str()), (7, "a plain string"));
        assert!(recipe.to_toml().unwrap().contains("learning_rate = 0.5"));
    }
}
