//! Latent numbers in pictures: reconstructions, ways between two codes, and what each number does.

use genera_metrics::Path;
use genera_rng::Rng;

use super::{grid, held_out, image};
use crate::coding::{Coding, stations};
use crate::data::{numbers, tensor};
use crate::failure::Outcome;
use crate::measure::{Draw, Subject, diagnostics};
use crate::report::{Gallery, Histogram, Report};

/// Rows that are reconstructed; pairs that are joined; stations of a way, its ends included.
const ROWS: usize = 10;
const PAIRS: usize = 3;
const STATIONS: usize = 9;
/// Latent numbers that are shown one by one; how far each goes, in deviations of the prior; rows that say which do most.
const TRAVERSED: usize = 6;
const REACH: f64 = 3.0;
const LOOKED_AT: usize = 256;
/// Latent numbers whose distribution is shown.
const SHOWN: usize = 3;
/// Side of a grid over two latent numbers.
const SIDE: usize = 13;

pub fn show(report: &mut Report, subject: &Subject<'_>, draw: &Draw<'_>) -> Outcome {
    if image(draw).is_none() {
        return Ok(());
    }
    let view = subject.trainee.view();
    let mut pictures = Vec::new();
    if let Some(model) = view.reconstruct {
        let x = held_out(subject, ROWS)?;
        let columns = x.dims()[0];
        let rows = [numbers(x.clone())?, numbers(model.reconstruction(x))?].concat();
        pictures.extend(grid(draw, rows, columns, "Held-out rows, and what their codes give back".to_owned())?);
    }
    let on_device = |z: Vec<f32>, width: usize| tensor(z, width, subject.device);
    // A diffusion's codes cost hundreds of evaluations: `genera interpolate` shows them.
    if let Some(coding) = Coding::of_view(&view) {
        let codes = coding.encode(held_out(subject, 2 * PAIRS)?, &[]);
        let width = codes.dims()[1];
        let codes: Vec<f64> = numbers(codes)?.into_iter().map(f64::from).collect();
        let ways: Vec<f32> =
            codes.chunks_exact(2 * width).flat_map(|pair| ways(&pair[..width], &pair[width..])).collect();
        let x = coding.decode(on_device(ways, width), &[]);
        let caption = "Between the codes of two held-out rows: along the straight line, and below it along the sphere";
        pictures.extend(grid(draw, numbers(x)?, STATIONS, caption.to_owned())?);
    }
    if let Some(codec) = view.codec {
        let codes = codec.encode(held_out(subject, LOOKED_AT)?);
        let width = codes.dims()[1];
        let (z, columns, caption) = match width {
            2 => (plane(), SIDE, "A grid over both latent numbers, from −3 to 3".to_owned()),
            _ => {
                let codes = numbers(codes)?;
                let most = liveliest(&codes, width);
                let names: Vec<String> = most.iter().map(ToString::to_string).collect();
                let z = traversals(&codes[..width], &most);
                let caption = format!(
                    "The code of one held-out row with one latent number a line moved from −3 to 3: the numbers {}, which \
                     differ most among held-out rows",
                    names.join(", ")
                );
                (z, STATIONS, caption)
            }
        };
        pictures.extend(grid(draw, numbers(codec.decode(on_device(z, width)))?, columns, caption)?);
    }
    if !pictures.is_empty() {
        report.galleries.push(Gallery { id: "latents", title: "Latents", pictures, ..Gallery::default() });
    }
    Ok(())
}

/// Draws of the aggregated posterior beside draws of the prior, of the latents that differ most among rows.
pub fn aggregate(report: &mut Report, subject: &Subject<'_>, rng: &Rng) -> Outcome {
    let Some(found) = diagnostics(subject, &mut rng.fork("aggregate"))? else { return Ok(()) };
    let width = found.spread.len().max(1);
    let mut order: Vec<usize> = (0..found.spread.len()).collect();
    order.sort_by(|a, b| found.spread[*b].total_cmp(&found.spread[*a]));
    for latent in order.into_iter().take(SHOWN) {
        let column = |draws: &[f64]| draws.iter().skip(latent).step_by(width).copied().collect();
        report.histograms.push(Histogram {
            title: format!("Latent number {latent}: the posteriors of held-out rows together, and the prior"),
            x_label: format!("z{latent}"),
            series: vec![
                ("aggregated posterior".to_owned(), column(&found.aggregate)),
                ("prior".to_owned(), column(&found.prior)),
            ],
        });
    }
    Ok(())
}

/// Stations of the straight line from `a` to `b`, then of the arc whose radius goes from one's to the other's.
fn ways(a: &[f64], b: &[f64]) -> Vec<f32> {
    [Path::Lerp, Path::Slerp].map(|path| stations(path, a, b, STATIONS)).concat()
}

/// From −3 to 3.
fn reach(i: usize, count: usize) -> f32 {
    (REACH * (2.0 * i as f64 / (count - 1) as f64 - 1.0)) as f32
}

/// A grid over the plane, from its upper left.
fn plane() -> Vec<f32> {
    (0..SIDE).flat_map(|row| (0..SIDE).flat_map(move |column| [reach(column, SIDE), -reach(row, SIDE)])).collect()
}

/// The latent numbers with the largest variances, the largest first.
fn liveliest(codes: &[f32], width: usize) -> Vec<usize> {
    let n = (codes.len() / width) as f64;
    let variance = |j: usize| {
        let column = || codes.iter().skip(j).step_by(width).map(|z| f64::from(*z));
        let mean = column().sum::<f64>() / n;
        column().map(|z| (z - mean).powi(2)).sum::<f64>() / n
    };
    let variances: Vec<f64> = (0..width).map(variance).collect();
    let mut order: Vec<usize> = (0..width).collect();
    order.sort_by(|a, b| variances[*b].total_cmp(&variances[*a]));
    order.truncate(TRAVERSED);
    order
}

/// `code` again and again, one number of it moved.
fn traversals(code: &[f32], which: &[usize]) -> Vec<f32> {
    let moved = |j: usize, i: usize| {
        let mut z = code.to_vec();
        z[j] = reach(i, STATIONS);
        z
    };
    which.iter().flat_map(|j| (0..STATIONS).flat_map(move |i| moved(*j, i))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_liveliest_are_moved() {
        let codes = [0.0, 5.0, 1.0, 0.0, -5.0, 2.0];
        assert_eq!(liveliest(&codes, 3), [1, 2, 0]);
        let z = traversals(&codes[..3], &[1]);
        assert_eq!((z.len(), &z[..3], &z[z.len() - 3..]), (27, &[0.0, -3.0, 1.0][..], &[0.0, 3.0, 1.0][..]));
        assert_eq!(plane()[..2], [-3.0, 3.0]);
    }
}
