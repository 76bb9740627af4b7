//! Autoencoders against plain PyTorch with equal weights; the golden file is written by `parity/vae.py`.

use genera::Rng;
use genera::burn::module::Module;
use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::train::Gradients;
use genera::traits::{Batch, Codec, Model, Rows};
use genera::vae::vq::{GridConfig, QuantiserConfig, VqVaeConfig};
use genera::vae::{Decoder, GaussianEncoder, LikelihoodConfig, NetConfig, Spread, StandardNormal, VaeConfig};
use genera::weights::{Weights, apply, read};

/// The arrays of one case: the weights, and what else belongs to it.
struct Case {
    weights: Weights,
    others: Weights,
}

fn case(name: &str) -> Case {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../parity/golden/vae.safetensors");
    let all = read(std::path::Path::new(path)).unwrap();
    let prefix = format!("{name}/");
    let own = all.into_iter().filter_map(|(name, array)| Some((name.strip_prefix(&prefix)?.to_owned(), array)));
    let (weights, others) = own.partition(|(name, _)| name.contains('.'));
    Case { weights, others }
}

impl Case {
    fn rows(&self, name: &str) -> Rows {
        let array = &self.others[name];
        Tensor::from_data(TensorData::new(array.values.clone(), array.shape.clone()), &Device::flex())
    }

    fn agrees(&self, name: &str, found: impl IntoIterator<Item = f64>) {
        let expected = &self.others[name].values;
        let found: Vec<f64> = found.into_iter().collect();
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(expected) {
            let expected = f64::from(*expected);
            assert!((found - expected).abs() < 1e-4 * expected.abs().max(1.0), "{name}: {found} {expected}");
        }
    }
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.to_data().convert::<f32>().iter::<f32>().map(f64::from).collect()
}

#[test]
fn bounds_are_those_of_a_plain_definition() {
    let device = Device::flex();
    for (name, likelihood) in [
        ("bernoulli", LikelihoodConfig::Bernoulli),
        ("categorical", LikelihoodConfig::Categorical { levels: 3 }),
        ("fixed", LikelihoodConfig::Gaussian { spread: Spread::Fixed(0.7) }),
        ("shared", LikelihoodConfig::Gaussian { spread: Spread::Shared }),
        ("each", LikelihoodConfig::Gaussian { spread: Spread::Each }),
        ("logistic", LikelihoodConfig::DiscretisedLogistic { levels: 17, components: 2 }),
        ("gaussian", LikelihoodConfig::DiscretisedGaussian { levels: 17 }),
    ] {
        let case = case(name);
        let (net, mut rng) = (NetConfig::Mlp { hidden: vec![7] }, Rng::new(1));
        let encoder = GaussianEncoder::new(net.encoder(&[6], 0, 4, &mut rng, &device).unwrap());
        let decoder = net.decoder(2, 0, &[6], likelihood.parameters(), &mut rng, &device).unwrap();
        let decoder = Decoder::new(decoder, likelihood, &device).unwrap();
        let vae = VaeConfig::new(2).init(encoder, decoder, StandardNormal::new(2, &device)).unwrap();
        let vae = apply(vae, &case.weights).unwrap();
        let eps = case.rows("eps");
        let first = eps.clone().reshape([4, 10]).narrow(1, 0, 2);
        let terms = vae.terms(case.rows("x"), None, first);
        case.agrees("elbo", host(terms.log_likelihood - terms.divergence));
        let log_w = host(vae.log_weights(case.rows("x"), None, eps));
        case.agrees("bound", log_w.chunks_exact(5).map(|w| (w.iter().map(|l| l.exp()).sum::<f64>() / 5.0).ln()));
    }
}

#[test]
fn vector_quantisation_is_that_of_a_plain_definition() {
    let (device, case) = (Device::flex(), case("vq"));
    let config = VqVaeConfig {
        net: GridConfig { channels: vec![4, 6, 8], blocks: 0 },
        quantiser: QuantiserConfig { codes: 5, width: 3, ..QuantiserConfig::default() },
        likelihood: LikelihoodConfig::Bernoulli,
        reconstruction: 1.0,
    };
    let model = apply(config.init([1, 8, 8], &mut Rng::new(1), &device).unwrap(), &case.weights).unwrap();
    case.agrees("codes", model.encode(case.rows("x")).to_data().iter::<i64>().map(|c| c as f64));
    let (log_p, quantised) = model.reconstruct(case.rows("x"));
    case.agrees("log_p", host(log_p));
    case.agrees("loss", host(quantised.loss));
    let training = model.train();
    let loss = training.loss(Batch { x: case.rows("x"), labels: None }, &mut Rng::new(1)).value;
    case.agrees("total", host(loss.clone().inner()));
    let gradients = Gradients::of(&loss, &training);
    // The codes learn by their own term alone, the encoder through the quantiser.
    case.agrees("codebook_gradient", gradients.values("quantiser.codebook").unwrap());
    case.agrees("encoder_gradient", gradients.values("encoder.down.convs.0.weight").unwrap());
}
