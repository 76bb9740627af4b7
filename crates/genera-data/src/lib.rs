//! genera-data
