//! IDX, the format of MNIST (LeCun, Cortes and Burges): two zero bytes, a type, the number of dimensions, each dimension
//! as a big-endian `u32`, then the data. Only bytes (type 8) are read; gzip is seen through.

use crate::{Error, Images, Labels, Result, load::gunzip};

/// An array of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idx {
    /// The dimensions, slowest first.
    pub shape: Vec<usize>,
    /// The elements, as many as the dimensions multiply to.
    pub data: Vec<u8>,
}

/// Reads an IDX array of bytes, plain or compressed by gzip.
///
/// # Errors
/// If it is not one, or its length is not what its header says.
pub fn parse(bytes: &[u8]) -> Result<Idx> {
    let wrong = |what: String| Error::format("IDX file", what);
    let plain = gunzip(bytes)?;
    let &[0, 0, kind, dimensions, ref rest @ ..] = plain.as_ref() else {
        return Err(wrong("it does not start with two zero bytes, a type and a number of dimensions".to_owned()));
    };
    if kind != 8 {
        return Err(wrong(format!("its elements are of type {kind:#04x}; only bytes (0x08) are read")));
    }
    let Some((header, data)) = rest.split_at_checked(4 * usize::from(dimensions)) else {
        return Err(wrong(format!("it ends within its {dimensions} dimensions")));
    };
    let shape: Vec<usize> =
        header.chunks_exact(4).map(|d| u32::from_be_bytes([d[0], d[1], d[2], d[3]]) as usize).collect();
    let size = shape.iter().try_fold(1_usize, |size, &side| size.checked_mul(side));
    if size != Some(data.len()) {
        return Err(wrong(format!("its header says {shape:?} but {} bytes follow", data.len())));
    }
    Ok(Idx { shape, data: data.to_vec() })
}

/// Images out of an IDX array `[N, H, W]` or `[N, C, H, W]`, and their classes out of another, `[N]`.
///
/// # Errors
/// If an array is not valid or not of such a shape.
pub fn images(name: &str, images: &[u8], labels: Option<&[u8]>) -> Result<Images> {
    let Idx { shape, data } = parse(images)?;
    let shape = match shape[..] {
        [_, height, width] => [1, height, width],
        [_, channels, height, width] => [channels, height, width],
        _ => return Err(Error::format("IDX file", format!("an array {shape:?} is not images: 3 or 4 dimensions"))),
    };
    let labels = labels
        .map(|bytes| {
            let Idx { shape, data } = parse(bytes)?;
            match shape[..] {
                [_] => Ok(Labels::numbered(data.into_iter().map(u16::from).collect())),
                _ => Err(Error::format("IDX file", format!("an array {shape:?} is not labels: 1 dimension"))),
            }
        })
        .transpose()?;
    Images::new(name, shape, 256, data, labels)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const TWO: [u8; 24] = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 255];

    #[test]
    fn plain_and_gzip() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&TWO).unwrap();
        for bytes in [TWO.to_vec(), gzip.finish().unwrap()] {
            let set = images("two", &bytes, Some(&[0, 0, 8, 1, 0, 0, 0, 2, 7, 9])).unwrap();
            assert_eq!((set.len(), set.shape(), set.row(1)), (2, [1, 2, 2], &[5, 6, 7, 255][..]));
            assert_eq!(set.labels().unwrap().rows(), [7, 9]);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!((0..TWO.len()).all(|end| parse(&TWO[..end]).is_err()));
        let changed = |at: usize, byte: u8| {
            let mut bytes = TWO;
            bytes[at] = byte;
            parse(&bytes)
        };
        assert!(changed(2, 9).is_err() && changed(4, 255).is_err() && changed(3, 4).is_err());
        assert!(images("two", &TWO, Some(&[0, 0, 8, 1, 0, 0, 0, 1, 7])).is_err());
        assert!(images("two", &[0, 0, 8, 0, 5], None).is_err());
        // Dimensions whose product is beyond any memory.
        assert!(parse(&[[0, 0, 8, 4].as_slice(), &[255; 16]].concat()).is_err());
    }
}
