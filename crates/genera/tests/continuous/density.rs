//! The density, its samples, and what is refused.

use genera::Rng;
use genera::burn::tensor::{Tensor, TensorData};
use genera::continuous::{ContinuousFlowConfig, Divergence, FieldMlpConfig, Integration, Noise, TimeInput};
use genera::ode::Solver;
use genera::traits::{Batch, Density, Model, Sample};
use genera::weights::{apply, collect};

use crate::{device, field, flow, host, rows, tight};

#[test]
fn a_likelihood_does_not_depend_on_its_company() {
    let probes = Divergence::Hutchinson { noise: Noise::Rademacher, probes: 2 };
    for divergence in [Divergence::Exact, probes] {
        let evaluation = Integration { solver: Solver::adaptive(1e-6), divergence };
        let model = flow(2, 2.5, ContinuousFlowConfig { evaluation, ..ContinuousFlowConfig::default() });
        let x = rows(64, 2, 3);
        let all = model.score(x.clone());
        assert!(all.failures.is_empty());
        for i in [0, 17, 63] {
            let alone = model.score(x.clone().narrow(0, i, 1));
            assert!((alone.nats[0] - all.nats[i]).abs() < 1e-6);
            assert_eq!(alone.evaluations[0], all.evaluations[i]);
        }
        let spread = all.evaluations.iter().max().unwrap() - all.evaluations.iter().min().unwrap();
        assert!(spread > 0, "every row took the same steps: nothing was tested");
    }
}

#[test]
fn there_and_back_with_the_volume_of_the_full_jacobian() {
    for features in [2, 3] {
        let model = flow(features, 2.5, tight(1e-6));
        let x = rows(4, features, 8);
        let z = model.encode(x.clone());
        for (x, back) in host(x.clone()).iter().zip(host(model.decode(z.clone()))) {
            assert!((x - back).abs() < 1e-4);
        }
        let h = 1e-2;
        let columns: Vec<Vec<f64>> = (0..features)
            .map(|j| {
                let axis = Tensor::<2>::from_data(
                    TensorData::new(
                        (0..features).map(|i| if i == j { h } else { 0.0 }).collect::<Vec<f32>>(),
                        [1, features],
                    ),
                    &device(),
                );
                host((model.encode(x.clone() + axis.clone()) - model.encode(x.clone() - axis)) / (2.0 * h))
            })
            .collect();
        let noise = host(z);
        let nats = model.score(x).nats;
        for (i, nats) in nats.iter().enumerate() {
            let jacobian = |r: usize, c: usize| columns[c][i * features + r];
            let determinant = match features {
                2 => jacobian(0, 0) * jacobian(1, 1) - jacobian(0, 1) * jacobian(1, 0),
                _ => (0..3)
                    .map(|c| {
                        let minor = |a: usize, b: usize| jacobian(1, (c + a) % 3) * jacobian(2, (c + b) % 3);
                        jacobian(0, c) * (minor(1, 2) - minor(2, 1))
                    })
                    .sum(),
            };
            let base: f64 =
                noise[i * features..][..features].iter().map(|z| -0.5 * (z * z + std::f64::consts::TAU.ln())).sum();
            assert!((nats - base - determinant.ln()).abs() < 2e-3, "{nats} {base} {determinant}");
        }
    }
}

#[test]
fn the_density_integrates_to_one() {
    let model = flow(2, 3.0, tight(1e-5));
    let (side, half) = (60, 6.0);
    let step = 2.0 * half / f64::from(side);
    let at = |i: i32| -half + (f64::from(i) + 0.5) * step;
    let grid: Vec<f32> = (0..side).flat_map(|i| (0..side).flat_map(move |j| [at(i) as f32, at(j) as f32])).collect();
    let n = grid.len() / 2;
    let log_prob = host(model.log_prob(Tensor::from_data(TensorData::new(grid, [n, 2]), &device())));
    let mass: f64 = log_prob.iter().map(|l| l.exp()).sum::<f64>() * step * step;
    assert!((mass - 1.0).abs() < 1e-3, "{mass}");
}

#[test]
fn hutchinson_is_unbiased_and_its_variance_falls() {
    // The same point many times over: each copy has probes of its own.
    let (features, n) = (3, 100);
    let point = rows(1, features, 2);
    let x = Tensor::cat(vec![point.clone(); n], 0);
    let config = tight(1e-4);
    let exact = f64::from(
        flow(features, 2.5, config).loss(Batch { x: point, labels: None }, &mut Rng::new(0)).value.into_scalar::<f32>(),
    );
    for noise in [Noise::Rademacher, Noise::Gaussian] {
        let variance = |probes: usize| {
            let divergence = Divergence::Hutchinson { noise, probes };
            let training = Integration { divergence, ..config.training };
            let model = flow(features, 2.5, ContinuousFlowConfig { training, ..config });
            // Means of 40 groups of 100.
            let means: Vec<f64> = (0..40)
                .map(|group| {
                    let batch = Batch { x: x.clone(), labels: None };
                    let loss = model.loss(batch, &mut Rng::new(1).at(group));
                    loss.value.into_scalar::<f32>().into()
                })
                .collect();
            let mean = means.iter().sum::<f64>() / 40.0;
            let variance = means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / 39.0;
            assert!((mean - exact).abs() < 4.0 * (variance / 40.0).sqrt() + 1e-4, "{noise:?}: {mean} {exact}");
            variance
        };
        let ratio = variance(1) / variance(8);
        assert!((3.5..18.0).contains(&ratio), "{noise:?}: {ratio}");
    }
}

/// Points next to each other have one density and probes of their own: they scatter by what they say.
#[test]
fn the_error_over_probes_is_what_rows_scatter_by() {
    let n = 400;
    let steps: Vec<f32> = (0..n).map(|i| i as f32 * 1e-6).collect();
    let x = rows(1, 3, 2) + Tensor::from_data(TensorData::new(steps, [n, 1]), &device());
    let exact = flow(3, 2.5, tight(1e-4)).score(x.clone());
    assert_eq!(exact.probe_errors, Some(vec![0.0; n]));
    let truth = exact.nats.iter().sum::<f64>() / n as f64;
    for noise in [Noise::Rademacher, Noise::Gaussian] {
        let model = |probes| {
            let evaluation =
                Integration { solver: Solver::adaptive(1e-4), divergence: Divergence::Hutchinson { noise, probes } };
            flow(3, 2.5, ContinuousFlowConfig { evaluation, ..ContinuousFlowConfig::default() })
        };
        let scored = model(4).score(x.clone());
        let errors = scored.probe_errors.expect("there are several probes");
        let mean = scored.nats.iter().sum::<f64>() / n as f64;
        let scatter = scored.nats.iter().map(|nats| (nats - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
        let said = errors.iter().map(|error| error * error).sum::<f64>() / n as f64;
        println!("{noise:?}: {said:.2e} said, {scatter:.2e} found");
        assert!((said / scatter - 1.0).abs() < 0.25, "{noise:?}: {said} said, {scatter} found");
        assert!((mean - truth).abs() < 4.0 * (scatter / n as f64).sqrt() + 1e-4, "{noise:?}: {mean} {truth}");
        assert_eq!(model(1).score(x.clone()).probe_errors, None, "one probe knows nothing of its error");
    }
}

#[test]
fn samples_are_reproducible_row_by_row() {
    let model = flow(2, 2.5, tight(1e-4));
    let whole = host(model.sample(64, &mut Rng::new(1)));
    let parts: Vec<f64> = (0..8).flat_map(|k| host(model.sample(8, &mut Rng::new(1).rows_from(8 * k)))).collect();
    assert_eq!(whole, parts);
}

#[test]
fn a_field_that_blows_up_is_named() {
    let mut weights = collect(&flow(2, 1.0, tight(1e-5)));
    weights.get_mut("field.layers.2.bias").unwrap().values[0] = f32::NAN;
    let model = apply(flow(2, 1.0, tight(1e-5)), &weights).unwrap();
    let scored = model.score(rows(3, 2, 0));
    assert!(scored.nats.iter().all(|nats| nats.is_nan()) && scored.failures.len() == 3);
    assert!(scored.failures[2].to_string().starts_with("row 2: the state is not finite after time 0 "));
    assert!(model.loss(Batch { x: rows(3, 2, 0), labels: None }, &mut Rng::new(0)).value.into_scalar::<f32>().is_nan());
}

#[test]
fn settings_that_make_no_sense_are_errors() {
    let init =
        |config: FieldMlpConfig| config.init(2, &mut Rng::new(0), &device()).map(|_| ()).unwrap_err().to_string();
    let plain = FieldMlpConfig::default();
    assert!(init(FieldMlpConfig { hidden: vec![], ..plain.clone() }).contains("hidden layers"));
    assert!(init(FieldMlpConfig { hidden: vec![4, 0], ..plain.clone() }).contains("hidden width"));
    assert!(init(FieldMlpConfig { time: TimeInput::Added(40), ..plain }).contains("time.added is 40"));
    let refused = |json: &str| {
        let config: ContinuousFlowConfig = serde_json::from_str(json).unwrap();
        config.init(field(FieldMlpConfig::default(), 2, 1.0)).unwrap_err().to_string()
    };
    assert!(refused(r#"{"kinetic": -1.0}"#).contains("kinetic is -1"));
    assert!(refused(r#"{"training": {"solver": {"method": "rk4", "steps": {"fixed": 0}}}}"#).starts_with("training: "));
    assert!(
        refused(r#"{"evaluation": {"divergence": {"hutchinson": {"noise": "gaussian", "probes": 0}}}}"#)
            .contains("probes")
    );
    assert!(serde_json::from_str::<ContinuousFlowConfig>(r#"{"kinetik": 1.0}"#).is_err());
}
