//! A decoder that paints: its probabilities sum to one, its draws follow them, and they depend on the latent.

use genera::Rng;
use genera::vae::{Decode, Likelihood, LikelihoodConfig, PixelDecoder, PixelDecoderConfig, Spread};

use super::{device, host, rows};

fn decoder(likelihood: LikelihoodConfig) -> PixelDecoder {
    let config = PixelDecoderConfig { filters: 6, layers: 1, kernel: 3 };
    config.init(2, [1, 2, 2], likelihood, &mut Rng::new(4), &device()).unwrap()
}

/// All pictures of two by two values below `levels`.
fn every_picture(levels: usize) -> Vec<f64> {
    (0..levels.pow(4)).flat_map(|i| (0..4).map(move |at| (i / levels.pow(at) % levels) as f64)).collect()
}

#[test]
fn probabilities_sum_to_one_and_draws_follow_them() {
    for (likelihood, levels) in [(LikelihoodConfig::Bernoulli, 2), (LikelihoodConfig::Categorical { levels: 3 }, 3)] {
        let decoder = decoder(likelihood);
        let pictures = every_picture(levels);
        let count = pictures.len() / 4;
        let of = |z: [f64; 2]| {
            let z = rows(&z.repeat(count), 2);
            host(decoder.likelihood(z).log_prob(rows(&pictures, 4))).into_iter().map(f64::exp).collect::<Vec<f64>>()
        };
        let (one, other) = (of([0.3, -0.8]), of([-2.0, 1.5]));
        for p in [&one, &other] {
            assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-5, "{likelihood:?}");
        }
        assert!(one.iter().zip(&other).any(|(a, b)| (a - b).abs() > 1e-3), "the latent is told");

        let n = 20_000;
        let painting = decoder.likelihood(rows(&[0.3, -0.8].repeat(n), 2));
        let drawn = host(painting.sample(&mut Rng::new(5)));
        let mut counts = vec![0.0; count];
        for picture in drawn.chunks_exact(4) {
            counts[(0..4).map(|at| picture[at] as usize * levels.pow(at as u32)).sum::<usize>()] += 1.0;
        }
        let chi2: f64 = counts.iter().zip(&one).map(|(seen, p)| (seen - n as f64 * p).powi(2) / (n as f64 * p)).sum();
        let freedom = (count - 1) as f64;
        assert!(chi2 < freedom + 5.0 * (2.0 * freedom).sqrt(), "{likelihood:?}: {chi2} with {freedom}");
    }
}

#[test]
fn the_mean_is_of_draws_and_always_the_same() {
    let painting = decoder(LikelihoodConfig::Bernoulli).likelihood(rows(&[0.3, -0.8, -2.0, 1.5], 2));
    let mean = host(painting.mean());
    assert_eq!(mean, host(painting.mean()));
    assert!(mean.iter().all(|v| (0.0..=1.0).contains(v) && (v * 16.0).fract() == 0.0), "{mean:?}");
}

#[test]
fn what_cannot_be_painted_is_refused() {
    let config = PixelDecoderConfig::default();
    let init = |config: &PixelDecoderConfig, likelihood| {
        config.init(2, [1, 2, 2], likelihood, &mut Rng::new(4), &device()).unwrap_err().to_string()
    };
    let real = LikelihoodConfig::Gaussian { spread: Spread::Shared };
    assert!(init(&config, real).contains("bernoulli or categorical"));
    let even = PixelDecoderConfig { kernel: 4, ..config.clone() };
    assert!(init(&even, LikelihoodConfig::Bernoulli).contains("kernel is 4"));
    let none = PixelDecoderConfig { filters: 0, ..config };
    assert!(init(&none, LikelihoodConfig::Bernoulli).contains("filters"));
}
