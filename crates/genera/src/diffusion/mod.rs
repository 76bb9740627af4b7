//! Diffusion models: one table of schedules, targets and solvers.

/// One noise level: `x_t = alpha x₀ + sigma eps`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// The coordinate on which a network is conditioned: the index `t` of discrete schedules, a time otherwise.
    pub time: f64,
    /// The factor of the data.
    pub alpha: f64,
    /// The standard deviation of the noise.
    pub sigma: f64,
}
