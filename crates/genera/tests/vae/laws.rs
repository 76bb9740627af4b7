//! The laws of a model, for every likelihood, network, objective, posterior and prior.

use genera::Rng;
use genera::burn::module::{Module, ModuleDisplay};
use genera::train::Gradients;
use genera::traits::{Batch, Codec, LowerBound, Model, Rows, Sample};
use genera::vae::{
    Annealing, BitsEncoder, Decode, Decoder, Encode, FairCoins, GaussianEncoder, InverseFlowConfig, InverseFlowEncoder,
    Learnt, LikelihoodConfig, MixturePrior, NetConfig, Objective, PathGradient, PixelDecoderConfig, PlanarEncoder,
    Prior, Spread, StandardNormal, Vae, VaeConfig, VampPrior,
};
use genera::weights::{apply, collect};

use super::{device, host, mean, rows};

/// A small model of 4x4 pictures for every combination below.
fn small<E: Module + Encode, P: Module + Prior<E>>(
    encoder: E,
    prior: P,
    likelihood: LikelihoodConfig,
    net: &NetConfig,
    objective: Objective,
) -> Vae<E, Decoder<genera::vae::Network>, P> {
    let mut rng = Rng::new(8);
    let net = net.decoder(3, 0, &[1, 4, 4], likelihood.parameters(), &mut rng, &device()).unwrap();
    let decoder = Decoder::new(net, likelihood, &device()).unwrap();
    VaeConfig { objective, ..VaeConfig::new(3) }.init(encoder, decoder, prior).unwrap()
}

/// Stripes and their opposite, in the range of the likelihood.
fn pictures(n: usize, likelihood: LikelihoodConfig) -> Rows {
    let bits = (0..n).flat_map(|i| (0..16).map(move |p| f64::from(u8::from((p / 4 + i) % 2 == 0))));
    let scale = |bit: f64| match likelihood {
        LikelihoodConfig::Bernoulli => bit,
        LikelihoodConfig::Categorical { .. } => 2.0 * bit,
        _ => 2.0 * bit - 1.0,
    };
    rows(&bits.map(scale).collect::<Vec<_>>(), 16)
}

/// Every parameter gets a gradient, the loss falls, what is saved comes back, and samples know nothing of each other.
fn laws<E, D, P>(name: &str, vae: Vae<E, D, P>, likelihood: LikelihoodConfig)
where
    E: Module + ModuleDisplay + Encode,
    D: Module + ModuleDisplay + Decode,
    P: Module + ModuleDisplay + Prior<E>,
{
    let x = pictures(24, likelihood);
    let batch = || Batch { x: x.clone(), labels: None };
    let trained = vae.clone().train();
    let loss = trained.loss(batch(), &mut Rng::new(1));
    let gradients = Gradients::of(&loss.value, &trained);
    for parameter in collect(&vae).keys() {
        let found = gradients.values(parameter);
        assert!(found.is_some_and(|g| g.iter().any(|g| *g != 0.0)), "{name}: {parameter} has no gradient");
    }
    let config = serde_json::from_str(r#"{"optimizer": {"kind": "adam", "learning_rate": 0.01}}"#).unwrap();
    let mut descent = genera::train::Descent::new(vae.clone(), config, 30).unwrap();
    let losses: Vec<f64> = (0..30)
        .map(|step| genera::traits::Learner::step(&mut descent, vec![batch()], &mut Rng::new(9).at(step)).unwrap()[0].1)
        .collect();
    assert!(mean(&losses[25..]) < mean(&losses[..5]), "{name}: {losses:?}");
    let model = descent.model().clone();
    let bound = |model: &Vae<E, D, P>| model.lower_bound(x.clone(), &mut Rng::new(2));
    assert_eq!(bound(&apply(vae, &collect(&model)).unwrap()), bound(&model), "{name}");
    let whole = host(model.sample(24, &mut Rng::new(3)));
    let parts: Vec<f64> = (0..3).flat_map(|i| host(model.sample(8, &mut Rng::new(3).rows_from(8 * i)))).collect();
    assert_eq!(whole, parts, "{name}");
    assert_eq!(model.sample(0, &mut Rng::new(3)).dims(), [0, 16]);
    assert_eq!(model.decode(model.encode(x.clone())).dims(), [24, 16]);
}

#[test]
fn laws_of_every_likelihood_and_network() {
    let conv = NetConfig::Conv { channels: vec![8, 8], blocks: 0 };
    let residual = NetConfig::Conv { channels: vec![4, 8], blocks: 1 };
    let mlp = NetConfig::Mlp { hidden: vec![16] };
    for (likelihood, net) in [
        (LikelihoodConfig::Bernoulli, &conv),
        (LikelihoodConfig::Bernoulli, &residual),
        (LikelihoodConfig::Categorical { levels: 3 }, &conv),
        (LikelihoodConfig::Gaussian { spread: Spread::Fixed(0.5) }, &mlp),
        (LikelihoodConfig::Gaussian { spread: Spread::Shared }, &mlp),
        (LikelihoodConfig::Gaussian { spread: Spread::Each }, &mlp),
        (LikelihoodConfig::DiscretisedLogistic { levels: 17, components: 2 }, &mlp),
        (LikelihoodConfig::DiscretisedGaussian { levels: 17 }, &conv),
    ] {
        let encoder = net.encoder(&[1, 4, 4], 0, 6, &mut Rng::new(7), &device()).unwrap();
        let prior = StandardNormal::new(3, &device());
        let vae = small(GaussianEncoder::new(encoder), prior, likelihood, net, Objective::default());
        laws(&format!("{likelihood:?} {net:?}"), vae, likelihood);
    }
}

#[test]
fn laws_of_decoders_that_paint() {
    let net = NetConfig::Mlp { hidden: vec![16] };
    for likelihood in [LikelihoodConfig::Bernoulli, LikelihoodConfig::Categorical { levels: 3 }] {
        let encoder = GaussianEncoder::new(net.encoder(&[1, 4, 4], 0, 6, &mut Rng::new(7), &device()).unwrap());
        let painter = PixelDecoderConfig { filters: 8, layers: 1, kernel: 3 };
        let decoder = painter.init(3, [1, 4, 4], likelihood, &mut Rng::new(8), &device()).unwrap();
        let vae = VaeConfig::new(3).init(encoder, decoder, StandardNormal::new(3, &device())).unwrap();
        laws(&format!("painting {likelihood:?}"), vae, likelihood);
    }
}

#[test]
fn laws_of_every_objective_posterior_and_prior() {
    let (net, bits) = (NetConfig::Mlp { hidden: vec![16] }, LikelihoodConfig::Bernoulli);
    let network = |outputs| net.encoder(&[1, 4, 4], 0, outputs, &mut Rng::new(7), &device()).unwrap();
    let gaussian = || GaussianEncoder::new(network(6));
    let normal = || StandardNormal::new(3, &device());
    let capacity = Some(genera::vae::Capacity { nats: 2.0, steps: 10, weight: 3.0 });
    for objective in [
        Objective::Elbo { beta: Annealing::Linear { beta: 1.0, steps: 10 }, free_bits: 0.0, capacity: None },
        Objective::Elbo { beta: Annealing::default(), free_bits: 0.1, capacity: None },
        Objective::Elbo { beta: Annealing::default(), free_bits: 0.0, capacity },
        Objective::Iwae { samples: 4, gradient: PathGradient::Reparametrised },
        Objective::Iwae { samples: 4, gradient: PathGradient::DoublyReparametrised },
        Objective::Wae { weight: 10.0 },
    ] {
        laws(&format!("{objective:?}"), small(gaussian(), normal(), bits, &net, objective), bits);
    }
    let mut rng = Rng::new(6);
    let elbo = Objective::default();
    let mixture = MixturePrior::new(3, 5, &mut rng, &device());
    laws("mixture", small(gaussian(), mixture.clone(), bits, &net, elbo), bits);
    laws("learnt", small(gaussian(), Learnt::new(mixture), bits, &net, elbo), bits);
    laws("vamp", small(gaussian(), VampPrior::new(pictures(5, bits)), bits, &net, elbo), bits);
    let flow = InverseFlowConfig { steps: 2, hidden: 8, context: 4 };
    let inverse: InverseFlowEncoder<_> = flow.init(network(flow.outputs(3)), 3, &mut rng, &device());
    laws("inverse flow", small(inverse, normal(), bits, &net, elbo), bits);
    let planar = PlanarEncoder::new(network(PlanarEncoder::<genera::vae::Network>::outputs(3, 2)), 3);
    laws("planar", small(planar, normal(), bits, &net, elbo), bits);
    let binary = || BitsEncoder::new(network(3), 0.7).unwrap();
    laws("binary", small(binary(), FairCoins::new(3, &device()), bits, &net, elbo), bits);
    let iwae = Objective::Iwae { samples: 4, gradient: PathGradient::Reparametrised };
    laws("binary, many draws", small(binary(), FairCoins::new(3, &device()), bits, &net, iwae), bits);
    assert!(BitsEncoder::new(network(3), 0.0).is_err());
}
