//! Adversarial variational Bayes on a toy whose posterior is known on a grid and is no Gaussian.
//!
//! `z ~ N(0, I)` in the plane, `x|z ~ N(z₁ + z₀², 0.3²)`: the posterior of `z` given `x` is a banana along `z₁ = x − z₀²`.

use genera::Rng;
use genera::gan::{Avb, AvbConfig, Bend};
use genera::train::{DescentConfig, Ema, RateSchedule};
use genera::traits::{Batch, Learner, Rows};
use genera::weights::Weights;
use genera_metrics::PlaneGrid;

use super::{adam, device, host, tensor};

const NOISE: f64 = 0.3;

fn data(n: usize, rng: &mut Rng) -> Rows {
    let z = rng.normal(n, 3);
    tensor(z.chunks_exact(3).map(|z| z[1] + z[0] * z[0] + NOISE as f32 * z[2]).collect(), 1)
}

fn config(contrast: usize) -> AvbConfig {
    AvbConfig { latents: 2, noise: 4, encoder: vec![64, 64], critic: vec![128, 128], critic_steps: 4, contrast }
}

fn trained(config: &AvbConfig, rates: [f64; 2], steps: u64) -> Avb<Bend> {
    let configs = rates.map(|learning_rate| DescentConfig {
        rate: RateSchedule::Linear { warmup: 0, floor: 0.1 },
        ema: Some(Ema { decay: 0.99, warmup: true }),
        ..adam(learning_rate)
    });
    let mut avb =
        config.init(1, Bend::new(NOISE, &device()).unwrap(), configs, steps, &mut Rng::new(1), &device()).unwrap();
    for step in 0..steps {
        let rng = Rng::new(2).at(step);
        let batch = Batch { x: data(256, &mut rng.fork("data")), labels: None };
        avb.step(vec![batch], &mut rng.fork("noise")).unwrap();
    }
    avb
}

/// The sum over some `x` of the divergence of the implicit posterior, and of the best Gaussian, from the true one.
fn divergences(avb: &Avb<Bend>) -> [f64; 2] {
    let of = |(at, x): (u64, f64)| {
        let rows = tensor(vec![x as f32; 40_000], 1);
        let draws = host(avb.model().encoder.draw(rows, &mut Rng::new(7).at(at)));
        let draws: Vec<f32> = draws.into_iter().map(|z| z as f32).collect();
        let posterior = PlaneGrid::of(|z| avb.model().decoder.log_joint(z, x), 60, 0.12);
        [posterior.kl_of_draws(&draws), posterior.kl_of_best_gaussian()]
    };
    let each: Vec<[f64; 2]> = (0..).zip([0.5, 1.0, 1.5]).map(of).collect();
    println!("implicit, best Gaussian: {each:?}");
    each.into_iter().fold([0.0; 2], |sum, more| [sum[0] + more[0], sum[1] + more[1]])
}

/// An encoder without a density comes nearer to a bent posterior than any Gaussian of independent coordinates could, which is
/// what the usual encoder is: by a factor of three.
#[test]
fn an_implicit_posterior_bends() {
    let [implicit, best] = divergences(&trained(&config(0), [1e-3, 1e-3], 800));
    assert!(3.0 * implicit < best, "{implicit} is not a third of {best}");
}

#[test]
fn resuming_changes_no_bit_and_errors_change_nothing() {
    let state = |avb: &Avb<Bend>| -> Vec<(String, Weights)> {
        avb.save().into_iter().map(|(name, group)| (name.to_owned(), group)).collect()
    };
    let step = |avb: &mut Avb<Bend>, at: u64| {
        let batch = Batch { x: data(16, &mut Rng::new(3).at(at)), labels: None };
        avb.step(vec![batch], &mut Rng::new(4).at(at)).unwrap()
    };
    for contrast in [0, 4] {
        let rates = [1e-3, 2e-3];
        let mut whole = trained(&config(contrast), rates, 2);
        let saved = state(&whole);
        let scalars = step(&mut whole, 0);
        assert!(scalars[0].0 == "loss" && scalars.iter().any(|(name, _)| *name == "kl"));
        let mut other = trained(&config(contrast), rates, 1);
        other.load(&saved).unwrap();
        step(&mut other, 0);
        assert!(state(&other) == state(&whole) && state(&whole) != saved);
        let bad = Batch { x: data(4, &mut Rng::new(3)) * f32::NAN, labels: None };
        let error = other.step(vec![bad], &mut Rng::new(4)).unwrap_err().to_string();
        assert!(error.starts_with("the critic: "), "{error}");
        assert!(state(&other) == state(&whole));
    }
}

#[test]
fn samples_come_from_the_prior_through_the_decoder() {
    let avb = trained(&config(0), [1e-3, 1e-3], 1);
    let draw = |n, rng: &Rng| host(avb.view().sample.unwrap().sample(n, &mut rng.clone()));
    let x = draw(40_000, &Rng::new(1));
    // E x = 1 and Var x = 1 + 2 + s².
    let mean = super::mean(&x);
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
    assert!((mean - 1.0).abs() < 0.03 && (variance - 3.0 - NOISE * NOISE).abs() < 0.12, "{mean} {variance}");
    let parts: Vec<f64> = (0..4).flat_map(|i| draw(5, &Rng::new(1).rows_from(5 * i))).collect();
    assert_eq!(parts, x[..20]);
    assert!(Bend::new(0.0, &device()).is_err());
}
