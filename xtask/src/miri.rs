//! `miri`: unit tests under an interpreter that sees undefined behaviour, and on machines that nobody
//! here has: one with the other byte order, one with small pointers.

use std::path::PathBuf;

use crate::{
    Result,
    figure::{self, Figure},
    nightly, process,
};

/// What is interpreted: a package, and the machine if it is another one than ours.
struct Row {
    package: &'static str,
    target: Option<&'static str>,
}

const ROWS: [Row; 4] = [
    Row { package: "cairn-log", target: None },
    Row { package: "cairn-log", target: Some("s390x-unknown-linux-gnu") },
    Row { package: "cairn-log", target: Some("i686-unknown-linux-gnu") },
    Row { package: "cairn-btree", target: None },
];

/// Tests that are left out, and why: an interpreter needs a second for a few hundred bytes of a checksum
/// or a digest. What they do with more bytes, others do with few.
const SKIPPED: &[(&str, &str)] = &[
    ("each_flipped_bit", "opens something once for each of thousands of bits"),
    ("a_journal_cut_at_any_length", "scans 160 KiB, 480 times"),
    ("a_journal_grows_only_to_its_boundaries", "writes 1 MiB"),
    ("a_sealed_file_keeps_no_buffer", "writes 300 KiB and takes their digest"),
    (
        "a_file_that_is_ended_while_somebody_scans_it",
        "takes the digest of 64 KiB, and scans it twice",
    ),
];

/// Which rows.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only this package
    #[arg(long)]
    package: Option<String>,
    /// Add what was counted to this file, as a line of JSON
    #[arg(long, value_name = "FILE")]
    figures: Option<PathBuf>,
}

/// Interprets the tests.
pub(crate) fn run(options: &Options) -> Result {
    let how = "rustup toolchain install nightly --component miri,rust-src";
    let probe = &mut nightly::cargo(&["miri", "--version"]);
    if !nightly::is_there("a nightly toolchain with Miri", probe, how) {
        return Ok(());
    }
    for (name, why) in SKIPPED {
        println!("SKIPPED in all rows: {name}: {why}");
    }
    let is_asked = |row: &&Row| options.package.as_ref().is_none_or(|name| name == row.package);
    let mut done = 0;
    for row in ROWS.iter().filter(is_asked) {
        let mut args = vec!["miri", "test", "--locked", "--lib", "-p", row.package];
        args.extend(row.target.iter().flat_map(|target| ["--target", target]));
        args.push("--");
        args.extend(SKIPPED.iter().flat_map(|(name, _)| ["--skip", *name]));
        let mut command = nightly::cargo(&args);
        // Tests of properties try fewer cases; they read a file that remembers failures.
        command.env("MIRIFLAGS", "-Zmiri-disable-isolation").env("PROPTEST_CASES", "4");
        process::run(&mut command)?;
        done += 1;
    }
    let figure = Figure { goal: "G21", name: "suites interpreted", value: done, wrong: 0 };
    figure::report(&[figure], 0, options.figures.as_deref())
}
