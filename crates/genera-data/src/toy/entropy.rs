//! The entropies −∫ p log p of the toys, in nats: the least mean −log p that any model can reach.

use super::Toy;

/// An entropy and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entropy {
    /// The value, in nats.
    pub nats: f64,
    /// A bound of its error, in nats.
    pub error: f64,
    /// How it was found.
    pub source: Source,
}

/// How a number was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A formula.
    ClosedForm,
    /// Gauss–Legendre quadrature of −p log p over [`Toy::bounds`], stored; the tests recompute it.
    Quadrature,
}

impl Toy {
    /// The entropy, in nats.
    pub fn entropy(self) -> Entropy {
        let exact = |nats| Entropy { nats, error: 1e-12, source: Source::ClosedForm };
        let stored = |nats| Entropy { nats, error: 1e-7, source: Source::Quadrature };
        let log_two_pi_e = 1.0 + std::f64::consts::TAU.ln();
        match self {
            Self::Checkerboard => exact(32.0_f64.ln()),
            // x ↦ (x₀ − x₁²/8, x₁) keeps areas and makes two independent normal numbers.
            Self::Banana => exact(log_two_pi_e + 3.3_f64.ln()),
            Self::Gaussian | Self::RotatedGaussian => exact(log_two_pi_e + 3.0_f64.ln()),
            // Neighbours are nineteen deviations apart.
            Self::EightNarrowGaussians => exact(8.0_f64.ln() + log_two_pi_e + 2.0 * (0.08_f64 / 1.414).ln()),
            // Two Gaussians 14 deviations apart share less than 10⁻¹¹ of their mass.
            Self::UnevenGaussians => {
                Entropy { error: 1e-10, ..exact(log_two_pi_e - 0.95 * 0.95_f64.ln() - 0.05 * 0.05_f64.ln()) }
            }
            Self::Moons => stored(1.007_584_835),
            Self::Circles => stored(3.268_135_712),
            Self::EightGaussians => stored(2.831_880_406),
            Self::Rings => stored(2.623_182_770),
            // Folds of the map make the integrand rough where there is hardly any mass.
            Self::Pinwheel => Entropy { error: 1e-6, ..stored(2.317_787_8) },
            Self::SwissRoll => stored(2.669_646_174),
            Self::TwoSpirals => stored(2.645_450_284),
            Self::Flower => stored(5.285_228_277),
            Self::U1 => stored(2.660_012_376),
            Self::U2 => stored(2.582_089_343),
            Self::U3 => stored(2.626_747_423),
            Self::U4 => stored(2.766_216_285),
            Self::Ring => stored(3.356_673_521),
        }
    }
}
