use std::f64::consts::TAU;

use super::*;

/// A field from a closure of time and state.
struct Of<F>(usize, F);

impl<F: Fn(f64, &[f64]) -> Vec<f64>> Field for Of<F> {
    fn width(&self) -> usize {
        self.0
    }

    fn slope(&self, _: &[usize], t: &[f64], y: &[f64]) -> Vec<f64> {
        t.iter().zip(y.chunks_exact(self.0)).flat_map(|(t, y)| (self.1)(*t, y)).collect()
    }
}

/// `y' = y cos t`, with `y = e^{sin t}`.
fn wave() -> impl Field {
    Of(1, |t: f64, y: &[f64]| vec![y[0] * t.cos()])
}

/// A turn by one radian in a unit of time.
fn rotation() -> impl Field {
    Of(2, |_: f64, y: &[f64]| vec![-y[1], y[0]])
}

/// Van der Pol's oscillator: not linear, hard at places.
fn oscillator() -> impl Field {
    Of(2, |_: f64, y: &[f64]| vec![y[1], 5.0 * (1.0 - y[0] * y[0]) * y[1] - y[0]])
}

#[test]
fn the_error_falls_with_the_order() {
    for (method, order) in
        [(Method::Euler, 1.0), (Method::Midpoint, 2.0), (Method::Rk4, 4.0), (Method::DormandPrince, 5.0)]
    {
        let error = |steps: usize| {
            let solution = Solver::fixed(method, steps).solve(&wave(), &[1.0], [0.0, 2.0]).complete().unwrap();
            (solution.y[0] - 2.0_f64.sin().exp()).abs()
        };
        let steps = if order < 3.0 { 200 } else { 40 };
        let measured = (error(steps) / error(2 * steps)).log2();
        assert!((measured - order).abs() < 0.15, "{method:?}: {measured}");
    }
}

#[test]
fn closed_forms() {
    let solver = Solver::adaptive(1e-9);
    let grown = solver.solve(&Of(1, |_, y: &[f64]| vec![1.5 * y[0]]), &[1.0, -2.0], [0.0, 2.0]).complete().unwrap();
    assert!((grown.y[0] / 3.0_f64.exp() - 1.0).abs() < 1e-7 && (grown.y[1] / -2.0 - 3.0_f64.exp()).abs() < 1e-6);
    let turned = solver.solve(&rotation(), &[1.0, 0.0], [0.0, TAU / 3.0]).complete().unwrap();
    assert!((turned.y[0] + 0.5).abs() < 1e-7 && (turned.y[1] - 0.75_f64.sqrt()).abs() < 1e-7);
    // Backwards in time, and not at all.
    let back = solver.solve(&rotation(), &turned.y, [TAU / 3.0, 0.0]).complete().unwrap();
    assert!((back.y[0] - 1.0).abs() < 1e-7 && back.y[1].abs() < 1e-7);
    assert_eq!(solver.solve(&rotation(), &[3.0, 4.0], [1.0, 1.0]).y, [3.0, 4.0]);
    // A looser tolerance costs less and errs more.
    let loose = Solver::adaptive(1e-3).solve(&rotation(), &[1.0, 0.0], [0.0, TAU / 3.0]);
    assert!(loose.evaluations[0] < turned.evaluations[0] / 3);
    assert!((loose.y[0] + 0.5).abs() > 10.0 * (turned.y[0] + 0.5).abs());
}

#[test]
fn a_row_does_not_depend_on_its_company() {
    let starts: Vec<f64> = (0..64).flat_map(|i| [0.1 * f64::from(i) - 3.0, (f64::from(i) * 0.7).sin()]).collect();
    for solver in [Solver::adaptive(1e-6), Solver::fixed(Method::Rk4, 1000)] {
        let all = solver.solve(&oscillator(), &starts, [0.0, 7.0]).complete().unwrap();
        for (i, start) in starts.chunks_exact(2).enumerate() {
            let alone = solver.solve(&oscillator(), start, [0.0, 7.0]).complete().unwrap();
            assert_eq!(alone.y, all.y[2 * i..2 * i + 2], "row {i}");
            assert_eq!(alone.evaluations[0], all.evaluations[i]);
        }
    }
}

#[test]
fn dense_output_follows_the_solution() {
    let worst = |solver: Solver| {
        let (_, dense) = solver.dense(&rotation(), &[1.0, 0.0, 0.0, 2.0], [0.0, 3.0]);
        let times = (0..=300).map(|i| 3.0 * f64::from(i) / 300.0);
        let error = |t: f64| {
            let (first, second) = (dense.at(0, t).unwrap(), dense.at(1, t).unwrap());
            let distance = |y: &[f64], exact: [f64; 2]| (y[0] - exact[0]).hypot(y[1] - exact[1]);
            distance(&first, [t.cos(), t.sin()]).max(distance(&second, [-2.0 * t.sin(), 2.0 * t.cos()]))
        };
        times.map(error).fold(0.0, f64::max)
    };
    assert!(worst(Solver::adaptive(1e-8)) < 1e-6);
    // Between the steps the orders are 4 for Dormand and Prince and 3 for Hermite's cubic: locally one more.
    for (method, order) in [(Method::DormandPrince, 5.0), (Method::Rk4, 4.0)] {
        let measured = (worst(Solver::fixed(method, 10)) / worst(Solver::fixed(method, 20))).log2();
        assert!((measured - order).abs() < 0.35, "{method:?}: {measured}");
    }
    let (solution, dense) = Solver::adaptive(1e-6).dense(&rotation(), &[1.0, 0.0], [2.0, -1.0]);
    assert_eq!(dense.at(0, 2.0).unwrap(), [1.0, 0.0]);
    let end = dense.at(0, -1.0).unwrap();
    assert!(end.iter().zip(&solution.y).all(|(x, y)| (x - y).abs() < 1e-12));
    assert!(dense.at(0, 2.5).is_none() && dense.at(1, 0.0).is_none());
}

#[test]
fn failures_name_row_time_and_work() {
    // y' = y² from 1 has a pole at 1; from −1 it has none.
    let pole = Of(1, |_, y: &[f64]| vec![y[0] * y[0]]);
    let solution = Solver::adaptive(1e-6).solve(&pole, &[-1.0, 1.0, 0.5], [0.0, 1.5]);
    assert!((solution.y[0] + 1.0 / 2.5).abs() < 1e-5 && solution.y[1].is_nan() && (solution.y[2] - 2.0).abs() < 1e-4);
    let [OdeError::Floor { row: 1, time, evaluations, .. } | OdeError::NotFinite { row: 1, time, evaluations }] =
        solution.failures[..]
    else {
        panic!("{:?}", solution.failures)
    };
    assert!((time - 1.0).abs() < 1e-3 && evaluations == solution.evaluations[1]);
    assert!(solution.failures[0].to_string().starts_with("row 1: "));
    assert!(solution.complete().is_err());

    let wall = Of(1, |t: f64, _: &[f64]| vec![if t < 0.5 { 1.0 } else { f64::NAN }]);
    for solver in [Solver::adaptive(1e-6), Solver::fixed(Method::Rk4, 8)] {
        let failure = solver.solve(&wall, &[0.0], [0.0, 1.0]).complete().unwrap_err();
        assert!(matches!(failure, OdeError::NotFinite { row: 0, time, .. } if time <= 0.5 && time > 0.3), "{failure}");
    }
    let nan = solver_errors();
    assert_eq!(nan, [OdeError::NoSteps, OdeError::Tolerance(2.0), OdeError::NoEstimate(Method::Rk4)]);
}

fn solver_errors() -> Vec<OdeError> {
    let adapting = Solver { method: Method::Rk4, ..Solver::adaptive(1e-3) };
    let solvers = [Solver::fixed(Method::Rk4, 0), Solver::adaptive(2.0), adapting];
    solvers.iter().map(|solver| solver.solve(&rotation(), &[0.0, 1.0], [0.0, 1.0]).complete().unwrap_err()).collect()
}

#[test]
fn recipes_write_solvers() {
    for (solver, json) in [
        (Solver::fixed(Method::Rk4, 8), r#"{"method":"rk4","steps":{"fixed":8}}"#),
        (Solver::adaptive(0.5), r#"{"method":"dormand-prince","steps":{"adaptive":{"relative":0.5,"absolute":0.5}}}"#),
    ] {
        assert_eq!(serde_json::to_string(&solver).unwrap(), json);
        assert_eq!(serde_json::from_str::<Solver>(json).unwrap(), solver);
    }
    assert!(serde_json::from_str::<Solver>(r#"{"method":"rk4","steps":{"fixed":8},"tolerance":1}"#).is_err());
}

/// `y₀' = θ₀ y₁ + t`, `y₁' = −θ₁ sin y₀`.
struct Pendulum([f64; 2]);

impl Field for Pendulum {
    fn width(&self) -> usize {
        2
    }

    fn slope(&self, _: &[usize], t: &[f64], y: &[f64]) -> Vec<f64> {
        let [p, q] = self.0;
        t.iter().zip(y.chunks_exact(2)).flat_map(|(t, y)| [p * y[1] + t, -q * y[0].sin()]).collect()
    }
}

impl Differentiable for Pendulum {
    type Gradient = [f64; 2];

    fn pull_back(&self, rows: &[usize], t: &[f64], y: &[f64], a: &[f64], gradient: Option<&mut [f64; 2]>) -> Pulled {
        let [p, q] = self.0;
        let pairs = || y.chunks_exact(2).zip(a.chunks_exact(2));
        if let Some(gradient) = gradient {
            for (y, a) in pairs() {
                gradient[0] += a[0] * y[1];
                gradient[1] -= a[1] * y[0].sin();
            }
        }
        let cotangent = pairs().flat_map(|(y, a)| [-q * y[0].cos() * a[1], p * a[0]]).collect();
        Pulled { slope: self.slope(rows, t, y), cotangent }
    }
}

/// `L = Σ_i (y₀² + 3 y₁)`: its gradient with respect to the start and θ.
fn gradient(solver: Solver, by_adjoint: bool) -> (Vec<f64>, [f64; 2]) {
    let (field, y) = (Pendulum([1.3, 0.7]), [0.3, -0.4, 1.1, 0.9]);
    let span = [0.5, 3.0];
    let (solution, tape) = solver.tape(&field, &y, span);
    let end: Vec<f64> = solution.y.chunks_exact(2).flat_map(|y| [2.0 * y[0], 3.0]).collect();
    let mut theta = [0.0; 2];
    if !by_adjoint {
        return (tape.pull_back(&field, &end, &mut theta), theta);
    }
    let start = adjoint(&solver, &field, &solution.y, &end, span, &mut theta).complete().unwrap();
    let back: Vec<f64> = start.y.chunks_exact(4).flat_map(|both| &both[..2]).copied().collect();
    assert!(back.iter().zip(&y).all(|(back, y)| (back - y).abs() < 2e-3));
    (start.y.chunks_exact(4).flat_map(|both| &both[2..]).copied().collect(), theta)
}

fn numbers((start, theta): (Vec<f64>, [f64; 2])) -> Vec<f64> {
    start.into_iter().chain(theta).collect()
}

#[test]
fn the_tape_gives_the_gradient_of_the_numbers_computed() {
    for solver in
        [Solver::fixed(Method::Euler, 7), Solver::fixed(Method::Rk4, 3), Solver::fixed(Method::DormandPrince, 3)]
    {
        let found = numbers(gradient(solver, false));
        let loss = |change: usize, by: f64| {
            let (mut theta, mut y) = ([1.3, 0.7], [0.3, -0.4, 1.1, 0.9]);
            if change < 4 {
                y[change] += by
            } else {
                theta[change - 4] += by
            }
            let end = solver.solve(&Pendulum(theta), &y, [0.5, 3.0]).y;
            end.chunks_exact(2).map(|y| y[0] * y[0] + 3.0 * y[1]).sum::<f64>()
        };
        for (i, found) in found.iter().enumerate() {
            let expected = (loss(i, 1e-5) - loss(i, -1e-5)) / 2e-5;
            assert!((found - expected).abs() < 1e-7 * expected.abs().max(1.0), "{solver:?} {i}: {found} {expected}");
        }
    }
}

#[test]
fn adjoint_and_tape_agree_to_the_tolerance() {
    for (tolerance, allowed) in [(1e-4, 3e-3), (1e-6, 3e-5), (1e-9, 1e-7)] {
        let solver = Solver::adaptive(tolerance);
        let (tape, adjoint) = (numbers(gradient(solver, false)), numbers(gradient(solver, true)));
        for (tape, adjoint) in tape.iter().zip(&adjoint) {
            assert!((tape - adjoint).abs() < allowed * tape.abs().max(1.0), "{tolerance}: {tape} {adjoint}");
        }
    }
}
