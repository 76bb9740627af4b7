//! Wasserstein distances on the line, exactly, and averaged over random lines.
//!
//! ```text
//! W_p(x, y)ᵖ  = ∫₀¹ |F_x⁻¹(q) − F_y⁻¹(q)|ᵖ dq                       (d = 1: sort, and match quantiles)
//! SW_p(x, y)ᵖ = E_θ W_p(θ·x, θ·y)ᵖ,   θ uniform on the sphere of ℝᵈ   (estimated by random θ)
//! ```
//!
//! Sliced distances: Rabin, Peyré, Delon and Bernot (2011); Bonneel et al. (2015). Sets of different sizes are matched
//! by exact integer masses, so no quantile is lost to rounding.

use genera_rng::{Rng, Stream};
use rayon::prelude::*;

use crate::error::require;
use crate::{MetricError, Points};

/// W_p between the empirical distributions of two columns, `[n, 1]` and `[m, 1]`, for a power `p` ≥ 1.
///
/// # Errors
/// More than one column, or a power below one or not finite.
pub fn wasserstein_1d(x: &Points<'_>, y: &Points<'_>, p: f64) -> Result<f64, MetricError> {
    x.same_columns(y)?;
    require(x.d() == 1, "the number of columns", x.d() as f64, "1 (or take the sliced distance)")?;
    check_power(p)?;
    let (scale, mean) = on_a_line(x.rows(0..x.n()).into_owned(), y.rows(0..y.n()).into_owned(), p);
    Ok(scale * mean.powf(1.0 / p))
}

/// The sliced SW_p between the empirical distributions of `x` and `y`, over `directions` random directions.
///
/// # Errors
/// Different numbers of columns, no directions, or a power below one or not finite.
pub fn sliced_wasserstein(
    x: &Points<'_>,
    y: &Points<'_>,
    p: f64,
    directions: usize,
    rng: &mut Rng,
) -> Result<f64, MetricError> {
    x.same_columns(y)?;
    require(directions >= 1, "the number of directions", directions as f64, "at least 1")?;
    check_power(p)?;
    let streams: Vec<Stream> = rng.streams(directions).collect();
    let slice = |mut stream: Stream| {
        let theta: Vec<f64> = (0..x.d()).map(|_| stream.normal()).collect();
        let norm = theta.iter().map(|t| t * t).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        let project = |points: &Points<'_>| -> Vec<f64> {
            let dot = |row: &[f64]| row.iter().zip(&theta).map(|(x, t)| x * t).sum::<f64>() / norm;
            (0..points.n()).map(|i| dot(&points.rows(i..i + 1))).collect()
        };
        on_a_line(project(x), project(y), p)
    };
    let slices: Vec<(f64, f64)> = streams.into_par_iter().map(slice).collect();
    // Powers of the largest displacement would overflow; powers of its fractions do not.
    let largest = slices.iter().fold(0.0, |largest: f64, (scale, _)| largest.max(*scale));
    if largest == 0.0 {
        return Ok(0.0);
    }
    let mean = slices.iter().map(|(scale, mean)| (scale / largest).powf(p) * mean).sum::<f64>() / directions as f64;
    Ok(largest * mean.powf(1.0 / p))
}

pub(crate) fn check_power(p: f64) -> Result<(), MetricError> {
    require(p.is_finite() && p >= 1.0, "the power of a Wasserstein distance", p, "at least 1, and finite")
}

/// The largest displacement s, and the mean of (displacement / s)ᵖ, of the monotone matching.
fn on_a_line(mut x: Vec<f64>, mut y: Vec<f64>, p: f64) -> (f64, f64) {
    x.sort_unstable_by(f64::total_cmp);
    y.sort_unstable_by(f64::total_cmp);
    // Each point of x holds m units of mass and each of y holds n, of n m in all.
    let (n, m) = (x.len() as u128, y.len() as u128);
    let (mut i, mut j, mut left_x, mut left_y) = (0, 0, m, n);
    let mut moves = Vec::with_capacity(x.len() + y.len());
    while i < x.len() && j < y.len() {
        let mass = left_x.min(left_y);
        moves.push(((x[i] - y[j]).abs(), mass as f64));
        (left_x, left_y) = (left_x - mass, left_y - mass);
        if left_x == 0 {
            (i, left_x) = (i + 1, m);
        }
        if left_y == 0 {
            (j, left_y) = (j + 1, n);
        }
    }
    let scale = moves.iter().fold(0.0, |largest: f64, (distance, _)| largest.max(*distance));
    if scale == 0.0 {
        return (0.0, 0.0);
    }
    let total: f64 = moves.iter().map(|(distance, mass)| (distance / scale).powf(p) * mass).sum();
    (scale, total / (n * m) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(x: &[f64], y: &[f64], p: f64) -> f64 {
        wasserstein_1d(&Points::new(x, x.len(), 1).unwrap(), &Points::new(y, y.len(), 1).unwrap(), p).unwrap()
    }

    #[test]
    fn by_hand() {
        assert_eq!(line(&[0.0, 1.0], &[5.0, 2.0], 1.0), 3.0);
        assert!((line(&[0.0, 1.0], &[5.0, 2.0], 2.0) - 10.0_f64.sqrt()).abs() < 1e-14);
        // One point of mass one against three of mass 1/3.
        assert!((line(&[1.0], &[0.0, 1.0, 5.0], 1.0) - 5.0 / 3.0).abs() < 1e-15);
        // Thirds against halves: 0→0 (1/3), 3→0 (1/6), 3→6 (1/6), 6→6 (1/3).
        assert!((line(&[0.0, 3.0, 6.0], &[6.0, 0.0], 1.0) - 1.0).abs() < 1e-15);
        // Large powers tend to the largest displacement, without overflow.
        assert!((line(&[0.0, 1e30], &[0.0, 3e30], 400.0) / 2e30 - 1.0).abs() < 0.002);
    }

    #[test]
    fn laws() {
        let values: Vec<f64> = Rng::new(1).normal(90, 1).iter().map(|v| f64::from(*v)).collect();
        let (x, y, z) = (&values[..30], &values[30..50], &values[50..]);
        for p in [1.0, 1.5, 2.0, 5.0] {
            assert_eq!(line(x, x, p), 0.0);
            assert!((line(x, y, p) - line(y, x, p)).abs() < 1e-14);
            assert!(line(x, z, p) <= line(x, y, p) + line(y, z, p));
            let moved: Vec<f64> = x.iter().map(|v| v + 4.0).collect();
            assert!((line(x, &moved, p) - 4.0).abs() < 1e-12);
        }
        assert!(line(x, y, 1.0) <= line(x, y, 2.0));
    }

    #[test]
    fn slices_of_a_shift_and_of_a_line() {
        // All of a shift δ in d dimensions shows as |θ·δ|, of mean square |δ|²/d.
        let x = Rng::new(2).normal(200, 3);
        let moved: Vec<f32> = x.chunks_exact(3).flat_map(|r| [r[0] + 3.0, r[1], r[2]]).collect();
        let (x, moved) = (Points::new(&x, 200, 3).unwrap(), Points::new(&moved, 200, 3).unwrap());
        let found = sliced_wasserstein(&x, &moved, 2.0, 4000, &mut Rng::new(3)).unwrap();
        assert!((found - 3.0_f64.sqrt()).abs() < 0.06, "{found}");
        assert_eq!(sliced_wasserstein(&x, &x, 2.0, 10, &mut Rng::new(3)).unwrap(), 0.0);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| sliced_wasserstein(&x, &moved, 1.0, 50, &mut Rng::new(3)).unwrap())
        };
        assert_eq!(on(1).to_bits(), on(3).to_bits());
        // In one dimension there is one direction, up to its sign.
        let (a, b) = ([0.0, 2.0, 7.0], [1.0, 1.0]);
        let sliced = sliced_wasserstein(
            &Points::new(&a, 3, 1).unwrap(),
            &Points::new(&b, 2, 1).unwrap(),
            2.0,
            5,
            &mut Rng::new(1),
        );
        assert!((sliced.unwrap() - line(&a, &b, 2.0)).abs() < 1e-14);
    }

    #[test]
    fn refusals() {
        let (x, wide) = (Points::new(&[0.0, 1.0], 2, 1).unwrap(), Points::new(&[0.0; 4], 2, 2).unwrap());
        assert!(wasserstein_1d(&x, &wide, 1.0).is_err() && wasserstein_1d(&wide, &wide, 1.0).is_err());
        assert!([0.5, 0.0, f64::NAN, f64::INFINITY].iter().all(|p| wasserstein_1d(&x, &x, *p).is_err()));
        assert!(sliced_wasserstein(&x, &x, 1.0, 0, &mut Rng::new(0)).is_err());
    }
}
