//! `bench`, `crash`, `flip`: commands of other packages under one roof.

use std::{path::PathBuf, process::Command};

use crate::{Result, metadata::Metadata, process};

/// Arguments for the program that a command starts.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Rest {
    /// Passed on as they are
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) args: Vec<String>,
}

/// A command line that ends where the user's arguments begin, and the package that it needs.
pub(crate) struct Forward {
    pub(crate) package: &'static str,
    pub(crate) args: &'static [&'static str],
}

/// All benchmarks.
pub(crate) const BENCH: Forward =
    Forward { package: "cairn-benches", args: &["bench", "--locked", "-p", "cairn-benches", "--"] };

/// Speeds that are promised of what is too large for a benchmark: tests that only count in release.
const GOALS: &[&str] = &[
    "test",
    "--locked",
    "--release",
    "-p",
    "cairn-env",
    "-p",
    "cairn-backup",
    "--lib",
    "--test",
    "it",
    "--",
    "--ignored",
    "--nocapture",
];

/// Whether the budget for memory holds: MiB of budget and of data may follow.
const BOUNDED: &[&str] =
    &["run", "--locked", "--release", "-p", "cairn-benches", "--example", "bounded", "--"];

/// All benchmarks once, built as the tests of the whole workspace are, so that nothing but they is built for it.
pub(crate) const BENCH_ONCE: Forward = Forward {
    package: "cairn-benches",
    args: &["test", "--locked", "--workspace", "--bench", "*", "--", "--test"],
};

/// The crash sweeps.
pub(crate) const CRASH: Forward = Forward {
    package: "cairn-torture",
    args: &["run", "--locked", "--profile=torture", "-p", "cairn-torture", "--", "crash"],
};

/// The bit flips.
pub(crate) const FLIP: Forward = Forward {
    package: "cairn-torture",
    args: &["run", "--locked", "--profile=torture", "-p", "cairn-torture", "--", "flip"],
};

/// Blocks and files that are damaged.
pub(crate) const BLOCKS: Forward = Forward {
    package: "cairn-torture",
    args: &["run", "--locked", "--profile=torture", "-p", "cairn-torture", "--", "blocks"],
};

/// Changes by somebody who has no key.
pub(crate) const TAMPER: Forward = Forward {
    package: "cairn-torture",
    args: &["run", "--locked", "--profile=torture", "-p", "cairn-torture", "--", "tamper"],
};

/// Nonces, of which none may come twice.
pub(crate) const NONCES: Forward = Forward {
    package: "cairn-torture",
    args: &["run", "--locked", "--profile=torture", "-p", "cairn-torture", "--", "nonces"],
};

/// The syncs that are left out.
pub(crate) const SYNC_MUTANTS: Forward = Forward {
    package: "cairn-torture",
    args: &["run", "--locked", "--profile=torture", "-p", "cairn-torture", "--", "sync-mutants"],
};

/// Replicas, and what crashes leave of both sides.
pub(crate) const REPLICAS: Forward = Forward {
    package: "cairn-torture",
    args: &["run", "--locked", "--profile=torture", "-p", "cairn-torture", "--", "replicas"],
};

/// Calls to the disk that fail.
pub(crate) const IO_ERRORS: Forward = Forward {
    package: "cairn-torture",
    args: &["run", "--locked", "--profile=torture", "-p", "cairn-torture", "--", "io-errors"],
};

/// Transactions that get in each other's way.
pub(crate) const SERIAL: Forward = Forward {
    package: "cairn-torture",
    args: &["run", "--locked", "--profile=torture", "-p", "cairn-torture", "--", "serial"],
};

/// Processes that die.
pub(crate) const KILL9: Forward = Forward {
    package: "cairn-torture",
    args: &["run", "--locked", "--profile=torture", "-p", "cairn-torture", "--", "kill9"],
};

/// Little memory, and none.
pub(crate) const MEMORY: Forward = Forward {
    package: "cairn-torture",
    args: &[
        "run",
        "--locked",
        "--profile=torture",
        "-p",
        "cairn-torture",
        "--bin",
        "cairn-memory",
        "--",
    ],
};

/// File systems that lose power.
pub(crate) const POWER_CUT: Forward = Forward {
    package: "cairn-torture",
    args: &["run", "--locked", "--profile=torture", "-p", "cairn-torture", "--", "power-cut"],
};

/// The whole engine at work while everything goes wrong.
pub(crate) const SIMULATE: Forward = Forward {
    package: "cairn-torture",
    args: &["run", "--locked", "--profile=torture", "-p", "cairn-torture", "--", "simulate"],
};

/// What the fuzzer has found, through an ordinary test, built as those of the whole workspace are.
pub(crate) const FUZZ_REPLAY: Forward = Forward {
    package: "cairn-torture",
    args: &["test", "--locked", "--workspace", "--test", "fuzz_replay", "--"],
};

impl Forward {
    /// Runs the command with the user's arguments.
    pub(crate) fn run(&self, rest: &Rest) -> Result {
        let package = self.package;
        if !Metadata::members()?.names().contains(package) {
            return Err(format!("not there yet: the workspace has no member {package}").into());
        }
        let args = self.args.iter().copied().chain(rest.args.iter().map(String::as_str));
        process::run(&mut process::cargo(&args.collect::<Vec<_>>()))
    }
}

/// Plants historic bugs and lets the rigs find them, in a build of its own: no other has any.
pub(crate) fn planted(rest: &Rest) -> Result {
    const RUN: [&str; 7] =
        ["run", "--locked", "--profile=torture", "-p", "cairn-torture", "--", "planted"];
    let (mut command, target) = own_build("planted", "--cfg planted", &RUN);
    if !rest.args.iter().any(|arg| arg.starts_with("--ledger")) {
        command.arg("--ledger").arg(target.join("ledger"));
    }
    process::run(command.args(&rest.args))
}

/// Programs of threads, in orders that a scheduler decides: in a build of its own, whose locks and
/// threads are the scheduler's. Races can be planted in it.
pub(crate) fn schedules(rest: &Rest) -> Result {
    const RUN: [&str; 6] = ["run", "--locked", "--profile=torture", "-p", "cairn-schedules", "--"];
    let (mut command, _) = own_build("schedules", "--cfg shuttle --cfg planted", &RUN);
    process::run(command.args(&rest.args))
}

/// Cargo for a build with flags of its own, and the target directory that it has for itself.
fn own_build(name: &str, flags: &str, args: &[&str]) -> (Command, PathBuf) {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let target = process::root().join(target).join(name);
    let mut command = process::cargo(args);
    let asked = std::env::var("RUSTFLAGS").unwrap_or_default();
    command.env("RUSTFLAGS", format!("{asked} {flags}")).env("CARGO_TARGET_DIR", &target);
    (command, target)
}

/// All benchmarks, or with `compare` the comparison with other engines, which is a workspace of its own; with `goals` what is
/// too large for a benchmark, with `memory` whether the budget for it holds.
/// Behind `compare`, `--rocksdb` builds RocksDB as well, which takes a quarter of an hour and libclang.
pub(crate) fn bench(rest: &Rest) -> Result {
    if let Some((first, more)) = rest.args.split_first()
        && first == "compare"
    {
        const ROCKSDB: &str = "--rocksdb";
        let mut args =
            vec!["run", "--locked", "--release", "--manifest-path=benches/compare/Cargo.toml"];
        if more.iter().any(|arg| arg == ROCKSDB) {
            args.push("--features=rocksdb");
        }
        args.push("--");
        args.extend(more.iter().map(String::as_str).filter(|arg| *arg != ROCKSDB));
        return process::run(&mut process::cargo(&args));
    }
    match rest.args.split_first() {
        Some((first, _)) if first == "goals" => process::run(&mut process::cargo(GOALS)),
        Some((first, more)) if first == "memory" => {
            let more = more.iter().map(String::as_str);
            process::run(&mut process::cargo(
                &BOUNDED.iter().copied().chain(more).collect::<Vec<_>>(),
            ))
        }
        _ => BENCH.run(rest),
    }
}
