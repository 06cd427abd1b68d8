//! `cairn metrics`: figures of environments and repositories for whoever watches them, in the text format of Prometheus.

mod families;
mod repository;

use std::path::{Path, PathBuf};

use families::Families;

use super::stats;
use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    open,
    output::Output,
};

/// Print figures of environments and repositories in the text format of Prometheus
///
/// Of an environment, what `cairn stats` says, and who pins its files. Of a repository, for each
/// environment in it: how many points there are and how far they are known to be good, when the
/// newest one was made, up to when every commit can be restored, and what is about to be deleted.
///
/// What cannot be read is told by cairn_environment_ok or cairn_repository_ok, which is 0 then, and on
/// standard error; all else is printed, and the exit code is that of the first failure. Run it by a
/// timer into a file that the collector reads; nobody is disturbed by it.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn metrics data
  cairn metrics data other --repo backups > cairn.prom
  cairn metrics --repo backups --repo far"
)]
pub(crate) struct Metrics {
    /// Directories of environments
    #[arg(required_unless_present = "repo", value_name = "ENV")]
    env: Vec<PathBuf>,
    /// A repository; may be repeated
    #[arg(long, value_name = "REPO")]
    repo: Vec<PathBuf>,
    #[command(flatten)]
    unlock: KeyArgs,
}

impl Metrics {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let mut families = Families::default();
        let mut exit = Exit::Good;
        let mut told = |read: Result<(), Failure>, output: &mut Output| match read {
            Ok(()) => 1,
            Err(failure) => {
                let said = failure.report(output);
                exit = if exit == Exit::Good { said } else { exit };
                0
            }
        };
        for path in &self.env {
            let read = self.environment(path, &mut families);
            let is_good = told(read, output);
            let help = "Whether the environment could be opened for reading.";
            families.add("cairn_environment_ok", help, &[("env", path.display())], is_good);
        }
        for path in &self.repo {
            let read = self.unlock.repo.open(path);
            let read = read.and_then(|repo| repository::read(&repo, path, &mut families));
            let is_good = told(read, output);
            let help = "Whether the repository could be read.";
            families.add("cairn_repository_ok", help, &[("repository", path.display())], is_good);
        }
        families.print(output)?;
        Ok(exit)
    }

    fn environment(&self, path: &Path, families: &mut Families) -> Result<(), Failure> {
        let env = open::live_for_reading(path, &self.unlock)?;
        let (stats, pins) = (env.stats()?, env.pins()?);
        let label = [("env", path.display())];
        for (figure, value) in stats::shown(&stats) {
            families.add(&format!("cairn_{}", figure.name), figure.text, &label, value);
        }
        let help = "Other processes that read the environment, and keep log files.";
        families.add("cairn_pins", help, &label, pins.len() as u64);
        let help =
            "Bytes that nothing but such a process keeps: what the one keeps that keeps most.";
        let held = pins.iter().map(|pin| pin.held_bytes).max();
        families.add("cairn_pins_held_bytes_max", help, &label, held.unwrap_or(0));
        Ok(())
    }
}
