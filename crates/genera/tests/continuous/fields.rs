//! Vector fields and their derivatives.

use genera::Rng;
use genera::burn::tensor::{Tensor, TensorData};
use genera::continuous::{FieldMlp, VectorField, Wanted};
use genera::traits::Rows;
use genera::weights::{apply, collect};

use crate::{configs, device, field, host, rows};

/// `⟨a, f⟩ + ⟨c, J v⟩` of a field.
fn probed(net: &FieldMlp, t: &[f64], z: &Rows, v: &Rows, a: &Rows, c: &Rows) -> f64 {
    let at = net.linearise(t, z.clone(), Some(v.clone()));
    host(at.value * a.clone()).iter().sum::<f64>() + host(at.jvp.unwrap() * c.clone()).iter().sum::<f64>()
}

#[test]
fn derivatives_of_fields_are_those_of_finite_differences() {
    let (n, features, count) = (5, 3, 2);
    let times = [0.0, 0.2, 0.5, 0.9, 1.0];
    let [z, a] = [1, 2].map(|seed| rows(n, features, seed));
    let [v, c] = [3, 4].map(|seed| rows(count * n, features, seed));
    for config in configs() {
        let net = field(config.clone(), features, 1.5);
        let h = 2e-2;
        let at = net.linearise(&times, z.clone(), Some(v.clone()));
        assert_eq!(host(at.value.clone()), host(net.forward(&times, z.clone())));
        let jvp = host(at.jvp.unwrap());
        for k in 0..count {
            let direction = v.clone().narrow(0, k * n, n);
            let there = net.forward(&times, z.clone() + direction.clone() * h);
            let back = net.forward(&times, z.clone() - direction * h);
            let expected = host((there - back) / (2.0 * h));
            for (found, expected) in jvp[k * n * features..].iter().zip(&expected) {
                assert!((found - expected).abs() < 2e-3, "{config:?}: {found} {expected}");
            }
        }
        let back = (at.pull_back)(a.clone(), Some(c.clone()), Wanted::Parameters);
        let way = rows(n, features, 9);
        let value = |by: f32| probed(&net, &times, &(z.clone() + way.clone() * by), &v, &a, &c);
        let expected = (value(0.01) - value(-0.01)) / 0.02;
        let found: f64 = host(back.z * way.clone()).iter().sum();
        assert!((found - expected).abs() < 2e-3 * expected.abs().max(1.0), "{config:?}: {found} {expected}");

        // One parameter at a time, each along a random direction. A visit meets weight before bias, layer by layer.
        let weights = collect(&net);
        let names: Vec<String> = (0..=config.hidden.len())
            .flat_map(|l| ["weight", "bias"].map(|kind| format!("layers.{l}.{kind}")))
            .collect();
        assert_eq!(back.parameters.len(), names.len());
        for (name, gradient) in names.iter().zip(back.parameters) {
            let way = Rng::new(7).normal(1, weights[name].values.len());
            let value = |by: f32| {
                let mut moved = weights.clone();
                moved.get_mut(name).unwrap().values.iter_mut().zip(&way).for_each(|(value, way)| *value += by * way);
                probed(&apply(net.clone(), &moved).unwrap(), &times, &z, &v, &a, &c)
            };
            let expected = (value(0.005) - value(-0.005)) / 0.01;
            let found: f64 = host(gradient).iter().zip(&way).map(|(g, way)| g * f64::from(*way)).sum();
            assert!((found - expected).abs() < 5e-3 * expected.abs().max(1.0), "{config:?} {name}: {found} {expected}");
        }
    }
}

#[test]
fn the_trace_and_its_way_back_are_those_of_the_axes() {
    let (n, features) = (6, 3);
    let times = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];
    let (z, a) = (rows(n, features, 1), rows(n, features, 2));
    let c = rows(n, 1, 3);
    let axes: Vec<f32> =
        (0..features * n * features).map(|i| f32::from(u8::from(i / features / n == i % features))).collect();
    let axes = Tensor::<2>::from_data(TensorData::new(axes, [features * n, features]), &device());
    let close = |found: Vec<f64>, expected: Vec<f64>, what: &str| {
        assert_eq!(found.len(), expected.len());
        let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f64::max);
        assert!(worst < 2e-5, "{what}: {worst}");
    };
    for config in configs() {
        let net = field(config.clone(), features, 1.5);
        let (traced, along) = (net.trace(&times, z.clone()), net.linearise(&times, z.clone(), Some(axes.clone())));
        let jvp = host(along.jvp.unwrap());
        let expected = (0..n).map(|i| (0..features).map(|k| jvp[(k * n + i) * features + k]).sum()).collect();
        close(host(traced.value), host(along.value), "value");
        close(host(traced.trace), expected, "trace");
        let found = (traced.pull_back)(a.clone(), c.clone(), Wanted::Parameters);
        let cotangent = axes.clone() * Tensor::cat(vec![c.clone(); features], 0);
        let expected = (along.pull_back)(a.clone(), Some(cotangent), Wanted::Parameters);
        close(host(found.z), host(expected.z), "z");
        for (found, expected) in found.parameters.into_iter().zip(expected.parameters) {
            close(host(found), host(expected), &format!("{config:?}"));
        }
    }
}

#[test]
fn one_time_for_all_is_the_same_as_many_equal_times() {
    for config in configs() {
        let net = field(config, 2, 1.5);
        let z = rows(6, 2, 1);
        let together = net.forward(&[0.3; 6], z.clone());
        let apart = net.forward(&[0.3, 0.3, 0.3, 0.3, 0.3, 0.8], z);
        assert_eq!(host(together)[..10], host(apart)[..10]);
    }
}
