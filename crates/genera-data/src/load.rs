//! Readers of data files. Each parses bytes in memory, so that it can be tested without files.
//!
//! Whatever the bytes are, a reader returns an error and does not panic, and what it allocates is bounded by the number
//! of bytes it was given: a size in a header is believed only as far as bytes follow it. What is compressed by DEFLATE
//! can grow 1 032-fold, and no further, by the nature of that code.

pub mod cifar;
pub mod csv;
pub mod folder;
pub mod idx;
pub mod npy;
#[cfg(feature = "parquet")]
pub mod parquet;
mod tar;
mod zip;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod laws;

use std::{borrow::Cow, collections::BTreeSet, io::Read};

use flate2::read::MultiGzDecoder;

use crate::{Error, Labels, Result};

/// `bytes`, decompressed if they start as gzip does.
fn gunzip(bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut plain = Vec::new();
    MultiGzDecoder::new(bytes)
        .read_to_end(&mut plain)
        .map_err(|error| Error::format("gzip file", format!("{error}; fetch it again")))?;
    Ok(Cow::Owned(plain))
}

/// Whether a column of a table is that of the classes, by its name.
fn is_label(column: &str) -> bool {
    ["label", "class", "target", "y"].contains(&column.to_lowercase().as_str())
}

/// Classes written as whole numbers from 0, or as names, which are then numbered in alphabetical order.
fn classes(texts: &[String]) -> Result<Labels> {
    if let Ok(numbers) = texts.iter().map(|text| text.parse()).collect::<std::result::Result<Vec<u16>, _>>() {
        return Ok(Labels::numbered(numbers));
    }
    let names: Vec<&String> = texts.iter().collect::<BTreeSet<_>>().into_iter().collect();
    if names.len() > usize::from(u16::MAX) {
        return Err(Error::format("label column", format!("{} classes are more than 65535", names.len())));
    }
    let rows = texts.iter().map(|text| names.binary_search(&text).map_or(0, |class| class as u16)).collect();
    Labels::new(rows, names.into_iter().cloned().collect())
}
