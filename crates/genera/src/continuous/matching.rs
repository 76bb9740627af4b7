//! Flow matching: a field learns the mean velocity of straight lines from data to noise.
//!
//! ```text
//! z_t = (1−t) x + t ε,   t ~ U[0, 1],   ε ~ N(0, I):   E |f(z_t, t) − (ε − x)|²
//! ```
//!
//! Lipman et al. (arXiv:2210.02747), Liu et al. (arXiv:2209.03003). The field of least loss carries the data to normal
//! noise exactly, as that of greatest likelihood does: added to the likelihood it moves no optimum, and a step of it costs
//! one evaluation instead of a trajectory.
//!
//! Each time is a regression of its own, so neither does another law of `t` move it. An error of the velocity is
//! `(1−t)/t` times one of the score, and costs the more likelihood the nearer it is to the data (Song et al., "Maximum
//! likelihood training of score-based diffusion models", arXiv:2101.09258): `t = u^(1 + emphasis)` spends more rows there.

use burn::tensor::Device;
use genera_rng::Rng;

use super::augmented::ParameterGradient;
use super::field::{Linearisation, VectorField, Wanted};
use super::{device_rows, host};

/// The loss of rows `x`, `[n, F]`, times `weight`, its times gathered by `emphasis`; adds its gradient.
pub(super) fn flow_matching(
    net: &impl VectorField,
    x: &[f64],
    weight: f64,
    emphasis: f64,
    rng: &mut Rng,
    device: &Device,
    gradient: &mut ParameterGradient,
) -> f64 {
    let features = net.features();
    let n = x.len() / features;
    let eps = rng.normal(n, features);
    let times: Vec<f64> = rng.streams(n).map(|mut stream| stream.uniform().powf(1.0 + emphasis)).collect();
    let between = x.iter().zip(&eps).enumerate().map(|(at, (x, eps))| {
        let t = times[at / features];
        (1.0 - t) * x + t * f64::from(*eps)
    });
    let Linearisation { value, pull_back, .. } = net.linearise(&times, device_rows(between, features, device), None);
    let lines = x.iter().zip(&eps).map(|(x, eps)| f64::from(*eps) - x);
    let apart: Vec<f64> = host(value).into_iter().zip(lines).map(|(f, line)| f64::from(f) - line).collect();
    let share = weight / n as f64;
    let cotangent = device_rows(apart.iter().map(|apart| 2.0 * share * apart), features, device);
    let own = pull_back(cotangent, None, Wanted::Parameters).parameters;
    *gradient = Some(match gradient.take() {
        None => own,
        Some(sum) => sum.into_iter().zip(own).map(|(sum, own)| sum + own).collect(),
    });
    share * apart.iter().map(|apart| apart * apart).sum::<f64>()
}
