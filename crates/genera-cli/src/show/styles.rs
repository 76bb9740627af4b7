//! Generators of styles: coarse layers of one and fine ones of another, ways between two, and the way to the mean.

use genera::traits::{Rows, Styles};
use genera_rng::Rng;

use super::{grid, image};
use crate::data::numbers;
use crate::failure::Outcome;
use crate::measure::{Draw, Subject};
use crate::report::{Gallery, Report};

/// Sources of coarse and of fine styles.
const COARSE: usize = 4;
const FINE: usize = 6;
/// Ways between two styles, and the stations of each.
const WAYS: usize = 2;
const STATIONS: usize = 20;
/// What is left of the distance from the mean style, and styles that it is shown of.
const LEFT: [f64; 6] = [0.0, 0.3, 0.5, 0.7, 0.85, 1.0];
const TRUNCATED: usize = 4;

pub fn show(report: &mut Report, subject: &Subject<'_>, draw: &Draw<'_>, rng: &Rng) -> Outcome {
    let (Some(model), Some(_)) = (subject.trainee.view().styles, image(draw)) else { return Ok(()) };
    let mut pictures = Vec::new();
    // The noise of pixels is the same everywhere: what differs comes from styles.
    let drawn = |coarse: Rows, fine: Rows, cut: usize| -> Outcome<Vec<f32>> {
        let one = |i| {
            numbers(model.drawn(
                coarse.clone().narrow(0, i, 1),
                fine.clone().narrow(0, i, 1),
                cut,
                &mut rng.fork("pixels"),
            ))
        };
        (0..coarse.dims()[0]).map(one).collect::<Outcome<Vec<_>>>().map(|rows| rows.concat())
    };
    for cut in cuts(model.layers()) {
        let rows = mixed(model, cut, rng, &drawn)?;
        let caption = format!(
            "The first {cut} of {} layers follow the style of the picture at the left, the others that of the picture above",
            model.layers()
        );
        pictures.extend(grid(draw, rows, 1 + FINE, caption)?);
    }
    let ends = model.styles(2 * WAYS, &mut rng.fork("ends"));
    let ways: Vec<Rows> =
        (0..WAYS).map(|i| way(ends.clone().narrow(0, 2 * i, 1), ends.clone().narrow(0, 2 * i + 1, 1))).collect();
    let ways = Rows::cat(ways, 0);
    let caption = format!("Straight ways between two styles, {STATIONS} stations each");
    pictures.extend(grid(draw, drawn(ways.clone(), ways, 0)?, STATIONS, caption)?);

    let (styles, centre) = (model.styles(TRUNCATED, &mut rng.fork("truncated")), model.centre());
    let towards = |w: Rows| LEFT.map(|left| (w.clone() - centre.clone()) * left + centre.clone());
    let rows: Vec<Rows> = (0..TRUNCATED).flat_map(|i| towards(styles.clone().narrow(0, i, 1))).collect();
    let rows = Rows::cat(rows, 0);
    let left: Vec<String> = LEFT.iter().map(ToString::to_string).collect();
    let caption = format!("Styles drawn towards their mean: ψ = {}", left.join(", "));
    pictures.extend(grid(draw, drawn(rows.clone(), rows, 0)?, LEFT.len(), caption)?);
    report.galleries.push(Gallery { id: "styles", title: "Styles", pictures, ..Gallery::default() });
    Ok(())
}

/// Where styles change: after a quarter of the layers, and after half of them.
fn cuts(layers: usize) -> Vec<usize> {
    let mut cuts = vec![(layers / 4).max(1), layers / 2];
    cuts.dedup();
    cuts
}

/// A corner of nothing and the fine sources above; then lines of a coarse source and what it becomes with each fine one.
fn mixed(
    model: &dyn Styles,
    cut: usize,
    rng: &Rng,
    drawn: &dyn Fn(Rows, Rows, usize) -> Outcome<Vec<f32>>,
) -> Outcome<Vec<f32>> {
    let (coarse, fine) = (model.styles(COARSE, &mut rng.fork("coarse")), model.styles(FINE, &mut rng.fork("fine")));
    let above = drawn(fine.clone(), fine.clone(), 0)?;
    let features = above.len() / FINE;
    let least = above.iter().copied().fold(f32::INFINITY, f32::min);
    let mut rows = [vec![least; features], above].concat();
    for i in 0..COARSE {
        let one = coarse.clone().narrow(0, i, 1);
        rows.extend(drawn(one.clone(), one.clone(), 0)?);
        rows.extend(drawn(one.repeat_dim(0, FINE), fine.clone(), cut)?);
    }
    Ok(rows)
}

/// Stations of the straight line from `a` to `b`, `[1, W]` each: `[STATIONS, W]`.
fn way(a: Rows, b: Rows) -> Rows {
    let at = |i: usize| a.clone() + (b.clone() - a.clone()) * (i as f64 / (STATIONS - 1) as f64);
    Rows::cat((0..STATIONS).map(at).collect(), 0)
}
