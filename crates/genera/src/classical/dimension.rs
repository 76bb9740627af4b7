//! What goes wrong in many dimensions, and how many numbers tables have.
//!
//! ```text
//! V_m(r) = π^{m/2} r^m / Γ(m/2 + 1)            the ball
//! 1 − (1 − ε)^m                                the share of it that lies within ε r of its surface
//! 2^m − 1,  m,  2m − 1                         numbers of a law of m bits: any, independent, first-order Markov
//! ```

/// The volume of a ball of radius `r` in `m` dimensions.
pub fn ball_volume(m: u32, r: f64) -> f64 {
    let m = f64::from(m);
    (0.5 * m * std::f64::consts::PI.ln() + m * r.ln() - libm::lgamma(0.5 * m + 1.0)).exp()
}

/// The share of a ball in `m` dimensions that is nearer to the surface than `share` of its radius.
pub fn shell_fraction(m: u32, share: f64) -> f64 {
    1.0 - (1.0 - share).powf(f64::from(m))
}

/// How a law of `m` bits is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitLaw {
    /// A probability for each string.
    Any,
    /// Every bit by itself.
    Independent,
    /// Every bit given the one before.
    Markov,
}

impl BitLaw {
    /// How many free numbers the law of `m` bits has.
    pub fn parameters(self, m: u32) -> f64 {
        let m = f64::from(m);
        match self {
            Self::Any => m.exp2() - 1.0,
            Self::Independent => m,
            Self::Markov => (2.0 * m - 1.0).max(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use genera_rng::Rng;

    use super::*;

    #[test]
    fn balls_have_their_volumes() {
        for (m, expected) in [(0, 1.0), (1, 6.0), (2, 9.0 * PI), (3, 36.0 * PI), (4, 81.0 * PI * PI / 2.0)] {
            let found = ball_volume(m, 3.0);
            assert!((found - expected).abs() < 1e-12 * expected, "{m}: {found} {expected}");
        }
        assert!(ball_volume(100, 1.0) < 1e-39, "next to nothing of a cube");
    }

    #[test]
    fn nearly_all_of_a_ball_is_its_shell() {
        assert!((shell_fraction(1, 0.05) - 0.05).abs() < 1e-15);
        assert!(shell_fraction(200, 0.05) > 0.9999);
        // Uniform points of a ball in three dimensions.
        let points = Rng::new(1).uniform(200_000, 3);
        let square = |point: &[f32]| point.iter().map(|x| (2.0 * f64::from(*x) - 1.0).powi(2)).sum::<f64>();
        let inside: Vec<f64> = points.chunks_exact(3).map(square).filter(|r| *r <= 1.0).collect();
        let shell = inside.iter().filter(|r| r.sqrt() > 0.8).count() as f64 / inside.len() as f64;
        assert!((shell - shell_fraction(3, 0.2)).abs() < 0.005, "{shell}");
    }

    #[test]
    fn laws_of_bits() {
        let of = |m| [BitLaw::Any, BitLaw::Independent, BitLaw::Markov].map(|law| law.parameters(m));
        assert_eq!((of(1), of(2), of(10)), ([1.0, 1.0, 1.0], [3.0, 2.0, 3.0], [1023.0, 10.0, 19.0]));
    }
}
