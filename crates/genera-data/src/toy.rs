//! Toy densities in the plane, each with its exact log-density and its entropy, which no model's mean −log p can beat.
//!
//! The definitions, with their scales, are those of the libraries where the names come from (scikit-learn's moons;
//! FFJORD's toys, arXiv:1810.01367, for the 8 Gaussians, circles, rings, checkerboard, pinwheel, swiss roll and spirals;
//! Rezende and Mohamed, arXiv:1505.05770, for the energies). Each [`Toy`] states its own. Points are independent draws:
//! angles are uniform at random, where scikit-learn spaces them evenly.

use std::str::FromStr;

use genera_rng::{Rng, Stream};
use serde::{Deserialize, Serialize};

use crate::{Dataset, Error, Labels, Mixture, Result, Split, Table};

mod curve;
mod energy;
mod entropy;
#[cfg(test)]
mod laws;
mod pinwheel;

use curve::{Curve, NoisyCurve};
use energy::Energy;
pub use entropy::{Entropy, Source};

/// A density in the plane. `u`, `v` are uniform on [0, 1), `ε`, `δ` standard normal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Toy {
    /// Two half circles: (cos πu, sin πu) or (1 − cos πu, ½ − sin πu), plus 0.1 ε. Scale of scikit-learn's `make_moons`.
    Moons,
    /// Two circles of radius 3 and 1.5, plus 0.24 ε. Scikit-learn's `make_circles` (factor 0.5, noise 0.08) times 3.
    Circles,
    /// Eight Gaussians of deviation 0.5 at radius 4, all divided by 1.414.
    #[serde(rename = "8-gaussians")]
    EightGaussians,
    /// Eight Gaussians of deviation 0.08 at radius 2, all divided by 1.414: so narrow that they do not touch.
    #[serde(rename = "8-narrow-gaussians")]
    EightNarrowGaussians,
    /// Four circles of equal mass and radius 0.75, 1.5, 2.25, 3, plus 0.08 ε.
    Rings,
    /// Uniform on the eight dark squares of side 2 in [−4, 4]².
    Checkerboard,
    /// Five arms: f = (1 + 0.3 ε, 0.1 δ) turned clockwise by 2πk/5 + ¼ exp f₀, times 2.
    Pinwheel,
    /// (t cos t, t sin t) + ε with t = 3π/2·(1 + 2u), all divided by 5: scikit-learn's `make_swiss_roll` (noise 1) from
    /// above.
    SwissRoll,
    /// ±(−t cos t + u/2, t sin t + v/2) / 3 + 0.1 ε with t = 3π√w, w uniform.
    TwoSpirals,
    /// x₁ = 3.3 δ, x₀ = ε + x₁²/8.
    Banana,
    /// Eight equal Gaussians: N(0, I) and seven petals at radius 6 and angle 2πk/7, with variance 3 along the radius and
    /// 1 across.
    Flower,
    /// Rezende and Mohamed's U₁ on [−4, 4]²: ½((|z|−2)/0.4)² − log(e^{−½((z₀−2)/0.6)²} + e^{−½((z₀+2)/0.6)²}).
    U1,
    /// U₂ on [−4, 4]²: ½((z₁−w₁)/0.4)², w₁ = sin(2πz₀/4).
    U2,
    /// U₃ on [−4, 4]²: −log(e^{−½((z₁−w₁)/0.35)²} + e^{−½((z₁−w₁+w₂)/0.35)²} + 10⁻⁶), w₂ = 3e^{−½((z₀−1)/0.6)²}.
    U3,
    /// U₄ on [−4, 4]²: −log(e^{−½((z₁−w₁)/0.4)²} + e^{−½((z₁−w₁+w₃)/0.35)²} + 10⁻⁶), w₃ = 3/(1 + e^{−(z₀−1)/0.3}).
    U4,
    /// The ring energy on [−6, 6]²: ½((|z|−4)/0.4)² − log(e^{−½((z₀−2)/0.8)²} + e^{−½((z₀+2)/0.8)²} + 10⁻⁶).
    Ring,
    /// N((2, 3), diag(9, 1)).
    Gaussian,
    /// The same turned by 45°: N((2, 3), [[5, 4], [4, 5]]).
    RotatedGaussian,
    /// 0.95 N((5, 5), I) + 0.05 N((−5, −5), I): Langevin dynamics alone does not find the weights (Song and Ermon,
    /// arXiv:1907.05600, with weights of their own).
    UnevenGaussians,
}

impl Toy {
    /// Every toy.
    pub const ALL: [Self; 19] = [
        Self::Moons,
        Self::Circles,
        Self::EightGaussians,
        Self::EightNarrowGaussians,
        Self::Rings,
        Self::Checkerboard,
        Self::Pinwheel,
        Self::SwissRoll,
        Self::TwoSpirals,
        Self::Banana,
        Self::Flower,
        Self::U1,
        Self::U2,
        Self::U3,
        Self::U4,
        Self::Ring,
        Self::Gaussian,
        Self::RotatedGaussian,
        Self::UnevenGaussians,
    ];

    /// The name that recipes and the command line use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Moons => "moons",
            Self::Circles => "circles",
            Self::EightGaussians => "8-gaussians",
            Self::EightNarrowGaussians => "8-narrow-gaussians",
            Self::Rings => "rings",
            Self::Checkerboard => "checkerboard",
            Self::Pinwheel => "pinwheel",
            Self::SwissRoll => "swiss-roll",
            Self::TwoSpirals => "two-spirals",
            Self::Banana => "banana",
            Self::Flower => "flower",
            Self::U1 => "u1",
            Self::U2 => "u2",
            Self::U3 => "u3",
            Self::U4 => "u4",
            Self::Ring => "ring",
            Self::Gaussian => "gaussian",
            Self::RotatedGaussian => "rotated-gaussian",
            Self::UnevenGaussians => "uneven-gaussians",
        }
    }

    /// `n` points, labelled by moon, circle, arm, branch or component where there are several. Point `i` depends on `rng`
    /// and `i` alone.
    pub fn sample(self, n: usize, rng: &mut Rng) -> Table {
        let density = self.density();
        let (mut values, mut labels) = (Vec::with_capacity(2 * n), Vec::with_capacity(n));
        for mut stream in rng.streams(n) {
            let (point, label) = density.draw(&mut stream);
            values.extend(point.map(|x| x as f32));
            labels.push(label);
        }
        let classes = density.classes();
        let labels = (classes > 1).then(|| Labels::new(labels, (0..classes).map(|class| class.to_string()).collect()));
        labels
            .transpose()
            .and_then(|labels| Table::new(self.name(), vec!["x0".to_owned(), "x1".to_owned()], values, labels))
            .expect("a toy draws finite points of its own classes")
    }

    /// `n` points, the first 80 % to train on.
    pub fn split(self, n: usize, rng: &mut Rng) -> Split {
        let train = n - n / 5;
        Dataset::Table(self.sample(n, rng)).split(|row| row >= train)
    }

    /// The density, ready to be evaluated.
    pub fn density(self) -> ToyDensity {
        let mixture = |count: usize, means: Vec<f64>, covariances: &[f64]| {
            Kind::Mixture(
                Mixture::new(vec![1.0 / count as f64; count], means, covariances).expect("a toy is a mixture"),
            )
        };
        let curve = |curve| Kind::Curve(NoisyCurve::new(curve));
        ToyDensity(match self {
            Self::Moons => curve(Curve::Moons),
            Self::Circles => curve(Curve::Circles),
            Self::Rings => curve(Curve::Rings),
            Self::SwissRoll => curve(Curve::SwissRoll),
            Self::TwoSpirals => curve(Curve::TwoSpirals),
            Self::EightGaussians => {
                Kind::Mixture(Mixture::ring(8, 4.0 / 1.414, 0.5 / 1.414).expect("a ring is a mixture"))
            }
            Self::EightNarrowGaussians => {
                Kind::Mixture(Mixture::ring(8, 2.0 / 1.414, 0.08 / 1.414).expect("a ring is a mixture"))
            }
            Self::Flower => {
                let (mut means, mut covariances) = (vec![0.0, 0.0], vec![1.0, 0.0, 0.0, 1.0]);
                for k in 0..7 {
                    let (sin, cos) = libm::sincos(std::f64::consts::TAU * f64::from(k) / 7.0);
                    means.extend([6.0 * cos, 6.0 * sin]);
                    let cross = 2.0 * sin * cos;
                    covariances.extend([1.0 + 2.0 * cos * cos, cross, cross, 1.0 + 2.0 * sin * sin]);
                }
                mixture(8, means, &covariances)
            }
            Self::Gaussian => mixture(1, vec![2.0, 3.0], &[9.0, 0.0, 0.0, 1.0]),
            Self::RotatedGaussian => mixture(1, vec![2.0, 3.0], &[5.0, 4.0, 4.0, 5.0]),
            Self::UnevenGaussians => {
                let unit = [1.0, 0.0, 0.0, 1.0].repeat(2);
                let two = Mixture::new(vec![0.95, 0.05], vec![5.0, 5.0, -5.0, -5.0], &unit);
                Kind::Mixture(two.expect("two Gaussians are a mixture"))
            }
            Self::Checkerboard => Kind::Checkerboard,
            Self::Pinwheel => Kind::Pinwheel,
            Self::Banana => Kind::Banana,
            Self::U1 => Kind::Energy(Energy::U1),
            Self::U2 => Kind::Energy(Energy::U2),
            Self::U3 => Kind::Energy(Energy::U3),
            Self::U4 => Kind::Energy(Energy::U4),
            Self::Ring => Kind::Energy(Energy::Ring),
        })
    }

    /// A box `[[x0 from, to], [x1 from, to]]` outside of which lies less than 10⁻⁹ of the mass.
    pub fn bounds(self) -> [[f64; 2]; 2] {
        let square = |half: f64| [[-half, half]; 2];
        match self {
            Self::Moons => [[-1.7, 2.7], [-1.2, 1.7]],
            Self::Circles => square(4.6),
            Self::EightGaussians => square(5.2),
            Self::EightNarrowGaussians => square(1.8),
            Self::Rings => square(3.6),
            Self::Checkerboard | Self::U1 | Self::U2 | Self::U3 | Self::U4 => square(4.0),
            Self::Pinwheel => square(6.0),
            Self::SwissRoll => square(4.3),
            Self::TwoSpirals => square(4.2),
            Self::Banana => [[-7.0, 66.0], [-21.5, 21.5]],
            Self::Flower => square(17.0),
            Self::Ring => square(6.0),
            Self::Gaussian => [[-17.0, 21.0], [-4.0, 10.0]],
            Self::RotatedGaussian => [[-12.0, 16.0], [-11.0, 17.0]],
            Self::UnevenGaussians => square(11.5),
        }
    }
}

impl FromStr for Toy {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|toy| toy.name() == name).ok_or_else(|| Error::NotFound {
            name: name.to_owned(),
            looked: Vec::new(),
            mend: format!("the toys are {}", Self::ALL.map(Self::name).join(", ")),
        })
    }
}

/// A toy's density with whatever it needs to be evaluated quickly: exact, in closed form or (the noisy curves, the
/// normalisers of the energies) by quadrature with a relative error below 10⁻⁹.
#[derive(Clone, Debug)]
pub struct ToyDensity(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Mixture(Mixture),
    Curve(NoisyCurve),
    Energy(Energy),
    Checkerboard,
    Pinwheel,
    Banana,
}

impl ToyDensity {
    /// The mixture of Gaussians that this is, if it is one.
    pub fn mixture(&self) -> Option<&Mixture> {
        match &self.0 {
            Kind::Mixture(mixture) => Some(mixture),
            _ => None,
        }
    }

    /// log p(x), in nats; −∞ where there is no mass.
    pub fn log_density(&self, x: [f64; 2]) -> f64 {
        match &self.0 {
            Kind::Mixture(mixture) => mixture.log_density(&x),
            Kind::Curve(curve) => curve.log_density(x),
            Kind::Energy(energy) => energy.log_density(x),
            Kind::Checkerboard => {
                let dark = x.iter().all(|v| (-4.0..4.0).contains(v)) && is_dark(x);
                if dark { -32.0_f64.ln() } else { f64::NEG_INFINITY }
            }
            Kind::Pinwheel => pinwheel::log_density(x),
            Kind::Banana => {
                let [x0, x1] = x;
                log_normal(x1, 3.3) + log_normal(x0 - x1 * x1 / 8.0, 1.0)
            }
        }
    }

    /// ∇ log p(x): of mixtures in closed form, of others by central differences of [`ToyDensity::log_density`] with a
    /// step of 10⁻⁴. Not finite where there is no mass.
    pub fn score(&self, x: [f64; 2]) -> [f64; 2] {
        if let Kind::Mixture(mixture) = &self.0 {
            let score = mixture.score(&x);
            return [score[0], score[1]];
        }
        let step = 1e-4;
        let slope = |axis: usize| {
            let moved = |by: f64| {
                let mut x = x;
                x[axis] += by;
                self.log_density(x)
            };
            (moved(step) - moved(-step)) / (2.0 * step)
        };
        [slope(0), slope(1)]
    }

    /// The component of a mixture that a point most likely comes from; none for what is no mixture.
    pub fn likeliest_component(&self, x: [f64; 2]) -> Option<usize> {
        match &self.0 {
            Kind::Mixture(mixture) => Some(mixture.likeliest_component(&x)),
            _ => None,
        }
    }

    /// The weights of a mixture's components; none for what is no mixture.
    pub fn component_weights(&self) -> Option<&[f64]> {
        match &self.0 {
            Kind::Mixture(mixture) => Some(mixture.weights()),
            _ => None,
        }
    }

    fn draw(&self, stream: &mut Stream) -> ([f64; 2], u16) {
        match &self.0 {
            Kind::Mixture(mixture) => {
                let (point, component) = mixture.draw(stream);
                ([point[0], point[1]], component)
            }
            Kind::Curve(curve) => curve.draw(stream),
            Kind::Energy(energy) => (energy.draw(stream), 0),
            Kind::Checkerboard => {
                // One of eight dark squares: four columns, two squares in each.
                let square = stream.below(8);
                let (column, pair) = (square / 2, square % 2);
                let row = 2 * pair + column % 2;
                let corner = [column, row].map(|i| 2.0 * i as f64 - 4.0);
                // The upper edges belong to the next squares, also after rounding to f32.
                (corner.map(|low| (low + 2.0 * stream.uniform()).min(low + 2.0 - 1e-6)), 0)
            }
            Kind::Pinwheel => pinwheel::draw(stream),
            Kind::Banana => {
                let x1 = 3.3 * stream.normal();
                ([stream.normal() + x1 * x1 / 8.0, x1], 0)
            }
        }
    }

    /// The number of labels that `draw` gives.
    fn classes(&self) -> usize {
        match &self.0 {
            Kind::Mixture(mixture) => mixture.weights().len(),
            Kind::Curve(curve) => curve.branches(),
            Kind::Pinwheel => pinwheel::ARMS,
            Kind::Energy(_) | Kind::Checkerboard | Kind::Banana => 1,
        }
    }
}

/// Whether column and row of the checkerboard square that holds `x` are both even or both odd.
fn is_dark([x0, x1]: [f64; 2]) -> bool {
    let index = |v: f64| (v / 2.0).floor() as i64;
    (index(x0) + index(x1)).rem_euclid(2) == 0
}

/// log N(x; 0, deviation²).
fn log_normal(x: f64, deviation: f64) -> f64 {
    let z = x / deviation;
    -0.5 * (z * z + std::f64::consts::TAU.ln()) - deviation.ln()
}
