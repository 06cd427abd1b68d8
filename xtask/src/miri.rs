//! `miri`: unit tests under an interpreter that sees undefined behaviour, and on machines that nobody
//! here has: one with the other byte order, one with small pointers.

use std::{fmt, path::PathBuf, process::Command, sync::Mutex, thread, time::Instant};

use crate::{
    Result,
    figure::{self, Figure},
    nightly,
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
];

/// Which rows.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only this package
    #[arg(long)]
    package: Option<String>,
    /// Rows at the same time; what they need is built one after the other
    #[arg(long, default_value_t = 2)]
    threads: usize,
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
    let queue = Mutex::new(ROWS.iter().filter(is_asked));
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let work = || {
            while let Some(row) = queue.lock().ok().and_then(|mut queue| queue.next()) {
                println!("{row}: begins");
                let start = Instant::now();
                let outcome = row.interpret();
                let seconds = start.elapsed().as_secs();
                match &outcome {
                    Ok(result) => println!("{row}: {result}; {seconds} s"),
                    Err(error) => println!("{row}: FAILED\n{error}"),
                }
                outcomes.lock().expect("no row panics").push(outcome.is_ok());
            }
        };
        (0..options.threads.max(1)).for_each(|_| drop(scope.spawn(work)));
    });
    let outcomes = outcomes.into_inner().expect("no row panics");
    let (good, bad): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|is_good| *is_good);
    let (value, wrong) = (good.len() as u64, bad.len() as u64);
    let figure = Figure { goal: "G21", name: "suites interpreted", value, wrong };
    figure::report(&[figure], 0, options.figures.as_deref())?;
    match wrong {
        0 => Ok(()),
        _ => Err(format!("{wrong} suites failed, above").into()),
    }
}

impl Row {
    fn command(&self) -> Command {
        let mut args = vec!["miri", "test", "--locked", "--lib", "-p", self.package];
        args.extend(self.target.iter().flat_map(|target| ["--target", target]));
        args.push("--");
        args.extend(SKIPPED.iter().flat_map(|(name, _)| ["--skip", *name]));
        let mut command = nightly::cargo(&args);
        // Tests of properties try fewer cases; they read a file that remembers failures.
        command.env("MIRIFLAGS", "-Zmiri-disable-isolation").env("PROPTEST_CASES", "4");
        // BLAKE3 builds C for x86, which nobody calls here and which takes headers for 32 bits.
        command.env("CARGO_FEATURE_PURE", "1");
        command
    }

    /// Runs the tests; returns what they say at the end, or all that they have said if one fails.
    fn interpret(&self) -> std::result::Result<String, String> {
        let output = self.command().output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let result = text.lines().rfind(|line| line.starts_with("test result: "));
        match (output.status.success(), result) {
            (true, Some(result)) => Ok(result.to_owned()),
            _ => Err(format!("{}{text}", String::from_utf8_lossy(&output.stderr))),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.package, self.target.unwrap_or("this machine"))
    }
}
