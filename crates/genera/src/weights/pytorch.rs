//! Checkpoints of PyTorch (`torch.save` of a state dict): every float array, by its name there.

use std::path::Path;

use burn::tensor::{bf16, f16};
use pytorch_reader::{DType, PytorchReader};

use super::file::floats;
use super::{Array, Weights, WeightsError};

/// Reads a PyTorch checkpoint. Arrays of whole numbers, such as the step counters of batch normalisation, are passed
/// over; nothing in the file is executed.
///
/// # Errors
/// [`WeightsError::Checkpoint`] if it cannot be read or is no checkpoint.
pub fn read_pytorch(path: impl AsRef<Path>) -> Result<Weights, WeightsError> {
    let path = path.as_ref();
    let damaged = |what: String| WeightsError::Checkpoint { path: path.to_owned(), what };
    let reader = PytorchReader::new(path).map_err(|error| damaged(error.to_string()))?;
    let mut weights = Weights::new();
    for (name, tensor) in reader.into_tensors() {
        let dtype = tensor.dtype();
        if !matches!(dtype, DType::F64 | DType::F32 | DType::F16 | DType::BF16) {
            continue;
        }
        let bytes = tensor.read().map_err(|error| damaged(error.to_string()))?;
        let values = match dtype {
            DType::F64 => floats(&bytes, |b| f64::from_ne_bytes(b) as f32),
            DType::F16 => floats(&bytes, |b| f16::from_ne_bytes(b).to_f32()),
            DType::BF16 => floats(&bytes, |b| bf16::from_ne_bytes(b).to_f32()),
            _ => floats(&bytes, f32::from_ne_bytes),
        };
        weights.insert(name, Array { shape: tensor.shape().to_vec(), values });
    }
    if weights.is_empty() {
        return Err(damaged("it holds no floating-point array".to_owned()));
    }
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::weights::read_checkpoint;

    /// Written by parity/weights.py.
    fn golden(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../parity/golden").join(name)
    }

    #[test]
    fn checkpoints_of_both_formats_are_read() {
        for name in ["weights.pth", "weights-legacy.pth"] {
            let read = read_checkpoint(golden(name)).unwrap();
            assert_eq!(read.len(), 5, "{name}");
            for dtype in ["f16", "bf16", "f32", "f64"] {
                assert_eq!(read[dtype], Array { shape: vec![2, 2], values: vec![1.5, -2.0, 0.25, 1024.0] }, "{name}");
            }
            assert_eq!(read["turned"].values, [1.5, 0.25, -2.0, 1024.0], "{name}");
        }
        assert_eq!(read_checkpoint(golden("weights.safetensors")).unwrap().len(), 4);
    }

    #[test]
    fn damage_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broken.pth");
        let whole = fs::read(golden("weights.pth")).unwrap();
        for bytes in [&whole[..whole.len() / 2], b"hello, this is no checkpoint", b""] {
            fs::write(&path, bytes).unwrap();
            let error = read_checkpoint(&path).unwrap_err().to_string();
            assert!(error.contains("broken.pth"), "{error}");
        }
        let error = read_checkpoint(folder.path().join("none.pth")).unwrap_err();
        assert!(matches!(error, WeightsError::File { .. }), "{error}");
    }
}
