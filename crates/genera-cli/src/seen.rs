//! What a network saw of a set of pictures, and a cache of it: features of a large set cost minutes to hours.
//!
//! A file of the cache is named by the SHA-256 of the set's content and of all that the network's answers depend on, so
//! a set or a network that changed is looked at anew, and nothing has to be invalidated. The file holds the features, the
//! class probabilities, and where there are more rows than features their mean and covariance.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use genera_metrics::{Moments, Points};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use sha2::{Digest, Sha256};

use crate::failure::{Failure, Outcome};
use crate::hash::hexadecimal;
use crate::run::write_atomically;

/// Raised whenever features are computed or kept in another way.
const FORMAT: &str = "genera seen 1";
/// The files used longest ago go when all of them take more than this.
const MOST_BYTES: u64 = 4 << 30;

/// What was seen of a set.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Row-major `[n, d]`.
    pub features: Vec<f32>,
    pub n: usize,
    pub d: usize,
    /// `p(y|x)`, row-major, and the number of classes.
    pub probabilities: Option<(Vec<f64>, usize)>,
    /// Mean and covariance of the features, where they are known.
    pub moments: Option<Moments>,
}

impl Seen {
    /// Rows of features and of class probabilities.
    pub fn new(features: Vec<f32>, n: usize, probabilities: Option<(Vec<f64>, usize)>) -> Self {
        Self { d: features.len() / n.max(1), features, n, probabilities, moments: None }
    }

    /// Mean and covariance: as they were kept, or of the rows.
    pub fn fitted(&self) -> Outcome<Moments> {
        Ok(match &self.moments {
            Some(known) => known.clone(),
            None => Moments::of(&self.points()?),
        })
    }

    /// The rows as points.
    pub fn points(&self) -> Outcome<Points<'_>> {
        Ok(Points::new(&self.features, self.n, self.d)?)
    }
}

/// The name under which something seen is kept.
pub struct Key(Sha256);

impl Key {
    /// Of what a network with this fingerprint sees.
    pub fn of(fingerprint: &str) -> Self {
        Self(Sha256::new()).with(FORMAT.as_bytes()).with(fingerprint.as_bytes())
    }

    /// And this part of the set.
    pub fn with(mut self, bytes: &[u8]) -> Self {
        // With its length: the parts of two sets cannot run into each other.
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// And these numbers.
    pub fn with_numbers(mut self, values: &[f32]) -> Self {
        self.0.update((values.len() as u64).to_le_bytes());
        values.iter().for_each(|value| self.0.update(value.to_le_bytes()));
        self
    }

    fn name(self) -> String {
        format!("{}.safetensors", hexadecimal(&self.0.finalize()))
    }
}

/// Where things seen are kept.
#[derive(Clone, Debug)]
pub enum Cache {
    /// Nowhere.
    Off,
    /// In this folder.
    In(PathBuf),
}

impl Cache {
    /// In `$GENERA_CACHE` (nowhere, if that is empty), otherwise in the platform's folder of caches (`genera` in it; on
    /// Linux `~/.cache/genera`).
    pub fn usual() -> Self {
        match std::env::var_os("GENERA_CACHE") {
            Some(folder) if folder.is_empty() => Self::Off,
            Some(folder) => Self::In(folder.into()),
            None => dirs::cache_dir().map_or(Self::Off, |folder| Self::In(folder.join("genera"))),
        }
    }

    /// What is kept under `key`, or what `look` sees, which is then kept. `tell` hears whether it was kept before, and
    /// why something could not be kept, which is no error.
    pub fn seen(
        &self,
        key: Option<Key>,
        mut tell: impl FnMut(String),
        look: impl FnOnce() -> Outcome<Seen>,
    ) -> Outcome<Seen> {
        let (Self::In(folder), Some(key)) = (self, key) else { return look() };
        let path = folder.join(key.name());
        if let Some(seen) = fs::read(&path).ok().and_then(|bytes| parse(&bytes)) {
            // The date says when it was last of use.
            let _ = File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
            tell(format!("taken from {}", path.display()));
            return Ok(seen);
        }
        let seen = with_moments(look()?)?;
        let kept = fs::create_dir_all(folder)
            .map_err(Failure::file(folder))
            .and_then(|()| write_atomically(&path, &bytes_of(&seen)?))
            .map(|()| make_room(folder, MOST_BYTES));
        if let Err(Failure::Failed(message)) = kept {
            tell(format!("not kept: {message}"));
        }
        Ok(seen)
    }
}

/// With mean and covariance, where a distance would start from them.
fn with_moments(seen: Seen) -> Outcome<Seen> {
    if seen.n <= seen.d {
        return Ok(seen);
    }
    let moments = Moments::of(&seen.points()?);
    // As they will come back: the first time gives the same bits as every other.
    let moments = Moments::from_parts(seen.n, moments.mean()?, &moments.covariance()?)?;
    Ok(Seen { moments: Some(moments), ..seen })
}

fn bytes_of(seen: &Seen) -> Outcome<Vec<u8>> {
    let doubles = |values: &[f64]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
    let features: Vec<u8> = seen.features.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut arrays = vec![("features", Dtype::F32, vec![seen.n, seen.d], features)];
    if let Some((p, classes)) = &seen.probabilities {
        arrays.push(("probabilities", Dtype::F64, vec![seen.n, *classes], doubles(p)));
    }
    if let Some(moments) = &seen.moments {
        arrays.push(("mu", Dtype::F64, vec![seen.d], doubles(moments.mean()?)));
        arrays.push(("sigma", Dtype::F64, vec![seen.d, seen.d], doubles(&moments.covariance()?)));
    }
    let checksum = arrays.iter().fold(Sha256::new(), |sum, (.., bytes)| sum.chain_update(bytes)).finalize();
    let notes = HashMap::from([
        ("format".to_owned(), FORMAT.to_owned()),
        ("sha256".to_owned(), hexadecimal(&checksum)),
        ("arrays".to_owned(), arrays.iter().map(|array| array.0).collect::<Vec<_>>().join(" ")),
    ]);
    let views =
        arrays.iter().map(|(name, kind, shape, bytes)| Ok((*name, TensorView::new(*kind, shape.clone(), bytes)?)));
    let views: Vec<_> = views.collect::<Result<_, safetensors::SafeTensorError>>().map_err(Failure::new)?;
    safetensors::serialize(views, Some(notes)).map_err(Failure::new)
}

/// What a file of the cache holds; nothing if it is damaged or of another kind.
fn parse(bytes: &[u8]) -> Option<Seen> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    let notes = header.metadata().as_ref()?;
    let file = SafeTensors::deserialize(bytes).ok()?;
    let names: Vec<&str> = notes.get("arrays")?.split(' ').collect();
    let arrays = names.iter().map(|name| file.tensor(name)).collect::<Result<Vec<_>, _>>().ok()?;
    let checksum = arrays.iter().fold(Sha256::new(), |sum, array| sum.chain_update(array.data())).finalize();
    if notes.get("format")? != FORMAT || *notes.get("sha256")? != hexadecimal(&checksum) {
        return None;
    }
    let find = |name: &str, kind: Dtype| {
        let at = names.iter().position(|known| *known == name)?;
        (arrays[at].dtype() == kind).then(|| (arrays[at].shape().to_vec(), arrays[at].data()))
    };
    let doubles = |bytes: &[u8]| -> Vec<f64> { bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect() };
    let (shape, features) = find("features", Dtype::F32)?;
    let &[n, d] = shape.as_slice() else { return None };
    let features = features.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let probabilities = match find("probabilities", Dtype::F64) {
        Some((shape, p)) if shape.len() == 2 && shape[0] == n => Some((doubles(p), shape[1])),
        Some(_) => return None,
        None => None,
    };
    let moments = match (find("mu", Dtype::F64), find("sigma", Dtype::F64)) {
        (Some((_, mean)), Some((_, covariance))) => {
            Some(Moments::from_parts(n, &doubles(mean), &doubles(covariance)).ok().filter(|found| found.d() == d)?)
        }
        _ => None,
    };
    Some(Seen { features, n, d, probabilities, moments })
}

/// Removes what was used longest ago until the files of `folder` take at most `most` bytes.
fn make_room(folder: &Path, most: u64) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
        .filter(|entry| entry.path().extension().is_some_and(|kind| kind == "safetensors"))
        .filter_map(|entry| {
            let data = entry.metadata().ok()?;
            Some((data.modified().ok()?, data.len(), entry.path()))
        })
        .collect();
    files.sort();
    let mut total: u64 = files.iter().map(|file| file.1).sum();
    // The newest is what was just written.
    for (_, bytes, path) in files.iter().rev().skip(1).rev() {
        if total <= most {
            break;
        }
        if fs::remove_file(path).is_ok() {
            total -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(n: usize, d: usize) -> Seen {
        let features = genera_rng::Rng::new(n as u64).normal(n, d);
        Seen::new(features, n, Some(([0.25, 0.75].repeat(n), 2)))
    }

    #[test]
    fn what_was_kept_comes_back_bit_for_bit_and_only_for_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::In(folder.path().join("deep/down"));
        for (n, d) in [(30, 4), (4, 30)] {
            let key = || Some(Key::of("a network").with(&[n as u8]));
            let first = cache.seen(key(), |_| {}, || Ok(seen(n, d))).unwrap();
            let again = cache.seen(key(), |_| {}, || panic!("it was seen a moment ago")).unwrap();
            assert_eq!(first, again);
            assert_eq!(again.moments.is_some(), n > d);
            let mut looked = 0;
            for other in [Key::of("another network").with(&[n as u8]), Key::of("a network").with(&[n as u8, 0])] {
                let look = || {
                    looked += 1;
                    Ok(seen(n, d))
                };
                cache.seen(Some(other), |_| {}, look).unwrap();
            }
            assert_eq!(looked, 2);
        }
    }

    #[test]
    fn what_is_damaged_is_seen_anew_and_nothing_is_kept_where_nothing_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::In(folder.path().to_owned());
        let key = || Some(Key::of("a network"));
        let whole = cache.seen(key(), |_| {}, || Ok(seen(20, 3))).unwrap();
        let path = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let bytes = fs::read(&path).unwrap();
        for at in (0..bytes.len()).step_by(5) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            // A bit of the header may say the same as before; one of the numbers never does.
            assert!(parse(&damaged).is_none_or(|found| found == whole), "{at}");
            assert!(parse(&bytes[..at]).is_none());
        }
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(cache.seen(key(), |_| {}, || Ok(seen(20, 3))).unwrap(), whole);
        // Notes are written in any order: the file means the same, byte for byte it may differ.
        assert_eq!(parse(&fs::read(&path).unwrap()).unwrap(), whole);
        // A file in the place of the folder.
        let (mut told, blocked) = (Vec::new(), Cache::In(path.join("x")));
        assert!(blocked.seen(key(), |text| told.push(text), || Ok(seen(20, 3))).is_ok());
        assert!(told[0].starts_with("not kept: "), "{told:?}");
    }

    #[test]
    fn the_oldest_make_room() {
        let folder = tempfile::tempdir().unwrap();
        for (age, name) in [(30, "a"), (20, "b"), (10, "c")] {
            let path = folder.path().join(name).with_extension("safetensors");
            fs::write(&path, [0; 100]).unwrap();
            let then = SystemTime::now() - std::time::Duration::from_secs(age);
            File::options().append(true).open(&path).unwrap().set_modified(then).unwrap();
        }
        fs::write(folder.path().join("other.txt"), [0; 1000]).unwrap();
        make_room(folder.path(), 250);
        let left = |name: &str| folder.path().join(name).exists();
        assert_eq!(["a", "b", "c"].map(|name| left(&format!("{name}.safetensors"))), [false, true, true]);
        make_room(folder.path(), 0);
        assert!(left("c.safetensors") && left("other.txt") && !left("b.safetensors"));
    }
}
