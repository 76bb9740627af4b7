//! Any bytes as CIFAR records: an error or images, never a panic.
#![no_main]

use genera_data::load::cifar::Cifar;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Cifar::Ten.parse(bytes);
    let _ = Cifar::Hundred.parse(bytes);
});
