//! Samples as arrays of `f32`, in the model's own numbers: `.npy` and `.safetensors`.

use std::path::Path;

use genera::weights::{self, Array, Metadata, Weights};
use npyz::WriterBuilder;

use super::{Drawn, Notes};
use crate::failure::{Failure, Outcome};

/// An array as an `.npy` file.
pub fn to_npy(shape: &[usize], values: &[f32]) -> Outcome<Vec<u8>> {
    let shape: Vec<u64> = shape.iter().map(|&length| length as u64).collect();
    let mut bytes = Vec::new();
    let write = |bytes: &mut Vec<u8>| {
        let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(bytes).begin_nd()?;
        writer.extend(values)?;
        writer.finish()
    };
    write(&mut bytes).map_err(|error| Failure::new(format!("npy: {error}")))?;
    Ok(bytes)
}

/// Shape and values of an `.npy` file of real numbers.
pub fn read_npy(path: &Path) -> Outcome<(Vec<usize>, Vec<f32>)> {
    let bytes = std::fs::read(path).map_err(Failure::file(path))?;
    let wrong = |what: String| Failure::new(format!("{}: {what}; numpy.save writes such a file", path.display()));
    let file = npyz::NpyFile::new(&bytes[..]).map_err(|error| wrong(error.to_string()))?;
    let shape: Vec<usize> = file.shape().iter().map(|&length| length as usize).collect();
    if file.order() != npyz::Order::C {
        return Err(wrong("the array is in Fortran order; save numpy.ascontiguousarray(x)".to_owned()));
    }
    // The header may promise anything; there cannot be more numbers than bytes.
    let count = shape.iter().try_fold(1_usize, |n, &length| n.checked_mul(length)).filter(|&n| n <= bytes.len());
    let count = count.ok_or_else(|| wrong(format!("shape {shape:?} is more than the file holds")))?;
    let single = matches!(file.dtype(), npyz::DType::Plain(kind) if kind.size_field() == 4);
    let values: Vec<f32> = if single {
        file.into_vec().map_err(|error| wrong(error.to_string()))?
    } else {
        let values: Vec<f64> =
            file.into_vec().map_err(|error| wrong(format!("not an array of float32 or float64: {error}")))?;
        values.into_iter().map(|value| value as f32).collect()
    };
    if values.len() != count {
        return Err(wrong(format!("{} numbers instead of {count}", values.len())));
    }
    Ok((shape, values))
}

/// The rows of an `.npy` file of shape `[n, F]` or `[n, C, H, W]`: `n` times `features` finite numbers.
pub fn read_rows(path: &Path, features: usize) -> Outcome<Vec<f32>> {
    let (shape, values) = read_npy(path)?;
    let width: usize = shape.iter().skip(1).product();
    if shape.len() < 2 || width != features || values.is_empty() {
        let path = path.display();
        return Err(Failure::new(format!("{path}: shape {shape:?}, but rows of {features} numbers are needed")));
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => {
            let (row, value) = (at / features, values[at]);
            Err(Failure::new(format!("{}: row {row} holds {value}; all numbers must be finite", path.display())))
        }
        None => Ok(values),
    }
}

/// `samples` and, where there are any, `labels`, with the notes as metadata.
pub fn to_safetensors(drawn: &Drawn, notes: &Notes) -> Vec<u8> {
    let samples = Array { shape: drawn.full_shape(), values: drawn.rows.clone() };
    let mut arrays = Weights::from([("samples".to_owned(), samples)]);
    if let Some(labels) = &drawn.labels {
        let values = labels.iter().map(|&label| label as f32).collect();
        arrays.insert("labels".to_owned(), Array { shape: vec![drawn.n], values });
    }
    weights::to_bytes(&arrays, &notes.iter().cloned().collect::<Metadata>())
}
