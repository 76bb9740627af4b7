//! Models of one element after another: how they go on, and what they look at.

use genera_rng::Rng;

use super::{grid, held_out, image};
use crate::data::{numbers, tensor};
use crate::export::Picture;
use crate::failure::Outcome;
use crate::measure::{Draw, Subject};
use crate::report::{Gallery, Picture as Shown, Report};

/// Rows that are completed, and how often each.
const ROWS: usize = 4;
const TIMES: usize = 5;
/// Rows that a gradient is averaged over.
const LOOKED_AT: usize = 32;
/// A gradient below this is rounding.
const NOTHING: f64 = 1e-8;
/// Pixels of the picture of a field for each of a row, at least.
const SCALE: usize = 6;

pub fn show(report: &mut Report, subject: &Subject<'_>, draw: &Draw<'_>, rng: &Rng) -> Outcome {
    let (Some(model), Some(shape)) = (subject.trainee.view().elements, image(draw)) else { return Ok(()) };
    let [channels, height, width] = shape;
    let plane = height * width;
    let known: Vec<bool> = (0..channels * plane).map(|element| element % plane / width < height / 2).collect();
    let x = numbers(held_out(subject, ROWS)?)?;
    let least = x.iter().copied().fold(f32::INFINITY, f32::min);
    let features = channels * plane;
    let again: Vec<f32> = x.chunks_exact(features).flat_map(|row| row.repeat(TIMES)).collect();
    let drawn = model.completed(tensor(again, features, subject.device), &known, &mut rng.fork("completions"));
    if let Some(drawn) = drawn {
        let drawn = numbers(drawn)?;
        let mut rows = Vec::new();
        for (row, drawn) in x.chunks_exact(features).zip(drawn.chunks_exact(features * TIMES)) {
            rows.extend_from_slice(row);
            rows.extend(row.iter().zip(&known).map(|(value, known)| if *known { *value } else { least }));
            rows.extend_from_slice(drawn);
        }
        let caption = "A held-out row, the upper half that the model is given, and how it goes on".to_owned();
        let pictures: Vec<Shown> = grid(draw, rows, 2 + TIMES, caption)?.into_iter().collect();
        report.galleries.push(Gallery { id: "completions", title: "Completions", pictures, ..Gallery::default() });
    }
    let element = height / 2 * width + width / 2;
    let field = model.field_of(held_out(subject, LOOKED_AT)?, element);
    // A pixel is looked at through any of its channels.
    let field: Vec<f64> =
        (0..plane).map(|at| (0..channels).map(|channel| field[channel * plane + at]).fold(0.0, f64::max)).collect();
    if field.iter().all(|value| *value <= NOTHING) {
        return Ok(());
    }
    let reached = field.iter().filter(|value| **value > NOTHING).count();
    let most = field.iter().copied().fold(0.0, f64::max);
    let caption = format!(
        "What the pixel in the middle (red) looks at, {reached} pixels: every pixel with a gradient, and how strong it is"
    );
    let which = |of: &dyn Fn(f64) -> f64| -> Vec<u8> { field.iter().map(|value| (255.0 * of(*value)) as u8).collect() };
    let pair = [which(&|value| if value > NOTHING { 1.0 } else { 0.0 }), which(&|value| (value / most).sqrt())];
    let tiles: Vec<Picture> = pair.iter().map(|shades| marked(shades, width, height, element)).collect();
    if let Some(picture) = Picture::grid_of(&tiles, 2) {
        let pictures = vec![Shown { png: picture.to_png(&Vec::new())?, caption }];
        report.galleries.push(Gallery { id: "field", title: "Receptive field", pictures, ..Gallery::default() });
    }
    Ok(())
}

/// Shades of grey, enlarged, with one pixel in red.
fn marked(shades: &[u8], width: usize, height: usize, at: usize) -> Picture {
    let mut picture = Picture::blank(width * SCALE, height * SCALE, 3, 0);
    for y in 0..height * SCALE {
        for x in 0..width * SCALE {
            let from = y / SCALE * width + x / SCALE;
            let colour = if from == at { [220, 40, 40] } else { [shades[from]; 3] };
            picture.pixels[3 * (y * width * SCALE + x)..][..3].copy_from_slice(&colour);
        }
    }
    picture
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_pixel_is_red() {
        let picture = super::marked(&[0, 100, 200, 255], 2, 2, 3);
        let at = |x: usize, y: usize| picture.pixels[3 * (y * picture.width + x)..][..3].to_vec();
        assert_eq!(
            (at(0, 0), at(7, 0), at(0, 11), at(11, 11)),
            (vec![0; 3], vec![100; 3], vec![200; 3], vec![220, 40, 40])
        );
    }
}
