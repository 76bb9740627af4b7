//! Any bytes as a table in text: an error or a table, never a panic.
#![no_main]

use genera_data::load::csv;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = csv::parse("x", bytes);
});
