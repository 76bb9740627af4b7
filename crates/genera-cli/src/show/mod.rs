//! What a model can do beside drawing, as parts of its report: one file a capability.

mod bijection;
mod captions;
mod chains;
mod elements;
mod evolution;
mod game;
mod latents;
mod slopes;
mod styles;
mod ways;

use genera::traits::Rows;
use genera_rng::Rng;

use crate::data::tensor;
use crate::export::{Drawn, Picture};
use crate::failure::Outcome;
use crate::measure::{Draw, Subject};
use crate::report::{Picture as Shown, Report};

/// Everything that fits the model.
pub fn all(report: &mut Report, subject: &Subject<'_>, draw: &Draw<'_>, rng: &Rng) -> Outcome {
    ways::show(report, draw, rng)?;
    latents::show(report, subject, draw)?;
    latents::aggregate(report, subject, rng)?;
    styles::show(report, subject, draw, rng)?;
    game::show(report, subject)?;
    evolution::show(report, subject, rng)?;
    chains::show(report, subject, rng)?;
    slopes::show(report, subject, draw, rng)?;
    elements::show(report, subject, draw, rng)?;
    captions::show(report, subject, draw, rng)?;
    bijection::show(report, subject)
}

/// The first held-out rows, at most `n`: `[n, F]`.
fn held_out(subject: &Subject<'_>, n: usize) -> Outcome<Rows> {
    let data = subject.data;
    Ok(tensor(data.first_rows(data.held_out(), n)?, data.held_out().features(), subject.device))
}

/// Rows in the model's numbers as pictures in a grid of `columns`; none of what is no picture.
fn grid(draw: &Draw<'_>, rows: Vec<f32>, columns: usize, caption: String) -> Outcome<Option<Shown>> {
    let drawn: Drawn = draw.drawn(rows, None);
    let tiles: Option<Vec<Picture>> = (0..drawn.n).map(|index| drawn.picture(index)).collect();
    let Some(picture) = tiles.and_then(|tiles| Picture::grid_of(&tiles, columns)) else { return Ok(None) };
    Ok(Some(Shown { png: picture.to_png(&Vec::new())?, caption }))
}

/// Whether a row is a picture, and its `[C, H, W]`.
fn image(draw: &Draw<'_>) -> Option<[usize; 3]> {
    match draw.shape[..] {
        [channels @ (1 | 3), height, width] => Some([channels, height, width]),
        _ => None,
    }
}
