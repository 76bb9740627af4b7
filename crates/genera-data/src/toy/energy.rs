//! Densities exp(−U(z))/Z on a box, for the energies of Rezende and Mohamed (arXiv:1505.05770, table 1) and a ring.
//!
//! On the whole plane all but two of them have no finite Z: the box, of half side 4 (6 for the ring), is part of the
//! definition here. Points are drawn by rejection, so each is exact and independent of the others.

use std::f64::consts::FRAC_PI_2;

use genera_rng::Stream;

/// An energy U on its box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Energy {
    /// A ring of radius 2 with its mass left and right.
    U1,
    /// A sine wave.
    U2,
    /// A sine wave that parts in the middle.
    U3,
    /// A sine wave that parts to the right.
    U4,
    /// A ring of radius 4 with its mass above and below.
    Ring,
}

impl Energy {
    /// exp(−U(z)).
    pub(super) fn weight(self, [z0, z1]: [f64; 2]) -> f64 {
        let bell = |x: f64, width: f64| libm::exp(-0.5 * (x / width) * (x / width));
        let wave = z1 - libm::sin(FRAC_PI_2 * z0);
        match self {
            Self::U1 => bell(libm::hypot(z0, z1) - 2.0, 0.4) * (bell(z0 - 2.0, 0.6) + bell(z0 + 2.0, 0.6)),
            Self::U2 => bell(wave, 0.4),
            Self::U3 => bell(wave, 0.35) + bell(wave + 3.0 * bell(z0 - 1.0, 0.6), 0.35) + 1e-6,
            Self::U4 => bell(wave, 0.4) + bell(wave + 3.0 / (1.0 + libm::exp((1.0 - z0) / 0.3)), 0.35) + 1e-6,
            Self::Ring => bell(libm::hypot(z0, z1) - 4.0, 0.4) * (bell(z0 - 2.0, 0.8) + bell(z0 + 2.0, 0.8) + 1e-6),
        }
    }

    /// Half the side of the box.
    pub(super) fn half_side(self) -> f64 {
        if self == Self::Ring { 6.0 } else { 4.0 }
    }

    /// log Z, by quadrature; `laws` recomputes it.
    pub(super) fn log_z(self) -> f64 {
        match self {
            Self::U1 => 1.877_501_616_797_505,
            Self::U2 => 2.082_089_343_010_345,
            Self::U3 => 2.641_709_690_188_474,
            Self::U4 => 2.684_572_038_277_992,
            Self::Ring => 2.313_291_851_811_279,
        }
    }

    /// An upper bound of exp(−U).
    fn ceiling(self) -> f64 {
        match self {
            Self::U1 => 1.000_001,
            Self::U2 => 1.0,
            Self::U3 | Self::U4 => 2.000_001,
            Self::Ring => 1.000_01,
        }
    }

    /// log p(z), in nats; −∞ outside the box.
    pub(super) fn log_density(self, z: [f64; 2]) -> f64 {
        if z.iter().all(|v| v.abs() <= self.half_side()) {
            self.weight(z).ln() - self.log_z()
        } else {
            f64::NEG_INFINITY
        }
    }

    pub(super) fn draw(self, stream: &mut Stream) -> [f64; 2] {
        let side = 2.0 * self.half_side();
        loop {
            let z = [(); 2].map(|()| side * (stream.uniform() - 0.5));
            if stream.uniform() * self.ceiling() < self.weight(z) {
                return z;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_bounds_the_weight() {
        for energy in [Energy::U1, Energy::U2, Energy::U3, Energy::U4, Energy::Ring] {
            let at = |i: u32| energy.half_side() * (f64::from(i) / 500.0 - 1.0);
            let most =
                (0..=1000).flat_map(|i| (0..=1000).map(move |j| energy.weight([at(i), at(j)]))).fold(0.0, f64::max);
            assert!(most <= energy.ceiling() && most > 0.9 * energy.ceiling(), "{energy:?}: {most}");
        }
    }
}
