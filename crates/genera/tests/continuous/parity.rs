//! The numbers of zuko and torchdiffeq.

use std::collections::BTreeMap;

use genera::Rng;
use genera::burn::tensor::{Tensor, TensorData};
use genera::continuous::{FieldMlpConfig, Smooth, TimeInput};
use genera::ode::{Field, Method, Solver};
use genera::weights::{Array, Weights, apply};
use serde::Deserialize;

use crate::{device, host, tight};

#[derive(Deserialize)]
struct Golden {
    cnf: Vec<GoldenFlow>,
    oscillator: GoldenOscillator,
}

#[derive(Deserialize)]
struct GoldenFlow {
    features: usize,
    frequencies: usize,
    hidden: Vec<usize>,
    activation: Smooth,
    weights: BTreeMap<String, GoldenArray>,
    x: Vec<f32>,
    log_prob: Vec<f64>,
    noise: Vec<f64>,
    data: Vec<f64>,
}

#[derive(Deserialize)]
struct GoldenArray {
    shape: Vec<usize>,
    values: Vec<f32>,
}

#[derive(Deserialize)]
struct GoldenOscillator {
    start: Vec<f64>,
    steps: usize,
    euler: Vec<f64>,
    midpoint: Vec<f64>,
    dopri5: Vec<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../../../parity/golden/continuous.json")).unwrap()
}

#[test]
fn zukos_flows_give_the_same_numbers() {
    for golden in golden().cnf {
        let time = TimeInput::Concatenated(golden.frequencies);
        let config = FieldMlpConfig { hidden: golden.hidden, activation: golden.activation, time };
        let net = config.init(golden.features, &mut Rng::new(0), &device()).unwrap();
        let weights: Weights = golden
            .weights
            .into_iter()
            .map(|(name, array)| (name, Array { shape: array.shape, values: array.values }))
            .collect();
        let model = tight(1e-6).init(apply(net, &weights).unwrap()).unwrap();
        let n = golden.x.len() / golden.features;
        let x = Tensor::<2>::from_data(TensorData::new(golden.x, [n, golden.features]), &device());
        let worst = |found: &[f64], expected: &[f64]| {
            assert_eq!(found.len(), expected.len());
            found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        assert!(worst(&model.score(x.clone()).nats, &golden.log_prob) < 1e-4);
        assert!(worst(&host(model.encode(x.clone())), &golden.noise) < 1e-4);
        assert!(worst(&host(model.decode(x)), &golden.data) < 1e-4);
    }
}

#[test]
fn torchdiffeqs_solvers_give_the_same_numbers() {
    struct Oscillator;
    impl Field for Oscillator {
        fn width(&self) -> usize {
            2
        }

        fn slope(&self, _: &[usize], _: &[f64], y: &[f64]) -> Vec<f64> {
            y.chunks_exact(2).flat_map(|y| [y[1], 5.0 * (1.0 - y[0] * y[0]) * y[1] - y[0]]).collect()
        }
    }
    let GoldenOscillator { start, steps, euler, midpoint, dopri5 } = golden().oscillator;
    for (solver, expected, allowed) in [
        (Solver::fixed(Method::Euler, steps), euler, 1e-11),
        (Solver::fixed(Method::Midpoint, steps), midpoint, 1e-11),
        (Solver::adaptive(1e-10), dopri5, 1e-7),
    ] {
        let found = solver.solve(&Oscillator, &start, [0.0, 2.0]).complete().unwrap();
        for (found, expected) in found.y.iter().zip(&expected) {
            assert!((found - expected).abs() < allowed * expected.abs().max(1.0), "{solver:?}: {found} {expected}");
        }
    }
}
