//! What holds for every toy, by quadrature over its bounds and by its own samples.

use std::{
    collections::HashMap,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::*;
use crate::quadrature::integrate_box;

/// ∫p, ∫x₀p, ∫x₁p, ∫x₀²p, ∫x₁²p, ∫x₀x₁p and −∫p log p, by quadrature with `panels` panels a side.
fn integrals(toy: Toy, panels: usize) -> [f64; 7] {
    let density = toy.density();
    integrate_box(toy.bounds(), panels, |[x0, x1]| {
        let log_p = density.log_density([x0, x1]);
        let p = log_p.exp();
        let surprise = if p > 0.0 { -p * log_p } else { 0.0 };
        [p, x0 * p, x1 * p, x0 * x0 * p, x1 * x1 * p, x0 * x1 * p, surprise]
    })
}

/// Panels a side that resolve a toy's finest feature (multiples of 4, so that the checkerboard's edges are met).
fn panels(toy: Toy) -> usize {
    match toy {
        Toy::Banana => 60,
        Toy::Pinwheel | Toy::EightNarrowGaussians => 48,
        _ => 24,
    }
}

/// The integrals of every toy, on as many threads as there are.
fn all_integrals(refine: usize) -> Vec<[f64; 7]> {
    let next = AtomicUsize::new(0);
    let work = || {
        let toys = std::iter::from_fn(|| Toy::ALL.get(next.fetch_add(1, Ordering::Relaxed)).copied());
        toys.map(|toy| (toy.name(), integrals(toy, refine * panels(toy)))).collect::<Vec<_>>()
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let found: HashMap<_, _> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    Toy::ALL.map(|toy| found[toy.name()]).to_vec()
}

static INTEGRALS: LazyLock<Vec<[f64; 7]>> = LazyLock::new(|| all_integrals(1));

/// The mass is 1 and the entropy as stored, within a toy's stated error or within `slack`.
fn check(integrals: &[[f64; 7]], slack: f64) {
    let mut wrong = Vec::new();
    for (toy, &[mass, .., entropy]) in Toy::ALL.into_iter().zip(integrals) {
        let stored = toy.entropy();
        println!("{:16} mass 1{:+.1e}, entropy {entropy:.12}", toy.name(), mass - 1.0);
        let bound = stored.error.max(slack);
        if (mass - 1.0).abs() > bound || (entropy - stored.nats).abs() > bound {
            wrong.push((toy, mass, entropy, stored.nats));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn a_density_integrates_to_one_and_has_the_stored_entropy() {
    check(&INTEGRALS, 1e-6);
}

/// Twice as fine: the ground of the errors that [`Toy::entropy`] states.
#[test]
#[ignore = "takes minutes"]
fn the_stored_entropies_have_converged() {
    check(&all_integrals(2), 2e-8);
}

#[test]
fn energies_are_normalised() {
    for energy in [Energy::U1, Energy::U2, Energy::U3, Energy::U4, Energy::Ring] {
        let half = energy.half_side();
        let [z] = integrate_box([[-half, half]; 2], 60, |z| [energy.weight(z)]);
        assert!((z.ln() - energy.log_z()).abs() < 1e-12, "{energy:?}: log Z is {:.15}", z.ln());
    }
}

/// Means, covariances and −log p of the samples agree with quadrature within five standard errors.
#[test]
fn samples_come_from_the_density() {
    for (toy, &[_, ref expected @ ..]) in Toy::ALL.into_iter().zip(INTEGRALS.iter()) {
        let n = 4000;
        let table = toy.sample(n, &mut Rng::new(21));
        let density = toy.density();
        let statistics = |row: usize| {
            let [x0, x1] = [0, 1].map(|axis| f64::from(table.row(row)[axis]));
            [x0, x1, x0 * x0, x1 * x1, x0 * x1, -density.log_density([x0, x1])]
        };
        let samples: Vec<[f64; 6]> = (0..n).map(statistics).collect();
        for (i, &exact) in expected.iter().enumerate() {
            let mean = samples.iter().map(|sample| sample[i]).sum::<f64>() / n as f64;
            let variance = samples.iter().map(|sample| (sample[i] - mean).powi(2)).sum::<f64>() / n as f64;
            let error = (variance / n as f64).sqrt();
            assert!(
                (mean - exact).abs() <= 5.0 * error + 1e-5,
                "{toy:?}, statistic {i}: {mean} ± {error}, not {exact}"
            );
        }
    }
}

#[test]
fn a_point_depends_on_seed_and_number_alone() {
    for toy in Toy::ALL {
        let whole = toy.sample(64, &mut Rng::new(3));
        let rng = Rng::new(3);
        let parts: Vec<f32> = (0..8).flat_map(|i| toy.sample(8, &mut rng.rows_from(8 * i)).values().to_vec()).collect();
        assert_eq!(whole.values(), parts, "{toy:?}");
        assert_ne!(whole.values(), toy.sample(64, &mut Rng::new(4)).values());
    }
}

/// The two halves of the moons lie where scikit-learn's do, with their labels.
#[test]
fn moons_are_those_of_scikit_learn() {
    let table = Toy::Moons.sample(1000, &mut Rng::new(0));
    let labels = table.labels().unwrap().rows();
    for (row, &label) in table.values().chunks_exact(2).zip(labels) {
        let (centre, side) = if label == 0 { ([0.0, 0.0], 1.0) } else { ([1.0, 0.5], -1.0) };
        let radius = (row[0] - centre[0]).hypot(row[1] - centre[1]);
        assert!((radius - 1.0).abs() < 0.6 && side * (row[1] - centre[1]) > -0.6);
    }
    let split = Toy::Moons.split(5000, &mut Rng::new(0));
    assert_eq!((split.train.len(), split.test.len()), (4000, 1000));
}

#[test]
fn names_are_those_of_serde() {
    for toy in Toy::ALL {
        let name = toy.name();
        assert_eq!(name.parse::<Toy>().unwrap(), toy);
        let read = Toy::deserialize(serde::de::value::StrDeserializer::<serde::de::value::Error>::new(name));
        assert_eq!(read.unwrap(), toy);
    }
    assert!("moon".parse::<Toy>().is_err());
}

#[test]
fn outside_there_is_nothing() {
    assert_eq!(Toy::Checkerboard.density().log_density([4.5, 0.0]), f64::NEG_INFINITY);
    assert_eq!(Toy::Checkerboard.density().log_density([-1.0, 1.0]), f64::NEG_INFINITY);
    assert_eq!(Toy::U2.density().log_density([0.0, 4.1]), f64::NEG_INFINITY);
    for toy in Toy::ALL {
        let density = toy.density();
        for x in [[1e3, -1e3], [0.0, 0.0], [1e300, 1e300]] {
            assert!(!density.log_density(x).is_nan(), "{toy:?} at {x:?}");
        }
    }
}

/// Stein's identity, `E[∂ᵢ log p(x) xⱼ] = −[i = j]`, on samples of every density that is smooth on the whole plane.
#[test]
fn scores_are_those_of_the_density() {
    let whole = Toy::ALL.into_iter().filter(|toy| {
        !matches!(toy, Toy::Checkerboard | Toy::Pinwheel | Toy::U1 | Toy::U2 | Toy::U3 | Toy::U4 | Toy::Ring)
    });
    for toy in whole {
        let n = 2000;
        let (table, density) = (toy.sample(n, &mut Rng::new(22)), toy.density());
        let products: Vec<[f64; 4]> = (0..n)
            .map(|row| {
                let x = [0, 1].map(|axis| f64::from(table.row(row)[axis]));
                let s = density.score(x);
                [s[0] * x[0], s[0] * x[1], s[1] * x[0], s[1] * x[1]]
            })
            .collect();
        for (i, expected) in [-1.0, 0.0, 0.0, -1.0].into_iter().enumerate() {
            let mean = products.iter().map(|p| p[i]).sum::<f64>() / n as f64;
            let variance = products.iter().map(|p| (p[i] - mean).powi(2)).sum::<f64>() / n as f64;
            let bound = 5.0 * (variance / n as f64).sqrt() + 1e-6;
            assert!((mean - expected).abs() < bound, "{toy:?}, product {i}: {mean}, not {expected}");
        }
    }
    let uneven = Toy::UnevenGaussians.density();
    assert_eq!([[4.0, 6.0], [-5.0, -4.0]].map(|x| uneven.likeliest_component(x)), [Some(0), Some(1)]);
    assert_eq!(uneven.component_weights(), Some(&[0.95, 0.05][..]));
    assert_eq!(Toy::Moons.density().likeliest_component([0.0, 0.0]), None);
}
