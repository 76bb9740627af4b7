//! Any bytes as a NumPy array or archive: an error or a set, never a panic.
#![no_main]

use genera_data::load::npy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = npy::parse(bytes).and_then(|array| array.dataset("x", None));
    let _ = npy::parse_npz("x", bytes);
});
