//! The weights of the network behind the Fréchet inception distance: not a set, but fetched like one.
//!
//! The graph `inception-2015-12-05` as PyTorch ports of it name its arrays, published by torch-fidelity (Obukhov et al.).

use std::path::{Path, PathBuf};

use crate::{Checksum, Progress, Remote, Result, fetch};

/// The name to fetch it by, and of its folder.
const NAME: &str = "inception";

/// The file.
pub const INCEPTION: Remote<'static> = Remote {
    file: "weights-inception-2015-12-05-6726825d.pth",
    url: "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    bytes: 95_628_359,
    checksum: Checksum::Sha256("6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"),
};

/// Other names that the same file goes by.
const NAMES: [&str; 2] = [INCEPTION.file, "pt_inception-2015-12-05-6726825d.pth"];

/// Downloads the weights into `folder/inception`, and returns the path of the file. See [`fetch`].
///
/// # Errors
/// As those of [`fetch`].
pub fn fetch_inception(folder: &Path, mirror: Option<&str>, progress: impl FnMut(Progress<'_>)) -> Result<PathBuf> {
    let url = INCEPTION.url_at(mirror);
    fetch(&Remote { url: &url, ..INCEPTION }, &folder.join(NAME), progress)
}

/// Where the weights are, given the data folders: in each, `inception/FILE`, then `FILE` itself.
pub fn inception_weights(folders: &[PathBuf]) -> Option<PathBuf> {
    let places = folders.iter().flat_map(|folder| [folder.join(NAME), folder.clone()]);
    places.flat_map(|place| NAMES.map(|name| place.join(name))).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_found_where_they_are_put() {
        let scratch = tempfile::tempdir().unwrap();
        let folders = [scratch.path().join("a"), scratch.path().join("b")];
        assert_eq!(inception_weights(&folders), None);
        let file = folders[1].join(NAMES[1]);
        std::fs::create_dir_all(folders[1].join(NAME)).unwrap();
        std::fs::write(&file, "w").unwrap();
        assert_eq!(inception_weights(&folders), Some(file));
        let better = folders[1].join(NAME).join(INCEPTION.file);
        std::fs::write(&better, "w").unwrap();
        assert_eq!(inception_weights(&folders), Some(better));
        // A file that is there but wrong is never taken for the right one by a fetch.
        let error = fetch_inception(&folders[1], Some("http://127.0.0.1:9"), |_| {}).unwrap_err().to_string();
        assert!(error.contains("http://127.0.0.1:9/weights-inception-2015-12-05-6726825d.pth"), "{error}");
    }
}
