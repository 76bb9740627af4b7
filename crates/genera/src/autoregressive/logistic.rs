//! Mixtures of logistic distributions, of real numbers and of levels: Salimans, Karpathy, Chen and Kingma, "PixelCNN++"
//! (arXiv:1701.05517), section 2.1.
//!
//! The outputs of an element are `M` logits, `M` means and `M` logarithms of scales. With `z = (x - μ) / s`,
//!
//! ```text
//! real numbers:  log p = log π - z - log s - 2 softplus(-z)
//! levels:        log P = log π + log (σ(b) - σ(a)),   b, a = (x ± h - μ) / s
//! ```
//!
//! where levels lie evenly on `[-1, 1]`, `h` is half their distance, and the outermost reach to infinity. The paper's
//! approximation for narrow bins is not needed: `σ(b) - σ(a) = σ(b) σ(-a) (1 - e^(a - b))` holds exactly and loses no
//! digits. The channels of a pixel do not depend on each other through these means, as they do in the paper, but
//! through the network, which sees those drawn before.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Tensor};
use genera_kernels::{Activation, activate};
use genera_rng::Stream;

use super::Draw;

/// Logarithms of scales are held between these: the lower bound is the paper's.
const LOG_SCALES: [f64; 2] = [-7.0, 7.0];

/// Log weights, means and log scales of the components: `[B, T, 3 M] -> 3 x [B, T, M]`.
fn parts(outputs: Tensor<3>) -> [Tensor<3>; 3] {
    let components = outputs.dims()[2] / 3;
    let part = |i: usize| outputs.clone().narrow(2, i * components, components);
    [log_softmax(part(0), 2), part(1), part(2).clamp(LOG_SCALES[0], LOG_SCALES[1])]
}

fn softplus(x: Tensor<3>) -> Tensor<3> {
    activate(x, Activation::Softplus)
}

/// `log Σ exp` over the last axis: `[B, T, M] -> [B, T]`.
fn log_sum_exp(x: Tensor<3>) -> Tensor<2> {
    let most = x.clone().detach().max_dim(2);
    ((x - most.clone()).exp().sum_dim(2).log() + most).squeeze_dim(2)
}

/// `log (1 - e^(-d))` for `d > 0`, exact for small `d`.
fn log_one_minus_exp(d: Tensor<3>) -> Tensor<3> {
    let small = d.clone().log() - d.clone() * 0.5 + d.clone().square() / 24.0;
    let large = (d.clone().neg().exp().neg() + 1.0).log();
    large.mask_where(d.lower_elem(0.5), small)
}

/// `log p(x)` of real numbers: `[B, T, 3 M], [B, T] -> [B, T]`.
pub(super) fn log_density(outputs: Tensor<3>, x: Tensor<2>) -> Tensor<2> {
    let [log_weights, means, log_scales] = parts(outputs);
    let x: Tensor<3> = x.unsqueeze_dim(2);
    let z = (x - means) * log_scales.clone().neg().exp();
    log_sum_exp(log_weights - z.clone() - log_scales - softplus(z.neg()) * 2.0)
}

/// `log P(x)` of whole numbers below `levels`: `[B, T, 3 M], [B, T] -> [B, T]`.
pub(super) fn log_probability(outputs: Tensor<3>, x: Tensor<2>, levels: usize) -> Tensor<2> {
    let [log_weights, means, log_scales] = parts(outputs);
    let top = levels as f64 - 1.0;
    let x: Tensor<3> = x.unsqueeze_dim(2);
    let bounded = |wrong: Tensor<2, Bool>| wrong.bool_not().float().unsqueeze_dim::<3>(2);
    let level: Tensor<2> = x.clone().squeeze_dim(2);
    let below = bounded(level.clone().lower_equal_elem(0.0)); // whether the bin ends below
    let above = bounded(level.greater_equal_elem(top));
    let centred = x * (2.0 / top) - 1.0 - means;
    let inverse = log_scales.neg().exp();
    let low = (centred.clone() - 1.0 / top) * inverse.clone();
    let high = (centred + 1.0 / top) * inverse.clone();
    let inside = log_one_minus_exp(inverse * (2.0 / top)) * below.clone() * above.clone();
    log_sum_exp(log_weights + inside - softplus(high.neg()) * above - softplus(low) * below)
}

/// A number of the mixture; NaN if its weights are no weights.
pub(super) fn draw(outputs: &[f32], draw: &Draw, stream: &mut Stream) -> f64 {
    let components = outputs.len() / 3;
    let which = draw.class(&outputs[..components], stream.uniform());
    let u = stream.uniform();
    let Some(which) = which else { return f64::NAN };
    let log_scale = f64::from(outputs[2 * components + which]).clamp(LOG_SCALES[0], LOG_SCALES[1]);
    // Half a step off zero and one, where the quantile is infinite.
    let u = u + f64::EPSILON / 4.0;
    let logit = libm::log(u) - libm::log1p(-u);
    f64::from(outputs[components + which]) + libm::exp(log_scale) * draw.temperature * logit
}

/// The level below `levels` that is nearest to a number on the scale of `[-1, 1]`.
pub(super) fn nearest_level(x: f64, levels: usize) -> f32 {
    let top = levels as f64 - 1.0;
    ((x + 1.0) * 0.5 * top).round().clamp(0.0, top) as f32
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use genera_rng::Rng;

    use super::*;

    /// Two components, in the middle and at an edge; narrow, wide and beyond the bounds of scales.
    const MIXTURES: [[f32; 6]; 4] = [
        [0.3, -0.2, 0.1, -0.9, -2.0, -1.0],
        [0.0, 1.0, 5.0, -3.0, -4.0, 0.5],
        [2.0, 0.0, 0.5, 0.0, -30.0, -7.0],
        [0.0, 0.0, 0.0, 1.0, 9.0, 3.0],
    ];

    fn outputs(mixture: [f32; 6], count: usize) -> Tensor<3> {
        Tensor::from_data(TensorData::new(mixture.repeat(count), [1, count, 6]), &Device::flex())
    }

    fn points(x: Vec<f32>) -> Tensor<2> {
        let count = x.len();
        Tensor::from_data(TensorData::new(x, [1, count]), &Device::flex())
    }

    fn total(log_probabilities: Tensor<2>) -> f64 {
        log_probabilities.into_data().iter::<f32>().map(|value| f64::from(value).exp()).sum()
    }

    #[test]
    fn levels_sum_to_one() {
        for mixture in MIXTURES {
            for levels in [2, 17, 256] {
                let x = (0..levels).map(|level| level as f32).collect();
                let sum = total(log_probability(outputs(mixture, levels), points(x), levels));
                assert!((sum - 1.0).abs() < 2e-4, "{mixture:?} on {levels} levels: {sum}");
            }
        }
    }

    #[test]
    fn levels_are_differences_of_distribution_functions() {
        let (mixture, levels) = (MIXTURES[0], 17);
        let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
        let weight = |i: usize| {
            let [a, b] = [mixture[0], mixture[1]].map(|logit| f64::from(logit).exp());
            [a, b][i] / (a + b)
        };
        let below = |edge: f64| -> f64 {
            let z = |i: usize| (edge - f64::from(mixture[2 + i])) / f64::from(mixture[4 + i]).exp();
            (0..2).map(|i| weight(i) * sigmoid(z(i))).sum()
        };
        let x = (0..levels).map(|level| level as f32).collect();
        let found = log_probability(outputs(mixture, levels), points(x), levels).into_data();
        for (level, found) in found.iter::<f32>().enumerate() {
            let edge = |side: f64| (level as f64 + side) / 8.0 - 1.0;
            let low = if level == 0 { 0.0 } else { below(edge(-0.5)) };
            let high = if level == levels - 1 { 1.0 } else { below(edge(0.5)) };
            assert!((f64::from(found) - (high - low).ln()).abs() < 1e-5, "level {level}: {found}");
        }
    }

    #[test]
    fn densities_integrate_to_one() {
        for mixture in [MIXTURES[0], MIXTURES[1]] {
            let (count, from, step) = (40_000, -20.0, 1e-3);
            let x = (0..count).map(|i| from + (i as f32 + 0.5) * step).collect();
            let sum = total(log_density(outputs(mixture, count), points(x))) * f64::from(step);
            assert!((sum - 1.0).abs() < 1e-3, "{mixture:?}: {sum}");
        }
    }

    #[test]
    fn draws_have_the_probabilities_of_levels() {
        let (mixture, levels, n) = (MIXTURES[0], 17, 40_000);
        let mut counts = vec![0.0; levels];
        for mut stream in Rng::new(1).streams(n) {
            counts[nearest_level(draw(&mixture, &Draw::default(), &mut stream), levels) as usize] += 1.0;
        }
        let x = (0..levels).map(|level| level as f32).collect();
        let expected = log_probability(outputs(mixture, levels), points(x), levels).into_data();
        for (count, log_p) in counts.into_iter().zip(expected.iter::<f32>()) {
            let p = f64::from(log_p).exp();
            let deviation = (p * (1.0 - p) * n as f64).sqrt();
            assert!((count - p * n as f64).abs() < 4.5 * deviation, "{count} {}", p * n as f64);
        }
    }

    #[test]
    fn gradients_are_finite_everywhere() {
        let device = Device::flex().autodiff();
        for mixture in MIXTURES {
            for x in [0.0, 1.0, 128.0, 255.0] {
                let outputs = Tensor::<3>::from_data(TensorData::new(mixture.to_vec(), [1, 1, 6]), &device);
                let outputs = outputs.require_grad();
                let x = || Tensor::<2>::from_floats([[x]], &device);
                let sum = log_probability(outputs.clone(), x(), 256) + log_density(outputs.clone(), x());
                let gradient = outputs.grad(&sum.sum().backward()).unwrap();
                assert!(gradient.into_data().iter::<f32>().all(f32::is_finite), "{mixture:?}");
            }
        }
    }
}
