//! `cairn completions`, `cairn man`: what shells and `man` know of the command, made from its own arguments.

use std::path::PathBuf;

use clap::CommandFactory as _;
use clap_complete::Shell;
use serde::Serialize;

use super::Cli;
use crate::{
    Outcome,
    exit::{Exit, Failure},
    output::Output,
};

/// Print what a shell needs to complete the arguments of `cairn`
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn completions bash > ~/.local/share/bash-completion/completions/cairn
  cairn completions zsh > ~/.zfunc/_cairn               # with ~/.zfunc in fpath
  cairn completions fish > ~/.config/fish/completions/cairn.fish"
)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

#[derive(Serialize)]
struct CompletionsJson {
    shell: String,
    script: String,
}

impl Completions {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut shown(), "cairn", &mut script);
        let script = String::from_utf8_lossy(&script).into_owned();
        output.line(format_args!("{}", script.trim_end()))?;
        output.json(&CompletionsJson { shell: self.shell.to_string(), script })?;
        Ok(Exit::Good)
    }
}

/// Write the manual pages of `cairn` and of each of its commands into a directory
///
/// They are what `cairn help COMMAND` says, for `man`: cairn.1, cairn-backup.1, cairn-repo-check.1 …
/// Pages of the same names are replaced.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn man ~/.local/share/man/man1
  man cairn-restore"
)]
pub(crate) struct Man {
    /// The directory, which is made if it is missing
    directory: PathBuf,
}

#[derive(Serialize)]
struct ManJson {
    directory: PathBuf,
}

impl Man {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let Self { directory } = self;
        let failed = |error: std::io::Error| {
            Failure::usage(format!("{}: {error}", directory.display()))
                .advise("a directory that may be written to is needed")
        };
        std::fs::create_dir_all(&directory).map_err(failed)?;
        clap_mangen::generate_to(Cli::command(), &directory).map_err(failed)?;
        output.line(format_args!("manual pages in {}", directory.display()))?;
        output.json(&ManJson { directory })?;
        Ok(Exit::Good)
    }
}

/// The command without those of its commands that nobody is to call.
fn shown() -> clap::Command {
    let cli = Cli::command();
    let commands = cli.get_subcommands().filter(|command| !command.is_hide_set());
    clap::Command::new("cairn").args(cli.get_arguments()).subcommands(commands)
}
