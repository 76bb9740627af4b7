//! As much of tar as published data sets need: headers of 512 bytes with name, size and kind, contents padded to 512.

use std::io::{self, Read};

use crate::{Error, Result};

/// The files of a tar stream that `wanted` gives a name, in order. Memory grows with the bytes that are really there.
pub(super) fn entries(
    mut archive: impl Read,
    wanted: impl Fn(&str) -> Option<String>,
) -> Result<Vec<(String, Vec<u8>)>> {
    let wrong = |what: String| Error::format("tar archive", format!("{what}; fetch it again"));
    let mut files = Vec::new();
    loop {
        let mut header = [0; 512];
        archive.read_exact(&mut header).map_err(|error| wrong(format!("it is cut or damaged ({error})")))?;
        if header.iter().all(|&byte| byte == 0) {
            return Ok(files);
        }
        let text = |field: &[u8]| String::from_utf8_lossy(field).trim_matches(['\0', ' ']).to_owned();
        let path = text(header[..100].split(|&byte| byte == 0).next().unwrap_or_default());
        let size = u64::from_str_radix(&text(&header[124..136]), 8)
            .ok()
            .filter(|&size| size <= 1 << 40)
            .ok_or_else(|| wrong(format!("the size of `{path}` is not a number")))?;
        let padded = size.next_multiple_of(512);
        let mut body = archive.by_ref().take(padded);
        let passed = match wanted(&path).filter(|_| matches!(header[156], b'0' | 0)) {
            Some(name) => {
                let mut bytes = Vec::new();
                let passed = body.read_to_end(&mut bytes).map(|read| read as u64);
                bytes.truncate(size as usize);
                files.push((name, bytes));
                passed
            }
            None => io::copy(&mut body, &mut io::sink()),
        };
        match passed {
            Ok(passed) if passed == padded => {}
            Ok(passed) => return Err(wrong(format!("`{path}` has {passed} of its {size} bytes"))),
            Err(error) => return Err(wrong(format!("`{path}` is damaged ({error})"))),
        }
    }
}
