//! Can a classifier tell the two sets apart? If they come from one distribution, not better than a coin.
//!
//! ```text
//! learn on half of the rows, [x; 0], [y; 1];   a = accuracy on the other half, of N rows
//! same distribution  ⇒  a ≈ N(½, 1/4N);        p = 1 − Φ(2 (a − ½) √N)
//! ```
//!
//! Lopez-Paz and Oquab, "Revisiting classifier two-sample tests" (arXiv:1610.06545). Both sets enter with as many rows
//! as the smaller has. Unlike a distance, the accuracy has a scale of its own: 0.5 is perfect, 1 is hopeless.

use faer::linalg::solvers::Solve;
use faer::{Mat, Scale, Side};
use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use crate::dense::product;
use crate::{MetricError, Points, nearest};

/// What learns to tell two sets apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judge {
    /// The majority of the √N nearest rows.
    Neighbours,
    /// Logistic regression on standardised columns, with the ridge ‖w‖²/2.
    Logistic,
}

/// The outcome of a classifier two-sample test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TwoSampleTest {
    /// The fraction of held-back rows whose set was guessed.
    pub accuracy: f64,
    /// The probability of such an accuracy, or a higher one, by chance.
    pub p_value: f64,
    /// What guessed.
    pub judge: Judge,
    /// The name of what extracted the features.
    pub features: String,
    /// Rows learnt on, and rows judged.
    pub n: [usize; 2],
}

/// Whether `judge` tells `x` from `y`.
///
/// # Errors
/// Different numbers of columns, or fewer than eight rows on a side.
pub fn two_sample_test(
    x: &Points<'_>,
    y: &Points<'_>,
    judge: Judge,
    features: &str,
    rng: &mut Rng,
) -> Result<TwoSampleTest, MetricError> {
    x.same_columns(y)?;
    x.at_least(8, "a two-sample test")?;
    y.at_least(8, "a two-sample test")?;
    let (d, half) = (x.d(), x.n().min(y.n()) / 2);
    let mut halves = |points: &Points<'_>| {
        let order = rng.permutation(points.n());
        (points.gather(&order[..half]), points.gather(&order[half..2 * half]))
    };
    let ((learn_x, judge_x), (learn_y, judge_y)) = (halves(x), halves(y));
    let (learnt, judged) = ([learn_x, learn_y].concat(), [judge_x, judge_y].concat());
    // Positive for `y`; zero counts half.
    let scores = match judge {
        Judge::Neighbours => {
            let (learnt, judged) = (Points::new(&learnt, 2 * half, d)?, Points::new(&judged, 2 * half, d)?);
            let k = ((2 * half) as f64).sqrt() as usize;
            let found = nearest(&judged, &learnt, k)?;
            let vote = |i: &usize| if *i >= half { 1.0 } else { -1.0 };
            found.indices.chunks_exact(k).map(|near| near.iter().map(vote).sum::<f64>()).collect::<Vec<_>>()
        }
        Judge::Logistic => logistic(&learnt, &judged, d)?,
    };
    let right = |(row, score): (usize, &f64)| match score {
        score if *score == 0.0 => 0.5,
        score => f64::from(u8::from((*score > 0.0) == (row >= half))),
    };
    let accuracy = scores.iter().enumerate().map(right).sum::<f64>() / scores.len() as f64;
    let z = 2.0 * (accuracy - 0.5) * (scores.len() as f64).sqrt();
    let p_value = upper_tail(z);
    Ok(TwoSampleTest { accuracy, p_value, judge, features: features.to_owned(), n: [2 * half; 2] })
}

/// Steps of Newton's method, at most; it needs about eight.
const STEPS: usize = 50;

/// Scores of the rows of `judged` by logistic regression on the rows of `learnt`, the later half of which is positive.
fn logistic(learnt: &[f64], judged: &[f64], d: usize) -> Result<Vec<f64>, MetricError> {
    let n = learnt.len() / d;
    let (mut mean, mut deviation) = (vec![0.0; d], vec![0.0; d]);
    let each = |out: &mut Vec<f64>, f: &dyn Fn(usize, f64) -> f64| {
        learnt.chunks_exact(d).for_each(|row| (0..d).for_each(|j| out[j] += f(j, row[j]) / n as f64));
    };
    each(&mut mean, &|_, v| v);
    each(&mut deviation, &|j, v| (v - mean[j]).powi(2));
    // Constant columns say nothing.
    let scale: Vec<f64> = deviation.iter().map(|v| if *v > 0.0 { 1.0 / v.sqrt() } else { 0.0 }).collect();
    // A last column of ones carries the intercept, which the ridge leaves alone.
    let design = |rows: &[f64]| {
        Mat::from_fn(rows.len() / d, d + 1, |i, j| if j < d { (rows[i * d + j] - mean[j]) * scale[j] } else { 1.0 })
    };
    let a = design(learnt);
    let target = |i: usize| f64::from(u8::from(2 * i >= n));
    let ridge = |j: usize| if j < d { 1.0 } else { 0.0 };
    // Σ ln(1 + e^s) − t s, in the form that does not overflow.
    let loss = |scores: &Mat<f64>, w: &Mat<f64>| -> f64 {
        let row = |i: usize| {
            let s = scores[(i, 0)];
            s.max(0.0) + (-s.abs()).exp().ln_1p() - target(i) * s
        };
        (0..n).map(row).sum::<f64>() + (0..d).map(|j| 0.5 * w[(j, 0)].powi(2)).sum::<f64>()
    };
    let mut w = Mat::<f64>::zeros(d + 1, 1);
    let mut scores = &a * &w;
    for _ in 0..STEPS {
        let p: Vec<f64> = (0..n).map(|i| 1.0 / (1.0 + (-scores[(i, 0)]).exp())).collect();
        let gradient = a.transpose() * Mat::from_fn(n, 1, |i, _| p[i] - target(i));
        let gradient = Mat::from_fn(d + 1, 1, |j, _| gradient[(j, 0)] + ridge(j) * w[(j, 0)]);
        let weighted = Mat::from_fn(n, d + 1, |i, j| a[(i, j)] * (p[i] * (1.0 - p[i])));
        let mut hessian = product(a.transpose(), &weighted);
        (0..=d).for_each(|j| hessian[(j, j)] += ridge(j) + 1e-12);
        let solver = hessian.llt(Side::Lower).map_err(|_| MetricError::Covariance {
            why: "the curvature of a logistic regression is not positive".to_owned(),
        })?;
        let mut step = solver.solve(&gradient);
        let before = loss(&scores, &w);
        // Newton's step may be too long far from the minimum.
        loop {
            let (next, size) = (&w - &step, step.norm_max());
            let next_scores = &a * &next;
            let done = size < 1e-10 * (1.0 + next.norm_max());
            if done || loss(&next_scores, &next) <= before {
                (w, scores) = (next, next_scores);
                if done {
                    let scores = design(judged) * &w;
                    return Ok((0..scores.nrows()).map(|i| scores[(i, 0)]).collect());
                }
                break;
            }
            step *= Scale(0.5);
        }
    }
    let scores = design(judged) * &w;
    Ok((0..scores.nrows()).map(|i| scores[(i, 0)]).collect())
}

/// 1 − Φ(z), by the continued fraction or the series of the complementary error function.
fn upper_tail(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let density = (-x * x).exp() / std::f64::consts::PI.sqrt();
    let half_erfc = if x < 2.0 {
        // erf x = 2/√π e^{−x²} Σ 2ᵏ x^{2k+1} / (2k+1)!!
        let (mut term, mut sum) = (x, x);
        for k in 1..60 {
            term *= 2.0 * x * x / f64::from(2 * k + 1);
            sum += term;
        }
        0.5 - density * sum
    } else {
        // erfc x = e^{−x²}/√π · 1/(x + ½/(x + 1/(x + 3/2/(x + …))))
        let tail = (1..80).rev().fold(x, |below, k| x + 0.5 * f64::from(k) / below);
        0.5 * density / tail
    };
    if z >= 0.0 { half_erfc } else { 1.0 - half_erfc }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(seed: u64, n: usize, d: usize, shift: f32) -> Vec<f32> {
        let mut rows = Rng::new(seed).normal(n, d);
        rows.iter_mut().step_by(d).for_each(|x| *x += shift);
        rows
    }

    fn test(judge: Judge, seed: u64, n: usize, d: usize, shift: f32) -> TwoSampleTest {
        let (x, y) = (rows(2 * seed, n, d, 0.0), rows(2 * seed + 1, n, d, shift));
        let (x, y) = (Points::new(&x, n, d).unwrap(), Points::new(&y, n, d).unwrap());
        two_sample_test(&x, &y, judge, "raw", &mut Rng::new(seed)).unwrap()
    }

    #[test]
    fn tails_of_the_normal_distribution() {
        // SciPy: norm.sf.
        for (z, tail) in [
            (0.0, 0.5),
            (1.0, 0.15865525393145707),
            (1.96, 0.024997895148220435),
            (3.0, 0.0013498980316300933),
            (8.0, 6.220960574271786e-16),
            (-2.5, 0.9937903346742238),
        ] {
            assert!((upper_tail(z) / tail - 1.0).abs() < 1e-12, "{z}: {:e}", upper_tail(z));
        }
    }

    #[test]
    fn two_gaussians_are_told_apart_as_well_as_can_be() {
        // The best rule, a threshold halfway, is right with probability Φ(1) for a shift of two.
        for judge in [Judge::Logistic, Judge::Neighbours] {
            let found = test(judge, 1, 4000, 3, 2.0);
            assert_eq!(found.n, [4000, 4000]);
            assert!((found.accuracy - 0.8413).abs() < 0.025, "{found:?}");
            assert!(found.p_value < 1e-100);
        }
        // Separable: the ridge keeps the weights finite.
        assert_eq!(test(Judge::Logistic, 2, 60, 2, 50.0).accuracy, 1.0);
    }

    #[test]
    fn nothing_is_told_apart_where_there_is_nothing() {
        for judge in [Judge::Logistic, Judge::Neighbours] {
            let p: Vec<f64> = (0..120).map(|seed| test(judge, seed, 80, 2, 0.0).p_value).collect();
            for alpha in [0.1, 0.5_f64] {
                let fraction = p.iter().filter(|p| **p <= alpha).count() as f64 / p.len() as f64;
                // Accuracies are multiples of 1/80; four standard errors of 120 trials besides.
                assert!((fraction - alpha).abs() < 4.0 * (alpha * (1.0 - alpha) / 120.0).sqrt() + 0.05, "{fraction}");
            }
        }
        // A constant column says nothing, and breaks nothing.
        let constant = Points::new(&[1.0; 32], 16, 2).unwrap();
        let found = two_sample_test(&constant, &constant, Judge::Logistic, "raw", &mut Rng::new(0)).unwrap();
        assert_eq!(found.accuracy, 0.5);
    }

    #[test]
    fn refusals() {
        let (x, few) = (Points::new(&[0.0; 8], 8, 1).unwrap(), Points::new(&[0.0; 7], 7, 1).unwrap());
        let wide = Points::new(&[0.0; 16], 8, 2).unwrap();
        for other in [&few, &wide] {
            assert!(two_sample_test(&x, other, Judge::Logistic, "raw", &mut Rng::new(0)).is_err());
        }
    }
}
