//! `miri`: unit tests under an interpreter that sees undefined behaviour, and on machines that nobody
//! here has: one with the other byte order, one with small pointers.

use crate::{Result, nightly, process};

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

/// Tests that do the same thousands of times, which takes hours here; they flip every bit of something.
const SKIPPED: &[&str] = &["each_flipped_bit"];

/// Which rows.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only this package
    #[arg(long)]
    package: Option<String>,
}

/// Interprets the tests.
pub(crate) fn run(options: &Options) -> Result {
    let how = "rustup toolchain install nightly --component miri,rust-src";
    let probe = &mut nightly::cargo(&["miri", "--version"]);
    if !nightly::is_there("a nightly toolchain with Miri", probe, how) {
        return Ok(());
    }
    let is_asked = |row: &&Row| options.package.as_ref().is_none_or(|name| name == row.package);
    for row in ROWS.iter().filter(is_asked) {
        let mut args = vec!["miri", "test", "--locked", "--lib", "-p", row.package];
        args.extend(row.target.iter().flat_map(|target| ["--target", target]));
        args.push("--");
        args.extend(SKIPPED.iter().flat_map(|name| ["--skip", name]));
        let mut command = nightly::cargo(&args);
        // Tests of properties try fewer cases; they read a file that remembers failures.
        command.env("MIRIFLAGS", "-Zmiri-disable-isolation").env("PROPTEST_CASES", "4");
        process::run(&mut command)?;
    }
    Ok(())
}
