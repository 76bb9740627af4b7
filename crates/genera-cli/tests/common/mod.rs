//! Runs the program on tiny models.

#![allow(dead_code, missing_docs, reason = "every test file uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub use tempfile::tempdir;

/// A moons model that takes a few milliseconds a step, measured on next to nothing.
pub const TINY: &[&str] = &[
    "ddpm-moons",
    "--set",
    "data.points=200",
    "--set",
    "model.net={kind=\"mlp\",width=16,layers=1}",
    "--set",
    "model.schedule={kind=\"cosine\",steps=10}",
    "--set",
    "sample.steps=10",
    "--set",
    "train.batch_size=16",
    "--set",
    "train.log_every=5",
    "--set",
    "train.preview_every=0",
    "--set",
    "measure={samples=20,likelihood_rows=4,permutations=20}",
];

/// The program, in `folder`.
pub fn genera(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_genera"));
    command.current_dir(folder).env("GENERA_CACHE", folder.join(".cache"));
    for name in ["GENERA_DATA", "GENERA_MIRROR", "RUST_BACKTRACE"] {
        command.env_remove(name);
    }
    command
}

/// Runs the program and demands success.
pub fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = genera(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "genera {arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Runs the program and demands exit code `code` and one line on stderr that holds `wanted`.
pub fn fail(folder: &Path, arguments: &[&str], code: i32, wanted: &str) {
    let output = genera(folder).args(arguments).output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "genera {arguments:?}: {stderr}");
    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "genera {arguments:?}: {stderr}");
    assert_eq!(stderr.lines().last(), Some(errors[0]), "nothing after the error: {stderr}");
    assert!(errors[0].contains(wanted), "genera {arguments:?}: `{wanted}` not in: {stderr}");
}

/// `train TINY` for `steps` steps into `out`, with more arguments.
pub fn tiny(steps: u64, out: &str, more: &[&str]) -> Vec<String> {
    let mut arguments: Vec<String> = ["train"].iter().chain(TINY).map(|text| (*text).to_owned()).collect();
    arguments.extend(["--set".to_owned(), format!("train.steps={steps}"), "--out".to_owned(), out.to_owned()]);
    arguments.extend(more.iter().map(|text| (*text).to_owned()));
    arguments
}

pub fn run_tiny(folder: &Path, steps: u64, out: &str, more: &[&str]) -> Output {
    genera(folder).args(tiny(steps, out, more)).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The checkpoint folders of a run, oldest first.
pub fn checkpoints(run: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(run.join("checkpoints")).into_iter().flatten();
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("step-")))
        .collect();
    folders.sort();
    folders
}

/// Name and bytes of every weight file of the newest checkpoint.
pub fn weights(run: &Path) -> Vec<(String, Vec<u8>)> {
    let newest = checkpoints(run).pop().expect("there is a checkpoint");
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(newest)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}
