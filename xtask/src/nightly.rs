//! What needs a nightly toolchain, or a tool that not everybody has: found, or skipped loudly.

use std::process::Command;

use crate::process;

/// Cargo of the nightly toolchain, with arguments, in the root of the repository.
pub(crate) fn cargo<S: AsRef<str>>(args: &[S]) -> Command {
    let mut command = tool("cargo");
    command.args(args.iter().map(AsRef::as_ref));
    command
}

/// The compiler of the nightly toolchain.
pub(crate) fn rustc() -> Command {
    tool("rustc")
}

fn tool(name: &str) -> Command {
    // The `cargo` that runs us is that of one toolchain, and does not know `+nightly`.
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", name]);
    command.current_dir(process::root());
    for name in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC", "RUSTDOC"] {
        command.env_remove(name);
    }
    command
}

/// Whether a tool answers; if it does not, says so in a way that nobody overlooks.
pub(crate) fn is_there(what: &str, probe: &mut Command, how: &str) -> bool {
    process::works(probe) || skipped(what, how)
}

/// Says that a tool is not there, which is `false`.
pub(crate) fn skipped(what: &str, how: &str) -> bool {
    println!("SKIPPED, nothing was run: {what} is not here; to install it: {how}");
    false
}
