use super::*;

fn protocol(kind: LikelihoodKind, dequantisation: Dequantisation, dims: usize) -> Protocol {
    Protocol { kind, dequantisation, preprocessing: "none".into(), dims, seed: 7 }
}

fn exact(dims: usize) -> Protocol {
    protocol(LikelihoodKind::Exact, Dequantisation::None { levels: 256 }, dims)
}

#[test]
fn uniform_bytes_cost_eight_bits_however_they_are_scaled() {
    let dims = 12;
    // As probabilities: each byte has 1/256.
    let nats = -(dims as f64) * 256.0_f64.ln();
    let discrete = Likelihood::of_rows(&[nats; 5], LogJacobian::Constant(0.0), exact(dims)).unwrap();
    assert!((discrete.bits_per_dim().unwrap() - 8.0).abs() < 1e-14);
    assert_eq!((discrete.standard_error, discrete.bits_per_dim_standard_error()), (0.0, Some(0.0)));
    // As a density on [0, 1), where it is one: the log-Jacobian of x / 256 carries all.
    let uniform = protocol(LikelihoodKind::Exact, Dequantisation::Uniform { levels: 256 }, dims);
    let dense = Likelihood::of_rows(&[0.0; 5], LogJacobian::Constant(nats), uniform).unwrap();
    assert!((dense.bits_per_dim().unwrap() - 8.0).abs() < 1e-14);
    assert_eq!(dense.log_jacobian, nats);
    assert_eq!(discrete.compare_across_kinds(&dense).unwrap().nats, 0.0);
    // Five bits of data are five bits.
    let five = protocol(LikelihoodKind::Exact, Dequantisation::Uniform { levels: 32 }, dims);
    let dense = Likelihood::of_rows(&[0.0; 5], LogJacobian::Constant(-(dims as f64) * 32.0_f64.ln()), five).unwrap();
    assert!((dense.bits_per_dim().unwrap() - 5.0).abs() < 1e-14);
}

#[test]
fn the_logit_convention_of_masked_autoregressive_flows() {
    // arXiv:1705.07057, appendix: −ln p/(D ln 2) − log₂(1 − 2λ) + 8 + (1/D) Σ (log₂ σ(z) + log₂(1 − σ(z))).
    let (dims, lambda, own) = (3.0, 0.05, -2.5);
    let u = [[0.1, 0.5, 0.9_f64], [0.3, 0.2, 0.7]];
    let squashed = u.map(|row| row.map(|u| lambda + (1.0 - 2.0 * lambda) * u));
    let log_slopes = squashed.map(|row| row.map(|s| s.ln() + (1.0 - s).ln()).iter().sum::<f64>());
    let jacobians = log_slopes.map(|slope| dims * ((1.0 - 2.0 * lambda) / 256.0).ln() - slope);
    let noisy = protocol(LikelihoodKind::Exact, Dequantisation::Uniform { levels: 256 }, 3);
    let found = Likelihood::of_rows(&[own; 2], LogJacobian::PerRow(&jacobians), noisy).unwrap();
    let mean_slope = (log_slopes[0] + log_slopes[1]) / 2.0;
    let expected = -own / (dims * LN_2) - (1.0 - 2.0 * lambda).log2() + 8.0 + mean_slope / (dims * LN_2);
    assert!((found.bits_per_dim().unwrap() - expected).abs() < 1e-13);
}

#[test]
fn the_mean_and_its_standard_error() {
    let rows = [-1.0, -2.0, -3.0, -6.0];
    let continuous = protocol(LikelihoodKind::LowerBound, Dequantisation::Continuous, 2);
    let found = Likelihood::of_rows(&rows, LogJacobian::Constant(0.5), continuous).unwrap();
    assert_eq!((found.nats, found.n, found.log_jacobian), (-2.5, 4, 0.5));
    assert!((found.standard_error - (14.0_f64 / 12.0).sqrt()).abs() < 1e-15);
    assert_eq!(found.bits_per_dim(), None);
}

#[test]
fn different_things_are_not_compared_silently() {
    let rows = [-10.0, -12.0, -11.0];
    let record = |protocol| Likelihood::of_rows(&rows, LogJacobian::Constant(0.0), protocol).unwrap();
    let base = record(exact(4));
    let bound = |k| record(Protocol { kind: LikelihoodKind::KSampleBound { k }, ..exact(4) });
    let noise = |dequantisation| record(Protocol { dequantisation, ..exact(4) });
    assert_eq!(base.compare(&base).unwrap().nats, 0.0);
    assert!((base.compare(&base).unwrap().standard_error - 2.0_f64.sqrt() * base.standard_error).abs() < 1e-15);
    let named = |a: &Likelihood, b: &Likelihood| match a.compare(b) {
        Err(MetricError::Incomparable { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(named(&base, &bound(5)), "the kind");
    assert_eq!(named(&bound(5), &bound(50)), "the kind");
    assert_eq!(named(&base, &noise(Dequantisation::Uniform { levels: 256 })), "the dequantisation");
    assert_eq!(named(&base, &record(exact(5))), "the number of dimensions");
    // Asked for, kinds may differ; levels and dimensions may not.
    assert!(base.compare_across_kinds(&bound(5)).is_ok());
    assert!(base.compare_across_kinds(&noise(Dequantisation::Variational { levels: 256 })).is_ok());
    assert!(base.compare_across_kinds(&noise(Dequantisation::None { levels: 32 })).is_err());
    assert!(base.compare_across_kinds(&noise(Dequantisation::Continuous)).is_err());
    assert!(base.compare_across_kinds(&record(exact(5))).is_err());
}

#[test]
fn a_bad_row_is_named_and_never_dropped() {
    for bad in [f64::NAN, f64::NEG_INFINITY, f64::INFINITY] {
        let error = Likelihood::of_rows(&[-1.0, -2.0, bad], LogJacobian::Constant(0.0), exact(2)).unwrap_err();
        assert!(matches!(error, MetricError::RowLikelihood { row: 2, .. }), "{error}");
        let noisy = protocol(LikelihoodKind::Exact, Dequantisation::Uniform { levels: 2 }, 2);
        let error = Likelihood::of_rows(&[-1.0, -2.0], LogJacobian::PerRow(&[0.0, bad]), noisy).unwrap_err();
        assert!(matches!(error, MetricError::RowLikelihood { row: 1, .. }), "{error}");
    }
    let above = Likelihood::of_rows(&[-1.0, 0.5], LogJacobian::Constant(0.0), exact(2)).unwrap_err();
    assert!(matches!(above, MetricError::RowLikelihood { row: 1, .. }), "{above}");
    // A single-sample bound of one row may exceed zero: only its mean is a bound.
    let bound = Protocol { kind: LikelihoodKind::LowerBound, ..exact(2) };
    assert!(Likelihood::of_rows(&[-1.0, 0.5], LogJacobian::Constant(0.0), bound).is_ok());
}

#[test]
fn contradictions_are_refused() {
    let of =
        |rows: &[f64], jacobian: LogJacobian<'_>, protocol: Protocol| Likelihood::of_rows(rows, jacobian, protocol);
    let (rows, none) = ([-1.0, -2.0], LogJacobian::Constant(0.0));
    assert!(of(&[], none, exact(2)).is_err() && of(&[-1.0], none, exact(2)).is_err());
    assert!(of(&rows, none, exact(0)).is_err());
    assert!(matches!(of(&rows, LogJacobian::Constant(1.0), exact(2)), Err(MetricError::Protocol { .. })));
    let uniform = |levels| protocol(LikelihoodKind::Exact, Dequantisation::Uniform { levels }, 2);
    assert!(of(&rows, none, uniform(1)).is_err());
    assert!(matches!(of(&rows, LogJacobian::PerRow(&[0.0]), uniform(2)), Err(MetricError::Length { .. })));
    let kinds = [
        LikelihoodKind::KSampleBound { k: 0 },
        LikelihoodKind::ProbabilityFlow { tolerance: 0.0, probes: None },
        LikelihoodKind::ProbabilityFlow { tolerance: 1e-5, probes: Some(0) },
        LikelihoodKind::AnnealedImportanceSampling { chains: 0, steps: 10 },
        LikelihoodKind::AnnealedImportanceSampling { chains: 10, steps: 0 },
    ];
    kinds.into_iter().for_each(|kind| assert!(of(&rows, none, Protocol { kind, ..uniform(2) }).is_err()));
    let flow = LikelihoodKind::ProbabilityFlow { tolerance: 1e-5, probes: Some(1) };
    assert!(of(&rows, none, Protocol { kind: flow.clone(), ..uniform(2) }).is_ok());
    assert!(of(&rows, none, Protocol { kind: flow, ..exact(2) }).is_err());
}

#[test]
fn a_record_survives_json() {
    let kind = LikelihoodKind::ProbabilityFlow { tolerance: 1e-5, probes: Some(4) };
    let noisy = protocol(kind, Dequantisation::UniformK { levels: 256, k: 16 }, 784);
    let record = Likelihood::of_rows(&[-1234.567, -0.1, 3.3], LogJacobian::Constant(-1.0 / 3.0), noisy).unwrap();
    let text = serde_json::to_string(&record).unwrap();
    assert!(text.contains(r#""kind":{"name":"probability_flow","tolerance":0.00001,"probes":4}"#), "{text}");
    assert_eq!(serde_json::from_str::<Likelihood>(&text).unwrap(), record);
}

#[test]
fn probes_have_an_error_of_their_own() {
    let flow = |probes| {
        protocol(LikelihoodKind::ProbabilityFlow { tolerance: 1e-5, probes }, Dequantisation::Uniform { levels: 4 }, 2)
    };
    let of = |probes| Likelihood::of_rows(&[-1.0, -2.0, -4.0], LogJacobian::Constant(0.0), flow(probes)).unwrap();
    assert_eq!(of(None).probe_standard_error, Some(0.0), "an exact divergence has no probes to err by");
    assert_eq!(
        (of(Some(1)).probe_standard_error, of(Some(9)).probe_standard_error),
        (None, None),
        "nothing is known yet"
    );
    let known = of(Some(9)).with_probe_errors(&[0.3, 0.4, 1.2]).unwrap();
    assert!((known.probe_standard_error.unwrap() - 1.3 / 3.0).abs() < 1e-15);
    assert!((known.bits_per_dim_probe_standard_error().unwrap() - 1.3 / 6.0 / LN_2).abs() < 1e-15);
    assert_eq!((known.nats, known.standard_error), (of(Some(9)).nats, of(Some(9)).standard_error));
    let text = serde_json::to_string(&known).unwrap();
    assert_eq!(serde_json::from_str::<Likelihood>(&text).unwrap(), known);
    assert!(!serde_json::to_string(&of(Some(9))).unwrap().contains("probe_standard_error"));

    assert!(matches!(of(Some(9)).with_probe_errors(&[0.1]), Err(MetricError::Length { .. })));
    let bad = of(Some(9)).with_probe_errors(&[0.1, f64::NAN, 0.1]);
    assert!(matches!(bad, Err(MetricError::RowLikelihood { row: 1, .. })));
    let probability = Likelihood::of_rows(&[-1.0, -2.0], LogJacobian::Constant(0.0), exact(2)).unwrap();
    assert_eq!(probability.probe_standard_error, None);
    assert!(matches!(probability.with_probe_errors(&[0.0, 0.0]), Err(MetricError::Protocol { .. })));
}
