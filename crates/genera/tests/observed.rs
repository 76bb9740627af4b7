//! Reconstruction guidance against posteriors that are known.

use burn::tensor::{Device, Tensor, TensorData};
use genera::Rng;
use genera::diffusion::{
    Diffusion, DiffusionConfig, Known, MixtureDenoiser, Observation, Observed, Replaced, Sampler, Schedule, Solver,
    Target,
};
use genera::nn::{ConditionalMlp, ConditionalMlpConfig};
use genera::traits::{Denoise, Rows};

fn rows(values: &[f32], n: usize) -> Rows {
    Tensor::from_data(TensorData::new(values.to_vec(), [n, values.len() / n]), &Device::default())
}

fn values(x: &Rows) -> Vec<f64> {
    x.to_data().iter::<f32>().map(f64::from).collect()
}

#[test]
fn observations_are_means() {
    let device = Device::default();
    let x = rows(&(0..24).map(|v| v as f32).collect::<Vec<f32>>(), 1);
    let grey = values(&Observation::grey([3, 2, 4], &device).observe(x.clone()));
    assert!(
        grey.len() == 8 && grey.iter().zip(8..).all(|(got, mean)| (got - f64::from(mean)).abs() < 1e-5),
        "{grey:?}"
    );
    // Squares of the two channels of 3 x 4; the last row fills none.
    let coarse = Observation::coarse([2, 3, 4], 2, &device).unwrap().observe(x.clone());
    assert_eq!(values(&coarse), [2.5, 4.5, 14.5, 16.5]);
    let seen: Vec<bool> = (0..24).map(|at| at % 10 == 3).collect();
    assert_eq!(values(&Observation::of(&seen, &device).observe(x)), [3.0, 13.0, 23.0]);
    assert!(Observation::coarse([1, 2, 2], 3, &device).is_err() && Observation::coarse([1, 2, 2], 0, &device).is_err());
}

/// Where the data are normal, what is drawn is the posterior: with `d` the mean over the square, `y = d + s n` leaves
/// `d` with mean `(v/4 y + s² m) / (v/4 + s²)`, and what is orthogonal to it as it was.
#[test]
fn normal_data_are_drawn_from_their_posterior() {
    let (mean, v, s, y, n) = (0.3, 0.6, 0.2, 1.0, 3000);
    let data = MixtureDenoiser::new(&[(1.0, vec![mean; 4], vec![v; 4])], &Device::default()).unwrap();
    let denoise = Observed {
        denoise: &data,
        observation: Observation::coarse([1, 2, 2], 2, &Device::default()).unwrap(),
        seen: rows(&[y as f32], 1),
        noise: s,
        variance: v,
        scale: 1.0,
    };
    let of_mean = v / 4.0;
    let expected = ((of_mean * y + s * s * mean) / (of_mean + s * s), of_mean * s * s / (of_mean + s * s));
    for schedule in [Schedule::variance_preserving(1000), Schedule::linear_flow(1000)] {
        let levels = schedule.levels().unwrap();
        for (solver, steps) in [(Solver::Heun, 60), (Solver::Ancestral, 250)] {
            let sampler = Sampler { solver, steps, ..Sampler::default() };
            let x = sampler.sample(&denoise, &levels, [n, 4], &mut Rng::new(3), &Device::default()).unwrap();
            let x = values(&x);
            let squares: Vec<f64> = x.chunks_exact(4).map(|x| x.iter().sum::<f64>() / 4.0).collect();
            let of = |values: &[f64]| {
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64)
            };
            let (found, spread) = of(&squares);
            let name = format!("{schedule:?}, {solver:?}");
            assert!((found - expected.0).abs() < 0.02, "{name}: mean {found}, expected {}", expected.0);
            assert!((spread / expected.1 - 1.0).abs() < 0.15, "{name}: variance {spread}, expected {}", expected.1);
            let across: Vec<f64> = x.chunks_exact(4).map(|x| (x[0] - x[1]) / 2.0_f64.sqrt()).collect();
            let (found, spread) = of(&across);
            assert!(found.abs() < 0.05 && (spread / v - 1.0).abs() < 0.12, "{name}: across {found} ± {spread}");
        }
    }
}

/// Of two far parts the one that fits is drawn, and what is seen agrees; that the guidance is needed is checked too.
#[test]
fn what_is_seen_decides_between_parts() {
    let parts = [(0.5, vec![-1.0, -1.0, 1.0], vec![0.02; 3]), (0.5, vec![1.0, 1.0, -1.0], vec![0.02; 3])];
    let data = MixtureDenoiser::new(&parts, &Device::default()).unwrap();
    let levels = Schedule::karras(1000).levels().unwrap();
    let sampler = Sampler { solver: Solver::Heun, steps: 40, ..Sampler::default() };
    let drawn = |scale: f64| {
        let denoise = Observed {
            denoise: &data,
            observation: Observation::of(&[true, false, false], &Device::default()),
            seen: rows(&[0.9], 1),
            noise: 0.1,
            variance: 1.0,
            scale,
        };
        values(&sampler.sample(&denoise, &levels, [400, 3], &mut Rng::new(4), &Device::default()).unwrap())
    };
    let fits = |x: &[f64]| x.chunks_exact(3).filter(|x| x[1] > 0.0 && x[2] < 0.0).count() as f64 / 400.0;
    let (told, untold) = (fits(&drawn(1.0)), fits(&drawn(0.0)));
    assert!(told > 0.9 && (untold - 0.5).abs() < 0.1, "{told} {untold}");
    let first = drawn(1.0).chunks_exact(3).map(|x| (x[0] - 0.9).abs()).sum::<f64>() / 400.0;
    assert!(first < 0.2, "{first}");
}

fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64)
}

/// The conditional of independent normal numbers of one variance, given their means over squares: the means are those seen,
/// and what is orthogonal to them is as it was. By replacement every solver draws from it, and what it ends with agrees.
#[test]
fn replacement_draws_from_the_conditional_of_normal_data() {
    let (mean, v, n) = (0.3, 0.6, 3000);
    let data = MixtureDenoiser::new(&[(1.0, vec![mean; 8], vec![v; 8])], &Device::default()).unwrap();
    let observation = Observation::coarse([2, 2, 2], 2, &Device::default()).unwrap();
    let seen = rows(&[1.0, -0.4], 1);
    let denoise = Replaced { denoise: &data, observation: observation.clone(), seen: seen.clone() };
    for schedule in [Schedule::variance_preserving(1000), Schedule::karras(1000), Schedule::linear_flow(1000)] {
        let levels = schedule.levels().unwrap();
        for (solver, steps) in [(Solver::Heun, 60), (Solver::Ancestral, 250), (Solver::Ddim, 100)] {
            let sampler = Sampler { solver, steps, ..Sampler::default() };
            let x = sampler.sample(&denoise, &levels, [n, 8], &mut Rng::new(3), &Device::default()).unwrap();
            let name = format!("{schedule:?}, {solver:?}");
            for pair in values(&observation.observe(x.clone())).chunks_exact(2) {
                assert!((pair[0] - 1.0).abs() < 1e-5 && (pair[1] + 0.4).abs() < 1e-5, "{name}: {pair:?}");
            }
            let x = values(&x);
            let across: Vec<f64> = x.chunks_exact(8).map(|x| (x[4] - x[7]) / 2.0_f64.sqrt()).collect();
            let (found, spread) = mean_and_variance(&across);
            assert!(found.abs() < 0.05 && (spread / v - 1.0).abs() < 0.12, "{name}: across {found} ± {spread}");
            // A number given the mean of its four: that mean, and three quarters of its variance.
            let first: Vec<f64> = x.iter().step_by(8).copied().collect();
            let (found, spread) = mean_and_variance(&first);
            assert!(
                (found - 1.0).abs() < 0.05 && (spread / (0.75 * v) - 1.0).abs() < 0.12,
                "{name}: {found} ± {spread}"
            );
        }
    }
}

/// Colours of which the grey is seen: of two parts that differ most in their greys, the one that it belongs to (where they
/// differ most in what is not seen, that decides long before: a weakness of replacement); and the flow in steps of its own
/// asks for some of the rows only.
#[test]
fn replacement_decides_between_parts_and_keeps_rows_apart() {
    let parts = [(0.5, vec![-1.2, -0.8, -0.4], vec![0.02; 3]), (0.5, vec![0.6, 1.0, 0.8], vec![0.02; 3])];
    let data = MixtureDenoiser::new(&parts, &Device::default()).unwrap();
    let observation = Observation::grey([3, 1, 1], &Device::default());
    let draw = |n: usize, solver: Solver| {
        // In turn the greys of the first part and of the second.
        let seen: Vec<f32> = (0..n).map(|row| if row % 2 == 0 { -0.8 } else { 0.8 }).collect();
        let denoise = Replaced { denoise: &data, observation: observation.clone(), seen: rows(&seen, n) };
        let sampler = Sampler { solver, steps: 60, ..Sampler::default() };
        let sampler = if solver == Solver::ProbabilityFlow { Sampler { tolerance: 1e-4, ..sampler } } else { sampler };
        let levels = Schedule::karras(1000).levels().unwrap();
        values(&sampler.sample(&denoise, &levels, [n, 3], &mut Rng::new(5), &Device::default()).unwrap())
    };
    for solver in [Solver::Heun, Solver::ProbabilityFlow] {
        let drawn = draw(200, solver);
        // The rest as well: the colours of a part stand in an order of their own.
        let fits = |(row, x): (usize, &[f64])| if row % 2 == 0 { x[2] - x[0] > 0.3 } else { x[2] - x[0] < 0.6 };
        let fitting = drawn.chunks_exact(3).enumerate().filter(|row| fits(*row)).count();
        assert!(fitting > 190, "{solver:?}: {fitting} of 200");
        assert_eq!(drawn[..30], draw(10, solver), "{solver:?}: a row does not depend on its company");
    }
}

/// Of numbers that are seen themselves it is the replacement that there was, to the bit.
#[test]
fn replacement_of_numbers_is_inpainting() {
    let data = MixtureDenoiser::new(&[(1.0, vec![0.2; 6], vec![0.5; 6])], &Device::default()).unwrap();
    let mask = [true, false, false, true, true, false];
    let truth = rows(&Rng::new(6).normal(5, 6), 5);
    let observation = Observation::of(&mask, &Device::default());
    let known =
        Known { denoise: &data, values: truth.clone(), mask: rows(&mask.map(|seen| f32::from(u8::from(seen))), 1) };
    let replaced = Replaced { denoise: &data, seen: observation.observe(truth), observation };
    let levels = Schedule::linear(100).levels().unwrap();
    let draw = |denoise: &dyn Denoise| {
        let sampler = Sampler { steps: 20, ..Sampler::default() };
        values(&sampler.sample(denoise, &levels, [5, 6], &mut Rng::new(7), &Device::default()).unwrap())
    };
    assert_eq!(draw(&known), draw(&replaced));
}

/// With networks, and each row keeps to itself.
#[test]
fn networks_are_told_by_their_derivative() {
    let net =
        ConditionalMlpConfig { width: 16, ..Default::default() }.init(4, None, &mut Rng::new(1), &Device::default());
    let model: Diffusion<ConditionalMlp> =
        DiffusionConfig { target: Target::V, ..DiffusionConfig::new(4, Schedule::cosine(100)) }.init(net).unwrap();
    let x = rows(&Rng::new(2).normal(6, 4), 6);
    let seen = rows(&Rng::new(3).normal(6, 2), 6);
    let levels: Vec<_> = [5, 20, 40, 60, 80, 95].map(|t| model.levels().training(t)).to_vec();
    let told = |seen: Rows| Observed {
        denoise: &model,
        observation: Observation::of(&[true, false, true, false], &Device::default()),
        seen,
        noise: 0.1,
        variance: 1.0,
        scale: 1.0,
    };
    let all = values(&told(seen.clone()).denoise(x.clone(), &levels));
    let part = told(seen.clone()).denoise_some(&[4, 2], x.clone().select(0, places(&[4, 2])), &[levels[4], levels[2]]);
    assert_eq!(values(&part), [&all[16..20], &all[8..12]].concat());
    // The shift is (σ²/α) times the gradient of the log-likelihood, by differences.
    let plain = values(&model.denoise(x.clone(), &levels));
    let row = 1;
    let level = levels[row];
    let r2 = level.sigma.powi(2) / (level.alpha.powi(2) + level.sigma.powi(2));
    let y = values(&seen)[2 * row..2 * row + 2].to_vec();
    let log_p = |x: Rows, at: usize| {
        let x0 = values(&model.denoise(x, &levels))[4 * at..4 * at + 4].to_vec();
        -0.5 * ((x0[0] - y[0]).powi(2) + (x0[2] - y[1]).powi(2)) / (r2 + 0.01)
    };
    for axis in 0..4 {
        let moved = |by: f32| {
            let mut numbers: Vec<f32> = x.to_data().iter::<f32>().collect();
            numbers[4 * row + axis] += by;
            log_p(rows(&numbers, 6), row)
        };
        let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2 * level.sigma.powi(2) / level.alpha;
        let shift = all[4 * row + axis] - plain[4 * row + axis];
        assert!((slope - shift).abs() < 0.03 * slope.abs().max(0.3), "axis {axis}: {shift}, expected {slope}");
    }
}

fn places(at: &[i32]) -> Tensor<1, burn::tensor::Int> {
    Tensor::from_data(TensorData::from(at), &Device::default())
}
