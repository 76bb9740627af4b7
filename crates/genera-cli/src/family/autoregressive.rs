//! Autoregressive models: what a recipe says of them, and the networks they may have.

use genera::autoregressive::{Autoregressive, AutoregressiveConfig, Conditional, Draw};
// The derive of `Module` names the crate `burn`.
use genera::burn;
use genera::burn::module::Module;
use genera::burn::tensor::{Device, Tensor};
use genera::nn::{
    Alphabet, Causal, CausalError, Cursor, GatedPixelCnn, GatedPixelCnnConfig, ImageGpt, ImageGptConfig, Made,
    MadeConfig, MarkovNet, MarkovNetConfig, PixelCnn, PixelCnnConfig, RecurrentNet, RecurrentNetConfig, Told, WaveNet,
    WaveNetConfig,
};
use genera::traits::Rows;
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::Offers;
use crate::data::Data;
use crate::failure::{Failure, Outcome};
use crate::recipe::Recipe;

/// An autoregressive model, apart from what its data says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoregressiveSpec {
    /// The distribution of an element given those before it.
    pub conditional: ConditionalSpec,
    /// How elements are drawn.
    #[serde(default)]
    pub draw: Draw,
    /// The network.
    pub net: CausalSpec,
}

/// A [`Conditional`] without the number of values, which the data know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ConditionalSpec {
    /// Zero or one, for binary views.
    Bernoulli,
    /// A probability for each value, for views of whole numbers.
    Categorical,
    /// A mixture of logistic distributions on grey levels.
    DiscretisedLogistics {
        /// How many.
        components: usize,
    },
    /// A normal number, for all other views.
    Gaussian,
    /// A mixture of logistic distributions, for all other views.
    Logistics {
        /// How many.
        components: usize,
    },
}

/// A network that sees earlier elements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum CausalSpec {
    /// A perceptron over the last few elements.
    Markov(MarkovNetConfig),
    /// A gated recurrent unit.
    Recurrent(RecurrentNetConfig),
    /// Dilated causal convolutions.
    Wavenet(WaveNetConfig),
    /// A masked autoencoder.
    Made(MadeConfig),
    /// Masked convolutions.
    Pixelcnn(PixelCnnConfig),
    /// Two gated stacks of masked convolutions.
    GatedPixelcnn(GatedPixelCnnConfig),
    /// A transformer.
    Imagegpt(ImageGptConfig),
}

/// What [`CausalSpec`] describes.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub enum CausalNet {
    Markov(MarkovNet),
    Recurrent(RecurrentNet),
    Wavenet(WaveNet),
    Made(Made),
    Pixelcnn(PixelCnn),
    GatedPixelcnn(GatedPixelCnn),
    Imagegpt(ImageGpt),
}

impl CausalNet {
    fn inner(&self) -> &dyn Causal {
        match self {
            Self::Markov(net) => net,
            Self::Recurrent(net) => net,
            Self::Wavenet(net) => net,
            Self::Made(net) => net,
            Self::Pixelcnn(net) => net,
            Self::GatedPixelcnn(net) => net,
            Self::Imagegpt(net) => net,
        }
    }
}

impl Causal for CausalNet {
    fn orders(&self) -> &[Vec<usize>] {
        self.inner().orders()
    }

    fn outputs(&self) -> usize {
        self.inner().outputs()
    }

    fn forward(&self, x: Rows, order: usize) -> Tensor<3> {
        self.inner().forward(x, order)
    }

    fn cursor(&self, order: usize, rows: usize) -> Box<dyn Cursor + '_> {
        self.inner().cursor(order, rows)
    }
}

/// Those of them that can be told something of each row.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there are few of it")]
pub enum ToldNet {
    Pixelcnn(PixelCnn),
    GatedPixelcnn(GatedPixelCnn),
    Imagegpt(ImageGpt),
}

impl ToldNet {
    fn inner(&self) -> &dyn Told {
        match self {
            Self::Pixelcnn(net) => net,
            Self::GatedPixelcnn(net) => net,
            Self::Imagegpt(net) => net,
        }
    }
}

impl Causal for ToldNet {
    fn orders(&self) -> &[Vec<usize>] {
        self.inner().orders()
    }

    fn outputs(&self) -> usize {
        self.inner().outputs()
    }

    fn forward(&self, x: Rows, order: usize) -> Tensor<3> {
        self.inner().forward(x, order)
    }

    fn cursor(&self, order: usize, rows: usize) -> Box<dyn Cursor + '_> {
        self.inner().cursor(order, rows)
    }
}

impl Told for ToldNet {
    fn forward_told(&self, x: Rows, order: usize, told: &Rows) -> Tensor<3> {
        self.inner().forward_told(x, order, told)
    }

    fn cursor_told(&self, order: usize, told: &Rows) -> Box<dyn Cursor + '_> {
        self.inner().cursor_told(order, told)
    }
}

/// How often a network is told something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// Once a row.
    OfRows,
    /// At each element.
    OfElements,
}

impl Offers for Autoregressive<CausalNet> {}

impl AutoregressiveSpec {
    /// A fresh model for the recipe's data.
    pub fn init(
        &self,
        recipe: &Recipe,
        data: &Data,
        rng: &mut Rng,
        device: &Device,
    ) -> Outcome<Autoregressive<CausalNet>> {
        let values = data.levels().and_then(|levels| recipe.data.view.values(levels)).map(usize::from);
        let conditional = self.conditional.on(values)?;
        let alphabet = values.map_or(Alphabet::Real, Alphabet::Levels);
        let net = self.net.init(&data.shape(), alphabet, conditional.outputs(), rng, device)?;
        Ok(AutoregressiveConfig { conditional, draw: self.draw }.init(net)?)
    }
}

impl ConditionalSpec {
    /// The conditional of elements that take so many values, or real ones.
    fn on(self, values: Option<usize>) -> Outcome<Conditional> {
        let wrong = |needed: &str| Err(Failure::new(format!("model.conditional: {needed}")));
        match (self, values) {
            (Self::Bernoulli, Some(2)) => Ok(Conditional::Bernoulli),
            (Self::Bernoulli, _) => wrong("bernoulli needs the data in the view binary or dynamic-binary"),
            (Self::Categorical, Some(levels)) => Ok(Conditional::Categorical { levels }),
            (Self::DiscretisedLogistics { components }, Some(levels)) => {
                Ok(Conditional::DiscretisedLogistics { components, levels })
            }
            (Self::Categorical | Self::DiscretisedLogistics { .. }, None) => {
                wrong("this one is for whole numbers; take the view tokens or binary, or gaussian or logistics")
            }
            (Self::Gaussian, None) => Ok(Conditional::Gaussian),
            (Self::Logistics { components }, None) => Ok(Conditional::Logistics { components }),
            (Self::Gaussian | Self::Logistics { .. }, Some(_)) => {
                wrong("this one is for real numbers; take another view, or categorical or discretised-logistics")
            }
        }
    }
}

impl CausalSpec {
    /// A network for rows of `shape` with elements of `alphabet`.
    pub fn init(
        &self,
        shape: &[usize],
        alphabet: Alphabet,
        outputs: usize,
        rng: &mut Rng,
        device: &Device,
    ) -> Outcome<CausalNet> {
        let length = shape.iter().product();
        let picture = || match shape {
            &[channels, height, width] => Ok([channels, height, width]),
            _ => Err(Failure::new(format!("model.net: PixelCNNs are for images, not rows of shape {shape:?}"))),
        };
        let net = match self {
            Self::Markov(config) => config.init(length, alphabet, outputs, rng, device).map(CausalNet::Markov),
            Self::Recurrent(config) => config.init(length, alphabet, outputs, rng, device).map(CausalNet::Recurrent),
            Self::Wavenet(config) => config.init(length, alphabet, outputs, rng, device).map(CausalNet::Wavenet),
            Self::Made(config) => config.init(length, alphabet, outputs, rng, device).map(CausalNet::Made),
            Self::Pixelcnn(config) => config.init(picture()?, alphabet, outputs, rng, device).map(CausalNet::Pixelcnn),
            Self::GatedPixelcnn(config) => {
                config.init(picture()?, alphabet, outputs, rng, device).map(CausalNet::GatedPixelcnn)
            }
            Self::Imagegpt(config) => config.init(length, alphabet, outputs, rng, device).map(CausalNet::Imagegpt),
        };
        net.map_err(|error: CausalError| Failure::new(format!("model.net: {error}")))
    }
}

impl CausalSpec {
    /// A network for grids of `size` codes that is told `context` numbers.
    pub fn init_told(
        &self,
        size: [usize; 2],
        codes: usize,
        (telling, context): (Telling, usize),
        rng: &mut Rng,
        device: &Device,
    ) -> Outcome<ToldNet> {
        let (shape, alphabet, numbers) = ([1, size[0], size[1]], Alphabet::Symbols(codes), [codes, context]);
        let net = match (self, telling) {
            (Self::Pixelcnn(config), _) => {
                config.init_given(shape, alphabet, numbers, rng, device).map(ToldNet::Pixelcnn)
            }
            (Self::GatedPixelcnn(config), _) => {
                config.init_given(shape, alphabet, numbers, rng, device).map(ToldNet::GatedPixelcnn)
            }
            (Self::Imagegpt(config), Telling::OfRows) => {
                config.init_given(size[0] * size[1], alphabet, numbers, rng, device).map(ToldNet::Imagegpt)
            }
            (_, Telling::OfRows) => {
                return Err(Failure::new(
                    "model.prior: this network cannot be told the class; take pixelcnn, gated-pixelcnn or imagegpt",
                ));
            }
            (_, Telling::OfElements) => {
                return Err(Failure::new(
                    "model.bottom: this network cannot be told codes of another grid; take pixelcnn or gated-pixelcnn",
                ));
            }
        };
        net.map_err(|error: CausalError| Failure::new(format!("model.prior: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conditional_needs_a_view_of_its_numbers() {
        let levels = Conditional::Categorical { levels: 17 };
        assert_eq!(ConditionalSpec::Bernoulli.on(Some(2)).unwrap(), Conditional::Bernoulli);
        assert_eq!(ConditionalSpec::Categorical.on(Some(17)).unwrap(), levels);
        assert_eq!(ConditionalSpec::Gaussian.on(None).unwrap(), Conditional::Gaussian);
        for (spec, values) in [
            (ConditionalSpec::Bernoulli, Some(17)),
            (ConditionalSpec::Bernoulli, None),
            (ConditionalSpec::Categorical, None),
            (ConditionalSpec::DiscretisedLogistics { components: 2 }, None),
            (ConditionalSpec::Gaussian, Some(2)),
            (ConditionalSpec::Logistics { components: 2 }, Some(17)),
        ] {
            let Err(Failure::Failed(message)) = spec.on(values) else { panic!("{spec:?} of {values:?} is accepted") };
            assert!(message.contains("model.conditional") && message.contains("view"), "{message}");
        }
    }
}
