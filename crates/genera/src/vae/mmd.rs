//! The distance between two clouds of latents that a Wasserstein autoencoder is trained on.
//!
//! ```text
//! MMD² = mean_{i≠j} k(a_i, a_j) + mean_{i≠j} k(b_i, b_j) − 2 mean_{ij} k(a_i, b_j)
//! k(a, b) = Σ_s C_s / (C_s + |a − b|²),   C_s = 2 L s,   s = 0.1, 0.2, 0.5, 1, 2, 5, 10
//! ```
//!
//! Tolstikhin et al., "Wasserstein Auto-Encoders" (arXiv:1711.01558): the inverse multiquadratic kernel, whose scales
//! suit a standard normal prior. The estimate is unbiased and may be negative.

use burn::tensor::Tensor;

use crate::traits::Rows;

const SCALES: [f64; 7] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// `MMD²` between the rows of `a` and `b`, differentiable: `[N, L], [M, L] -> [1]`. Zero if either has one row alone.
pub fn mmd(a: Rows, b: Rows) -> Tensor<1> {
    let ([n, latents], [m, _]) = (a.dims(), b.dims());
    if n < 2 || m < 2 {
        return (a * 0.0).sum();
    }
    let kernel = |x: &Rows, y: &Rows| {
        let difference = x.clone().unsqueeze_dim::<3>(1) - y.clone().unsqueeze_dim::<3>(0);
        let square: Rows = difference.square().sum_dim(2).squeeze_dim(2);
        let terms = SCALES.map(|scale| {
            let c = 2.0 * latents as f64 * scale;
            (square.clone() + c).recip() * c
        });
        terms.into_iter().reduce(|sum, term| sum + term).map_or_else(|| square.sum(), Tensor::sum)
    };
    // A point's kernel with itself is the number of scales, and no part of the unbiased estimate.
    let own = |x: &Rows, n: usize| (kernel(x, x) - (n * SCALES.len()) as f64) / (n * (n - 1)) as f64;
    own(&a, n) + own(&b, m) - kernel(&a, &b) * (2.0 / (n * m) as f64)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use genera_rng::Rng;

    use super::super::{noise, scalar};
    use super::*;

    #[test]
    fn equal_clouds_are_near_and_others_far() {
        let (mut rng, device) = (Rng::new(1), Device::default());
        let [a, b] = [(); 2].map(|()| noise(300, 3, &mut rng, &device));
        let same = scalar(&mmd(a.clone(), b.clone()));
        let moved = scalar(&mmd(a.clone(), b + 1.0));
        assert!(same.abs() < 0.02 && moved > 0.1, "{same} {moved}");
        assert_eq!(scalar(&mmd(a.clone().narrow(0, 0, 1), a)), 0.0);
    }

    #[test]
    fn two_points_by_hand() {
        let device = Device::default();
        let (a, b) = (Rows::from_floats([[0.0], [1.0]], &device), Rows::from_floats([[0.0], [2.0]], &device));
        let k = |d: f64| SCALES.iter().map(|s| 2.0 * s / (2.0 * s + d * d)).sum::<f64>();
        let expected = k(1.0) + k(2.0) - 0.5 * (k(0.0) + k(2.0) + k(1.0) + k(1.0));
        assert!((scalar(&mmd(a, b)) - expected).abs() < 1e-5);
    }
}
