//! `cairn backup`: a copy of one commit, verified while it is made and once more, published last.

use std::path::PathBuf;

use cairndb::backup::{BackupOptions, backup};
use serde::Serialize;

use crate::{
    Outcome,
    exit::Exit,
    keys::KeyArgs,
    open,
    output::Output,
    progress::Progress,
    text::{Time, seconds, several, size},
};

/// Back an environment up into a new or empty directory
///
/// A backup is the state of all databases at one commit. It is read back and compared before its
/// manifest makes it a backup, so one that was cut short is none.
///
/// With --since, files that have not changed since an earlier backup are linked instead of copied
/// (where the file system can), after they were read and compared. The new backup needs no other: the
/// earlier one can be removed. While both are there they share these bytes on the disk.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  cairn backup data backups/monday
  cairn backup data backups/tuesday --since backups/monday
  cairn verify backups/monday"
)]
pub(crate) struct Backup {
    /// The directory of the environment
    env: PathBuf,
    /// The directory of the backup
    target: PathBuf,
    /// An earlier backup of this environment, to share unchanged files with
    #[arg(long, value_name = "BACKUP")]
    since: Option<PathBuf>,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct BackupJson {
    backup: PathBuf,
    commit: u64,
    time: Time,
    files: u64,
    bytes: u64,
    linked_files: u64,
    linked_bytes: u64,
    damaged_in_previous: Vec<String>,
    seconds: f64,
}

impl Backup {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let env = open::for_reading(&self.env, &self.unlock)?;
        let progress = Progress::new("backing up");
        let shown = |at: cairndb::backup::Progress| progress.set(at.done, Some(at.total));
        let mut options = BackupOptions::default().progress(&shown);
        if let Some(previous) = &self.since {
            options = options.since(previous);
        }
        let report = backup(&env, &self.target, &options)?;
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
        if let Some(previous) = &self.since {
            output.line(format_args!(
                "shared with {2}: {0}, {1}",
                several(report.linked_files, "file"),
                size(report.linked_bytes),
                previous.display()
            ))?;
        }
        for damage in &report.previous_damaged {
            output.note(format_args!(
                "a file of the earlier backup was copied from the environment instead: {damage}"
            ));
        }
        output.json(&BackupJson {
            backup: self.target,
            commit: report.commit,
            time: Time(report.time),
            files: report.files,
            bytes: report.bytes,
            linked_files: report.linked_files,
            linked_bytes: report.linked_bytes,
            damaged_in_previous: report.previous_damaged,
            seconds: elapsed.as_secs_f64(),
        })?;
        Ok(Exit::Good)
    }
}
