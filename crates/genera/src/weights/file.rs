//! Weights as safetensors: eight bytes with the length of a JSON header, the header, the values (little-endian).
//!
//! Written is always f32, in the order of the names, so that equal weights are equal bytes. Read are f16, bf16, f32
//! and f64.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use burn::tensor::{bf16, f16};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};

use super::{Array, Weights, WeightsError};

/// What a safetensors file says about itself.
pub type Metadata = BTreeMap<String, String>;

/// The safetensors form of `weights`.
pub fn to_bytes(weights: &Weights, metadata: &Metadata) -> Vec<u8> {
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".to_owned(), json!(metadata));
    }
    let mut end = 0;
    for (name, array) in weights {
        let start = end;
        end += array.values.len() * size_of::<f32>();
        header.insert(name.clone(), json!({ "dtype": "F32", "shape": array.shape, "data_offsets": [start, end] }));
    }
    let mut header = Value::Object(header).to_string();
    // The values start at a multiple of eight.
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));

    let mut bytes = Vec::with_capacity(8 + header.len() + end);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(weights.values().flat_map(|array| &array.values).flat_map(|value| value.to_le_bytes()));
    bytes
}

/// The arrays of a safetensors file, as f32.
///
/// # Errors
/// [`WeightsError::Format`] if the bytes are truncated, damaged or no safetensors, or hold anything but floats.
pub fn from_bytes(bytes: &[u8]) -> Result<Weights, WeightsError> {
    // `deserialize` checks that every shape, offset and length agrees with the bytes there are, so what is allocated
    // below is at most twice what was given.
    let file = SafeTensors::deserialize(bytes).map_err(format_error)?;
    file.iter().map(|(name, view)| Ok((name.to_owned(), array(name, &view)?))).collect()
}

/// What a safetensors file says about itself; empty if it says nothing.
///
/// # Errors
/// [`WeightsError::Format`] if the bytes are no safetensors file.
pub fn metadata(bytes: &[u8]) -> Result<Metadata, WeightsError> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(format_error)?;
    Ok(header.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// Reads a safetensors file.
///
/// # Errors
/// [`WeightsError::File`] if it cannot be read, [`WeightsError::Format`] if it is no safetensors file.
pub fn read(path: impl AsRef<Path>) -> Result<Weights, WeightsError> {
    let path = path.as_ref();
    from_bytes(&fs::read(path).map_err(|source| file_error(path, source))?)
}

/// Writes a safetensors file so that, whatever happens, `path` holds either what it held before or all of the new
/// weights: they go to a temporary name beside it, onto the disk, and only then take the name.
///
/// # Errors
/// [`WeightsError::File`]; `path` is then as it was.
pub fn write(path: impl AsRef<Path>, weights: &Weights, metadata: &Metadata) -> Result<(), WeightsError> {
    let path = path.as_ref();
    replace(path, &to_bytes(weights, metadata)).map_err(|source| file_error(path, source))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a file name"))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = name.to_os_string();
    temporary.push(".tmp");
    let temporary = folder.join(temporary);

    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(error) = written.and_then(|()| fs::rename(&temporary, path)) {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    // Elsewhere a folder cannot be opened as a file.
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}

fn array(name: &str, view: &TensorView<'_>) -> Result<Array, WeightsError> {
    let bytes = view.data();
    let values = match view.dtype() {
        Dtype::F32 => floats(bytes, f32::from_le_bytes),
        Dtype::F16 => floats(bytes, |b| f16::from_le_bytes(b).to_f32()),
        Dtype::BF16 => floats(bytes, |b| bf16::from_le_bytes(b).to_f32()),
        Dtype::F64 => floats(bytes, |b| f64::from_le_bytes(b) as f32),
        other => return Err(WeightsError::Format(format!("`{name}` holds {other}; only floats can be weights"))),
    };
    Ok(Array { shape: view.shape().to_vec(), values })
}

pub(super) fn floats<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|chunk| value(*chunk)).collect()
}

fn format_error(error: safetensors::SafeTensorError) -> WeightsError {
    WeightsError::Format(error.to_string())
}

fn file_error(path: &Path, source: io::Error) -> WeightsError {
    WeightsError::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weights() -> Weights {
        let array = |shape: &[usize], values: &[f32]| Array { shape: shape.to_vec(), values: values.to_vec() };
        Weights::from([
            ("a.bias".to_owned(), array(&[2], &[0.1, -0.0])),
            ("b".to_owned(), array(&[], &[f32::MIN_POSITIVE / 2.0])),
            ("empty".to_owned(), array(&[0, 3], &[])),
        ])
    }

    fn notes() -> Metadata {
        [("seed", "0"), ("recipe", "тест \"quoted\"")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }

    #[test]
    fn bytes_round_trip() {
        let bytes = to_bytes(&weights(), &notes());
        assert_eq!(from_bytes(&bytes).unwrap(), weights());
        assert_eq!(metadata(&bytes).unwrap(), notes());
        assert!(metadata(&to_bytes(&weights(), &Metadata::new())).unwrap().is_empty());
        assert_eq!(from_bytes(&to_bytes(&Weights::new(), &Metadata::new())).unwrap(), Weights::new());
    }

    /// The file was written by the reference library (parity/weights.py).
    #[test]
    fn every_float_is_read() {
        let read = from_bytes(include_bytes!("../../../../parity/golden/weights.safetensors")).unwrap();
        for name in ["f16", "bf16", "f32", "f64"] {
            assert_eq!(read[name], Array { shape: vec![2, 2], values: vec![1.5, -2.0, 0.25, 1024.0] }, "{name}");
        }
        let integers = include_bytes!("../../../../parity/golden/integers.safetensors");
        assert!(from_bytes(integers).unwrap_err().to_string().contains("count"));
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        write(&path, &weights(), &notes()).unwrap();
        // A folder in the way of the temporary name.
        fs::create_dir(folder.path().join("model.safetensors.tmp")).unwrap();
        let error = write(&path, &Weights::new(), &notes()).unwrap_err();
        assert!(error.to_string().contains("model.safetensors"), "{error}");
        assert_eq!(read(&path).unwrap(), weights());
        assert!(matches!(read(folder.path().join("none")), Err(WeightsError::File { .. })));
    }

    #[test]
    fn truncation_is_an_error_at_every_length() {
        let bytes = to_bytes(&weights(), &notes());
        assert!((0..bytes.len()).all(|length| from_bytes(&bytes[..length]).is_err()));
    }

    #[test]
    fn a_header_cannot_ask_for_more_than_there_is() {
        for header in [
            r#"{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}"#,
            r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#,
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#,
        ] {
            let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 8]].concat();
            assert!(matches!(from_bytes(&bytes), Err(WeightsError::Format(_))), "{header}");
        }
        assert!(from_bytes(&u64::MAX.to_le_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn damaged_files_never_panic(at in 0..400_usize, byte: u8, noise in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = to_bytes(&weights(), &notes());
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = (from_bytes(&bytes), metadata(&bytes), from_bytes(&noise), metadata(&noise));
        }
    }
}
