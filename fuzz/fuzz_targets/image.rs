//! Any bytes as a picture: an error or pixels, never a panic.
#![no_main]

use genera_data::load::folder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = folder::parse(bytes, None);
    let _ = folder::parse(bytes, Some([3, 8, 6]));
});
