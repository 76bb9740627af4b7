//! The two sides of a comparison: what a path or a name stands for.

use std::path::{Path, PathBuf};

use genera_data::load::npy::{self, Npz};
use genera_data::{Dataset, Images, Request, Table};
use genera_rng::Rng;

use super::statistics::Statistics;
use crate::commands::{Context, Loaded};
use crate::export::Drawn;
use crate::failure::{Failure, Outcome};
use crate::measure::Draw;
use crate::run::RunDir;
use crate::seen::Key;

/// One side.
pub enum Set {
    /// Picture files, of any sizes.
    Files(Vec<PathBuf>),
    /// Rows of one shape.
    Rows(Dataset),
    /// Mean and covariance of features, as other projects publish them.
    Statistics(Statistics),
}

impl Set {
    /// What `name` stands for: a run, a folder of pictures, an `.npz` or `.npy` file, or a data set (`NAME` for what
    /// models learn from, `NAME:test` for what is held out). `samples` are drawn from a run, with `seed`.
    pub fn open(name: &str, samples: usize, seed: u64, context: &Context) -> Outcome<Self> {
        let path = Path::new(name);
        if RunDir::is_run(path) {
            return of_run(path, samples, seed, context);
        }
        if path.is_dir() {
            return Ok(Self::Files(pictures_in(path)?));
        }
        let here = |failure: Failure| failure.during(path.display());
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("npz") if path.exists() => {
                let bytes = std::fs::read(path).map_err(Failure::file(path))?;
                if let Some(statistics) = Statistics::parse(&bytes).map_err(here)? {
                    return Ok(Self::Statistics(statistics));
                }
                match npy::parse_npz(name, &bytes).map_err(|error| here(error.into()))? {
                    Npz::Whole(rows) => Ok(Self::Rows(rows)),
                    Npz::Split(split) => Ok(Self::Rows(split.train)),
                }
            }
            Some("npy") if path.exists() => {
                let bytes = std::fs::read(path).map_err(Failure::file(path))?;
                let rows = npy::parse(&bytes).and_then(|array| array.dataset(name, None));
                Ok(Self::Rows(rows.map_err(|error| here(error.into()))?))
            }
            _ => {
                let (name, test) = match name.strip_suffix(":test") {
                    Some(name) => (name, true),
                    None => (name, false),
                };
                let folders = genera_data::data_folders(context.data.as_deref());
                let split =
                    genera_data::open(&Request { name, folders: &folders, shape: None, points: samples, seed })?;
                Ok(Self::Rows(if test { split.test } else { split.train }))
            }
        }
    }

    /// The first `n`, or all if there are fewer.
    pub fn first(self, n: usize) -> Self {
        match self {
            Self::Files(mut files) => {
                files.truncate(n);
                Self::Files(files)
            }
            Self::Rows(rows) if rows.len() > n => Self::Rows(rows.split(|row| row >= n).train),
            other => other,
        }
    }

    /// `key` and the content of the set: the bytes of its files in their order, or its rows. None of what no network looks
    /// at.
    pub fn key(&self, key: Key) -> Outcome<Option<Key>> {
        Ok(match self {
            Self::Files(files) => Some(files.iter().try_fold(key, |key, path| {
                std::fs::read(path).map(|bytes| key.with(&bytes)).map_err(Failure::file(path))
            })?),
            Self::Rows(Dataset::Images(images)) => {
                let key = key.with(format!("{:?} {}", images.shape(), images.levels()).as_bytes());
                Some((0..images.len()).fold(key, |key, row| key.with(images.row(row))))
            }
            Self::Rows(Dataset::Table(_)) | Self::Statistics(_) => None,
        })
    }

    /// How many rows there are, where that is known.
    pub fn n(&self) -> Option<usize> {
        match self {
            Self::Files(files) => Some(files.len()),
            Self::Rows(rows) => Some(rows.len()),
            Self::Statistics(statistics) => statistics.n,
        }
    }
}

fn of_run(path: &Path, samples: usize, seed: u64, context: &Context) -> Outcome<Set> {
    let loaded = Loaded::open(path, context)?;
    let subject = loaded.subject(context);
    let draw = Draw::of_recipe(&subject)?
        .ok_or_else(|| Failure::new(format!("{}: a model that nothing is drawn from", path.display())))?;
    context.console.note(format!("drawing {samples} samples from {}", path.display()));
    // The samples that `genera eval` judges.
    let drawn = draw.rows(samples, &Rng::new(seed).fork("evaluation"))?;
    Ok(Set::Rows(dataset(&path.display().to_string(), &drawn)?))
}

/// Drawn rows as data: pictures in bytes, as a file of them would hold them, or numbers as they are.
pub fn dataset(name: &str, drawn: &Drawn) -> Outcome<Dataset> {
    Ok(match drawn.shape[..] {
        [channels @ (1 | 3), height, width] => {
            let bytes = drawn.rows.iter().map(|y| drawn.view.level(*y, drawn.levels)).collect();
            Dataset::Images(Images::new(name, [channels, height, width], drawn.levels, bytes, None)?)
        }
        _ => {
            let columns = (0..drawn.shape.iter().product()).map(|column: usize| column.to_string()).collect();
            Dataset::Table(Table::new(name, columns, drawn.rows.clone(), None)?)
        }
    })
}

/// The PNG and JPEG files of a folder and of its sub-folders, in order of name.
fn pictures_in(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(Failure::file(&folder))? {
            let path = entry.map_err(Failure::file(&folder))?.path();
            let kind = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if ["png", "jpg", "jpeg"].contains(&kind.as_str()) {
                files.push(path);
            }
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Failure::new(format!("{}: there is no PNG or JPEG file in it", folder.display())));
    }
    Ok(files)
}
