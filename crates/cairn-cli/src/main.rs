//! The command `cairn`: see the library of this package.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    cairn_cli::run(std::env::args_os())
}
