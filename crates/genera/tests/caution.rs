//! Drawing with caution: no caution is the model itself, more of it means less variety, rows do not know each other.

use genera::autoregressive::{AutoregressiveConfig, Conditional};
use genera::burn::tensor::Device;
use genera::continuous::{ContinuousFlowConfig, FieldMlpConfig};
use genera::flow::FlowConfig;
use genera::nn::{Alphabet, MadeConfig};
use genera::traits::{Caution, Cautious, Model, Rows, Tokens};
use genera::vae::{
    Decoder, GaussianEncoder, Learnt, LikelihoodConfig, MixturePrior, NetConfig, Observe, Prior, StandardNormal, Vae,
    VaeConfig, VampPrior,
};
use genera::{Rng, vae};

fn device() -> Device {
    Device::flex()
}

fn values(x: Rows) -> Vec<f64> {
    x.to_data().iter::<f32>().map(f64::from).collect()
}

/// The mean over columns of their variance.
fn spread(x: Rows) -> f64 {
    let [n, width] = x.dims();
    let x = values(x);
    let column = |j: usize| x.iter().skip(j).step_by(width);
    let mean = |j: usize| column(j).sum::<f64>() / n as f64;
    (0..width).map(|j| column(j).map(|v| (v - mean(j)).powi(2)).sum::<f64>() / (n * width) as f64).sum()
}

const NONE: Caution = Caution::Temperature(1.0);

/// What holds of a model for each kind of caution that it can take.
fn laws(name: &str, model: &dyn Model, kinds: &[fn(f64) -> Caution]) {
    let view = model.view();
    let (plain, cautious) = (view.sample.unwrap(), view.cautious.unwrap());
    let draw = |caution: Caution, n: usize, rng: &mut Rng| cautious.with_caution(caution).unwrap().sample(n, rng);
    for kind in kinds {
        let itself = if kind(1.0) == NONE { NONE } else { kind(f64::INFINITY) };
        let seed = || Rng::new(3).fork(name);
        assert_eq!(values(plain.sample(20, &mut seed())), values(draw(itself, 20, &mut seed())), "{name}");
        let (whole, part) = (draw(kind(0.5), 12, &mut seed()), draw(kind(0.5), 5, &mut seed().rows_from(7)));
        assert_eq!(values(whole)[7 * part.dims()[1]..], values(part)[..], "{name}");
        let spreads = [0.3, 0.8].map(|at| spread(draw(kind(at), 400, &mut seed())));
        assert!(spreads[0] < spreads[1] && spreads[1] < spread(plain.sample(400, &mut seed())), "{name}: {spreads:?}");
        assert!(cautious.with_caution(kind(-1.0)).is_none(), "{name}");
    }
}

const BOTH: [fn(f64) -> Caution; 2] = [Caution::Temperature, Caution::Truncation];

#[test]
fn flows() {
    let flow = |base: &str| {
        let json = format!(r#"{{"architecture": {{"kind": "plu"}}, "base": {base}}}"#);
        let config: FlowConfig = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
        config.init(&[2], Some(3), &mut Rng::new(1), &device()).unwrap()
    };
    laws("normal base", &flow(r#""normal""#), &BOTH);
    laws("class normals", &flow(r#""classes""#), &BOTH);
    laws("mixture base", &flow(r#"{"mixture": 4}"#), &BOTH);
    let uniform = flow(r#"{"uniform": {"low": -1.0, "high": 1.0}}"#);
    assert!(uniform.with_caution(NONE).is_none(), "uniform noise has no deviation to turn down");
    let field = FieldMlpConfig::default().init(2, &mut Rng::new(1), &device()).unwrap();
    laws("continuous flow", &ContinuousFlowConfig::default().init(field).unwrap(), &BOTH);
}

#[test]
fn autoencoders() {
    let net = NetConfig::Mlp { hidden: vec![16] };
    let encoder = || GaussianEncoder::new(net.encoder(&[1, 4, 4], 0, 6, &mut Rng::new(7), &device()).unwrap());
    let mixture = MixturePrior::new(3, 5, &mut Rng::new(6), &device());
    let inputs = genera::burn::tensor::Tensor::from_data(
        genera::burn::tensor::TensorData::new(Rng::new(4).normal(5, 16), [5, 16]),
        &device(),
    );
    fn check<P: genera::burn::module::Module + genera::burn::module::ModuleDisplay + Prior<Encoder>>(
        name: &str,
        encoder: Encoder,
        net: &NetConfig,
        prior: P,
    ) {
        let likelihood = LikelihoodConfig::Bernoulli;
        let decoder = net.decoder(3, 0, &[1, 4, 4], likelihood.parameters(), &mut Rng::new(8), &device()).unwrap();
        let decoder = Decoder::new(decoder, likelihood, &device()).unwrap();
        // Means: a draw of bits would hide what the latents do.
        let config = VaeConfig { observe: Observe::Mean, ..VaeConfig::new(3) };
        let model: Vae<_, _, _> = config.init(encoder, decoder, prior).unwrap();
        laws(name, &model, &BOTH);
    }
    check("standard normal", encoder(), &net, StandardNormal::new(3, &device()));
    check("mixture", encoder(), &net, mixture.clone());
    check("learnt", encoder(), &net, Learnt::new(mixture));
    check("vamp", encoder(), &net, VampPrior::new(inputs));
}

type Encoder = GaussianEncoder<vae::Network>;

#[test]
fn autoregressive_models_have_a_temperature() {
    let conditional = Conditional::Gaussian;
    let net = MadeConfig { width: 12, ..MadeConfig::default() };
    let net = net.init(4, Alphabet::Real, conditional.outputs(), &mut Rng::new(2), &device()).unwrap();
    let model = AutoregressiveConfig { conditional, draw: Default::default() }.init(net).unwrap();
    laws("made", &model, &[Caution::Temperature]);
    assert!(Cautious::<Rows>::with_caution(&model, Caution::Truncation(1.0)).is_none());
    assert!(Cautious::<Rows>::with_caution(&model, Caution::Temperature(0.0)).is_none(), "logits over zero");
    let whole: Tokens = Cautious::<Tokens>::with_caution(&model, NONE).unwrap().sample(2, &mut Rng::new(1));
    assert_eq!(whole.dims(), [2, 4]);
}
