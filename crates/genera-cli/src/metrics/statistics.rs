//! Mean and covariance of features in an `.npz` file, as published by other projects: `mu` `[d]`, `sigma` `[d, d]`.
//! Files written here also say `n`, the number of rows, and `features`, the name of what extracted them.

use std::io::Cursor;
use std::path::Path;

use genera_metrics::Moments;
use npyz::WriterBuilder;
use npyz::npz::{NpzArchive, NpzWriter};
use npyz::zip::DateTime;
use npyz::zip::write::FileOptions;

use crate::failure::{Failure, Outcome};
use crate::run::write_atomically;

/// More features than any known network has.
const MOST: u64 = 1 << 14;

/// What such a file holds.
pub struct Statistics {
    /// Mean and covariance. Where the file does not say of how many rows, the number in here means nothing.
    pub moments: Moments,
    /// Of how many rows, if the file says so.
    pub n: Option<usize>,
    /// What extracted the features, if the file says so.
    pub features: Option<String>,
}

type Archive<'a> = NpzArchive<Cursor<&'a [u8]>>;

impl Statistics {
    /// The statistics in the bytes of an `.npz` file; none if it holds neither `mu` nor `sigma`.
    pub fn parse(bytes: &[u8]) -> Outcome<Option<Self>> {
        let wrong = |error: std::io::Error| Failure::new(format!("not a readable .npz file: {error}"));
        let mut archive = NpzArchive::new(Cursor::new(bytes)).map_err(wrong)?;
        let names: Vec<String> = archive.array_names().map(str::to_owned).collect();
        let has = |name: &str| names.iter().any(|other| other == name);
        if !has("mu") && !has("sigma") {
            return Ok(None);
        }
        if let Some(missing) = ["mu", "sigma"].into_iter().find(|name| !has(name)) {
            let names = names.join(", ");
            return Err(Failure::new(format!("statistics without `{missing}` (there are: {names}); both are needed")));
        }
        let mean = array(&mut archive, "mu", |shape| matches!(shape, [1..=MOST]))?;
        let d = mean.len() as u64;
        let covariance = array(&mut archive, "sigma", |shape| shape == [d, d])?;
        let n = if has("n") {
            array(&mut archive, "n", |shape| shape.iter().product::<u64>() == 1)?.first().copied()
        } else {
            None
        };
        let n = n.map(|n| n as usize).filter(|n| *n >= 2);
        let features = has("features").then(|| text(&mut archive, "features")).transpose()?;
        // The number of rows scales nothing in a distance between known moments.
        let moments = Moments::from_parts(n.unwrap_or(2), &mean, &covariance)?;
        Ok(Some(Self { moments, n, features }))
    }

    /// Writes the file, whole or not at all.
    pub fn write(path: &Path, moments: &Moments, features: &str) -> Outcome {
        let d = moments.d() as u64;
        let (mean, covariance) = (moments.mean()?, moments.covariance()?);
        let bytes = || -> std::io::Result<Vec<u8>> {
            let mut bytes = Cursor::new(Vec::new());
            let mut archive = NpzWriter::new(&mut bytes);
            // A fixed date: the same statistics are the same bytes.
            let options = || FileOptions::default().last_modified_time(DateTime::default());
            let mut numbers = |name: &str, shape: &[u64], values: &[f64]| {
                let mut writer = archive.array(name, options())?.default_dtype().shape(shape).begin_nd()?;
                writer.extend(values.iter().copied())?;
                writer.finish()
            };
            numbers("mu", &[d], mean)?;
            numbers("sigma", &[d, d], &covariance)?;
            numbers("n", &[1], &[moments.n() as f64])?;
            let mut writer =
                archive.array("features", options())?.default_dtype().shape(&[features.len() as u64]).begin_nd()?;
            writer.extend(features.bytes())?;
            writer.finish()?;
            drop(archive);
            Ok(bytes.into_inner())
        };
        write_atomically(path, &bytes().map_err(|error| Failure::new(format!("npz: {error}")))?)
    }
}

/// The numbers of an array whose shape is as it should be.
fn array(archive: &mut Archive<'_>, name: &str, fits: impl Fn(&[u64]) -> bool) -> Outcome<Vec<f64>> {
    let wrong = |what: String| Failure::new(format!("`{name}` {what}"));
    let file = archive.by_name(name).map_err(|error| wrong(format!("is not readable: {error}")))?;
    let file = file.ok_or_else(|| wrong("is not there".to_owned()))?;
    if !fits(file.shape()) {
        return Err(wrong(format!("has shape {:?}; `mu` is [d], `sigma` [d, d], and d at most {MOST}", file.shape())));
    }
    if file.order() != npyz::Order::C && file.shape().len() > 1 && name != "sigma" {
        return Err(wrong("is in Fortran order".to_owned()));
    }
    let kind = match file.dtype() {
        npyz::DType::Plain(kind) => kind,
        other => return Err(wrong(format!("holds {}, not numbers", other.descr()))),
    };
    let not_read = |error: std::io::Error| wrong(format!("holds {kind}, which are no float32 or float64: {error}"));
    let values: Vec<f64> = match (kind.type_char(), kind.size_field()) {
        (npyz::TypeChar::Float, 4) => file.into_vec::<f32>().map_err(not_read)?.into_iter().map(f64::from).collect(),
        (npyz::TypeChar::Int, 8) => file.into_vec::<i64>().map_err(not_read)?.into_iter().map(|n| n as f64).collect(),
        _ => file.into_vec::<f64>().map_err(not_read)?,
    };
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(wrong(format!("holds {} at place {at}; all numbers must be finite", values[at]))),
        None => Ok(values),
    }
}

fn text(archive: &mut Archive<'_>, name: &str) -> Outcome<String> {
    let wrong = |what: &dyn std::fmt::Display| Failure::new(format!("`{name}` {what}"));
    let file = archive.by_name(name).map_err(|error| wrong(&error))?.ok_or_else(|| wrong(&"is not there"))?;
    if file.shape().iter().product::<u64>() > 1000 {
        return Err(wrong(&"is too long for a name"));
    }
    let bytes: Vec<u8> = file.into_vec().map_err(|error| wrong(&error))?;
    String::from_utf8(bytes).map_err(|error| wrong(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use genera_metrics::Points;

    #[test]
    fn statistics_come_back_and_lies_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let rows = [1.0, 2.0, 3.0, 5.0, 8.0, 13.5];
        let moments = Moments::of(&Points::new(&rows, 3, 2).unwrap());
        Statistics::write(&path, &moments, "raw").unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let found = Statistics::parse(&bytes).unwrap().unwrap();
        assert_eq!((found.n, found.features.as_deref()), (Some(3), Some("raw")));
        assert_eq!(found.moments.mean().unwrap(), moments.mean().unwrap());
        let (a, b) = (found.moments.covariance().unwrap(), moments.covariance().unwrap());
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-12));
        for length in (0..bytes.len()).step_by(7) {
            // Never a panic; what is cut off is never taken for statistics.
            assert!(!matches!(Statistics::parse(&bytes[..length]), Ok(Some(_))), "{length}");
        }
    }
}
