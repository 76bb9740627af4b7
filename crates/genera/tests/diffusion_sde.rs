//! The stochastic equations of diffusion, forwards and backwards, against a mixture whose score is known.

use std::cell::Cell;

use burn::tensor::{Device, Tensor, TensorData};
use genera::Rng;
use genera::diffusion::{
    Corrector, DiffusionError, Level, Levels, MixtureDenoiser, Moment, Sampler, Schedule, Solver, StepSize,
};
use genera::sde::{Brownian, Scheme};
use genera::traits::{Denoise, Rows, Sample};
use genera_metrics::{Kernel, Points, permutation_test};

const PARTS: [(f64, [f64; 2], [f64; 2]); 2] = [(0.3, [1.0, -0.5], [0.1, 0.3]), (0.7, [-0.6, 0.4], [0.2, 0.05])];

fn mixture() -> MixtureDenoiser {
    let parts = PARTS.map(|(weight, mean, variance)| (weight, mean.to_vec(), variance.to_vec()));
    MixtureDenoiser::new(&parts, &Device::default()).unwrap()
}

fn exact_moments(level: Level) -> [f64; 4] {
    let mean = [0, 1].map(|axis| PARTS.iter().map(|part| part.0 * part.1[axis]).sum::<f64>());
    let second = |axis: usize| PARTS.iter().map(|p| p.0 * (p.1[axis].powi(2) + p.2[axis])).sum::<f64>();
    let variance = |axis| level.alpha.powi(2) * (second(axis) - mean[axis].powi(2)) + level.sigma.powi(2);
    [level.alpha * mean[0], level.alpha * mean[1], variance(0), variance(1)]
}

fn values(x: &Rows) -> Vec<f64> {
    x.to_data().iter::<f32>().map(f64::from).collect()
}

fn moments(x: &Rows) -> [f64; 4] {
    let x = values(x);
    let n = x.len() as f64 / 2.0;
    let mean = [0, 1].map(|axis| x.iter().skip(axis).step_by(2).sum::<f64>() / n);
    let variance = [0, 1].map(|axis| x.iter().skip(axis).step_by(2).map(|v| (v - mean[axis]).powi(2)).sum::<f64>() / n);
    [mean[0], mean[1], variance[0], variance[1]]
}

#[track_caller]
fn assert_moments(what: &str, x: &Rows, level: Level, slack: f64) {
    let (found, exact) = (moments(x), exact_moments(level));
    let spread = exact[2].max(exact[3]);
    // Five standard errors and what the steps leave.
    let bound = slack * spread + 5.0 * spread.max(spread.sqrt()) * (2.0 / x.dims()[0] as f64).sqrt();
    for (found, exact) in found.iter().zip(exact) {
        assert!((found - exact).abs() < bound, "{what}: {found}, expected {exact} within {bound}");
    }
}

/// Points distributed as the mixture is at `level`.
fn noisy(level: Level, n: usize, rng: &mut Rng) -> Rows {
    let x0 = mixture().sample(n, rng);
    let eps: Rows = Tensor::from_data(TensorData::new(rng.normal(n, 2), [n, 2]), &x0.device());
    x0 * level.alpha + eps * level.sigma
}

fn schedules() -> [Levels; 4] {
    [
        Schedule::VarianceExploding { steps: 1000, sigma_min: 0.02, sigma_max: 10.0 },
        Schedule::variance_preserving(1000),
        Schedule::sub_variance_preserving(1000),
        Schedule::linear(1000),
    ]
    .map(|schedule| schedule.levels().unwrap())
}

/// Adaptive steps are not taken finer than what is asserted.
fn sampler(solver: Solver) -> Sampler {
    let default = Sampler::default();
    let tolerance = if solver == Solver::ProbabilityFlow { 1e-4 } else { default.tolerance };
    Sampler { solver, tolerance, ..default }
}

fn evenly(top: f64, bottom: f64, n: usize) -> Vec<f64> {
    (0..=n).map(|i| top + (bottom - top) * i as f64 / n as f64).collect()
}

#[test]
fn forward_simulation_has_the_moments_of_the_kernels() {
    let n = 2000;
    for levels in schedules() {
        let mut rng = Rng::new(1);
        let (bottom, top) = (levels.training(0), levels.top());
        let x = noisy(bottom, n, &mut rng);
        let mut path = Brownian::new([n, 2], [bottom.time, top.time], &mut rng);
        let mut seen = 0;
        let grid = evenly(bottom.time, top.time, 120);
        Scheme::Heun.simulate(&levels, x, &grid, &mut path, &mut |time, x| {
            seen += 1;
            if seen % 40 == 0 {
                assert_moments(&format!("{:?} at {time}", levels.schedule()), x, levels.level(time), 0.03);
            }
        });
        assert_eq!(seen, 120);
    }
}

#[test]
fn backward_solvers_end_in_the_mixture() {
    let n = 2000;
    let corrector = Some(Corrector { steps: 1, size: StepSize::Relative(0.16) });
    for levels in schedules() {
        for (solver, corrector) in [
            (Solver::EulerMaruyama, None),
            (Solver::ReverseDiffusion, None),
            (Solver::StochasticHeun, None),
            (Solver::ReverseDiffusion, corrector),
            (Solver::Ancestral, corrector),
            (Solver::ProbabilityFlow, None),
        ] {
            let sampler = Sampler { steps: 150, corrector, ..sampler(solver) };
            let chain = sampler.chain(&levels).unwrap();
            let x = noisy(chain[0], n, &mut Rng::new(11));
            let drawn = sampler.run(&mixture(), &levels, &chain, x, &mut Rng::new(12), &mut |_| ());
            let what = format!("{solver:?} {corrector:?} on {:?}", levels.schedule());
            assert_moments(&what, &drawn, levels.clean(), 0.08);
        }
    }
}

/// Reverse equation, predictor-corrector and probability flow draw from one law, which is the mixture's: none of them
/// can be told from fresh points.
#[test]
fn backward_solvers_agree_in_distribution() {
    let (n, levels) = (600, Schedule::variance_preserving(1000).levels().unwrap());
    let fresh = values(&mixture().sample(n, &mut Rng::new(5)));
    let kernel = {
        let points = Points::new(&fresh, n, 2).unwrap();
        Kernel::median(&points, &points).unwrap()
    };
    let p_value = |a: &[f64], b: &[f64]| {
        let (a, b) = (Points::new(a, n, 2).unwrap(), Points::new(b, n, 2).unwrap());
        permutation_test(&a, &b, &kernel, 199, &mut Rng::new(6)).unwrap().p_value
    };
    let corrector = Some(Corrector { steps: 1, size: StepSize::Relative(0.15) });
    let draws =
        [(Solver::StochasticHeun, None), (Solver::ReverseDiffusion, corrector), (Solver::ProbabilityFlow, None)].map(
            |(solver, corrector)| {
                let sampler = Sampler { steps: 200, corrector, ..sampler(solver) };
                let chain = sampler.chain(&levels).unwrap();
                let x = noisy(chain[0], n, &mut Rng::new(21).fork(&format!("{solver:?}")));
                values(&sampler.run(&mixture(), &levels, &chain, x, &mut Rng::new(22), &mut |_| ()))
            },
        );
    for drawn in &draws {
        assert!(p_value(drawn, &fresh) > 0.01);
    }
    assert!(p_value(&draws[0], &draws[1]) > 0.01 && p_value(&draws[1], &draws[2]) > 0.01);
    // The test has eyes: points moved by a third of their deviation are seen.
    let moved: Vec<f64> = fresh.iter().map(|x| x + 0.2).collect();
    assert!(p_value(&draws[0], &moved) < 0.01);
}

/// Along one Brownian path, all steps of the reverse equation are of strong order one.
#[test]
fn backward_solvers_have_their_strong_order() {
    let n = 100;
    for levels in &schedules()[..3] {
        let (top, bottom) = (900.0, 300.0);
        let x = noisy(levels.level(top), n, &mut Rng::new(3));
        let run = |solver: Solver, steps: usize| {
            let chain: Vec<Level> = evenly(top, bottom, steps).into_iter().map(|t| levels.level(t)).collect();
            // The last step is without noise; a level that is not reached keeps it out of sight.
            let chain = [&chain[..], &[levels.level(bottom - 1e-3)]].concat();
            let mut end = Vec::new();
            Sampler { solver, ..Sampler::default() }.run(
                &mixture(),
                levels,
                &chain,
                x.clone(),
                &mut Rng::new(4),
                &mut |m| {
                    if m.step + 1 == steps {
                        end = values(m.x);
                    }
                },
            );
            end
        };
        let reference = run(Solver::StochasticHeun, 500);
        for solver in [Solver::EulerMaruyama, Solver::ReverseDiffusion, Solver::StochasticHeun] {
            let error = |steps| {
                let apart: f64 = run(solver, steps).iter().zip(&reference).map(|(a, b)| (a - b).powi(2)).sum();
                (apart / (2 * n) as f64).sqrt()
            };
            let (coarse, fine) = (error(25), error(100));
            let order = (coarse / fine).log2() / 2.0;
            println!("{:?} {solver:?}: {coarse:.2e} -> {fine:.2e}, strong order {order:.2}", levels.schedule());
            assert!((order - 1.0).abs() < 0.3, "{solver:?} on {:?}: {order}", levels.schedule());
        }
    }
}

/// What a step does to the variance of one Gaussian is of weak order one, and of two for Heun's rule. All follow the same
/// paths, so that chance falls out of the differences. (Exploding variances are left out: a Gaussian is so easy for them
/// that nothing of Heun's error is above chance.)
#[test]
fn backward_solvers_have_their_weak_order() {
    let n = 6000;
    let gaussian = MixtureDenoiser::new(&[(1.0, vec![0.4], vec![0.25])], &Device::default()).unwrap();
    for levels in &schedules()[1..3] {
        let (top, bottom) = (700.0, 400.0);
        let Level { alpha, sigma, .. } = levels.level(top);
        let spread = (0.25 * alpha * alpha + sigma * sigma).sqrt() as f32;
        let start: Vec<f32> = Rng::new(3).normal(n, 1).into_iter().map(|z| 0.4 * alpha as f32 + spread * z).collect();
        let x: Rows = Tensor::from_data(TensorData::new(start, [n, 1]), &Device::default());
        let variance = |solver: Solver, steps: usize| {
            let chain: Vec<Level> = evenly(top, bottom, steps).into_iter().map(|t| levels.level(t)).collect();
            let chain = [&chain[..], &[levels.level(bottom - 1e-3)]].concat();
            let mut end = Vec::new();
            let mut observe = |m: Moment<'_>| {
                if m.step + 1 == steps {
                    end = values(m.x);
                }
            };
            Sampler { solver, ..Sampler::default() }.run(
                &gaussian,
                levels,
                &chain,
                x.clone(),
                &mut Rng::new(4),
                &mut observe,
            );
            let mean = end.iter().sum::<f64>() / n as f64;
            end.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64
        };
        let reference = variance(Solver::StochasticHeun, 160);
        let Level { alpha, sigma, .. } = levels.level(bottom);
        let exact = 0.25 * alpha * alpha + sigma * sigma;
        assert!((reference / exact - 1.0).abs() < 5.0 * (2.0 / n as f64).sqrt(), "{reference}, not {exact}");
        for (solver, expected) in
            [(Solver::EulerMaruyama, 1.0), (Solver::ReverseDiffusion, 1.0), (Solver::StochasticHeun, 2.0)]
        {
            let error = |steps| (variance(solver, steps) - reference).abs();
            let (coarse, fine) = (error(5), error(20));
            let order = (coarse / fine).log2() / 2.0;
            println!("{:?} {solver:?}: {coarse:.2e} -> {fine:.2e}, weak order {order:.2}", levels.schedule());
            assert!((order - expected).abs() < 0.35, "{solver:?} on {:?}: {order}", levels.schedule());
        }
    }
}

/// Langevin dynamics at every level: the mixture, from a start that has nothing of it.
#[test]
fn annealed_langevin_finds_the_mixture() {
    let levels = Schedule::VarianceExploding { steps: 20, sigma_min: 0.05, sigma_max: 5.0 }.levels().unwrap();
    let ends = [levels.training(0).sigma, levels.top().sigma];
    for size in [StepSize::Smallest(5e-4), StepSize::Largest(5e-4 * (ends[1] / ends[0]).powi(2))] {
        let corrector = Some(Corrector { steps: 40, size });
        let sampler = Sampler { solver: Solver::Langevin, steps: 20, corrector, ..Sampler::default() };
        let noise = Tensor::from_data(TensorData::new(Rng::new(1).normal(2000, 2), [2000, 2]), &Device::default());
        let drawn = sampler.sample_from(&mixture(), &levels, noise, &mut Rng::new(2)).unwrap();
        assert_moments(&format!("{size:?}"), &drawn, levels.clean(), 0.08);
    }
}

/// Counts how often it is asked.
struct Counted(MixtureDenoiser, Cell<usize>);

impl Denoise for Counted {
    fn denoise(&self, x: Rows, levels: &[Level]) -> Rows {
        self.1.set(self.1.get() + 1);
        self.0.denoise(x, levels)
    }
}

/// A step is relative to the ladder that was trained, not to the levels that a short chain visits, and costs one
/// evaluation; one more removes the noise that is left.
#[test]
fn langevin_steps_are_those_of_the_trained_ladder() {
    let levels = Schedule::VarianceExploding { steps: 60, sigma_min: 0.02, sigma_max: 5.0 }.levels().unwrap();
    for size in [StepSize::Smallest(1e-4), StepSize::Largest(6.25)] {
        let first = |steps: usize| {
            let corrector = Some(Corrector { steps: 3, size });
            let sampler = Sampler { solver: Solver::Langevin, steps, corrector, ..Sampler::default() };
            let chain = sampler.chain(&levels).unwrap();
            let x = noisy(chain[0], 10, &mut Rng::new(1));
            let denoise = Counted(mixture(), Cell::new(0));
            let mut after = Vec::new();
            sampler.run(&denoise, &levels, &chain, x, &mut Rng::new(2), &mut |moment| {
                if moment.step == 0 {
                    after = values(moment.x);
                }
            });
            assert_eq!(denoise.1.get(), 3 * steps + 1);
            after
        };
        assert_eq!(first(60), first(4), "{size:?}");
    }
}

#[test]
fn hostile_settings_are_errors() {
    let levels = Schedule::variance_preserving(100).levels().unwrap();
    let flow = Schedule::linear_flow(100).levels().unwrap();
    let good = Sampler { steps: 10, ..Sampler::default() };
    let corrector = |steps, size| Some(Corrector { steps, size: StepSize::Relative(size) });
    let bad = |change: &dyn Fn(&mut Sampler), levels: &Levels| {
        let mut sampler = good.clone();
        change(&mut sampler);
        sampler.chain(levels).unwrap_err()
    };
    assert!(matches!(bad(&|s| s.solver = Solver::Langevin, &levels), DiffusionError::Combination(_)));
    assert!(matches!(bad(&|s| s.corrector = corrector(0, 0.1), &levels), DiffusionError::Range { .. }));
    assert!(matches!(bad(&|s| s.corrector = corrector(1, f64::NAN), &levels), DiffusionError::Range { .. }));
    assert!(matches!(bad(&|s| s.tolerance = 0.0, &levels), DiffusionError::Flow(_)));
    for solver in [Solver::EulerMaruyama, Solver::ReverseDiffusion, Solver::StochasticHeun] {
        assert!(matches!(bad(&|s| s.solver = solver, &flow), DiffusionError::Combination(_)), "{solver:?}");
    }
    assert!(matches!(bad(&|s| s.tolerance = 1e-3, &levels), DiffusionError::Combination(_)));
    assert!(matches!(bad(&|s| s.offset = 1, &levels), DiffusionError::Combination(_)));
    let churn: genera::diffusion::Churn = serde_json::from_str(r#"{"amount": 10.0}"#).unwrap();
    assert!(matches!(
        bad(&|s| (s.churn, s.solver) = (Some(churn), Solver::Heun), &levels),
        DiffusionError::Combination(_)
    ));
    let karras = Schedule::karras(100).levels().unwrap();
    assert!(matches!(bad(&|s| s.churn = Some(churn), &karras), DiffusionError::Combination(_)));
    assert!(Sampler { churn: Some(churn), solver: Solver::Heun, ..good }.chain(&karras).is_ok());
}

/// EDM's stochastic sampler ends in the mixture too.
#[test]
fn churned_heun_ends_in_the_mixture() {
    let levels = Schedule::Karras { steps: 100, sigma_min: 0.01, sigma_max: 20.0, rho: 7.0 }.levels().unwrap();
    let churn = serde_json::from_str(r#"{"amount": 20.0, "low": 0.05, "high": 10.0, "scale": 1.003}"#).unwrap();
    let sampler = Sampler { solver: Solver::Heun, steps: 60, churn: Some(churn), ..Sampler::default() };
    let chain = sampler.chain(&levels).unwrap();
    let x = noisy(chain[0], 3000, &mut Rng::new(11));
    let drawn = sampler.run(&mixture(), &levels, &chain, x, &mut Rng::new(12), &mut |_| ());
    assert_moments("churn", &drawn, levels.clean(), 0.04);
}
