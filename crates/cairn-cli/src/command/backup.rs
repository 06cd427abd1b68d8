//! `cairn backup`: a copy of one commit, verified while it is made and once more, published last.

use std::path::PathBuf;

use cairndb::backup::{BackupOptions, backup};
use serde::Serialize;

use crate::{
    Outcome,
    exit::Exit,
    open,
    output::Output,
    progress::Progress,
    text::{Time, seconds, several, size},
};

/// Back an environment up into a new or empty directory
///
/// A backup is the state of all databases at one commit. It is read back and compared before its
/// manifest makes it a backup, so one that was cut short is none.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  cairn backup data backups/monday
  cairn verify backups/monday"
)]
pub(crate) struct Backup {
    /// The directory of the environment
    env: PathBuf,
    /// The directory of the backup
    target: PathBuf,
}

#[derive(Serialize)]
struct BackupJson {
    backup: PathBuf,
    commit: u64,
    time: Time,
    files: u64,
    bytes: u64,
    seconds: f64,
}

impl Backup {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let env = open::for_writing(&self.env, output)?;
        let progress = Progress::new("backing up");
        let shown = |at: cairndb::backup::Progress| progress.set(at.done, Some(at.total));
        let report = backup(&env, &self.target, &BackupOptions::default().progress(&shown))?;
        env.close()?;
        let elapsed = progress.elapsed();
        drop(progress);
        output.line(format_args!(
            "backed up commit {} of {} as {}: {}, {}, read back and equal, in {}",
            report.commit,
            Time(report.time),
            self.target.display(),
            several(report.files, "file"),
            size(report.bytes),
            seconds(elapsed)
        ))?;
        output.json(&BackupJson {
            backup: self.target,
            commit: report.commit,
            time: Time(report.time),
            files: report.files,
            bytes: report.bytes,
            seconds: elapsed.as_secs_f64(),
        })?;
        Ok(Exit::Good)
    }
}
