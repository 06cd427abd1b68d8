//! The fuzz targets without a fuzzer: over the corpus, over what fuzzers have found, and over
//! mutations of both. `cargo xtask fuzz replay` runs it; `CAIRN_FUZZ_TARGET` names a single target.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use cairn_sim::{Chooser as _, ChooserExt as _, Seeded};
use cairn_torture::fuzz::{TARGETS, Target, mutate};

/// The inputs of a directory of `fuzz/`, in the order of their names.
fn inputs(of: &str, target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(of).join(target);
    let Ok(entries) = fs::read_dir(&dir) else { return Vec::new() };
    let mut paths: Vec<_> =
        entries.map(|entry| entry.expect("a directory that can be read").path()).collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).expect("it was just listed")))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The most memory, in KiB, that this process has ever had in its address space.
fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// What to put into `fuzz/artifacts/<target>/`, if the target fails.
fn run(target: Target, input: &[u8], origin: &str) -> Result<(), String> {
    let result = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let name = target.name;
    result.map_err(|_| format!("{name}, {origin}: {} bytes: {}", input.len(), hex(input)))
}

#[test]
fn fuzz_replay() {
    // Everything runs in one thread, so that what is allocated can be told.
    const SEED: u64 = 1;
    let mut failures = Vec::new();
    let only = std::env::var("CAIRN_FUZZ_TARGET").ok();
    let is_asked = |target: &Target| only.as_ref().is_none_or(|only| only == target.name);
    for target in TARGETS.into_iter().filter(is_asked) {
        let mut corpus = inputs("corpus", target.name);
        assert!(corpus.len() >= 3, "no corpus for {}: see docs/testing.md", target.name);
        corpus.extend(inputs("artifacts", target.name));
        let nothing = run(target, &[], "nothing");
        let before = peak();
        let replayed = corpus
            .iter()
            .try_for_each(|(path, input)| run(target, input, &path.display().to_string()));
        let mutated = (0..target.mutations).try_for_each(|number| {
            let mut random = Seeded::new(SEED).stream(target.name).stream(&number.to_string());
            let ((_, one), (_, other)) =
                (random.pick(&corpus, "one"), random.pick(&corpus, "other"));
            let mut input = mutate(one, other, &mut random.stream("mutation"));
            if random.choose(3, "again") == 0 {
                input = mutate(&input, one, &mut random.stream("again"));
            }
            run(target, &input, &format!("mutation {number}"))
        });
        failures.extend([nothing, replayed, mutated].into_iter().filter_map(Result::err));
        // What a length in the input says must not be believed before there are so many bytes.
        if let (Some(before), Some(after)) = (before, peak()) {
            let grown = after.saturating_sub(before);
            assert!(grown < target.memory(), "{} took {grown} KiB", target.name);
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
