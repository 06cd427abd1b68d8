//! `fuzz`: the targets of `fuzz/` under libFuzzer, and the corpus that all test runs replay.

mod libfuzzer;

use std::{
    collections::BTreeMap,
    fs,
    num::ParseIntError,
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
};

use crate::{
    Result, coverage,
    figure::{self, Figure},
    forward::{FUZZ_REPLAY, Rest},
    nightly, process,
};
use libfuzzer::Run;

/// What to do with the targets.
#[derive(clap::Subcommand)]
pub(crate) enum Fuzz {
    /// Run targets under libFuzzer: one, or all in turn (needs nightly and cargo-fuzz)
    Run(Options),
    /// Feed the corpus and mutations of it to all targets, on stable
    Replay(Rest),
    /// Show which lines of the engine the corpus of a target reaches, and its mutations
    Coverage {
        /// The target
        target: String,
    },
    /// Take what runs have found and the corpus does not cover into the corpus, as little as possible
    Minimise {
        /// The target; all if none is named
        target: Option<String>,
    },
}

/// How targets are run.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The target; all if none is named
    target: Option<String>,
    /// Only those: targets that open environments need longer for as many inputs
    #[arg(long, conflicts_with = "target")]
    only: Option<Kind>,
    /// Seconds for each
    #[arg(long, default_value_t = 240)]
    time: u64,
    /// Targets at the same time
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Where libFuzzer's choices come from
    #[arg(long, default_value = "1", value_parser = seed)]
    seed: u64,
    /// Add what was counted to this file, each figure as a line of JSON
    #[arg(long, value_name = "FILE")]
    figures: Option<PathBuf>,
}

/// What targets do with an input.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Decode it
    Parsers,
    /// Open environments
    Engine,
}

/// Targets that open environments for each input: an input may take longer than one of a parser.
const ENGINE: [&str; 8] = [
    "environment_image",
    "restore_plan",
    "simulation",
    "sink_pieces",
    "sql_image",
    "sql_script",
    "store",
    "transaction_schedule",
];

/// A seed as the rigs take it: decimal, or hexadecimal behind `0x`.
fn seed(text: &str) -> std::result::Result<u64, ParseIntError> {
    text.strip_prefix("0x").map_or_else(|| text.parse(), |digits| u64::from_str_radix(digits, 16))
}

/// Does what was asked for.
pub(crate) fn run(fuzz: &Fuzz) -> Result {
    match fuzz {
        Fuzz::Run(options) => run_targets(options),
        Fuzz::Replay(rest) => FUZZ_REPLAY.run(rest),
        Fuzz::Coverage { target } => {
            chosen(Some(target))?;
            coverage::of_fuzz_target(target)
        }
        Fuzz::Minimise { target } => minimise(target.as_ref()),
    }
}

fn run_targets(options: &Options) -> Result {
    let mut targets = chosen(options.target.as_ref())?;
    let is_asked = |kind| options.only.is_none_or(|only| only == kind);
    targets.retain(|name| is_asked(if is_engine(name) { Kind::Engine } else { Kind::Parsers }));
    let Some(programs) = built()? else { return Ok(()) };
    let queue = Mutex::new(targets.iter());
    let outcomes = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        let work = || {
            while let Some(name) = queue.lock().ok().and_then(|mut queue| queue.next()) {
                let (time, seed) = (options.time, options.seed);
                let run = Run { name, program: programs.join(name), is_engine: is_engine(name) };
                let outcome = run.fuzz(time, seed).map_err(|error| error.to_string());
                match &outcome {
                    Ok(outcome) => println!("{name:22} {outcome}"),
                    Err(error) => println!("{name:22} {error}"),
                }
                outcomes.lock().expect("no run panics").insert(name, outcome);
            }
        };
        (0..options.threads.max(1)).for_each(|_| drop(scope.spawn(work)));
    });
    let (mut parsers, mut engine) = ((0, 0), (0, 0));
    for (name, outcome) in outcomes.into_inner().expect("no run panics") {
        let outcome = outcome.map_err(|error| format!("{name}: {error}"))?;
        let sum = if is_engine(name) { &mut engine } else { &mut parsers };
        sum.0 += outcome.executions;
        sum.1 += u64::from(outcome.found.is_some());
    }
    let figure = |name, (value, wrong)| Figure { goal: "G16", name, value, wrong };
    let figures = [
        (Kind::Parsers, figure("fuzz executions of parsers", parsers)),
        (Kind::Engine, figure("fuzz executions of engine targets", engine)),
    ];
    let asked = figures.into_iter().filter(|(kind, _)| is_asked(*kind));
    let figures: Vec<_> = asked.map(|(_, figure)| figure).collect();
    figure::report(&figures, options.seed, options.figures.as_deref())?;
    match parsers.1 + engine.1 {
        0 => Ok(()),
        n => Err(format!(
            "{n} targets failed; the inputs lie in fuzz/artifacts: `cargo xtask fuzz replay` repeats them"
        )
        .into()),
    }
}

fn is_engine(target: &str) -> bool {
    ENGINE.contains(&target)
}

/// Inputs of a target that found something new, until they are minimised.
fn findings(target: &str) -> PathBuf {
    process::root().join("fuzz/target/corpus").join(target)
}

/// What the test run replays.
fn corpus(target: &str) -> PathBuf {
    process::root().join("fuzz/corpus").join(target)
}

fn minimise(target: Option<&String>) -> Result {
    let targets = chosen(target)?;
    let Some(programs) = built()? else { return Ok(()) };
    for name in &targets {
        let run = Run { name, program: programs.join(name), is_engine: is_engine(name) };
        let (added, bytes) = run.minimise()?;
        println!("{name:22} {added} inputs added, {bytes} bytes in all");
    }
    Ok(())
}

/// The names of the targets, or the one that is named.
fn chosen(target: Option<&String>) -> Result<Vec<String>> {
    #[derive(serde::Deserialize)]
    struct Manifest {
        bin: Vec<Bin>,
    }
    #[derive(serde::Deserialize)]
    struct Bin {
        name: String,
    }
    let path = process::root().join("fuzz/Cargo.toml");
    let manifest: Manifest = toml::from_str(&fs::read_to_string(path)?)?;
    let names: Vec<String> = manifest.bin.into_iter().map(|bin| bin.name).collect();
    match target {
        None => Ok(names),
        Some(target) if names.contains(target) => Ok(vec![target.clone()]),
        Some(target) => {
            Err(format!("no target `{target}`; there are: {}", names.join(", ")).into())
        }
    }
}

/// Builds all targets; returns the directory of the programs, or nothing if that cannot be done here.
fn built() -> Result<Option<PathBuf>> {
    let how = "rustup toolchain install nightly && cargo install --locked cargo-fuzz";
    let probe = &mut nightly::cargo(&["fuzz", "--version"]);
    if !nightly::is_there("a nightly toolchain with cargo-fuzz", probe, how) {
        return Ok(None);
    }
    let shared = std::env::var_os("CARGO_TARGET_DIR").map(|dir| Path::new(&dir).join("fuzz"));
    let dir = shared.unwrap_or_else(|| process::root().join("fuzz/target"));
    let dir_text = dir.to_str().ok_or("the target directory is no text")?;
    process::run(&mut nightly::cargo(&["fuzz", "build", "--target-dir", dir_text]))?;
    let version = process::output(&mut nightly::cargo(&["version", "--verbose"]))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(Some(dir.join(host.ok_or("cargo does not say its host")?).join("release")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_those_that_the_rigs_print() {
        assert_eq!((seed("0x1000000"), seed("77")), (Ok(0x100_0000), Ok(77)));
        assert!(seed("1x").is_err() && seed("0x").is_err());
    }

    /// Directly: by its name it would be looked up among all, and each program would have all of them inside.
    /// Coverage is counted for all that a program has, between any two inputs.
    #[test]
    fn each_program_calls_the_target_of_its_name() {
        for name in chosen(None).unwrap() {
            let path = process::root().join("fuzz/fuzz_targets").join(&name).with_extension("rs");
            let call = format!("cairn_torture::fuzz::{name}(input)");
            assert!(fs::read_to_string(path).unwrap().contains(&call), "{name}");
        }
    }

    #[test]
    fn targets_that_open_environments_are_targets_and_the_others_are_parsers() {
        let all = chosen(None).unwrap();
        for name in ENGINE {
            assert!(all.iter().any(|target| target == name), "no target is called {name}");
        }
        // So that whoever adds a target says here which of both it is.
        let mut parsers = all;
        parsers.retain(|name| !is_engine(name));
        parsers.sort();
        assert_eq!(
            parsers,
            [
                "archive",
                "checkpoint_record",
                "file_header",
                "file_scan",
                "import_text",
                "keyring",
                "manifest",
                "node_image",
                "record_header",
                "replica_file",
                "repository_object",
                "state_file",
                "transaction_record",
            ]
        );
    }
}
