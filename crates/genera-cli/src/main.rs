//! genera
fn main() {}
