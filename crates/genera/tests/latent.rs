//! Expectation maximisation: hand-computed steps, closed forms, likelihoods that never fall, and data that are no data.

use genera::Rng;
use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::latent::{
    BernoulliMixtureConfig, Covariance, Em, ExpectationMaximisation, FactorConfig, GaussianMixture,
    GaussianMixtureConfig, LatentError, Noise, Points,
};
use genera::traits::{Batch, Codec, Density, Learner, Rows, Sample};
use genera::weights::{Metadata, from_bytes, to_bytes};

fn device() -> Device {
    Device::flex()
}

fn rows(values: &[f64], width: usize) -> Rows {
    let data: Vec<f32> = values.iter().map(|v| *v as f32).collect();
    Tensor::from_data(TensorData::new(data, [values.len() / width, width]), &device())
}

fn normal(n: usize, width: usize, seed: u64) -> Vec<f64> {
    Rng::new(seed).normal(n, width).into_iter().map(f64::from).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Points of two clouds in the plane, one wide, one narrow and slanted.
fn clouds(n: usize, seed: u64) -> Vec<f64> {
    let eps = normal(n, 2, seed);
    let point = |(i, e): (usize, &[f64])| match i % 3 {
        0 => [3.0 + 0.3 * e[0], 3.0 + 0.5 * e[0] + 0.2 * e[1]],
        _ => [-2.0 + 1.5 * e[0], e[1]],
    };
    eps.chunks_exact(2).enumerate().flat_map(point).collect()
}

/// A mixture with given numbers, through the names that checkpoints use.
fn given(covariance: Covariance, weights: &[f64], means: &[f64], covariances: &[f64]) -> GaussianMixture {
    let width = means.len() / weights.len();
    let config = GaussianMixtureConfig { components: weights.len(), covariance, floor: 1e-9 };
    let spread = normal(weights.len() + 3, width, 1);
    let any = config.init(&rows(&spread, width), &mut Rng::new(1)).unwrap();
    let values = [weights, means, covariances];
    let parameters = any.parameters().into_iter().zip(values).map(|((name, shape, _), v)| (name, shape, v.to_vec()));
    any.with_parameters(parameters.collect())
}

#[test]
fn a_step_by_hand() {
    // Two unit Gaussians at -1 and 1 on a line, rows at -1, 0 and 2.
    let mixture = given(Covariance::Full, &[0.5, 0.5], &[-1.0, 1.0], &[1.0, 1.0]);
    let x = Points { width: 1, values: vec![-1.0, 0.0, 2.0] };
    // p(second | x) = 1 / (1 + e^{-2x}).
    let second: Vec<f64> = x.values.iter().map(|x| 1.0 / (1.0 + (-2.0 * x).exp())).collect();
    let xi = mixture.responsibilities(&x);
    for (i, second) in second.iter().enumerate() {
        assert!((xi[2 * i + 1] - second).abs() < 1e-12 && (xi[2 * i] - (1.0 - second)).abs() < 1e-12);
    }
    let next = mixture.step(&x).model;
    let total: f64 = second.iter().sum();
    let mu = second.iter().zip(&x.values).map(|(w, x)| w * x).sum::<f64>() / total;
    let variance = second.iter().zip(&x.values).map(|(w, x)| w * (x - mu).powi(2)).sum::<f64>() / total;
    assert!((next.weights()[1] - total / 3.0).abs() < 1e-12);
    assert!((next.means()[1] - mu).abs() < 1e-12 && (next.covariances()[1] - variance).abs() < 1e-12);
    let log_p = mixture.log_likelihoods(&x)[2];
    let by_hand = (0.5 * (-4.5_f64).exp() + 0.5 * (-0.5_f64).exp()).ln() - 0.5 * std::f64::consts::TAU.ln();
    assert!((log_p - by_hand).abs() < 1e-12);
}

#[test]
fn every_shape_of_covariance_climbs_and_integrates_to_one() {
    let data = clouds(600, 3);
    let x = Points::gather(std::iter::once(&rows(&data, 2))).unwrap();
    let mut finals = Vec::new();
    for covariance in [Covariance::Spherical, Covariance::Diagonal, Covariance::Full, Covariance::Tied] {
        let config = GaussianMixtureConfig { components: 2, covariance, floor: 1e-6 };
        let mut em = ExpectationMaximisation::new(config.init(&rows(&data, 2), &mut Rng::new(2)).unwrap());
        let mut path = Vec::new();
        for _ in 0..40 {
            let (before, after, mended) = em.improve(&x).unwrap();
            assert!(after >= before - 1e-12 && mended == 0, "{covariance:?}: {before} {after}");
            path.push(after);
        }
        assert!(path[39] - path[38] < 1e-4, "{covariance:?}: {path:?}");
        finals.push(path[39]);
        let grid: Vec<f64> = (0..200 * 200)
            .flat_map(|at| [-12.0 + 0.12 * (f64::from(at / 200) + 0.5), -12.0 + 0.12 * (f64::from(at % 200) + 0.5)])
            .collect();
        let grid = Points { width: 2, values: grid };
        let total: f64 = em.model().log_likelihoods(&grid).iter().map(|l| l.exp() * 0.12 * 0.12).sum();
        assert!((total - 1.0).abs() < 1e-3, "{covariance:?}: {total}");
    }
    // More freedom, more likelihood; and the clouds are slanted, which only full covariances can follow.
    let [spherical, diagonal, full, tied] = finals[..] else { panic!() };
    assert!(spherical < diagonal && diagonal + 0.1 < full && tied < full, "{finals:?}");
}

/// The flower of the lecture: one Gaussian at zero and seven petals.
fn flower(n: usize, seed: u64) -> Vec<f64> {
    let eps = normal(n, 2, seed);
    let point = |(i, e): (usize, &[f64])| {
        let k = i % 8;
        if k == 7 {
            return [e[0], e[1]];
        }
        let angle = std::f64::consts::TAU * k as f64 / 7.0;
        let (c, s, a, b) = (angle.cos(), angle.sin(), 6.0 + 3.0_f64.sqrt() * e[0], e[1]);
        [c * a - s * b, s * a + c * b]
    };
    eps.chunks_exact(2).enumerate().flat_map(point).collect()
}

#[test]
fn the_petals_are_found() {
    let data = flower(4000, 5);
    let x = Points { width: 2, values: data.clone() };
    let config = GaussianMixtureConfig::default();
    let best = (0..3)
        .map(|seed| {
            let mut em = ExpectationMaximisation::new(config.init(&rows(&data, 2), &mut Rng::new(seed)).unwrap());
            for _ in 0..60 {
                em.improve(&x).unwrap();
            }
            em
        })
        .max_by(|a, b| mean(&a.model().log_likelihoods(&x)).total_cmp(&mean(&b.model().log_likelihoods(&x))))
        .unwrap();
    for k in 0..7 {
        let angle = std::f64::consts::TAU * f64::from(k) / 7.0;
        let petal = [6.0 * angle.cos(), 6.0 * angle.sin()];
        let away = |m: &[f64]| (m[0] - petal[0]).hypot(m[1] - petal[1]);
        let nearest = best.model().means().chunks_exact(2).map(away).fold(f64::INFINITY, f64::min);
        assert!(nearest < 0.35, "petal {k}: {nearest}, {:?}", best.model().means());
    }
    assert!(best.model().weights().iter().all(|w| (w - 0.125).abs() < 0.02), "{:?}", best.model().weights());
}

#[test]
fn samples_have_the_mixture_s_moments_and_know_nothing_of_each_other() {
    let mixture =
        given(Covariance::Full, &[0.25, 0.75], &[2.0, 0.0, -1.0, 1.0], &[1.0, 0.5, 0.5, 2.0, 0.3, 0.0, 0.0, 0.1]);
    let x = Points::new(&mixture.sample(20_000, &mut Rng::new(4)));
    let m = x.mean();
    assert!((m[0] + 0.25).abs() < 0.05 && (m[1] - 0.75).abs() < 0.04, "{m:?}");
    let c = x.weighted_covariance(&m, std::iter::repeat_n(1.0, x.count()));
    // Within 0.25 · 1 + 0.75 · 0.3, between 0.25 · 0.75 · 3².
    assert!((c[0] - (0.475 + 1.6875)).abs() < 0.1 && (c[1] - (0.125 - 0.5625)).abs() < 0.06, "{c:?}");
    let whole = Points::new(&mixture.sample(64, &mut Rng::new(4))).values;
    let parts = (0..8).flat_map(|i| Points::new(&mixture.sample(8, &mut Rng::new(4).rows_from(8 * i))).values);
    assert_eq!(whole, parts.collect::<Vec<f64>>());
    let logs: Vec<f32> = mixture.log_prob(rows(&whole, 2)).to_data().iter::<f32>().collect();
    assert!(
        logs.iter()
            .zip(mixture.log_likelihoods(&Points { width: 2, values: whole }))
            .all(|(a, b)| (f64::from(*a) - b).abs() < 1e-4)
    );
}

/// Rows of a linear Gaussian model in five dimensions with two factors.
fn linear(n: usize, noise: &[f64; 5]) -> Vec<f64> {
    let w = [1.0, 0.2, -0.8, 1.1, 0.5, 0.5, 0.0, -1.3, 0.9, 0.3];
    let (z, eps) = (normal(n, 2, 6), normal(n, 5, 7));
    (0..5 * n)
        .map(|at| {
            let (i, d) = (at / 5, at % 5);
            w[2 * d] * z[2 * i] + w[2 * d + 1] * z[2 * i + 1] + noise[d] * eps[at] + d as f64
        })
        .collect()
}

#[test]
fn principal_components_by_steps_and_in_closed_form_agree() {
    let data = linear(800, &[0.5; 5]);
    let x = Points { width: 5, values: Points::new(&rows(&data, 5)).values };
    let config = FactorConfig::default();
    let closed = config.closed_form(&rows(&data, 5)).unwrap();
    let mut em = ExpectationMaximisation::new(config.init(&rows(&data, 5), &mut Rng::new(1)).unwrap());
    for _ in 0..400 {
        let (before, after, mended) = em.improve(&x).unwrap();
        assert!(after >= before - 1e-12 && mended == 0);
    }
    let likelihood = |model: &genera::latent::FactorModel| mean(&model.log_likelihoods(&x));
    let (by_steps, at_once) = (likelihood(em.model()), likelihood(&closed));
    assert!((by_steps - at_once).abs() < 1e-8, "{by_steps} {at_once}");
    let product = |model: &genera::latent::FactorModel, i: usize, j: usize| {
        (0..2).map(|q| model.loadings()[2 * i + q] * model.loadings()[2 * j + q]).sum::<f64>()
    };
    for at in 0..25 {
        assert!((product(em.model(), at / 5, at % 5) - product(&closed, at / 5, at % 5)).abs() < 1e-3);
    }
    assert!((closed.noise()[0] - 0.25).abs() < 0.03);

    // The maximum in closed form: −n/2 (D log 2π + Σ log λ + (D − Q) log σ² + D) over n.
    let s = x.weighted_covariance(&x.mean(), std::iter::repeat_n(1.0, 800));
    // tr(C⁻¹ S) = D at the maximum, so that the mean log-likelihood is −½ (D log 2π + log |C| + D).
    let c = |i: usize, j: usize| product(&closed, i, j) + if i == j { closed.noise()[0] } else { 0.0 };
    let trace: f64 = (0..5).map(|i| c(i, i)).sum();
    assert!((trace - (0..5).map(|i| s[6 * i]).sum::<f64>()).abs() < 1e-9, "the trace of C is that of S");
}

#[test]
fn the_posterior_of_principal_components_is_the_formula() {
    let data = linear(300, &[0.5; 5]);
    let model = FactorConfig::default().closed_form(&rows(&data, 5)).unwrap();
    let (w, variance) = (model.loadings(), model.noise()[0]);
    // M = Wᵀ W + σ² I; N(M⁻¹ Wᵀ (x − μ), σ² M⁻¹).
    let m = |i: usize, j: usize| {
        (0..5).map(|d| w[2 * d + i] * w[2 * d + j]).sum::<f64>() + if i == j { variance } else { 0.0 }
    };
    let det = m(0, 0) * m(1, 1) - m(0, 1) * m(0, 1);
    let inverse = [m(1, 1) / det, -m(0, 1) / det, -m(0, 1) / det, m(0, 0) / det];
    for (found, expected) in model.posterior_covariance().iter().zip(inverse) {
        assert!((found - variance * expected).abs() < 1e-10);
    }
    let x = Points::new(&rows(&data, 5));
    let centre = x.mean();
    let b = [0, 1].map(|q| (0..5).map(|d| w[2 * d + q] * (x.row(3)[d] - centre[d])).sum::<f64>());
    let z = model.posterior_mean(x.row(3));
    assert!((z[0] - (inverse[0] * b[0] + inverse[1] * b[1])).abs() < 1e-9);
    assert!((z[1] - (inverse[2] * b[0] + inverse[3] * b[1])).abs() < 1e-9);
    // log N(x; μ, W Wᵀ + σ² I) through the 5x5 matrix itself, by elimination.
    let mut a: Vec<Vec<f64>> = (0..5)
        .map(|i| {
            let mut row: Vec<f64> = (0..5)
                .map(|j| (0..2).map(|q| w[2 * i + q] * w[2 * j + q]).sum::<f64>() + if i == j { variance } else { 0.0 })
                .collect();
            row.push(x.row(3)[i] - centre[i]);
            row
        })
        .collect();
    let (mut log_det, mut square) = (0.0, 0.0);
    for i in 0..5 {
        log_det += a[i][i].ln();
        square += a[i][5].powi(2) / a[i][i];
        for r in i + 1..5 {
            let factor = a[r][i] / a[i][i];
            (i..6).for_each(|c| a[r][c] -= factor * a[i][c]);
        }
    }
    let expected = -0.5 * (5.0 * std::f64::consts::TAU.ln() + log_det + square);
    assert!((model.log_likelihoods(&x)[3] - expected).abs() < 1e-9);
    let decoded = Points::new(&model.decode(model.encode(rows(x.row(3), 5))));
    assert_eq!(decoded.width, 5);
}

#[test]
fn factor_analysis_finds_the_noise_of_each_dimension() {
    let noise = [0.3, 1.0, 0.6, 0.2, 1.5];
    let data = linear(6000, &noise);
    let x = Points::new(&rows(&data, 5));
    let config = FactorConfig { noise: Noise::Diagonal, ..FactorConfig::default() };
    let mut em = ExpectationMaximisation::new(config.init(&rows(&data, 5), &mut Rng::new(1)).unwrap());
    for _ in 0..300 {
        let (before, after, _) = em.improve(&x).unwrap();
        assert!(after >= before - 1e-12);
    }
    // With five dimensions and two factors the noise is barely identified: the covariance is what must agree.
    let c = |i: usize, j: usize| {
        let w = em.model().loadings();
        (0..2).map(|q| w[2 * i + q] * w[2 * j + q]).sum::<f64>() + if i == j { em.model().noise()[i] } else { 0.0 }
    };
    let s = x.weighted_covariance(&x.mean(), std::iter::repeat_n(1.0, 6000));
    for (at, s) in s.iter().enumerate() {
        assert!((c(at / 5, at % 5) - s).abs() < 0.05, "{at}: {} {s}", c(at / 5, at % 5));
    }
    let isotropic = FactorConfig::default().closed_form(&rows(&data, 5)).unwrap();
    assert!(mean(&em.model().log_likelihoods(&x)) > mean(&isotropic.log_likelihoods(&x)) + 0.1);
    let drawn = Points::new(&em.model().sample(6000, &mut Rng::new(5)));
    let covariance = drawn.weighted_covariance(&drawn.mean(), std::iter::repeat_n(1.0, 6000));
    assert!((covariance[1] - s[1]).abs() < 0.15 && (covariance[24] - s[24]).abs() < 0.3);
}

/// Rows of six bits from two patterns with 10 % of them turned over.
fn bits(n: usize) -> Vec<f64> {
    let flips = Rng::new(3).uniform(n, 6);
    let of = |at: usize| {
        let pattern = if (at / 6).is_multiple_of(2) { at % 6 < 3 } else { at.is_multiple_of(2) };
        f64::from(u8::from(pattern != (flips[at] < 0.1)))
    };
    (0..6 * n).map(of).collect()
}

#[test]
fn bernoulli_mixtures_climb_sum_to_one_and_find_the_patterns() {
    let data = bits(1000);
    let x = Points { width: 6, values: data.clone() };
    let config = BernoulliMixtureConfig { components: 2, floor: 1e-3 };
    let mut em = ExpectationMaximisation::new(config.init(&rows(&data, 6), &mut Rng::new(2)).unwrap());
    for _ in 0..60 {
        let (before, after, _) = em.improve(&x).unwrap();
        assert!(after >= before - 1e-12);
    }
    let all: Vec<f64> = (0..64 * 6).map(|at| f64::from((at / 6) >> (at % 6) & 1)).collect();
    let total: f64 = em.model().log_likelihoods(&Points { width: 6, values: all }).iter().map(|l| l.exp()).sum();
    assert!((total - 1.0).abs() < 1e-12);
    let sure = em.model().means().iter().filter(|m| (**m - 0.1).abs() < 0.1 || (**m - 0.9).abs() < 0.1).count();
    assert_eq!(sure, 12, "{:?}", em.model().means());
    let drawn = Points::new(&em.model().sample(2000, &mut Rng::new(1)));
    assert!(drawn.values.iter().all(|v| *v == 0.0 || *v == 1.0));
    assert!(drawn.mean().iter().zip(x.mean()).all(|(a, b)| (a - b).abs() < 0.05));
    let wrong = config.init(&rows(&[0.0, 0.5], 1), &mut Rng::new(1)).unwrap_err();
    assert_eq!(wrong, LatentError::NotBinary(1));
}

#[test]
fn the_learner_resumes_without_losing_a_bit() {
    let data = clouds(300, 8);
    let batch = || vec![Batch { x: rows(&data, 2), labels: None }];
    let fresh = || {
        let config = GaussianMixtureConfig { components: 3, ..GaussianMixtureConfig::default() };
        ExpectationMaximisation::new(config.init(&rows(&data, 2), &mut Rng::new(2)).unwrap())
    };
    let steps = |em: &mut ExpectationMaximisation<GaussianMixture>, n: u64| {
        (0..n).for_each(|step| drop(em.step(batch(), &mut Rng::new(1).at(step)).unwrap()));
    };
    let (mut whole, mut first, mut second) = (fresh(), fresh(), fresh());
    steps(&mut whole, 10);
    steps(&mut first, 4);
    let file = first
        .save()
        .into_iter()
        .map(|(name, group)| (name.to_owned(), from_bytes(&to_bytes(&group, &Metadata::new())).unwrap()));
    second.load(&file.collect::<Vec<_>>()).unwrap();
    steps(&mut second, 6);
    assert_eq!(whole.model().parameters(), second.model().parameters());
    assert!(second.load(&[]).is_err());
    // Two micro-batches are one step on all their rows.
    let (mut split, mut one) = (fresh(), fresh());
    let halves = [0..150, 150..300].map(|r| Batch { x: rows(&data[2 * r.start..2 * r.end], 2), labels: None });
    split.step(halves.into(), &mut Rng::new(1)).unwrap();
    steps(&mut one, 1);
    assert_eq!(split.model().parameters(), one.model().parameters());
}

#[test]
fn degenerate_data() {
    let config = |components, covariance| GaussianMixtureConfig { components, covariance, floor: 1e-6 };
    // More components than rows that differ.
    let few =
        config(5, Covariance::Full).init(&rows(&[0.0, 0.0, 1.0, 1.0, 0.0, 0.0], 2), &mut Rng::new(1)).unwrap_err();
    assert_eq!(few, LatentError::Components { components: 5, distinct: 2 });
    assert!(few.to_string().contains("ask for 1 to 2"));
    let nan = config(1, Covariance::Full).init(&rows(&[0.0, f64::NAN], 1), &mut Rng::new(1)).unwrap_err();
    assert_eq!(nan, LatentError::NotFinite(1));
    let empty = Tensor::<2>::zeros([0, 2], &device());
    assert!(matches!(config(1, Covariance::Full).init(&empty, &mut Rng::new(1)), Err(LatentError::Empty { .. })));
    for covariance in [Covariance::Spherical, Covariance::Diagonal, Covariance::Full, Covariance::Tied] {
        // One row, and a dimension without any variance: held at the floor, finite, and said.
        for data in [vec![1.0, 2.0], vec![0.0, 5.0, 1.0, 5.0, 2.0, 5.0, 3.0, 5.0]] {
            let model = config(1, covariance).init(&rows(&data, 2), &mut Rng::new(1)).unwrap();
            let mut em = ExpectationMaximisation::new(model);
            let x = Points { width: 2, values: data.clone() };
            let mut mended = 0;
            for _ in 0..5 {
                mended += em.improve(&x).unwrap().2;
            }
            assert!(em.model().log_likelihoods(&x).iter().all(|l| l.is_finite()), "{covariance:?}");
            assert!(em.model().sample(3, &mut Rng::new(1)).dims() == [3, 2]);
            assert!(mended > 0 || data.len() > 2 && matches!(covariance, Covariance::Spherical), "{covariance:?}");
        }
    }
    // A component that no row belongs to starts again at the row that is explained worst.
    let lost = given(Covariance::Full, &[0.5, 0.5], &[0.0, 1e6], &[1.0, 1.0]);
    let x = Points { width: 1, values: vec![-1.0, 0.0, 1.0, 9.0] };
    let next = lost.step(&x);
    assert_eq!((next.mended, next.model.means()[1]), (1, 9.0));
    // Pixels that never change, for factors.
    let constant: Vec<f64> = normal(50, 3, 2).chunks_exact(3).flat_map(|row| [row[0], 0.0, row[1], row[2]]).collect();
    for noise in [Noise::Isotropic, Noise::Diagonal] {
        let config = FactorConfig { factors: 2, noise, floor: 1e-6 };
        let mut em = ExpectationMaximisation::new(config.init(&rows(&constant, 4), &mut Rng::new(1)).unwrap());
        let x = Points::new(&rows(&constant, 4));
        for _ in 0..50 {
            em.improve(&x).unwrap();
        }
        assert!(em.model().log_likelihoods(&x).iter().all(|l| l.is_finite()));
    }
    let many = FactorConfig { factors: 4, ..FactorConfig::default() }.init(&rows(&constant, 4), &mut Rng::new(1));
    assert_eq!(many.unwrap_err(), LatentError::Factors { factors: 4, width: 4, most: 3 });
}
