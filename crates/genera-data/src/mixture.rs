//! Gaussian mixtures in any dimension: p(x) = Σₖ wₖ N(x; μₖ, Σₖ), with exact log-density, score and sampling.

use genera_rng::{Rng, Stream};

use crate::{Error, Labels, Result, Table};

const LOG_TAU: f64 = 1.837_877_066_409_345_5; // log 2π

/// A mixture of `K` Gaussians in `D` dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    dims: usize,
    weights: Vec<f64>,
    means: Vec<f64>,
    /// The lower triangular factors L of the covariances L·Lᵀ, `[K, D, D]`.
    factors: Vec<f64>,
    /// log wₖ − log √|2πΣₖ|.
    log_norms: Vec<f64>,
}

impl Mixture {
    /// The mixture with `weights` `[K]`, `means` `[K, D]` and `covariances` `[K, D, D]`, row-major.
    ///
    /// # Errors
    /// If the lengths differ, the weights are not positive with sum 1 (within 1e-9), or a covariance is not symmetric
    /// and positive definite.
    pub fn new(weights: Vec<f64>, means: Vec<f64>, covariances: &[f64]) -> Result<Self> {
        let wrong = |what: String| Err(Error::Mixture(what));
        let count = weights.len();
        if count == 0 || means.is_empty() || !means.len().is_multiple_of(count) {
            return wrong(format!("{} numbers of means for {count} weights", means.len()));
        }
        let dims = means.len() / count;
        if dims.checked_mul(means.len()) != Some(covariances.len()) {
            return wrong(format!(
                "{} numbers of covariances for {count} means in {dims} dimensions",
                covariances.len()
            ));
        }
        let sum: f64 = weights.iter().sum();
        if !weights.iter().all(|&weight| weight > 0.0) || (sum - 1.0).abs() > 1e-9 {
            return wrong(format!("weights must be positive with sum 1; their sum is {sum}"));
        }
        if !means.iter().all(|mean| mean.is_finite()) {
            return wrong("a mean is not finite".to_owned());
        }
        let mut factors = Vec::with_capacity(covariances.len());
        let mut log_norms = Vec::with_capacity(count);
        for (k, covariance) in covariances.chunks_exact(dims * dims).enumerate() {
            let Some(factor) = cholesky(covariance, dims) else {
                return wrong(format!("covariance {k} is not symmetric and positive definite"));
            };
            let log_det: f64 = (0..dims).map(|i| factor[i * dims + i].ln()).sum();
            log_norms.push(weights[k].ln() - log_det - 0.5 * dims as f64 * LOG_TAU);
            factors.extend(factor);
        }
        Ok(Self { dims, weights, means, factors, log_norms })
    }

    /// `count` equal Gaussians of standard deviation `deviation`, evenly spaced on a circle in the plane, the first at
    /// `(radius, 0)`.
    ///
    /// # Errors
    /// If there is no Gaussian or its deviation is not positive.
    pub fn ring(count: usize, radius: f64, deviation: f64) -> Result<Self> {
        let angle = |k: usize| std::f64::consts::TAU * k as f64 / count as f64;
        let means = (0..count).flat_map(|k| [radius * libm::cos(angle(k)), radius * libm::sin(angle(k))]).collect();
        let variance = deviation * deviation;
        Self::new(vec![1.0 / count as f64; count], means, &[variance, 0.0, 0.0, variance].repeat(count))
    }

    /// The number of dimensions, `D`.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// The weights, `[K]`.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The means, `[K, D]`.
    pub fn means(&self) -> &[f64] {
        &self.means
    }

    /// The covariance of component `k`, `[D, D]`.
    ///
    /// # Panics
    /// If there is no such component.
    pub fn covariance(&self, k: usize) -> Vec<f64> {
        let (d, factor) = (self.dims, self.factor(k));
        let entry = |i: usize, j: usize| (0..=i.min(j)).map(|m| factor[i * d + m] * factor[j * d + m]).sum();
        (0..d * d).map(|at| entry(at / d, at % d)).collect()
    }

    /// log p(x), in nats.
    ///
    /// # Panics
    /// If `x` does not have `D` numbers.
    pub fn log_density(&self, x: &[f64]) -> f64 {
        log_sum_exp((0..self.weights.len()).map(|k| self.log_joint(k, x)))
    }

    /// ∇ log p(x) = Σₖ p(k|x) Σₖ⁻¹ (μₖ − x), `[D]`.
    ///
    /// # Panics
    /// If `x` does not have `D` numbers.
    pub fn score(&self, x: &[f64]) -> Vec<f64> {
        let log_p = self.log_density(x);
        let mut score = vec![0.0; self.dims];
        for k in 0..self.weights.len() {
            let posterior = (self.log_joint(k, x) - log_p).exp();
            let (d, factor) = (self.dims, self.factor(k));
            // Σ⁻¹ r = L⁻ᵀ (L⁻¹ r): back substitution on the whitened residual.
            let mut r = self.whitened(k, x);
            for i in (0..d).rev() {
                r[i] = (r[i] - (i + 1..d).map(|j| factor[j * d + i] * r[j]).sum::<f64>()) / factor[i * d + i];
                score[i] -= posterior * r[i];
            }
        }
        score
    }

    /// `n` points, labelled by component. Point `i` depends on `rng` and `i` alone.
    pub fn sample(&self, n: usize, rng: &mut Rng) -> Table {
        let (mut values, mut labels) = (Vec::with_capacity(n * self.dims), Vec::with_capacity(n));
        for mut stream in rng.streams(n) {
            let (point, component) = self.draw(&mut stream);
            values.extend(point.iter().map(|&x| x as f32));
            labels.push(component);
        }
        let classes = (0..self.weights.len()).map(|k| k.to_string()).collect();
        let columns = (0..self.dims).map(|i| format!("x{i}")).collect();
        Labels::new(labels, classes)
            .and_then(|labels| Table::new("mixture", columns, values, Some(labels)))
            .expect("a mixture draws finite points of its own components")
    }

    /// argmaxₖ p(k|x).
    ///
    /// # Panics
    /// If `x` does not have `D` numbers.
    pub fn likeliest_component(&self, x: &[f64]) -> usize {
        let joint = |k: usize| self.log_joint(k, x);
        (0..self.weights.len()).max_by(|&a, &b| joint(a).total_cmp(&joint(b))).unwrap_or(0)
    }

    /// One point and its component.
    pub(crate) fn draw(&self, stream: &mut Stream) -> (Vec<f64>, u16) {
        let mut left = stream.uniform();
        let last = self.weights.len() - 1;
        let k = self.weights[..last]
            .iter()
            .position(|weight| {
                left -= weight;
                left < 0.0
            })
            .unwrap_or(last);
        let (d, factor) = (self.dims, self.factor(k));
        let eps: Vec<f64> = (0..d).map(|_| stream.normal()).collect();
        let coordinate = |i: usize| (0..=i).map(|j| factor[i * d + j] * eps[j]).sum::<f64>();
        ((0..d).map(|i| self.means[k * d + i] + coordinate(i)).collect(), k as u16)
    }

    fn factor(&self, k: usize) -> &[f64] {
        let size = self.dims * self.dims;
        &self.factors[k * size..(k + 1) * size]
    }

    /// log wₖ N(x; μₖ, Σₖ).
    fn log_joint(&self, k: usize, x: &[f64]) -> f64 {
        self.log_norms[k] - 0.5 * self.whitened(k, x).iter().map(|r| r * r).sum::<f64>()
    }

    /// L⁻¹ (x − μₖ), by forward substitution.
    fn whitened(&self, k: usize, x: &[f64]) -> Vec<f64> {
        let (d, factor) = (self.dims, self.factor(k));
        assert_eq!(x.len(), d, "a point of another dimension");
        let mut r = Vec::with_capacity(d);
        for i in 0..d {
            let known: f64 = (0..i).map(|j| factor[i * d + j] * r[j]).sum();
            r.push((x[i] - self.means[k * d + i] - known) / factor[i * d + i]);
        }
        r
    }
}

/// log Σ exp(aᵢ), without overflow; −∞ for none.
pub(crate) fn log_sum_exp(terms: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = terms.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + terms.map(|term| (term - largest).exp()).sum::<f64>().ln()
}

/// The lower triangular L with L·Lᵀ = `matrix`, if that is symmetric and positive definite.
fn cholesky(matrix: &[f64], d: usize) -> Option<Vec<f64>> {
    let mut factor = vec![0.0; d * d];
    for i in 0..d {
        for j in 0..=i {
            let (entry, mirror) = (matrix[i * d + j], matrix[j * d + i]);
            if (entry - mirror).abs() > 1e-9 * (entry.abs() + mirror.abs()) {
                return None;
            }
            let rest = entry - (0..j).map(|m| factor[i * d + m] * factor[j * d + m]).sum::<f64>();
            factor[i * d + j] = match i == j {
                true if rest > 0.0 && rest.is_finite() => libm::sqrt(rest),
                true => return None,
                false => rest / factor[j * d + j],
            };
        }
    }
    Some(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Mixture {
        let covariances = [2.0, 0.6, 0.6, 0.5, 0.3, -0.1, -0.1, 1.0];
        Mixture::new(vec![0.3, 0.7], vec![1.0, -1.0, -2.0, 0.5], &covariances).unwrap()
    }

    #[test]
    fn density_by_the_formula() {
        // Σ₁⁻¹ and |Σ₁| of the first component by hand: det = 0.64.
        let one = Mixture::new(vec![1.0], vec![1.0, -1.0], &[2.0, 0.6, 0.6, 0.5]).unwrap();
        let (a, b) = (0.5, 0.25);
        let quadratic = (0.5 * a * a - 2.0 * 0.6 * a * b + 2.0 * b * b) / 0.64;
        let expected = -0.5 * quadratic - 0.5 * 0.64_f64.ln() - LOG_TAU;
        assert!((one.log_density(&[1.5, -0.75]) - expected).abs() < 1e-12);
        one.covariance(0).iter().zip([2.0, 0.6, 0.6, 0.5]).for_each(|(a, b)| assert!((a - b).abs() < 1e-15));
    }

    #[test]
    fn score_is_the_gradient() {
        let (mixture, h) = (example(), 1e-5);
        for x in [[0.0, 0.0], [1.0, -2.0], [-3.0, 4.0], [30.0, -40.0]] {
            let score = mixture.score(&x);
            for (i, &score) in score.iter().enumerate() {
                let shifted = |by: f64| {
                    mixture.log_density(&std::array::from_fn::<_, 2, _>(|j| if i == j { x[j] + by } else { x[j] }))
                };
                let slope = (shifted(h) - shifted(-h)) / (2.0 * h);
                assert!((score - slope).abs() < 1e-5 * (1.0 + slope.abs()), "{x:?}");
            }
        }
    }

    #[test]
    fn samples_have_the_moments() {
        let (mixture, n) = (example(), 200_000);
        let table = mixture.sample(n, &mut Rng::new(11));
        let mean = |f: &dyn Fn(&[f32]) -> f64| (0..n).map(|i| f(table.row(i))).sum::<f64>() / n as f64;
        let (m0, m1) = (mean(&|x| f64::from(x[0])), mean(&|x| f64::from(x[1])));
        assert!((m0 - (0.3 - 1.4)).abs() < 0.02 && (m1 - (-0.3 + 0.35)).abs() < 0.02, "{m0} {m1}");
        let cross = mean(&|x| (f64::from(x[0]) - m0) * (f64::from(x[1]) - m1));
        // 0.3·0.6 + 0.7·(−0.1) within, 0.3·0.7·(μ₁−μ₂)(μ₁−μ₂)ᵀ between.
        assert!((cross - (0.18 - 0.07 + 0.21 * 3.0 * -1.5)).abs() < 0.03, "{cross}");
        let share = table.labels().unwrap().rows().iter().filter(|&&k| k == 0).count() as f64 / n as f64;
        assert!((share - 0.3).abs() < 0.006, "{share}");
    }

    #[test]
    fn what_is_no_mixture_is_refused() {
        let one = |weight: f64, covariance: [f64; 4]| Mixture::new(vec![weight], vec![0.0, 0.0], &covariance);
        assert!(one(1.0, [1.0, 0.0, 0.0, 1.0]).is_ok());
        assert!(one(0.9, [1.0, 0.0, 0.0, 1.0]).is_err());
        assert!(one(f64::NAN, [1.0, 0.0, 0.0, 1.0]).is_err());
        assert!(one(1.0, [1.0, 2.0, 2.0, 1.0]).is_err());
        assert!(one(1.0, [1.0, 0.5, 0.0, 1.0]).is_err());
        assert!(Mixture::new(vec![], vec![], &[]).is_err());
        assert!(Mixture::new(vec![1.0], vec![0.0, 0.0], &[1.0]).is_err());
        assert!(Mixture::ring(0, 1.0, 1.0).is_err() && Mixture::ring(8, 1.0, 0.0).is_err());
    }
}
