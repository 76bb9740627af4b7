//! The sizes that page headers claim, before the reader allocates by them.
//!
//! A column chunk is a row of pages, each a header in Thrift's compact protocol (its field 2 is the size of the page, its
//! field 3 that of its compressed form, which follows).

use super::{EXPANSION, SMALL, wrong};
use crate::Result;

/// Refuses a column chunk with a page that claims to be larger than its compressed form can hold.
pub(super) fn check(mut chunk: &[u8]) -> Result<()> {
    while !chunk.is_empty() {
        let (page, packed) = header(&mut chunk).ok_or_else(|| wrong("a page has no valid header"))?;
        let (Ok(page), Ok(packed)) = (u64::try_from(page), usize::try_from(packed)) else {
            return Err(wrong("a page has a negative size"));
        };
        chunk = chunk.get(packed..).ok_or_else(|| wrong("a page lies beyond its column"))?;
        if page > EXPANSION * packed as u64 + SMALL {
            return Err(wrong(format!("a page of {packed} bytes claims to hold {page}")));
        }
    }
    Ok(())
}

/// The two sizes of the page whose header `bytes` starts with; leaves what follows the header.
fn header(bytes: &mut &[u8]) -> Option<(i64, i64)> {
    let (mut sizes, mut id) = ([None; 2], 0);
    loop {
        let kind = match field(bytes, &mut id)? {
            0 => return Some((sizes[0]?, sizes[1]?)),
            kind => kind,
        };
        match (kind, id) {
            (5, 2 | 3) => sizes[id as usize - 2] = Some(zigzag(bytes)?),
            _ => skip(bytes, kind, 8)?,
        }
    }
}

/// The kind of the next field, 0 at the end of a structure, and its number in `id`.
fn field(bytes: &mut &[u8], id: &mut i64) -> Option<u8> {
    let (&byte, rest) = bytes.split_first()?;
    *bytes = rest;
    if byte != 0 {
        *id = if byte >> 4 == 0 { zigzag(bytes)? } else { id.checked_add(i64::from(byte >> 4))? };
    }
    Some(byte & 15)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return Some(value);
        }
    }
    None
}

fn zigzag(bytes: &mut &[u8]) -> Option<i64> {
    let value = varint(bytes)?;
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

/// Passes over a value, with at most `depth` structures in one another.
fn skip(bytes: &mut &[u8], kind: u8, depth: u8) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    match kind {
        1 | 2 => {} // A truth value lies in the kind itself.
        3 => *bytes = bytes.get(1..)?,
        4..=6 => drop(varint(bytes)?),
        7 => *bytes = bytes.get(8..)?,
        8 => {
            let length = varint(bytes)?;
            *bytes = bytes.get(usize::try_from(length).ok()?..)?;
        }
        12 => {
            let mut id = 0;
            loop {
                match field(bytes, &mut id)? {
                    0 => break,
                    kind => skip(bytes, kind, depth)?,
                }
            }
        }
        // No page header has a list, set or map.
        _ => return None,
    }
    Some(())
}
