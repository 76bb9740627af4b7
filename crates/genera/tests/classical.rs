//! Estimators without networks: SciPy's numbers, and the laws of densities.

use std::collections::BTreeMap;

use genera::Rng;
use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::classical::{Bandwidth, Collector, Estimator, HistogramConfig, Kde, KdeConfig, Kernel};
use genera::traits::{Batch, Density, Learner, Rows, Sample};
use serde::Deserialize;

fn rows(values: &[f64], features: usize) -> Rows {
    let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    let n = values.len() / features;
    Tensor::from_data(TensorData::new(values, [n, features]), &Device::flex())
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().iter::<f32>().map(f64::from).collect()
}

#[derive(Deserialize)]
struct Golden {
    x: Vec<f64>,
    at: Vec<f64>,
    scipy: BTreeMap<String, Rule>,
    bandwidth: f64,
    line: BTreeMap<String, Vec<f64>>,
    plane: Vec<f64>,
    points: Vec<f64>,
    widths: Vec<f64>,
    product: Vec<f64>,
}

#[derive(Deserialize)]
struct Rule {
    bandwidth: f64,
    log_density: Vec<f64>,
}

#[test]
fn scipys_numbers() {
    let golden: Golden = serde_json::from_str(include_str!("../../../parity/golden/kde.json")).unwrap();
    let fit = |kernel, bandwidth, x: &[f64], features| KdeConfig { kernel, bandwidth }.fit(rows(x, features)).unwrap();
    let close = |found: &[f64], expected: &[f64]| {
        found.len() == expected.len()
            && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-10 * b.abs().max(1.0))
    };
    for (rule, bandwidth) in [("scott", Bandwidth::Scott), ("silverman", Bandwidth::Silverman)] {
        let kde = fit(Kernel::Gaussian, bandwidth, &golden.x, 1);
        assert!(close(kde.bandwidth(), &[golden.scipy[rule].bandwidth]), "{rule}");
        assert!(close(&kde.log_densities(&golden.at), &golden.scipy[rule].log_density), "{rule}");
    }
    for (name, expected) in golden.line {
        let kernel: Kernel = serde_json::from_str(&format!("\"{name}\"")).unwrap();
        let kde = fit(kernel, Bandwidth::Fixed(golden.bandwidth), &golden.x, 1);
        let found: Vec<f64> = kde.log_densities(&golden.at).into_iter().map(f64::exp).collect();
        assert!(close(&found, &expected), "{name}: {found:?} {expected:?}");
    }
    let kde = fit(Kernel::Gaussian, Bandwidth::Scott, &golden.plane, 2);
    assert!(close(kde.bandwidth(), &golden.widths));
    let found: Vec<f64> = kde.log_densities(&golden.points).into_iter().map(f64::exp).collect();
    assert!(close(&found, &golden.product));
}

/// The integral over a box of a density in the plane.
fn mass(density: &dyn Density, reach: f64) -> f64 {
    let side = 200;
    let at = |i: usize| reach * (2.0 * (i as f64 + 0.5) / side as f64 - 1.0);
    let grid: Vec<f64> = (0..side * side).flat_map(|i| [at(i / side), at(i % side)]).collect();
    let cell = (2.0 * reach / side as f64).powi(2);
    host(density.log_prob(rows(&grid, 2))).into_iter().map(|log| log.exp() * cell).sum()
}

fn kde(kernel: Kernel) -> Kde {
    let x = Tensor::from_data(TensorData::new(Rng::new(1).normal(30, 2), [30, 2]), &Device::flex());
    KdeConfig { kernel, bandwidth: Bandwidth::Fixed(0.8) }.fit(x).unwrap()
}

#[test]
fn densities_integrate_to_one_and_samples_repeat() {
    for kernel in Kernel::ALL {
        let kde = kde(kernel);
        // Kernels with edges are integrated badly by a grid.
        assert!((mass(&kde, 7.0) - 1.0).abs() < 2e-2, "{kernel:?}: {}", mass(&kde, 7.0));
        let whole = host(kde.sample(64, &mut Rng::new(1)));
        let parts: Vec<f64> = (0..8).flat_map(|k| host(kde.sample(8, &mut Rng::new(1).rows_from(8 * k)))).collect();
        assert_eq!(whole, parts);
        assert!(host(kde.log_prob(kde.sample(500, &mut Rng::new(2)))).iter().all(|log| log.is_finite()), "{kernel:?}");
    }
    let x = Tensor::<2>::from_data(TensorData::new(Rng::new(1).normal(500, 2), [500, 2]), &Device::flex());
    for pseudocount in [0.0, 1.0] {
        let histogram = HistogramConfig { bins: 10, pseudocount, margin: 0.0 }.fit(x.clone()).unwrap();
        assert!((mass(&histogram, 5.0) - 1.0).abs() < 2e-2);
        assert!(host(histogram.log_prob(x.clone())).iter().all(|log| log.is_finite()));
        let drawn = histogram.sample(2000, &mut Rng::new(4));
        assert!(host(histogram.log_prob(drawn)).iter().all(|log| log.is_finite()));
    }
}

#[test]
fn samples_follow_the_density() {
    // Means and variances of a kernel estimate: those of the data, the variance widened by h² times the kernel's.
    let data = [-1.0, 0.5, 0.7, 2.0];
    for (kernel, own) in [(Kernel::Gaussian, 1.0), (Kernel::Epanechnikov, 0.2), (Kernel::Uniform, 1.0 / 3.0)] {
        let kde = KdeConfig { kernel, bandwidth: Bandwidth::Fixed(0.5) }.fit(rows(&data, 1)).unwrap();
        let drawn = host(kde.sample(20_000, &mut Rng::new(3)));
        let mean = drawn.iter().sum::<f64>() / 20_000.0;
        let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        let expected = data.iter().map(|x| (x - 0.55_f64).powi(2)).sum::<f64>() / 4.0 + 0.25 * own;
        assert!(
            (mean - 0.55).abs() < 0.04 && (variance - expected).abs() < 0.05,
            "{kernel:?}: {mean} {variance} {expected}"
        );
    }
    let histogram =
        HistogramConfig { bins: 3, pseudocount: 0.0, margin: 0.0 }.fit(rows(&[0.0, 0.1, 0.2, 2.5, 3.0], 1)).unwrap();
    assert_eq!(histogram.probabilities(), [0.6, 0.0, 0.4]);
    assert!((histogram.log_densities(&[0.5])[0] - 0.6_f64.ln()).abs() < 1e-12);
    assert_eq!(histogram.log_densities(&[1.5, -0.1, 3.2]), [f64::NEG_INFINITY; 3]);
    let drawn = host(histogram.sample(10_000, &mut Rng::new(5)));
    let low = drawn.iter().filter(|x| **x < 1.0).count() as f64 / 10_000.0;
    assert!((low - 0.6).abs() < 0.02 && drawn.iter().all(|x| *x < 1.0 || *x >= 2.0));
}

#[test]
fn bad_data_and_settings_are_errors() {
    let error = |config: HistogramConfig, x: &[f64], d| config.fit(rows(x, d)).unwrap_err().to_string();
    let plain = HistogramConfig { bins: 4, pseudocount: 0.0, margin: 0.0 };
    assert!(error(plain, &[1.0], 1).contains("at least 2 rows"));
    assert!(error(plain, &[1.0, 1.0], 1).contains("column 0 is 1 in every row"));
    assert!(error(HistogramConfig { bins: 0, ..plain }, &[1.0, 2.0], 1).contains("bins is 0"));
    assert!(error(HistogramConfig { margin: -0.1, ..plain }, &[1.0, 2.0], 1).contains("margin is -0.1"));
    assert!(error(HistogramConfig { pseudocount: -1.0, ..plain }, &[1.0, 2.0], 1).contains("pseudocount is -1"));
    assert!(error(HistogramConfig { bins: 5000, ..plain }, &[1.0, 2.0, 3.0, 4.0], 2).contains("2^24"));
    assert!(KdeConfig::default().fit(rows(&[f64::NAN, 1.0], 1)).unwrap_err().to_string().contains("row 0"));
    assert!(serde_json::from_str::<KdeConfig>(r#"{"kernel": "triw", "bandwidth": "cv_ls"}"#).is_ok());
    assert!(serde_json::from_str::<KdeConfig>(r#"{"kernel": "triw", "bandwith": "scott"}"#).is_err());
    assert_eq!(serde_json::from_str::<Bandwidth>(r#"{"fixed": 0.1}"#).unwrap(), Bandwidth::Fixed(0.1));
}

#[test]
fn a_step_reads_rows_and_a_checkpoint_holds_them() {
    let kde = Estimator::Kde(KdeConfig { kernel: Kernel::Epanechnikov, bandwidth: Bandwidth::CvLs });
    for estimator in [kde, Estimator::Histogram(HistogramConfig { bins: 5, pseudocount: 0.5, margin: 0.0 })] {
        let mut learner = Collector::new(estimator, 2, &Device::flex());
        assert!(learner.view().density.is_none());
        let batch = |seed: u64| {
            let x = Tensor::from_data(TensorData::new(Rng::new(seed).normal(50, 2), [50, 2]), &Device::flex());
            vec![Batch { x, labels: None }]
        };
        for step in 0..3 {
            let scalars = learner.step(batch(step), &mut Rng::new(0)).unwrap();
            assert!(scalars[0].1.is_finite() && scalars[1] == ("rows", 50.0 * (step + 1) as f64));
        }
        let x = batch(9).remove(0).x;
        let log_p = |learner: &Collector| host(learner.view().density.unwrap().log_prob(x.clone()));
        let mut other = Collector::new(estimator, 2, &Device::flex());
        let groups: Vec<_> = learner.save().into_iter().map(|(name, group)| (name.to_owned(), group)).collect();
        other.load(&groups).unwrap();
        assert_eq!(log_p(&other), log_p(&learner));
        // A batch from which nothing can be estimated changes nothing.
        let bad = vec![Batch { x: Tensor::full([2, 2], f32::NAN, &Device::flex()), labels: None }];
        assert!(learner.step(bad, &mut Rng::new(0)).is_err());
        assert_eq!(log_p(&other), log_p(&learner));
        assert!(other.load(&[("optimizer".to_owned(), groups[0].1.clone())]).is_err() && other.load(&[]).is_err());
    }
}
