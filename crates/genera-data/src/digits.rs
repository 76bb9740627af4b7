//! The embedded digits: 1 797 images of 8x8 pixels and 17 grey levels, with labels.
//!
//! "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, UCI, 1998), CC BY 4.0, as in scikit-learn's
//! `load_digits`; see `assets/LICENSE-digits.md`.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::{Dataset, Images, Labels, Split};

const COUNT: usize = 1797;
const HELD_OUT: usize = 297;
const COMPRESSED: &[u8] = include_bytes!("../assets/digits.bin.gz");

/// 1 500 digits to train on and 297 to test, the same ones always.
///
/// The rule: put the images in order of class, and of their number within a class; image `j` in that order is held out
/// if `297·j mod 1797 < 297`. So each class gives its share, spread evenly over the writers.
pub fn digits() -> Split {
    let mut payload = Vec::with_capacity(COUNT * 65);
    GzDecoder::new(COMPRESSED).read_to_end(&mut payload).expect("the embedded digits are whole");
    let images = payload.split_off(COUNT);
    let labels: Vec<u16> = payload.into_iter().map(u16::from).collect();

    let mut by_class: Vec<usize> = (0..COUNT).collect();
    by_class.sort_by_key(|&image| labels[image]);
    let mut held_out = [false; COUNT];
    by_class.iter().enumerate().for_each(|(j, &image)| held_out[image] = HELD_OUT * j % COUNT < HELD_OUT);

    Images::new("digits", [1, 8, 8], 17, images, Some(Labels::numbered(labels)))
        .map(|images| Dataset::Images(images).split(|row| held_out[row]))
        .expect("the embedded digits are images")
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_asset_is_what_scikit_learn_gave() {
        let mut payload = Vec::new();
        GzDecoder::new(COMPRESSED).read_to_end(&mut payload).unwrap();
        let hash: String = Sha256::digest(&payload).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, "e1d88a0854e29e01d16358d2cd026aa8fc20dfc4cdb3fce004300857ea82aa70");
        let sum: u64 = payload[COUNT..].iter().map(|&level| u64::from(level)).sum();
        assert_eq!((payload.len(), sum), (COUNT * 65, 561_718));
    }

    #[test]
    fn the_split_is_fixed_and_balanced() {
        let Split { train, test } = digits();
        assert_eq!((train.len(), test.len()), (1500, 297));
        assert_eq!(train.event_shape(), [1, 8, 8]);
        let count = |set: &Dataset, class| set.labels().unwrap().rows().iter().filter(|&&label| label == class).count();
        for class in 0..10 {
            let (kept, held) = (count(&train, class), count(&test, class));
            let share = (kept + held) as f64 * HELD_OUT as f64 / COUNT as f64;
            assert!((held as f64 - share).abs() <= 1.0, "class {class}: {held} of {}", kept + held);
        }
    }
}
