//! genera-metrics
