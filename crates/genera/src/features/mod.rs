//! Feature extractors and classifiers.

mod augment;
mod classifier;
mod clip;
mod described;
#[cfg(test)]
mod formula;
pub mod inception;
mod source;

pub use classifier::{Classifier, ClassifierConfig, ClassifierError};
pub use clip::{Clip, ClipConfig, contrastive_loss};
pub use described::{Described, DescribedConfig, DescribedError, Layer};
pub use inception::Inception;
