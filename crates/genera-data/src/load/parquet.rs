//! Apache Parquet. Numbers become the columns of a table; a column called `label`, `class`, `target` or `y` the classes. A
//! structure with a member `bytes`, as Hugging Face stores pictures (`image {bytes, path}`), makes a set of images, by the
//! rules of [`folder`]; other columns than its label are then passed over.
//!
//! A file may say in few bytes that a value occurs a billion times. What is more than 1 032 times as large as the
//! file, in values, or as its compressed form, in a page, is refused before anything is allocated for it.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use parquet::{
    file::{
        metadata::ParquetMetaData,
        reader::{FileReader, SerializedFileReader},
    },
    record::{Field, Row},
};

use crate::{
    Dataset, Error, Images, Labels, Result, Table,
    load::{self, folder},
};

mod pages;

/// How many times as large as its file, or a page as its compressed form, a thing may be, once beyond [`SMALL`].
const EXPANSION: u64 = 1032;
const SMALL: u64 = 1 << 16;

fn wrong(what: impl Into<String>) -> Error {
    Error::format("Parquet file", what)
}

/// Reads a table, or a set of images brought to `shape` if there is one.
///
/// # Errors
/// If the file is not valid, or has a value that is neither a finite number, nor a class, nor a picture.
pub fn parse(name: &str, file: Vec<u8>, shape: Option<[usize; 3]>) -> Result<Dataset> {
    // The reader asserts some of what a damaged file may break.
    catch_unwind(AssertUnwindSafe(|| read(name, file.into(), shape)))
        .unwrap_or_else(|_| Err(wrong("it is damaged: its pages contradict its header")))
}

fn read(name: &str, file: Bytes, shape: Option<[usize; 3]>) -> Result<Dataset> {
    let damaged = |error: parquet::errors::ParquetError| wrong(error.to_string());
    let reader = SerializedFileReader::new(file.clone()).map_err(damaged)?;
    check_size(reader.metadata(), &file)?;
    let mut rows = reader.get_row_iter(None).map_err(damaged)?.peekable();
    let pictures = match rows.peek() {
        None => return Err(wrong("it has no rows")),
        Some(first) => first.as_ref().is_ok_and(|row| row.get_column_iter().any(|(_, field)| picture(field).is_some())),
    };
    let rows = rows.map(|row| row.map_err(damaged));
    if pictures { read_images(name, rows, shape) } else { read_table(name, rows) }
}

/// Refuses a file that claims to hold far more than it can.
fn check_size(metadata: &ParquetMetaData, file: &Bytes) -> Result<()> {
    let most = EXPANSION * file.len() as u64 + SMALL;
    let mut values = 0_u64;
    for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        values = values.saturating_add(u64::try_from(column.num_values()).unwrap_or(u64::MAX));
        // `byte_range` asserts that neither is negative.
        let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
        let range = (start >= 0 && column.compressed_size() >= 0).then(|| column.byte_range());
        let range = range.and_then(|(start, length)| file.get(start as usize..start.checked_add(length)? as usize));
        pages::check(range.ok_or_else(|| wrong("a column lies beyond the end of the file"))?)?;
    }
    let rows = metadata.row_groups().iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(u64::MAX));
    let rows = rows.fold(0, u64::saturating_add);
    if values.max(rows) > most {
        return Err(wrong(format!("{values} values in {rows} rows are too many for {} bytes", file.len())));
    }
    Ok(())
}

fn read_table(name: &str, rows: impl Iterator<Item = Result<Row>>) -> Result<Dataset> {
    let (mut columns, mut values, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for (index, row) in rows.enumerate() {
        for (column, field) in row?.get_column_iter() {
            if load::is_label(column) {
                labels.push(class(field).ok_or_else(|| wrong(format!("row {index}: `{field}` is not a class")))?);
                continue;
            }
            if index == 0 {
                columns.push(column.clone());
            }
            let value = number(field).filter(|value| value.is_finite());
            let what = || wrong(format!("row {index}, column `{column}`: `{field}` is not a finite number"));
            values.push(value.ok_or_else(what)?);
        }
    }
    Table::new(name, columns, values, classes(&labels)?).map(Dataset::Table)
}

fn read_images(name: &str, rows: impl Iterator<Item = Result<Row>>, shape: Option<[usize; 3]>) -> Result<Dataset> {
    let (mut common, mut bytes, mut labels) = (shape, Vec::new(), Vec::new());
    for (index, row) in rows.enumerate() {
        let row = row?;
        let file = row.get_column_iter().find_map(|(_, field)| picture(field));
        let file = file.ok_or_else(|| wrong(format!("row {index} has no picture")))?;
        let image = folder::parse_like(file, shape, &mut common)
            .map_err(|error| wrong(format!("the picture of row {index}: {error}")))?;
        bytes.extend(image.bytes);
        labels.extend(
            row.get_column_iter().find(|(column, _)| load::is_label(column)).and_then(|(_, field)| class(field)),
        );
    }
    let shape = common.ok_or_else(|| wrong("it has no rows"))?;
    Images::new(name, shape, 256, bytes, classes(&labels)?).map(Dataset::Images)
}

fn classes(labels: &[String]) -> Result<Option<Labels>> {
    let distinct = labels.iter().collect::<BTreeSet<_>>().len();
    (distinct > 0).then(|| load::classes(labels)).transpose()
}

/// The bytes of a picture's file.
fn picture(field: &Field) -> Option<&[u8]> {
    let Field::Group(members) = field else { return None };
    members.get_column_iter().find_map(|(name, member)| match member {
        Field::Bytes(bytes) if name == "bytes" => Some(bytes.data()),
        _ => None,
    })
}

fn class(field: &Field) -> Option<String> {
    match field {
        Field::Str(text) => Some(text.clone()),
        Field::Bytes(bytes) => Some(String::from_utf8_lossy(bytes.data()).into_owned()),
        Field::Float(_) | Field::Double(_) | Field::Null => None,
        whole => number(whole).map(|number| number.to_string()),
    }
}

fn number(field: &Field) -> Option<f32> {
    match *field {
        Field::Bool(value) => Some(f32::from(u8::from(value))),
        Field::Byte(value) => Some(value.into()),
        Field::Short(value) => Some(value.into()),
        Field::Int(value) => Some(value as f32),
        Field::Long(value) => Some(value as f32),
        Field::UByte(value) => Some(value.into()),
        Field::UShort(value) => Some(value.into()),
        Field::UInt(value) => Some(value as f32),
        Field::ULong(value) => Some(value as f32),
        Field::Float16(value) => Some(value.to_f32()),
        Field::Float(value) => Some(value),
        Field::Double(value) => Some(value as f32),
        _ => None,
    }
}
