//! How a density flows from the start of Langevin dynamics towards rest: the equation of Kolmogorov, Fokker and Planck on
//! a grid, beside the chains themselves.

use genera::mcmc::{Start, Walk};
use genera::sde::fokker_planck::Grid;
use genera_rng::Rng;

use crate::data::numbers;
use crate::export::Picture;
use crate::failure::Outcome;
use crate::family::{Adjust, Family};
use crate::measure::Subject;
use crate::report::{Gallery, Lines, Picture as Shown, Report};

/// Cells a side, and chains that are counted in them.
const CELLS: usize = 48;
const CHAINS: usize = 4000;
/// Pixels a side of a cell.
const ENLARGED: usize = 3;
/// The parts of the way at which both are looked at.
const SHARES: [f64; 4] = [1.0 / 64.0, 1.0 / 16.0, 0.25, 1.0];
/// More steps of the grid than this take longer than the rest of a report.
const STEPS: f64 = 20_000.0;
/// A normal start reaches so many deviations far.
const REACH: f64 = 4.0;

pub fn show(report: &mut Report, subject: &Subject<'_>, rng: &Rng) -> Outcome {
    let (Family::Langevin(spec), Some(toy)) = (&subject.recipe.model, subject.data.toy()) else { return Ok(()) };
    let Some(walk) = subject.trainee.offers().chains().filter(|_| spec.adjust == Adjust::None) else { return Ok(()) };
    let (density, steps) = (toy.density(), spec.langevin.steps);
    let drift = |x: [f64; 2]| density.score(x).map(|s| 0.5 * s);
    let bounds = bounds(toy.bounds(), &spec.start);
    let rest = Grid::of(bounds, [CELLS; 2], |x| density.log_density(x).exp());
    let start = Grid::of(bounds, [CELLS; 2], |x| begun(&spec.start, x));
    let time = |step: usize| spec.langevin.step * step as f64;
    // A density with edges has no drift everywhere, and a long way takes too many steps.
    let (Ok(rest), Ok(start)) = (rest, start) else { return Ok(()) };
    if !start.steps(&drift, 1.0, time(steps)).is_ok_and(|n| n <= STEPS) {
        return Ok(());
    }
    let stations: Vec<usize> = SHARES.iter().map(|share| ((steps as f64 * share) as usize).max(1)).collect();
    let clouds = clouds(walk, &stations, &mut rng.fork("evolution"))?;

    let mut now = (0, start);
    let (mut above, mut below) = (Vec::new(), Vec::new());
    let (mut of_grid, mut of_chains) = (Vec::new(), Vec::new());
    for (station, cloud) in stations.iter().zip(&clouds) {
        let Ok(grid) = now.1.evolved(&drift, 1.0, time(*station) - time(now.0)) else { return Ok(()) };
        of_grid.push((time(*station), grid.mean(|x| x[0])));
        of_chains.push((time(*station), cloud.iter().map(|x| x[0]).sum::<f64>() / cloud.len() as f64));
        above.push(shaded(&grid.density));
        below.push(shaded(&counted(&grid, cloud)));
        now = (*station, grid);
    }
    above.push(shaded(&rest.density));
    let fresh: Vec<[f64; 2]> = toy.sample(CHAINS, &mut rng.fork("fresh")).values().chunks_exact(2).map(pair).collect();
    below.push(shaded(&counted(&rest, &fresh)));
    let columns = above.len();
    let times: Vec<String> = stations.iter().map(|station| format!("{}", time(*station))).collect();
    let caption = format!(
        "Above the density at the times {} by finite volumes, and the one that rests; below {CHAINS} chains and draws of the \
         density",
        times.join(", ")
    );
    above.append(&mut below);
    let Some(picture) = Picture::grid_of(&above, columns) else { return Ok(()) };
    let resting = rest.mean(|x| x[0]);
    let last = time(steps);
    let chart = Lines {
        title: "The mean of the first coordinate".to_owned(),
        x_label: "time".to_owned(),
        note: "Chains and equation agree; whether they are at rest is another question.".to_owned(),
        series: vec![
            ("finite volumes".to_owned(), of_grid),
            ("chains".to_owned(), of_chains),
            ("at rest".to_owned(), vec![(time(stations[0]), resting), (last, resting)]),
        ],
        ..Lines::default()
    };
    report.galleries.push(Gallery {
        id: "evolution",
        title: "How the density flows",
        pictures: vec![Shown { png: picture.to_png(&Vec::new())?, caption }],
        charts: vec![chart],
        ..Gallery::default()
    });
    Ok(())
}

fn pair(x: &[f32]) -> [f64; 2] {
    [f64::from(x[0]), f64::from(x[1])]
}

/// A box around the density and the start.
fn bounds(density: [[f64; 2]; 2], start: &Start) -> [[f64; 2]; 2] {
    let [low, high] = match *start {
        Start::Uniform { low, high } => [low, high],
        Start::Normal { deviation } => [-REACH * deviation, REACH * deviation],
    };
    density.map(|[from, to]| [from.min(low), to.max(high)])
}

/// The density of a start at `x`, up to a constant. A start in one point has none.
fn begun(start: &Start, x: [f64; 2]) -> f64 {
    match *start {
        Start::Uniform { low, high } => f64::from(u8::from(x.iter().all(|x| (low..high).contains(x)))),
        Start::Normal { deviation } => (-x.iter().map(|x| (x / deviation).powi(2)).sum::<f64>() / 2.0).exp(),
    }
}

/// Where chains are after each of `stations` steps.
fn clouds(walk: &dyn Walk, stations: &[usize], rng: &mut Rng) -> Outcome<Vec<Vec<[f64; 2]>>> {
    let mut seen = Vec::new();
    walk.walk(CHAINS, rng, &mut |step, x| {
        if stations.contains(&(step + 1)) {
            seen.push((step + 1, x.clone()));
        }
    });
    let at = |station: &usize| -> Outcome<Vec<[f64; 2]>> {
        let found = seen.iter().find(|(step, _)| step == station).map(|(_, x)| numbers(x.clone())).transpose()?;
        Ok(found.unwrap_or_default().chunks_exact(2).map(pair).collect())
    };
    stations.iter().map(at).collect()
}

/// How many points lie in each cell of a grid.
fn counted(grid: &Grid<2>, points: &[[f64; 2]]) -> Vec<f64> {
    let mut counts = vec![0.0; grid.density.len()];
    let sides = grid.sides();
    for point in points {
        let at = |axis: usize| ((point[axis] - grid.bounds[axis][0]) / sides[axis]).floor();
        let (i, j) = (at(0), at(1));
        if (0.0..grid.cells[0] as f64).contains(&i) && (0.0..grid.cells[1] as f64).contains(&j) {
            counts[i as usize * grid.cells[1] + j as usize] += 1.0;
        }
    }
    counts
}

/// Cells as shades, the first axis to the right, the second upwards; roots, so that what is thin is seen.
fn shaded(cells: &[f64]) -> Picture {
    let most = cells.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let side = CELLS * ENLARGED;
    let mut picture = Picture::blank(side, side, 1, 0);
    for (at, pixel) in picture.pixels.iter_mut().enumerate() {
        let (right, down) = (at % side / ENLARGED, at / side / ENLARGED);
        *pixel = (255.0 * (cells[right * CELLS + CELLS - 1 - down] / most).max(0.0).sqrt()) as u8;
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_counted_where_they_are_seen() {
        let grid = Grid::of([[0.0, 48.0], [-24.0, 24.0]], [CELLS; 2], |_| 1.0).unwrap();
        // The lower right corner, twice, and a point outside.
        let counts = counted(&grid, &[[47.5, -23.5], [47.2, -23.9], [50.0, 0.0]]);
        assert_eq!(counts.iter().sum::<f64>(), 2.0);
        let picture = shaded(&counts);
        let (side, first) = (picture.width, picture.pixels.iter().position(|shade| *shade > 0));
        assert_eq!(first, Some((side - ENLARGED) * side + side - ENLARGED));
    }

    #[test]
    fn a_start_has_its_density_and_fits_the_box() {
        let square = Start::Uniform { low: -2.0, high: 3.0 };
        assert_eq!((begun(&square, [0.0, 2.9]), begun(&square, [0.0, 3.1])), (1.0, 0.0));
        assert_eq!(bounds([[-1.0, 4.0], [-5.0, 1.0]], &square), [[-2.0, 4.0], [-5.0, 3.0]]);
        let normal = Start::Normal { deviation: 2.0 };
        assert!((begun(&normal, [2.0, 0.0]) / begun(&normal, [0.0, 0.0]) - (-0.5_f64).exp()).abs() < 1e-12);
    }
}
