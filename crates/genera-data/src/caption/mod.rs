//! Captions of handwritten digits: what is so of a picture, in words that vary.
//!
//! A caption names the digit and perhaps says how thick its lines are and which way it leans: "a thick seven, slanted left",
//! "leaning left and bold, a seven", "a seven". Thickness and slant are measured ([`Stroke`]); thirds of the training
//! pictures of each digit say which words apply, so a thick one is thick for a one. Which attributes are mentioned, in which
//! order and by which words is drawn for each look at a picture, so that only the words tell. Captions are finitely many and
//! have numbers: a model is told the number, and reads the text that it stands for.
//!
//! One combination of each digit is never shown ([`Attributes::is_held_out`]): whoever draws it has put it together.

mod alphabet;
mod grammar;

pub use alphabet::{END, PADDING, SYMBOLS, TextError, decode, encode};
use genera_rng::Stream;
pub use grammar::{Attributes, Slant, Statement, Thickness};

use crate::{Error, Images, Result, Stroke};

/// How likely an attribute that applies is mentioned.
const MENTIONED: f64 = 0.8;

/// One caption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caption {
    /// What it says.
    pub says: Statement,
    /// How.
    pub text: String,
}

/// What of a caption a picture follows; true of what it does not speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Its thickness.
    pub thickness: bool,
    /// Its slant.
    pub slant: bool,
}

/// The two thresholds between thirds.
type Thirds = [f64; 2];

/// The captions of a set of digits.
#[derive(Clone, Debug)]
pub struct Captions {
    /// Of each digit, of its thickness and of its slant.
    thirds: Vec<[Thirds; 2]>,
    all: Vec<Caption>,
    /// The first caption of each statement, and one past the last of all.
    firsts: Vec<(Statement, usize)>,
}

impl Captions {
    /// Captions for pictures like `images`, whose thirds are those of each digit among them.
    ///
    /// # Errors
    /// If they are not grey pictures with labels of ten digits.
    pub fn learn(images: &Images) -> Result<Self> {
        let wrong = |what: &str| Error::shape(images.name(), format!("{what}; captions are for pictures of digits"));
        let labels = images.labels().ok_or_else(|| wrong("the pictures have no labels"))?;
        let numbered = labels.classes().iter().enumerate().all(|(digit, name)| *name == digit.to_string());
        if labels.classes().len() != grammar::DIGITS.len() || !numbered {
            return Err(wrong("the classes are not 0 to 9"));
        }
        let [channels, _, width] = images.shape();
        if channels != 1 {
            return Err(wrong("the pictures have colours"));
        }
        let strokes: Vec<Stroke> =
            (0..images.len()).map(|row| Stroke::of(images.row(row), width, images.levels())).collect();
        let thirds_of = |digit: usize, of: fn(&Stroke) -> f64| {
            let own = strokes.iter().zip(labels.rows()).filter(|(_, label)| usize::from(**label) == digit);
            thirds(own.map(|(stroke, _)| of(stroke)).collect())
        };
        let of_digit = |digit| [thirds_of(digit, |stroke| stroke.thickness), thirds_of(digit, |stroke| stroke.slant)];
        let (mut all, mut firsts) = (Vec::new(), Vec::new());
        for says in grammar::statements() {
            firsts.push((says, all.len()));
            all.extend(grammar::wordings(says).into_iter().map(|text| Caption { says, text }));
        }
        Ok(Self { thirds: (0..grammar::DIGITS.len()).map(of_digit).collect(), all, firsts })
    }

    /// Every caption; its number is its place.
    pub fn all(&self) -> &[Caption] {
        &self.all
    }

    /// What is so of a picture of `digit`.
    ///
    /// # Panics
    /// If `digit` is not below ten.
    pub fn attributes(&self, digit: usize, stroke: Stroke) -> Attributes {
        let [thickness, slant] = self.thirds[digit];
        Attributes {
            digit,
            thickness: third(stroke.thickness, thickness, [Thickness::Thin, Thickness::Medium, Thickness::Thick]),
            slant: third(stroke.slant, slant, [Slant::Left, Slant::Upright, Slant::Right]),
        }
    }

    /// The number of a caption that is true of `attributes`, drawn from `stream`: first what is mentioned, then how.
    pub fn draw(&self, attributes: Attributes, stream: &mut Stream) -> usize {
        let mut kept = [0, 1].map(|_: u8| stream.uniform() < MENTIONED).into_iter();
        let mut mentioned = || kept.next().unwrap_or(true);
        let all = attributes.statement();
        let thickness = all.thickness.filter(|_| mentioned());
        let slant = all.slant.filter(|_| mentioned());
        let range = self.wordings(Statement { thickness, slant, ..all });
        range.start + ((stream.uniform() * range.len() as f64) as usize).min(range.len().saturating_sub(1))
    }

    /// The numbers of all captions that say this; none of what cannot be said.
    pub fn wordings(&self, says: Statement) -> std::ops::Range<usize> {
        let Some(at) = self.firsts.iter().position(|(known, _)| *known == says) else { return 0..0 };
        self.firsts[at].1..self.firsts.get(at + 1).map_or(self.all.len(), |(_, first)| *first)
    }

    /// Every combination of a digit, a thickness and a slant.
    pub fn combinations(&self) -> Vec<Attributes> {
        grammar::combinations().collect()
    }

    /// The combinations that are never shown, one a digit.
    pub fn held_out(&self) -> Vec<Attributes> {
        (0..grammar::DIGITS.len()).map(grammar::held_out).collect()
    }

    /// What a picture follows of a statement about its digit.
    pub fn followed(&self, says: Statement, stroke: Stroke) -> Followed {
        let found = self.attributes(says.digit, stroke);
        Followed {
            thickness: says.thickness.is_none_or(|thickness| thickness == found.thickness),
            slant: says.slant.is_none_or(|slant| slant == found.slant),
        }
    }
}

/// The values below which a third and two thirds of `values` lie; of none, infinities.
fn thirds(mut values: Vec<f64>) -> Thirds {
    values.sort_by(f64::total_cmp);
    [1, 2].map(|k| values.get(k * values.len() / 3).copied().unwrap_or(f64::INFINITY))
}

fn third<T: Copy>(value: f64, [low, high]: Thirds, names: [T; 3]) -> T {
    names[usize::from(value >= low) + usize::from(value >= high)]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use genera_rng::Rng;

    use super::*;
    use crate::{Dataset, Labels, digits};

    fn pictures() -> Images {
        match digits().train {
            Dataset::Images(images) => images,
            Dataset::Table(_) => unreachable!("digits are images"),
        }
    }

    fn attributes(captions: &Captions, images: &Images) -> Vec<Attributes> {
        let labels = images.labels().unwrap().rows();
        (0..images.len())
            .map(|row| captions.attributes(labels[row].into(), Stroke::of(images.row(row), 8, 17)))
            .collect()
    }

    #[test]
    fn every_caption_can_be_written_and_says_what_its_number_says() {
        let captions = Captions::learn(&pictures()).unwrap();
        let texts: HashSet<&str> = captions.all().iter().map(|caption| caption.text.as_str()).collect();
        assert_eq!(texts.len(), captions.all().len(), "no text stands for two statements");
        for (number, Caption { says, text }) in captions.all().iter().enumerate() {
            assert!(captions.wordings(*says).contains(&number), "{text}");
            assert_eq!(decode(&encode(text, 40).unwrap()), *text);
            assert!(text.contains(grammar::DIGITS[says.digit]), "{text}");
            assert_eq!(text.contains("thick") || text.contains("bold"), says.thickness == Some(Thickness::Thick));
            assert_eq!(text.contains("left"), says.slant == Some(Slant::Left), "{text}");
        }
        for known in ["a thick seven, slanted left", "seven, thick and leaning left", "an eight", "upright, a six"] {
            assert!(texts.contains(known), "{known}");
        }
    }

    #[test]
    fn attributes_are_thirds_of_each_digit_and_every_combination_occurs() {
        let images = pictures();
        let captions = Captions::learn(&images).unwrap();
        let found = attributes(&captions, &images);
        for digit in 0..10 {
            let own: Vec<&Attributes> = found.iter().filter(|a| a.digit == digit).collect();
            for third in [Thickness::Thin, Thickness::Medium, Thickness::Thick] {
                let count = own.iter().filter(|a| a.thickness == third).count();
                assert!(count.abs_diff(own.len() / 3) <= 2, "{digit} {third:?}: {count} of {}", own.len());
            }
        }
        let combinations: HashSet<&Attributes> = found.iter().collect();
        assert_eq!(combinations.len(), 90);
        assert_eq!(captions.combinations().iter().collect::<HashSet<_>>(), combinations);
        assert_eq!(captions.held_out().len(), 10);
        assert!(captions.held_out().into_iter().all(|a| a.is_held_out() && combinations.contains(&a)));
        assert_eq!(
            captions.held_out()[7].statement(),
            captions.all()[captions.wordings(captions.held_out()[7].statement()).start].says
        );
    }

    #[test]
    fn drawn_captions_are_true_vary_and_are_the_same_again() {
        let images = pictures();
        let captions = Captions::learn(&images).unwrap();
        let found = attributes(&captions, &images);
        let draw = |rng: &mut Rng| -> Vec<usize> {
            found.iter().zip(rng.streams(found.len())).map(|(a, mut stream)| captions.draw(*a, &mut stream)).collect()
        };
        let (first, again) = (draw(&mut Rng::new(3)), draw(&mut Rng::new(3)));
        assert_eq!(first, again);
        assert_ne!(first, draw(&mut Rng::new(4)));
        for (number, is) in first.iter().zip(&found) {
            let Statement { digit, thickness, slant } = captions.all()[*number].says;
            assert_eq!(digit, is.digit);
            assert!(thickness.is_none_or(|t| t == is.thickness) && slant.is_none_or(|s| s == is.slant));
        }
        assert!(first.iter().collect::<HashSet<_>>().len() > 300, "many wordings occur");
        let silent = first.iter().filter(|number| captions.all()[**number].says.slant.is_none()).count();
        assert!((200..400).contains(&silent), "a fifth of 1500 does not speak of the slant: {silent}");
    }

    #[test]
    fn what_is_no_digit_has_no_captions() {
        let image = |classes: u16, channels: usize| {
            let rows = (0..classes).collect();
            let bytes = vec![0; usize::from(classes) * channels * 4];
            Images::new("x", [channels, 2, 2], 17, bytes, Some(Labels::numbered(rows))).unwrap()
        };
        assert!(Captions::learn(&image(9, 1)).is_err() && Captions::learn(&image(10, 3)).is_err());
        assert!(Captions::learn(&image(10, 1)).is_ok());
        let clothes = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        let error = Captions::learn(&image(10, 1).with_classes(&clothes).unwrap()).unwrap_err();
        assert!(error.to_string().contains("0 to 9"), "{error}");
    }
}
