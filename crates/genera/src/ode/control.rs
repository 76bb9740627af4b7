//! How long a step may be: Hairer, Nørsett and Wanner, II.4, for one row at a time.

/// Tolerances.
pub(super) struct Control {
    pub relative: f64,
    pub absolute: f64,
}

/// What follows from a trial.
#[derive(Clone, Copy)]
pub(super) enum Next {
    /// The step is taken; the next is `factor` times as long.
    Accept { factor: f64 },
    /// It is tried again, `factor` times as long; `finite` tells whether it gave numbers at all.
    Reject { factor: f64, finite: bool },
}

impl Control {
    /// The root mean square of `of` in units of `absolute + relative max(|a|, |b|)`.
    fn norm(&self, of: &[f64], a: &[f64], b: &[f64]) -> f64 {
        let unit = |a: f64, b: f64| self.absolute + self.relative * a.abs().max(b.abs());
        let squares = of.iter().zip(a).zip(b).map(|((of, a), b)| (of / unit(*a, *b)).powi(2));
        (squares.sum::<f64>() / of.len() as f64).sqrt()
    }

    /// A very short step from `y` along `slope`.
    pub fn first_trial(&self, y: &[f64], slope: &[f64]) -> f64 {
        let (size, speed) = (self.norm(y, y, y), self.norm(slope, y, y));
        if size < 1e-5 || speed < 1e-5 { 1e-6 } else { 0.01 * size / speed }
    }

    /// A first step such that the error of an explicit Euler step is about a hundredth of the tolerance, given the slope
    /// at its start and after the trial step `h`.
    pub fn first_step(&self, h: f64, y: &[f64], slope: &[f64], turned: &[f64]) -> f64 {
        let bend: Vec<f64> = turned.iter().zip(slope).map(|(after, now)| (after - now) / h).collect();
        let most = self.norm(slope, y, y).max(self.norm(&bend, y, y));
        // A norm that is NaN gives the longest step: its trial will tell.
        let guess = if most <= 1e-15 { (h * 1e-3).max(1e-6) } else { (0.01 / most).powf(0.2) };
        guess.min(100.0 * h)
    }

    /// Judges a step by its estimated `error`. After a rejection a step does not grow.
    pub fn judge(&self, error: &[f64], before: &[f64], after: &[f64], grows: bool) -> Next {
        let size = self.norm(error, before, after);
        let finite = size.is_finite();
        let factor = if finite { (0.9 * size.powf(-0.2)).clamp(0.2, 10.0) } else { 0.1 };
        match finite && size <= 1.0 {
            true => Next::Accept { factor: factor.min(if grows { 10.0 } else { 1.0 }) },
            false => Next::Reject { factor: factor.min(0.9), finite },
        }
    }
}
