//! Any bytes as Parquet: an error or a set, never a panic that leaves `parse`.
#![no_main]

use genera_data::load::parquet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    // The reader of the `parquet` crate asserts some things, and `parse` contains that: libFuzzer's hook must not abort.
    init: std::panic::set_hook(Box::new(|_| {})),
    |bytes: &[u8]| {
        let _ = parquet::parse("x", bytes.to_vec(), None);
    }
);
