//! What samples cost: how often each of them asks the network.

use std::cell::Cell;

use genera::diffusion::{Level, Sampler};
use genera::traits::{Denoise, Rows};
use genera_rng::Rng;

use super::{Draw, Way};
use crate::export::Drawn;
use crate::failure::Outcome;

/// Something that removes noise, and how many rows it was asked about.
struct Counted<'a> {
    denoise: Box<dyn Denoise + 'a>,
    rows: &'a Cell<usize>,
}

impl Counted<'_> {
    fn count(&self, rows: usize) {
        self.rows.set(self.rows.get() + rows);
    }
}

impl Denoise for Counted<'_> {
    fn denoise(&self, x: Rows, levels: &[Level]) -> Rows {
        self.count(levels.len());
        self.denoise.denoise(x, levels)
    }

    fn denoise_with_variance(&self, x: Rows, levels: &[Level]) -> (Rows, Option<Rows>) {
        self.count(levels.len());
        self.denoise.denoise_with_variance(x, levels)
    }

    fn denoise_some(&self, samples: &[usize], x: Rows, levels: &[Level]) -> Rows {
        self.count(samples.len());
        self.denoise.denoise_some(samples, x, levels)
    }
}

/// `n` rows drawn by another sampler, if there is one, and, of a chain, the mean number of evaluations of the network for
/// each: guidance asks twice, the classifier of noisy rows is not counted.
pub fn counted(draw: &Draw<'_>, sampler: Option<Sampler>, n: usize, rng: &Rng) -> Outcome<(Drawn, Option<f64>)> {
    let Way::Chain { denoise, levels, sampler: own } = &draw.way else { return Ok((draw.rows(n, rng)?, None)) };
    let rows = Cell::new(0);
    let way = Way::Chain {
        denoise: Box::new(|labels| Box::new(Counted { denoise: denoise(labels), rows: &rows })),
        levels: levels.clone(),
        sampler: sampler.unwrap_or_else(|| own.clone()),
    };
    let drawn = draw.by(way).rows(n, rng)?;
    Ok((drawn, Some(rows.get() as f64 / n as f64)))
}
