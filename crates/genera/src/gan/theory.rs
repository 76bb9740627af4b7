//! What is known of the game without playing it, in double precision.
//!
//! ```text
//! D* = π / (π + p)                       the best discriminator: Goodfellow et al., arXiv:1406.2661, proposition 1
//! V(G, D*) = 2 JSD(π‖p) − 2 ln 2         its value, at least −2 ln 2, there exactly for p = π
//! D* = (b π + a p) / (π + p)             the best of least squares: Mao et al., arXiv:1611.04076, equation 5
//! π / p = D* / (1 − D*)                  a density ratio from a classifier
//! W₁(π, p) = max { E_π f − E_p f : |f(x) − f(y)| ≤ |x − y| }      Kantorovich and Rubinstein
//! ```

use std::f64::consts::LN_2;

/// `D*(x)` from `ln π(x)` and `ln p(x)`.
pub fn optimal_discriminator(log_pi: f64, log_p: f64) -> f64 {
    sigmoid(log_pi - log_p)
}

/// The best discriminator of least squares with targets `b` for data and `a` for samples.
pub fn optimal_least_squares(log_pi: f64, log_p: f64, [a, b]: [f64; 2]) -> f64 {
    let share = optimal_discriminator(log_pi, log_p);
    b * share + a * (1.0 - share)
}

/// `π(x) / p(x)` from the probability `D(x)` of being data that the best classifier gives.
pub fn density_ratio(d: f64) -> f64 {
    d / (1.0 - d)
}

/// `V(G, D*) = ∫ π ln D* + p ln(1 − D*)` from logarithms of both densities on cells of one volume.
pub fn optimal_value(log_pi: &[f64], log_p: &[f64], volume: f64) -> f64 {
    let cell = |(log_pi, log_p): (&f64, &f64)| {
        let gap = log_pi - log_p;
        let term = |log: f64, log_d: f64| if log == f64::NEG_INFINITY { 0.0 } else { log.exp() * log_d };
        term(*log_pi, log_sigmoid(gap)) + term(*log_p, log_sigmoid(-gap))
    };
    volume * log_pi.iter().zip(log_p).map(cell).sum::<f64>()
}

/// Two parallel lines at a distance: distributions whose supports do not meet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParallelLines {
    /// `θ`: where the second line is.
    pub theta: f64,
}

impl ParallelLines {
    /// `KL` of either from the other, in nats.
    pub fn kl(self) -> f64 {
        if self.theta == 0.0 { 0.0 } else { f64::INFINITY }
    }

    /// The Jensen–Shannon divergence, in nats.
    pub fn jensen_shannon(self) -> f64 {
        if self.theta == 0.0 { 0.0 } else { LN_2 }
    }

    /// The Wasserstein distance: `|θ|`, the only one of the three that tells how far there is to go.
    pub fn wasserstein(self) -> f64 {
        self.theta.abs()
    }
}

/// The best critic on the line: `f` with `f' = sign(F_p − F_π)`, for the empirical distributions of `pi` and `p`, at the
/// points of `pi`, then at those of `p`; `f` is 0 at the leftmost.
///
/// Mass of `pi` to the right of `p` raises `F_p` above `F_π`: `f` rises from samples towards data.
pub fn kantorovich_potential(pi: &[f64], p: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut points: Vec<(f64, usize)> = pi.iter().chain(p).copied().zip(0..).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut f = vec![0.0; points.len()];
    // F_p − F_π in units of 1 / (|pi| |p|): whole numbers, so that equality is equality.
    let (mut lead, mut height, mut before) = (0_i64, 0.0, points.first().map_or(0.0, |first| first.0));
    for (x, at) in points {
        height += lead.signum() as f64 * (x - before);
        (f[at], before) = (height, x);
        lead += if at < pi.len() { -(p.len() as i64) } else { pi.len() as i64 };
    }
    let of_p = f.split_off(pi.len());
    (f, of_p)
}

/// `W₁` of two sets of equally many points on the line: the mean distance of points of the same rank.
///
/// # Panics
/// If one set has more points than the other.
pub fn distance_on_the_line(mut pi: Vec<f64>, mut p: Vec<f64>) -> f64 {
    assert_eq!(pi.len(), p.len(), "distance_on_the_line: as many points of one as of the other");
    pi.sort_by(f64::total_cmp);
    p.sort_by(f64::total_cmp);
    pi.iter().zip(&p).map(|(x, y)| (x - y).abs()).sum::<f64>() / pi.len() as f64
}

/// `E_π f − E_p f` from values at points of both.
pub fn dual_value(f_on_pi: &[f64], f_on_p: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    mean(f_on_pi) - mean(f_on_p)
}

fn sigmoid(x: f64) -> f64 {
    log_sigmoid(x).exp()
}

/// `−ln(1 + e⁻ˣ)`.
fn log_sigmoid(x: f64) -> f64 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}
