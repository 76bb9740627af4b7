//! The training engine: one step of descent, moving averages, learning rates, and the loop around them.

mod descent;
mod ema;
mod error;
mod fit;
mod gradients;
mod optimizer;
mod parameters;
mod schedule;

pub use descent::{Descent, DescentConfig};
pub use ema::Ema;
pub use error::ConfigError;
pub use fit::{FitError, Observer, Outcome, fit};
pub use gradients::Gradients;
pub use optimizer::{Optimizer, OptimizerConfig};
pub use schedule::RateSchedule;
