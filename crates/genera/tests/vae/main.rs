//! Variational autoencoders: what every test of them reads with, classes that are asked for, settings that make no sense.

mod collapse;
mod flow_as_autoencoder;
mod laws;
mod linear_gaussian;
mod painting;

use genera::Rng;
use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::traits::{Batch, LowerBound, Rows, Sample};
use genera::vae::{
    Decoder, GaussianEncoder, LikelihoodConfig, NetConfig, Objective, Observe, PathGradient, Spread, StandardNormal,
    VaeConfig,
};
use linear_gaussian::{B, W, linear};

fn device() -> Device {
    Device::flex()
}

fn rows(values: &[f64], width: usize) -> Rows {
    let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
    let n = values.len() / width;
    Tensor::from_data(TensorData::new(values, [n, width]), &device())
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.inner_or_self().try_into_vec_as::<f32>().unwrap().into_iter().map(f64::from).collect()
}

/// Reading needs no autodiff.
trait InnerOrSelf {
    fn inner_or_self(self) -> Self;
}

impl<const D: usize> InnerOrSelf for Tensor<D> {
    fn inner_or_self(self) -> Self {
        if self.is_autodiff() { self.inner() } else { self }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn standard_error(values: &[f64]) -> f64 {
    let centre = mean(values);
    (values.iter().map(|v| (v - centre).powi(2)).sum::<f64>() / (values.len() as f64).powi(2)).sqrt()
}

#[test]
fn a_conditional_model_draws_the_class_that_is_asked_for() {
    let mut rng = Rng::new(2);
    let net = NetConfig::Mlp { hidden: vec![16] };
    let encoder = GaussianEncoder::new(net.encoder(&[2], 2, 2, &mut rng, &device()).unwrap());
    let likelihood = LikelihoodConfig::Gaussian { spread: Spread::Fixed(0.2) };
    let decoder =
        Decoder::new(net.decoder(1, 2, &[2], 1, &mut rng, &device()).unwrap(), likelihood, &device()).unwrap();
    let config = VaeConfig { classes: Some(2), observe: Observe::Mean, ..VaeConfig::new(1) };
    let vae = config.init(encoder, decoder, StandardNormal::new(1, &device())).unwrap();
    let config = serde_json::from_str(r#"{"optimizer": {"kind": "adam", "learning_rate": 0.01}}"#).unwrap();
    let mut descent = genera::train::Descent::new(vae, config, 500).unwrap();
    for step in 0..500 {
        let labels: Vec<usize> = (0..32).map(|i| i % 2).collect();
        let eps = Rng::new(3).at(step).normal(32, 2);
        let x: Vec<f64> = (0..64).map(|at| labels[at / 2] as f64 * 4.0 - 2.0 + 0.2 * f64::from(eps[at])).collect();
        let batch = Batch { x: rows(&x, 2), labels: Some(labels) };
        genera::traits::Learner::step(&mut descent, vec![batch], &mut Rng::new(5).at(step)).unwrap();
    }
    let model = descent.model();
    let drawn = host(model.given(vec![1, 0]).sample(20, &mut Rng::new(4)));
    for (i, row) in drawn.chunks_exact(2).enumerate() {
        let expected = if i % 2 == 0 { 2.0 } else { -2.0 };
        assert!(row.iter().all(|v| (v - expected).abs() < 1.0), "{i}: {row:?}");
    }
    assert_eq!(model.sample(7, &mut Rng::new(4)).dims(), [7, 2]);
    let bound = model.k_sample_bound(rows(&[2.0, 2.0], 2), Some(&[1]), 50, &mut Rng::new(1))[0];
    let other = model.k_sample_bound(rows(&[2.0, 2.0], 2), Some(&[0]), 50, &mut Rng::new(1))[0];
    assert!(bound > other + 10.0, "{bound} {other}");
    let given = |labels: Vec<usize>| model.given(labels).lower_bound(rows(&[2.0, 2.0], 2), &mut Rng::new(1))[0];
    let whole = model.lower_bound(rows(&[2.0, 2.0], 2), &mut Rng::new(1))[0];
    assert!(given(vec![1]) > given(vec![0]) && whole < given(vec![1]) + 5.0 && whole > given(vec![0]), "{whole}");
}

#[test]
fn settings_without_a_meaning_are_refused() {
    let parts = || {
        let decoder = Decoder::new(linear(&W, &B), LikelihoodConfig::Bernoulli, &device()).unwrap();
        (GaussianEncoder::new(linear(&[0.0; 12], &[0.0; 4])), decoder, StandardNormal::new(2, &device()))
    };
    let refuse = |config: VaeConfig| {
        let (encoder, decoder, prior) = parts();
        config.init(encoder, decoder, prior).unwrap_err().to_string()
    };
    assert!(refuse(VaeConfig::new(0)).contains("latents"));
    assert!(refuse(VaeConfig { bound_samples: 0, ..VaeConfig::new(2) }).contains("bound_samples"));
    let iwae = Objective::Iwae { samples: 0, gradient: PathGradient::Reparametrised };
    assert!(refuse(VaeConfig { objective: iwae, ..VaeConfig::new(2) }).contains("samples"));
    for likelihood in [
        LikelihoodConfig::Categorical { levels: 1 },
        LikelihoodConfig::Gaussian { spread: Spread::Fixed(0.0) },
        LikelihoodConfig::DiscretisedLogistic { levels: 256, components: 0 },
    ] {
        assert!(Decoder::new(linear(&W, &B), likelihood, &device()).is_err(), "{likelihood:?}");
    }
    let conv = NetConfig::Conv { channels: vec![8], blocks: 0 };
    assert!(conv.encoder(&[6], 0, 4, &mut Rng::new(1), &device()).is_err());
    assert!(conv.encoder(&[1, 4, 4], 2, 4, &mut Rng::new(1), &device()).is_err());
    let none = NetConfig::Conv { channels: vec![], blocks: 0 };
    assert!(none.encoder(&[1, 4, 4], 0, 4, &mut Rng::new(1), &device()).is_err());
}

/// Pixels that never change invite a deviation of zero, and one row alone a posterior of a point: both are bounded.
#[test]
fn constant_pixels_and_a_single_row_stay_finite() {
    for likelihood in [
        LikelihoodConfig::Gaussian { spread: Spread::Each },
        LikelihoodConfig::Gaussian { spread: Spread::Shared },
        LikelihoodConfig::DiscretisedLogistic { levels: 17, components: 2 },
        LikelihoodConfig::Bernoulli,
    ] {
        for n in [1, 16] {
            let mut rng = Rng::new(2);
            let net = NetConfig::Mlp { hidden: vec![8] };
            let encoder = GaussianEncoder::new(net.encoder(&[3], 0, 4, &mut rng, &device()).unwrap());
            let decoder = net.decoder(2, 0, &[3], likelihood.parameters(), &mut rng, &device()).unwrap();
            let decoder = Decoder::new(decoder, likelihood, &device()).unwrap();
            let vae = VaeConfig::new(2).init(encoder, decoder, StandardNormal::new(2, &device())).unwrap();
            let config = r#"{"optimizer": {"kind": "adam", "learning_rate": 0.1}, "clip_norm": 5.0}"#;
            let mut descent = genera::train::Descent::new(vae, serde_json::from_str(config).unwrap(), 300).unwrap();
            let x = rows(&[1.0, 0.0, 1.0].repeat(n), 3);
            for step in 0..300 {
                let batch = Batch { x: x.clone(), labels: None };
                let scalars = genera::traits::Learner::step(&mut descent, vec![batch], &mut Rng::new(5).at(step));
                assert!(scalars.unwrap().iter().all(|(_, value)| value.is_finite()), "{likelihood:?}, {n} rows");
            }
            let model = descent.model();
            let drawn = host(model.sample(4, &mut Rng::new(1)));
            let bound = model.lower_bound(x.clone(), &mut Rng::new(1));
            assert!(drawn.iter().chain(&bound).all(|value| value.is_finite()), "{likelihood:?}, {n} rows");
            let found = model.diagnostics(x, 2, &mut Rng::new(1)).unwrap();
            // Rows that are all alike say nothing.
            assert_eq!(found.active_units(), 0, "{likelihood:?}, {n} rows");
            assert!(found.surgery.information.abs() < 1e-6, "{likelihood:?}, {n} rows: {:?}", found.surgery);
        }
    }
}

/// Asked for by name: `cargo test --test vae many_draws -- --ignored --nocapture`, best with `--release`.
#[test]
#[ignore = "a measurement of time"]
fn many_draws_of_many_images_are_faster_together() {
    let mut rng = Rng::new(2);
    let net = NetConfig::Mlp { hidden: vec![400, 400] };
    let encoder = GaussianEncoder::new(net.encoder(&[784], 0, 80, &mut rng, &device()).unwrap());
    let decoder = net.decoder(40, 0, &[784], 1, &mut rng, &device()).unwrap();
    let decoder = Decoder::new(decoder, LikelihoodConfig::Bernoulli, &device()).unwrap();
    let vae = VaeConfig::new(40).init(encoder, decoder, StandardNormal::new(40, &device())).unwrap();
    let (images, k) = (20, 500);
    let x =
        rows(&Rng::new(3).uniform(images, 784).iter().map(|u| f64::from(u8::from(*u < 0.2))).collect::<Vec<_>>(), 784);
    let together = || vae.k_sample_bound(x.clone(), None, k, &mut Rng::new(4));
    let one_by_one = || {
        let draw =
            |i: usize, draw: u64| vae.k_sample_bound(x.clone().narrow(0, i, 1), None, 1, &mut Rng::new(4).at(draw))[0];
        (0..images).map(|i| (0..k as u64).map(|d| draw(i, d)).fold(f64::NEG_INFINITY, f64::max)).collect::<Vec<f64>>()
    };
    let time = |work: &dyn Fn() -> Vec<f64>| {
        work();
        let started = std::time::Instant::now();
        work();
        started.elapsed().as_secs_f64()
    };
    let (fast, slow) = (time(&together), time(&one_by_one));
    println!(
        "{images} images, K = {k}: {fast:.3} s together, {slow:.3} s one draw at a time, {:.1} times",
        slow / fast
    );
    assert!(slow > 5.0 * fast, "{slow} {fast}");
}
