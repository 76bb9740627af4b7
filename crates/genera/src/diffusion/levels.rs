//! The noise of a schedule as a function of time, and the differential equation that it solves.
//!
//! ```text
//! x_t = α x₀ + σ ε  are the marginals of  dx = f x dt + g dw,   f = α'/α,   g² = 2σσ' − 2fσ²
//! backwards         dx = (f x − g² ∇log p_t(x)) dt + g dw        Anderson (1982)
//! without noise     dx = (f x − ½ g² ∇log p_t(x)) dt             Song et al., 2011.13456
//!                      = ((σ'/σ) x + (α' − α σ'/σ) E[x₀ | x]) dt
//! ```

use super::{Level, Schedule};
use crate::sde::Sde;
use crate::traits::Rows;

/// The noise levels of a [`Schedule`] that was found sound: a function of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels {
    schedule: Schedule,
    /// For schedules of betas, the level `k` steps from clean data; otherwise empty.
    table: Vec<Level>,
}

/// How fast a level moves with time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// `α'`.
    pub alpha: f64,
    /// `σ'`.
    pub sigma: f64,
}

/// The coefficients of `dx = drift x dt + diffusion dw`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// `f`.
    pub drift: f64,
    /// `g`.
    pub diffusion: f64,
}

impl Levels {
    pub(super) fn new(schedule: Schedule, table: Vec<Level>) -> Self {
        Self { schedule, table }
    }

    /// Where they come from.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The length `T` of the chain.
    pub fn steps(&self) -> usize {
        self.schedule.steps()
    }

    /// The time of clean data: one before the first training time.
    pub fn clean_time(&self) -> f64 {
        if matches!(self.schedule, Schedule::LinearFlow { .. }) { 0.0 } else { -1.0 }
    }

    /// The level of clean data.
    pub fn clean(&self) -> Level {
        self.level(self.clean_time())
    }

    /// The training level number `index`, from 0 (least noise) to `T − 1`; a larger index is read as the last.
    pub fn training(&self, index: usize) -> Level {
        self.level(self.clean_time() + 1.0 + index as f64)
    }

    /// The noisiest level.
    pub fn top(&self) -> Level {
        self.training(self.steps())
    }

    /// The least noisy level at which a network has learnt its scores: the first of training; of a flow, which is trained
    /// down to clean data, a thousandth of its time.
    pub fn lowest(&self) -> Level {
        match self.schedule {
            Schedule::LinearFlow { steps } => self.level(1e-3 * steps as f64),
            _ => self.training(0),
        }
    }

    /// How far from clean data, in steps, the trained range of times begins: at the first training time, or, of a flow, at
    /// once.
    pub(super) fn trained_from(&self) -> f64 {
        if matches!(self.schedule, Schedule::LinearFlow { .. }) { 0.0 } else { 1.0 }
    }

    /// The level of any time, between training times too; beyond the chain's ends, that of the end.
    pub fn level(&self, time: f64) -> Level {
        let (time, from_clean) = self.place(time);
        match self.schedule {
            Schedule::LinearFlow { steps } => {
                let t = from_clean / steps as f64;
                Level { time, alpha: 1.0 - t, sigma: t }
            }
            Schedule::Karras { sigma_min, .. } | Schedule::VarianceExploding { sigma_min, .. } => {
                // Below the first training time the noise falls linearly to none.
                let sigma = if from_clean < 1.0 { sigma_min * from_clean } else { self.exploded(from_clean) };
                Level { time, alpha: 1.0, sigma }
            }
            Schedule::VariancePreserving { steps, beta_min, beta_max } => {
                let b = integral(beta_min, beta_max, from_clean / steps as f64);
                Level { time, alpha: (-0.5 * b).exp(), sigma: (-(-b).exp_m1()).sqrt() }
            }
            Schedule::SubVariancePreserving { steps, beta_min, beta_max } => {
                let b = integral(beta_min, beta_max, from_clean / steps as f64);
                Level { time, alpha: (-0.5 * b).exp(), sigma: -(-b).exp_m1() }
            }
            _ => {
                let below = self.table[from_clean.floor() as usize];
                let fraction = from_clean.fract();
                if fraction == 0.0 {
                    return below;
                }
                let above = self.table[from_clean.ceil() as usize];
                let noise = ratio(below) + fraction * (ratio(above) - ratio(below));
                let alpha = 1.0 / noise.hypot(1.0);
                Level { time, alpha, sigma: noise * alpha }
            }
        }
    }

    /// The derivatives of [`Levels::level`] with respect to time. Where a schedule of betas bends, that of the stretch
    /// below. Of the variance-preserving schedule `σ'` is infinite at clean data.
    pub fn slope(&self, time: f64) -> Slope {
        let (time, from_clean) = self.place(time);
        let Level { alpha, sigma, .. } = self.level(time);
        let beta = |low: f64, high: f64, steps: usize| (low + (high - low) * from_clean / steps as f64) / steps as f64;
        match self.schedule {
            Schedule::LinearFlow { steps } => {
                let rate = 1.0 / steps as f64;
                Slope { alpha: -rate, sigma: rate }
            }
            Schedule::Karras { sigma_min, .. } | Schedule::VarianceExploding { sigma_min, .. } if from_clean < 1.0 => {
                Slope { alpha: 0.0, sigma: sigma_min }
            }
            Schedule::Karras { steps, sigma_min, sigma_max, rho } => {
                let root = |sigma: f64| sigma.powf(1.0 / rho);
                let climb = (root(sigma_max) - root(sigma_min)) / (steps as f64 - 1.0);
                Slope { alpha: 0.0, sigma: rho * root(sigma).powf(rho - 1.0) * climb }
            }
            Schedule::VarianceExploding { steps, sigma_min, sigma_max } => {
                Slope { alpha: 0.0, sigma: sigma * (sigma_max / sigma_min).ln() / (steps as f64 - 1.0) }
            }
            Schedule::VariancePreserving { steps, beta_min, beta_max } => {
                let beta = beta(beta_min, beta_max, steps);
                Slope { alpha: -0.5 * beta * alpha, sigma: 0.5 * beta * alpha * alpha / sigma }
            }
            Schedule::SubVariancePreserving { steps, beta_min, beta_max } => {
                let beta = beta(beta_min, beta_max, steps);
                Slope { alpha: -0.5 * beta * alpha, sigma: beta * alpha * alpha }
            }
            _ => {
                let above = (from_clean.ceil() as usize).max(1);
                let climb = ratio(self.table[above]) - ratio(self.table[above - 1]);
                let noise = sigma / alpha;
                let of_alpha = -alpha.powi(3) * noise * climb;
                Slope { alpha: of_alpha, sigma: climb * alpha + noise * of_alpha }
            }
        }
    }

    /// The forward equation at a time. Pure noise (`α = 0`) has none.
    pub fn rates(&self, time: f64) -> Rates {
        let (level, slope) = (self.level(time), self.slope(time));
        let drift = slope.alpha / level.alpha;
        // σσ' stays finite where σ' does not.
        let growth = if level.sigma == 0.0 && slope.sigma.is_infinite() {
            -drift
        } else {
            level.sigma * (slope.sigma - drift * level.sigma)
        };
        Rates { drift, diffusion: (2.0 * growth).max(0.0).sqrt() }
    }

    /// The time at which `σ / α` is `noise`; beyond the chain's ends, that of the end. By bisection where there is no closed
    /// form.
    pub fn time_of(&self, noise: f64) -> f64 {
        let climb = match self.schedule {
            Schedule::Karras { sigma_min, sigma_max, rho, .. } => {
                let root = |sigma: f64| sigma.powf(1.0 / rho);
                Some((sigma_min, (root(noise) - root(sigma_min)) / (root(sigma_max) - root(sigma_min))))
            }
            Schedule::VarianceExploding { sigma_min, sigma_max, .. } => {
                Some((sigma_min, (noise / sigma_min).ln() / (sigma_max / sigma_min).ln()))
            }
            _ => None,
        };
        if let Some((sigma_min, fraction)) = climb {
            let above = 1.0 + fraction * (self.steps() as f64 - 1.0);
            let from_clean = if noise < sigma_min { noise / sigma_min } else { above };
            return self.clean_time() + from_clean.clamp(0.0, self.steps() as f64);
        }
        let (mut low, mut high) = (self.clean_time(), self.clean_time() + self.steps() as f64);
        for _ in 0..80 {
            let middle = 0.5 * (low + high);
            let level = self.level(middle);
            if level.sigma < noise * level.alpha { low = middle } else { high = middle }
        }
        0.5 * (low + high)
    }

    /// The level that leaves the fraction `u` of the trained range of times above it: the noisiest for 0. A flow's range
    /// reaches down to clean data, which `u = 1` would give.
    pub fn at_fraction(&self, u: f64) -> Level {
        let top = self.clean_time() + self.steps() as f64;
        let bottom = self.clean_time() + self.trained_from();
        self.level(top + u * (bottom - top))
    }

    /// The level at which `σ/α` is `noise`; beyond the trained range of times, that of its end.
    pub fn at_noise(&self, noise: f64) -> Level {
        self.level(self.time_of(noise).max(self.clean_time() + self.trained_from()))
    }

    /// The whole chain, noisiest first and clean data last: `T + 1` levels.
    pub fn chain(&self) -> Vec<Level> {
        (0..=self.steps()).rev().map(|k| self.level(self.clean_time() + k as f64)).collect()
    }

    /// A time within the chain, and its distance from clean data.
    fn place(&self, time: f64) -> (f64, f64) {
        let clean = self.clean_time();
        let time = time.clamp(clean, clean + self.steps() as f64);
        (time, time - clean)
    }

    /// `σ` of the schedules that keep the data's scale, from the first training time up.
    fn exploded(&self, from_clean: f64) -> f64 {
        let fraction = (from_clean - 1.0) / (self.steps() as f64 - 1.0);
        match self.schedule {
            Schedule::Karras { sigma_min, sigma_max, rho, .. } => {
                let root = |sigma: f64| sigma.powf(1.0 / rho);
                (root(sigma_min) + fraction * (root(sigma_max) - root(sigma_min))).powf(rho)
            }
            Schedule::VarianceExploding { sigma_min, sigma_max, .. } => {
                sigma_min * (sigma_max / sigma_min).powf(fraction)
            }
            _ => f64::NAN,
        }
    }
}

impl Sde for Levels {
    /// The forward equation.
    fn drift(&self, x: Rows, t: f64) -> Rows {
        x * self.rates(t).drift
    }

    fn diffusion(&self, t: f64) -> f64 {
        self.rates(t).diffusion
    }
}

fn ratio(level: Level) -> f64 {
    level.sigma / level.alpha
}

/// `∫₀ᵘ β`, `β` linear from `low` to `high`.
fn integral(low: f64, high: f64, u: f64) -> f64 {
    low * u + 0.5 * (high - low) * u * u
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Levels> {
        [
            Schedule::linear(50),
            Schedule::cosine(50),
            Schedule::karras(50),
            Schedule::linear_flow(50),
            Schedule::variance_exploding(50),
            Schedule::variance_preserving(50),
            Schedule::sub_variance_preserving(50),
        ]
        .map(|schedule| schedule.levels().unwrap())
        .to_vec()
    }

    #[test]
    fn slopes_are_derivatives() {
        for levels in all() {
            for time in [0.3, 1.5, 7.25, 30.6, 48.4] {
                let (found, h) = (levels.slope(time), 1e-5);
                let (above, below) = (levels.level(time + h), levels.level(time - h));
                for (found, expected) in [
                    (found.alpha, (above.alpha - below.alpha) / (2.0 * h)),
                    (found.sigma, (above.sigma - below.sigma) / (2.0 * h)),
                ] {
                    let bound = 1e-6 * expected.abs().max(1e-2);
                    assert!((found - expected).abs() < bound, "{:?} at {time}: {found} {expected}", levels.schedule());
                }
            }
        }
    }

    /// Solving `m' = f m`, `v' = 2 f v + g²` from one level arrives at the moments of another.
    #[test]
    fn the_kernels_solve_the_equations() {
        for levels in all() {
            let (from, to, n) = (3.0, 45.0, 40_000);
            let start = levels.level(from);
            let (mut m, mut v) = (start.alpha, start.sigma.powi(2));
            let h = (to - from) / f64::from(n);
            for i in 0..n {
                // The midpoint rule.
                let Rates { drift, diffusion } = levels.rates(from + (f64::from(i) + 0.5) * h);
                let growth = (drift * h).exp();
                m *= growth;
                v = growth * growth * v + diffusion * diffusion * h * growth;
            }
            let end = levels.level(to);
            assert!((m - end.alpha).abs() < 1e-4, "{:?}: {m} {}", levels.schedule(), end.alpha);
            assert!((v / end.sigma.powi(2) - 1.0).abs() < 1e-4, "{:?}: {v} {}", levels.schedule(), end.sigma.powi(2));
        }
    }

    /// Song et al., 2011.13456, equations 30 to 34, with time 0 to 1.
    #[test]
    fn rates_are_those_of_the_paper() {
        let levels = Schedule::variance_preserving(1000).levels().unwrap();
        let below = Schedule::sub_variance_preserving(1000).levels().unwrap();
        let exploding = Schedule::variance_exploding(1000).levels().unwrap();
        for k in [1.0, 100.0, 500.0, 1000.0] {
            let u = k / 1000.0;
            let (beta, b) = (0.1 + 19.9 * u, 0.1 * u + 9.95 * u * u);
            let (time, unit) = (k - 1.0, 1000.0);
            let near = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
            near(levels.rates(time).drift * unit, -0.5 * beta);
            near(levels.rates(time).diffusion.powi(2) * unit, beta);
            near(below.rates(time).drift * unit, -0.5 * beta);
            near(below.rates(time).diffusion.powi(2) * unit, beta * (1.0 - (-2.0 * b).exp()));
            let sigma = exploding.level(time).sigma;
            near(exploding.rates(time).diffusion.powi(2) * 999.0, 2.0 * sigma * sigma * 5000.0_f64.ln());
        }
        assert!((levels.rates(-1.0).diffusion.powi(2) * 1000.0 - 0.1).abs() < 1e-12);
    }

    #[test]
    fn times_are_found_again() {
        for levels in all() {
            for time in [-0.5, 0.2, 3.0, 20.25, 44.0] {
                let level = levels.level(time);
                let found = levels.time_of(level.sigma / level.alpha);
                assert!((found - level.time).abs() < 1e-6, "{:?}: {found} {}", levels.schedule(), level.time);
            }
        }
    }
}
