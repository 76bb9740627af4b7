//! Checkpoints: folders that appear whole, carry the checksums of what they hold, and are never trusted without them.
//!
//! `step-NNNNNNNN/manifest.json` is `{"sha256": …, "manifest": {…}}`: the manifest lists every other file with its length
//! and SHA-256, and the outer checksum is that of the manifest itself, so that no flipped bit goes unseen.

use std::fs;
use std::path::{Path, PathBuf};

use genera::weights::{self, Weights};
use serde::{Deserialize, Serialize};

use super::atomic;
use crate::failure::{Failure, Outcome};
use crate::hash::sha256;

/// How far a training has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps taken.
    pub step: u64,
    /// Seconds of training, over all sessions.
    pub seconds: f64,
    /// The mean loss since the checkpoint before: what "best" refers to.
    pub loss: f64,
}

/// What a training needs to go on.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// How far the training had come.
    pub progress: Progress,
    /// The learner's state.
    pub groups: Vec<(String, Weights)>,
}

/// The checkpoints of a run.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    sha256: String,
    manifest: Manifest,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    /// The version of this layout.
    format: u32,
    #[serde(flatten)]
    progress: Progress,
    recipe_sha256: String,
    files: Vec<FileEntry>,
}

#[derive(Serialize, Deserialize)]
struct FileEntry {
    name: String,
    bytes: u64,
    sha256: String,
}

impl Checkpoints {
    /// The checkpoints in `folder`, which need not exist yet.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder of the checkpoint of `step`.
    pub fn path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("step-{step:08}"))
    }

    /// Saves a checkpoint, then removes all but the newest `keep` and the one with the smallest loss.
    pub fn save(
        &self,
        progress: Progress,
        recipe_sha256: &str,
        groups: &[(&str, Weights)],
        keep: usize,
    ) -> Outcome<PathBuf> {
        fs::create_dir_all(&self.folder).map_err(Failure::file(&self.folder))?;
        let mut files: Vec<(String, Vec<u8>)> = groups
            .iter()
            .map(|(name, arrays)| (format!("{name}.safetensors"), weights::to_bytes(arrays, &weights::Metadata::new())))
            .collect();
        let entry = |(name, bytes): &(String, Vec<u8>)| FileEntry {
            name: name.clone(),
            bytes: bytes.len() as u64,
            sha256: sha256(bytes),
        };
        let recipe_sha256 = recipe_sha256.to_owned();
        let manifest = Manifest { format: 1, progress, recipe_sha256, files: files.iter().map(entry).collect() };
        let sealed = Sealed { sha256: seal(&manifest)?, manifest };
        files.push(("manifest.json".to_owned(), serde_json::to_vec_pretty(&sealed).map_err(Failure::new)?));

        let path = self.path(progress.step);
        atomic::write_folder(&path, &files).map_err(|error| error.during(format!("saving step {}", progress.step)))?;
        self.prune(keep);
        Ok(path)
    }

    /// The newest checkpoint that is whole; each newer one that is not is named by `complain`. None if there is none.
    pub fn latest(&self, mut complain: impl FnMut(String)) -> Outcome<Option<Checkpoint>> {
        let steps = self.steps()?;
        for (index, &step) in steps.iter().rev().enumerate() {
            match self.load(step) {
                Ok(checkpoint) => return Ok(Some(checkpoint)),
                Err(problem) => {
                    let next = match steps.len().checked_sub(index + 2) {
                        Some(before) => format!("using the one before, step {}", steps[before]),
                        None => "there is none before it".to_owned(),
                    };
                    complain(format!("{}: {problem}; {next}", self.path(step).display()));
                }
            }
        }
        Ok(None)
    }

    /// The newest step there is a checkpoint of, whole or not.
    pub fn newest_step(&self) -> Option<u64> {
        self.steps().ok()?.last().copied()
    }

    /// Loads and verifies the checkpoint of `step`.
    fn load(&self, step: u64) -> Result<Checkpoint, String> {
        let folder = self.path(step);
        let manifest = manifest(&folder)?;
        if manifest.progress.step != step {
            return Err(format!("its manifest is that of step {}", manifest.progress.step));
        }
        let groups = manifest.files.iter().map(|entry| {
            let bytes = fs::read(folder.join(&entry.name)).map_err(|error| format!("{}: {error}", entry.name))?;
            if bytes.len() as u64 != entry.bytes {
                return Err(format!("{} has {} bytes instead of {}", entry.name, bytes.len(), entry.bytes));
            }
            if sha256(&bytes) != entry.sha256 {
                return Err(format!("the checksum of {} is wrong", entry.name));
            }
            let arrays = weights::from_bytes(&bytes).map_err(|error| format!("{}: {error}", entry.name))?;
            Ok((entry.name.trim_end_matches(".safetensors").to_owned(), arrays))
        });
        Ok(Checkpoint { groups: groups.collect::<Result<_, _>>()?, progress: manifest.progress })
    }

    /// The steps there are checkpoints of, in order.
    fn steps(&self) -> Outcome<Vec<u64>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Failure::file(&self.folder)(error)),
        };
        let mut steps: Vec<u64> =
            entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix("step-")?.parse().ok()).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// Old checkpoints are only a convenience: one that cannot be read or removed is no reason to stop a training.
    fn prune(&self, keep: usize) {
        let steps = self.steps().unwrap_or_default();
        let loss = |step: u64| manifest(&self.path(step)).ok().map(|manifest| manifest.progress.loss);
        let best = steps
            .iter()
            .filter_map(|&step| Some((step, loss(step)?)))
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(step, _)| step);
        let old = &steps[..steps.len().saturating_sub(keep.max(1))];
        for &step in old.iter().filter(|&&step| Some(step) != best) {
            let _ = fs::remove_dir_all(self.path(step));
        }
    }
}

fn manifest(folder: &Path) -> Result<Manifest, String> {
    let text = fs::read(folder.join("manifest.json")).map_err(|error| format!("manifest.json: {error}"))?;
    let sealed: Sealed = serde_json::from_slice(&text).map_err(|error| format!("manifest.json: {error}"))?;
    match seal(&sealed.manifest) {
        Ok(checksum) if checksum == sealed.sha256 => Ok(sealed.manifest),
        _ => Err("the checksum of manifest.json is wrong".to_owned()),
    }
}

fn seal(manifest: &Manifest) -> Outcome<String> {
    Ok(sha256(&serde_json::to_vec(manifest).map_err(Failure::new)?))
}

#[cfg(test)]
mod tests {
    use genera::weights::Array;

    use super::*;

    fn save(checkpoints: &Checkpoints, step: u64, loss: f64, keep: usize) {
        let weights = Weights::from([("w".to_owned(), Array { shape: vec![2], values: vec![step as f32, 0.5] })]);
        let progress = Progress { step, seconds: 0.1 + step as f64, loss };
        checkpoints.save(progress, "r", &[("model", weights)], keep).unwrap();
    }

    #[test]
    fn the_newest_few_and_the_best_are_kept() {
        let scratch = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(scratch.path().join("checkpoints"));
        for (step, loss) in [(1, 3.0), (2, 0.5), (3, 2.0), (4, 2.0), (5, 1.0)] {
            save(&checkpoints, step, loss, 2);
        }
        assert_eq!(checkpoints.steps().unwrap(), [2, 4, 5]);
        let latest = checkpoints.latest(|complaint| panic!("{complaint}")).unwrap().unwrap();
        assert_eq!(latest.progress, Progress { step: 5, seconds: 5.1, loss: 1.0 });
        assert_eq!(latest.groups[0].0, "model");
        assert_eq!(latest.groups[0].1["w"].values, [5.0, 0.5]);
    }

    /// Every bit of every file of the newest checkpoint, and every length: the one before is used, and it says so.
    #[test]
    fn any_damage_is_seen() {
        let scratch = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(scratch.path().to_owned());
        save(&checkpoints, 1, 1.0, 9);
        save(&checkpoints, 2, 1.0, 9);
        let latest = || {
            let mut complaints = Vec::new();
            let found = checkpoints.latest(|complaint| complaints.push(complaint)).unwrap().unwrap();
            (found, complaints)
        };
        for name in ["model.safetensors", "manifest.json"] {
            let path = checkpoints.path(2).join(name);
            let whole = fs::read(&path).unwrap();
            let flips = (0..whole.len() * 8).step_by(3).map(|bit| {
                let mut damaged = whole.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                damaged
            });
            for damaged in flips.chain((0..whole.len()).step_by(7).map(|length| whole[..length].to_vec())) {
                fs::write(&path, &damaged).unwrap();
                let (found, complaints) = latest();
                // A changed blank between two words of JSON changes nothing that is read.
                if found.progress.step == 2 {
                    assert_eq!(name, "manifest.json");
                    assert_eq!(found.groups[0].1["w"].values, [2.0, 0.5]);
                    assert_eq!(found.progress, Progress { step: 2, seconds: 2.1, loss: 1.0 });
                } else {
                    assert!(complaints.len() == 1 && complaints[0].contains("using the one before, step 1"));
                }
            }
            fs::write(&path, &whole).unwrap();
        }
        assert_eq!(latest().0.progress.step, 2);
    }
}
