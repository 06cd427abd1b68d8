//! Any bytes in place of what `cairn_torture::fuzz` calls `repository_object`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let target = cairn_torture::fuzz::Target::find("repository_object");
    (target.expect("the target is one of the list").run)(input);
});
