//! Any bytes in place of what `cairn_torture::fuzz` calls `environment_image`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cairn_torture::fuzz::environment_image(input));
