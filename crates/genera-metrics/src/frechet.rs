//! The Fréchet distance between two Gaussian fits of features.
//!
//! ```text
//! W₂²(N(μ₁,Σ₁), N(μ₂,Σ₂)) = ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁^½ Σ₂ Σ₁^½)^½)
//! tr (Σ₁^½ Σ₂ Σ₁^½)^½ = ‖Σ₂^½ Σ₁^½‖_*   (the sum of singular values)
//! ```
//!
//! Dowson and Landau, "The Fréchet distance between multivariate normal distributions" (1982); as a measure of
//! generative models: Heusel et al., "GANs trained by a two time-scale update rule" (arXiv:1706.08500).
//!
//! Unlike the usual code, no square root of the non-symmetric product Σ₁Σ₂ is taken, and no multiple of the identity
//! is added when that fails. Each side is factored, Σ = F Fᵀ, and the singular values of F₂ᵀF₁ are summed:
//!
//! | rows | F |
//! |---|---|
//! | not more than columns | the centred rows themselves, turned into n − 1 independent ones (Helmert's contrasts): exact |
//! | more, or only moments known | Cholesky's factor |
//! | moments of a singular covariance | eigenvectors; eigenvalues below `d · 2⁻⁵² · λ_max` are rounding and count as zero |
//!
//! Singular values are first taken as roots of the eigenvalues of F₂ᵀF₁F₁ᵀF₂, which is many times faster. That keeps
//! only half of the digits of the smallest, so the error is estimated beside the sum; where it could reach 10⁻⁹ of
//! tr(Σ₁ + Σ₂), the singular values themselves are computed. Covariances of fewer rows than columns are singular and
//! the distance is then biased upwards, so the record says so.

use faer::{Mat, MatRef};
use serde::{Deserialize, Serialize};

use crate::dense::{lower_of_square, product};
use crate::{MetricError, Moments, Points};

/// A Fréchet distance and what it was measured on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frechet {
    /// The squared distance, mean term plus covariance term; never negative.
    pub value: f64,
    /// ‖μ₁ − μ₂‖².
    pub mean_term: f64,
    /// tr(Σ₁ + Σ₂ − 2 (Σ₁^½ Σ₂ Σ₁^½)^½).
    pub covariance_term: f64,
    /// The name of what extracted the features; distances under different names do not compare.
    pub features: String,
    /// The number of features.
    pub d: usize,
    /// Rows of the two sides. The distance falls with n: state both.
    pub n: [usize; 2],
    /// Ranks of the two covariances, as far as they are known: at most one less than the rows.
    pub rank: [usize; 2],
}

impl Frechet {
    /// One line if a covariance is singular, nothing otherwise.
    pub fn notice(&self) -> Option<String> {
        let side = *self.rank.iter().min()?;
        (side < self.d).then(|| {
            let [(n1, r1), (n2, r2)] = [(self.n[0], self.rank[0]), (self.n[1], self.rank[1])];
            let d = self.d;
            format!("rank-deficient: covariances of rank {r1} (n = {n1}) and {r2} (n = {n2}) for {d} features")
        })
    }
}

/// The Fréchet distance between two sets of features, `[n, d]` and `[m, d]`.
///
/// # Errors
/// Different numbers of columns, or fewer than two rows on a side.
pub fn frechet(left: &Points<'_>, right: &Points<'_>, features: &str) -> Result<Frechet, MetricError> {
    left.same_columns(right)?;
    between(&Side::of(left)?, &Side::of(right)?, features)
}

/// The Fréchet distance between two sets known by their moments.
///
/// # Errors
/// Different numbers of columns, fewer than two rows on a side, or a matrix with an eigenvalue so negative that it
/// is no covariance.
pub fn frechet_of_moments(left: &Moments, right: &Moments, features: &str) -> Result<Frechet, MetricError> {
    let d = left.d();
    if d != right.d() {
        return Err(MetricError::Dimensions { left: d, right: right.d() });
    }
    let (left, right) = rayon::join(|| Side::of_moments(left), || Side::of_moments(right));
    between(&left?, &right?, features)
}

pub(crate) fn between(left: &Side, right: &Side, features: &str) -> Result<Frechet, MetricError> {
    let mean_term: f64 = left.mean.iter().zip(&right.mean).map(|(a, b)| (a - b).powi(2)).sum();
    let coupled = sum_of_singular_values(&product(right.factor.transpose(), &left.factor), left.trace + right.trace)?;
    // Zero in exact arithmetic for equal covariances: what is left below zero is rounding.
    let covariance_term = (left.trace + right.trace - 2.0 * coupled).max(0.0);
    Ok(Frechet {
        value: mean_term + covariance_term,
        mean_term,
        covariance_term,
        features: features.to_owned(),
        d: left.mean.len(),
        n: [left.n, right.n],
        rank: [left, right].map(|side| side.factor.ncols()),
    })
}

/// The sum of the singular values of `a`, to 10⁻⁹ of `scale`.
fn sum_of_singular_values(a: &Mat<f64>, scale: f64) -> Result<f64, MetricError> {
    if a.nrows() == 0 || a.ncols() == 0 {
        return Ok(0.0);
    }
    let wide = if a.nrows() <= a.ncols() { a.as_ref() } else { a.transpose() };
    let squares = lower_of_square(wide);
    let squares = squares.self_adjoint_eigenvalues(faer::Side::Lower).map_err(|_| failed("eigenvalues"))?;
    // Eigenvalues are known to a few roundings of the largest.
    let rounding = 32.0 * f64::EPSILON * squares.iter().fold(0.0, |largest: f64, value| largest.max(*value));
    let error_of = |square: &f64| if *square > rounding { rounding / (2.0 * square.sqrt()) } else { rounding.sqrt() };
    let error: f64 = squares.iter().map(error_of).sum();
    if error <= 1e-9 * scale {
        return Ok(squares.iter().map(|square| square.max(0.0).sqrt()).sum());
    }
    Ok(a.singular_values().map_err(|_| failed("singular values"))?.iter().sum())
}

/// One of the two sets.
pub(crate) struct Side {
    n: usize,
    mean: Vec<f64>,
    /// F with F Fᵀ = Σ, `[d, rank]`.
    factor: Mat<f64>,
    trace: f64,
}

impl Side {
    pub(crate) fn of(points: &Points<'_>) -> Result<Self, MetricError> {
        if points.n() > points.d() { Self::of_moments(&Moments::of(points)) } else { Self::of_few(points) }
    }

    /// The contrast k of rows is `(x̄_k − x_k) √(k / (k + 1))`, with x̄_k the mean of those before: the sum of its
    /// products with itself is the scatter.
    fn of_few(points: &Points<'_>) -> Result<Self, MetricError> {
        points.at_least(2, "a covariance")?;
        let (n, d) = (points.n(), points.d());
        let mut mean = points.rows(0..1).into_owned();
        let mut factor = Mat::zeros(d, n - 1);
        for k in 1..n {
            let weight = (k as f64 / ((k + 1) as f64 * (n - 1) as f64)).sqrt();
            for (j, x) in points.rows(k..k + 1).iter().enumerate() {
                let difference = mean[j] - x;
                factor[(j, k - 1)] = weight * difference;
                mean[j] -= difference / (k + 1) as f64;
            }
        }
        let trace = factor.squared_norm_l2();
        Ok(Self { n, mean, factor, trace })
    }

    fn of_moments(moments: &Moments) -> Result<Self, MetricError> {
        let (d, covariance) = (moments.d(), moments.covariance()?);
        let (n, mean) = (moments.n(), moments.mean()?.to_vec());
        let matrix = MatRef::from_row_major_slice(&covariance, d, d);
        let trace = (0..d).map(|i| matrix[(i, i)]).sum();
        let largest = (0..d).map(|i| matrix[(i, i)]).fold(0.0, f64::max);
        if let Ok(cholesky) = matrix.llt(faer::Side::Lower) {
            let factor = cholesky.L().to_owned();
            // Smaller pivots come from a matrix that is singular but for rounding.
            if (0..d).all(|i| factor[(i, i)].powi(2) > 1e-10 * largest) {
                return Ok(Self { n, mean, factor, trace });
            }
        }
        let eigen = matrix.self_adjoint_eigen(faer::Side::Lower).map_err(|_| failed("eigenvalues"))?;
        // In rising order.
        let values = eigen.S().column_vector();
        let (lowest, largest) = (values[0], values[d - 1].max(0.0));
        // A covariance summed in single precision can be this far from positive; a wrong matrix is much further.
        if lowest < -1e-6 * largest || lowest < 0.0 && largest == 0.0 {
            let why = format!("its eigenvalues run from {lowest:e} to {largest:e}");
            return Err(MetricError::Covariance { why });
        }
        let threshold = d as f64 * f64::EPSILON * largest;
        let zeros = (0..d).take_while(|&i| values[i] <= threshold).count();
        let factor = Mat::from_fn(d, d - zeros, |i, j| eigen.U()[(i, zeros + j)] * values[zeros + j].sqrt());
        Ok(Self { n, mean, factor, trace })
    }
}

fn failed(what: &'static str) -> MetricError {
    MetricError::Covariance { why: format!("the iteration for its {what} did not converge") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use genera_rng::Rng;

    fn gaussian(mean: &[f64], covariance: &[f64]) -> Moments {
        Moments::from_parts(1000, mean, covariance).unwrap()
    }

    fn sample(seed: u64, n: usize, d: usize) -> Vec<f32> {
        Rng::new(seed).normal(n, d)
    }

    #[test]
    fn isotropic_and_commuting() {
        // m dimensions, standard deviations 2 and 5: ‖Δμ‖² + m (2 − 5)².
        let isotropic = |s: f64| (0..9).map(|at| if at % 4 == 0 { s * s } else { 0.0 }).collect::<Vec<_>>();
        let (a, b) = (gaussian(&[0.0; 3], &isotropic(2.0)), gaussian(&[1.0, 2.0, -2.0], &isotropic(5.0)));
        let found = frechet_of_moments(&a, &b, "raw").unwrap();
        assert!((found.value - (9.0 + 27.0)).abs() < 1e-12, "{found:?}");
        assert!((found.mean_term - 9.0).abs() < 1e-14);
        // Commuting: Σ (√λ₁ − √λ₂)² over shared eigenvectors.
        let rotate = |l: [f64; 2]| {
            let (c, s) = (0.6, 0.8);
            let off = c * s * (l[0] - l[1]);
            [c * c * l[0] + s * s * l[1], off, off, s * s * l[0] + c * c * l[1]]
        };
        let (a, b) = (gaussian(&[0.0; 2], &rotate([4.0, 9.0])), gaussian(&[0.0; 2], &rotate([1.0, 49.0])));
        assert!((frechet_of_moments(&a, &b, "raw").unwrap().value - (1.0 + 16.0)).abs() < 1e-12);
    }

    #[test]
    fn two_by_two_in_closed_form() {
        // tr √A = √(tr A + 2 √det A) for 2x2, with A = Σ₁Σ₂, which has the eigenvalues of Σ₁^½ Σ₂ Σ₁^½.
        let (s1, s2): ([f64; 4], [f64; 4]) = ([2.0, 1.0, 1.0, 3.0], [5.0, -2.0, -2.0, 1.0]);
        let trace = s1[0] * s2[0] + 2.0 * s1[1] * s2[1] + s1[3] * s2[3];
        let det = (s1[0] * s1[3] - s1[1] * s1[1]) * (s2[0] * s2[3] - s2[1] * s2[1]);
        let expected = s1[0] + s1[3] + s2[0] + s2[3] - 2.0 * (trace + 2.0 * det.sqrt()).sqrt();
        let found = frechet_of_moments(&gaussian(&[0.0; 2], &s1), &gaussian(&[0.0; 2], &s2), "raw").unwrap();
        assert!((found.value - expected).abs() < 1e-12 * expected);
    }

    #[test]
    fn laws() {
        let (x, y) = (sample(1, 200, 6), sample(2, 300, 6));
        let (x, y) = (Points::new(&x, 200, 6).unwrap(), Points::new(&y, 300, 6).unwrap());
        let distance = |a: &Points<'_>, b: &Points<'_>| frechet(a, b, "raw").unwrap();
        let xy = distance(&x, &y).value;
        assert!(xy > 0.0);
        assert!((xy - distance(&y, &x).value).abs() < 1e-13);
        assert!(distance(&x, &x).value < 1e-13);
        // Invariant under a shift and an orthogonal map (a reversal of columns) of both sides, linear in scale².
        let moved = |p: &Points<'_>| -> Vec<f64> {
            p.rows(0..p.n()).chunks_exact(6).flat_map(|row| row.iter().rev().map(|v| 3.0 * v + 7.0)).collect()
        };
        let (a, b) = (moved(&x), moved(&y));
        let other = distance(&Points::new(&a, 200, 6).unwrap(), &Points::new(&b, 300, 6).unwrap()).value;
        assert!((other - 9.0 * xy).abs() < 1e-12);
        assert_eq!(distance(&x, &y).notice(), None);
    }

    #[test]
    fn singular_covariances_and_tiny_samples() {
        // Two lines at an angle θ in the plane: rank one each, tr(Σ₁Σ₂)^½ = |cos θ| √(λ₁ λ₂).
        let line = |c: f64, s: f64, l: f64| gaussian(&[0.0; 2], &[c * c * l, c * s * l, c * s * l, s * s * l]);
        let found = frechet_of_moments(&line(1.0, 0.0, 4.0), &line(0.6, 0.8, 9.0), "raw").unwrap();
        assert!((found.value - (4.0 + 9.0 - 2.0 * 0.6 * 6.0)).abs() < 1e-12);
        assert_eq!(found.rank, [1, 1]);
        // A point mass against anything is the mean term plus the trace.
        let point = gaussian(&[3.0, 0.0], &[0.0; 4]);
        assert!((frechet_of_moments(&point, &line(0.6, 0.8, 9.0), "raw").unwrap().value - 18.0).abs() < 1e-12);
        assert_eq!(frechet_of_moments(&point, &point, "raw").unwrap().value, 0.0);
        // Fewer rows than columns: the rows say the same as their moments.
        let (x, y) = (sample(3, 5, 40), sample(4, 12, 40));
        let (x, y) = (Points::new(&x, 5, 40).unwrap(), Points::new(&y, 12, 40).unwrap());
        let found = frechet(&x, &y, "raw").unwrap();
        assert_eq!((found.rank, found.n), ([4, 11], [5, 12]));
        assert!(found.notice().unwrap().contains("rank 4 (n = 5) and 11 (n = 12) for 40 features"));
        assert!(found.value.is_finite() && found.value > 0.0);
        assert!(frechet(&x, &x, "raw").unwrap().value < 1e-12);
        let by_moments = frechet_of_moments(&Moments::of(&x), &Moments::of(&y), "raw").unwrap();
        assert_eq!((by_moments.rank, by_moments.n), (found.rank, found.n));
        assert!((by_moments.value - found.value).abs() < 1e-12 * found.value);
    }

    #[test]
    fn hard_spectra_keep_their_digits() {
        // Σ₂ = R Σ₁ Rᵀ of eigenvalues over 24 powers of ten: the quick sum would be wrong, and is not taken.
        let d = 60;
        let basis = |seed| {
            let x = sample(seed, d, d);
            Mat::<f64>::from_fn(d, d, |i, j| f64::from(x[i * d + j])).qr().compute_Q()
        };
        let spectrum = |i: usize| 10_f64.powf(-24.0 * i as f64 / d as f64);
        let factor = |q: &Mat<f64>| Mat::from_fn(d, d, |i, j| q[(i, j)] * spectrum(j).sqrt());
        let (a, b) = (factor(&basis(1)), factor(&basis(2)));
        let exact: f64 = (b.transpose() * &a).singular_values().unwrap().iter().sum();
        let found = sum_of_singular_values(&product(b.transpose(), &a), 2.0 * spectrum(0)).unwrap();
        assert!((found - exact).abs() < 1e-12, "{found} {exact}");
        // Commuting, by Cholesky: diagonal covariances, (√λ₁ − √λ₂)² summed.
        let diagonal = |f: fn(usize) -> f64| -> Vec<f64> {
            (0..d * d).map(|at| if at / d == at % d { f(at / d) } else { 0.0 }).collect()
        };
        let (x, y) = (diagonal(|i| 1.0 + i as f64), diagonal(|i| 3.0 + 0.5 * i as f64));
        let expected: f64 = (0..d).map(|i| (x[i * d + i].sqrt() - y[i * d + i].sqrt()).powi(2)).sum();
        let found = frechet_of_moments(&gaussian(&vec![0.0; d], &x), &gaussian(&vec![0.0; d], &y), "raw").unwrap();
        assert!((found.value - expected).abs() < 1e-11, "{} {expected}", found.value);
    }

    #[test]
    fn the_bits_do_not_depend_on_threads() {
        let (x, y) = (sample(1, 700, 300), sample(2, 250, 300));
        let (x, y) = (Points::new(&x, 700, 300).unwrap(), Points::new(&y, 250, 300).unwrap());
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| frechet(&x, &y, "raw").unwrap().value)
        };
        assert_eq!(on(1).to_bits(), on(3).to_bits());
    }

    #[test]
    fn refusals() {
        let x = Points::new(&[1.0, 2.0], 1, 2).unwrap();
        let y = Points::new(&[1.0, 2.0], 2, 1).unwrap();
        assert!(matches!(frechet(&x, &x, "raw"), Err(MetricError::TooFew { got: 1, .. })));
        assert!(matches!(frechet(&x, &y, "raw"), Err(MetricError::Dimensions { left: 2, right: 1 })));
        let indefinite = gaussian(&[0.0; 2], &[1.0, 2.0, 2.0, 1.0]);
        assert!(matches!(frechet_of_moments(&indefinite, &indefinite, "raw"), Err(MetricError::Covariance { .. })));
    }
}
