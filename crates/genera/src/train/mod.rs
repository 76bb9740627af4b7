//! The training engine: one step of descent, moving averages, learning rates.
