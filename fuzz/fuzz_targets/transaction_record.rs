//! Any bytes in place of what `cairn_torture::fuzz` calls `transaction_record`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cairn_torture::fuzz::transaction_record(input));
