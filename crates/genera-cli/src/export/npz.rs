//! Samples as an `.npz` archive: `samples` (f32, the model's own numbers), `labels` (i64) where there are any, and, for
//! images, `arr_0` (u8, `[n, H, W, C]`), the array that other projects' evaluations read.

use std::io::Cursor;

use npyz::WriterBuilder;
use npyz::npz::NpzWriter;
use npyz::zip::DateTime;
use npyz::zip::write::FileOptions;

use super::{Drawn, Notes};
use crate::failure::{Failure, Outcome};

/// The archive's bytes.
pub fn to_npz(drawn: &Drawn, notes: &Notes) -> Outcome<Vec<u8>> {
    write(drawn, notes).map_err(|error| Failure::new(format!("npz: {error}")))
}

fn write(drawn: &Drawn, notes: &Notes) -> std::io::Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    let mut archive = NpzWriter::new(&mut bytes);
    let shape: Vec<u64> = drawn.full_shape().iter().map(|&length| length as u64).collect();
    array(&mut archive, "samples", &shape, &drawn.rows)?;
    if let Some(labels) = &drawn.labels {
        let labels: Vec<i64> = labels.iter().map(|&label| label as i64).collect();
        array(&mut archive, "labels", &[drawn.n as u64], &labels)?;
    }
    let pictures: Option<Vec<_>> = (0..drawn.n).map(|index| drawn.picture(index)).collect();
    if let Some([first, ..]) = pictures.as_deref() {
        let shape = [drawn.n, first.height, first.width, first.channels].map(|length| length as u64);
        let pixels: Vec<u8> = pictures.iter().flatten().flat_map(|picture| &picture.pixels).copied().collect();
        array(&mut archive, "arr_0", &shape, &pixels)?;
    }
    for (name, text) in notes {
        // Names of files in an archive have no colon on some systems.
        array(&mut archive, &name.replace(':', "_"), &[text.len() as u64], text.as_bytes())?;
    }
    drop(archive);
    Ok(bytes.into_inner())
}

fn array<T: npyz::AutoSerialize + Copy>(
    archive: &mut NpzWriter<&mut Cursor<Vec<u8>>>,
    name: &str,
    shape: &[u64],
    values: &[T],
) -> std::io::Result<()> {
    // A fixed date: the same samples are the same bytes.
    let options = FileOptions::default().last_modified_time(DateTime::default());
    let mut writer = archive.array(name, options)?.default_dtype().shape(shape).begin_nd()?;
    writer.extend(values.iter().copied())?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_holds_what_it_says() {
        let rows = vec![-1.0, 1.0, 1.0, -1.0];
        let labels = Some(vec![3, 1]);
        let drawn = Drawn { rows, n: 2, shape: vec![1, 1, 2], view: genera_data::View::Symmetric, levels: 256, labels };
        let bytes = to_npz(&drawn, &vec![("genera:seed".to_owned(), "7".to_owned())]).unwrap();
        let mut archive = npyz::npz::NpzArchive::new(Cursor::new(bytes)).unwrap();
        assert_eq!(archive.by_name("samples").unwrap().unwrap().into_vec::<f32>().unwrap(), drawn.rows);
        assert_eq!(archive.by_name("labels").unwrap().unwrap().into_vec::<i64>().unwrap(), [3, 1]);
        let pixels = archive.by_name("arr_0").unwrap().unwrap();
        assert_eq!(pixels.shape(), [2, 1, 2, 1]);
        assert_eq!(pixels.into_vec::<u8>().unwrap(), [0, 255, 255, 0]);
        assert_eq!(archive.by_name("genera_seed").unwrap().unwrap().into_vec::<u8>().unwrap(), *b"7");
    }
}
