//! Along which directions the divergence of a field is taken.

use genera_rng::Rng;
use serde::{Deserialize, Serialize};

use super::OdeError;

/// How `tr ∂f/∂z` is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Divergence {
    /// Along every axis: `F` products with the Jacobian.
    #[default]
    Exact,
    /// Hutchinson's unbiased estimate, the mean of `εᵀ ∂f/∂z ε` over a number of probes that stay the same along a
    /// trajectory.
    Hutchinson {
        /// The law of a probe.
        noise: Noise,
        /// How many a row.
        probes: usize,
    },
}

/// The law of a probe: mean zero, covariance one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Noise {
    /// Signs: the least variance, exact for diagonal matrices.
    Rademacher,
    /// Standard normal numbers.
    Gaussian,
}

impl Divergence {
    /// # Errors
    /// No probes.
    pub fn check(&self) -> Result<(), OdeError> {
        match self {
            Self::Hutchinson { probes: 0, .. } => Err(OdeError::NoProbes),
            _ => Ok(()),
        }
    }

    /// How many probes estimate it; none if it is exact.
    pub fn probes(&self) -> Option<usize> {
        match self {
            Self::Exact => None,
            Self::Hutchinson { probes, .. } => Some(*probes),
        }
    }

    /// Directions for `n` rows of length `features`, row `i` from the stream of row `i`.
    pub(crate) fn directions(&self, n: usize, features: usize, rng: &mut Rng) -> Directions {
        match *self {
            Self::Exact => Directions::Axes,
            Self::Hutchinson { noise, probes } => {
                Directions::Probes { count: probes, values: draw(noise, n, probes * features, rng) }
            }
        }
    }

    /// Directions for rows `x`, `[n, F]`, that depend on nothing but the numbers in the row: an estimate of `log p(x)`
    /// must not depend on where in which batch `x` stands. Other seeds give other probes.
    pub(crate) fn directions_of(&self, x: &[f64], features: usize, seed: u64) -> Directions {
        match *self {
            Self::Exact => Directions::Axes,
            Self::Hutchinson { noise, probes } => {
                let root = Rng::new(seed).fork("divergence");
                let of_row = |row: &[f64]| {
                    let key = row.iter().fold(0, |key: u64, x| key.rotate_left(17).wrapping_mul(31) ^ x.to_bits());
                    draw(noise, 1, probes * features, &mut root.at(key))
                };
                Directions::Probes { count: probes, values: x.chunks_exact(features).flat_map(of_row).collect() }
            }
        }
    }
}

fn draw(noise: Noise, n: usize, width: usize, rng: &mut Rng) -> Vec<f32> {
    let normal = rng.normal(n, width);
    match noise {
        Noise::Gaussian => normal,
        Noise::Rademacher => normal.into_iter().map(|z| if z < 0.0 { -1.0 } else { 1.0 }).collect(),
    }
}

/// The directions of every row of a batch.
#[derive(Clone, Debug)]
pub(crate) enum Directions {
    /// None: the volume is not followed.
    None,
    /// The unit vectors.
    Axes,
    /// `[n, count, F]`.
    Probes { count: usize, values: Vec<f32> },
}

impl Directions {
    /// The weight of each in a divergence.
    pub fn weight(&self) -> f64 {
        match self {
            Self::Probes { count, .. } => 1.0 / *count as f64,
            _ => 1.0,
        }
    }

    /// The directions of samples `rows`, `[count n, F]`, direction-major.
    pub fn of(&self, rows: &[usize], features: usize) -> Vec<f32> {
        let n = rows.len();
        match self {
            Self::None => Vec::new(),
            Self::Axes => {
                let mut out = vec![0.0; features * n * features];
                (0..features * n).for_each(|i| out[i * features + i / n] = 1.0);
                out
            }
            Self::Probes { count, values } => {
                let mut out = Vec::with_capacity(count * n * features);
                for k in 0..*count {
                    rows.iter()
                        .for_each(|row| out.extend_from_slice(&values[(row * count + k) * features..][..features]));
                }
                out
            }
        }
    }
}
