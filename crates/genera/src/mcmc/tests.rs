//! Chains against stationary laws that are known.

use burn::tensor::{Device, Tensor};
use genera_metrics::chain_diagnostics;

use super::*;

/// A normal density of variance `v` around `m`.
fn normal(m: f64, v: f64) -> ByAutodiff<impl Fn(Rows) -> Tensor<1>> {
    ByAutodiff(move |x: Rows| (x - m).square().sum_dim(1).squeeze_dim(1) * (-0.5 / v))
}

/// `w N((5, 5), I) + (1 − w) N((−5, −5), I)`.
fn two_modes(w: f64) -> impl Fn(Rows) -> Tensor<1> {
    move |x: Rows| {
        let part = |m: f64, w: f64| (x.clone() - m).square().sum_dim(1).squeeze_dim::<1>(1) * -0.5 + w.ln();
        let (a, b) = (part(5.0, w), part(-5.0, 1.0 - w));
        a.clone() + burn::tensor::activation::softplus(b - a, 1.0)
    }
}

fn values(x: &Rows) -> Vec<f64> {
    host(x).into_iter().map(f64::from).collect()
}

fn mean_and_variance(x: &[f64]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    (mean, x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n)
}

fn start(n: usize, width: usize) -> Rows {
    Start::Normal { deviation: 1.0 }.draw([n, width], &mut Rng::new(1), &Device::default())
}

#[test]
fn the_unadjusted_chain_settles_in_its_own_variance() {
    let v = 0.7;
    for step in [0.1, 0.5, 1.4] {
        let langevin = Langevin { step, steps: 120 };
        let x = langevin.run(&normal(0.3, v), start(4000, 2), &mut Rng::new(2), &mut |_, _| ());
        let (mean, variance) = mean_and_variance(&values(&x));
        let expected = langevin.stationary_variance(v).unwrap();
        // Five standard errors of each.
        assert!((mean - 0.3).abs() < 5.0 * (expected / 8000.0).sqrt(), "step {step}: mean {mean}");
        assert!((variance / expected - 1.0).abs() < 5.0 * (2.0_f64 / 8000.0).sqrt(), "{step}: {variance} {expected}");
    }
    // The formula tells the bias of the largest step from the true variance: 1.4 / (1 - 1/2).
    assert_eq!(Langevin { step: 1.4, steps: 1 }.stationary_variance(v), Some(1.4));
    assert_eq!(Langevin { step: 2.9, steps: 1 }.stationary_variance(v), None);
}

#[test]
fn the_adjusted_chain_meets_the_density_for_any_step() {
    let v = 0.7;
    let mut before = 1.0;
    for step in [0.1, 0.5, 1.4] {
        let moves =
            Metropolis { step, steps: 200 }.run(&normal(0.3, v), start(4000, 1), &mut Rng::new(2), &mut |_, _| ());
        let (mean, variance) = mean_and_variance(&values(&moves.x));
        assert!((mean - 0.3).abs() < 5.0 * (v / 4000.0).sqrt(), "step {step}: mean {mean}");
        assert!((variance / v - 1.0).abs() < 5.0 * (2.0_f64 / 4000.0).sqrt(), "step {step}: variance {variance}");
        let (acceptance, _) = mean_and_variance(&moves.acceptance);
        assert!(acceptance < before && acceptance > 0.4, "step {step}: {acceptance}");
        before = acceptance;
    }
}

/// A proposal into nowhere is refused, and the chain goes on.
#[test]
fn a_wall_is_respected() {
    let half_normal = ByAutodiff(|x: Rows| {
        let beyond = x.clone().lower_elem(0.0);
        (x.square() * -0.5).mask_fill(beyond, f64::NEG_INFINITY).sum_dim(1).squeeze_dim(1)
    });
    let x = start(3000, 1).abs();
    let moves = Metropolis { step: 0.8, steps: 200 }.run(&half_normal, x, &mut Rng::new(2), &mut |_, _| ());
    let x = values(&moves.x);
    assert!(x.iter().all(|x| *x >= 0.0));
    let (mean, _) = mean_and_variance(&x);
    let expected = (2.0 / std::f64::consts::PI).sqrt();
    assert!((mean - expected).abs() < 5.0 * (0.364_f64 / 3000.0).sqrt(), "{mean} {expected}");
}

#[test]
fn diagnostics_see_a_chain_that_mixes_and_one_that_does_not() {
    let follow = |density: &dyn Potential| {
        let mut chains = vec![Vec::new(); 8];
        let mut keep = |step: usize, x: &Rows| {
            if step >= 100 {
                host(x).chunks_exact(2).zip(&mut chains).for_each(|(x, chain)| chain.push(f64::from(x[0])));
            }
        };
        let x = Start::Uniform { low: -8.0, high: 8.0 }.draw([8, 2], &mut Rng::new(5), &Device::default());
        Metropolis { step: 1.0, steps: 600 }.run(density, x, &mut Rng::new(6), &mut keep);
        chain_diagnostics(&chains).unwrap()
    };
    // One mode is explored; two far modes never exchange chains.
    let alone = follow(&normal(0.3, 0.7));
    let apart = follow(&ByAutodiff(two_modes(0.95)));
    assert!(alone.r_hat < 1.02 && alone.effective_size > 400.0, "{alone:?}");
    assert!(apart.r_hat > 2.0 && apart.effective_size < 40.0, "{apart:?}");
}

/// Chains keep the side they start on: on a box around both modes that is a half, whatever the weights. A ladder of
/// noise gives back the weights, whichever level its steps are relative to.
#[test]
fn plain_chains_keep_the_weights_of_the_start_and_annealed_ones_find_the_true_ones() {
    let n = 1000;
    let start = Start::Uniform { low: -8.0, high: 8.0 };
    let right = |x: &Rows| {
        let x = values(x);
        x.chunks_exact(2).filter(|x| x[0] + x[1] > 0.0).count() as f64 / n as f64
    };
    let x = start.draw([n, 2], &mut Rng::new(7), &Device::default());
    let plain = ByAutodiff(two_modes(0.95));
    let langevin = Langevin { step: 0.1, steps: 100 };
    let stuck = right(&langevin.run(&plain, x.clone(), &mut Rng::new(8), &mut |_, _| ()));
    assert!((stuck - 0.518).abs() < 0.06, "the heavier basin is {stuck} of the box");

    let (largest, levels) = (20.0_f64, 30);
    let sigmas: Vec<f64> = (0..levels).map(|i| largest * (0.1 / largest).powf(f64::from(i) / 29.0)).collect();
    let ladder = |reference, step| {
        let annealed = Annealed { step, steps: 20, reference };
        annealed.run(&sigmas, |level| Box::new(noisy(sigmas[level])), x.clone(), &mut Rng::new(9))
    };
    let by_smallest = ladder(Reference::Smallest, 0.003);
    let by_largest = ladder(Reference::Largest, 0.003 * (largest / 0.1).powi(2));
    let found = right(&by_smallest);
    assert!((found - 0.95).abs() < 0.03, "{found} of the chains are right");
    let apart = (by_smallest - by_largest).abs().max().into_scalar::<f32>();
    assert!(apart < 1e-2, "the conventions differ by {apart}");
}

/// [`two_modes`] of weight 0.95 with noise of deviation `sigma` on top.
fn noisy(sigma: f64) -> ByAutodiff<impl Fn(Rows) -> Tensor<1>> {
    let v = 1.0 + sigma * sigma;
    ByAutodiff(move |x: Rows| {
        let part = |m: f64, w: f64| (x.clone() - m).square().sum_dim(1).squeeze_dim::<1>(1) * (-0.5 / v) + w.ln();
        let (a, b) = (part(5.0, 0.95), part(-5.0, 0.05));
        a.clone() + burn::tensor::activation::softplus(b - a, 1.0)
    })
}

#[test]
fn a_chain_does_not_know_how_many_there_are() {
    let density = normal(0.0, 1.0);
    let run = |n: usize| {
        let x = start(n, 3);
        let x = Langevin { step: 0.3, steps: 5 }.run(&density, x, &mut Rng::new(3), &mut |_, _| ());
        values(&Metropolis { step: 0.3, steps: 5 }.run(&density, x, &mut Rng::new(4), &mut |_, _| ()).x)
    };
    assert_eq!(run(64)[..9], run(3)[..]);
}

#[test]
fn hostile_settings_are_errors() {
    assert!(Langevin { step: 0.0, steps: 5 }.check().is_err());
    assert!(Langevin { step: f64::NAN, steps: 5 }.check().is_err());
    assert!(Langevin { step: 0.1, steps: 0 }.check().is_err());
    assert!(Metropolis { step: f64::INFINITY, steps: 5 }.check().is_err());
    assert!(Annealed { step: -1.0, steps: 5, reference: Reference::Smallest }.check().is_err());
    assert!(Start::Uniform { low: 1.0, high: 1.0 }.check().is_err());
    assert!(Start::Normal { deviation: f64::NAN }.check().is_err());
    assert!(Start::Normal { deviation: 0.0 }.check().is_ok());
}
