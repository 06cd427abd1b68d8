//! The command `cairn`: looks after environments, and shows what they survive.
//!
//! A command is a file in `command`: its arguments, its one idea, what it prints for people and, with
//! `--json`, for programs. The formats that `import` reads and `export` writes are in `format`; `tour`
//! is a program of its own. What all of them share is small: how an environment is opened (`open`), where its key comes from (`keys`, `prompt`), how results are printed
//! (`output`, `text`, `progress`), and how a failure becomes two lines and an exit code (`exit`).
//!
//! What the commands print, and with which code they exit, is written down in `docs/cli.md`.
//!
//! The library is the command: a program that has it on board calls it as a shell would.
//!
//! ```
//! use std::process::ExitCode;
//!
//! let dir = tempfile::tempdir()?;
//! let data = dir.path().join("data").into_os_string();
//! let cairn = |args: &[&str]| {
//!     let [command, more @ ..] = args else { unreachable!("a command") };
//!     let args = ["cairn".into(), command.into(), data.clone()];
//!     cairn_cli::run(args.into_iter().chain(more.iter().map(Into::into)))
//! };
//! assert_eq!(cairn(&["init"]), ExitCode::SUCCESS);
//! assert_eq!(cairn(&["put", "ada", "1815"]), ExitCode::SUCCESS);
//! assert_eq!(cairn(&["get", "ada"]), ExitCode::SUCCESS);
//! assert_eq!(cairn(&["get", "nobody"]), ExitCode::from(1));
//! # Ok::<(), std::io::Error>(())
//! ```
#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    reason = "the command handles the user's own files, processes and time, outside of the engine"
)]

mod command;
mod exit;
mod format;
#[doc(hidden)]
pub mod fuzzing;
mod keys;
mod log_files;
mod log_option;
mod open;
mod output;
mod progress;
mod prompt;
mod saved;
mod text;
mod tour;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;

use crate::{
    exit::{Exit, Failure},
    output::Output,
};

/// Runs the command with these arguments, the first of which is the name of the program.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    // Also a call that is not understood is answered in the language that it asks for.
    let mut output = Output::new(args.iter().any(|arg| arg == "--json"));
    let outcome = match command::Cli::try_parse_from(&args) {
        Ok(cli) => {
            output.take_replica(cli.with_replica);
            log_option::begin(cli.log, output.is_json()).and_then(|()| cli.command.run(&mut output))
        }
        Err(error) => command::help_or_usage(&error, &mut output),
    };
    let exit = outcome.and_then(|exit| output.flush().map(|()| exit));
    exit.unwrap_or_else(|failure| failure.report(&mut output)).into()
}

/// What a command returns: how it ended, or why it failed.
type Outcome = Result<Exit, Failure>;

/// The examples of the repository's front page, run with this package's.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct FrontPage;
