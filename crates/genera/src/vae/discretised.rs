//! Probabilities of grey levels from continuous densities: differences of their distribution functions.
//!
//! ```text
//! P(x) = F(x + h) − F(x − h),   h = 1 / (levels − 1) on [−1, 1], the outermost bins reaching to infinity
//! logistic   F = sigmoid((x − m) / s):   log(σ(a) − σ(b)) = log σ(a) + log σ(−b) + log(1 − e^{b − a})
//! ```
//!
//! Salimans et al., PixelCNN++ (arXiv:1701.05517). The second form of the difference never cancels, so that no
//! probability has to be approximated by a density.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use genera_kernels::{Activation, activate};

use super::HALF_LOG_TAU;
use crate::traits::Rows;

/// A value on the outermost level, up to the rounding of single precision.
const EDGE: f64 = 0.999;
/// The smallest `log s`.
const SMALLEST: f64 = -7.0;

/// `log P` of each value under its mixture of logistics: `[B, F] -> [B, F]`; weights' logits, means and `log s` are
/// `[B, M, F]`.
pub(super) fn logistic_mixture(
    x: Rows,
    logits: Tensor<3>,
    means: Tensor<3>,
    log_scales: Tensor<3>,
    levels: usize,
) -> Rows {
    let half = 1.0 / (levels as f64 - 1.0);
    let log_scales = log_scales.clamp_min(SMALLEST);
    let inverse = log_scales.clone().neg().exp();
    let x = x.unsqueeze_dim::<3>(1); // [B, 1, F]
    let (lowest, highest) = (x.clone().lower_elem(-EDGE).float(), x.clone().greater_elem(EDGE).float());
    let centred = x - means;
    let above = (centred.clone() + half) * inverse.clone();
    let below = (centred - half) * inverse;
    // log σ(a) but at the top, log σ(−b) but at the bottom, log(1 − e^{b−a}) but at both.
    let left = activate(above.neg(), Activation::Softplus).neg() * (highest.clone().neg() + 1.0);
    let right = activate(below, Activation::Softplus).neg() * (lowest.clone().neg() + 1.0);
    let inside = (highest + lowest).neg() + 1.0;
    let log_p = left + right + log_one_minus_exp(log_scales.neg().exp() * (2.0 * half)) * inside;
    let joint = log_softmax(logits, 1) + log_p;
    let most = joint.clone().detach().max_dim(1);
    ((joint - most.clone()).exp().sum_dim(1).log() + most).squeeze_dim(1)
}

/// `log(1 − e^{−d})` for positive `d`.
fn log_one_minus_exp(d: Tensor<3>) -> Tensor<3> {
    // Near zero the difference cancels: there log d − d/2 + d²/24, whose error is d⁴/2880.
    let series = d.clone().log() - d.clone() * 0.5 + d.clone().square() * (1.0 / 24.0);
    let small = d.clone().lower_elem(0.05);
    let direct = (d.clamp_min(0.05).neg().exp().neg() + 1.0).log();
    direct.mask_where(small, series)
}

/// `log P` of each value under `N(mean, e^{2 log_std})` on `levels` levels: `[B, F] -> [B, F]`.
///
/// Where single precision loses the difference, below a probability of 10⁻⁵, it is the density at the centre times the
/// width of the bin.
pub(super) fn gaussian(x: Rows, mean: Rows, log_std: Rows, levels: usize) -> Rows {
    let half = 1.0 / (levels as f64 - 1.0);
    let log_std = log_std.clamp_min(SMALLEST);
    let inverse = log_std.clone().neg().exp();
    let centred = x.clone() - mean;
    let cdf = |edge: Rows| ((edge * inverse.clone()) * std::f64::consts::FRAC_1_SQRT_2).erf() * 0.5 + 0.5;
    let (high, low) = (cdf(centred.clone() + half), cdf(centred.clone() - half));
    let bottom = x.clone().lower_elem(-EDGE);
    let top = x.greater_elem(EDGE);
    let probability = (high.clone() - low.clone()).mask_where(bottom, high).mask_where(top, low.neg() + 1.0);
    let density = (centred * inverse).square() * -0.5 - log_std - HALF_LOG_TAU + (2.0 * half).ln();
    let lost = probability.clone().lower_elem(1e-5);
    probability.clamp_min(1e-5).log().mask_where(lost, density)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::super::host;
    use super::*;

    /// The levels, one a row.
    fn levels(count: usize) -> Rows {
        let x: Vec<f32> = (0..count).map(|k| 2.0 * k as f32 / (count as f32 - 1.0) - 1.0).collect();
        Tensor::from_data(TensorData::new(x, [count, 1]), &Device::default())
    }

    #[test]
    fn probabilities_of_all_levels_sum_to_one() {
        let device = Device::default();
        for (count, scale) in [(17, -1.0), (17, -5.0), (256, 0.5), (256, -6.5), (2, 3.0)] {
            let three = |values: [f32; 2]| Tensor::<1>::from_floats(values, &device).reshape([1, 2, 1]);
            let log_p =
                logistic_mixture(levels(count), three([0.3, -0.4]), three([-0.9, 0.35]), three([scale, -0.5]), count);
            let total: f64 = host(&log_p).into_iter().map(f64::exp).sum();
            assert!((total - 1.0).abs() < 2e-5, "{count} {scale}: {total}");
        }
        for (count, mean, log_std) in [(17, 0.2, -1.0), (256, -0.95, -2.0), (256, 0.0, 0.5)] {
            let one = |v: f32| Rows::from_floats([[v]], &device);
            let total: f64 =
                host(&gaussian(levels(count), one(mean), one(log_std), count)).into_iter().map(f64::exp).sum();
            assert!((total - 1.0).abs() < 1e-3, "{count} {mean}: {total}");
        }
    }

    #[test]
    fn logistic_probabilities_are_exact_far_in_the_tail() {
        let device = Device::default();
        let three = |value: f32| Tensor::<1>::from_floats([value], &device).reshape([1, 1, 1]);
        let found = host(&logistic_mixture(levels(256), three(0.0), three(-0.5), three(-4.0), 256));
        for k in [0, 1, 60, 64, 200, 255] {
            let (x, s, h) = (f64::from(k) * 2.0 / 255.0 - 1.0, (-4.0_f64).exp(), 1.0 / 255.0);
            let (a, b) = ((x + h + 0.5) / s, (x - h + 0.5) / s);
            let log_sigmoid = |v: f64| -(-v).exp().ln_1p();
            let expected = match k {
                0 => log_sigmoid(a),
                255 => log_sigmoid(-b),
                _ => log_sigmoid(a) + log_sigmoid(-b) + (-(b - a).exp()).ln_1p(),
            };
            let found = found[k as usize];
            assert!((found - expected).abs() < 1e-4 * expected.abs().max(1.0), "{k}: {found} {expected}");
        }
    }
}
