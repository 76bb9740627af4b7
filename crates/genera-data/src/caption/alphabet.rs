//! Captions as numbers: a fixed alphabet, an end, and nothing after it.

/// What stands after the end of a text, up to a common length.
pub const PADDING: u8 = 0;
/// What stands at the end of a text. An empty text is an end alone.
pub const END: u8 = 1;
/// What a text may be made of; the number of a character is its place here, plus 2.
const CHARACTERS: &str = " ,abcdefghijklmnopqrstuvwxyz";
/// How many symbols there are: padding, the end and the characters.
pub const SYMBOLS: usize = CHARACTERS.len() + 2;

/// A text that cannot be written with the alphabet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// A character that is not in the alphabet.
    #[error("character {} of `{text}` is `{character}`; a caption is of small letters a to z, spaces and commas", place + 1)]
    Character {
        /// The text.
        text: String,
        /// The character.
        character: char,
        /// Its place, from 0.
        place: usize,
    },
    /// A text with more characters than there is room for.
    #[error("`{text}` has {characters} characters; a caption has at most {most}")]
    Length {
        /// The text.
        text: String,
        /// How many characters it has.
        characters: usize,
        /// How many there may be.
        most: usize,
    },
}

/// The numbers of a text, its end, and padding up to `length`.
///
/// # Errors
/// A character outside the alphabet, or a text that is longer than `length` with its end.
pub fn encode(text: &str, length: usize) -> Result<Vec<u8>, TextError> {
    let symbol = |(place, character): (usize, char)| match CHARACTERS.find(character) {
        Some(at) => Ok(at as u8 + 2),
        None => Err(TextError::Character { text: text.to_owned(), character, place }),
    };
    let mut codes: Vec<u8> = text.chars().enumerate().map(symbol).collect::<Result<_, _>>()?;
    if codes.len() >= length {
        let (characters, most) = (codes.len(), length.saturating_sub(1));
        return Err(TextError::Length { text: text.to_owned(), characters, most });
    }
    codes.push(END);
    codes.resize(length, PADDING);
    Ok(codes)
}

/// The text that numbers stand for, up to its end; what is no character is left out.
pub fn decode(codes: &[u8]) -> String {
    let text = codes.iter().take_while(|code| **code != END);
    text.filter_map(|code| CHARACTERS.as_bytes().get(usize::from(*code).checked_sub(2)?))
        .map(|c| char::from(*c))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_survive_and_are_padded() {
        let codes = encode("a thick seven, slanted left", 32).unwrap();
        assert_eq!((codes.len(), codes[27], codes[28]), (32, END, PADDING));
        assert!(codes.iter().all(|code| usize::from(*code) < SYMBOLS));
        assert_eq!(decode(&codes), "a thick seven, slanted left");
        assert_eq!(encode("", 3).unwrap(), [END, PADDING, PADDING]);
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let error = encode("a 7", 32).unwrap_err().to_string();
        assert!(error.contains("character 3") && error.contains("`7`"), "{error}");
        let error = encode("dünn", 32).unwrap_err().to_string();
        assert!(error.contains("character 2") && error.contains("`ü`"), "{error}");
        assert!(encode("seven", 6).is_ok());
        assert!(encode("seven", 5).unwrap_err().to_string().contains("at most 4"));
        assert!(encode("", 0).is_err());
    }
}
