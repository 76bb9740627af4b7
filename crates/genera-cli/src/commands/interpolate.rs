//! `genera interpolate`: ways between the codes of two held-out rows, decoded, for every model that has codes.

use std::path::{Path as FilePath, PathBuf};

use genera_metrics::Path;
use genera_rng::Rng;
use serde_json::json;

use super::{Context, Loaded};
use crate::args::Interpolate;
use crate::coding::{Coding, stations};
use crate::data::{numbers, tensor};
use crate::export::{self, Drawn, Picture};
use crate::failure::{Failure, Outcome};
use crate::measure::Draw;
use crate::run::write_atomically;

pub fn run(context: &Context, args: &Interpolate) -> Outcome {
    let loaded = Loaded::open(&args.run, context)?;
    let subject = loaded.subject(context);
    let (recipe, data, console) = (loaded.run.recipe(), &loaded.data, context.console);
    let (name, count) = (&recipe.name, usize::from(args.stations));
    let Some(draw) = Draw::of_recipe(&subject)? else {
        return Err(Failure::new(format!("{name} is a model that nothing is drawn from")));
    };
    let view = subject.trainee.view();
    if !(args.tolerance > 0.0 && args.tolerance < 1.0) {
        return Err(Failure::Usage(format!("--tolerance {}: it must be between 0 and 1", args.tolerance)));
    }
    let Some(coding) = Coding::of(&view, &recipe.model, &draw, args.tolerance) else {
        return Err(Failure::new(format!(
            "{name} turns no row into a code; interpolate is for autoencoders, flows and diffusions"
        )));
    };
    let out = args.out.clone().unwrap_or_else(|| default_name(&draw));
    export::check(&out, &draw.drawn(Vec::new(), None))?;

    let rows = data.first_rows(data.held_out(), 2 * args.n as usize)?;
    let features: usize = data.shape().iter().product();
    let pairs = rows.len() / features / 2;
    if pairs == 0 {
        return Err(Failure::new("the data have not two held-out rows"));
    }
    let rows = &rows[..2 * pairs * features];
    // Each end is told its own class, and each station that of the nearer end.
    let ends: Vec<usize> = (0..2 * pairs).collect();
    let told = || data.told(data.held_out(), &ends, &mut Rng::new(0).fork("captions"));
    let labels = if recipe.model.is_conditional() { told() } else { None }.unwrap_or_default();
    let along: Vec<usize> = labels
        .chunks_exact(2)
        .flat_map(|pair| (0..count).map(|i| if 2 * i < count { pair[0] } else { pair[1] }))
        .collect();
    console.note(format!("device {}, {} threads", context.device_name, rayon::current_num_threads()));

    let codes = coding.encode(tensor(rows.to_vec(), features, &context.device), &labels);
    let width = codes.dims()[1];
    let codes: Vec<f64> = numbers(codes)?.into_iter().map(f64::from).collect();
    let path = if args.straight { Path::Lerp } else { Path::Slerp };
    let way = |pair: &[f64]| stations(path, &pair[..width], &pair[width..], count);
    let ways: Vec<f32> = codes.chunks_exact(2 * width).flat_map(way).collect();
    let found = numbers(coding.decode(tensor(ways, width, &context.device), &along))?;
    if found.iter().any(|value| !value.is_finite()) {
        return Err(Failure::new(format!(
            "a way of {name} is not finite: the model maps these rows out of reach, or a larger --tolerance is needed"
        )));
    }
    let stride = count * features;
    let apart = |end: usize| {
        let at = end / 2 * stride + end % 2 * (stride - features);
        let pairs = found[at..at + features].iter().zip(&rows[end * features..]);
        pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
    };
    let rms = ((0..2 * pairs).map(apart).sum::<f64>() / rows.len() as f64).sqrt();
    write(&out, &draw.drawn(rows.to_vec(), None), &draw.drawn(found, None), count)?;
    if console.json {
        return console.json(&json!({ "out": out, "pairs": pairs, "stations": count, "rms-of-ends": rms }));
    }
    console.note(format!("root mean square between the ends of the ways and the rows that they are of: {rms:.3}"));
    console.say(out.display())
}

fn default_name(draw: &Draw<'_>) -> PathBuf {
    let png = PathBuf::from("interpolated.png");
    if export::check(&png, &draw.drawn(Vec::new(), None)).is_ok() { png } else { png.with_extension("npy") }
}

/// Of a PNG, a line a pair: one row, the way, the other row; of what is no picture, and of other formats, the ways alone.
fn write(out: &FilePath, ends: &Drawn, ways: &Drawn, count: usize) -> Outcome {
    let line = |pair: usize| {
        let way = (pair * count..(pair + 1) * count).map(|station| ways.picture(station));
        std::iter::once(ends.picture(2 * pair)).chain(way).chain([ends.picture(2 * pair + 1)])
    };
    let tiles: Option<Vec<Picture>> = (0..ends.n / 2).flat_map(line).collect();
    let grid = tiles.and_then(|tiles| Picture::grid_of(&tiles, count + 2));
    match grid.filter(|_| out.extension().is_some_and(|extension| extension == "png")) {
        None => export::write(out, ways, &Vec::new()),
        Some(grid) => {
            if let Some(parent) = out.parent() {
                std::fs::create_dir_all(parent).map_err(Failure::file(parent))?;
            }
            write_atomically(out, &grid.to_png(&Vec::new())?)
        }
    }
}
