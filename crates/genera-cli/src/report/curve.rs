//! A training curve: the recorded values faintly, their moving average on top.

use super::{
    Curve, number, or,
    plot::{Axes, Scale, Shape, marks},
};
use maud::{Markup, html};

/// At most this many points are drawn of the recorded values (twice: least and greatest of each group), and of the
/// average.
const DRAWN: usize = 400;
/// Shorter curves are drawn as they are.
const SMOOTHED_FROM: usize = 60;
/// So few points are marked as points.
const FEW: usize = 30;

/// The figure of `curve`.
pub fn figure(curve: &Curve) -> Markup {
    let points: Vec<_> = curve.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let missing = curve.points.len() - points.len();
    html! {
        figure.curve {
            @match axes(&points) {
                Some(axes) => (drawing(curve, &points, &axes)),
                None => {
                    figcaption { b { (curve.name) } }
                    p.note { "There is no range of finite values to draw." }
                }
            }
            @if missing > 0 {
                p.note { "Not drawn, for they are not finite: " (number::count(missing as u64)) " values." }
            }
        }
    }
}

fn axes(points: &[(f64, f64)]) -> Option<Axes> {
    let x = Scale::exact(points.iter().map(|point| point.0))?;
    Some(Axes { x, y: Scale::fit(points.iter().map(|point| point.1))? })
}

fn drawing(curve: &Curve, points: &[(f64, f64)], axes: &Axes) -> Markup {
    let smooth = (points.len() >= SMOOTHED_FROM).then_some(points.len() / 40);
    let average = moving_average(points, smooth.unwrap_or(0));
    let last = average.last().map_or(f64::NAN, |point| point.1);
    let first = average.first().map_or(f64::NAN, |point| point.1);
    let logarithmic = matches!(axes.y, Scale::Log { .. });
    let x_label = or(&curve.x_label, "step");
    let description = format!(
        "Line plot of {} against {x_label}: from {} at the start to {} at the end.",
        curve.name,
        number::plain(first),
        number::plain(last),
    );
    let marks = html! {
        @if smooth.is_some() { path.raw d=(marks::line(axes, envelope(points))) {} }
        path.line d=(marks::line(axes, every(&average, DRAWN))) {}
        @if points.len() <= FEW { path.dots d=(marks::dots(axes, points.iter().copied())) {} }
    };
    html! {
        figcaption {
            b { (curve.name) }
            span.last { (number::plain(last)) " at the end" }
        }
        (axes.plot(Shape::Wide, x_label, &description, &marks))
        @if smooth.is_some() || logarithmic {
            p.note {
                @if let Some(half) = smooth {
                    "Line: mean of " (2 * half + 1) " neighbouring values; faint: every value. "
                }
                @if logarithmic { "Logarithmic axis." }
            }
        }
    }
}

/// The mean over the value and `half` neighbours at each side, as far as there are any.
fn moving_average(points: &[(f64, f64)], half: usize) -> Vec<(f64, f64)> {
    let mut sums = vec![0.0];
    sums.extend(points.iter().scan(0.0, |sum, point| {
        *sum += point.1;
        Some(*sum)
    }));
    let mean = |index: usize| {
        let (from, to) = (index.saturating_sub(half), (index + half + 1).min(points.len()));
        if to - from == 1 { points[index].1 } else { (sums[to] - sums[from]) / (to - from) as f64 }
    };
    points.iter().enumerate().map(|(index, point)| (point.0, mean(index))).collect()
}

/// The least and the greatest value of each group of neighbours: what a dense curve looks like from afar.
fn envelope(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= 2 * DRAWN {
        return points.to_vec();
    }
    let group = points.len().div_ceil(DRAWN);
    points
        .chunks(group)
        .flat_map(|chunk| {
            let least = chunk.iter().copied().min_by(|one, two| one.1.total_cmp(&two.1));
            let greatest = chunk.iter().copied().max_by(|one, two| one.1.total_cmp(&two.1));
            least.into_iter().chain(greatest)
        })
        .collect()
}

/// About `count` of the items at even strides, always with the last one.
pub fn every<T: Copy>(items: &[T], count: usize) -> Vec<T> {
    let stride = items.len().div_ceil(count.max(1)).max(1);
    let mut kept: Vec<T> = items.iter().copied().step_by(stride).collect();
    if let Some(last) = items.last().filter(|_| items.len() % stride != 1 && stride > 1) {
        kept.push(*last);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_keeps_lines_straight_and_calms_the_end() {
        let line: Vec<_> = (0..100).map(|i| (f64::from(i), 3.0 * f64::from(i))).collect();
        let average = moving_average(&line, 7);
        for (one, two) in line.iter().zip(&average).skip(7).take(86) {
            assert!((one.1 - two.1).abs() < 1e-9);
        }
        assert!((average[99].1 - 3.0 * 95.5).abs() < 1e-9, "the mean of the last eight");
        assert_eq!(moving_average(&line, 0), line);
        assert_eq!(moving_average(&[], 3), []);
    }

    #[test]
    fn an_envelope_keeps_the_spike() {
        let mut points: Vec<_> = (0..100_000).map(|i| (f64::from(i), 1.0)).collect();
        points[54_321].1 = 9.0;
        let drawn = envelope(&points);
        assert!(drawn.len() <= 2 * DRAWN);
        assert!(drawn.iter().any(|point| point.1 == 9.0));
    }

    #[test]
    fn thinning_keeps_the_last() {
        let items: Vec<usize> = (0..1003).collect();
        let kept = every(&items, 100);
        assert!(kept.len() <= 101 && kept.is_sorted());
        assert_eq!((kept[0], kept.last().copied()), (0, Some(1002)));
        assert_eq!(every(&[1, 2, 3], 100), [1, 2, 3]);
        assert!(every::<u8>(&[], 100).is_empty());
        assert_eq!(every(&[1, 2, 3], 2), [1, 3]);
    }
}
