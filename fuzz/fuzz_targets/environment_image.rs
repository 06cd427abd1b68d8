//! Any bytes in place of what `cairn_torture::fuzz` calls `environment_image`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let target = cairn_torture::fuzz::Target::find("environment_image");
    (target.expect("the target is one of the list").run)(input);
});
