//! Which levels a sampler visits.
//!
//! A grid counts steps `u` from clean data: `u = 0` is clean, `u = T` the noisiest level of the chain. The three
//! spacings are those of table 2 of Lin et al., 2305.08891, by the names and with the rounding (half to even) that
//! diffusers gives them:
//!
//! ```text
//! leading    u = 1 + offset + i ⌊T / n⌋                      misses the noisiest level
//! linspace   u from 1 to T in n points                       both ends
//! trailing   u = T − i T / n                                 ends on the noisiest level
//! ```
//!
//! Schedules that are a closed form of time serve more steps than `T`. `trailing` would then come between the least noisy
//! level of training and clean data, where the network has learnt nothing: it is spread between the trained ends instead,
//! `u = 1 + (T − 1) (n − 1 − i) / (n − 1)`. A flow is trained down to clean data and keeps its strides.
//!
//! A second-order multistep solver spends its first step on order one, and diffusers gives it `n + 1` points of
//! `leading` and `linspace` less the lowest. Euler and Heun take `linspace` without rounding; schedules that are a
//! closed form of time are never rounded.

use serde::{Deserialize, Serialize};

use super::{DiffusionError, Level, Levels};

/// How the levels of a sampling chain are spread over those of training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spacing {
    /// Equal strides from the least noisy level.
    Leading,
    /// Equal steps from the least noisy level to the noisiest.
    Linspace,
    /// Equal strides from the noisiest level.
    #[default]
    Trailing,
}

/// Where a sampling chain ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finish {
    /// At clean data.
    #[default]
    Clean,
    /// At the least noisy level of training (diffusers' `set_alpha_to_one = false`).
    Lowest,
}

/// The longest sampling chain.
const MOST: usize = 1_000_000;

/// How a solver wants its grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Habit {
    /// Points below the grid that are laid out and left away.
    pub below: usize,
    /// Whether `linspace` is rounded to training times.
    pub rounds: bool,
}

impl Spacing {
    /// The levels of `steps` steps, noisiest first, and the one where they end: `steps + 1` levels.
    pub(super) fn chain(
        self,
        levels: &Levels,
        steps: usize,
        offset: usize,
        finish: Finish,
        habit: Habit,
    ) -> Result<Vec<Level>, DiffusionError> {
        let length = levels.steps();
        let error = |needed| Err(DiffusionError::SamplingSteps { asked: steps, steps: length, needed });
        if steps == 0 {
            return error("at least one is needed");
        }
        let discrete = !levels.schedule().is_continuous();
        if steps > MOST || steps > length && (discrete || self == Self::Leading) {
            return error("take at most one a level of the chain, and never more than 1000000");
        }
        let points = steps + habit.below;
        // A chain that ends at the lowest level arrives there with its last stride.
        let strides = if finish == Finish::Lowest { steps } else { steps - 1 };
        let dense = steps > length && (finish == Finish::Lowest || levels.trained_from() > 0.0);
        let from_clean = |i: usize| match self {
            Self::Leading => 1.0 + offset as f64 + ((length / points) * i) as f64,
            // One point alone is the noisiest level, so that a single step starts from noise.
            Self::Linspace if points == 1 => length as f64,
            Self::Linspace => {
                let time = (length - 1) as f64 * i as f64 / (points - 1) as f64;
                1.0 + if discrete && habit.rounds { time.round_ties_even() } else { time }
            }
            Self::Trailing if dense => {
                let left = (strides - (points - 1 - i)) as f64;
                1.0 + (length - 1) as f64 * left / strides as f64
            }
            Self::Trailing => {
                let u = length as f64 - (points - 1 - i) as f64 * (length as f64 / steps as f64);
                if discrete { u.round_ties_even() } else { u }
            }
        };
        let grid: Vec<f64> = (habit.below..points).rev().map(from_clean).collect();
        if grid[0] > length as f64 || grid[steps - 1] <= 0.0 || grid.windows(2).any(|pair| pair[0] <= pair[1]) {
            return error("this spacing and offset leave the chain or visit a level twice; take fewer");
        }
        let end = match finish {
            Finish::Clean => levels.clean(),
            Finish::Lowest => levels.training(0),
        };
        let visited = grid.iter().map(|u| levels.level(levels.clean_time() + u));
        Ok(visited.chain([end]).collect())
    }
}
