//! `mutants`: small changes of the code on which durability depends; the tests must notice each.
//!
//! Whole crates take hours; the list below takes the functions where a wrong decision loses something
//! that was acknowledged, or lets something wrong pass.

use std::path::{Path, PathBuf};

use crate::{
    Result,
    figure::{self, Figure},
    nightly, process,
};

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only print the mutants
    #[arg(long)]
    list: bool,
    /// Only those of one crate
    #[arg(long, value_name = "CRATE")]
    package: Option<String>,
    /// Mutants at the same time; each has a build of its own
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Only this part of them, `1/8` for the second of eight
    #[arg(long, value_name = "N/OF")]
    shard: Option<String>,
    /// Add what was counted to this file, as a line of JSON
    #[arg(long, value_name = "FILE")]
    figures: Option<PathBuf>,
}

/// A decision: where it is made, and by which functions.
struct Decision {
    what: &'static str,
    package: &'static str,
    file: &'static str,
    /// As `cargo mutants` spells them, without their types' parameters.
    functions: &'static [&'static str],
}

const fn decision(
    what: &'static str,
    package: &'static str,
    file: &'static str,
    functions: &'static [&'static str],
) -> Decision {
    Decision { what, package, file, functions }
}

/// What must not go wrong.
#[rustfmt::skip] // a table
const CRITICAL: &[Decision] = &[
    decision("the header of a record is whole", "cairn-log", "src/frame.rs",
        &["FrameHeader::decode", "FrameHeader::durable_end"]),
    decision("the body of a record is whole", "cairn-log", "src/file.rs", &["check_body"]),
    decision("a file is the one that it should be", "cairn-log", "src/header.rs",
        &["FileHeader::decode", "FileHeader::check_place"]),
    decision("a finished file ends where its seal says", "cairn-log", "src/seal.rs", &["Seal::decode"]),
    decision("a tail is torn, or damaged: the watermark", "cairn-log", "src/tail.rs", &["judge", "matches"]),
    decision("what lies beyond a hole", "cairn-log", "src/scan.rs", &["look_beyond"]),
    decision("the newest whole slot of the state", "cairn-env", "src/state.rs",
        &["State::decode", "StateFile::open", "StateFile::write"]),
    decision("a commit is acknowledged when it is durable", "cairn-env", "src/commit/mod.rs", &["acknowledge"]),
    decision("everybody waits for the sync that holds its commit", "cairn-env", "src/journal.rs",
        &["durable", "watermark", "flush_to", "note_sync"]),
    decision("nothing goes on after a failure", "cairn-env", "src/failure.rs",
        &["poison", "check", "is_failed", "drop"]),
    decision("no file that is pinned goes", "cairn-env", "src/pin/mod.rs", &["has", "is_pinned"]),
    decision("what a pin holds", "cairn-env", "src/pin/held.rs",
        &["holds", "release", "release_file", "oldest_version", "is_probably_pinned"]),
    decision("no file that a checkpoint needs goes", "cairn-env", "src/checkpoint/mod.rs", &["is_removable", "removable"]),
    decision("a manifest is what was written", "cairn-backup", "src/manifest.rs", &["is_intact", "adds_up"]),
    decision("a file of a backup is what was copied", "cairn-backup", "src/verify.rs",
        &["read_file", "open_stored", "read_stored"]),
];

/// Runs the mutants of the list.
pub(crate) fn run(options: &Options) -> Result {
    let probe = &mut process::cargo(&["mutants", "--version"]);
    if !nightly::is_there("cargo-mutants", probe, "cargo install --locked cargo-mutants") {
        return Ok(());
    }
    let is_asked =
        |row: &&Decision| options.package.as_ref().is_none_or(|name| name == row.package);
    let rows: Vec<_> = CRITICAL.iter().filter(is_asked).collect();
    if rows.is_empty() {
        return Err("no decision of the list is made in this crate".into());
    }
    for row in &rows {
        println!("{:58} {}/{}: {}", row.what, row.package, row.file, row.functions.join(", "));
    }
    let out = process::root().join("target/mutants");
    let mut args = vec!["mutants".to_owned()];
    for row in rows {
        let path = format!("crates/{}/{}", row.package, row.file);
        args.push(format!("--file={path}"));
        let functions = row.functions.join("|");
        // They are `path:line:column: replace Type::name -> …` and `… in Type::name`.
        args.push(format!(r"--re={path}:\d+:\d+: (replace|.* in) (\S*::)?({functions})( |$)"));
    }
    if options.list {
        args.push("--list".to_owned());
        return process::run(&mut process::cargo(&args));
    }
    args.extend(
        ["--baseline=skip", "--timeout=300", "--no-shuffle", "--cargo-arg=--locked"]
            .map(str::to_owned),
    );
    if process::works(&mut process::cargo(&["nextest", "--version"])) {
        args.push("--test-tool=nextest".to_owned());
    }
    args.push(format!("--jobs={}", options.jobs));
    args.extend(options.shard.iter().map(|shard| format!("--shard={shard}")));
    args.push(format!("--output={}", out.display()));
    // It fails if a mutant survives; what it has counted is said in any case.
    let outcome = process::run(&mut process::cargo(&args));
    let (caught, survivors) = counted(&out.join("mutants.out/outcomes.json"))?;
    survivors.iter().for_each(|name| println!("SURVIVED: {name}"));
    let (value, wrong) = (caught + survivors.len() as u64, survivors.len() as u64);
    let name = "mutants of decisions about durability";
    figure::report(&[Figure { goal: "G19", name, value, wrong }], 0, options.figures.as_deref())?;
    match survivors.len() {
        0 => outcome,
        n => Err(format!("{n} mutants survived: the tests miss a decision").into()),
    }
}

/// What became of the mutants: how many were caught, and the names of the others. One that does not
/// build is none.
fn counted(path: &Path) -> Result<(u64, Vec<String>)> {
    #[derive(serde::Deserialize)]
    struct Outcomes {
        outcomes: Vec<Outcome>,
    }
    #[derive(serde::Deserialize)]
    struct Outcome {
        scenario: serde_json::Value,
        summary: String,
    }
    let text = std::fs::read_to_string(path)?;
    let outcomes: Outcomes = serde_json::from_str(&text)?;
    let (mut caught, mut survivors) = (0, Vec::new());
    for Outcome { scenario, summary } in outcomes.outcomes {
        match &*summary {
            // A test that never ends has noticed.
            "CaughtMutant" | "Timeout" => caught += 1,
            "MissedMutant" => {
                let name = &scenario["Mutant"]["name"];
                survivors.push(name.as_str().unwrap_or("without a name").to_owned());
            }
            _ => {}
        }
    }
    Ok((caught, survivors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_files_and_functions_that_exist() {
        for row in CRITICAL {
            let path = process::root().join("crates").join(row.package).join(row.file);
            let text = std::fs::read_to_string(&path).unwrap();
            for function in row.functions {
                let name = function.rsplit(':').next().unwrap();
                assert!(text.contains(&format!("fn {name}(")), "{}: {function}", path.display());
            }
        }
    }
}
