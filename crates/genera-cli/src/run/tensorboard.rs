//! TensorBoard event files, written by hand: TFRecord frames around `tensorflow.Event` messages.
//!
//! A frame is `length: u64, crc(length): u32, message, crc(message): u32`, little-endian, where `crc` is CRC-32C rotated
//! right by 15 and offset by 0xa282ead8. Of the protocol buffers, five messages with a handful of fields are needed:
//!
//! ```text
//! Event      1 wall_time: double   2 step: int64   3 file_version: string   5 summary   7 session_log
//! Summary    1 value (repeated)                    SessionLog   1 status (START = 1)
//! Value      1 tag: string   2 simple_value: float   4 image
//! Image      1 height   2 width   3 colorspace (1 grey, 3 RGB)   4 encoded_image_string: bytes
//! ```

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::failure::{Failure, Outcome};

/// An event file that grows.
pub struct EventFile {
    file: File,
    path: std::path::PathBuf,
}

/// A picture for TensorBoard.
pub struct Picture<'a> {
    /// Rows of pixels.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// The picture as a PNG file.
    pub png: &'a [u8],
}

impl EventFile {
    /// A new event file in `folder`. What its other files say of the step `resumed_at` and later is void.
    pub fn create(folder: &Path, resumed_at: Option<u64>) -> Outcome<Self> {
        // TensorBoard reads the files of a folder in the order of their names.
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (path, file) = (0..1000)
            .map(|attempt| folder.join(format!("events.out.tfevents.{seconds:010}.genera.{attempt:03}")))
            .find_map(|path| match File::create_new(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => None,
                made => Some((path, made)),
            })
            .ok_or_else(|| Failure::new(format!("{}: too many event files of one second", folder.display())))?;
        let mut events = Self { file: file.map_err(Failure::file(&path))?, path };
        events.append(&event(0, |message| message.bytes(3, b"brain.Event:2")))?;
        if let Some(step) = resumed_at {
            events.append(&event(step, |message| message.message(7, |log| log.varint(1, 1))))?;
        }
        Ok(events)
    }

    /// Appends scalars by name.
    pub fn scalars<'a>(&mut self, step: u64, scalars: impl IntoIterator<Item = (&'a str, f64)>) -> Outcome {
        self.append(&event(step, |message| {
            message.message(5, |summary| {
                for (tag, value) in scalars {
                    summary.message(1, |entry| {
                        entry.bytes(1, tag.as_bytes());
                        entry.float(2, value as f32);
                    });
                }
            });
        }))
    }

    /// Appends a picture.
    pub fn picture(&mut self, step: u64, tag: &str, picture: &Picture<'_>) -> Outcome {
        self.append(&event(step, |message| {
            message.message(5, |summary| {
                summary.message(1, |entry| {
                    entry.bytes(1, tag.as_bytes());
                    entry.message(4, |image| {
                        image.varint(1, picture.height as u64);
                        image.varint(2, picture.width as u64);
                        image.varint(3, picture.channels as u64);
                        image.bytes(4, picture.png);
                    });
                });
            });
        }))
    }

    fn append(&mut self, message: &[u8]) -> Outcome {
        // One write a record, so that a reader of the growing file rarely sees a torn one.
        self.file.write_all(&frame(message)).map_err(Failure::file(&self.path))
    }
}

fn event(step: u64, fill: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut message = Message::default();
    message.double(1, SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
    message.varint(2, step);
    fill(&mut message);
    message.0
}

fn frame(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    let crc = |bytes: &[u8]| crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes();
    [&length[..], &crc(&length), message, &crc(message)].concat()
}

/// A protocol-buffer message under construction. Wire types: 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn key(&mut self, field: u32, wire_type: u32) {
        self.raw_varint(u64::from(field << 3 | wire_type));
    }

    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn varint(&mut self, field: u32, value: u64) {
        self.key(field, 0);
        self.raw_varint(value);
    }

    fn double(&mut self, field: u32, value: f64) {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
    }

    fn float(&mut self, field: u32, value: f32) {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.key(field, 2);
        self.raw_varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn message(&mut self, field: u32, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.bytes(field, &inner.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_those_of_the_specification() {
        let mut message = Message::default();
        message.varint(1, 150); // the example of the encoding guide
        assert_eq!(message.0, [0x08, 0x96, 0x01]);
        let mut message = Message::default();
        message.bytes(2, b"testing");
        assert_eq!(message.0, [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67]);
    }

    /// CRC-32C of 32 zero bytes is 0x8a9136aa (RFC 3720, B.4).
    #[test]
    fn frames_carry_masked_checksums() {
        let framed = frame(&[0; 32]);
        assert_eq!(framed.len(), 8 + 4 + 32 + 4);
        let masked = 0x8a91_36aa_u32.rotate_right(15).wrapping_add(0xa282_ead8);
        assert_eq!(framed[44..], masked.to_le_bytes());
    }

    #[test]
    fn files_of_one_second_differ() {
        let scratch = tempfile::tempdir().unwrap();
        for _ in 0..3 {
            let mut events = EventFile::create(scratch.path(), Some(1)).unwrap();
            events.scalars(1, [("loss", 0.5)]).unwrap();
        }
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 3);
    }
}
