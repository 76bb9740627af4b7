//! Any convolutional network as a feature extractor: its weights in a file, its layers in a small description.
//!
//! ```json
//! { "name": "lenet", "shape": [1, 28, 28], "mean": [0.1307], "std": [0.3081], "layers": [
//!     { "kind": "conv", "name": "conv1", "padding": 2, "activation": "relu" },
//!     { "kind": "max-pool", "size": 2, "stride": 2 },
//!     { "kind": "flatten" },
//!     { "kind": "linear", "name": "fc1", "activation": "relu" },
//!     { "kind": "features" },
//!     { "kind": "linear", "name": "fc2" } ] }
//! ```
//!
//! Names are those of the state dict; sizes follow from the arrays. What goes through `features` are the features; what
//! comes out at the end, if anything is behind it, are the class scores.

use std::path::Path;

use burn::tensor::activation::softmax;
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, module};
use genera_kernels::{Activation, ConvOptions, activate, conv2d, linear};
use serde::{Deserialize, Serialize};

use super::source::{Norm, Source};
use crate::nn::{ActivationName, images, rows};
use crate::traits::{Features, Rows};
use crate::weights::{self, Weights, WeightsError};

/// The description of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescribedConfig {
    /// The name that is printed beside every number computed from its features.
    pub name: String,
    /// `[C, H, W]` of the images it sees.
    pub shape: [usize; 3],
    /// What is subtracted from the numbers in [0, 1] of each channel.
    pub mean: Vec<f64>,
    /// What they are then divided by.
    pub std: Vec<f64>,
    /// What happens to an image, in order.
    pub layers: Vec<Layer>,
}

/// One layer of a description.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Layer {
    /// `NAME.weight` and, if there is one, `NAME.bias`.
    Conv {
        /// Its name in the state dict.
        name: String,
        /// The distance between neighbouring outputs.
        #[serde(default = "one")]
        stride: usize,
        /// Zeros on each side.
        #[serde(default)]
        padding: usize,
        /// The name of the batch normalisation behind it, if there is one.
        #[serde(default)]
        norm: Option<String>,
        /// What happens to its outputs.
        #[serde(default = "identity", with = "ActivationName")]
        activation: Activation,
    },
    /// `NAME.weight` and, if there is one, `NAME.bias`; of rows.
    Linear {
        /// Its name in the state dict.
        name: String,
        /// What happens to its outputs.
        #[serde(default = "identity", with = "ActivationName")]
        activation: Activation,
    },
    /// The maximum of each window.
    MaxPool {
        /// Height and width of the window.
        size: usize,
        /// The distance between neighbouring windows.
        stride: usize,
        /// How far windows reach over each side.
        #[serde(default)]
        padding: usize,
    },
    /// The mean of each window.
    MeanPool {
        /// Height and width of the window.
        size: usize,
        /// The distance between neighbouring windows.
        stride: usize,
    },
    /// The mean over all places: images become rows.
    GlobalMean,
    /// Images become rows, channel by channel.
    Flatten,
    /// The layers, plus the shortcut (or what goes in), then the activation.
    Residual {
        /// The long way.
        layers: Vec<Layer>,
        /// The short way; nothing is done on it where it is empty.
        #[serde(default)]
        shortcut: Vec<Layer>,
        /// What happens to the sum.
        #[serde(default = "identity", with = "ActivationName")]
        activation: Activation,
    },
    /// What goes through here are the features.
    Features,
}

fn one() -> usize {
    1
}

fn identity() -> Activation {
    Activation::Identity
}

/// A description that is no network, or not that of these weights.
#[derive(Debug, thiserror::Error)]
pub enum DescribedError {
    /// A layer that cannot stand where it stands.
    #[error("layer {at}: {what}")]
    Layer {
        /// Its place: `3`, or `3.1` within a residual layer.
        at: String,
        /// What is wrong.
        what: String,
    },
    /// A value without meaning.
    #[error("{0}")]
    Config(String),
    /// Weights that do not fit.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// A network that looks at images; it is not trained here.
#[derive(Debug)]
pub struct Described {
    config: DescribedConfig,
    steps: Vec<Step>,
    /// Steps up to the features.
    looking: usize,
    device: Device,
}

#[derive(Debug)]
enum Step {
    Conv { weight: Tensor<4>, bias: Tensor<1>, options: ConvOptions, activation: Activation },
    Linear { weight: Tensor<2>, bias: Tensor<1>, activation: Activation },
    MaxPool(MaxPoolOptions<2>),
    MeanPool(AvgPoolOptions<2>),
    GlobalMean,
    Flatten,
    Residual { layers: Vec<Step>, shortcut: Vec<Step>, activation: Activation },
}

/// What flows between layers.
#[derive(Clone)]
enum Value {
    Images(Tensor<4>),
    Rows(Tensor<2>),
}

/// Its shape: `[H, W, C]` or `[F]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Images([usize; 3]),
    Rows(usize),
}

impl DescribedConfig {
    /// The network with the weights in a `.pth` or safetensors file.
    ///
    /// # Errors
    /// A description that is no network, a file that cannot be read, or weights that are missing, of another shape or
    /// unknown to the description.
    pub fn read(&self, path: impl AsRef<Path>, device: &Device) -> Result<Described, DescribedError> {
        self.with_weights(&weights::read_checkpoint(path)?, device)
    }

    /// The network with these weights.
    ///
    /// # Errors
    /// As [`DescribedConfig::read`].
    pub fn with_weights(&self, weights: &Weights, device: &Device) -> Result<Described, DescribedError> {
        let [channels, height, width] = self.shape;
        let wrong = |what: String| Err(DescribedError::Config(what));
        if self.shape.iter().any(|side| !(1..=1 << 14).contains(side)) {
            return wrong(format!("`shape` is {:?}; each number must be 1 to {}", self.shape, 1 << 14));
        }
        if [self.mean.len(), self.std.len()] != [channels; 2] {
            return wrong(format!("`mean` and `std` need one number for each of the {channels} channels"));
        }
        if self.mean.iter().chain(&self.std).any(|value| !value.is_finite()) || self.std.iter().any(|std| *std <= 0.0) {
            return wrong("`mean` must be finite and `std` positive".to_owned());
        }
        let marks = self.layers.iter().filter(|layer| **layer == Layer::Features).count();
        if marks > 1 {
            return wrong("there are several `features` layers; there can be one".to_owned());
        }
        let looking = self.layers.iter().position(|layer| *layer == Layer::Features).unwrap_or(self.layers.len());
        let mut source = Source::new(weights, device);
        let start = Form::Images([height, width, channels]);
        let (mut steps, form) = source.steps(&self.layers[..looking], start, "", 0)?;
        if !matches!(form, Form::Rows(_)) {
            let what = "features must be rows: put a `flatten` or a `global-mean` layer before them";
            return Err(DescribedError::Layer { at: looking.to_string(), what: what.to_owned() });
        }
        let rest = self.layers.get(looking + 1..).unwrap_or_default();
        steps.extend(source.steps(rest, form, "", looking + 1)?.0);
        source.finish()?;
        Ok(Described { config: self.clone(), steps, looking, device: device.clone() })
    }
}

impl Described {
    /// The description.
    pub fn config(&self) -> &DescribedConfig {
        &self.config
    }

    /// Features and, where there are layers behind them, `p(y|x)`, of images in [0, 1]: `[B, F] -> [B, D], [B, K]`.
    pub fn look(&self, x: Rows) -> (Rows, Option<Tensor<2>>) {
        let channel = |values: &[f64]| -> Tensor<4> {
            let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
            Tensor::<1>::from_floats(&values[..], &self.device).reshape([1, 1, 1, self.config.shape[0]])
        };
        let x = (images(x, self.config.shape) - channel(&self.config.mean)) / channel(&self.config.std);
        let Value::Rows(features) = run(&self.steps[..self.looking], Value::Images(x)) else {
            unreachable!("the description was checked to end in rows")
        };
        let rest = &self.steps[self.looking..];
        match run(rest, Value::Rows(features.clone())) {
            Value::Rows(scores) if !rest.is_empty() => (features, Some(softmax(scores, 1))),
            _ => (features, None),
        }
    }
}

impl Features for Described {
    fn name(&self) -> &str {
        &self.config.name
    }

    /// Of images in [0, 1].
    fn extract(&self, x: Rows) -> Rows {
        self.look(x).0
    }
}

fn run(steps: &[Step], x: Value) -> Value {
    steps.iter().fold(x, |x, step| step.run(x))
}

impl Step {
    fn run(&self, x: Value) -> Value {
        match (self, x) {
            (Self::Conv { weight, bias, options, activation }, Value::Images(x)) => {
                let y = conv2d(x, weight.clone(), Some(bias.clone()), None, *options);
                Value::Images(activate(y, *activation))
            }
            (Self::Linear { weight, bias, activation }, Value::Rows(x)) => {
                Value::Rows(linear(x, weight.clone(), Some(bias.clone()), *activation))
            }
            (Self::MaxPool(options), Value::Images(x)) => {
                let x = module::max_pool2d(x.permute([0, 3, 1, 2]), options.clone());
                Value::Images(x.permute([0, 2, 3, 1]))
            }
            (Self::MeanPool(options), Value::Images(x)) => {
                let x = module::avg_pool2d(x.permute([0, 3, 1, 2]), options.clone());
                Value::Images(x.permute([0, 2, 3, 1]))
            }
            (Self::GlobalMean, Value::Images(x)) => {
                let [batch, height, width, channels] = x.dims();
                let x = x.reshape([batch, height * width, channels]).mean_dim(1);
                Value::Rows(x.reshape([batch, channels]))
            }
            (Self::Flatten, Value::Images(x)) => Value::Rows(rows(x)),
            (Self::Residual { layers, shortcut, activation }, x) => match (run(layers, x.clone()), run(shortcut, x)) {
                (Value::Images(a), Value::Images(b)) => Value::Images(activate(a + b, *activation)),
                (Value::Rows(a), Value::Rows(b)) => Value::Rows(activate(a + b, *activation)),
                _ => unreachable!("the two ways were checked to end alike"),
            },
            _ => unreachable!("the description was checked"),
        }
    }
}

impl Source<'_> {
    /// The layers as steps, and the form of what comes out. `first` is the number of the first layer.
    fn steps(
        &mut self,
        layers: &[Layer],
        mut form: Form,
        within: &str,
        first: usize,
    ) -> Result<(Vec<Step>, Form), DescribedError> {
        let mut steps = Vec::new();
        for (index, layer) in layers.iter().enumerate() {
            let at = format!("{within}{}", first + index);
            let step;
            (step, form) = self.step(layer, form, &at)?;
            steps.push(step);
        }
        Ok((steps, form))
    }

    fn step(&mut self, layer: &Layer, form: Form, at: &str) -> Result<(Step, Form), DescribedError> {
        let wrong = |what: String| DescribedError::Layer { at: at.to_owned(), what };
        let image = || match form {
            Form::Images(shape) => Ok(shape),
            Form::Rows(n) => Err(wrong(format!("it needs images, and gets rows of {n} numbers"))),
        };
        Ok(match layer {
            Layer::Conv { name, stride, padding, norm, activation } => {
                let [height, width, channels] = image()?;
                let shape: [usize; 4] = self.shape(&format!("{name}.weight"))?;
                if shape[1] != channels {
                    return Err(wrong(format!("`{name}` takes {} channels, and gets {channels}", shape[1])));
                }
                let options =
                    ConvOptions { stride: [*stride; 2], padding: [[*padding; 2]; 2], ..ConvOptions::default() };
                let size = (*stride > 0).then(|| options.output_size([height, width], [shape[2], shape[3]])).flatten();
                let [height, width] =
                    size.ok_or_else(|| wrong(format!("`{name}` does not fit an image of {height}x{width} pixels")))?;
                // PyTorch's own ε.
                let norm = norm.as_deref().map(|name| Norm { name, eps: 1e-5 });
                let (weight, bias) = self.conv(name, shape, norm)?;
                let step = Step::Conv { weight, bias, options, activation: *activation };
                (step, Form::Images([height, width, shape[0]]))
            }
            Layer::Linear { name, activation } => {
                let Form::Rows(inputs) = form else {
                    return Err(wrong(format!(
                        "`{name}` needs rows: put a `flatten` or a `global-mean` layer before it"
                    )));
                };
                let weight_name = format!("{name}.weight");
                let [outputs, takes] = self.shape(&weight_name)?;
                if takes != inputs {
                    return Err(wrong(format!("`{name}` takes {takes} numbers, and gets {inputs}")));
                }
                let weight = self.array(&weight_name, &[outputs, inputs])?.values.clone();
                let weight = self.tensor(weight, [outputs, inputs]);
                let bias = self.bias(&format!("{name}.bias"), outputs)?;
                let bias = self.vector(bias);
                (Step::Linear { weight, bias, activation: *activation }, Form::Rows(outputs))
            }
            Layer::MaxPool { size, stride, padding } => {
                let form = pooled(image()?, *size, *stride, *padding).ok_or_else(|| wrong(NO_WINDOW.to_owned()))?;
                let options = MaxPoolOptions {
                    kernel_size: [*size; 2],
                    stride: [*stride; 2],
                    padding: [(*padding, *padding); 2],
                    dilation: [1; 2],
                    ceil_mode: false,
                };
                (Step::MaxPool(options), form)
            }
            Layer::MeanPool { size, stride } => {
                let form = pooled(image()?, *size, *stride, 0).ok_or_else(|| wrong(NO_WINDOW.to_owned()))?;
                let options = AvgPoolOptions {
                    kernel_size: [*size; 2],
                    stride: [*stride; 2],
                    padding: [(0, 0); 2],
                    count_include_pad: false,
                    ceil_mode: false,
                };
                (Step::MeanPool(options), form)
            }
            Layer::GlobalMean => (Step::GlobalMean, Form::Rows(image()?[2])),
            Layer::Flatten => (Step::Flatten, Form::Rows(image()?.iter().product())),
            Layer::Residual { layers, shortcut, activation } => {
                let (layers, end) = self.steps(layers, form, &format!("{at}."), 0)?;
                let (shortcut, short_end) = self.steps(shortcut, form, &format!("{at}.shortcut."), 0)?;
                if end != short_end {
                    return Err(wrong(format!("its layers end in {end:?}, its shortcut in {short_end:?}")));
                }
                (Step::Residual { layers, shortcut, activation: *activation }, end)
            }
            Layer::Features => return Err(wrong("`features` cannot stand within another layer".to_owned())),
        })
    }
}

const NO_WINDOW: &str = "its windows do not fit the image (the padding must be less than half of one)";

fn pooled([height, width, channels]: [usize; 3], size: usize, stride: usize, padding: usize) -> Option<Form> {
    let options = ConvOptions { stride: [stride; 2], padding: [[padding; 2]; 2], ..ConvOptions::default() };
    let sound = size > 0 && stride > 0 && 2 * padding <= size;
    let [height, width] = sound.then(|| options.output_size([height, width], [size; 2])).flatten()?;
    Some(Form::Images([height, width, channels]))
}

#[cfg(test)]
mod tests;
