//! The page: head, title, and one section for each kind of result that the run has.

use super::{
    Facts, Frame, Gallery, Lines, Picture, Report, curve, histogram, lines, number, or, picture, plane, results,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("style.css");
/// Shows values under the pointer. The page is complete without it.
const SCRIPT: &str = include_str!("hover.js");

/// The whole page as one HTML document.
pub fn render(report: &Report) -> String {
    let sections = sections(report);
    let body = html! {
        (header(report))
        @if sections.len() > 1 {
            nav aria-label="Sections" {
                ul { @for section in &sections { li { a href={ "#" (section.id) } { (section.title) } } } }
            }
        }
        main {
            @for section in &sections {
                section id=(section.id) aria-labelledby={ (section.id) "-title" } {
                    h2 id={ (section.id) "-title" } { (section.title) }
                    div.body { (section.body) }
                }
            }
        }
        footer {
            p {
                "Written by " (or(&report.facts.version, "genera"))
                @if !report.facts.date.is_empty() { ", " (report.facts.date) }
                ". This page is one file and loads nothing."
            }
        }
    };
    document(or(&report.title, &report.recipe), &body)
}

/// A page of this style as one HTML document.
pub fn document(title: &str, body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="color-scheme" content="light dark";
                meta name="generator" content="genera";
                title { (title) " – Genera" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (body)
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
    .into_string()
}

/// Nothing may be loaded, sent or run but what is on the page: its styles, its pictures and its one script.
fn policy() -> String {
    let script = BASE64_STANDARD.encode(Sha256::digest(SCRIPT));
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{script}'; \
         base-uri 'none'; form-action 'none'"
    )
}

fn header(report: &Report) -> Markup {
    html! {
        header {
            @if report.recipe != report.title && !report.title.is_empty() { p.recipe { code { (report.recipe) } } }
            h1 dir="auto" { (or(&report.title, &report.recipe)) }
            @if !report.claim.is_empty() { p.claim { (report.claim) } }
            @if !report.paper.is_empty() { p.paper { (cited(&report.paper)) } }
            (results::verdict(&report.scores))
            (facts(&report.facts))
        }
    }
}

fn facts(facts: &Facts) -> Markup {
    let counted = |count: u64| if count > 0 { number::count(count) } else { String::new() };
    let minutes = if facts.minutes > 0.0 { format!("{} min", number::fixed(facts.minutes, 1)) } else { String::new() };
    html! {
        dl.facts {
            (results::fact("Data", &facts.dataset))
            (results::fact("Parameters", &counted(facts.parameters)))
            (results::fact("Steps", &counted(facts.steps)))
            (results::fact("Training time", &minutes))
            (results::fact("Device", &facts.device))
            (results::fact("Threads", &counted(facts.threads as u64)))
            (results::fact("Seed", &facts.seed.to_string()))
            (results::fact("Recipe hash", &facts.recipe_hash))
            (results::fact("Program", &facts.version))
            (results::fact("Date", &facts.date))
        }
    }
}

struct Section {
    id: &'static str,
    title: &'static str,
    body: Markup,
}

/// The sections that have something to show, in the order of a reader's questions: what does it draw, is it any good,
/// is it new, how does it come about, how was it trained, how do I get it myself.
fn sections(report: &Report) -> Vec<Section> {
    let Report {
        samples,
        scores,
        likelihoods,
        bars,
        histograms,
        sweeps,
        costs,
        neighbours,
        trajectory,
        planes,
        curves,
        ..
    } = report;
    let section = |id, title, body| Section { id, title, body };
    let shown = |present: bool, section: Section| present.then_some(section);
    let planes: Vec<Markup> = planes.iter().filter_map(plane::figure).collect();
    let curves: Vec<_> = curves.iter().filter(|curve| !curve.points.is_empty()).collect();
    let charts = html! {
        @for one in bars.iter().filter(|one| !one.bars.is_empty()) { (results::bars(one)) }
        @for one in histograms { (histogram::figure(one)) }
    };
    let charted = !charts.0.is_empty();
    let mut sections: Vec<Section> = [
        shown(!samples.is_empty(), section("samples", "Samples", grids(samples))),
        shown(!planes.is_empty(), section("plane", "In the plane", html! { @for plane in &planes { (plane) } })),
        shown(!scores.is_empty(), section("scores", "Scores", results::scores(scores))),
        shown(!likelihoods.is_empty(), section("likelihood", "Likelihood", results::likelihoods(likelihoods))),
        shown(!sweeps.is_empty(), section("sweeps", "With caution", swept(CAUTION, sweeps))),
        shown(!costs.is_empty(), section("costs", "In few steps", swept(COST, costs))),
        shown(charted, section("charts", "Distributions", html! { div.charts { (charts) } })),
        shown(!neighbours.is_empty(), section("neighbours", "Nearest data", results::neighbours(neighbours))),
        shown(!trajectory.is_empty(), section("trajectory", "From noise", strip(trajectory))),
        shown(
            !curves.is_empty(),
            section("training", "Training", html! { div.curves { @for one in &curves { (curve::figure(one)) } } }),
        ),
        shown(!report.recipe_toml.trim().is_empty(), section("recipe", "Recipe", toml(&report.recipe_toml))),
        shown(!report.commands.is_empty(), section("reproduce", "Reproduce", commands(&report.commands))),
    ]
    .into_iter()
    .flatten()
    .collect();
    // What the model can do comes after what it draws.
    let place = sections.iter().take_while(|section| ["samples", "plane"].contains(&section.id)).count();
    let more = report.galleries.iter().map(|one| section(one.id, one.title, gallery(one)));
    sections.splice(place..place, more.collect::<Vec<_>>());
    sections
}

fn gallery(gallery: &Gallery) -> Markup {
    html! {
        @if !gallery.lead.is_empty() { p.lead { (gallery.lead) } }
        @if !gallery.pictures.is_empty() { (grids(&gallery.pictures)) }
        @if !gallery.charts.is_empty() { div.charts { @for one in &gallery.charts { (lines::figure(one)) } } }
        @if let Some((heads, rows)) = gallery.table.split_first() {
            div.wide tabindex="0" role="group" aria-label=(gallery.title) {
                table.compared.small {
                    thead { tr { @for head in heads { th.number scope="col" { (head) } } } }
                    tbody { @for row in rows { tr { @for cell in row { td.number { (cell) } } } } }
                }
            }
        }
    }
}

const CAUTION: &str = "Drawing with more caution than the model has, towards the left: likelier samples, less variety.";
const COST: &str =
    "Fewer evaluations of the network for each sample, towards the left: faster, and farther from the data.";

fn swept(lead: &str, sweeps: &[Lines]) -> Markup {
    html! {
        p.lead { (lead) }
        div.charts { @for one in sweeps { (lines::figure(one)) } }
    }
}

fn grids(pictures: &[Picture]) -> Markup {
    html! {
        div.grids {
            @for one in pictures {
                figure {
                    (picture::image(&one.png, &format!("Grid of pictures: {}", one.caption), 400))
                    @if !one.caption.is_empty() { figcaption { (one.caption) } }
                }
            }
        }
    }
}

fn strip(frames: &[Frame]) -> Markup {
    html! {
        p.lead { "One sampling run, from pure noise to finished samples." }
        ol.strip tabindex="0" aria-label="Stations of one sampling run" {
            @for frame in frames {
                li {
                    figure {
                        (picture::image(&frame.png, &format!("State of the samples at {}", frame.label), 120))
                        figcaption { (frame.label) }
                    }
                }
            }
        }
    }
}

/// The recipe, its comments and table names set apart.
fn toml(text: &str) -> Markup {
    html! {
        pre tabindex="0" role="group" aria-label="The recipe as TOML" {
            code {
                @for line in text.trim_end().lines() {
                    @match line.trim_start().chars().next() {
                        Some('#') => i { (line) },
                        Some('[') => b { (line) },
                        _ => (line),
                    }
                    "\n"
                }
            }
        }
    }
}

fn commands(commands: &[String]) -> Markup {
    html! {
        p.lead { "The same seed gives the same samples, for any number of threads." }
        @for command in commands { pre.command tabindex="0" { code { (command) } } }
    }
}

/// `text` with its first `arXiv:NNNN.NNNNN` as a link.
fn cited(text: &str) -> Markup {
    let number = text.find("arXiv:").map(|start| {
        let length = text[start + 6..].bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        (start, start + 6 + length)
    });
    html! {
        @match number {
            Some((start, end)) => {
                (text[..start])
                a rel="noreferrer" href={ "https://arxiv.org/abs/" (text[start + 6..end].trim_end_matches('.')) } {
                    (text[start..end])
                }
                (text[end..])
            }
            None => (text),
        }
    }
}
