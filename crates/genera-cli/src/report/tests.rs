//! The page as a whole: nothing escapes, nothing is missing, nothing breaks on odd data.

use super::*;

/// The beginning of a PNG file of 8 by 8 pixels, as much of it as the page reads.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x08\0\0\0\x08\x08\0\0\0\0";
const HOSTILE: &str =
    r#"</title></style><script>alert(1)</script><img src=x onerror="alert(2)">" onload="alert(3) ' & ]]>"#;

/// A report with something in every field, every text being `text`.
fn full(text: &str) -> Report {
    let text = || text.to_string();
    let points: Vec<[f64; 2]> = (0..200).map(|i| [f64::from(i).sin(), f64::from(i).cos()]).collect();
    Report {
        title: text(),
        recipe: format!("{} again", text()),
        paper: format!("{} arXiv:2006.11239 {}", text(), text()),
        claim: text(),
        recipe_toml: format!("{}\n# {}\n[{}]\n", text(), text(), text()),
        facts: Facts {
            seed: 7,
            recipe_hash: text(),
            dataset: text(),
            device: text(),
            threads: 2,
            steps: 3000,
            minutes: 2.5,
            parameters: 400_000,
            version: text(),
            date: text(),
        },
        samples: vec![Picture { png: PNG.to_vec(), caption: text() }],
        scores: vec![
            Score {
                measure: text(),
                value: 1.0,
                baseline: Some((text(), 2.0)),
                expectation: Some(text()),
                holds: Some(true),
                ..Score::default()
            },
            Score { measure: "frechet@net".into(), value: 3.4, n: Some(1000), holds: Some(false), ..Score::default() },
        ],
        likelihoods: vec![Likelihood {
            split: text(),
            kind: text(),
            negative_log_likelihood: 88.0,
            bits_per_dim: Some(1.9),
            dequantisation: text(),
            more: vec![("Tolerance", text())],
            ..Likelihood::default()
        }],
        bars: vec![Bars {
            title: text(),
            unit: Unit::Share,
            bars: vec![(text(), 0.4), (text(), 0.6)],
            mark: Some((text(), 0.1)),
        }],
        histograms: vec![Histogram { title: text(), x_label: text(), series: vec![(text(), vec![1.0, 2.0, 2.5])] }],
        galleries: vec![Gallery {
            id: "field",
            title: "Receptive field",
            lead: text(),
            pictures: vec![Picture { png: PNG.to_vec(), caption: text() }],
            charts: vec![Lines {
                title: text(),
                x_label: text(),
                note: text(),
                series: vec![(text(), vec![(0.5, 0.9), (1.0, 0.7)])],
                ..Lines::default()
            }],
            table: vec![vec![text(), text()], vec![text(), text()]],
        }],
        sweeps: vec![Lines {
            title: text(),
            x_label: text(),
            note: text(),
            series: vec![(text(), vec![(0.5, 0.9), (1.0, 0.7)]), (text(), vec![(0.5, 0.1), (1.0, 0.8)])],
            ..Lines::default()
        }],
        costs: vec![Lines {
            title: text(),
            x_label: text(),
            note: text(),
            series: vec![(text(), vec![(10.0, 9.0), (100.0, 7.0)])],
            axis: Axis::Decades,
        }],
        neighbours: vec![Neighbour { sample: PNG.to_vec(), neighbour: PNG.to_vec(), distance: 0.5 }],
        trajectory: vec![Frame { png: PNG.to_vec(), label: text() }],
        planes: vec![Plane {
            title: text(),
            data: points.clone(),
            samples: points.clone(),
            densities: vec![Density {
                label: text(),
                x: [-1.0, 1.0],
                y: [-1.0, 1.0],
                columns: 4,
                values: (0..16).map(f64::from).collect(),
            }],
            trajectories: vec![points.clone()],
            ways: vec![Ways { title: "Ways", note: text(), lines: vec![points.clone()], shown: 1 }],
            bent: vec![points],
            judged: Some(Judged {
                surface: Density {
                    label: text(),
                    x: [-1.0, 1.0],
                    y: [-1.0, 1.0],
                    columns: 4,
                    values: (0..16).map(f64::from).collect(),
                },
                arrows: vec![[[0.0, 0.0], [0.1, 0.2]]],
            }),
        }],
        curves: vec![Curve { name: text(), x_label: text(), points: (1..99).map(|i| (i.into(), i.into())).collect() }],
        commands: vec![text()],
    }
}

fn between<'a>(page: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    page.match_indices(open).map(move |(start, _)| {
        let end = page[start..].find(close).expect("closed") + close.len();
        &page[start..start + end]
    })
}

#[test]
fn every_text_is_escaped() {
    let page = render(&full(HOSTILE));
    assert_eq!(page.matches("<script").count(), 1, "only the page's own script");
    assert_eq!(page.matches("<style").count(), 1);
    assert_eq!(page.matches("<title").count(), 1);
    assert!(!page.contains("<img src=x"));
    for tag in between(&page, "<", ">").filter(|tag| !tag.starts_with("<style") && !tag.starts_with("<script")) {
        assert!(!tag.contains(" onload=\"") && !tag.contains(" onerror=\""), "{tag}");
    }
    // Each of the texts is there, escaped.
    let written = "&lt;script&gt;alert(1)&lt;/script&gt;";
    let texts = format!("{:?}", full("MARK")).matches("MARK").count();
    assert!(page.matches(written).count() >= texts, "{} of {texts}", page.matches(written).count());
}

#[test]
fn every_plot_is_well_formed() {
    for text in ["plain", HOSTILE, "юникод ∂ \u{202e} 数", ""] {
        let page = render(&full(text));
        let plots: Vec<_> = between(&page, "<svg", "</svg>").collect();
        assert_eq!(plots.len(), 12, "histogram, three of lines, curve and seven panels");
        for plot in plots {
            let svg = roxmltree::Document::parse(plot).expect("well-formed");
            assert!(svg.root_element().attribute("aria-label").is_some_and(|label| label.len() > 10));
            assert!(svg.descendants().filter(|node| node.has_tag_name("path")).count() >= 2, "grid and marks");
        }
    }
}

#[test]
fn a_section_is_there_exactly_if_it_has_data() {
    let empty = render(&Report::default());
    for tag in ["<section", "<nav", "<table", "<img", "<svg", "<figure", "verdict\""] {
        assert!(!empty.contains(tag), "{tag} in an empty report");
    }
    type Clear = fn(&mut Report);
    let sections: [(&str, Clear); 13] = [
        ("samples", |report| report.samples.clear()),
        ("plane", |report| report.planes.clear()),
        ("field", |report| report.galleries.clear()),
        ("scores", |report| report.scores.clear()),
        ("likelihood", |report| report.likelihoods.clear()),
        ("sweeps", |report| report.sweeps.clear()),
        ("costs", |report| report.costs.clear()),
        ("charts", |report| (report.bars, report.histograms) = (vec![], vec![])),
        ("neighbours", |report| report.neighbours.clear()),
        ("trajectory", |report| report.trajectory.clear()),
        ("training", |report| report.curves.clear()),
        ("recipe", |report| report.recipe_toml.clear()),
        ("reproduce", |report| report.commands.clear()),
    ];
    for (id, clear) in sections {
        let (section, link) = (format!("<section id=\"{id}\""), format!("href=\"#{id}\""));
        let mut report = full("text");
        let page = render(&report);
        assert!(page.contains(&section) && page.contains(&link), "{id} is missing");
        clear(&mut report);
        let page = render(&report);
        assert!(!page.contains(&section) && !page.contains(&link), "{id} is there without data");
        assert_eq!(page.matches("<section").count(), sections.len() - 1);
    }
}

#[test]
fn the_verdict_names_what_was_missed() {
    let mut report = full("text");
    assert!(render(&report).contains("1 of 2 expectations missed: frechet@net."));
    report.scores[1].holds = Some(true);
    assert!(render(&report).contains("All 2 expectations of this recipe hold."));
    report.scores[1].holds = None;
    assert!(render(&report).contains("The one expectation of this recipe holds."));
}

#[test]
fn nothing_is_loaded_and_everything_is_named() {
    let page = render(&full("text"));
    for tag in ["<link", "@import", "url(", "http-equiv=\"refresh\"", "<iframe", "<base"] {
        assert!(!page.contains(tag), "{tag}");
    }
    assert!(
        between(&page, " src=\"", "\" ").all(|source| source.starts_with(" src=\"data:image/png;base64,iVBORw0KGgo"))
    );
    assert_eq!(page.matches("<img").count(), 5);
    for image in between(&page, "<img", ">") {
        assert!(!image.contains("alt=\"\"") && image.contains("alt=\""), "{image}");
        assert!(image.contains("width=\"") && image.contains("height=\""), "{image}");
    }
    assert_eq!(page.matches("<h1").count(), 1);
    assert_eq!(page.matches("<h2").count(), page.matches("<section").count());
    assert!(page.contains(r#"href="https://arxiv.org/abs/2006.11239""#));
}

#[test]
fn pixels_are_enlarged_by_whole_numbers() {
    let page = render(&Report { samples: full("").samples, ..Report::default() });
    assert!(page.contains(r#"width="400" height="400""#));
    for broken in [&b""[..], &PNG[..20], b"GIF89a..................."] {
        let samples = vec![Picture { png: broken.to_vec(), caption: String::new() }];
        let page = render(&Report { samples, ..Report::default() });
        assert!(page.contains("not a PNG file") && !page.contains("<img"));
    }
}

#[test]
fn odd_numbers_leave_no_trace_in_the_drawing() {
    let odd =
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 0.0, -0.0, 1.0, -1e-300];
    let sets = odd.iter().flat_map(|a| odd.iter().map(move |b| vec![*a, *b])).chain([vec![], odd.to_vec()]);
    for values in sets {
        let pairs: Vec<[f64; 2]> = values.iter().zip(values.iter().rev()).map(|(x, y)| [*x, *y]).collect();
        let first = values.first().copied().unwrap_or(f64::NAN);
        for columns in [0, 1, 2, 7] {
            let mut report = full("text");
            report.facts.minutes = first;
            report.scores[0].value = first;
            report.scores[0].standard_error = values.last().copied();
            report.likelihoods[0].bits_per_dim = Some(first);
            report.bars[0].bars = values.iter().map(|value| ("bar".to_string(), *value)).collect();
            report.bars[0].mark = Some(("mark".to_string(), first));
            report.histograms[0].series = vec![("values".to_string(), values.clone()), ("none".to_string(), vec![])];
            report.neighbours[0].distance = first;
            report.curves[0].points = pairs.iter().map(|[x, y]| (*x, *y)).collect();
            report.sweeps[0].series[0].1 = report.curves[0].points.clone();
            let ends = [first, values.last().copied().unwrap_or(f64::NAN)];
            let density = Density { label: String::new(), x: ends, y: ends, columns, values: values.clone() };
            let (data, trajectories) = (pairs.clone(), vec![pairs.clone(), vec![]]);
            let ways = vec![Ways { lines: trajectories.clone(), shown: 2, ..Ways::default() }];
            report.planes[0] = Plane {
                title: String::new(),
                data: data.clone(),
                samples: data,
                judged: Some(Judged {
                    surface: density.clone(),
                    arrows: pairs.windows(2).map(|pair| [pair[0], pair[1]]).collect(),
                }),
                densities: vec![density],
                ways,
                bent: trajectories.clone(),
                trajectories,
            };
            let page = render(&report);
            for path in between(&page, " d=\"", "\">").chain(between(&page, " style=\"", "\">")) {
                assert!(!path.contains("NaN") && !path.contains("inf"), "{values:?}: {path}");
            }
        }
    }
}

#[test]
fn a_long_run_gives_a_small_page() {
    let mut report = full("text");
    let cloud: Vec<[f64; 2]> = (0..100_000).map(|i| [f64::from(i).sin(), (1.3 * f64::from(i)).cos()]).collect();
    report.curves[0].points = (0..1_000_000).map(|i| (f64::from(i), 2.0 + f64::from(i).sin())).collect();
    report.planes[0].densities = vec![Density {
        label: String::new(),
        x: [-1.0, 1.0],
        y: [-1.0, 1.0],
        columns: 500,
        values: (0..250_000).map(|i| f64::from(i).sin()).collect(),
    }];
    report.planes[0].trajectories = cloud.chunks(100).map(<[_]>::to_vec).collect();
    (report.planes[0].samples, report.planes[0].data) = (cloud.clone(), cloud);
    let page = render(&report);
    assert!(page.len() < 700_000, "{} bytes", page.len());
}

/// Relative luminance and contrast of the Web Content Accessibility Guidelines 2.2.
#[test]
fn text_stands_out_from_what_it_is_on() {
    let luminance = |colour: &str| -> f64 {
        let digits = colour.trim_start_matches('#');
        let width = digits.len() / 3;
        let channel = |index: usize| {
            let text = digits[index * width..(index + 1) * width].repeat(3 - width);
            let share = f64::from(u8::from_str_radix(&text, 16).expect("a colour")) / 255.0;
            if share <= 0.040_45 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(0) + 0.7152 * channel(1) + 0.0722 * channel(2)
    };
    let style = include_str!("style.css");
    let palettes: Vec<&str> = between(style, ":root {", "}").collect();
    assert_eq!(palettes.len(), 3, "light, dark and print");
    for palette in palettes {
        let colour = |name: &str| {
            let start = palette.find(&format!("--{name}: ")).expect("the colour is defined") + name.len() + 4;
            luminance(palette[start..].split(';').next().expect("a value"))
        };
        for (text, ground) in [
            ("ink", "paper"),
            ("ink", "wash"),
            ("soft", "paper"),
            ("soft", "wash"),
            ("first", "paper"),
            ("second", "paper"),
            ("third", "paper"),
            ("holds", "holds-wash"),
            ("fails", "fails-wash"),
        ] {
            let (one, two) = (colour(text), colour(ground));
            let contrast = (one.max(two) + 0.05) / (one.min(two) + 0.05);
            assert!(contrast >= 4.5, "{text} on {ground}: {contrast:.2}");
        }
    }
}
