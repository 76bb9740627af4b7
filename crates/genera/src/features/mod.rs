//! Feature extractors and classifiers.

mod augment;
mod classifier;

pub use classifier::{Classifier, ClassifierConfig, ClassifierError};
