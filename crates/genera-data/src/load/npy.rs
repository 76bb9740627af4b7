//! NumPy's `.npy` and `.npz` (numpy.lib.format, versions 1 to 3).
//!
//! Bytes of shape `[N, H, W]`, `[N, C, H, W]` or `[N, H, W, C]` with at most four channels become images; the channel
//! dimension is the second if that is at most 4, otherwise the last. Numbers of any plain type and shape `[N]` or `[N, F]`
//! become a table. In an `.npz` the images or rows are the array called `x`, `images`, `data`, `arr_0` or the only one, the
//! classes the array called `y` or `labels`; `x_train, y_train, x_test, y_test` make a split.

use crate::{Dataset, Error, Images, Labels, Result, Split, Table, load::zip};

fn wrong(what: impl Into<String>) -> Error {
    Error::format("NumPy file", what)
}

/// The type of the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    Unsigned,
    Signed,
    Float,
}

/// An array as it lies in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Npy<'a> {
    kind: Kind,
    width: usize,
    big_endian: bool,
    shape: Vec<usize>,
    data: &'a [u8],
}

/// Reads the header of a `.npy` file.
///
/// # Errors
/// If it is not one, its elements are not plain numbers of at most 8 bytes, it is in Fortran order, or it is cut.
pub fn parse(bytes: &[u8]) -> Result<Npy<'_>> {
    let Some([major, _, rest @ ..]) = bytes.strip_prefix(b"\x93NUMPY") else {
        return Err(wrong("it does not start with \\x93NUMPY"));
    };
    let length_bytes = if *major == 1 { 2 } else { 4 };
    let cut = || wrong("it ends within its header");
    let (length, rest) = rest.split_at_checked(length_bytes).ok_or_else(cut)?;
    let length = length.iter().rev().fold(0_usize, |length, &byte| length << 8 | usize::from(byte));
    let (header, data) = rest.split_at_checked(length).ok_or_else(cut)?;
    let header = std::str::from_utf8(header).map_err(|_| wrong("its header is not text"))?;

    let descr = value(header, "descr").map(|text| text.trim_matches(['\'', '"'])).unwrap_or_default();
    let mut letters = descr.chars();
    let (order, kind) = (letters.next().unwrap_or(' '), letters.next().unwrap_or(' '));
    let kind = match kind {
        'b' => Kind::Bool,
        'u' => Kind::Unsigned,
        'i' => Kind::Signed,
        'f' => Kind::Float,
        _ => return Err(wrong(format!("elements of type `{descr}` are not numbers; save them as u1, i8, f4 or f8"))),
    };
    let width: usize = match (kind, letters.as_str()) {
        (Kind::Bool | Kind::Unsigned | Kind::Signed, "1") => 1,
        (Kind::Unsigned | Kind::Signed, "2") => 2,
        (Kind::Unsigned | Kind::Signed | Kind::Float, "4") => 4,
        (Kind::Unsigned | Kind::Signed | Kind::Float, "8") => 8,
        _ => return Err(wrong(format!("elements of type `{descr}` are not read; save them as u1, i8, f4 or f8"))),
    };
    if value(header, "fortran_order") != Some("False") {
        return Err(wrong("it is not in C order; save numpy.ascontiguousarray of it"));
    }
    let shape = value(header, "shape")
        .and_then(|text| text.strip_prefix('(')?.strip_suffix(')'))
        .ok_or_else(|| wrong("its header has no shape"))?;
    let shape: Vec<usize> = shape
        .split(',')
        .map(str::trim)
        .filter(|side| !side.is_empty())
        .map(|side| side.parse().map_err(|_| wrong(format!("its shape is ({shape})"))))
        .collect::<Result<_>>()?;
    let size = shape.iter().try_fold(width, |size, &side| size.checked_mul(side));
    if size != Some(data.len()) {
        return Err(wrong(format!("its header says {shape:?} of {width} bytes each, but {} bytes follow", data.len())));
    }
    Ok(Npy { kind, width, big_endian: order == '>', shape, data })
}

/// The text of the value of `key` in a Python dictionary without nested ones.
fn value<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let at = [format!("'{key}'"), format!("\"{key}\"")].iter().find_map(|key| Some(header.find(key)? + key.len()))?;
    let text = header[at..].trim_start().strip_prefix(':')?.trim_start();
    let end = if text.starts_with('(') { text.find(')')? + 1 } else { text.find([',', '}'])? };
    Some(text[..end].trim())
}

impl Npy<'_> {
    /// The dimensions, slowest first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements as numbers, in C order.
    pub fn numbers(&self) -> impl ExactSizeIterator<Item = f64> {
        self.data.chunks_exact(self.width).map(|element| {
            let mut bytes = [0; 8];
            bytes[..self.width].copy_from_slice(element);
            if self.big_endian {
                bytes[..self.width].reverse();
            }
            let word = u64::from_le_bytes(bytes);
            let unused = 64 - 8 * self.width as u32;
            match self.kind {
                Kind::Bool | Kind::Unsigned => word as f64,
                Kind::Signed => ((word << unused) as i64 >> unused) as f64,
                Kind::Float if self.width == 4 => f64::from(f32::from_bits(word as u32)),
                Kind::Float => f64::from_bits(word),
            }
        })
    }

    /// The array as a data set, by the rules above.
    ///
    /// # Errors
    /// If its type and shape are neither those of images nor those of a table, or the labels do not fit.
    pub fn dataset(&self, name: &str, labels: Option<Labels>) -> Result<Dataset> {
        let bytes = self.kind == Kind::Unsigned && self.width == 1;
        match self.shape[..] {
            [_, height, width] if bytes => {
                Images::new(name, [1, height, width], 256, self.data.to_vec(), labels).map(Dataset::Images)
            }
            [_, channels, height, width] if bytes && channels <= 4 => {
                Images::new(name, [channels, height, width], 256, self.data.to_vec(), labels).map(Dataset::Images)
            }
            [_, height, width, channels] if bytes && channels <= 4 => {
                let bytes = channels_first(self.data, channels, height.saturating_mul(width));
                Images::new(name, [channels, height, width], 256, bytes, labels).map(Dataset::Images)
            }
            [_] | [_, _] => {
                let columns = self.shape.get(1).copied().unwrap_or(1);
                // An array of no rows may claim any number of columns.
                if columns > self.data.len() {
                    return Err(wrong(format!("an array of shape {:?} has no rows", self.shape)));
                }
                let columns = (0..columns).map(|column| format!("x{column}")).collect();
                let values = self.numbers().map(|value| value as f32).collect();
                Table::new(name, columns, values, labels).map(Dataset::Table)
            }
            _ => Err(wrong(format!(
                "an array of shape {:?} is neither images (u1, [N, H, W], [N, C, H, W] or [N, H, W, C]) nor a table ([N, F])",
                self.shape
            ))),
        }
    }

    /// The array as classes 0, 1, ….
    ///
    /// # Errors
    /// If it is not one whole number from 0 to 65 535 for each row.
    pub fn labels(&self) -> Result<Labels> {
        if !matches!(self.shape[..], [_] | [_, 1]) {
            return Err(wrong(format!("labels of shape {:?}; they must be one number for each row", self.shape)));
        }
        self.numbers()
            .map(|label| match label {
                label if label.fract() == 0.0 && (0.0..65536.0).contains(&label) => Ok(label as u16),
                label => Err(wrong(format!("{label} is not a class: whole numbers from 0 to 65535 are"))),
            })
            .collect::<Result<_>>()
            .map(Labels::numbered)
    }
}

/// `[N, pixels, channels]` to `[N, channels, pixels]`.
pub(super) fn channels_first(data: &[u8], channels: usize, pixels: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    for image in data.chunks_exact((channels * pixels).max(1)) {
        (0..channels).for_each(|channel| out.extend(image[channel..].iter().step_by(channels)));
    }
    out
}

/// What an `.npz` holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Npz {
    /// One set.
    Whole(Dataset),
    /// A set in two parts.
    Split(Split),
}

/// Reads an `.npz`, by the rules above.
///
/// # Errors
/// If it is not one, or its arrays do not make a data set.
pub fn parse_npz(name: &str, bytes: &[u8]) -> Result<Npz> {
    let entries = zip::entries(bytes)?;
    let find =
        |wanted: &str| entries.iter().find(|entry| entry.name.strip_suffix(".npy").unwrap_or(&entry.name) == wanted);
    let set = |rows: &zip::Entry<'_>, labels: Option<&zip::Entry<'_>>| {
        let labels = labels.map(|entry| parse(&entry.bytes()?)?.labels()).transpose()?;
        parse(&rows.bytes()?)?.dataset(name, labels)
    };
    if let (Some(train), Some(test)) = (find("x_train"), find("x_test")) {
        let split = Split { train: set(train, find("y_train"))?, test: set(test, find("y_test"))? };
        if split.train.event_shape() != split.test.event_shape() {
            return Err(wrong("x_train and x_test differ in shape"));
        }
        return Ok(Npz::Split(split));
    }
    let rows = ["x", "images", "data", "arr_0"].into_iter().find_map(find).or(match &entries[..] {
        [only] => Some(only),
        _ => None,
    });
    let rows = rows.ok_or_else(|| {
        let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
        wrong(format!("none of its arrays ({}) is called x, images, data or arr_0", names.join(", ")))
    })?;
    set(rows, find("y").or_else(|| find("labels"))).map(Npz::Whole)
}

#[cfg(test)]
mod tests;
