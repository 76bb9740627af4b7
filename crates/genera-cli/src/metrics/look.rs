//! From pictures to features: which network looks, and what it sees.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use genera::burn::tensor::Device;
use genera::features::inception::{Picture, Resize};
use genera::features::{Described, DescribedConfig, Inception};
use genera_data::load::folder;
use genera_data::{Dataset, Images, inception_weights, to_pixel};
use indicatif::{ProgressBar, ProgressStyle};

use super::sets::Set;
use crate::commands::Context;
use crate::data::{numbers, tensor};
use crate::failure::{Failure, Outcome};
use crate::hash::sha256;
use crate::measure::Judge;
use crate::seen::{Cache, Key, Seen};

/// Pictures decoded, and rows looked at, at once.
const BATCH: usize = 64;

/// What looks at pictures.
pub struct Looker {
    network: Network,
    /// What its answers depend on; none if there is nothing to be kept of it.
    fingerprint: Option<String>,
}

enum Network {
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
    Fashion,
    Pixels,
}

impl Looker {
    /// The numbers themselves.
    pub fn pixels() -> Self {
        Self { network: Network::Pixels, fingerprint: None }
    }

    /// The network that `name` stands for: inception, digits, mnist, fashion, pixels, or the file of a description.
    pub fn open(name: &str, weights: Option<&Path>, resize: Resize, context: &Context) -> Outcome<Self> {
        let device = &context.device;
        let judge = |name: &str| {
            let judge = Judge::open(name, weights, Path::new("runs"), device)?;
            let fingerprint = Some(judge.fingerprint().to_owned());
            Ok(Self { network: Network::Judge(Box::new(judge)), fingerprint })
        };
        let Ok(known) = Known::from_str(name, false) else {
            let needed = format!("--features {name} needs --weights FILE, its state dict as .pth or .safetensors");
            return described(name, weights.ok_or(Failure::Usage(needed))?, device);
        };
        match known {
            Known::Inception => {
                let path = match weights {
                    Some(path) => path.to_owned(),
                    None => fetched(context)?,
                };
                let inception = Inception::read(&path, resize, device).map_err(|error| within(&path, error))?;
                let fingerprint = Some(format!("{} {}", inception.name(), file_sha256(&path)?));
                Ok(Self { network: Network::Inception(Box::new(inception)), fingerprint })
            }
            Known::Digits => judge("digits-classifier"),
            Known::Mnist => judge("mnist-classifier"),
            Known::Fashion => judge("fashion-classifier"),
            Known::Pixels => Ok(Self::pixels()),
        }
    }

    /// What is printed beside every number.
    pub fn name(&self) -> String {
        match &self.network {
            Network::Inception(inception) => inception.name().to_owned(),
            Network::Judge(judge) => judge.name().to_owned(),
            Network::Described(network) => network.config().name.clone(),
            Network::Pixels => "pixels".to_owned(),
        }
    }

    /// Features, and class probabilities where there are classes, of every row of `set`; from `cache`, if they were kept
    /// there.
    pub fn look(&self, set: Set, what: &str, cache: &Cache, context: &Context) -> Outcome<Seen> {
        let key = match (&self.fingerprint, cache) {
            (Some(fingerprint), Cache::In(_)) => set.key(Key::of(fingerprint))?,
            _ => None,
        };
        cache.seen(
            key,
            |text| context.console.note(format!("features of {what}: {text}")),
            || self.look_anew(set, what, context),
        )
    }

    fn look_anew(&self, set: Set, what: &str, context: &Context) -> Outcome<Seen> {
        let (mut features, mut probabilities, mut n) = (Vec::new(), None, 0);
        let bar = bar(context, set.n().unwrap_or(0), what);
        let mut take = |pictures: &[Picture<'_>]| {
            self.look_at(pictures, &mut features, &mut probabilities, &context.device)?;
            n += pictures.len();
            bar.inc(pictures.len() as u64);
            Ok::<_, Failure>(())
        };
        match set {
            Set::Statistics(_) => return Err(Failure::new(format!("{what}: statistics hold no pictures"))),
            Set::Files(files) => {
                let mut common = self.shape();
                for batch in files.chunks(BATCH) {
                    let pictures: Vec<folder::Picture> =
                        batch.iter().map(|path| self.decode(path, &mut common)).collect::<Outcome<_>>()?;
                    let pictures: Vec<Picture<'_>> = pictures
                        .iter()
                        .map(|picture| Picture { shape: picture.shape, bytes: &picture.bytes })
                        .collect();
                    take(&pictures)?;
                }
            }
            Set::Rows(Dataset::Images(images)) => {
                self.check(&images)?;
                let levels = images.levels();
                for first in (0..images.len()).step_by(BATCH) {
                    let rows: Vec<Vec<u8>> = (first..images.len().min(first + BATCH))
                        .map(|row| images.row(row).iter().map(|level| to_pixel(*level, levels)).collect())
                        .collect();
                    let pictures: Vec<Picture<'_>> =
                        rows.iter().map(|bytes| Picture { shape: images.shape(), bytes }).collect();
                    take(&pictures)?;
                }
            }
            Set::Rows(Dataset::Table(table)) => {
                if !matches!(self.network, Network::Pixels) {
                    let (table, name) = (table.name(), self.name());
                    return Err(Failure::new(format!(
                        "{table}: rows of a table are no pictures for {name}; compare them as they are with --features pixels"
                    )));
                }
                n = table.len();
                features = table.into_values();
            }
        }
        bar.finish_and_clear();
        Ok(Seen::new(features, n, probabilities))
    }

    /// The shape that pictures are brought to; none if any will do.
    fn shape(&self) -> Option<[usize; 3]> {
        match &self.network {
            Network::Judge(judge) => Some(judge.shape()),
            Network::Described(network) => Some(network.config().shape),
            Network::Inception(_) | Network::Pixels => None,
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

    /// What the network says of `pictures`, after what it said of those before.
    fn look_at(
        &self,
        pictures: &[Picture<'_>],
        features: &mut Vec<f32>,
        probabilities: &mut Option<(Vec<f64>, usize)>,
        device: &Device,
    ) -> Outcome {
        let rows = |from: f32, to: f32| -> Vec<f32> {
            let place = |byte: &u8| from + (to - from) * f32::from(*byte) / 255.0;
            pictures.iter().flat_map(|picture| picture.bytes).map(place).collect()
        };
        let width = pictures.first().map_or(1, |picture| picture.bytes.len());
        let (found, p) = match &self.network {
            Network::Inception(inception) => {
                let found = inception.look(pictures).map_err(Failure::new)?;
                let classes = genera::features::inception::CLASSES;
                let p = found.logits.chunks_exact(classes).flat_map(softmax).collect();
                (found.features, Some((p, classes)))
            }
            Network::Judge(judge) => {
                let (features, p) = judge.look(&rows(-1.0, 1.0), width)?;
                let classes = p.len() / pictures.len();
                (features, Some((p.into_iter().map(f64::from).collect(), classes)))
            }
            Network::Described(network) => {
                let (features, p) = network.look(tensor(rows(0.0, 1.0), width, device));
                let p = p.map(|p| {
                    let classes = p.dims()[1];
                    Ok::<_, Failure>((numbers(p)?.into_iter().map(f64::from).collect(), classes))
                });
                (numbers(features)?, p.transpose()?)
            }
            Network::Pixels => (rows(0.0, 1.0), None),
        };
        features.extend(found);
        if let Some((p, classes)) = p {
            probabilities.get_or_insert_with(|| (Vec::new(), classes)).0.extend::<Vec<f64>>(p);
        }
        Ok(())
    }

    /// Decodes a file and brings it to the shape of the network; pixels must have the shape of the first.
    fn decode(&self, path: &Path, common: &mut Option<[usize; 3]>) -> Outcome<folder::Picture> {
        let bytes = std::fs::read(path).map_err(Failure::file(path))?;
        let pixels = matches!(self.network, Network::Pixels);
        let picture =
            folder::parse(&bytes, if pixels { None } else { *common }).map_err(|error| within(path, error))?;
        let shape = if pixels { *common.get_or_insert(picture.shape) } else { picture.shape };
        if shape != picture.shape {
            let found = picture.shape;
            return Err(Failure::new(format!(
                "{}: shape {found:?}, where the first picture has {shape:?}; pixels compare only at one shape",
                path.display()
            )));
        }
        Ok(picture)
    }
}

/// Where `genera data fetch inception` has put the weights.
fn fetched(context: &Context) -> Outcome<PathBuf> {
    let folders = genera_data::data_folders(context.data.as_deref());
    inception_weights(&folders).ok_or_else(|| {
        Failure::Usage(
            "--features inception needs the weights of its network: `genera data fetch inception` downloads them \
             (96 MB), or name a file you have with --weights FILE"
                .to_owned(),
        )
    })
}

fn file_sha256(path: &Path) -> Outcome<String> {
    std::fs::read(path).map(|bytes| sha256(&bytes)).map_err(Failure::file(path))
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
    let fingerprint =
        Some(format!("{} {}", serde_json::to_string(&config).map_err(Failure::new)?, file_sha256(weights)?));
    Ok(Looker { network: Network::Described(Box::new(network)), fingerprint })
}

fn within(path: &Path, error: impl std::fmt::Display) -> Failure {
    let (path, message) = (path.display().to_string(), error.to_string());
    Failure::new(if message.contains(&path) { message } else { format!("{path}: {message}") })
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
