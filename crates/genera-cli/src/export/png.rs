//! PNG files with words inside: seed, recipe, solver and command travel as text chunks.

use super::{Notes, Picture};
use crate::failure::{Failure, Outcome};

impl Picture {
    /// The picture as a PNG file that carries `notes`.
    pub fn to_png(&self, notes: &Notes) -> Outcome<Vec<u8>> {
        let mut bytes = Vec::new();
        self.encode(notes, &mut bytes).map_err(|error| Failure::new(format!("PNG: {error}")))?;
        Ok(bytes)
    }

    fn encode(&self, notes: &Notes, bytes: &mut Vec<u8>) -> Result<(), png::EncodingError> {
        let mut encoder = png::Encoder::new(bytes, self.width as u32, self.height as u32);
        encoder.set_color(if self.channels == 1 { png::ColorType::Grayscale } else { png::ColorType::Rgb });
        encoder.set_depth(png::BitDepth::Eight);
        for (name, text) in notes {
            // International text: a command may hold any character.
            encoder.add_itxt_chunk(name.clone(), text.clone())?;
        }
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_and_notes_come_back() {
        let picture = Picture { width: 2, height: 1, channels: 3, pixels: vec![1, 2, 3, 4, 5, 6] };
        let notes = vec![("genera:command".to_owned(), "genera sample runs/цифры".to_owned())];
        let bytes = picture.to_png(&notes).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels, picture.pixels);
        let chunk = &reader.info().utf8_text[0];
        assert_eq!((chunk.keyword.as_str(), chunk.get_text().unwrap()), ("genera:command", notes[0].1.clone()));
    }
}
