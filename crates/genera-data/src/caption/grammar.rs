//! What a caption may say of a digit, and every way to say it.

/// How thick the lines of a digit are, among digits of its class: a third each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Thickness {
    /// The thinnest third.
    Thin,
    /// In between, which is not worth a word.
    Medium,
    /// The thickest third.
    Thick,
}

/// Which way a digit leans, among digits of its class: a third each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slant {
    /// The third that leans most to the left.
    Left,
    /// In between.
    Upright,
    /// The third that leans most to the right.
    Right,
}

/// What is so of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// The digit.
    pub digit: usize,
    /// Its lines.
    pub thickness: Thickness,
    /// Its axis.
    pub slant: Slant,
}

/// What a caption says of a picture: the digit, and perhaps more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Statement {
    /// The digit.
    pub digit: usize,
    /// Its lines, if the caption speaks of them; never [`Thickness::Medium`].
    pub thickness: Option<Thickness>,
    /// Its axis, if the caption speaks of it.
    pub slant: Option<Slant>,
}

pub(super) const DIGITS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

impl Attributes {
    /// All that a caption can say of it.
    pub fn statement(self) -> Statement {
        let thickness = (self.thickness != Thickness::Medium).then_some(self.thickness);
        Statement { digit: self.digit, thickness, slant: Some(self.slant) }
    }

    /// Whether it is one of the ten combinations that no model is shown: of each digit one corner of thin or thick and left
    /// or right, so that each word and each pair of words is met with other digits.
    pub fn is_held_out(self) -> bool {
        self == held_out(self.digit)
    }
}

/// The combination of `digit` that no model is shown.
pub(super) fn held_out(digit: usize) -> Attributes {
    let (thickness, slant) = match digit % 4 {
        0 => (Thickness::Thin, Slant::Right),
        1 => (Thickness::Thick, Slant::Right),
        2 => (Thickness::Thin, Slant::Left),
        _ => (Thickness::Thick, Slant::Left),
    };
    Attributes { digit, thickness, slant }
}

/// Everything that can be so of ten digits: thickness and slant in every way, and of each way all digits.
pub(super) fn combinations() -> impl Iterator<Item = Attributes> {
    let thicknesses = [Thickness::Thin, Thickness::Medium, Thickness::Thick];
    let slants = [Slant::Left, Slant::Upright, Slant::Right];
    thicknesses.into_iter().flat_map(move |thickness| {
        let of = move |slant| (0..DIGITS.len()).map(move |digit| Attributes { digit, thickness, slant });
        slants.into_iter().flat_map(of)
    })
}

/// Everything that can be said of ten digits.
pub(super) fn statements() -> impl Iterator<Item = Statement> {
    let thicknesses = [None, Some(Thickness::Thin), Some(Thickness::Thick)];
    let slants = [None, Some(Slant::Left), Some(Slant::Upright), Some(Slant::Right)];
    (0..DIGITS.len()).flat_map(move |digit| {
        thicknesses
            .into_iter()
            .flat_map(move |thickness| slants.into_iter().map(move |slant| Statement { digit, thickness, slant }))
    })
}

/// Every way to say it; the first is the plainest.
pub(super) fn wordings(Statement { digit, thickness, slant }: Statement) -> Vec<String> {
    let digit = DIGITS[digit];
    let article = |word: &str| if word.starts_with("eight") { "an" } else { "a" };
    let thick = thickness.map(|thickness| match thickness {
        Thickness::Thin => ["thin", "slim"],
        Thickness::Medium => ["plain", "plain"],
        Thickness::Thick => ["thick", "bold"],
    });
    let slants = slant.map(|slant| match slant {
        Slant::Left => &["slanted left", "leaning left"][..],
        Slant::Upright => &["upright"],
        Slant::Right => &["slanted right", "leaning right"],
    });
    match (thick, slants) {
        (None, None) => vec![format!("{} {digit}", article(digit)), digit.to_owned(), format!("the digit {digit}")],
        (Some(thick), None) => thick.iter().flat_map(|t| [format!("a {t} {digit}"), format!("{digit}, {t}")]).collect(),
        (None, Some(slants)) => {
            let a = article(digit);
            slants
                .iter()
                .flat_map(|s| [format!("{a} {digit}, {s}"), format!("{digit}, {s}"), format!("{s}, {a} {digit}")])
                .collect()
        }
        (Some(thick), Some(slants)) => {
            let pairs = slants.iter().flat_map(|s| thick.iter().map(move |t| (t, s)));
            pairs
                .flat_map(|(t, s)| {
                    [
                        format!("a {t} {digit}, {s}"),
                        format!("{digit}, {t} and {s}"),
                        format!("{s}, a {t} {digit}"),
                        format!("{s} and {t}, {} {digit}", article(digit)),
                    ]
                })
                .collect()
        }
    }
}
