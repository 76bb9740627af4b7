//! As much of ZIP as `.npz` needs (APPNOTE 6.3): the central directory, and entries stored or deflated.

use std::io::Read;

use flate2::read::DeflateDecoder;

use crate::{Error, Result};

/// One file of an archive.
pub(super) struct Entry<'a> {
    pub(super) name: String,
    deflated: bool,
    packed: &'a [u8],
    size: u64,
}

impl Entry<'_> {
    /// The contents. DEFLATE grows at most 1 032-fold, and no more than the declared size is taken.
    pub(super) fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if self.deflated {
            DeflateDecoder::new(self.packed)
                .take(self.size.saturating_add(1))
                .read_to_end(&mut bytes)
                .map_err(|error| wrong(format!("`{}` is damaged ({error})", self.name)))?;
        } else {
            bytes.extend_from_slice(self.packed);
        }
        if bytes.len() as u64 != self.size {
            return Err(wrong(format!("`{}` is not as long as the directory says", self.name)));
        }
        Ok(bytes)
    }
}

fn wrong(what: impl Into<String>) -> Error {
    Error::format("ZIP archive", what)
}

/// The little-endian number of `width` bytes at `at`.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(width)?)?;
    Some(field.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// The files of an archive, in the order of its directory.
pub(super) fn entries(bytes: &[u8]) -> Result<Vec<Entry<'_>>> {
    let end = (0..bytes.len().saturating_sub(21))
        .rev()
        .take(1 << 16)
        .find(|&at| bytes[at..].starts_with(b"PK\x05\x06"))
        .ok_or_else(|| wrong("it has no directory; it may be cut"))?;
    let cut = || wrong("its directory is cut or damaged");
    let count = number(bytes, end + 10, 2).ok_or_else(cut)?;
    let mut at = number(bytes, end + 16, 4).ok_or_else(cut)? as usize;
    let mut entries = Vec::new();
    for _ in 0..count {
        let (entry, next) = entry(bytes, at).ok_or_else(cut)??;
        entries.push(entry);
        at = next;
    }
    Ok(entries)
}

/// The entry whose directory record is at `at`, and where the next record is; `None` where the bytes end too early.
fn entry(bytes: &[u8], at: usize) -> Option<Result<(Entry<'_>, usize)>> {
    let record = bytes.get(at..)?;
    if !record.starts_with(b"PK\x01\x02") {
        return None;
    }
    let field = |at, width| number(record, at, width);
    let (flags, method) = (field(8, 2)?, field(10, 2)?);
    let (mut packed, mut size, mut local) = (field(20, 4)?, field(24, 4)?, field(42, 4)?);
    let [name_len, extra_len, comment_len] = [field(28, 2)? as usize, field(30, 2)? as usize, field(32, 2)? as usize];
    let name = String::from_utf8_lossy(record.get(46..46 + name_len)?).into_owned();
    // ZIP64: where a 32-bit field is all ones, its 64-bit value stands in the extra field 1, in this order.
    let mut extra = record.get(46 + name_len..46 + name_len + extra_len)?;
    while extra.len() >= 4 {
        let (kind, len) = (number(extra, 0, 2)?, number(extra, 2, 2)? as usize);
        let body = extra.get(4..4 + len)?;
        if kind == 1 {
            let mut from = 0;
            for value in [&mut size, &mut packed, &mut local] {
                if *value == u64::from(u32::MAX) {
                    *value = number(body, from, 8)?;
                    from += 8;
                }
            }
        }
        extra = &extra[4 + len..];
    }
    let next = at + 46 + name_len + extra_len + comment_len;
    if flags & 1 != 0 || !matches!(method, 0 | 8) {
        return Some(Err(wrong(format!("`{name}` is encrypted or packed by method {method}; only DEFLATE is read"))));
    }
    let local = usize::try_from(local).ok()?;
    let skip = 30 + number(bytes, local.checked_add(26)?, 2)? + number(bytes, local.checked_add(28)?, 2)?;
    let from = local.checked_add(skip as usize)?;
    let packed = bytes.get(from..from.checked_add(usize::try_from(packed).ok()?)?)?;
    Some(Ok((Entry { name, deflated: method == 8, packed, size }, next)))
}
