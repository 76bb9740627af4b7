//! genera
