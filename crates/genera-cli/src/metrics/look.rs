//! From pictures to features: which network looks, and what it sees.

use std::path::Path;

use clap::ValueEnum;
use genera::burn::tensor::Device;
use genera::features::inception::{Picture, Resize};
use genera::features::{Described, DescribedConfig, Inception};
use genera_data::load::folder;
use genera_data::{Dataset, Images, to_pixel};
use indicatif::{ProgressBar, ProgressStyle};

use super::sets::Set;
use crate::commands::Context;
use crate::data::{numbers, tensor};
use crate::failure::{Failure, Outcome};
use crate::measure::{Judge, Plan};

/// Pictures decoded, and rows looked at, at once.
const BATCH: usize = 64;

/// What looks at pictures.
pub enum Looker {
    /// The network of the Fréchet inception distance.
    Inception(Box<Inception>),
    /// A classifier that a recipe trains.
    Judge(Box<Judge>),
    /// Any network that a description names.
    Described(Box<Described>),
    /// Nothing: the numbers in [0, 1] themselves, or those of a table as they are.
    Pixels,
}

/// The networks that need no description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Known {
    Inception,
    Digits,
    Mnist,
    Pixels,
}

/// What was seen of a set.
pub struct Seen {
    /// Row-major `[n, d]`.
    pub features: Vec<f32>,
    pub n: usize,
    pub d: usize,
    /// `p(y|x)`, row-major, and the number of classes.
    pub probabilities: Option<(Vec<f64>, usize)>,
}

impl Looker {
    /// The network that `name` stands for: inception, digits, mnist, pixels, or the file of a description.
    pub fn open(name: &str, weights: Option<&Path>, resize: Resize, context: &Context) -> Outcome<Self> {
        let device = &context.device;
        let needed = |what: &str| {
            let what = what.to_owned();
            weights.ok_or_else(|| Failure::Usage(format!("--features {name} needs --weights {what}")))
        };
        let judge = |name: &str| {
            let plan = Plan { seed: 0, classifier: weights, runs: Path::new("runs"), samples: None };
            Judge::open(name, &plan, device).map(|judge| Self::Judge(Box::new(judge)))
        };
        let Ok(known) = Known::from_str(name, false) else {
            return described(name, needed("FILE, its state dict as .pth or .safetensors")?, device);
        };
        match known {
            Known::Inception => {
                let path =
                    needed("FILE: the state dict of the 2015 graph (pt_inception-2015-12-05) as .pth or .safetensors")?;
                let inception = Inception::read(path, resize, device).map_err(|error| within(path, error))?;
                Ok(Self::Inception(Box::new(inception)))
            }
            Known::Digits => judge("digits-classifier"),
            Known::Mnist => judge("mnist-classifier"),
            Known::Pixels => Ok(Self::Pixels),
        }
    }

    /// What is printed beside every number.
    pub fn name(&self) -> String {
        match self {
            Self::Inception(inception) => inception.name().to_owned(),
            Self::Judge(judge) => judge.name().to_owned(),
            Self::Described(network) => network.config().name.clone(),
            Self::Pixels => "pixels".to_owned(),
        }
    }

    /// Features, and class probabilities where there are classes, of every row of `set`.
    pub fn look(&self, set: &Set, what: &str, context: &Context) -> Outcome<Seen> {
        let mut seen = Seen { features: Vec::new(), n: 0, d: 0, probabilities: None };
        let bar = bar(context, set.n().unwrap_or(0), what);
        match set {
            Set::Statistics(_) => return Err(Failure::new(format!("{what}: statistics hold no pictures"))),
            Set::Files(files) => {
                let mut common = self.shape();
                for batch in files.chunks(BATCH) {
                    let pictures: Vec<folder::Picture> =
                        batch.iter().map(|path| decode(path, self, &mut common)).collect::<Outcome<_>>()?;
                    let pictures: Vec<Picture<'_>> = pictures
                        .iter()
                        .map(|picture| Picture { shape: picture.shape, bytes: &picture.bytes })
                        .collect();
                    self.look_at(&pictures, &mut seen, &context.device)?;
                    bar.inc(batch.len() as u64);
                }
            }
            Set::Rows(Dataset::Images(images)) => {
                self.check(images)?;
                let levels = images.levels();
                for first in (0..images.len()).step_by(BATCH) {
                    let rows: Vec<Vec<u8>> = (first..images.len().min(first + BATCH))
                        .map(|row| images.row(row).iter().map(|level| to_pixel(*level, levels)).collect())
                        .collect();
                    let pictures: Vec<Picture<'_>> =
                        rows.iter().map(|bytes| Picture { shape: images.shape(), bytes }).collect();
                    self.look_at(&pictures, &mut seen, &context.device)?;
                    bar.inc(rows.len() as u64);
                }
            }
            Set::Rows(Dataset::Table(table)) => {
                if !matches!(self, Self::Pixels) {
                    let (table, name) = (table.name(), self.name());
                    return Err(Failure::new(format!(
                        "{table}: rows of a table are no pictures for {name}; compare them as they are with --features pixels"
                    )));
                }
                (seen.features, seen.n, seen.d) = (table.values().to_vec(), table.len(), table.columns().len());
            }
        }
        bar.finish_and_clear();
        Ok(seen)
    }

    /// The shape that pictures are brought to; none if any will do.
    fn shape(&self) -> Option<[usize; 3]> {
        match self {
            Self::Judge(judge) => Some(judge.shape()),
            Self::Described(network) => Some(network.config().shape),
            Self::Inception(_) | Self::Pixels => None,
        }
    }

    fn check(&self, images: &Images) -> Outcome {
        match self.shape() {
            Some(shape) if shape != images.shape() => Err(Failure::new(format!(
                "{}: pictures of shape {:?}, but {} looks at {shape:?}; a folder of picture files is brought to any shape",
                images.name(),
                images.shape(),
                self.name()
            ))),
            _ => Ok(()),
        }
    }

    fn look_at(&self, pictures: &[Picture<'_>], seen: &mut Seen, device: &Device) -> Outcome {
        let rows = |from: f32, to: f32| -> Vec<f32> {
            let place = |byte: &u8| from + (to - from) * f32::from(*byte) / 255.0;
            pictures.iter().flat_map(|picture| picture.bytes).map(place).collect()
        };
        let width = pictures.first().map_or(1, |picture| picture.bytes.len());
        let (features, probabilities) = match self {
            Self::Inception(inception) => {
                let found = inception.look(pictures).map_err(Failure::new)?;
                let classes = genera::features::inception::CLASSES;
                let p = found.logits.chunks_exact(classes).flat_map(softmax).collect();
                (found.features, Some((p, classes)))
            }
            Self::Judge(judge) => {
                let (features, p) = judge.look(&rows(-1.0, 1.0), width)?;
                let classes = p.len() / pictures.len();
                (features, Some((p.into_iter().map(f64::from).collect(), classes)))
            }
            Self::Described(network) => {
                let (features, p) = network.look(tensor(rows(0.0, 1.0), width, device));
                let p = p.map(|p| {
                    let classes = p.dims()[1];
                    Ok::<_, Failure>((numbers(p)?.into_iter().map(f64::from).collect(), classes))
                });
                (numbers(features)?, p.transpose()?)
            }
            Self::Pixels => (rows(0.0, 1.0), None),
        };
        seen.d = features.len() / pictures.len();
        seen.n += pictures.len();
        seen.features.extend(features);
        if let Some((p, classes)) = probabilities {
            seen.probabilities.get_or_insert_with(|| (Vec::new(), classes)).0.extend::<Vec<f64>>(p);
        }
        Ok(())
    }
}

fn described(name: &str, weights: &Path, device: &Device) -> Outcome<Looker> {
    let path = Path::new(name);
    if !path.exists() {
        return Err(Failure::Usage(format!(
            "--features {name}: no such file; it is inception, digits, mnist, pixels, or the description of a network"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(Failure::file(path))?;
    let config: DescribedConfig = serde_json::from_str(&text).map_err(|error| within(path, error))?;
    let network = config.read(weights, device).map_err(|error| within(path, error))?;
    Ok(Looker::Described(Box::new(network)))
}

fn within(path: &Path, error: impl std::fmt::Display) -> Failure {
    let (path, message) = (path.display().to_string(), error.to_string());
    Failure::new(if message.contains(&path) { message } else { format!("{path}: {message}") })
}

/// Decodes a file and brings it to the shape of the network; pixels must have the shape of the first.
fn decode(path: &Path, looker: &Looker, common: &mut Option<[usize; 3]>) -> Outcome<folder::Picture> {
    let bytes = std::fs::read(path).map_err(Failure::file(path))?;
    let wanted = if matches!(looker, Looker::Pixels) { None } else { *common };
    let picture = folder::parse(&bytes, wanted).map_err(|error| within(path, error))?;
    if matches!(looker, Looker::Pixels) {
        let shape = *common.get_or_insert(picture.shape);
        if shape != picture.shape {
            let found = picture.shape;
            return Err(Failure::new(format!(
                "{}: shape {found:?}, where the first picture has {shape:?}; pixels compare only at one shape",
                path.display()
            )));
        }
    }
    Ok(picture)
}

fn softmax(logits: &[f32]) -> Vec<f64> {
    let top = logits.iter().fold(f32::NEG_INFINITY, |top, logit| top.max(*logit));
    let weights: Vec<f64> = logits.iter().map(|logit| f64::from(logit - top).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

fn bar(context: &Context, n: usize, what: &str) -> ProgressBar {
    if !context.console.draws_bars() || n == 0 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} {per_sec} {eta}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(n as u64).with_style(style).with_message(what.to_owned())
}
