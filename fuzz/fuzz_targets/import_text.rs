//! Any bytes in place of what `cairn_torture::fuzz` calls `import_text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cairn_torture::fuzz::import_text(input));
