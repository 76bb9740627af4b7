//! A small convolutional classifier, whose last hidden layer is a space in which distances between images mean
//! something.
//!
//! ```text
//! stage    two of (3x3 convolution → group norm → SiLU), then the mean of each 2x2 block
//! h        SiLU(W stages(x) + b)                            the features
//! p(y|x)   softmax(V h + c)
//! loss     -Σₖ qₖ log p(k|x),  qₖ = (1 - s)[k = y] + s/K    label smoothing s: Szegedy et al., arXiv:1512.00567
//! ```
//!
//! Made for images of 8x8 to 32x32 pixels in the symmetric view, `[-1, 1]`.

use burn::module::Module;
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Device, Tensor, TensorData};
use genera_kernels::avg_pool2x2;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::augment::moved;
use crate::nn::{Activation, Conv2d, ConvOptions, GroupNorm, Linear, images, rows};
use crate::traits::{Batch, Features, Loss, Model, Rows, View};
use crate::weights::{self, Metadata, WeightsError};

/// Channels a group of the normalisation has.
const GROUP: usize = 8;
/// No width or size of a sensible classifier is larger.
const LARGEST: usize = 1 << 14;
const EMBEDDED: &[u8] = include_bytes!("digits-classifier.safetensors");

/// What a classifier sees, how large it is and how it is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierConfig {
    /// The name of its features, printed beside every number computed from them.
    pub name: String,
    /// `[C, H, W]` of the images.
    pub shape: [usize; 3],
    /// How many classes there are.
    pub classes: usize,
    /// The channels of each stage, multiples of 8; each stage halves the image.
    #[serde(default = "channels")]
    pub channels: Vec<usize>,
    /// The number of features.
    #[serde(default = "width")]
    pub width: usize,
    /// `s`: the share of the target that is spread over all classes.
    #[serde(default)]
    pub label_smoothing: f64,
    /// Training images are moved by up to so many pixels in each direction.
    #[serde(default)]
    pub shift: f64,
}

fn channels() -> Vec<usize> {
    vec![16, 32]
}

fn width() -> usize {
    64
}

/// A classifier that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClassifierError {
    /// A value of the configuration that has no meaning.
    #[error("`{key}` is {value} but must be {needed}")]
    Config {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        needed: String,
    },
    /// Weights that do not say what classifier they belong to.
    #[error("the weights do not say which classifier they are for: {0}")]
    Metadata(String),
    /// Weights that do not fit.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

impl ClassifierConfig {
    /// A fresh classifier on a plain device.
    ///
    /// # Errors
    /// [`ClassifierError::Config`] names the first value that has no meaning.
    pub fn init(&self, rng: &mut Rng, device: &Device) -> Result<Classifier, ClassifierError> {
        self.check()?;
        let before = std::iter::once(&self.shape[0]).chain(&self.channels);
        let stages = before.zip(&self.channels).map(|(inputs, outputs)| Stage::new(*inputs, *outputs, rng, device));
        let stages: Vec<Stage> = stages.collect();
        Ok(Classifier {
            stages,
            hidden: Linear::new(self.flat(), self.width, rng, device),
            head: Linear::new(self.width, self.classes, rng, device),
            config: self.clone(),
        })
    }

    /// How many numbers are trained, if [`check`](Self::check) holds.
    fn parameters(&self) -> usize {
        let before = std::iter::once(&self.shape[0]).chain(&self.channels);
        let stages = before.zip(&self.channels).map(|(inputs, outputs)| 9 * (inputs + outputs) * outputs + 6 * outputs);
        stages.sum::<usize>() + (self.flat() + 1) * self.width + (self.width + 1) * self.classes
    }

    /// The length of a row after the stages.
    fn flat(&self) -> usize {
        let [inputs, height, width] = self.shape;
        let halvings = self.channels.len();
        self.channels.last().unwrap_or(&inputs) * (height >> halvings) * (width >> halvings)
    }

    fn check(&self) -> Result<(), ClassifierError> {
        let require = |holds: bool, key, value: String, needed: String| {
            if holds { Ok(()) } else { Err(ClassifierError::Config { key, value, needed }) }
        };
        let sizes = self.shape.map(|size| ("shape", size));
        for (key, size) in sizes.into_iter().chain([("classes", self.classes), ("width", self.width)]) {
            require((1..=LARGEST).contains(&size), key, size.to_string(), format!("1 to {LARGEST}"))?;
        }
        for size in &self.channels {
            let fits = (GROUP..=LARGEST).contains(size) && size.is_multiple_of(GROUP);
            require(fits, "channels", size.to_string(), format!("a multiple of {GROUP} up to {LARGEST}"))?;
        }
        let [_, height, width] = self.shape;
        let most = height.min(width).ilog2() as usize;
        let stages = self.channels.len();
        require(
            stages <= most,
            "channels",
            format!("{stages} stages"),
            format!("at most {most} for {height}x{width}"),
        )?;
        let smoothing = self.label_smoothing;
        let needed = "at least 0 and below 1".to_owned();
        require((0.0..1.0).contains(&smoothing), "label_smoothing", smoothing.to_string(), needed)?;
        let inside = (0.0..=height.min(width) as f64).contains(&self.shift);
        require(inside, "shift", self.shift.to_string(), "between 0 and the size of the image".to_owned())?;
        Ok(())
    }
}

/// A network that names the class of an image.
#[derive(Module, Debug)]
pub struct Classifier {
    stages: Vec<Stage>,
    hidden: Linear,
    head: Linear,
    #[module(skip)]
    config: ClassifierConfig,
}

impl Classifier {
    /// The classifier of the embedded 8x8 digits that comes with this crate, trained as its metadata say.
    pub fn digits(device: &Device) -> Self {
        Self::from_bytes(EMBEDDED, device).expect("the embedded classifier is whole")
    }

    /// A classifier from what [`Classifier::to_bytes`] gave.
    ///
    /// # Errors
    /// Bytes that are no safetensors file, or of no classifier.
    pub fn from_bytes(bytes: &[u8], device: &Device) -> Result<Self, ClassifierError> {
        let metadata = weights::metadata(bytes)?;
        let config = metadata.get("config").ok_or_else(|| ClassifierError::Metadata("no `config`".to_owned()))?;
        let config: ClassifierConfig =
            serde_json::from_str(config).map_err(|error| ClassifierError::Metadata(error.to_string()))?;
        let weights = weights::from_bytes(bytes)?;
        // The configuration may ask for more numbers than the file has: count before anything is allocated.
        let held: usize = weights.values().map(|array| array.values.len()).sum();
        config.check()?;
        if config.parameters() != held {
            let error = format!("its `config` asks for {} numbers, the file holds {held}", config.parameters());
            return Err(ClassifierError::Metadata(error));
        }
        Ok(weights::apply(config.init(&mut Rng::new(0), device)?, &weights)?)
    }

    /// The weights as a safetensors file that names the configuration and holds `notes` as further metadata.
    pub fn to_bytes(&self, mut notes: Metadata) -> Vec<u8> {
        let config = serde_json::to_string(&self.config).expect("a configuration is valid JSON");
        notes.insert("config".to_owned(), config);
        weights::to_bytes(&weights::collect(self), &notes)
    }

    /// What it sees and how it is trained.
    pub fn config(&self) -> &ClassifierConfig {
        &self.config
    }

    /// `p(y|x)`: `[B, F] -> [B, K]`.
    pub fn probabilities(&self, x: Rows) -> Tensor<2> {
        softmax(self.logits(x), 1)
    }

    fn logits(&self, x: Rows) -> Tensor<2> {
        self.head.forward(self.extract(x))
    }

    /// `q`, `[B, K]` row-major.
    fn targets(&self, labels: &[usize]) -> Vec<f32> {
        let (classes, smoothing) = (self.config.classes, self.config.label_smoothing);
        let mut targets = vec![(smoothing / classes as f64) as f32; labels.len() * classes];
        for (row, &label) in targets.chunks_exact_mut(classes).zip(labels) {
            assert!(label < classes, "class {label} was met by a classifier of {classes} classes");
            row[label] += (1.0 - smoothing) as f32;
        }
        targets
    }
}

impl Features for Classifier {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn extract(&self, x: Rows) -> Rows {
        let image = self.stages.iter().fold(images(x, self.config.shape), |image, stage| stage.forward(image));
        self.hidden.forward_into(rows(image), Activation::Silu)
    }
}

impl Model for Classifier {
    /// The cross-entropy in nats. Its part `accuracy` is the share of rows whose likeliest class is theirs.
    ///
    /// # Panics
    /// If the rows have no labels, or a label is not below the number of classes.
    fn loss(&self, batch: Batch, rng: &mut Rng) -> Loss {
        let labels = batch.labels.expect("a classifier learns from rows with labels; these have none");
        let shift = self.config.shift;
        let x = if shift > 0.0 { moved(batch.x, self.config.shape, shift, rng) } else { batch.x };
        let log_p = log_softmax(self.logits(x), 1);
        let shape = log_p.dims();
        let accuracy = accuracy(log_p.clone().inner(), &labels);
        let q = Tensor::<2>::from_data(TensorData::new(self.targets(&labels), shape), &log_p.device().inner());
        Loss { value: -(log_p * q).sum_dim(1).mean(), parts: vec![("accuracy", accuracy)] }
    }

    fn view(&self) -> View<'_> {
        View { features: Some(self), ..View::default() }
    }
}

/// The share of rows whose largest number stands at their label: `[B, K]`.
fn accuracy(scores: Tensor<2>, labels: &[usize]) -> f64 {
    let classes = scores.dims()[1];
    let scores = scores.try_into_vec_as::<f32>().expect("the device lost its data");
    let right = |(row, label): &(&[f32], &usize)| row.iter().all(|score| *score <= row[**label]);
    scores.chunks_exact(classes).zip(labels).filter(right).count() as f64 / labels.len() as f64
}

#[derive(Module, Debug)]
pub(super) struct Stage {
    conv1: Conv2d,
    norm1: GroupNorm,
    conv2: Conv2d,
    norm2: GroupNorm,
}

impl Stage {
    pub(super) fn new(inputs: usize, outputs: usize, rng: &mut Rng, device: &Device) -> Self {
        let norm = || GroupNorm::new(outputs / GROUP, outputs, 1e-5, device);
        let mut conv = |inputs| Conv2d::new(inputs, outputs, 3, ConvOptions::same(3), rng, device);
        Self { conv1: conv(inputs), norm1: norm(), conv2: conv(outputs), norm2: norm() }
    }

    /// `[B, H, W, C] -> [B, H/2, W/2, C']`.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let h = self.norm1.forward_into(self.conv1.forward(x), Activation::Silu);
        avg_pool2x2(self.norm2.forward_into(self.conv2.forward(h), Activation::Silu))
    }
}

#[cfg(test)]
mod tests {
    use genera_data::{Viewed, digits};

    use super::*;

    fn config() -> ClassifierConfig {
        let (name, shape) = ("test".to_owned(), [2, 12, 8]);
        ClassifierConfig { name, shape, classes: 3, channels: vec![8], width: 5, label_smoothing: 0.3, shift: 1.0 }
    }

    fn classifier(config: &ClassifierConfig) -> Classifier {
        config.init(&mut Rng::new(0), &Device::flex()).unwrap()
    }

    #[test]
    fn the_embedded_classifier_knows_its_digits() {
        let test = digits().test;
        let rows = Viewed::new(&test, genera_data::View::Symmetric).unwrap();
        let x = rows.rows(&(0..test.len()).collect::<Vec<_>>(), &mut Rng::new(0));
        let x = Tensor::from_data(TensorData::new(x, [test.len(), 64]), &Device::flex());
        let classifier = Classifier::digits(&Device::flex());
        assert_eq!(classifier.name(), "digits-classifier");
        assert_eq!(classifier.extract(x.clone()).dims(), [297, 64]);
        let p = classifier.probabilities(x);
        let sums = p.clone().sum_dim(1).try_into_vec_as::<f32>().unwrap();
        assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-5));
        let labels: Vec<usize> = test.labels().unwrap().rows().iter().map(|label| usize::from(*label)).collect();
        assert!(accuracy(p, &labels) >= 0.98);
        assert!(EMBEDDED.len() < 200_000);
    }

    #[test]
    fn the_loss_is_the_cross_entropy_with_smoothed_targets() {
        let classifier = classifier(&ClassifierConfig { shift: 0.0, ..config() });
        let x = Tensor::<2>::from_data(TensorData::new(Rng::new(1).normal(4, 192), [4, 192]), &Device::flex());
        let labels = vec![0, 2, 1, 1];
        let p: Vec<f32> = classifier.probabilities(x.clone()).try_into_vec_as().unwrap();
        let terms = p.chunks_exact(3).zip(&labels).flat_map(|(p, label)| {
            let q = move |k| 0.1 + if k == *label { 0.7 } else { 0.0 };
            p.iter().enumerate().map(move |(k, p)| -q(k) * f64::from(*p).ln())
        });
        let expected = terms.sum::<f64>() / 4.0;
        let loss = classifier.loss(Batch { x, labels: Some(labels) }, &mut Rng::new(2));
        let found = f64::from(loss.value.into_scalar::<f32>());
        assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
    }

    #[test]
    fn a_row_does_not_depend_on_its_batch() {
        let classifier = classifier(&config());
        let x = Tensor::<2>::from_data(TensorData::new(Rng::new(1).normal(6, 192), [6, 192]), &Device::flex());
        let whole: Vec<f32> = classifier.extract(x.clone()).try_into_vec_as().unwrap();
        let part: Vec<f32> = classifier.extract(x.narrow(0, 2, 2)).try_into_vec_as().unwrap();
        let close = part.iter().zip(&whole[10..20]).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(close, "{part:?} {whole:?}");
    }

    #[test]
    fn bytes_round_trip_and_lies_are_refused() {
        let made = classifier(&config());
        let bytes = made.to_bytes(Metadata::from([("seed".to_owned(), "0".to_owned())]));
        let read = Classifier::from_bytes(&bytes, &Device::flex()).unwrap();
        assert_eq!(read.config(), made.config());
        assert_eq!(weights::collect(&read), weights::collect(&made));
        assert_eq!(weights::metadata(&bytes).unwrap()["seed"], "0");

        let arrays = weights::collect(&made);
        let large = ClassifierConfig { width: LARGEST, channels: vec![LARGEST], ..config() };
        for lie in [serde_json::to_string(&large).unwrap(), "{}".to_owned(), String::new()] {
            let bytes = weights::to_bytes(&arrays, &Metadata::from([("config".to_owned(), lie)]));
            assert!(matches!(Classifier::from_bytes(&bytes, &Device::flex()), Err(ClassifierError::Metadata(_))));
        }
        let bytes = weights::to_bytes(&arrays, &Metadata::new());
        assert!(Classifier::from_bytes(&bytes, &Device::flex()).unwrap_err().to_string().contains("config"));
    }

    #[test]
    fn configurations_without_meaning_are_refused() {
        let refused = |config: ClassifierConfig, key: &str| {
            let error = config.init(&mut Rng::new(0), &Device::flex()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{key}` is ")), "{error}");
        };
        refused(ClassifierConfig { shape: [1, 0, 8], ..config() }, "shape");
        refused(ClassifierConfig { classes: 0, ..config() }, "classes");
        refused(ClassifierConfig { width: usize::MAX, ..config() }, "width");
        refused(ClassifierConfig { channels: vec![12], ..config() }, "channels");
        refused(ClassifierConfig { channels: vec![8; 4], ..config() }, "channels");
        refused(ClassifierConfig { label_smoothing: 1.0, ..config() }, "label_smoothing");
        refused(ClassifierConfig { shift: f64::NAN, ..config() }, "shift");
        let smallest = ClassifierConfig { channels: vec![], ..config() };
        assert_eq!(smallest.parameters(), (192 + 1) * 5 + (5 + 1) * 3);
        assert_eq!(classifier(&smallest).num_params(), smallest.parameters());
        assert_eq!(classifier(&config()).num_params(), config().parameters());
    }
}
