//! Downloads with checksums: resumed where they broke off, checked, and only then given their name.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};
use ureq::{Agent, http::StatusCode};

use crate::{Error, Result};

/// A published file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote<'a> {
    /// The name it gets.
    pub file: &'a str,
    /// Where it is.
    pub url: &'a str,
    /// Its length.
    pub bytes: u64,
    /// Its checksum.
    pub checksum: Checksum<'a>,
}

impl Remote<'_> {
    /// The address of the file where it is published, or under that of a mirror: `MIRROR/FILE`.
    pub fn url_at(&self, mirror: Option<&str>) -> String {
        match mirror {
            Some(mirror) => format!("{}/{}", mirror.trim_end_matches('/'), self.file),
            None => self.url.to_owned(),
        }
    }
}

/// A published checksum, in lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum<'a> {
    /// MD5: guards against accidents, not against malice.
    Md5(&'a str),
    /// SHA-256.
    Sha256(&'a str),
}

/// How far a download has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file.
    pub file: &'a str,
    /// The bytes that are here.
    pub received: u64,
    /// The bytes there will be.
    pub total: u64,
}

/// Downloads `remote` into `folder`, which is made if it is missing, and returns the path of the file.
///
/// Nothing is downloaded if the file is there with the right checksum. What is received goes to `FILE.part`, is synced,
/// checked and then renamed, so that a file of that name is always whole; a `.part` left by a broken download is continued
/// where the server allows it.
///
/// # Errors
/// If the server cannot be reached or refuses, the connection breaks (what came is kept for the next try), the length or
/// the checksum is wrong (what came is deleted), or the disk refuses.
pub fn fetch(remote: &Remote<'_>, folder: &Path, mut progress: impl FnMut(Progress<'_>)) -> Result<PathBuf> {
    let path = folder.join(remote.file);
    if path.is_file() && remote.checksum.matches(&path)? {
        return Ok(path);
    }
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let part = folder.join(format!("{}.part", remote.file));
    if fs::metadata(&part).map_or(0, |meta| meta.len()) != remote.bytes {
        receive(remote, &part, &mut |received| {
            progress(Progress { file: remote.file, received, total: remote.bytes });
        })?;
    }
    if !remote.checksum.matches(&part)? {
        fs::remove_file(&part).map_err(Error::io(&part))?;
        return Err(failed(remote, "its checksum is wrong, so it is deleted; fetch again, or get the file elsewhere"));
    }
    fs::rename(&part, &path).map_err(Error::io(&path))?;
    // The rename itself must reach the disk; not every system can sync a folder, and then nothing is lost but time.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(path)
}

fn failed(remote: &Remote<'_>, what: impl Into<String>) -> Error {
    Error::Download { url: remote.url.to_owned(), what: what.into() }
}

/// Brings the file `part` to its full length.
fn receive(remote: &Remote<'_>, part: &Path, progress: &mut dyn FnMut(u64)) -> Result<()> {
    let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(part).map_err(Error::io(part))?;
    let mut received = file.seek(SeekFrom::End(0)).map_err(Error::io(part))?;
    if received > remote.bytes {
        received = 0;
    }

    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .user_agent(concat!("genera/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let mut request = agent.get(remote.url);
    if received > 0 {
        request = request.header("Range", format!("bytes={received}-"));
    }
    let mut response = request.call().map_err(|error| failed(remote, format!("{error}; is there a network?")))?;
    match response.status() {
        StatusCode::PARTIAL_CONTENT if resumes_at(&response, received) => {}
        // The server sends the whole file, whatever was asked for.
        StatusCode::OK => received = 0,
        status => return Err(failed(remote, format!("the server says {status}"))),
    }
    file.set_len(received).map_err(Error::io(part))?;
    file.seek(SeekFrom::Start(received)).map_err(Error::io(part))?;

    let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
    let mut buffer = vec![0; 1 << 16];
    progress(received);
    let broken = loop {
        let count = match body.read(&mut buffer) {
            Ok(0) => break None,
            Ok(count) => count,
            Err(error) => break Some(error),
        };
        received += count as u64;
        if received > remote.bytes {
            drop(file);
            fs::remove_file(part).map_err(Error::io(part))?;
            let what = format!("it is longer than {} bytes, so it is another file; nothing is kept", remote.bytes);
            return Err(failed(remote, what));
        }
        file.write_all(&buffer[..count]).map_err(Error::io(part))?;
        progress(received);
    };
    file.sync_all().map_err(Error::io(part))?;
    if received < remote.bytes {
        let reason = broken.map_or(String::new(), |error| format!(" ({error})"));
        let what = format!("it broke off at {received} of {} bytes{reason}; fetch again to go on", remote.bytes);
        return Err(failed(remote, what));
    }
    Ok(())
}

/// Whether a partial answer starts at the byte that was asked for.
fn resumes_at<B>(response: &ureq::http::Response<B>, start: u64) -> bool {
    response
        .headers()
        .get("content-range")
        .and_then(|range| range.to_str().ok()?.strip_prefix("bytes ")?.split('-').next()?.parse().ok())
        == Some(start)
}

impl Checksum<'_> {
    /// Whether the file at `path` has this checksum.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn matches(self, path: &Path) -> Result<bool> {
        match self {
            Self::Md5(expected) => Ok(digest::<md5::Md5>(path)? == expected),
            Self::Sha256(expected) => Ok(digest::<Sha256>(path)? == expected),
        }
    }
}

fn digest<D: Digest>(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(Error::io(path))?;
    let (mut hasher, mut buffer) = (D::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer).map_err(Error::io(path))? {
            0 => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests;
