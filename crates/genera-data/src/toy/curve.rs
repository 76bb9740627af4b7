//! Curves plus noise: x = γ_b(v) + ω·uniform + σ·ε on a branch b chosen evenly.
//!
//! p(x) = (1/B) Σ_b ∫₀¹ w(v) k(x − γ_b(v)) dv with the kernel k of the noise and the density w of the parameter. In panels of
//! at most σ/2, eight-point quadrature makes this a sum of kernels with a relative error below 10⁻⁹ within ten σ of the
//! curve (where log p > −50), and below 10⁻⁴ within twenty-five.

use std::f64::consts::{PI, SQRT_2, TAU};

use genera_rng::Stream;

use super::log_normal;
use crate::{mixture::log_sum_exp, quadrature::nodes};

/// The curves, as their [`Toy`](super::Toy) defines them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    /// Two half circles.
    Moons,
    /// Two circles.
    Circles,
    /// Four circles.
    Rings,
    /// A spiral seen from above.
    SwissRoll,
    /// Two spirals.
    TwoSpirals,
}

impl Curve {
    fn branches(self) -> usize {
        match self {
            Self::Moons | Self::Circles | Self::TwoSpirals => 2,
            Self::Rings => 4,
            Self::SwissRoll => 1,
        }
    }

    /// The point of a branch at `v` in [0, 1].
    fn point(self, branch: usize, v: f64) -> [f64; 2] {
        let circle = |radius: f64, angle: f64| [radius * libm::cos(angle), radius * libm::sin(angle)];
        match (self, branch) {
            (Self::Moons, 0) => circle(1.0, PI * v),
            (Self::Moons, _) => [1.0 - libm::cos(PI * v), 0.5 - libm::sin(PI * v)],
            (Self::Circles, _) => circle([3.0, 1.5][branch], TAU * v),
            (Self::Rings, _) => circle(3.0 - 0.75 * branch as f64, TAU * v),
            (Self::SwissRoll, _) => {
                let t = 1.5 * PI * (1.0 + 2.0 * v);
                circle(t / 5.0, t)
            }
            (Self::TwoSpirals, _) => {
                let t = 3.0 * PI * v;
                let sign = if branch == 0 { 1.0 } else { -1.0 };
                [-sign * t * libm::cos(t) / 3.0, sign * t * libm::sin(t) / 3.0]
            }
        }
    }

    /// The density of `v` on [0, 1].
    fn weight(self, v: f64) -> f64 {
        if self == Self::TwoSpirals { 2.0 * v } else { 1.0 }
    }

    /// The `v` below which a share `u` of the mass lies.
    fn quantile(self, u: f64) -> f64 {
        if self == Self::TwoSpirals { libm::sqrt(u) } else { u }
    }

    /// σ, the deviation of the normal noise.
    fn deviation(self) -> f64 {
        match self {
            Self::Moons | Self::TwoSpirals => 0.1,
            Self::Circles => 0.24,
            Self::Rings => 0.08,
            Self::SwissRoll => 0.2,
        }
    }

    /// ω, the width of the uniform noise: along [0, ω] on the first branch, along [−ω, 0] on the second.
    fn width(self, branch: usize) -> f64 {
        match (self, branch) {
            (Self::TwoSpirals, 0) => 0.5 / 3.0,
            (Self::TwoSpirals, _) => -0.5 / 3.0,
            _ => 0.0,
        }
    }

    /// An upper bound of |γ′(v)|.
    fn speed(self) -> f64 {
        match self {
            Self::Moons => PI,
            Self::Circles | Self::Rings => 3.0 * TAU,
            // |d(t cos t, t sin t)| = √(1 + t²) dt.
            Self::SwissRoll => 3.0 * PI * (1.0 + 4.5 * PI) / 5.0,
            Self::TwoSpirals => 3.0 * PI * (1.0 + 3.0 * PI) / 3.0,
        }
    }
}

/// A curve with the nodes of its quadrature.
#[derive(Clone, Debug)]
pub(super) struct NoisyCurve {
    curve: Curve,
    /// Point, branch and log weight of every node.
    nodes: Vec<([f64; 2], usize, f64)>,
}

impl NoisyCurve {
    pub(super) fn new(curve: Curve) -> Self {
        let panels = (curve.speed() / (0.5 * curve.deviation())).ceil() as usize;
        let branches = curve.branches();
        let nodes = (0..branches)
            .flat_map(|branch| {
                nodes(0.0, 1.0, panels).map(move |(v, weight)| {
                    (curve.point(branch, v), branch, (weight * curve.weight(v) / branches as f64).ln())
                })
            })
            .collect();
        Self { curve, nodes }
    }

    pub(super) fn branches(&self) -> usize {
        self.curve.branches()
    }

    /// log p(x), in nats.
    pub(super) fn log_density(&self, x: [f64; 2]) -> f64 {
        let deviation = self.curve.deviation();
        // The square of the distance from x to where a node's uniform noise reaches.
        let distance = |&(point, branch, _): &([f64; 2], usize, f64)| {
            let half = 0.5 * self.curve.width(branch);
            let axis = |i: usize| ((x[i] - point[i] - half).abs() - half.abs()).max(0.0);
            axis(0) * axis(0) + axis(1) * axis(1)
        };
        // What is nine deviations farther than the nearest node adds less than e⁻⁴⁰ of it.
        let nearest = self.nodes.iter().map(distance).fold(f64::INFINITY, f64::min);
        let reach = (nearest.sqrt() + 9.0 * deviation).powi(2);
        let terms: Vec<f64> = self
            .nodes
            .iter()
            .filter(|node| distance(node) <= reach)
            .map(|&(point, branch, log_weight)| {
                let width = self.curve.width(branch);
                let kernel = |axis: usize| log_kernel(x[axis] - point[axis], deviation, width);
                log_weight + kernel(0) + kernel(1)
            })
            .collect();
        log_sum_exp(terms.into_iter())
    }

    pub(super) fn draw(&self, stream: &mut Stream) -> ([f64; 2], u16) {
        let branch = stream.below(self.curve.branches());
        let point = self.curve.point(branch, self.curve.quantile(stream.uniform()));
        let (width, deviation) = (self.curve.width(branch), self.curve.deviation());
        let point = point.map(|x| {
            let shift = if width == 0.0 { 0.0 } else { width * stream.uniform() };
            x + shift + deviation * stream.normal()
        });
        (point, branch as u16)
    }
}

/// The log-density at `d` of `width`·U[0, 1) + N(0, deviation²): N(d; 0, deviation²) for no width, otherwise
/// [Q((e − |ω|/2)/σ) − Q((e + |ω|/2)/σ)] / |ω| with the upper tail Q and the distance e from the centre, ω/2.
fn log_kernel(d: f64, deviation: f64, width: f64) -> f64 {
    if width == 0.0 {
        return log_normal(d, deviation);
    }
    let (e, half) = ((d - 0.5 * width).abs(), 0.5 * width.abs());
    let (near, far) = (log_upper_tail((e - half) / deviation), log_upper_tail((e + half) / deviation));
    near + (-(far - near).exp()).ln_1p() - width.abs().ln()
}

/// log Q(z), the probability that a standard normal number exceeds z.
fn log_upper_tail(z: f64) -> f64 {
    if z < 25.0 {
        return (0.5 * libm::erfc(z / SQRT_2)).ln();
    }
    // The asymptotic series: its fifth term is below 10⁻¹¹ here.
    let a = 1.0 / (z * z);
    log_normal(z, 1.0) - z.ln() + (1.0 - a * (1.0 - 3.0 * a * (1.0 - 5.0 * a * (1.0 - 7.0 * a)))).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_agree_with_the_bessel_function() {
        // ∫ over a circle of radius R: exp(−(r² + R²)/2σ²) I₀(rR/σ²) / 2πσ².
        let bessel = |z: f64| nodes(0.0, PI, 200).map(|(t, w)| w * (z * (t.cos() - 1.0)).exp()).sum::<f64>() / PI;
        let (s2, density) = (0.24_f64.powi(2), NoisyCurve::new(Curve::Circles));
        for r in [0.0, 0.7, 1.5, 2.2, 3.1, 4.4_f64] {
            let one = |big: f64| (-(r - big).powi(2) / (2.0 * s2)).exp() * bessel(r * big / s2) / (TAU * s2);
            let exact = (0.5 * (one(3.0) + one(1.5))).ln();
            let found = density.log_density([r * 0.6, r * 0.8]);
            assert!((found - exact).abs() < 1e-9, "{r}: {found} {exact}");
        }
    }

    #[test]
    fn finer_panels_change_nothing() {
        for curve in [Curve::Moons, Curve::Circles, Curve::Rings, Curve::SwissRoll, Curve::TwoSpirals] {
            let density = NoisyCurve::new(curve);
            let panels = density.nodes.len() / 8 / curve.branches();
            let mut fine = density.clone();
            fine.nodes = (0..curve.branches())
                .flat_map(|branch| {
                    nodes(0.0, 1.0, 3 * panels).map(move |(v, w)| {
                        (curve.point(branch, v), branch, (w * curve.weight(v) / curve.branches() as f64).ln())
                    })
                })
                .collect();
            for x in [[0.0, 0.0], [1.03, 0.1], [-0.5, 0.8], [2.9, -0.6], [-1.4, -2.2], [3.0, 3.0]] {
                let (a, b) = (density.log_density(x), fine.log_density(x));
                let bound = if b > -50.0 { 1e-9 } else { 1e-4 };
                assert!((a - b).abs() < bound || b < -300.0, "{curve:?} at {x:?}: {a} {b}");
            }
        }
    }

    #[test]
    fn the_speed_bounds_the_curve() {
        for curve in [Curve::Moons, Curve::Circles, Curve::Rings, Curve::SwissRoll, Curve::TwoSpirals] {
            for (branch, step) in (0..curve.branches()).flat_map(|b| (0..1000).map(move |s| (b, s))) {
                let [a, b] = [step, step + 1].map(|s| curve.point(branch, f64::from(s) / 1000.0));
                assert!((a[0] - b[0]).hypot(a[1] - b[1]) <= 1.000_001 * curve.speed() / 1000.0, "{curve:?}");
            }
        }
    }

    #[test]
    fn the_tail_is_continuous_and_right() {
        assert!((log_upper_tail(25.0 - 1e-9) - log_upper_tail(25.0)).abs() < 1e-7);
        assert!((log_upper_tail(25.0) - -316.639_408_2).abs() < 1e-6);
        assert!((log_upper_tail(0.0) - 0.5_f64.ln()).abs() < 1e-15);
        assert!(log_kernel(100.0, 0.1, 0.2).is_finite());
        assert!((log_kernel(0.05, 0.1, 1e-7) - log_normal(0.05, 0.1)).abs() < 1e-5);
        assert!((log_kernel(0.07, 0.1, 0.2) - log_kernel(-0.07, 0.1, -0.2)).abs() < 1e-12);
    }
}
