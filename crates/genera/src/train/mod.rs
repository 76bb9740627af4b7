//! The training engine: one step of descent, players that follow gradients, moving averages, learning rates, and the loop
//! around them.

mod accumulate;
mod descent;
mod ema;
mod error;
mod fit;
mod gradients;
mod optimizer;
mod parameters;
mod player;
mod schedule;

pub use descent::{Descent, DescentConfig};
pub use ema::Ema;
pub use error::ConfigError;
pub use fit::{FitError, Observer, Outcome, fit};
pub use gradients::Gradients;
pub use optimizer::{Optimizer, OptimizerConfig};
pub use player::Player;
pub use schedule::RateSchedule;

pub(crate) use accumulate::accumulate;
pub(crate) use parameters::map_parameters;
pub(crate) use player::{add_share, refuse_others};
