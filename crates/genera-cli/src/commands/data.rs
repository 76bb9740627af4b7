//! `genera data`: what there is to learn from, what it looks like, and where to get it.

use std::path::{Path, PathBuf};

use genera_data::{Dataset, Public, Request, Toy, View, data_folders, describe, fetch_inception, inception_weights};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::args::{Data, DataAction};
use crate::console::{Console, table};
use crate::export::{Drawn, Picture};
use crate::failure::{Failure, Outcome};
use crate::recipe::nearest;

/// What the weights of the network of the Fréchet inception distance are fetched by.
const INCEPTION_NAME: &str = "inception";
/// Points of a toy density that is only looked at.
const POINTS: usize = 5000;
/// Shades from dark to light, for looking at a picture in a terminal.
const SHADES: &[u8] = b" .:-=+*#%@";

pub fn run(console: Console, folder: Option<&Path>, args: &Data) -> Outcome {
    let folders = data_folders(folder);
    match (&args.action, &args.name) {
        (Some(DataAction::Fetch { name, mirror }), _) => fetch(console, folder, name, mirror.as_deref()),
        (None, Some(name)) => show(console, &folders, name),
        (None, None) => list(console, &folders),
    }
}

fn list(console: Console, folders: &[PathBuf]) -> Outcome {
    let sets = describe(folders);
    let found = |name: &str, places: &[PathBuf]| -> Option<String> {
        if places.is_empty() {
            return Some("built in".to_owned());
        }
        let here = places.iter().find(|place| is_there(name, place));
        here.map(|place| place.display().to_string())
    };
    if console.json {
        let rows = sets.iter().map(|set| {
            let found = found(set.name, &set.places);
            json!({ "name": set.name, "kind": set.kind, "rows": set.rows, "shape": set.shape, "source": set.source, "found": found })
        });
        return console.json(&rows.collect::<Vec<_>>());
    }
    let rows: Vec<Vec<String>> = sets
        .iter()
        .map(|set| {
            let rows = set.rows.map_or_else(|| "any".to_owned(), |[train, test]| format!("{train} + {test}"));
            let found = found(set.name, &set.places).unwrap_or_else(|| "not here".to_owned());
            vec![set.name.to_owned(), rows, format!("{:?}", set.shape), set.kind.to_owned(), found]
        })
        .collect();
    table(&rows).iter().try_for_each(|line| console.say(line))?;
    let places: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    console.note(format!("looked in {}", places.join(", ")));
    let weights = inception_weights(folders).map_or_else(|| "not here".to_owned(), |path| path.display().to_string());
    console.note(format!("weights of the network of the Fréchet inception distance (`inception`): {weights}"));
    console.note("`genera data fetch NAME` downloads one; files and folders of your own are named by their path");
    Ok(())
}

/// Whether a published set lies in `place`; only names of files are looked at.
pub fn is_there(name: &str, place: &Path) -> bool {
    let fashion = place.file_name().is_some_and(|name| name.to_string_lossy().to_lowercase().contains("fashion"));
    let Some(public) = Public::ALL.into_iter().find(|public| public.name() == name) else { return false };
    let right_folder = match public {
        Public::Mnist => !fashion,
        Public::FashionMnist => fashion,
        Public::Cifar10 | Public::Cifar100 => true,
    };
    right_folder
        && public.remotes().iter().all(|remote| {
            let plain = remote.file.trim_end_matches(".gz");
            place.join(remote.file).is_file() || place.join(plain).is_file()
        })
}

fn show(console: Console, folders: &[PathBuf], name: &str) -> Outcome {
    let split = genera_data::open(&Request { name, folders, shape: None, points: POINTS, seed: 0 })?;
    let (train, test) = (&split.train, &split.test);
    let classes = train.labels().map(|labels| labels.classes().to_vec());
    let entropy = name.parse::<Toy>().ok().map(|toy| toy.entropy());
    if console.json {
        return console.json(&json!({
            "name": train.name(), "shape": train.event_shape(), "rows": [train.len(), test.len()], "classes": classes,
            "entropy_nats": entropy.as_ref().map(|entropy| entropy.nats),
        }));
    }
    console.say(format!(
        "{}: rows of shape {:?}, {} to learn from, {} held out",
        train.name(),
        train.event_shape(),
        train.len(),
        test.len()
    ))?;
    if let Some(classes) = classes {
        let shown: Vec<&str> = classes.iter().take(20).map(String::as_str).collect();
        console.say(format!(
            "{} classes: {}{}",
            classes.len(),
            shown.join(", "),
            if classes.len() > 20 { ", ..." } else { "" }
        ))?;
    }
    if let Some(entropy) = entropy {
        console.say(format!("entropy {:.6} nats", entropy.nats))?;
    }
    preview(console, train)
}

/// The first image in shades, or the first rows in numbers.
fn preview(console: Console, set: &Dataset) -> Outcome {
    match set {
        Dataset::Images(images) if !images.is_empty() => {
            let values: Vec<f32> = images.row(0).iter().map(|&byte| f32::from(byte)).collect();
            let drawn = Drawn {
                rows: values,
                n: 1,
                shape: images.shape().to_vec(),
                view: View::Tokens,
                levels: images.levels(),
                labels: None,
            };
            drawn.picture(0).into_iter().flat_map(|picture| shades(&picture)).try_for_each(|line| console.say(line))
        }
        Dataset::Images(_) => Ok(()),
        Dataset::Table(rows) => {
            let numbers = (0..rows.len().min(5)).map(|row| rows.row(row).iter().map(|x| format!("{x:.4}")).collect());
            let lines: Vec<Vec<String>> = std::iter::once(rows.columns().to_vec()).chain(numbers).collect();
            table(&lines).iter().try_for_each(|line| console.say(line))
        }
    }
}

/// Two characters a pixel, for they are higher than wide.
fn shades(picture: &Picture) -> Vec<String> {
    let shade = |pixel: &[u8]| {
        let light = pixel.iter().map(|&byte| usize::from(byte)).sum::<usize>() / pixel.len();
        char::from(SHADES[light * (SHADES.len() - 1) / 255])
    };
    let lines = picture.pixels.chunks(picture.width * picture.channels);
    lines.map(|line| line.chunks(picture.channels).flat_map(|pixel| [shade(pixel); 2]).collect()).collect()
}

fn fetch(console: Console, folder: Option<&Path>, name: &str, mirror: Option<&str>) -> Outcome {
    let public = Public::ALL.into_iter().find(|public| public.name() == name);
    if public.is_none() && name != INCEPTION_NAME {
        let names: Vec<&str> = Public::ALL.map(Public::name).into_iter().chain([INCEPTION_NAME]).collect();
        let hint =
            nearest(name, names.iter().copied()).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        let names = names.join(", ");
        return Err(Failure::Usage(format!("`{name}` is nothing that can be fetched; these can: {names}{hint}")));
    }
    let into = match folder {
        Some(folder) => folder.to_owned(),
        None => data_folders(None)
            .into_iter()
            .next()
            .ok_or_else(|| Failure::new("no data folder is known here; use --data DIR"))?,
    };
    let bar = console.draws_bars().then(|| {
        let style = ProgressStyle::with_template("{msg}  {bar:30}  {bytes}/{total_bytes}  {eta} left");
        ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    });
    let progress = |progress: genera_data::Progress<'_>| {
        if let Some(bar) = &bar {
            bar.set_length(progress.total);
            bar.set_position(progress.received);
            bar.set_message(progress.file.to_owned());
        }
    };
    let place = match public {
        Some(public) => public.fetch(&into, mirror, progress)?,
        None => fetch_inception(&into, mirror, progress)?,
    };
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    match (console.json, public) {
        (true, Some(_)) => console.json(&json!({ "folder": place })),
        (true, None) => console.json(&json!({ "file": place })),
        (false, _) => console.say(place.display()),
    }
}
