//! Energies: densities `e^{−U(x)} / Z` that are known up to `Z` and can be differentiated.
//!
//! The plane's are those of Rezende and Mohamed (arXiv:1505.05770, table 1), a ring, and two whose samples are known.
//! On the whole plane all but the last four have no finite `Z`: the box of half side 4 (6 for the ring) is part of the
//! definition, and `log Z` is that of the box.

use std::f64::consts::{FRAC_PI_2, TAU};
use std::fmt::Debug;

use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, softplus};
use serde::{Deserialize, Serialize};

use super::base::log_sum_exp;
use super::row_sums;
use crate::traits::Rows;

/// `U`, where the density is proportional to `e^{−U}`.
pub trait Energy: Debug + Send + Sync {
    /// `U(x)`, one a row: `[B, F] -> [B]`.
    fn energy(&self, x: Rows) -> Tensor<1>;

    /// `log Z` in nats, where it is known.
    fn log_z(&self) -> Option<f64> {
        None
    }
}

/// An energy in the plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlaneEnergy {
    /// `½((|z|−2)/0.4)² − log(e^{−½((z₀−2)/0.6)²} + e^{−½((z₀+2)/0.6)²})`.
    U1,
    /// `½((z₁−w₁)/0.4)²`, `w₁ = sin(2πz₀/4)`.
    U2,
    /// `−log(e^{−½((z₁−w₁)/0.35)²} + e^{−½((z₁−w₁+w₂)/0.35)²} + 10⁻⁶)`, `w₂ = 3e^{−½((z₀−1)/0.6)²}`.
    U3,
    /// `−log(e^{−½((z₁−w₁)/0.4)²} + e^{−½((z₁−w₁+w₃)/0.35)²} + 10⁻⁶)`, `w₃ = 3/(1 + e^{−(z₀−1)/0.3})`.
    U4,
    /// `½((|z|−4)/0.4)² − log(e^{−½((z₀−2)/0.8)²} + e^{−½((z₀+2)/0.8)²} + 10⁻⁶)`.
    Ring,
    /// Eight Gaussians of deviation 0.5 at radius 4, all divided by 1.414; normalised.
    #[serde(rename = "8-gaussians")]
    EightGaussians,
    /// `z₁ = 3.3 δ`, `z₀ = ε + z₁²/8`; normalised.
    Banana,
}

impl PlaneEnergy {
    /// Every energy.
    pub const ALL: [Self; 7] = [Self::U1, Self::U2, Self::U3, Self::U4, Self::Ring, Self::EightGaussians, Self::Banana];

    /// Half the side of the box that the density lives in; none if it lives on the whole plane.
    pub fn half_side(self) -> Option<f64> {
        match self {
            Self::U1 | Self::U2 | Self::U3 | Self::U4 => Some(4.0),
            Self::Ring => Some(6.0),
            Self::EightGaussians | Self::Banana => None,
        }
    }
}

/// `½ (x / width)²`.
fn well(x: Rows, width: f64) -> Rows {
    x.square() * (0.5 / (width * width))
}

/// `log(eᵃ + eᵇ)`.
fn log_add(a: Rows, b: Rows) -> Rows {
    a.clone() + softplus(b - a, 1.0)
}

/// `log(eᵃ + 10⁻⁶)`.
fn with_floor(a: Rows) -> Rows {
    softplus(a + 6.0 * std::f64::consts::LN_10, 1.0) - 6.0 * std::f64::consts::LN_10
}

impl Energy for PlaneEnergy {
    fn energy(&self, z: Rows) -> Tensor<1> {
        let (z0, z1) = (z.clone().narrow(1, 0, 1), z.clone().narrow(1, 1, 1)); // [B, 1]
        let wave = || z1.clone() - (z0.clone() * FRAC_PI_2).sin();
        let radius = |r: f64| z.clone().square().sum_dim(1).clamp_min(1e-20).sqrt() - r;
        let both = |width| log_add(-well(z0.clone() - 2.0, width), -well(z0.clone() + 2.0, width));
        let energy = match self {
            Self::U1 => well(radius(2.0), 0.4) - both(0.6),
            Self::U2 => well(wave(), 0.4),
            Self::U3 => {
                let w2 = (-well(z0.clone() - 1.0, 0.6)).exp() * 3.0;
                -with_floor(log_add(-well(wave(), 0.35), -well(wave() + w2, 0.35)))
            }
            Self::U4 => {
                let w3 = sigmoid((z0.clone() - 1.0) * (1.0 / 0.3)) * 3.0;
                -with_floor(log_add(-well(wave(), 0.4), -well(wave() + w3, 0.35)))
            }
            Self::Ring => well(radius(4.0), 0.4) - with_floor(both(0.8)),
            Self::EightGaussians => {
                let (radius, width) = (4.0 / 1.414, 0.5 / 1.414);
                let log = |k: usize| {
                    let (sin, cos) = libm::sincos(TAU * k as f64 / 8.0);
                    -(well(z0.clone() - radius * cos, width) + well(z1.clone() - radius * sin, width))
                };
                let logs = log_sum_exp(Tensor::cat((0..8).map(log).collect(), 1));
                return -logs + (8.0 * TAU * width * width).ln();
            }
            Self::Banana => {
                let bend = z0 - z1.clone().square() * 0.125;
                well(bend, 1.0) + well(z1, 3.3) + (TAU * 3.3).ln()
            }
        };
        row_sums(energy)
    }

    fn log_z(&self) -> Option<f64> {
        // By quadrature over the box; the tests compare with the toys of genera-data.
        Some(match self {
            Self::U1 => 1.877_501_616_797_505,
            Self::U2 => 2.082_089_343_010_345,
            Self::U3 => 2.641_709_690_188_474,
            Self::U4 => 2.684_572_038_277_992,
            Self::Ring => 2.313_291_851_811_279,
            Self::EightGaussians | Self::Banana => 0.0,
        })
    }
}
