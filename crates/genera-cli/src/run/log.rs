//! The log of a run: JSON lines, appended; a torn last line (power cut, full disk) is no error.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Outcome};

/// One logged step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// The number of steps taken.
    pub step: u64,
    /// Seconds of training so far, over all sessions.
    pub seconds: f64,
    /// Loss, learning rate and whatever else the model reports.
    #[serde(flatten)]
    pub scalars: BTreeMap<String, f64>,
}

/// A log that grows.
pub struct Log {
    file: File,
    path: PathBuf,
}

impl Log {
    /// Opens the log of a run that stands at `step`: what was logged later, by a process that was then killed, is cut off.
    pub fn open(path: &Path, step: u64) -> Outcome<Self> {
        let mut kept = 0;
        if let Ok(text) = std::fs::read(path) {
            for line in text.split_inclusive(|&byte| byte == b'\n') {
                match parse(line) {
                    Some(entry) if entry.step <= step && line.ends_with(b"\n") => kept += line.len(),
                    _ => break,
                }
            }
        }
        let open = || {
            let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
            file.set_len(kept as u64)?;
            std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0))?;
            Ok(file)
        };
        Ok(Self { file: open().map_err(Failure::file(path))?, path: path.to_owned() })
    }

    /// Appends a line.
    pub fn append(&mut self, line: &LogLine) -> Outcome {
        let mut text = serde_json::to_string(line).map_err(Failure::new)?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).map_err(Failure::file(&self.path))
    }
}

/// The lines of the log at `path`; none if there is no log.
pub fn read(path: &Path) -> Outcome<Vec<LogLine>> {
    match std::fs::read(path) {
        Ok(text) => Ok(text.split(|&byte| byte == b'\n').map_while(parse).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Failure::file(path)(error)),
    }
}

fn parse(line: &[u8]) -> Option<LogLine> {
    serde_json::from_slice(line).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(step: u64) -> LogLine {
        LogLine { step, seconds: 0.1 * step as f64, scalars: BTreeMap::from([("loss".to_owned(), 1.0 / step as f64)]) }
    }

    #[test]
    fn resuming_cuts_what_came_after_the_checkpoint_and_the_torn_line() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("log.jsonl");
        let mut log = Log::open(&path, 0).unwrap();
        (1..=5).for_each(|step| log.append(&line(step)).unwrap());
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"step\":6,\"sec").unwrap();
        assert_eq!(read(&path).unwrap().len(), 5);

        Log::open(&path, 3).unwrap().append(&line(4)).unwrap();
        assert_eq!(read(&path).unwrap(), [1, 2, 3, 4].map(line));
        Log::open(&path, 0).unwrap();
        assert!(read(&path).unwrap().is_empty());
    }
}
