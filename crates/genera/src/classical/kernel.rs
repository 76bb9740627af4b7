//! The kernels of kernel density estimation: even, never negative, of integral one.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, TAU};

use genera_rng::Stream;
use serde::{Deserialize, Serialize};

/// A kernel `K(u)`, by the short names of statsmodels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kernel {
    /// Gaussian: `e^{−u²/2}/√2π`.
    #[default]
    #[serde(rename = "gau")]
    Gaussian,
    /// Epanechnikov: `¾ (1−u²)` on `[−1, 1]`, of least asymptotic error.
    #[serde(rename = "epa")]
    Epanechnikov,
    /// Uniform: `½` on `[−1, 1]`.
    #[serde(rename = "uni")]
    Uniform,
    /// Triangular: `1−|u|` on `[−1, 1]`.
    #[serde(rename = "tri")]
    Triangular,
    /// Biweight: `15/16 (1−u²)²` on `[−1, 1]`.
    #[serde(rename = "biw")]
    Biweight,
    /// Triweight: `35/32 (1−u²)³` on `[−1, 1]`.
    #[serde(rename = "triw")]
    Triweight,
    /// Cosine: `π/4 cos(πu/2)` on `[−1, 1]`.
    #[serde(rename = "cos")]
    Cosine,
    /// Raised cosine: `1 + cos 2πu` on `[−½, ½]`.
    #[serde(rename = "cos2")]
    RaisedCosine,
}

impl Kernel {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Gaussian,
        Self::Epanechnikov,
        Self::Uniform,
        Self::Triangular,
        Self::Biweight,
        Self::Triweight,
        Self::Cosine,
        Self::RaisedCosine,
    ];

    /// Where the kernel ends.
    pub fn radius(self) -> f64 {
        match self {
            Self::Gaussian => f64::INFINITY,
            Self::RaisedCosine => 0.5,
            _ => 1.0,
        }
    }

    /// `K(u)`.
    pub fn density(self, u: f64) -> f64 {
        let rest = 1.0 - u * u;
        match self {
            Self::Gaussian => (-0.5 * u * u).exp() / TAU.sqrt(),
            _ if u.abs() > self.radius() => 0.0,
            Self::Epanechnikov => 0.75 * rest,
            Self::Uniform => 0.5,
            Self::Triangular => 1.0 - u.abs(),
            Self::Biweight => 15.0 / 16.0 * rest.powi(2),
            Self::Triweight => 35.0 / 32.0 * rest.powi(3),
            Self::Cosine => FRAC_PI_4 * (FRAC_PI_2 * u).cos(),
            Self::RaisedCosine => 1.0 + (TAU * u).cos(),
        }
    }

    /// `ln K(u)`, also where `K(u)` underflows.
    pub fn log_density(self, u: f64) -> f64 {
        match self {
            Self::Gaussian => -0.5 * (u * u + TAU.ln()),
            _ => self.density(u).ln(),
        }
    }

    /// A draw of the kernel.
    pub fn draw(self, stream: &mut Stream) -> f64 {
        match self {
            Self::Gaussian => stream.normal(),
            Self::Uniform => middle::<1>(stream),
            Self::Epanechnikov => middle::<3>(stream),
            Self::Biweight => middle::<5>(stream),
            Self::Triweight => middle::<7>(stream),
            Self::Triangular => stream.uniform() + stream.uniform() - 1.0,
            Self::Cosine => (2.0 * stream.uniform() - 1.0).asin() / FRAC_PI_2,
            // Accepted every other time.
            Self::RaisedCosine => loop {
                let u = stream.uniform() - 0.5;
                if 2.0 * stream.uniform() <= self.density(u) {
                    return u;
                }
            },
        }
    }

    /// `K∗K(u) = ∫ K(v) K(u−v) dv` in closed form or by quadrature: the density of the difference of two draws.
    pub(super) fn convolved(self, u: f64) -> f64 {
        let u = u.abs();
        let radius = self.radius();
        match self {
            Self::Gaussian => (-0.25 * u * u).exp() / (2.0 * TAU).sqrt(),
            _ if u >= 2.0 * radius => 0.0,
            _ => {
                // Smooth between the edges and kinks of the two factors.
                let mut ends = vec![u - radius, radius];
                ends.extend([0.0, u].into_iter().filter(|end| *end > u - radius && *end < radius));
                ends.sort_by(f64::total_cmp);
                ends.windows(2)
                    .map(|ends| quadrature(ends[0], ends[1], |v| self.density(v) * self.density(u - v)))
                    .sum()
            }
        }
    }
}

/// The middle one of `N` uniform numbers on `[−1, 1]`: its density is in proportion to `(1−u²)^{(N−1)/2}`.
fn middle<const N: usize>(stream: &mut Stream) -> f64 {
    let mut numbers = [0.0; N].map(|_| 2.0 * stream.uniform() - 1.0);
    numbers.sort_unstable_by(f64::total_cmp);
    numbers[N / 2]
}

/// Gauss and Legendre's rule with 8 nodes (Abramowitz and Stegun, 25.4.30).
fn quadrature(from: f64, to: f64, f: impl Fn(f64) -> f64) -> f64 {
    const RULE: [(f64, f64); 4] = [
        (0.183_434_642_495_649_8, 0.362_683_783_378_362),
        (0.525_532_409_916_329, 0.313_706_645_877_887_3),
        (0.796_666_477_413_626_7, 0.222_381_034_453_374_48),
        (0.960_289_856_497_536_3, 0.101_228_536_290_376_26),
    ];
    let (middle, half) = (0.5 * (from + to), 0.5 * (to - from));
    RULE.iter().map(|(node, weight)| half * weight * (f(middle - half * node) + f(middle + half * node))).sum()
}

#[cfg(test)]
mod tests {
    use genera_rng::Rng;

    use super::*;

    fn integral(kernel: Kernel, f: impl Fn(f64) -> f64) -> f64 {
        let reach = kernel.radius().min(9.0);
        (0..400)
            .map(|i| {
                let at = |i: i32| reach * (f64::from(i) / 200.0 - 1.0);
                quadrature(at(i), at(i + 1), |u| kernel.density(u) * f(u))
            })
            .sum()
    }

    #[test]
    fn kernels_are_even_densities_and_draws_follow_them() {
        for kernel in Kernel::ALL {
            assert!((integral(kernel, |_| 1.0) - 1.0).abs() < 1e-12, "{kernel:?}");
            assert!(integral(kernel, |u| u).abs() < 1e-12, "{kernel:?}");
            let n = 40_000;
            let draws: Vec<f64> = Rng::new(3).streams(n).map(|mut stream| kernel.draw(&mut stream)).collect();
            for (power, name) in [(1, "mean"), (2, "variance"), (4, "fourth moment")] {
                let exact = integral(kernel, |u| u.powi(power));
                let variance = integral(kernel, |u| u.powi(2 * power)) - exact * exact;
                let found = draws.iter().map(|u| u.powi(power)).sum::<f64>() / n as f64;
                assert!(
                    (found - exact).abs() < 4.5 * (variance / n as f64).sqrt(),
                    "{kernel:?} {name}: {found} {exact}"
                );
            }
            assert!(draws.iter().all(|u| u.abs() <= kernel.radius()));
            assert!((kernel.log_density(0.3) - kernel.density(0.3).ln()).abs() < 1e-14);
        }
    }

    #[test]
    fn convolutions_are_densities_with_twice_the_variance() {
        for kernel in Kernel::ALL {
            let reach = (2.0 * kernel.radius()).min(14.0);
            let step = reach / 2000.0;
            // The trapezoid rule on an even function of compact support (or as good as that).
            let moment = |power: i32| {
                let half: f64 =
                    (1..2000).map(|i| (step * f64::from(i)).powi(power) * kernel.convolved(step * f64::from(i))).sum();
                step * (2.0 * half + if power == 0 { kernel.convolved(0.0) } else { 0.0 })
            };
            assert!((moment(0) - 1.0).abs() < 1e-5, "{kernel:?} {}", moment(0));
            assert!((moment(2) - 2.0 * integral(kernel, |u| u * u)).abs() < 1e-5, "{kernel:?}");
        }
        // By hand: (1 − |u|/2)/2 for the uniform kernel.
        assert!((Kernel::Uniform.convolved(0.5) - 0.375).abs() < 1e-15);
    }

    #[test]
    fn recipes_use_short_names() {
        let names: Vec<String> = Kernel::ALL.iter().map(|kernel| serde_json::to_string(kernel).unwrap()).collect();
        assert_eq!(names.join(" "), r#""gau" "epa" "uni" "tri" "biw" "triw" "cos" "cos2""#);
    }
}
