//! Paths, orders and densities against what is known of them.

use burn::tensor::Device;
use genera_rng::Rng;

use super::fokker_planck::Grid;
use super::*;

/// `dx = −a x dt + g(t) dw`, `g = 1 + ½ sin t`.
struct Linear;

impl Sde for Linear {
    fn drift(&self, x: Rows, _: f64) -> Rows {
        x * -0.8
    }

    fn diffusion(&self, t: f64) -> f64 {
        1.0 + 0.5 * t.sin()
    }
}

/// `dx = (x − x³) dt + ½ (1 + t) dw`.
struct DoubleWell;

impl Sde for DoubleWell {
    fn drift(&self, x: Rows, _: f64) -> Rows {
        x.clone() - x.powi_scalar(3)
    }

    fn diffusion(&self, t: f64) -> f64 {
        0.5 * (1.0 + t)
    }
}

fn values(x: &Rows) -> Vec<f64> {
    x.to_data().iter::<f32>().map(f64::from).collect()
}

fn variance(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64
}

fn evenly(end: f64, steps: usize) -> Vec<f64> {
    (0..=steps).map(|i| end * i as f64 / steps as f64).collect()
}

#[test]
fn paths_are_brownian_and_belong_to_their_row() {
    let device = Device::default();
    let paths = || Brownian::new([2000, 2], [1.0, 3.0], &mut Rng::new(1));
    let mut path = paths();
    let times = [1.0, 1.1, 1.7, 2.3, 3.0];
    let steps: Vec<Vec<f64>> = times.windows(2).map(|t| values(&path.increment(t[0], t[1], &device))).collect();
    for (step, t) in steps.iter().zip(times.windows(2)) {
        let found = variance(step) / (t[1] - t[0]);
        assert!((found - 1.0).abs() < 5.0 * (2.0_f64 / 4000.0).sqrt(), "{t:?}: {found}");
    }
    for (i, a) in steps.iter().enumerate() {
        for b in &steps[..i] {
            let product = a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / 4000.0;
            assert!(product.abs() < 5.0 * (variance(a) * variance(b) / 4000.0).sqrt());
        }
    }
    // The same path on another grid, backwards, and for fewer rows.
    let whole = values(&paths().increment(1.0, 3.0, &device));
    let back = values(&paths().increment(3.0, 1.0, &device));
    for (i, (whole, back)) in whole.iter().zip(&back).enumerate() {
        let sum: f64 = steps.iter().map(|step| step[i]).sum();
        assert!((sum - whole).abs() < 1e-5 && (back + whole).abs() < 1e-6);
    }
    let few = values(&Brownian::new([3, 2], [1.0, 3.0], &mut Rng::new(1)).increment(1.1, 1.7, &device));
    assert_eq!(few, steps[1][..6]);
}

/// The error at the end against a grid that is much finer, along the same paths.
#[test]
fn strong_orders_are_one() {
    let n = 400;
    let run = |scheme: Scheme, steps: usize| {
        let x = Rows::ones([n, 1], &Device::default()) * 0.5;
        let mut path = Brownian::new([n, 1], [0.0, 1.0], &mut Rng::new(2));
        values(&scheme.simulate(&DoubleWell, x, &evenly(1.0, steps), &mut path, &mut |_, _| ()))
    };
    let reference = run(Scheme::Heun, 512);
    for scheme in [Scheme::EulerMaruyama, Scheme::Heun] {
        let error = |steps| {
            let apart = run(scheme, steps).iter().zip(&reference).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            (apart / n as f64).sqrt()
        };
        let (coarse, fine) = (error(8), error(64));
        let order = (coarse / fine).log2() / 3.0;
        println!("{scheme:?}: {coarse:.2e} -> {fine:.2e}, strong order {order:.2}");
        assert!((order - 1.0).abs() < 0.2, "{scheme:?}: {order}");
    }
}

/// The error of the variance, along the same paths as a fine grid, so that chance drops out of the difference.
#[test]
fn weak_orders_are_one_and_two() {
    let n = 10_000;
    let run = |scheme: Scheme, steps: usize| {
        let mut rng = Rng::new(3);
        let x = Rows::from_data(burn::tensor::TensorData::new(rng.normal(n, 1), [n, 1]), &Device::default());
        let mut path = Brownian::new([n, 1], [0.0, 2.0], &mut rng);
        variance(&values(&scheme.simulate(&Linear, x, &evenly(2.0, steps), &mut path, &mut |_, _| ())))
    };
    let reference = run(Scheme::Heun, 96);
    for (scheme, expected) in [(Scheme::EulerMaruyama, 1.0), (Scheme::Heun, 2.0)] {
        let (coarse, fine) = ((run(scheme, 2) - reference).abs(), (run(scheme, 8) - reference).abs());
        let order = (coarse / fine).log2() / 2.0;
        println!("{scheme:?}: {coarse:.2e} -> {fine:.2e}, weak order {order:.2}");
        assert!((order - expected).abs() < 0.5, "{scheme:?}: {order}");
    }
}

/// The Ornstein-Uhlenbeck process: `m e^{−t}`, `v e^{−2t} + (1 − e^{−2t})`.
#[test]
fn a_normal_density_stays_normal() {
    let normal =
        |m: f64, v: f64| move |[x]: [f64; 1]| (-0.5 * (x - m).powi(2) / v).exp() / (std::f64::consts::TAU * v).sqrt();
    let start = Grid::of([[-6.0, 6.0]], [240], normal(1.5, 0.25)).unwrap();
    let drift = |[x]: [f64; 1]| [-x];
    let time = 0.7_f64;
    let end = start.evolved(&drift, 2.0_f64.sqrt(), time).unwrap();
    let decay = (-2.0 * time).exp();
    let exact = normal(1.5 * (-time).exp(), 0.25 * decay + 1.0 - decay);
    assert!((end.mass() - 1.0).abs() < 1e-12);
    assert!(end.density.iter().all(|p| *p >= 0.0));
    let worst = end.density.iter().enumerate().map(|(at, p)| (p - exact(end.centre(at))).abs()).fold(0.0, f64::max);
    assert!(worst < 2e-3, "{worst}");
}

/// `p ∝ e^{−U}` is at rest under Langevin's drift `−½∇U`, `g = 1`, and everything ends there.
#[test]
fn langevin_dynamics_leave_their_density_alone() {
    // A rotated double well; U is a polynomial, so the drift at a side is exact.
    let energy = |[x, y]: [f64; 2]| 2.0 * (x * x - 1.0).powi(2) + (y - 0.5 * x).powi(2);
    let drift = |[x, y]: [f64; 2]| [-0.5 * (8.0 * x * (x * x - 1.0) - (y - 0.5 * x)), -(y - 0.5 * x)];
    let bounds = [[-2.2, 2.2], [-3.6, 3.6]];
    let residual = |cells: usize| {
        let rest = Grid::of(bounds, [cells; 2], |x| (-energy(x)).exp()).unwrap();
        let most = rest.density.iter().copied().fold(0.0, f64::max);
        rest.change(&drift, 1.0).unwrap().into_iter().map(f64::abs).fold(0.0, f64::max) / most
    };
    let (coarse, fine) = (residual(24), residual(96));
    println!("residual {coarse:.1e} -> {fine:.1e}");
    assert!(fine < 0.02 && fine < coarse / 8.0, "{coarse} -> {fine}");

    let rest = Grid::of(bounds, [32, 32], |x| (-energy(x)).exp()).unwrap();
    let start = Grid::of(bounds, [32, 32], |[x, y]| (-4.0 * ((x - 0.8).powi(2) + y * y)).exp()).unwrap();
    let distance = |a: &Grid<2>| {
        let volume = a.sides().iter().product::<f64>();
        a.density.iter().zip(&rest.density).map(|(a, b)| (a - b).abs() * volume).sum::<f64>()
    };
    let end = start.evolved(&drift, 1.0, 60.0).unwrap();
    assert!(distance(&start) > 0.5 && distance(&end) < 0.02, "{} -> {}", distance(&start), distance(&end));
}

/// The grid and a cloud of particles tell the same story.
#[test]
fn particles_follow_the_density() {
    struct Well;
    impl Sde for Well {
        fn drift(&self, x: Rows, _: f64) -> Rows {
            x.clone() - x.powi_scalar(3)
        }
        fn diffusion(&self, _: f64) -> f64 {
            0.7
        }
    }
    let n = 20_000;
    let mut rng = Rng::new(4);
    let x = Rows::from_data(burn::tensor::TensorData::new(rng.normal(n, 1), [n, 1]), &Device::default()) * 0.3;
    let mut path = Brownian::new([n, 1], [0.0, 1.0], &mut rng);
    let cloud = values(&Scheme::Heun.simulate(&Well, x + 0.4, &evenly(1.0, 40), &mut path, &mut |_, _| ()));
    let start = Grid::of([[-3.0, 3.0]], [300], |[x]| (-0.5 * ((x - 0.4) / 0.3).powi(2)).exp()).unwrap();
    let end = start.evolved(&|[x]: [f64; 1]| [x - x.powi(3)], 0.7, 1.0).unwrap();
    for f in [|x: f64| x, |x: f64| x * x, |x: f64| f64::from(u8::from(x > 0.0))] {
        let found: Vec<f64> = cloud.iter().map(|x| f(*x)).collect();
        let (mean, exact) = (found.iter().sum::<f64>() / n as f64, end.mean(|[x]| f(x)));
        let error = 5.0 * (variance(&found) / n as f64).sqrt() + 2e-3;
        assert!((mean - exact).abs() < error, "{mean} {exact}");
    }
}

#[test]
fn hostile_grids_are_errors() {
    let flat = |_: [f64; 1]| 1.0;
    assert!(Grid::of([[1.0, 1.0]], [10], flat).is_err());
    assert!(Grid::of([[0.0, 1.0]], [2], flat).is_err());
    assert!(Grid::of([[0.0, 1.0]], [usize::MAX / 2], flat).is_err());
    assert!(Grid::of([[0.0, 1.0]], [10], |_| f64::NAN).is_err());
    assert!(Grid::of([[0.0, 1.0]], [10], |_| 0.0).is_err());
    let grid = Grid::of([[0.0, 1.0]], [10], flat).unwrap();
    assert!(grid.evolved(&|_| [0.0], 0.0, 1.0).is_err());
    assert!(grid.evolved(&|_| [f64::NAN], 1.0, 1.0).is_err());
    assert!(grid.evolved(&|_| [0.0], 1.0, -1.0).is_err());
    assert!(grid.evolved(&|_| [0.0], 1.0, 1e9).is_err());
    assert_eq!(grid.evolved(&|_| [0.0], 1.0, 0.0).unwrap(), grid);
}
