//! Files that are either whole or absent: written under a temporary name, synced, renamed.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Outcome};

/// Writes `bytes` to `path` so that a reader, or a run after a power cut, sees the old file or the new one.
pub fn write(path: &Path, bytes: &[u8]) -> Outcome {
    let temporary = temporary(path);
    let result = write_synced(&temporary, bytes)
        .and_then(|()| fs::rename(&temporary, path).map_err(Failure::file(path)))
        .and_then(|()| sync_parent(path));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result
}

/// Writes a folder of files so that it appears whole. What was at `path` before is replaced.
pub fn write_folder(path: &Path, files: &[(String, Vec<u8>)]) -> Outcome {
    let temporary = temporary(path);
    let result = fill(&temporary, files).and_then(|()| {
        if path.exists() {
            fs::remove_dir_all(path).map_err(Failure::file(path))?;
        }
        fs::rename(&temporary, path).map_err(Failure::file(path))?;
        sync_parent(path)
    });
    if result.is_err() {
        let _ = fs::remove_dir_all(&temporary);
    }
    result
}

fn fill(folder: &Path, files: &[(String, Vec<u8>)]) -> Outcome {
    if folder.exists() {
        // What a killed process left behind.
        fs::remove_dir_all(folder).map_err(Failure::file(folder))?;
    }
    fs::create_dir_all(folder).map_err(Failure::file(folder))?;
    for (name, bytes) in files {
        write_synced(&folder.join(name), bytes)?;
    }
    sync_folder(folder)
}

fn write_synced(path: &Path, bytes: &[u8]) -> Outcome {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(Failure::file(path))
}

fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.tmp"))
}

fn sync_parent(path: &Path) -> Outcome {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => sync_folder(parent),
        None => sync_folder(Path::new(".")),
    }
}

/// Makes the names in a folder durable. Only Unix opens folders as files.
fn sync_folder(folder: &Path) -> Outcome {
    if cfg!(unix) {
        File::open(folder).and_then(|file| file.sync_all()).map_err(Failure::file(folder))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_replaces_the_one_before_and_leaves_nothing_else() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a");
        write_folder(&path, &[("x".into(), vec![1]), ("y".into(), vec![2])]).unwrap();
        fs::create_dir(scratch.path().join(".a.tmp")).unwrap();
        fs::write(scratch.path().join(".a.tmp/torn"), [0]).unwrap();
        write_folder(&path, &[("x".into(), vec![3])]).unwrap();
        assert_eq!(fs::read(path.join("x")).unwrap(), [3]);
        assert!(!path.join("y").exists() && !path.join("torn").exists());
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("f");
        write(&path, b"old").unwrap();
        fs::create_dir(scratch.path().join(".f.tmp")).unwrap(); // so that the temporary file cannot be made
        assert!(write(&path, b"new").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}
