//! Histograms, several over each other in one plot.

use super::{
    Histogram, number, or,
    plot::{Axes, Scale, Shape, marks},
};
use maud::{Markup, html};

/// The figure of `histogram`, or nothing if it has no finite value.
pub fn figure(histogram: &Histogram) -> Markup {
    let series: Vec<(&str, Vec<f64>)> = histogram
        .series
        .iter()
        .map(|(name, values)| (name.as_str(), values.iter().copied().filter(|value| value.is_finite()).collect()))
        .filter(|(_, values): &(_, Vec<f64>)| !values.is_empty())
        .collect();
    let Some(x) = Scale::exact(series.iter().flat_map(|(_, values)| values.iter().copied())) else {
        return html! {};
    };
    let fewest = series.iter().map(|(_, values)| values.len()).min().unwrap_or(0);
    let bins = ((2.0 * (fewest as f64).cbrt()).ceil() as usize).clamp(6, 40);
    let heights: Vec<Vec<f64>> = series.iter().map(|(_, values)| shares(x, bins, values)).collect();
    let tallest = heights.iter().flatten().copied().fold(0.0, f64::max);
    let axes = Axes { x, y: Scale::Linear { low: 0.0, high: 1.08 * tallest } };

    let (low, high) = x.ends();
    let edges: Vec<f64> = (0..=bins).map(|bin| low + (high - low) * bin as f64 / bins as f64).collect();
    let marks = html! {
        @for (index, heights) in heights.iter().enumerate() {
            path.steps.(colour(index)) d=(marks::steps(&axes, &edges, heights)) {}
        }
    };
    let means: Vec<String> =
        series.iter().map(|(name, values)| format!("{name} {}", number::plain(mean(values)))).collect();
    let description =
        format!("Histogram of {}. Means: {}.", or(&histogram.x_label, &histogram.title), means.join(", "));
    html! {
        figure.histogram {
            figcaption { b { (histogram.title) } }
            (axes.plot(Shape::Wide, &histogram.x_label, &description, &marks))
            p.legend {
                @for (index, (name, values)) in series.iter().enumerate() {
                    span.key.(colour(index)) { (name) " (mean " (number::plain(mean(values))) ")" }
                }
            }
        }
    }
}

/// The share of `values` in each of the bins between the ends of the axis.
fn shares(x: Scale, bins: usize, values: &[f64]) -> Vec<f64> {
    let mut shares = vec![0.0; bins];
    for value in values {
        shares[((x.at(*value) * bins as f64) as usize).min(bins - 1)] += 1.0 / values.len() as f64;
    }
    shares
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The style of the series at `index`; those after the third look like the third.
fn colour(index: usize) -> &'static str {
    ["first", "second", "third"][index.min(2)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_to_one_and_both_ends_count() {
        let x = Scale::Linear { low: 0.0, high: 1.0 };
        assert_eq!(shares(x, 4, &[0.0, 0.3, 0.3, 1.0]), [0.25, 0.5, 0.0, 0.25]);
    }
}
