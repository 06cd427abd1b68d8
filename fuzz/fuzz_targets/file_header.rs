//! Any bytes in place of what `cairn_torture::fuzz` calls `file_header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cairn_torture::fuzz::file_header(input));
