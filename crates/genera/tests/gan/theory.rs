//! What is known without playing: optimal discriminators, divergences of disjoint supports, the dual of transport.

use std::f64::consts::LN_2;

use genera::Rng;
use genera::gan::theory::{
    ParallelLines, density_ratio, dual_value, kantorovich_potential, optimal_discriminator, optimal_least_squares,
    optimal_value,
};
use genera::gan::{FDivergence, Objective};
use genera_metrics::divergence::{self as exact, Divergence, Gaussian};
use genera_metrics::{Points, wasserstein, wasserstein_1d};

use super::{host, tensor};

const STEP: f64 = 0.005;

/// Logarithms of `π = N(1, 1)` and `p = N(0, 0.8²)` on a grid.
fn pair() -> (Vec<f64>, Vec<f64>) {
    let [pi, p] = [(1.0, 1.0), (0.0, 0.64)].map(|(mean, variance)| Gaussian::new(vec![mean], vec![variance]).unwrap());
    let grid = (0..5000).map(|i| -12.0 + f64::from(i) * STEP);
    grid.map(|x| (pi.log_density(&[x]).unwrap(), p.log_density(&[x]).unwrap())).unzip()
}

#[test]
fn the_best_discriminator_earns_the_jensen_shannon_divergence() {
    let (pi, p) = pair();
    let js = exact::on_grid(Divergence::JensenShannon, &pi, &p, STEP).unwrap();
    let value = optimal_value(&pi, &p, STEP);
    assert!((value - (2.0 * js - 2.0 * LN_2)).abs() < 1e-9, "{value} {js}");
    assert!((optimal_value(&pi, &pi, STEP) + 2.0 * LN_2).abs() < 1e-9);
    // Any other discriminator earns less: D* pulled towards a half, or made sharper.
    for sharpness in [0.5, 0.9, 1.1, 2.0] {
        let other: f64 = pi
            .iter()
            .zip(&p)
            .map(|(pi, p)| {
                let d = optimal_discriminator(sharpness * (pi - p), 0.0).clamp(1e-300, 1.0 - 1e-16);
                pi.exp() * d.ln() + p.exp() * (1.0 - d).ln()
            })
            .sum::<f64>()
            * STEP;
        assert!(other < value - 1e-4, "{sharpness}: {other} {value}");
    }
    for (pi, p) in pi.iter().zip(&p).step_by(100).filter(|(pi, p)| (*pi - *p).abs() < 20.0) {
        let ratio = density_ratio(optimal_discriminator(*pi, *p));
        assert!((ratio.ln() - (pi - p)).abs() < 1e-6, "{ratio}");
    }
    assert_eq!(optimal_discriminator(f64::NEG_INFINITY, -1.0), 0.0);
    assert_eq!(optimal_discriminator(-1.0, f64::NEG_INFINITY), 1.0);
}

#[test]
fn least_squares_is_pearsons_divergence() {
    let (pi, p) = pair();
    let (a, b, c) = (-1.0, 1.0, 0.0); // b − c = 1, b − a = 2
    let cells = pi.iter().zip(&p);
    let value: f64 = cells
        .map(|(pi, p)| {
            let d = optimal_least_squares(*pi, *p, [a, b]);
            0.5 * (pi.exp() + p.exp()) * (d - c).powi(2)
        })
        .sum::<f64>()
        * STEP;
    let middle: Vec<f64> = pi.iter().zip(&p).map(|(pi, p)| (0.5 * (pi.exp() + p.exp())).ln()).collect();
    let pearson = exact::on_grid(Divergence::F(exact::FDivergence::Pearson), &p, &middle, STEP).unwrap();
    assert!((value - pearson).abs() < 1e-9, "{value} {pearson}");
}

#[test]
fn disjoint_supports_leave_only_transport() {
    for theta in [0.0, 0.3, -2.0] {
        let lines = ParallelLines { theta };
        // The lines as points (0, u) and (θ, u), and as masses on two outcomes.
        let heights = Rng::new(1).uniform(40, 1);
        let line = |x: f64| heights.iter().flat_map(|u| [x, f64::from(*u)]).collect::<Vec<f64>>();
        let (left, right) = (line(0.0), line(theta));
        let [left, right] = [&left, &right].map(|values| Points::new(values, 40, 2).unwrap());
        assert!((wasserstein(&left, &right, 1.0).unwrap() - lines.wasserstein()).abs() < 1e-12);
        let (pi, p) = if theta == 0.0 { ([1.0, 0.0], [1.0, 0.0]) } else { ([1.0, 0.0], [0.0, 1.0]) };
        assert_eq!(exact::discrete(Divergence::FORWARD_KL, &pi, &p).unwrap(), lines.kl());
        assert_eq!(exact::discrete(Divergence::REVERSE_KL, &pi, &p).unwrap(), lines.kl());
        let js = exact::discrete(Divergence::JensenShannon, &pi, &p).unwrap();
        assert!((js - lines.jensen_shannon()).abs() < 1e-15);
        // The best discriminator is perfect, and the value of the game is its largest.
        let logs = |masses: [f64; 2]| masses.map(f64::ln).to_vec();
        let value = optimal_value(&logs(pi), &logs(p), 1.0);
        assert!((value - (2.0 * lines.jensen_shannon() - 2.0 * LN_2)).abs() < 1e-15, "{value}");
    }
}

#[test]
fn the_dual_meets_the_primal_on_the_line() {
    let draw = |n: usize, mean: f64, deviation: f64, seed: u64| -> Vec<f64> {
        Rng::new(seed).normal(n, 1).into_iter().map(|z| mean + deviation * f64::from(z)).collect()
    };
    for (pi, p) in [
        (draw(50, 2.0, 1.0, 1), draw(70, -1.5, 0.3, 2)),
        (draw(40, 0.0, 1.0, 3), draw(40, 0.0, 3.0, 4)),
        (vec![1.0], vec![0.0, 1.0, 5.0]),
    ] {
        let (on_pi, on_p) = kantorovich_potential(&pi, &p);
        let [x, y] = [&pi, &p].map(|values| Points::new(values, values.len(), 1).unwrap());
        let primal = wasserstein_1d(&x, &y, 1.0).unwrap();
        assert!((dual_value(&on_pi, &on_p) - primal).abs() < 1e-12, "{primal}");
        // It is 1-Lipschitz, and flatter critics earn less.
        let values: Vec<(f64, f64)> =
            pi.iter().copied().zip(on_pi.clone()).chain(p.iter().copied().zip(on_p.clone())).collect();
        for (a, fa) in &values {
            assert!(values.iter().all(|(b, fb)| (fa - fb).abs() <= (a - b).abs() + 1e-12));
        }
        let half = |f: &[f64]| f.iter().map(|f| 0.5 * f).collect::<Vec<f64>>();
        assert!(dual_value(&half(&on_pi), &half(&on_p)) < primal);
    }
}

/// The table of tensors is the table of numbers, which is checked there against its definitions.
#[test]
fn the_table_is_that_of_the_measures() {
    let outputs: Vec<f64> = (-30..=30).map(|i| f64::from(i) * 0.2).collect();
    let v = tensor(outputs.iter().map(|v| *v as f32).collect(), 1);
    for (here, there) in FDivergence::ALL.into_iter().zip(exact::FDivergence::ALL) {
        assert_eq!(serde_json::to_string(&here).unwrap(), serde_json::to_string(&there).unwrap());
        let (t, conjugate) = (host(here.output(v.clone())), host(here.conjugate_of_output(v.clone())));
        for ((v, t), conjugate) in outputs.iter().zip(t).zip(conjugate) {
            let v = f64::from(*v as f32);
            let expected = there.output(v);
            assert!((t - expected).abs() < 1e-5 * expected.abs().max(1.0), "{here:?} g({v}): {t} {expected}");
            let expected = there.conjugate(expected);
            let near = (conjugate - expected).abs() < 2e-5 * expected.abs().max(1.0);
            assert!(near, "{here:?} f*(g({v})): {conjugate} {expected}");
        }
        let neutral = there.output(here.neutral());
        assert!((neutral - there.derivative(1.0)).abs() < 1e-12, "{here:?}");
    }
}

/// Each objective from probabilities and scores, by hand.
#[test]
fn objectives_by_hand() {
    let (real, fake) = ([0.3, -1.2, 2.0_f64], [-0.7, 0.4, 1.5_f64]);
    let scores = |f: [f64; 3]| tensor(f.map(|f| f as f32).to_vec(), 1);
    let mean = |f: [f64; 3], of: &dyn Fn(f64) -> f64| f.iter().map(|f| of(*f)).sum::<f64>() / 3.0;
    let d = |f: f64| 1.0 / (1.0 + (-f).exp());
    let original = -mean(real, &|f| d(f).ln()) - mean(fake, &|f| (1.0 - d(f)).ln());
    let smooth = -mean(real, &|f| 0.9 * d(f).ln() + 0.1 * (1.0 - d(f)).ln()) - mean(fake, &|f| (1.0 - d(f)).ln());
    let difference = mean(fake, &|f| f) - mean(real, &|f| f);
    let hinge = mean(real, &|f| (1.0 - f).max(0.0)) + mean(fake, &|f| (1.0 + f).max(0.0));
    let (a, b, c) = (-0.5, 0.8, 0.6);
    let squares = 0.5 * (mean(real, &|f| (f - b).powi(2)) + mean(fake, &|f| (f - a).powi(2)));
    let divergence = FDivergence::Gan;
    for (objective, critic, generator) in [
        (Objective::Saturating { smoothing: 0.0 }, original, mean(fake, &|f| (1.0 - d(f)).ln())),
        (Objective::NonSaturating { smoothing: 0.0 }, original, -mean(fake, &|f| d(f).ln())),
        (Objective::NonSaturating { smoothing: 0.1 }, smooth, -mean(fake, &|f| d(f).ln())),
        (Objective::LeastSquares { fake: a, real: b, wanted: c }, squares, 0.5 * mean(fake, &|f| (f - c).powi(2))),
        (Objective::Hinge, hinge, -mean(fake, &|f| f)),
        (Objective::Wasserstein, difference, -mean(fake, &|f| f)),
        // The row of the original game is the original game.
        (Objective::FDivergence { divergence }, original, mean(fake, &|f| (1.0 - d(f)).ln())),
    ] {
        let got = host(objective.critic(scores(real), scores(fake)))[0];
        assert!((got - critic).abs() < 1e-5, "{objective:?}: {got} {critic}");
        let got = host(objective.generator(scores(fake)))[0];
        assert!((got - generator).abs() < 1e-5, "{objective:?}: {got} {generator}");
    }
}
