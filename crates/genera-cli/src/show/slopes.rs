//! How steep a critic is between the data and the samples, and what it says along the line beside what would be best.

use genera::gan::Objective;
use genera_rng::Rng;

use super::held_out;
use crate::data::{numbers, tensor};
use crate::failure::Outcome;
use crate::family::Family;
use crate::measure::{Draw, Subject};
use crate::report::{Gallery, Histogram, Lines, Report};

/// Pairs of a held-out row and a sample.
const PAIRS: usize = 1000;
/// Places along the line, and points of either kind that the best critic is computed from.
const PLACES: usize = 121;
const POINTS: usize = 4000;
/// Neighbouring places whose points are counted together for the share of data.
const SMOOTH: usize = 2;

pub fn show(report: &mut Report, subject: &Subject<'_>, draw: &Draw<'_>, rng: &Rng) -> Outcome {
    let Family::Adversarial(spec) = &subject.recipe.model else { return Ok(()) };
    let features = draw.shape.iter().product();
    let real = numbers(held_out(subject, if features == 1 { POINTS } else { PAIRS })?)?;
    // That samples are no numbers is said where they are shown.
    let Ok(fake) = draw.rows(real.len() / features, &rng.fork("slopes")) else { return Ok(()) };
    let fake = fake.rows;
    let pairs = PAIRS.min(real.len() / features);
    let shares = rng.fork("places").uniform(pairs, 1);
    let between: Vec<f32> =
        (0..pairs * features).map(|i| real[i] + shares[i / features] * (fake[i] - real[i])).collect();
    let Some((_, slope)) = subject.trainee.offers().judged(tensor(between, features, subject.device)) else {
        return Ok(());
    };
    let norms = numbers(slope)?.chunks_exact(features).map(norm).collect();
    report.histograms.push(Histogram {
        title: "How steep the critic is between a held-out row and a sample".to_owned(),
        x_label: "‖∇f(x)‖".to_owned(),
        series: vec![("norm of the slope".to_owned(), norms)],
    });
    if features == 1 {
        along_the_line(report, subject, &spec.game.objective, [&real, &fake])?;
    }
    Ok(())
}

fn norm(slope: &[f32]) -> f64 {
    slope.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

/// The critic along the line beside the best one for these points of data and of the generator.
fn along_the_line(report: &mut Report, subject: &Subject<'_>, objective: &Objective, points: [&[f32]; 2]) -> Outcome {
    let sorted = |points: &[f32]| {
        let mut sorted: Vec<f64> = points.iter().map(|x| f64::from(*x)).collect();
        sorted.sort_by(f64::total_cmp);
        sorted
    };
    let (real, fake) = (sorted(points[0]), sorted(points[1]));
    let ends = |points: &[f64]| Some((*points.first()?, *points.last()?));
    let (Some(a), Some(b)) = (ends(&real), ends(&fake)) else { return Ok(()) };
    let (low, high) = (a.0.min(b.0), a.1.max(b.1));
    let places: Vec<f64> = (0..PLACES).map(|i| low + (high - low) * i as f64 / (PLACES - 1) as f64).collect();
    let asked = tensor(places.iter().map(|x| *x as f32).collect(), 1, subject.device);
    let Some((score, _)) = subject.trainee.offers().judged(asked) else { return Ok(()) };
    let score: Vec<f64> = numbers(score)?.into_iter().map(f64::from).collect();
    let on = |values: Vec<f64>| places.iter().copied().zip(values).collect::<Vec<_>>();
    let (title, series) = match objective {
        Objective::Saturating { .. } | Objective::NonSaturating { .. } => (
            "The discriminator along the line",
            vec![
                ("D(x)".to_owned(), on(score.iter().map(|f| 1.0 / (1.0 + (-f).exp())).collect())),
                ("the share of data among data and samples".to_owned(), share_of_data(&places, &real, &fake)),
            ],
        ),
        Objective::Wasserstein => {
            let best = potential(&places, &real, &fake);
            let middle = score.iter().sum::<f64>() / score.len() as f64;
            (
                "The critic along the line",
                vec![
                    ("f(x), its mean taken off".to_owned(), on(score.iter().map(|f| f - middle).collect())),
                    ("the best function of slope one".to_owned(), on(best)),
                ],
            )
        }
        _ => ("The critic along the line", vec![("f(x)".to_owned(), on(score))]),
    };
    let charts = vec![Lines { title: title.to_owned(), x_label: "x".to_owned(), series, ..Lines::default() }];
    report.galleries.push(Gallery { id: "line", title: "Along the line", charts, ..Gallery::default() });
    Ok(())
}

/// How many of the `sorted` points lie below `x`.
fn below(sorted: &[f64], x: f64) -> usize {
    sorted.partition_point(|point| *point < x)
}

/// pi / (pi + p) from counts around each place; nothing where neither has a point.
fn share_of_data(places: &[f64], real: &[f64], fake: &[f64]) -> Vec<(f64, f64)> {
    let width = SMOOTH as f64 * (places[1] - places[0]);
    let density =
        |points: &[f64], x: f64| (below(points, x + width) - below(points, x - width)) as f64 / points.len() as f64;
    let at = |x: &f64| {
        let (pi, p) = (density(real, *x), density(fake, *x));
        (pi + p > 0.0).then(|| (*x, pi / (pi + p)))
    };
    places.iter().filter_map(at).collect()
}

/// Kantorovich's potential on the line: its slope is the sign of the difference of both distribution functions, so that it
/// rises where the data are still to come. Its mean is zero.
fn potential(places: &[f64], real: &[f64], fake: &[f64]) -> Vec<f64> {
    let function = |points: &[f64], x: f64| below(points, x) as f64 / points.len() as f64;
    let mut value = 0.0;
    let mut values = vec![value];
    for pair in places.windows(2) {
        let middle = 0.5 * (pair[0] + pair[1]);
        let difference = function(fake, middle) - function(real, middle);
        value += if difference == 0.0 { 0.0 } else { difference.signum() * (pair[1] - pair[0]) };
        values.push(value);
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.into_iter().map(|value| value - mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Vec<f64> {
        (0..=40).map(|i| f64::from(i) * 0.1).collect()
    }

    #[test]
    fn the_potential_of_two_points_is_the_distance_apart() {
        // Samples at 1, data at 3: the potential rises by their distance, with slope one, and is flat elsewhere.
        let values = potential(&places(), &[3.0], &[1.0]);
        assert!((values[30] - values[10] - 2.0).abs() < 1e-9);
        assert!((values[10] - values[0]).abs() < 1e-9 && (values[40] - values[30]).abs() < 1e-9);
        assert!(values.iter().sum::<f64>().abs() < 1e-9);
        let back = potential(&places(), &[1.0], &[3.0]);
        assert!((back[10] - back[30] - 2.0).abs() < 1e-9);
    }

    #[test]
    fn shares_are_of_what_is_near() {
        let shares = share_of_data(&places(), &[1.0, 1.05, 3.0, 3.05], &[2.95, 3.0, 3.05, 3.1]);
        let at = |x: f64| shares.iter().find(|(place, _)| (place - x).abs() < 1e-9).map(|(_, share)| *share);
        assert_eq!((at(1.0), at(2.0)), (Some(1.0), None));
        assert!((at(3.0).unwrap() - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn norms_are_of_whole_slopes() {
        assert_eq!(norm(&[3.0, -4.0]), 5.0);
    }
}
