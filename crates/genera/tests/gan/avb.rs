//! Adversarial variational Bayes on a toy whose posterior is known on a grid and is no Gaussian.
//!
//! `z ~ N(0, I)` in the plane, `x|z ~ N(z₁ + z₀², 0.3²)`: the posterior of `z` given `x` is a banana along `z₁ = x − z₀²`.

use genera::Rng;
use genera::burn::module::{Module, Param};
use genera::burn::tensor::Tensor;
use genera::gan::{Avb, AvbConfig, Emit};
use genera::train::{DescentConfig, Ema, RateSchedule};
use genera::traits::{Batch, Learner, Rows};
use genera::weights::Weights;

use super::{adam, device, host, tensor};

const NOISE: f64 = 0.3;

/// `N(z₁ + z₀², 0.3²)`: nothing to learn.
#[derive(Module, Debug)]
struct Bend {
    unused: Param<Tensor<1>>,
}

impl Emit for Bend {
    fn log_likelihood(&self, x: Rows, z: Rows) -> Tensor<1> {
        let place = z.clone().narrow(1, 1, 1) + z.narrow(1, 0, 1).square();
        let off = (x - place) / NOISE;
        (off.square() * -0.5 - (NOISE.ln() + 0.5 * std::f64::consts::TAU.ln())).squeeze_dim(1)
    }
}

fn data(n: usize, rng: &mut Rng) -> Rows {
    let z = rng.normal(n, 3);
    tensor(z.chunks_exact(3).map(|z| z[1] + z[0] * z[0] + NOISE as f32 * z[2]).collect(), 1)
}

fn config(contrast: usize) -> AvbConfig {
    AvbConfig { latents: 2, noise: 4, encoder: vec![64, 64], critic: vec![128, 128], critic_steps: 4, contrast }
}

fn trained(config: &AvbConfig, rates: [f64; 2], steps: u64) -> Avb<Bend> {
    let unused = Param::from_tensor(Tensor::zeros([1], &device()));
    let configs = rates.map(|learning_rate| DescentConfig {
        rate: RateSchedule::Linear { warmup: 0, floor: 0.1 },
        ema: Some(Ema { decay: 0.99, warmup: true }),
        ..adam(learning_rate)
    });
    let mut avb = config.init(1, Bend { unused }, configs, steps, &mut Rng::new(1), &device()).unwrap();
    for step in 0..steps {
        let rng = Rng::new(2).at(step);
        let batch = Batch { x: data(256, &mut rng.fork("data")), labels: None };
        avb.step(vec![batch], &mut rng.fork("noise")).unwrap();
    }
    avb
}

/// The grid of cells in the plane, of side [`CELL`].
const SIDE: usize = 60;
const CELL: f64 = 0.12;

/// `log p(z, x)` at `z`.
fn log_joint(z: [f64; 2], x: f64) -> f64 {
    let off = (x - z[1] - z[0] * z[0]) / NOISE;
    -0.5 * (z[0] * z[0] + z[1] * z[1] + off * off)
}

/// The posterior's mass in every cell, by the midpoints of a finer grid.
fn posterior(x: f64) -> Vec<f64> {
    let corner = |i: usize| (i as f64 - SIDE as f64 / 2.0) * CELL;
    let fine = |i: usize| (0..4).map(move |k| corner(i) + CELL * (f64::from(k) + 0.5) / 4.0);
    let mass = |cell: usize| -> f64 {
        fine(cell / SIDE).flat_map(|a| fine(cell % SIDE).map(move |b| log_joint([a, b], x).exp())).sum()
    };
    let masses: Vec<f64> = (0..SIDE * SIDE).map(mass).collect();
    let whole: f64 = masses.iter().sum();
    masses.into_iter().map(|mass| mass / whole).collect()
}

/// `Σ q log(q / p)` over cells: the divergence of what a grid can tell apart.
fn kl(q: &[f64], p: &[f64]) -> f64 {
    q.iter().zip(p).filter(|(q, _)| **q > 0.0).map(|(q, p)| q * (q / p.max(1e-12)).ln()).sum()
}

/// The share of draws in every cell, smoothed by half a draw of the posterior's own shape in all.
fn histogram(draws: &[f64], p: &[f64]) -> Vec<f64> {
    let mut counts: Vec<f64> = p.iter().map(|p| 0.5 * p).collect();
    let index = |z: f64| ((z / CELL + SIDE as f64 / 2.0).floor() as i64).clamp(0, SIDE as i64 - 1) as usize;
    for z in draws.chunks_exact(2) {
        counts[index(z[0]) * SIDE + index(z[1])] += 1.0;
    }
    let whole: f64 = counts.iter().sum();
    counts.into_iter().map(|count| count / whole).collect()
}

/// The mass of a diagonal Gaussian in every cell.
fn gaussian([m0, m1, s0, s1]: [f64; 4]) -> Vec<f64> {
    let log = |z: f64, m: f64, s: f64| -0.5 * ((z - m) / s).powi(2);
    let centre = |i: usize| (i as f64 + 0.5 - SIDE as f64 / 2.0) * CELL;
    let masses: Vec<f64> = (0..SIDE * SIDE)
        .map(|cell| (log(centre(cell / SIDE), m0, s0) + log(centre(cell % SIDE), m1, s1)).exp())
        .collect();
    let whole: f64 = masses.iter().sum();
    masses.into_iter().map(|mass| mass / whole).collect()
}

/// The least divergence of any diagonal Gaussian, by coordinate search from several starts: no encoder can do better.
fn best_gaussian(p: &[f64]) -> f64 {
    let starts = [[0.0, 0.0, 0.7, 0.5], [1.0, 0.0, 0.3, 0.4], [-1.0, 0.0, 0.3, 0.4]];
    let search = |start: [f64; 4]| {
        let (mut at, mut least) = (start, kl(&gaussian(start), p));
        let mut step = 0.4;
        while step > 0.01 {
            let mut moved = false;
            for axis in 0..4 {
                for sign in [-1.0, 1.0] {
                    let mut next = at;
                    next[axis] += sign * step;
                    if axis >= 2 && next[axis] < 0.06 {
                        continue;
                    }
                    let value = kl(&gaussian(next), p);
                    if value < least {
                        (at, least, moved) = (next, value, true);
                    }
                }
            }
            step *= if moved { 1.0 } else { 0.5 };
        }
        least
    };
    starts.into_iter().map(search).fold(f64::INFINITY, f64::min)
}

/// The sum over some `x` of the divergence of the implicit posterior, and of the best Gaussian, from the true one.
fn divergences(avb: &Avb<Bend>) -> [f64; 2] {
    let of = |(at, x): (u64, f64)| {
        let rows = tensor(vec![x as f32; 40_000], 1);
        let draws = host(avb.model().encoder.draw(rows, &mut Rng::new(7).at(at)));
        let p = posterior(x);
        [kl(&histogram(&draws, &p), &p), best_gaussian(&p)]
    };
    let each: Vec<[f64; 2]> = (0..).zip([0.5, 1.0, 1.5]).map(of).collect();
    println!("implicit, best Gaussian: {each:?}");
    each.into_iter().fold([0.0; 2], |sum, more| [sum[0] + more[0], sum[1] + more[1]])
}

/// An encoder without a density comes nearer to a bent posterior than any Gaussian could, by a factor of three.
#[test]
fn an_implicit_posterior_bends() {
    let [implicit, best] = divergences(&trained(&config(0), [1e-3, 1e-3], 800));
    assert!(3.0 * implicit < best, "{implicit} is not a third of {best}");
}

#[test]
fn resuming_changes_no_bit_and_errors_change_nothing() {
    let state = |avb: &Avb<Bend>| -> Vec<(String, Weights)> {
        avb.save().into_iter().map(|(name, group)| (name.to_owned(), group)).collect()
    };
    let step = |avb: &mut Avb<Bend>, at: u64| {
        let batch = Batch { x: data(16, &mut Rng::new(3).at(at)), labels: None };
        avb.step(vec![batch], &mut Rng::new(4).at(at)).unwrap()
    };
    for contrast in [0, 4] {
        let rates = [1e-3, 2e-3];
        let mut whole = trained(&config(contrast), rates, 2);
        let saved = state(&whole);
        let scalars = step(&mut whole, 0);
        assert!(scalars[0].0 == "loss" && scalars.iter().any(|(name, _)| *name == "kl"));
        let mut other = trained(&config(contrast), rates, 1);
        other.load(&saved).unwrap();
        step(&mut other, 0);
        assert!(state(&other) == state(&whole) && state(&whole) != saved);
        let bad = Batch { x: data(4, &mut Rng::new(3)) * f32::NAN, labels: None };
        let error = other.step(vec![bad], &mut Rng::new(4)).unwrap_err().to_string();
        assert!(error.starts_with("the critic: "), "{error}");
        assert!(state(&other) == state(&whole));
    }
}
