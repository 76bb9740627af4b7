//! Every solver against the exact denoiser of a mixture.

use burn::tensor::{Device, Tensor, TensorData};
use genera::Rng;
use genera::diffusion::{
    Clip, DiffusionError, Finish, Level, Levels, MixtureDenoiser, Sampler, Schedule, Solver, Spacing, Variance,
};
use genera::traits::{Rows, Sample};
use genera_metrics::{Points, sliced_wasserstein};

fn mixture() -> MixtureDenoiser {
    let parts = [(0.3, vec![1.0, -0.5], vec![0.1, 0.3]), (0.7, vec![-0.6, 0.4], vec![0.2, 0.05])];
    MixtureDenoiser::new(&parts, &Device::default()).unwrap()
}

/// Mean and variance of each axis of the mixture at `level`.
fn exact_moments(level: Level) -> [f64; 4] {
    let (w, m, v) = ([0.3, 0.7], [[1.0, -0.5], [-0.6, 0.4]], [[0.1, 0.3], [0.2, 0.05]]);
    let mean = [0, 1].map(|axis| w[0] * m[0][axis] + w[1] * m[1][axis]);
    let variance = [0, 1].map(|axis| {
        let second: f64 = (0..2).map(|k| w[k] * (m[k][axis] * m[k][axis] + v[k][axis])).sum();
        second - mean[axis] * mean[axis]
    });
    let (alpha, noise) = (level.alpha, level.sigma.powi(2));
    [alpha * mean[0], alpha * mean[1], alpha * alpha * variance[0] + noise, alpha * alpha * variance[1] + noise]
}

fn moments(x: &Rows) -> [f64; 4] {
    let x = values(x);
    let n = x.len() as f64 / 2.0;
    let mean = [0, 1].map(|axis| x.iter().skip(axis).step_by(2).sum::<f64>() / n);
    let variance = [0, 1].map(|axis| x.iter().skip(axis).step_by(2).map(|v| (v - mean[axis]).powi(2)).sum::<f64>() / n);
    [mean[0], mean[1], variance[0], variance[1]]
}

fn values(x: &Rows) -> Vec<f64> {
    x.to_data().iter::<f32>().map(f64::from).collect()
}

/// Points distributed as the mixture is at `level`.
fn noisy(level: Level, n: usize, rng: &mut Rng) -> Rows {
    let x0 = mixture().sample(n, rng);
    let eps: Rows = Tensor::from_data(TensorData::new(rng.normal(n, 2), [n, 2]), &x0.device());
    x0 * level.alpha + eps * level.sigma
}

fn run(solver: Solver, levels: &Levels, chain: &[Level], x: Rows) -> Rows {
    Sampler { solver, ..Sampler::default() }.run(&mixture(), levels, chain, x, &mut Rng::new(1), &mut |_| ())
}

/// `n` steps between two levels, evenly in time.
fn evenly(levels: &Levels, top: f64, bottom: f64, n: usize) -> Vec<Level> {
    (0..=n).map(|i| levels.level(top + (bottom - top) * i as f64 / n as f64)).collect()
}

fn schedules() -> [(Levels, f64, f64); 3] {
    let karras = Schedule::Karras { steps: 1000, sigma_min: 0.05, sigma_max: 10.0, rho: 7.0 };
    [
        // Betas interpolate σ/α between training times; a fine table keeps that interpolation out of the orders.
        (Schedule::linear(100_000).levels().unwrap(), 80_000.0, 10_000.0),
        (karras.levels().unwrap(), 999.0, 0.0),
        (Schedule::linear_flow(1000).levels().unwrap(), 990.0, 50.0),
    ]
}

#[test]
fn deterministic_solvers_have_their_order() {
    for (levels, top, bottom) in schedules() {
        let x = noisy(levels.level(top), 64, &mut Rng::new(3));
        let reference = values(&run(Solver::Heun, &levels, &evenly(&levels, top, bottom, 1280), x.clone()));
        for (solver, order) in
            [(Solver::Euler, 1.0), (Solver::Ddim, 1.0), (Solver::Heun, 2.0), (Solver::DpmSolver, 2.0)]
        {
            let error = |n: usize| {
                let found = values(&run(solver, &levels, &evenly(&levels, top, bottom, n), x.clone()));
                let square: f64 = found.iter().zip(&reference).map(|(a, b)| (a - b).powi(2)).sum();
                (square / found.len() as f64).sqrt()
            };
            let (coarse, fine) = (error(20), error(80));
            let slope = (coarse / fine).log2() / 2.0;
            println!("{:?} {solver:?}: {coarse:.2e} -> {fine:.2e}, order {slope:.2}", levels.schedule());
            assert!((slope - order).abs() < 0.35, "{solver:?} on {:?}: order {slope}", levels.schedule());
        }
    }
}

#[test]
fn samples_have_the_moments_of_the_mixture_at_every_level() {
    let n = 3_000;
    for (levels, steps) in [
        (Schedule::linear(1000).levels().unwrap(), 100),
        (Schedule::cosine(1000).levels().unwrap(), 100),
        (Schedule::karras(1000).levels().unwrap(), 100),
        (Schedule::linear_flow(1000).levels().unwrap(), 100),
    ] {
        for (solver, eta, variance) in [
            (Solver::Ancestral, 0.0, Variance::FixedSmall),
            (Solver::Ancestral, 0.0, Variance::FixedLarge),
            (Solver::Ddim, 0.0, Variance::FixedSmall),
            (Solver::Ddim, 0.5, Variance::FixedSmall),
            (Solver::Ddim, 1.0, Variance::FixedSmall),
            (Solver::Heun, 0.0, Variance::FixedSmall),
            (Solver::DpmSolver, 0.0, Variance::FixedSmall),
        ] {
            let sampler = Sampler { solver, steps, eta, variance, spacing: Spacing::Linspace, ..Sampler::default() };
            let chain = sampler.chain(&levels).unwrap();
            if variance == Variance::FixedLarge && levels.schedule().is_continuous() {
                // Too large a variance shows where neighbouring levels are far apart.
                continue;
            }
            let x = noisy(chain[0], n, &mut Rng::new(11));
            let mut seen = 0;
            sampler.run(&mixture(), &levels, &chain, x, &mut Rng::new(12), &mut |moment| {
                if moment.step % 25 != 24 {
                    return;
                }
                seen += 1;
                let (found, exact) = (moments(moment.x), exact_moments(moment.to));
                // The discretisation error of the chain and five standard errors.
                let spread = exact[2].max(exact[3]);
                let bound = 0.04 * spread + 5.0 * spread.sqrt() / (n as f64).sqrt();
                for (found, exact) in found.iter().zip(exact) {
                    assert!(
                        (found - exact).abs() < bound,
                        "{solver:?} eta {eta} {variance:?} {:?} step {}: {found} {exact}",
                        levels.schedule(),
                        moment.step
                    );
                }
            });
            assert_eq!(seen, 4);
        }
    }
}

/// The cosine chain starts at `σ / α` in the thousands, where one step of Heun's rule may go anywhere.
#[test]
fn few_steps_of_heun_survive_a_start_without_signal() {
    let levels = Schedule::cosine(1000).levels().unwrap();
    for steps in [10, 20, 50] {
        let sampler = Sampler { solver: Solver::Heun, steps, ..Sampler::default() };
        let chain = sampler.chain(&levels).unwrap();
        let x = noisy(chain[0], 3_000, &mut Rng::new(11));
        let drawn = sampler.run(&mixture(), &levels, &chain, x, &mut Rng::new(12), &mut |_| ());
        let (found, exact) = (moments(&drawn), exact_moments(*chain.last().unwrap()));
        println!("{steps} steps: {found:?} {exact:?}");
        for (found, exact) in found.iter().zip(exact) {
            assert!((found - exact).abs() < 0.1 * exact.abs().max(1.0), "{steps} steps: {found} {exact}");
        }
    }
}

#[test]
fn one_gaussian_has_a_closed_form_flow() {
    let (mean, variance) = (0.7, 0.3);
    let oracle = MixtureDenoiser::new(&[(1.0, vec![mean], vec![variance])], &Device::default()).unwrap();
    for (levels, top, bottom) in schedules() {
        let (from, to) = (levels.level(top), levels.level(bottom));
        let spread = |level: Level| (level.alpha.powi(2) * variance + level.sigma.powi(2)).sqrt();
        let x = Rows::from_floats([[0.3], [-1.2], [2.0]], &Device::default());
        let sampler = Sampler { solver: Solver::Heun, ..Sampler::default() };
        let chain = evenly(&levels, top, bottom, 200);
        let found = values(&sampler.run(&oracle, &levels, &chain, x.clone(), &mut Rng::new(1), &mut |_| ()));
        for (found, x) in found.iter().zip(values(&x)) {
            let exact = to.alpha * mean + spread(to) / spread(from) * (x - from.alpha * mean);
            assert!((found - exact).abs() < 1e-3, "{:?}: {found} {exact}", levels.schedule());
        }
    }
}

#[test]
fn equal_rules_give_equal_steps() {
    let levels = Schedule::linear(1000).levels().unwrap();
    let chain = evenly(&levels, 999.0, -1.0, 20);
    let x = noisy(chain[0], 16, &mut Rng::new(2));
    let close = |a: &Rows, b: &Rows| values(a).iter().zip(values(b)).all(|(a, b)| (a - b).abs() < 1e-4);
    let sample = |sampler: Sampler| sampler.run(&mixture(), &levels, &chain, x.clone(), &mut Rng::new(1), &mut |_| ());
    let ddim = |eta| sample(Sampler { solver: Solver::Ddim, eta, ..Sampler::default() });
    assert!(close(&ddim(0.0), &sample(Sampler { solver: Solver::Euler, ..Sampler::default() })));
    assert!(close(&ddim(1.0), &sample(Sampler::default())));
    assert!(!close(&ddim(0.0), &ddim(1.0)));
}

/// With a denoiser that makes no error, what is left is that of the steps: without noise they may be few (Song et al.,
/// 2010.02502, table 1). A network's own error turns the order round where steps are many, since noise forgets it.
#[test]
fn few_steps_without_noise_are_nearer_than_with_it() {
    let n = 4_000;
    let exact = values(&mixture().sample(n, &mut Rng::new(21)));
    let exact = Points::new(&exact, n, 2).unwrap();
    for schedule in [Schedule::variance_preserving(1000), Schedule::linear(1000), Schedule::cosine(1000)] {
        let levels = schedule.levels().unwrap();
        for steps in [5, 10, 20] {
            let [without, with] = [0.0, 1.0].map(|eta| {
                let sampler = Sampler { solver: Solver::Ddim, steps, eta, ..Sampler::default() };
                let chain = sampler.chain(&levels).unwrap();
                let x = noisy(chain[0], n, &mut Rng::new(22));
                let drawn = values(&sampler.run(&mixture(), &levels, &chain, x, &mut Rng::new(23), &mut |_| ()));
                let drawn = Points::new(&drawn, n, 2).unwrap();
                sliced_wasserstein(&drawn, &exact, 1.0, 32, &mut Rng::new(24)).unwrap()
            });
            println!("{schedule:?}, {steps} steps: {without:.4} without noise, {with:.4} with it");
            assert!(without < with, "{schedule:?}, {steps} steps: {without} without noise, {with} with it");
        }
    }
}

#[test]
fn grids() {
    let levels = Schedule::linear(1000).levels().unwrap();
    let times =
        |sampler: Sampler| -> Vec<f64> { sampler.chain(&levels).unwrap().iter().map(|level| level.time).collect() };
    let at = |spacing, steps| times(Sampler { spacing, steps, ..Sampler::default() });
    assert_eq!(at(Spacing::Leading, 4), [750.0, 500.0, 250.0, 0.0, -1.0]);
    assert_eq!(at(Spacing::Trailing, 4), [999.0, 749.0, 499.0, 249.0, -1.0]);
    assert_eq!(at(Spacing::Linspace, 4), [999.0, 666.0, 333.0, 0.0, -1.0]);
    assert_eq!(at(Spacing::Linspace, 1), [999.0, -1.0]);
    for spacing in [Spacing::Leading, Spacing::Trailing, Spacing::Linspace] {
        assert_eq!(at(spacing, 1000), (0..=1000).map(|i| 999.0 - f64::from(i)).collect::<Vec<_>>());
    }
    let finish =
        Sampler { spacing: Spacing::Leading, steps: 4, offset: 1, finish: Finish::Lowest, ..Sampler::default() };
    assert_eq!(times(finish), [751.0, 501.0, 251.0, 1.0, 0.0]);
}

/// Schedules of a real-valued time serve any number of steps; none leads below what was trained.
#[test]
fn more_steps_than_training_times_stay_between_the_trained_ends() {
    for schedule in [
        Schedule::karras(25),
        Schedule::variance_exploding(25),
        Schedule::variance_preserving(25),
        Schedule::sub_variance_preserving(25),
        Schedule::linear_flow(25),
    ] {
        let levels = schedule.levels().unwrap();
        let flow = matches!(schedule, Schedule::LinearFlow { .. });
        for spacing in [Spacing::Trailing, Spacing::Linspace] {
            for (steps, finish) in [(26, Finish::Clean), (200, Finish::Clean), (26, Finish::Lowest)] {
                let sampler = Sampler { steps, spacing, finish, solver: Solver::Euler, ..Sampler::default() };
                let chain = sampler.chain(&levels).unwrap();
                assert_eq!((chain.len(), chain[0]), (steps + 1, levels.top()));
                let what = format!("{schedule:?} {sampler:?}");
                if spacing == Spacing::Linspace && finish == Finish::Lowest {
                    continue; // Linspace visits the lowest level itself.
                }
                assert!(chain.windows(2).all(|pair| pair[0].time > pair[1].time), "{what}");
                let last = chain[steps - 1];
                match (finish, spacing) {
                    // A flow is trained down to clean data.
                    (Finish::Clean, Spacing::Trailing) if flow => {
                        assert!((last.time - 25.0 / steps as f64).abs() < 1e-9, "{what}");
                    }
                    (Finish::Clean, _) => assert_eq!(last, levels.training(0), "{what}"),
                    (Finish::Lowest, _) => assert_eq!(chain[steps], levels.training(0), "{what}"),
                }
            }
        }
        // Up to as many steps as times, strides are those of the chain.
        for steps in [3, 24, 25] {
            let chain = Sampler { steps, solver: Solver::Euler, ..Sampler::default() }.chain(&levels).unwrap();
            for (i, level) in chain.iter().take(steps).enumerate() {
                let time = levels.clean_time() + (25.0 - i as f64 * (25.0 / steps as f64));
                assert_eq!(*level, levels.level(time), "{schedule:?}, {steps} steps");
            }
        }
    }
}

#[test]
fn hostile_samplers_are_errors() {
    let levels = Schedule::linear(100).levels().unwrap();
    let flow = Schedule::linear_flow(100).levels().unwrap();
    let good = Sampler { steps: 10, ..Sampler::default() };
    assert!(good.chain(&levels).is_ok());
    let bad = |change: fn(&mut Sampler)| {
        let mut sampler = good.clone();
        change(&mut sampler);
        sampler.chain(&levels).unwrap_err()
    };
    assert!(matches!(bad(|s| s.steps = 0), DiffusionError::SamplingSteps { .. }));
    assert!(matches!(bad(|s| s.steps = 101), DiffusionError::SamplingSteps { .. }));
    assert!(matches!(bad(|s| s.steps = usize::MAX), DiffusionError::SamplingSteps { .. }));
    assert!(matches!(bad(|s| s.eta = -0.1), DiffusionError::Range { .. }));
    assert!(matches!(bad(|s| s.eta = f64::NAN), DiffusionError::Range { .. }));
    assert!(matches!(bad(|s| s.eta = 0.5), DiffusionError::Combination(_)));
    assert!(matches!(bad(|s| s.clip = Clip::Range { limit: 0.0 }), DiffusionError::Range { .. }));
    assert!(matches!(bad(|s| s.clip = Clip::Dynamic { ratio: 2.0, limit: 1.0 }), DiffusionError::Range { .. }));
    assert!(matches!(
        bad(|s| (s.spacing, s.offset) = (Spacing::Leading, usize::MAX)),
        DiffusionError::SamplingSteps { .. }
    ));
    // A flow has no training levels to run out of.
    assert!(Sampler { steps: 500, ..good.clone() }.chain(&flow).is_ok());
    assert!(Sampler { steps: usize::MAX, ..good }.chain(&flow).is_err());
}
