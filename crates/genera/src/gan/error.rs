//! What can be wrong with the settings of two players.

use crate::train::ConfigError;

/// Settings that make no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GanError {
    /// A count that is zero.
    #[error("`{0}` is 0; it must be at least 1")]
    Zero(&'static str),
    /// An interval that holds nothing.
    #[error("the noise is uniform on [{low}, {high}), which holds nothing; `low` must be below `high`")]
    Interval {
        /// Where it begins.
        low: f64,
        /// Where it ends.
        high: f64,
    },
    /// Convolutions of what is no image.
    #[error("convolutions are for images [C, H, W], not for rows of shape {0:?}; take an mlp")]
    NoImage(Vec<usize>),
    /// A side that cannot be halved as often as asked.
    #[error("an image of side {side} cannot be halved {halvings} times without rest; take fewer channels")]
    Side {
        /// The side.
        side: usize,
        /// How often.
        halvings: usize,
    },
    /// Stages whose lengths do not fit.
    #[error("`growth.steps` has {lengths} lengths for {stages} stages; give one less than stages, of which at most 8")]
    Stages {
        /// How many stages.
        stages: usize,
        /// How many lengths.
        lengths: usize,
    },
    /// An image that is larger than the last stage.
    #[error(
        "an image of side {side} does not fit into the last stage, of side {canvas}; give `channels` of more stages"
    )]
    Canvas {
        /// Of the image.
        side: usize,
        /// Of the last stage.
        canvas: usize,
    },
    /// A number of the game or of a descent.
    #[error(transparent)]
    Descent(#[from] ConfigError),
    /// More halvings of an image than its sides have.
    #[error("an image of side {side} has nothing left after {halvings} halvings; take fewer `halvings`")]
    Halvings {
        /// The side.
        side: usize,
        /// How often.
        halvings: usize,
    },
    /// A witness whose values depend on the other rows of a batch.
    #[error("a witness that sees the deviation of its batch is no function of a row: set `critic.deviation` to false")]
    Batchwise,
    /// A single draw, which has no deviation.
    #[error("`contrast` is 1, and one draw has no deviation; take 0 for none, or at least 2")]
    Contrast,
    /// A deviation that is none.
    #[error("the deviation of the reference is {0}; it must be finite and above zero")]
    Deviation(f64),
}
