//! Perceptual path length: how much a sample changes for a small step of its latent code.
//!
//! ```text
//! l = E ‖φ(G(z_t)) − φ(G(z_{t+ε}))‖² / ε²
//! z_t on the straight line between two codes (lerp), or on the great circle (slerp), t uniform or zero
//! ```
//!
//! Karras, Laine and Aila, "A style-based generator architecture" (arXiv:1812.04948). The features φ are whatever the
//! caller gives; the paper's are those of LPIPS. As in its code, the lowest and the highest hundredth of the lengths
//! are left out.

use serde::{Deserialize, Serialize};

use crate::bootstrap::mean_and_deviation;
use crate::error::require;
use crate::pairs::squared_distance;
use crate::{MetricError, Points};

/// The fraction left out at each end.
const TAIL: f64 = 0.01;

/// How two latent codes are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Path {
    /// The straight line.
    Lerp,
    /// The great circle between the directions; for normal codes.
    Slerp,
}

impl Path {
    /// The place `t` of the way from `a` to `b`. [`Path::Slerp`] keeps to the unit sphere.
    pub fn between(self, a: &[f64], b: &[f64], t: f64) -> Vec<f64> {
        let straight = |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a + (b - a) * t).collect() };
        match self {
            Self::Lerp => straight(a, b),
            Self::Slerp => {
                let (a, b) = (unit(a), unit(b));
                let cosine: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
                let angle = t * cosine.clamp(-1.0, 1.0).acos();
                let across = unit(&b.iter().zip(&a).map(|(b, a)| b - cosine * a).collect::<Vec<_>>());
                unit(&a.iter().zip(&across).map(|(a, c)| a * angle.cos() + c * angle.sin()).collect::<Vec<_>>())
            }
        }
    }
}

fn unit(x: &[f64]) -> Vec<f64> {
    let norm = x.iter().map(|v| v * v).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    x.iter().map(|v| v / norm).collect()
}

/// A perceptual path length and how it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathLength {
    /// The mean over the paths that were kept.
    pub mean: f64,
    /// The standard deviation over them.
    pub std: f64,
    /// The step ε.
    pub epsilon: f64,
    /// The name of what extracted the features.
    pub features: String,
    /// Paths measured, and paths kept.
    pub n: [usize; 2],
}

/// The path length from the features of samples and of the same samples after a step `epsilon`, row by row.
///
/// # Errors
/// Sets of different sizes, or a step that is not positive.
pub fn path_length(
    here: &Points<'_>,
    there: &Points<'_>,
    epsilon: f64,
    features: &str,
) -> Result<PathLength, MetricError> {
    here.same_columns(there)?;
    require(epsilon > 0.0 && epsilon.is_finite(), "the step of a path", epsilon, "positive")?;
    let n = here.n();
    require(there.n() == n, "the number of rows after the step", there.n() as f64, "that before it")?;
    let length = |i: usize| squared_distance(&here.rows(i..i + 1), &there.rows(i..i + 1)) / (epsilon * epsilon);
    let mut lengths: Vec<f64> = (0..n).map(length).collect();
    lengths.sort_unstable_by(f64::total_cmp);
    // Values equal to the ends are kept, as by the two percentiles of the reference.
    let place = TAIL * (n - 1) as f64;
    let kept = &lengths[place.floor() as usize..=((n - 1) as f64 - place).ceil() as usize];
    let (mean, std) = mean_and_deviation(kept);
    Ok(PathLength { mean, std, epsilon, features: features.to_owned(), n: [n, kept.len()] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use genera_rng::Rng;

    #[test]
    fn the_length_of_a_linear_generator() {
        // G(z) = A z with φ the identity: ‖A (b − a)‖² exactly, for any ε.
        let (n, rows) = (200, Rng::new(1).normal(200, 4));
        let map = |z: &[f64]| vec![2.0 * z[0], 3.0 * z[1]];
        let codes = |row: &[f32]| -> (Vec<f64>, Vec<f64>) {
            (row[..2].iter().map(|v| f64::from(*v)).collect(), row[2..].iter().map(|v| f64::from(*v)).collect())
        };
        let at = |t| -> Vec<f64> {
            rows.chunks_exact(4).flat_map(|row| map(&Path::Lerp.between(&codes(row).0, &codes(row).1, t))).collect()
        };
        let (here, there) = (at(0.0), at(1e-4));
        let found =
            path_length(&Points::new(&here, n, 2).unwrap(), &Points::new(&there, n, 2).unwrap(), 1e-4, "raw").unwrap();
        let mut exact: Vec<f64> = rows
            .chunks_exact(4)
            .map(|row| {
                let (a, b) = codes(row);
                map(&[b[0] - a[0], b[1] - a[1]]).iter().map(|v| v * v).sum()
            })
            .collect();
        exact.sort_by(f64::total_cmp);
        // Of 200 the 1 % and 99 % percentiles lie between values; the outer neighbour of each is kept.
        let kept = &exact[1..199];
        assert_eq!(found.n, [200, 198]);
        assert!((found.mean / (kept.iter().sum::<f64>() / 198.0) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_great_circle_keeps_its_speed() {
        let (a, b) = ([3.0, 0.0, 0.0], [0.0, 0.0, 0.5]);
        for t in [0.0, 0.25, 0.5, 1.0] {
            let z = Path::Slerp.between(&a, &b, t);
            let angle = t * std::f64::consts::FRAC_PI_2;
            assert!((z[0] - angle.cos()).abs() < 1e-15 && z[1] == 0.0 && (z[2] - angle.sin()).abs() < 1e-15);
        }
        assert_eq!(Path::Slerp.between(&a, &a, 0.3), [1.0, 0.0, 0.0]);
        assert_eq!(Path::Lerp.between(&a, &b, 0.5), [1.5, 0.0, 0.25]);
    }

    #[test]
    fn refusals() {
        let (x, y) = (Points::new(&[0.0, 1.0], 2, 1).unwrap(), Points::new(&[0.0], 1, 1).unwrap());
        assert!(path_length(&x, &y, 0.1, "raw").is_err());
        assert!([0.0, -1.0, f64::NAN].iter().all(|epsilon| path_length(&x, &x, *epsilon, "raw").is_err()));
        assert_eq!(path_length(&x, &x, 0.1, "raw").unwrap().mean, 0.0);
    }
}
