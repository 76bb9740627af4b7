//! Less variety for likelier samples: the temperature and the truncation of what a sampler draws from.
//!
//! ```text
//! temperature τ   normal noise τ ε, categories by softmax(logits / τ)
//! truncation ψ    z ~ N(0, 1) given |z| ≤ ψ:    z = Φ⁻¹( Φ(−ψ) + (1 − 2 Φ(−ψ)) Φ(ε) )
//! style ψ         w ← c + ψ (w − c),  c = E w:  Karras, Laine and Aila (arXiv:1812.04948)
//! likeliest k     categories that are not among the k likeliest have probability zero
//! ```
//!
//! Truncation: Brock, Donahue and Simonyan (arXiv:1809.11096), who draw anew what falls outside. The map here has the same
//! distribution, uses one draw, and moves with ψ: samples of the same noise at different ψ belong together.

use genera_rng::Rng;

use crate::traits::Sample;

/// How much caution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Caution {
    /// Factor of the deviations of normal noise, divisor of logits: 1 is the model itself, at least 0.
    Temperature(f64),
    /// The largest absolute value of normal noise: infinite is the model itself, above 0.
    Truncation(f64),
    /// How far styles stay from their mean: 1 is the model itself, at least 0.
    Style(f64),
    /// Of the values that an element may take only the so many likeliest: at least 1.
    Likeliest(usize),
}

impl Caution {
    /// Whether the value makes sense.
    pub fn is_sound(self) -> bool {
        match self {
            Self::Temperature(factor) | Self::Style(factor) => factor >= 0.0 && factor.is_finite(),
            Self::Truncation(largest) => largest > 0.0,
            Self::Likeliest(count) => count > 0,
        }
    }

    /// Whether it changes the noise that a model draws from, and its value makes sense.
    pub fn is_of_noise(self) -> bool {
        !matches!(self, Self::Style(_) | Self::Likeliest(_)) && self.is_sound()
    }

    /// A standard normal number as it is drawn with this caution.
    pub fn normal(self, epsilon: f64) -> f64 {
        match self {
            Self::Temperature(factor) => factor * epsilon,
            // Styles are moved behind the noise, and values are left out before it.
            Self::Truncation(f64::INFINITY) | Self::Style(_) | Self::Likeliest(_) => epsilon,
            Self::Truncation(largest) => truncated(epsilon, largest),
        }
    }

    /// `n` rows of such numbers, `[n, width]`: those of [`Rng::normal`], mapped one by one.
    pub fn normals(self, n: usize, width: usize, rng: &mut Rng) -> Vec<f32> {
        let mut z = rng.normal(n, width);
        // The model itself draws the very same bits.
        if self != Self::Temperature(1.0) && self != Self::Truncation(f64::INFINITY) {
            z.iter_mut().for_each(|z| *z = self.normal(f64::from(*z)) as f32);
        }
        z
    }
}

/// The map above, by the tail beyond `|epsilon|`, which keeps its digits.
fn truncated(epsilon: f64, largest: f64) -> f64 {
    let cut = tail(largest);
    let beyond = cut + (1.0 - 2.0 * cut) * tail(epsilon.abs());
    // Rounding moves nothing outwards.
    quantile(beyond).min(largest).min(epsilon.abs()).copysign(epsilon)
}

/// Φ(−z).
fn tail(z: f64) -> f64 {
    0.5 * libm::erfc(z * std::f64::consts::FRAC_1_SQRT_2)
}

/// The `z ≥ 0` beyond which a standard normal number lies with probability `p ≤ ½`, by Newton's method on `ln Φ(−z)`: it
/// is concave, so the way there does not jump.
fn quantile(p: f64) -> f64 {
    if p < f64::MIN_POSITIVE {
        return f64::INFINITY;
    }
    // Above the answer, and near it: Φ(−z) ≤ ½ exp(−z²/2).
    let mut z = (-2.0 * (2.0 * p).ln()).max(0.0).sqrt();
    for _ in 0..20 {
        let beyond = tail(z);
        let density = (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
        let step = (p / beyond).ln() * beyond / density;
        z = (z - step).max(0.0);
        if step.abs() < 1e-12 * (1.0 + z) {
            break;
        }
    }
    z
}

/// A sampler made of a function of the number of points and the generator.
pub(crate) fn sampler<'a, X: 'a>(draw: impl Fn(usize, &mut Rng) -> X + 'a) -> Box<dyn Sample<X> + 'a> {
    struct Drawing<F>(F);
    impl<X, F: Fn(usize, &mut Rng) -> X> Sample<X> for Drawing<F> {
        fn sample(&self, n: usize, rng: &mut Rng) -> X {
            (self.0)(n, rng)
        }
    }
    Box::new(Drawing(draw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_the_normal_distribution() {
        for z in [0.0, 1e-9, 0.3, 1.0, 1.959_963_984_540_054, 5.0, 20.0, 37.0] {
            let found = quantile(tail(z));
            assert!((found - z).abs() < 1e-9 * (1.0 + z), "{z}: {found}");
        }
    }

    #[test]
    fn truncated_noise_has_the_distribution_of_noise_that_is_drawn_anew() {
        for largest in [0.2, 1.0, 2.5] {
            let mut ours = Caution::Truncation(largest).normals(20_000, 1, &mut Rng::new(1));
            let mut theirs: Vec<f32> = Rng::new(2).normal(200_000, 1);
            theirs.retain(|z| f64::from(z.abs()) <= largest);
            assert!(ours.iter().all(|z| f64::from(z.abs()) <= largest));
            ours.sort_by(f32::total_cmp);
            theirs.sort_by(f32::total_cmp);
            // Kolmogorov and Smirnov: the largest gap of the two distribution functions.
            let below =
                |sorted: &[f32], z: f32| sorted.partition_point(|other| *other <= z) as f64 / sorted.len() as f64;
            let gap = ours.iter().map(|z| (below(&ours, *z) - below(&theirs, *z)).abs()).fold(0.0, f64::max);
            let (n, m) = (ours.len() as f64, theirs.len() as f64);
            assert!(gap < 1.95 * (1.0 / n + 1.0 / m).sqrt(), "{largest}: {gap}");
        }
    }

    #[test]
    fn the_model_itself_draws_the_same_bits_and_signs_stay() {
        let plain = Rng::new(3).normal(50, 2);
        for caution in [Caution::Temperature(1.0), Caution::Truncation(f64::INFINITY)] {
            assert_eq!(caution.normals(50, 2, &mut Rng::new(3)), plain);
        }
        // Far truncation changes next to nothing, and the order of numbers never.
        for z in [-3.0, -0.5, 0.0, 1e-3, 2.0] {
            assert!((Caution::Truncation(30.0).normal(z) - z).abs() < 1e-9);
            assert!(Caution::Truncation(0.5).normal(z) <= Caution::Truncation(0.5).normal(z + 0.1));
            assert_eq!(Caution::Temperature(0.5).normal(z), 0.5 * z);
        }
        assert!((Caution::Truncation(0.5).normal(-50.0) + 0.5).abs() < 1e-9);
        assert!(!Caution::Temperature(-1.0).is_sound() && !Caution::Truncation(f64::NAN).is_sound());
        assert!(
            Caution::Style(0.0).is_sound() && !Caution::Style(0.0).is_of_noise() && !Caution::Style(-1.0).is_sound()
        );
    }
}
