//! Any bytes in place of what `cairn_torture::fuzz` calls `sql_image`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cairn_torture::fuzz::sql_image(input));
