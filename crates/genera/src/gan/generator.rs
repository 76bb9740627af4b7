//! Generators, as recipes write them: noise, the class where there is one, and a network behind them.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use genera_kernels::Activation;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::adversarial::Generate;
use super::error::GanError;
use super::networks::{halved, mlp, some};
use crate::caution::{Caution, sampler};
use crate::nn::{DcganGenerator, Embedding, Labelled, Mlp, ResidualGenerator};
use crate::traits::{Cautious, Net, Rows, Sample};

/// Where samples start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Noise {
    /// `N(0, I)`.
    #[default]
    Normal,
    /// Uniform on an interval, in every direction.
    Uniform {
        /// Where it begins.
        low: f64,
        /// Where it ends.
        high: f64,
    },
}

/// A generator, apart from what the data say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorConfig {
    /// The length of `z`.
    pub latents: usize,
    /// What `z` is.
    #[serde(default)]
    pub noise: Noise,
    /// What comes after it.
    pub net: GeneratorNetConfig,
}

/// From `z` to a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum GeneratorNetConfig {
    /// A perceptron with ReLU.
    Mlp {
        /// Widths of the hidden layers.
        hidden: Vec<usize>,
    },
    /// Transposed convolutions, then tanh.
    Dcgan {
        /// Channels before each doubling.
        channels: Vec<usize>,
    },
    /// Residual blocks that double the image, then tanh.
    Residual {
        /// Channels of every block.
        channels: usize,
        /// How many blocks.
        doublings: usize,
    },
}

impl GeneratorConfig {
    /// Fresh weights for rows of `shape`, and for labels if there are `classes`.
    ///
    /// # Errors
    /// A width or a number of latents of zero, an empty interval, or images where there are none.
    pub fn init(
        &self,
        shape: &[usize],
        classes: Option<usize>,
        rng: &mut Rng,
        device: &Device,
    ) -> Result<Generator, GanError> {
        some("latents", self.latents)?;
        if let Noise::Uniform { low, high } = self.noise
            && !(low < high && low.is_finite() && high.is_finite())
        {
            return Err(GanError::Interval { low, high });
        }
        let label = classes.map(|classes| Embedding::new(classes, self.latents, rng, device));
        let inputs = self.latents * if label.is_some() { 2 } else { 1 };
        let net = match &self.net {
            GeneratorNetConfig::Mlp { hidden } => {
                GeneratorNet::Mlp(mlp(inputs, hidden, shape.iter().product(), Activation::Relu, rng, device)?)
            }
            GeneratorNetConfig::Dcgan { channels } => {
                some("channels", channels.len())?;
                channels.iter().try_for_each(|width| some("channels", *width))?;
                let shape = halved(shape, channels.len())?;
                GeneratorNet::Dcgan(DcganGenerator::new(inputs, channels, shape, rng, device))
            }
            GeneratorNetConfig::Residual { channels, doublings } => {
                some("channels", *channels)?;
                let shape = halved(shape, *doublings)?;
                GeneratorNet::Residual(ResidualGenerator::new(inputs, *channels, *doublings, shape, rng, device))
            }
        };
        Ok(Generator { net, label, latents: self.latents, noise: self.noise, device: device.clone() })
    }
}

/// A network behind noise: `[B, latents] -> [B, F]`.
#[derive(Module, Debug)]
pub struct Generator {
    net: GeneratorNet,
    label: Option<Embedding>,
    #[module(skip)]
    latents: usize,
    #[module(skip)]
    noise: Noise,
    #[module(skip)]
    device: Device,
}

/// What [`GeneratorNetConfig`] describes.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub enum GeneratorNet {
    /// A perceptron.
    Mlp(Mlp),
    /// Transposed convolutions.
    Dcgan(DcganGenerator),
    /// Residual blocks.
    Residual(ResidualGenerator),
}

impl Generator {
    /// The generator of rows of these classes, row `i` of class `labels[i mod len]`.
    pub fn given(&self, labels: Vec<usize>) -> Given<'_> {
        Given { generator: self, labels }
    }

    /// Whether it is told classes.
    pub fn is_conditional(&self) -> bool {
        self.label.is_some()
    }

    /// What `z` becomes; classes, where there are any, are drawn evenly.
    fn draw(&self, z: Rows, rng: &mut Rng) -> Rows {
        let n = z.dims()[0];
        let labels = self.label.as_ref().map(|label| self.labels(rng.below(n, label.classes()).into_iter()));
        self.forward(Labelled { x: z, labels })
    }

    /// Latents, row-major, as rows.
    fn rows(&self, z: Vec<f32>) -> Rows {
        let n = z.len() / self.latents;
        Tensor::from_data(TensorData::new(z, [n, self.latents]), &self.device)
    }

    fn labels(&self, classes: impl Iterator<Item = usize>) -> Tensor<1, Int> {
        let classes: Vec<i32> = classes.map(|class| class as i32).collect();
        let rows = classes.len();
        Tensor::from_data(TensorData::new(classes, [rows]), &self.device)
    }
}

impl Net<Labelled> for Generator {
    fn forward(&self, Labelled { x: z, labels }: Labelled) -> Rows {
        let z = match self.label.as_ref().zip(labels) {
            Some((label, labels)) => Tensor::cat(vec![z, label.forward(labels)], 1),
            None => z,
        };
        match &self.net {
            GeneratorNet::Mlp(net) => net.forward(z),
            GeneratorNet::Dcgan(net) => net.forward(z),
            GeneratorNet::Residual(net) => net.forward(z),
        }
    }
}

impl Generate for Generator {
    fn noise(&self, n: usize, rng: &mut Rng) -> Rows {
        let values = match self.noise {
            Noise::Normal => rng.normal(n, self.latents),
            Noise::Uniform { low, high } => {
                let place = |u: f32| (low + (high - low) * f64::from(u)) as f32;
                rng.uniform(n, self.latents).into_iter().map(place).collect()
            }
        };
        self.rows(values)
    }

    fn cautious(&self) -> Option<&dyn Cautious> {
        (self.noise == Noise::Normal).then_some(self)
    }
}

impl Sample for Generator {
    /// Classes, where there are any, are drawn evenly.
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        let z = self.noise(n, rng);
        self.draw(z, rng)
    }
}

impl Cautious for Generator {
    /// The truncation trick of Brock et al., "BigGAN" (arXiv:1809.11096), or scaled noise; of normal noise alone.
    fn with_caution(&self, caution: Caution) -> Option<Box<dyn Sample + '_>> {
        let draw = move |n, rng: &mut Rng| self.draw(self.rows(caution.normals(n, self.latents, rng)), rng);
        (self.noise == Noise::Normal && caution.is_of_noise()).then(|| sampler(draw))
    }
}

/// A generator that is told which classes to draw.
pub struct Given<'a> {
    generator: &'a Generator,
    labels: Vec<usize>,
}

impl Sample for Given<'_> {
    fn sample(&self, n: usize, rng: &mut Rng) -> Rows {
        let x = self.generator.noise(n, rng);
        let labels =
            (!self.labels.is_empty()).then(|| self.generator.labels(self.labels.iter().copied().cycle().take(n)));
        self.generator.forward(Labelled { x, labels })
    }
}
