//! `genera report RUN`: everything that a run knows about itself, on one page.

use std::collections::BTreeMap;
use std::path::Path;

use genera_data::Dataset;
use genera_metrics::{Points, nearest};
use genera_rng::Rng;

use super::{Context, Loaded};
use crate::args::Report as Args;
use crate::collapse::Collapse;
use crate::data::{numbers, tensor};
use crate::export::{Drawn, Picture};
use crate::failure::{Failure, Outcome};
use crate::family::Family;
use crate::measure::{Draw, Subject};
use crate::report::{
    Axis, Bars, Curve, Density, Facts, Frame, Gallery, Histogram, Likelihood, Lines, Neighbour, Picture as Shown,
    Plane, Report, Score as Line, Unit, number, render,
};
use crate::run::{RunDir, STEPS, Score, Scores, Sweep, SweepPoint, write_atomically};
use crate::show;

/// Samples in the grid, samples shown beside their neighbours, stations of a trajectory, points and paths in the plane.
const GRID: usize = 64;
const NEIGHBOURS: usize = 12;
const STATIONS: usize = 7;
const POINTS: usize = 2000;
const PATHS: usize = 40;
/// Cells of the density's grid, a side, where a cell costs one evaluation of a network and where it costs a hundred;
/// and how many are computed together.
const CELLS: usize = 80;
const FEW_CELLS: usize = 40;
const TOGETHER: usize = 800;
/// Previews of the time of training.
const PREVIEWS: usize = 6;

pub fn run(context: &Context, args: &Args) -> Outcome {
    let loaded = Loaded::open(&args.run, context)?;
    let scores = loaded.run.scores()?;
    let out = args.out.clone().unwrap_or_else(|| loaded.run.report_path());
    write(&loaded.run, &loaded.subject(context), scores.as_ref(), context, &out)?;
    if context.console.json {
        return context.console.json(&serde_json::json!({ "report": out }));
    }
    context.console.say(out.display())
}

/// Writes the page of `subject` to `out`.
pub fn write(run: &RunDir, subject: &Subject<'_>, scores: Option<&Scores>, context: &Context, out: &Path) -> Outcome {
    let recipe = run.recipe();
    let log = run.log()?;
    let minutes = log.last().map_or(0.0, |line| line.seconds / 60.0);
    let mut report = Report {
        title: recipe.title.clone(),
        recipe: recipe.name.clone(),
        paper: recipe.paper.clone().unwrap_or_default(),
        claim: claim(subject),
        recipe_toml: recipe.to_toml()?,
        facts: Facts {
            seed: recipe.seed,
            recipe_hash: run.recipe_sha256().to_owned(),
            dataset: dataset(subject),
            device: context.device_name.to_string(),
            threads: rayon::current_num_threads(),
            steps: subject.step,
            minutes,
            parameters: subject.trainee.parameters() as u64,
            version: format!("genera {}", env!("CARGO_PKG_VERSION")),
            date: String::new(),
        },
        curves: curves(&log),
        commands: vec![
            format!("genera train {} --seed {} --out {}", recipe.name, recipe.seed, run.path().display()),
            format!("genera eval {} --check", run.path().display()),
            format!("genera sample {} -n 64 --out samples.png", run.path().display()),
        ],
        ..Report::default()
    };
    if let Some(scores) = scores {
        tell_scores(&mut report, scores);
    }
    if let Some(draw) = Draw::of_recipe(subject)? {
        match show_samples(&mut report, subject, &draw) {
            Err(Failure::Failed(message)) => context.console.warn(format!("no samples in the report: {message}")),
            shown => shown?,
        }
        show::all(&mut report, subject, &draw, &Rng::new(0).fork("report"))?;
    }
    report.galleries.extend(previews(run)?);
    report.galleries.extend(collapse(&log));
    write_atomically(out, render(&report).as_bytes())
}

fn claim(subject: &Subject<'_>) -> String {
    let expected: Vec<String> =
        subject.recipe.expect.iter().map(|expect| format!("{} {}", expect.measure, expect.bound())).collect();
    if expected.is_empty() { String::new() } else { format!("It must reach: {}.", expected.join("; ")) }
}

fn dataset(subject: &Subject<'_>) -> String {
    let (train, held_out) = (subject.data.train(), subject.data.held_out());
    format!("{}, {} rows to learn from, {} held out", subject.recipe.data.name, train.len(), held_out.len())
}

/// Samples of the same noise in the course of training, at even distances.
fn previews(run: &RunDir) -> Outcome<Option<Gallery>> {
    let saved = run.previews()?;
    // One picture is no course.
    let Some(last) = saved.len().checked_sub(1).filter(|last| *last > 0) else { return Ok(None) };
    let shown = PREVIEWS.min(saved.len());
    let mut pictures = Vec::new();
    for i in 0..shown {
        let (step, path) = &saved[i * last / (shown - 1)];
        let png = std::fs::read(path).map_err(Failure::file(path))?;
        pictures.push(Shown { png, caption: format!("After step {step}") });
    }
    let lead = "The same noise, as training goes on.".to_owned();
    Ok(Some(Gallery { id: "previews", title: "Samples over time", lead, pictures, ..Gallery::default() }))
}

/// What the log says of a game that failed.
fn collapse(log: &[crate::run::LogLine]) -> Option<Gallery> {
    let mut game = Collapse::default();
    let said: Vec<String> = log.iter().flat_map(|line| game.look(line.step, &line.scalars)).collect();
    let lead = format!("At {}.", said.join(". At "));
    (!said.is_empty()).then(|| Gallery { id: "collapse", title: "Collapse", lead, ..Gallery::default() })
}

fn curves(log: &[crate::run::LogLine]) -> Vec<Curve> {
    let mut series: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for line in log {
        for (name, value) in &line.scalars {
            series.entry(name).or_default().push((line.step as f64, *value));
        }
    }
    let mut curves: Vec<Curve> = series
        .into_iter()
        .map(|(name, points)| Curve { name: name.to_owned(), x_label: "step".to_owned(), points })
        .collect();
    curves.sort_by_key(|curve| curve.name != "loss");
    curves
}

fn tell_scores(report: &mut Report, scores: &Scores) {
    let (costs, cautions): (Vec<&Sweep>, Vec<&Sweep>) =
        scores.sweeps.iter().partition(|sweep| sweep.kind.starts_with(STEPS));
    report.sweeps = cautions.into_iter().map(lines).collect();
    report.costs = distances(&costs).into_iter().chain(costs.into_iter().map(lines)).collect();
    for score in &scores.measures {
        let verdict = scores.verdicts.iter().find(|verdict| verdict.measure == score.measure);
        let number = |key: &str| score.record.get(key).and_then(serde_json::Value::as_f64);
        if score.measure == "nats@held-out" {
            let value = serde_json::Value::Object(score.record.clone());
            let text = |pointer: &str| {
                value.pointer(pointer).and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
            };
            let bits = scores.measures.iter().find(|other| other.measure == "bits-per-dimension@held-out");
            report.likelihoods.push(Likelihood {
                split: "held out".to_owned(),
                kind: score.kind().unwrap_or_default(),
                negative_log_likelihood: -score.value,
                standard_error: number("standard_error").unwrap_or(0.0),
                bits_per_dim: bits.map(|bits| bits.value),
                dequantisation: text("/protocol/dequantisation/name"),
                more: along_the_flow(&value),
                n: number("n").unwrap_or(0.0) as u64,
                seed: scores.seed,
            });
            continue;
        }
        if score.measure == "modes@samples" {
            report.galleries.extend(modes(score));
        }
        if score.measure.starts_with("rarest-class@") {
            let fractions =
                score.record.get("samples").and_then(|samples| samples.get("fractions")).and_then(|f| f.as_array());
            let bars =
                fractions.into_iter().flatten().enumerate().filter_map(|(k, f)| Some((k.to_string(), f.as_f64()?)));
            let bars: Vec<(String, f64)> = bars.collect();
            let even = 1.0 / bars.len().max(1) as f64;
            report.bars.push(Bars {
                title: "Share of each class among the samples".to_owned(),
                unit: Unit::Share,
                bars,
                mark: Some(("even shares".to_owned(), even)),
            });
        }
        report.scores.push(Line {
            measure: score.measure.clone(),
            value: score.value,
            n: number("n").map(|n| n as u64),
            standard_error: number("standard_error"),
            baseline: score.baseline.as_ref().map(|baseline| (baseline.of.clone(), baseline.value)),
            expectation: verdict.map(|verdict| verdict.expected.clone()),
            holds: verdict.map(|verdict| verdict.met),
        });
    }
}

/// How the likelihood of a probability flow was computed.
fn along_the_flow(record: &serde_json::Value) -> Vec<(&'static str, String)> {
    let number = |pointer: &str| record.pointer(pointer).and_then(serde_json::Value::as_f64);
    let Some(tolerance) = number("/protocol/kind/tolerance") else { return Vec::new() };
    let divergence = match (number("/protocol/kind/probes"), number("/probe_standard_error")) {
        (None, _) => "exact".to_owned(),
        (Some(probes), None) => format!("{probes} probes"),
        (Some(probes), Some(error)) => format!("{probes} probes, by which the mean is ± {}", number::plain(error)),
    };
    let evaluations = number("/evaluations").map(|n| ("Evaluations a point", number::fixed(n, 0)));
    [("Tolerance", format!("{tolerance:e}")), ("Divergence", divergence)].into_iter().chain(evaluations).collect()
}

/// Every mode of a known mixture with its share of the samples.
fn modes(score: &Score) -> Option<Gallery> {
    let numbers = |key: &str| -> Option<Vec<f64>> {
        score.record.get(key)?.as_array()?.iter().map(serde_json::Value::as_f64).collect()
    };
    let (shares, weights) = (numbers("shares")?, numbers("weights")?);
    let centres: Vec<&serde_json::Value> = score.record.get("centres")?.as_array()?.iter().collect();
    let mut table = vec![["mode", "where", "should be", "is"].map(str::to_owned).to_vec()];
    for (k, ((share, weight), centre)) in shares.iter().zip(&weights).zip(centres).enumerate() {
        let place: Vec<String> =
            centre.as_array()?.iter().filter_map(|x| Some(number::fixed(x.as_f64()?, 2))).collect();
        let per_cent = |share: f64| format!("{} %", number::fixed(100.0 * share, 1));
        table.push(vec![k.to_string(), format!("({})", place.join(", ")), per_cent(*weight), per_cent(*share)]);
    }
    let lead = "The share of all samples within three standard deviations of each mode.".to_owned();
    Some(Gallery { id: "modes", title: "Modes", lead, table, ..Gallery::default() })
}

/// The Fréchet distance against what a sample costs, one figure for each that looks, one line a solver.
fn distances(sweeps: &[&Sweep]) -> Vec<Lines> {
    let mut figures: Vec<Lines> = Vec::new();
    for sweep in sweeps {
        let points = sweep.points.iter().map(|point| (cost(point), point.frechet)).collect();
        let series = (sweep.kind.trim_start_matches(STEPS).to_owned(), points);
        let title = format!("Fréchet distance by {}", sweep.by);
        match figures.iter_mut().find(|figure| figure.title == title) {
            Some(figure) => figure.series.push(series),
            None => figures.push(Lines {
                title,
                x_label: EVALUATIONS.to_owned(),
                note: format!("{} samples at each value.", sweep.n),
                series: vec![series],
                axis: Axis::Decades,
            }),
        }
    }
    figures
}

const EVALUATIONS: &str = "evaluations of the network, each sample";

/// What a sample of a sweep over steps costs.
fn cost(point: &SweepPoint) -> f64 {
    point.evaluations.unwrap_or(point.at)
}

fn lines(sweep: &Sweep) -> Lines {
    let steps = sweep.kind.starts_with(STEPS);
    let of = |name: &str, value: fn(&SweepPoint) -> Option<f64>| {
        let at = |point: &SweepPoint| if steps { cost(point) } else { point.at };
        let points = sweep.points.iter().filter_map(|point| Some((at(point), value(point)?)));
        (name.to_owned(), points.collect::<Vec<(f64, f64)>>())
    };
    let series = [
        of("precision", |point| Some(point.precision)),
        of("recall", |point| Some(point.recall)),
        of("coverage", |point| Some(point.coverage)),
        of("class accuracy", |point| point.accuracy),
    ];
    let series = series.into_iter().filter(|(_, points)| !points.is_empty()).collect();
    let x_label = match sweep.kind.as_str() {
        "truncation" => "largest absolute value of the noise".to_owned(),
        "guidance" => "scale of guidance".to_owned(),
        "truncation of styles" => "ψ: how far styles stay from their mean".to_owned(),
        _ if steps => EVALUATIONS.to_owned(),
        kind => kind.to_owned(),
    };
    let best = sweep.points.iter().min_by(|a, b| a.frechet.total_cmp(&b.frechet));
    let best = best.map(|best| format!("; the Fréchet distance is least, {:.3}, at {}", best.frechet, best.at));
    let mut title = sweep.kind.clone();
    title.get_mut(..1).into_iter().for_each(str::make_ascii_uppercase);
    let note = format!("{} samples at each value, by {}{}.", sweep.n, sweep.by, best.unwrap_or_default());
    Lines { title, x_label, note, series, axis: if steps { Axis::Decades } else { Axis::Even } }
}

fn show_samples(report: &mut Report, subject: &Subject<'_>, draw: &Draw<'_>) -> Outcome {
    let rng = Rng::new(0).fork("report");
    if draw.shape == [2] {
        return show_plane(report, subject, draw, &rng);
    }
    if draw.shape == [1] {
        return show_line(report, subject, draw, &rng);
    }
    let drawn = draw.rows(GRID, &rng)?;
    if let Some(grid) = drawn.overview() {
        let caption = format!("{GRID} samples, not chosen: seed 0 of `genera report`");
        report.samples.push(Shown { png: grid.to_png(&Vec::new())?, caption });
    }
    report.neighbours = neighbours(subject, &drawn)?;
    for (time, station) in draw.trajectory(4, STATIONS, &rng)? {
        let tiles = (0..station.n).map(|index| station.picture(index)).collect::<Option<Vec<Picture>>>();
        if let Some(column) = tiles.and_then(|tiles| Picture::grid_of(&tiles, 1)) {
            let label = if time < 0.0 { "data".to_owned() } else { format!("t = {time:.0}") };
            report.trajectory.push(Frame { png: column.to_png(&Vec::new())?, label });
        }
    }
    Ok(())
}

/// Samples beside the training images nearest to them: does the model recite?
fn neighbours(subject: &Subject<'_>, drawn: &Drawn) -> Outcome<Vec<Neighbour>> {
    let data = subject.data;
    let train = data.first_rows(data.train(), usize::MAX)?;
    let features = data.train().features();
    let n = NEIGHBOURS.min(drawn.n);
    let samples = Points::new(&drawn.rows[..n * features], n, features)?;
    let real = Points::new(&train, train.len() / features, features)?;
    let found = nearest(&samples, &real, 1)?;
    let training = Drawn { n: real.n(), rows: train.clone(), labels: None, ..drawn.clone() };
    let mut shown = Vec::new();
    for index in 0..n {
        let (at, distance) = (found.indices[index], found.distances[index]);
        if let (Some(sample), Some(neighbour)) = (drawn.picture(index), training.picture(at)) {
            let none = Vec::new();
            shown.push(Neighbour { sample: sample.to_png(&none)?, neighbour: neighbour.to_png(&none)?, distance });
        }
    }
    Ok(shown)
}

fn show_line(report: &mut Report, subject: &Subject<'_>, draw: &Draw<'_>, rng: &Rng) -> Outcome {
    let Dataset::Table(table) = subject.data.held_out() else { return Ok(()) };
    let values = |rows: &[f32]| rows.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
    report.histograms.push(Histogram {
        title: "Held-out points and samples".to_owned(),
        x_label: "x".to_owned(),
        series: vec![
            ("held out".to_owned(), values(table.values())),
            ("samples".to_owned(), values(&draw.rows(POINTS, rng)?.rows)),
        ],
    });
    Ok(())
}

fn show_plane(report: &mut Report, subject: &Subject<'_>, draw: &Draw<'_>, rng: &Rng) -> Outcome {
    let pairs =
        |rows: &[f32]| rows.chunks_exact(2).map(|point| [f64::from(point[0]), f64::from(point[1])]).collect::<Vec<_>>();
    let Dataset::Table(table) = subject.data.held_out() else { return Ok(()) };
    let data = pairs(table.values());
    let drawn = draw.rows(POINTS, rng)?;
    let stations = draw.trajectory(PATHS, 20, rng)?;
    let trajectories = (0..if stations.is_empty() { 0 } else { PATHS })
        .map(|path| {
            stations.iter().map(|(_, rows)| [f64::from(rows.row(path)[0]), f64::from(rows.row(path)[1])]).collect()
        })
        .collect();
    report.planes.push(Plane {
        title: "Held-out points and samples".to_owned(),
        densities: densities(subject, &data)?,
        data,
        samples: pairs(&drawn.rows),
        trajectories,
        ways: Vec::new(),
        bent: Vec::new(),
        judged: None,
    });
    Ok(())
}

/// The true density and the model's, where they are known, over the range of the points.
fn densities(subject: &Subject<'_>, points: &[[f64; 2]]) -> Outcome<Vec<Density>> {
    let range = |axis: usize| {
        let [low, high] = points.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], point| {
            [low.min(point[axis]), high.max(point[axis])]
        });
        let margin = 0.1 * (high - low);
        [low - margin, high + margin]
    };
    let (x, y) = (range(0), range(1));
    let centres = |side: usize| {
        let centre = move |[low, high]: [f64; 2], cell: usize| low + (high - low) * (cell as f64 + 0.5) / side as f64;
        (0..side).flat_map(move |row| (0..side).map(move |column| [centre(x, column), centre(y, row)]))
    };
    let on_grid = |label: String, columns: usize, values: Vec<f64>| Density { label, x, y, columns, values };
    let mut densities = Vec::new();
    if let Some(toy) = subject.data.toy() {
        let truth = toy.density();
        let values = centres(CELLS).map(|point| truth.log_density(point).exp()).collect();
        densities.push(on_grid(format!("the true density of {}", toy.name()), CELLS, values));
    }
    if let Some(model) = subject.trainee.view().density {
        let along_a_flow = matches!(subject.recipe.model, Family::Diffusion(_) | Family::ContinuousFlow(_));
        let side = if along_a_flow { FEW_CELLS } else { CELLS };
        let rows: Vec<f32> = centres(side).flatten().map(|value| value as f32).collect();
        let mut values = Vec::with_capacity(side * side);
        for chunk in rows.chunks(2 * TOGETHER) {
            let log_p = numbers(model.log_prob(tensor(chunk.to_vec(), 2, subject.device)).unsqueeze_dim(1))?;
            values.extend(log_p.into_iter().map(|log_p| f64::from(log_p).exp()));
        }
        densities.push(on_grid("the model's density".to_owned(), side, values));
    }
    Ok(densities)
}
