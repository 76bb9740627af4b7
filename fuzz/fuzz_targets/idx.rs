//! Any bytes as IDX, plain or compressed: an error or images, never a panic.
#![no_main]

use genera_data::load::idx;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = idx::images("x", bytes, None);
});
