//! Feature extractors and classifiers.
