//! Every network of autoregressive models, small: a new one adds one line to [`NETS`].

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use genera::Rng;
use genera::autoregressive::{Autoregressive, AutoregressiveConfig, Conditional, Draw};
use genera::nn::{
    Activation, Alphabet, Causal, Cursor, Degrees, GatedPixelCnn, GatedPixelCnnConfig, ImageGpt, ImageGptConfig, Made,
    MadeBlock, MadeConfig, MarkovNet, MarkovNetConfig, Order, PixelCnn, PixelCnnConfig, RecurrentNet,
    RecurrentNetConfig, WaveNet, WaveNetConfig,
};
use genera::traits::Rows;

pub type Model = Autoregressive<AnyNet>;
/// A network for rows of a shape `[C, H, W]`, an alphabet and a number of outputs, `scale` times as wide as the least.
pub type Constructor = fn([usize; 3], Alphabet, usize, usize) -> AnyNet;

#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there are few of it")]
pub enum AnyNet {
    Markov(MarkovNet),
    Recurrent(RecurrentNet),
    WaveNet(WaveNet),
    Made(Made),
    PixelCnn(PixelCnn),
    Gated(GatedPixelCnn),
    ImageGpt(ImageGpt),
}

macro_rules! each {
    ($self:ident, $net:ident => $result:expr) => {
        match $self {
            Self::Markov($net) => $result,
            Self::Recurrent($net) => $result,
            Self::WaveNet($net) => $result,
            Self::Made($net) => $result,
            Self::PixelCnn($net) => $result,
            Self::Gated($net) => $result,
            Self::ImageGpt($net) => $result,
        }
    };
}

impl Causal for AnyNet {
    fn orders(&self) -> &[Vec<usize>] {
        each!(self, net => net.orders())
    }

    fn outputs(&self) -> usize {
        each!(self, net => net.outputs())
    }

    fn forward(&self, x: Rows, order: usize) -> Tensor<3> {
        each!(self, net => net.forward(x, order))
    }

    fn cursor(&self, order: usize, rows: usize) -> Box<dyn Cursor + '_> {
        each!(self, net => net.cursor(order, rows))
    }
}

pub fn device() -> Device {
    Device::flex()
}

pub fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.try_into_vec_as::<f32>().unwrap()
}

fn rng() -> Rng {
    Rng::new(11)
}

fn made(config: MadeConfig, shape: [usize; 3], alphabet: Alphabet, outputs: usize, scale: usize) -> AnyNet {
    let config = MadeConfig { width: config.width * scale, ..config };
    AnyNet::Made(config.init(shape.iter().product(), alphabet, outputs, &mut rng(), &device()).unwrap())
}

fn pixelcnn(config: PixelCnnConfig, shape: [usize; 3], alphabet: Alphabet, outputs: usize, scale: usize) -> AnyNet {
    let config = PixelCnnConfig { filters: 12 * scale, layers: 2, kernel: 3, ..config };
    AnyNet::PixelCnn(config.init(shape, alphabet, outputs, &mut rng(), &device()).unwrap())
}

pub const NETS: [(&str, Constructor); 11] = [
    ("Markov", |shape, alphabet, outputs, scale| {
        let config = MarkovNetConfig { depth: 3, hidden: vec![10 * scale, 8], activation: Activation::Tanh };
        AnyNet::Markov(config.init(shape.iter().product(), alphabet, outputs, &mut rng(), &device()).unwrap())
    }),
    ("recurrent", |shape, alphabet, outputs, scale| {
        let config = RecurrentNetConfig { width: 9 * scale };
        AnyNet::Recurrent(config.init(shape.iter().product(), alphabet, outputs, &mut rng(), &device()).unwrap())
    }),
    ("WaveNet", |shape, alphabet, outputs, scale| {
        let config = WaveNetConfig { channels: 5 * scale, skip: 7, layers: 3 };
        AnyNet::WaveNet(config.init(shape.iter().product(), alphabet, outputs, &mut rng(), &device()).unwrap())
    }),
    ("MADE", |shape, alphabet, outputs, scale| {
        made(MadeConfig { width: 30, blocks: 2, ..MadeConfig::default() }, shape, alphabet, outputs, scale)
    }),
    ("reversed MADE", |shape, alphabet, outputs, scale| {
        // Fewer units than degrees.
        let config = MadeConfig { width: 4, blocks: 0, order: Order::Reversed, ..MadeConfig::default() };
        made(config, shape, alphabet, outputs, scale)
    }),
    ("residual MADE", |shape, alphabet, outputs, scale| {
        let config = MadeConfig { width: 24, blocks: 2, block: MadeBlock::Residual, ..MadeConfig::default() };
        made(config, shape, alphabet, outputs, scale)
    }),
    ("order-agnostic MADE", |shape, alphabet, outputs, scale| {
        let (order, degrees) = (Order::Random { seed: 3, count: 3 }, Degrees::Random { seed: 4 });
        let config = MadeConfig { width: 32, blocks: 1, order, degrees, ..MadeConfig::default() };
        made(config, shape, alphabet, outputs, scale)
    }),
    ("plain PixelCNN", |shape, alphabet, outputs, scale| {
        let config = PixelCnnConfig { norm: false, residual: false, ..PixelCnnConfig::default() };
        pixelcnn(config, shape, alphabet, outputs, scale)
    }),
    ("PixelCNN", |shape, alphabet, outputs, scale| {
        pixelcnn(
            PixelCnnConfig { norm: true, residual: true, ..PixelCnnConfig::default() },
            shape,
            alphabet,
            outputs,
            scale,
        )
    }),
    ("Gated PixelCNN", |shape, alphabet, outputs, scale| {
        let config = GatedPixelCnnConfig { filters: 12 * scale, layers: 3, kernel: 3 };
        AnyNet::Gated(config.init(shape, alphabet, outputs, &mut rng(), &device()).unwrap())
    }),
    ("Image GPT", |shape, alphabet, outputs, scale| {
        let config = ImageGptConfig { width: 8 * scale, layers: 2, heads: 2, ..ImageGptConfig::default() };
        AnyNet::ImageGpt(config.init(shape.iter().product(), alphabet, outputs, &mut rng(), &device()).unwrap())
    }),
];

pub fn model(
    net: &Constructor,
    conditional: Conditional,
    alphabet: Alphabet,
    shape: [usize; 3],
    scale: usize,
) -> Model {
    let net = net(shape, alphabet, conditional.outputs(), scale);
    AutoregressiveConfig { conditional, draw: Draw::default() }.init(net).unwrap()
}

/// Every network with every kind of whole numbers: name, model, shape of a row, number of values.
pub fn discrete() -> Vec<(String, Model, [usize; 3], usize)> {
    let kinds = [
        (Conditional::Bernoulli, Alphabet::Levels(2), [1, 2, 3]),
        (Conditional::Categorical { levels: 3 }, Alphabet::Symbols(3), [3, 2, 1]),
        (Conditional::DiscretisedLogistics { components: 2, levels: 3 }, Alphabet::Levels(3), [2, 3, 1]),
    ];
    let of = |(conditional, alphabet, shape): (Conditional, Alphabet, [usize; 3])| {
        NETS.iter().map(move |(name, net)| {
            let size = alphabet.size().unwrap();
            (format!("{name}, {conditional:?}"), model(net, conditional, alphabet, shape, 1), shape, size)
        })
    };
    kinds.into_iter().flat_map(of).collect()
}

/// Every network that reads real numbers, on the plane.
pub fn real() -> Vec<(String, Model)> {
    let kinds = [Conditional::Gaussian, Conditional::Logistics { components: 2 }];
    let nets = NETS.iter().filter(|(name, _)| *name != "Image GPT");
    let of = |(name, net): &(&str, Constructor)| {
        kinds.map(|kind| (format!("{name}, {kind:?}"), model(net, kind, Alphabet::Real, [1, 1, 2], 1)))
    };
    nets.flat_map(of).collect()
}
