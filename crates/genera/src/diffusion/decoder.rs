//! The last step of the bound: how likely the data is, given what the network makes of the least noisy level.
//!
//! ```text
//! log p(x | x₁) = Σ_f log (Φ((x + h − μ) / σ) − Φ((x − h − μ) / σ)),   h = 1 / (K − 1)
//! ```
//!
//! for data on `K` levels scaled to `[−1, 1]`, the outermost bins reaching to infinity (section 3.3 of Ho et al.,
//! 2006.11239); a plain Gaussian density for continuous data. σ² is the small variance of the step above, as in the
//! code of improved DDPM, because that of the step into clean data is zero.

use burn::tensor::Tensor;

use super::{Level, Transition};
use crate::traits::Rows;

/// A value on the outermost level, up to the rounding of single precision.
const EDGE: f64 = 0.999;

/// The decoder's variance, from the two least noisy levels.
pub(super) fn variance(first: Level, second: Level) -> f64 {
    let small = Transition::between(second, first).small;
    // A chain of one step has no second level: the spread of x₀ given x₁ under a flat prior.
    if small > 0.0 { small } else { first.snr().recip() }
}

/// `log p(x)` in nats of one value under `N(mean, deviation²)`: its density, or, of data on `data_levels` levels in
/// `[−1, 1]`, the probability of its bin.
pub fn log_probability(x: f64, mean: f64, deviation: f64, data_levels: Option<usize>) -> f64 {
    let z = |edge: f64| (edge - mean) / deviation;
    match data_levels {
        None => -0.5 * z(x).powi(2) - deviation.ln() - 0.5 * std::f64::consts::TAU.ln(),
        Some(levels) => {
            let half = 1.0 / (levels as f64 - 1.0);
            let low = if x < -EDGE { f64::NEG_INFINITY } else { z(x - half) };
            let high = if x > EDGE { f64::INFINITY } else { z(x + half) };
            log_interval(low, high)
        }
    }
}

/// `log (Φ(high) − Φ(low))`, exact far into the tails.
fn log_interval(low: f64, high: f64) -> f64 {
    if low + high < 0.0 {
        return log_interval(-high, -low);
    }
    if low <= 0.0 {
        return (-(log_tail(high).exp() + log_tail(-low).exp())).ln_1p();
    }
    let nearer = log_tail(low);
    nearer + (-(log_tail(high) - nearer).exp_m1()).ln()
}

/// `log (1 − Φ(z))` for `z ≥ 0`.
fn log_tail(z: f64) -> f64 {
    if z < 25.0 {
        (0.5 * libm::erfc(z * std::f64::consts::FRAC_1_SQRT_2)).ln()
    } else if z.is_finite() {
        let r = 1.0 / (z * z);
        -0.5 * z * z - (z * std::f64::consts::TAU.sqrt()).ln() + (-r * (1.0 - 3.0 * r * (1.0 - 5.0 * r))).ln_1p()
    } else {
        f64::NEG_INFINITY
    }
}

/// The same, differentiable, with the logarithm held above `ln 10⁻¹²`: `[B, F] -> [B, F]`.
pub(super) fn log_probability_of(x: Rows, mean: Rows, deviation: Rows, data_levels: Option<usize>) -> Rows {
    let centred = x.clone() - mean;
    let Some(levels) = data_levels else {
        let z = centred / deviation.clone();
        return z.square() * -0.5 - deviation.log() - 0.5 * std::f64::consts::TAU.ln();
    };
    let half = 1.0 / (levels as f64 - 1.0);
    let below = |edge: Rows| ((edge / deviation.clone()) * std::f64::consts::FRAC_1_SQRT_2).erf() * 0.5 + 0.5;
    let (high, low) = (below(centred.clone() + half), below(centred - half));
    let one: Rows = Tensor::ones_like(&low);
    let inside = high.clone() - low.clone();
    let probability = inside.mask_where(x.clone().lower_elem(-EDGE), high).mask_where(x.greater_elem(EDGE), one - low);
    probability.clamp_min(1e-12).log()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_sum_to_one_and_tails_are_finite() {
        for (mean, deviation) in [(0.1, 0.3), (-2.0, 0.05), (0.99, 0.01), (0.0, 40.0)] {
            let total: f64 =
                (0..17).map(|k| log_probability(f64::from(k) / 8.0 - 1.0, mean, deviation, Some(17)).exp()).sum();
            assert!((total - 1.0).abs() < 1e-12, "{mean} {deviation}: {total}");
        }
        let far = log_probability(0.5, -1.0, 0.001, Some(256));
        let edge: f64 = (0.5 - 1.0 / 255.0 + 1.0) / 0.001;
        assert!((far - (-0.5 * edge * edge - (edge * std::f64::consts::TAU.sqrt()).ln())).abs() < 1e-3, "{far}");
        // The two forms of the tail meet.
        assert!((log_tail(24.999_999) - log_tail(25.0)).abs() < 1e-4);
    }

    #[test]
    fn the_differentiable_form_is_the_same() {
        let values = [-1.0, -0.5, 0.0, 0.25, 1.0];
        let device = Default::default();
        let rows = |v: [f32; 5]| Rows::from_floats([v], &device);
        let (mean, deviation) = ([-0.8, -0.6, 0.2, 0.1, 0.7], [0.3, 0.2, 0.5, 0.1, 0.4]);
        for data_levels in [None, Some(17)] {
            let found = super::super::host(&log_probability_of(rows(values), rows(mean), rows(deviation), data_levels));
            for i in 0..5 {
                let [x, m, d] = [values[i], mean[i], deviation[i]].map(f64::from);
                let expected = log_probability(x, m, d, data_levels);
                assert!((f64::from(found[i]) - expected).abs() < 1e-4, "{} {expected}", found[i]);
            }
        }
    }
}
