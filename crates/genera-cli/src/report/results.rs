//! What was measured: scores against expectations, likelihoods, bars, and nearest training points.

use super::{Bars, Likelihood, Neighbour, Score, Unit, meaning, number, picture};
use maud::{Markup, html};

/// Does every stated expectation hold? Nothing if none is stated.
pub fn verdict(scores: &[Score]) -> Markup {
    let judged = scores.iter().filter(|score| score.holds.is_some()).count();
    let failed: Vec<&str> =
        scores.iter().filter(|score| score.holds == Some(false)).map(|score| score.measure.as_str()).collect();
    html! {
        @match (judged, failed.len()) {
            (0, _) => {},
            (1, 0) => p.verdict.holds { (sign(true)) "The one expectation of this recipe holds." },
            (_, 0) => p.verdict.holds { (sign(true)) "All " (judged) " expectations of this recipe hold." },
            (_, count) => p.verdict.fails {
                (sign(false)) (count) " of " (judged) @if judged == 1 { " expectation" } @else { " expectations" }
                " missed: " (failed.join(", ")) "."
            },
        }
    }
}

/// The table of scores. Roles are spelt out because a narrow screen shows the rows as blocks, which would hide them.
pub fn scores(scores: &[Score]) -> Markup {
    html! {
        table.scores role="table" {
            thead role="rowgroup" {
                tr role="row" {
                    th scope="col" role="columnheader" { "Measure" }
                    th.number scope="col" role="columnheader" { "Value" }
                    th.number scope="col" role="columnheader" { "Points" }
                    th scope="col" role="columnheader" { "Expected" }
                    th scope="col" role="columnheader" { "Verdict" }
                }
            }
            tbody role="rowgroup" { @for score in scores { (row(score)) } }
        }
    }
}

fn row(score: &Score) -> Markup {
    html! {
        tr.fails[score.holds == Some(false)] role="row" {
            th scope="row" role="rowheader" {
                code { (score.measure) }
                @if let Some(meaning) = meaning::of(&score.measure) { p.note { (meaning) } }
            }
            td.number role="cell" data-label="Value" {
                div {
                    b { (number::measured(score.value, score.standard_error)) }
                    @if let Some((of, value)) = &score.baseline { p.note { (of) ": " (number::plain(*value)) } }
                }
            }
            td.number.none[score.n.is_none()] role="cell" data-label="Points" {
                @if let Some(n) = score.n { (number::count(n)) } @else { "–" }
            }
            td.none[score.expectation.is_none()] role="cell" data-label="Expected" { (score.expectation.as_deref().unwrap_or("–")) }
            td role="cell" data-label="Verdict" {
                @match score.holds {
                    Some(true) => span.chip.holds { (sign(true)) "holds" },
                    Some(false) => span.chip.fails { (sign(false)) "missed" },
                    None => span.note { "not judged" },
                }
            }
        }
    }
}

fn sign(holds: bool) -> Markup {
    html! { span.sign aria-hidden="true" { @if holds { "✓" } @else { "✗" } } }
}

/// The table of likelihoods, each with its kind: numbers of different kinds are not to be compared.
pub fn likelihoods(likelihoods: &[Likelihood]) -> Markup {
    html! {
        @for likelihood in likelihoods {
            div.likelihood {
                p.figure {
                    b { (number::measured(likelihood.negative_log_likelihood, Some(likelihood.standard_error))) } " nats per point"
                    @if let Some(bits) = likelihood.bits_per_dim { span { (number::fixed(bits, 3)) " bits per dimension" } }
                }
                dl.facts {
                    (fact("Kind", &likelihood.kind))
                    (fact("Set", &likelihood.split))
                    (fact("Points", &number::count(likelihood.n)))
                    (fact("Dequantisation", &likelihood.dequantisation))
                    @for (name, value) in &likelihood.more { (fact(name, value)) }
                    (fact("Seed", &likelihood.seed.to_string()))
                }
            }
        }
        p.note {
            "Mean of −log p(x), or a bound on it, ± its standard error. Lower is better. \
             Only likelihoods of one kind, on one set with one dequantisation, can be compared."
        }
    }
}

/// One entry of a list of facts, or nothing if `value` is empty.
pub fn fact(name: &str, value: &str) -> Markup {
    html! { @if !value.is_empty() { div { dt { (name) } dd { (value) } } } }
}

/// Bars as a table: the numbers are there for those who cannot see the lengths.
pub fn bars(bars: &Bars) -> Markup {
    let mark = bars.mark.as_ref().map_or(0.0, |mark| mark.1);
    let longest = bars.bars.iter().map(|bar| bar.1).chain([mark]).filter(|value| value.is_finite()).fold(0.0, f64::max);
    let length = |value: f64| if longest > 0.0 && value > 0.0 { (100.0 * value / longest).min(100.0) } else { 0.0 };
    let written = |value: f64| match bars.unit {
        Unit::Plain => number::plain(value),
        Unit::Share => number::percent(value),
    };
    html! {
        figure.chart {
            figcaption { b { (bars.title) } }
            table.bars style=[bars.mark.as_ref().map(|mark| format!("--mark:{:.2}%", length(mark.1)))] {
                tbody {
                    @for (label, value) in &bars.bars {
                        tr {
                            th scope="row" { (label) }
                            td { div.bar { span style=(format!("width:{:.2}%", length(*value))) {} } }
                            td.number { (written(*value)) }
                        }
                    }
                }
            }
            @if let Some((label, value)) = &bars.mark { p.legend { span.key.mark { (label) " " (written(*value)) } } }
        }
    }
}

/// Samples, each beside the training point nearest to it.
pub fn neighbours(pairs: &[Neighbour]) -> Markup {
    html! {
        p.lead { "Each sample (left) beside the training point nearest to it (right), and their distance." }
        div.pairs {
            @for (index, pair) in pairs.iter().enumerate() {
                figure {
                    div.pair {
                        (picture::image(&pair.sample, &format!("Sample {}", index + 1), 80))
                        (picture::image(&pair.neighbour, &format!("Training point nearest to sample {}", index + 1), 80))
                    }
                    figcaption.number { (number::plain(pair.distance)) }
                }
            }
        }
    }
}
