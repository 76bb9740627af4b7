//! Reconstruction guidance against posteriors that are known.

use burn::tensor::{Device, Tensor, TensorData};
use genera::Rng;
use genera::diffusion::{
    Diffusion, DiffusionConfig, MixtureDenoiser, Observation, Observed, Sampler, Schedule, Solver, Target,
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
