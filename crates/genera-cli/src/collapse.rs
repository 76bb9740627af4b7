//! What a game says of itself when it fails: samples that lose their variety, altogether or within their classes, and a
//! generator that no gradient reaches.
//!
//! Both are read from the means that the log has, so that a report of an old run finds what its training said.

use std::collections::BTreeMap;

/// When samples have lost their variety.
struct Loss {
    /// They vary less than this part of the data,
    few: f64,
    /// for so many lines of the log in a row,
    lines: usize,
    /// and once varied by more than this: a fresh generator draws next to nothing too.
    much: f64,
}

const ALTOGETHER: Loss = Loss { few: 0.1, lines: 1, much: 0.3 };
/// Around the means of classes. Noise that merely blurs one sample of each class is still worth a fifth of the data. On MNIST
/// such a generator varied by 0.21 to 0.26; one that ended with 0.95 fell to 0.29 on its way.
const WITHIN: Loss = Loss { few: 0.26, lines: 5, much: 0.5 };
/// The share of steps without a gradient above which the generator has stopped to learn.
const STOPPED: f64 = 0.5;

/// What has been seen of a game so far. Each failure is named once.
#[derive(Debug, Default)]
pub struct Collapse {
    altogether: Variety,
    within: Variety,
    vanished: bool,
    most_modes: usize,
    modes_lost: bool,
}

impl Collapse {
    /// What the means of a line of the log, after `step` steps, say that was not said before.
    pub fn look(&mut self, step: u64, scalars: &BTreeMap<String, f64>) -> Vec<String> {
        let mut said = Vec::new();
        if let Some(&share) = scalars.get("vanished").filter(|share| **share > STOPPED && !self.vanished) {
            self.vanished = true;
            said.push(format!(
                "step {step}: the generator's gradient has vanished in {:.0} % of the steps, it learns nothing: the critic \
                 tells its samples from data with certainty; fewer critic_steps, another objective or a penalty help",
                100.0 * share
            ));
        }
        let spread = |name: &str| scalars.get(name).copied();
        said.extend(spread("spread").filter(|spread| self.altogether.lost(*spread, &ALTOGETHER)).map(|spread| {
            let percent = 100.0 * spread;
            format!("step {step}: the samples have collapsed: they vary by {percent:.1} % of what the data do")
        }));
        said.extend(spread("spread-within").filter(|spread| self.within.lost(*spread, &WITHIN)).map(|spread| {
            format!(
                "step {step}: the samples of each class have collapsed: within a class they vary by {:.1} % of what the data \
                 do; a stronger r1 and the critic's deviation help",
                100.0 * spread
            )
        }));
        said
    }

    /// What it says that samples after `step` steps cover so many of the modes of the data.
    pub fn look_at_modes(&mut self, step: u64, covered: usize, known: usize) -> Option<String> {
        let most = self.most_modes;
        self.most_modes = most.max(covered);
        (2 * covered < most && !self.modes_lost).then(|| {
            self.modes_lost = true;
            format!("step {step}: the samples cover {covered} of {known} modes where they covered {most}: they have collapsed")
        })
    }
}

/// Whether samples varied once and do no longer.
#[derive(Debug, Default)]
struct Variety {
    had: bool,
    /// Lines in a row that show too little.
    low: usize,
}

impl Variety {
    /// Whether this spread, as a part of that of the data, is the one that makes the loss certain.
    fn lost(&mut self, spread: f64, Loss { few, lines, much }: &Loss) -> bool {
        self.had |= spread > *much;
        self.low = if self.had && (spread < *few || self.low >= *lines) { self.low + 1 } else { 0 };
        self.low == *lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, value: f64) -> BTreeMap<String, f64> {
        BTreeMap::from([(name.to_owned(), value)])
    }

    #[test]
    fn each_failure_is_named_once_and_a_fresh_generator_is_none() {
        let mut game = Collapse::default();
        for (step, spread) in [(10, 0.01), (20, 0.2), (30, 0.9), (40, 0.2)] {
            assert!(game.look(step, &line("spread", spread)).is_empty(), "{step}");
        }
        let said = game.look(50, &line("spread", 0.04));
        assert!(said.len() == 1 && said[0].contains("step 50") && said[0].contains("4.0 %"), "{said:?}");
        assert!(game.look(60, &line("spread", 0.04)).is_empty());

        assert!(game.look(70, &line("vanished", 0.4)).is_empty());
        assert!(game.look(80, &line("vanished", 1.0))[0].contains("vanished in 100 %"));
        assert!(game.look(90, &line("vanished", 1.0)).is_empty());
        assert!(game.look(90, &line("loss", 0.0)).is_empty());
    }

    #[test]
    fn a_class_that_became_one_sample_is_named_though_classes_differ() {
        let mut game = Collapse::default();
        let mut look = |step, within| {
            let line = BTreeMap::from([("spread".to_owned(), 0.9), ("spread-within".to_owned(), within)]);
            game.look(step, &line)
        };
        // Fresh, then healthy, then low for a while, then healthy again.
        for (step, within) in [0.05, 0.1, 0.1, 0.1, 0.1, 0.1, 0.6, 0.2, 0.2, 0.2, 0.2, 0.35].into_iter().enumerate() {
            assert!(look(step as u64, within).is_empty(), "{step}");
        }
        let said: Vec<String> = (20..30).flat_map(|step| look(step, 0.22)).collect();
        assert!(said.len() == 1 && said[0].starts_with("step 24:") && said[0].contains("vary by 22.0 %"), "{said:?}");
    }

    #[test]
    fn losing_more_than_half_of_the_modes_is_a_collapse() {
        let mut game = Collapse::default();
        for covered in [0, 3, 7, 4, 8] {
            assert_eq!(game.look_at_modes(1, covered, 8), None);
        }
        assert!(game.look_at_modes(9, 3, 8).unwrap().contains("3 of 8 modes"));
        assert_eq!(game.look_at_modes(10, 1, 8), None);
    }
}
