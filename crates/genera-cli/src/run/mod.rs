//! A run directory: the only state that training leaves behind.
//!
//! ```text
//! recipe.toml         the recipe with everything resolved; its SHA-256 is the recipe hash
//! log.jsonl           one JSON object a logged step, appended
//! checkpoints/        step-NNNNNNNN/{*.safetensors, manifest.json}
//! samples/            previews drawn while training
//! events.out.tfevents.*
//! scores.json         what the model measured
//! report.html         all of it on one page
//! ```
//!
//! A folder is a run once `recipe.toml` is in it.

mod atomic;
mod checkpoint;
mod log;
mod scores;
mod tensorboard;

use std::fs;
use std::path::{Path, PathBuf};

pub use atomic::write as write_atomically;
pub use checkpoint::{Checkpoint, Checkpoints, Progress};
pub use log::{Log, LogLine};
pub use scores::{Baseline, STEPS, Score, Scores, Sweep, SweepPoint, Verdict};
pub use tensorboard::{EventFile, Picture};

use crate::failure::{Failure, Outcome};
use crate::recipe::Recipe;

/// A folder that holds a run.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
    recipe: Recipe,
    recipe_sha256: String,
}

impl RunDir {
    /// Makes `path` a new run of `recipe`.
    pub fn create(path: &Path, recipe: Recipe) -> Outcome<Self> {
        Self::refuse_occupied(path)?;
        fs::create_dir_all(path).map_err(Failure::file(path))?;
        Self::write_recipe(path, recipe)
    }

    /// An error if a run, or anything else, is at `path` already.
    pub fn refuse_occupied(path: &Path) -> Outcome {
        if Self::is_run(path) {
            let path = path.display();
            return Err(Failure::new(format!(
                "{path}: a run is there already; go on with `--resume`, or choose another `--out`"
            )));
        }
        if fs::read_dir(path).is_ok_and(|mut entries| entries.any(|entry| !is_leftover(entry))) {
            return Err(Failure::new(format!("{}: not empty and no run; choose another `--out`", path.display())));
        }
        Ok(())
    }

    /// Replaces the recipe of a run (a resumed run may be given more steps).
    pub fn write_recipe(path: &Path, recipe: Recipe) -> Outcome<Self> {
        let text = recipe.to_toml()?;
        atomic::write(&path.join("recipe.toml"), text.as_bytes())?;
        Ok(Self { path: path.to_owned(), recipe_sha256: crate::hash::sha256(text.as_bytes()), recipe })
    }

    /// Opens the run at `path`.
    pub fn open(path: &Path) -> Outcome<Self> {
        if !Self::is_run(path) {
            let (exists, path) = (path.exists(), path.display());
            let what = if exists { "no run: it has no recipe.toml" } else { "no such folder" };
            return Err(Failure::new(format!("{path}: {what}; `genera train` makes a run and says where it is")));
        }
        let file = path.join("recipe.toml");
        let text = fs::read_to_string(&file).map_err(Failure::file(&file))?;
        let recipe = Recipe::from_toml(&text, &file.display().to_string())?;
        Ok(Self { path: path.to_owned(), recipe_sha256: crate::hash::sha256(text.as_bytes()), recipe })
    }

    /// Whether `path` holds a run.
    pub fn is_run(path: &Path) -> bool {
        path.join("recipe.toml").is_file()
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The resolved recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The SHA-256 of `recipe.toml`, in hexadecimal.
    pub fn recipe_sha256(&self) -> &str {
        &self.recipe_sha256
    }

    /// The checkpoints.
    pub fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(self.path.join("checkpoints"))
    }

    /// The lines of the log, in order of steps.
    pub fn log(&self) -> Outcome<Vec<LogLine>> {
        log::read(&self.log_path())
    }

    /// `log.jsonl`.
    pub fn log_path(&self) -> PathBuf {
        self.path.join("log.jsonl")
    }

    /// The folder of previews, made if it is not there.
    pub fn samples_dir(&self) -> Outcome<PathBuf> {
        let folder = self.path.join("samples");
        fs::create_dir_all(&folder).map_err(Failure::file(&folder))?;
        Ok(folder)
    }

    /// The previews that were saved, each with the number of steps before it, in their order.
    pub fn previews(&self) -> Outcome<Vec<(u64, PathBuf)>> {
        let folder = self.path.join("samples");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Failure::file(&folder)(error)),
        };
        let step = |path: &Path| path.file_name()?.to_str()?.strip_prefix("step-")?.strip_suffix(".png")?.parse().ok();
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut found: Vec<(u64, PathBuf)> = paths.filter_map(|path| Some((step(&path)?, path))).collect();
        found.sort();
        Ok(found)
    }

    /// The scores, if there are any yet.
    pub fn scores(&self) -> Outcome<Option<Scores>> {
        scores::read(&self.path.join("scores.json"))
    }

    /// Replaces the scores.
    pub fn write_scores(&self, scores: &Scores) -> Outcome {
        let text = serde_json::to_string_pretty(scores).map_err(Failure::new)?;
        atomic::write(&self.path.join("scores.json"), text.as_bytes())
    }

    /// `report.html`.
    pub fn report_path(&self) -> PathBuf {
        self.path.join("report.html")
    }
}

/// What a process killed while creating the run may have left.
fn is_leftover(entry: std::io::Result<fs::DirEntry>) -> bool {
    entry.is_ok_and(|entry| entry.file_name() == ".recipe.toml.tmp")
}
