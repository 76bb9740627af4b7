//! Any bytes as Parquet: an error or a set, never a panic.
#![no_main]

use genera_data::load::parquet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = parquet::parse("x", bytes.to_vec(), None);
});
