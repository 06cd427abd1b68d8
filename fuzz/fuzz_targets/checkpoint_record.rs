//! Any bytes in place of what `cairn_torture::fuzz` calls `checkpoint_record`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cairn_torture::fuzz::checkpoint_record(input));
