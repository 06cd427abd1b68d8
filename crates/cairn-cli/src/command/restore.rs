//! `cairn restore`: a backup becomes an environment, once everything in it was proved.

use std::path::PathBuf;

use cairndb::{
    ErrorKind,
    backup::{RestoreOptions, restore},
};
use serde::Serialize;

use crate::{
    Outcome,
    exit::{Exit, Failure},
    output::Output,
    progress::Progress,
    text::{Time, count, seconds, several, size},
};

/// Restore a backup into a new or empty directory
///
/// Every file is compared with the manifest, the journal is replayed, and all trees and values
/// are read, before the directory opens as an environment. A restore that was cut short is
/// started over by running the same command again.
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_help = "Example:\n  cairn restore backups/monday data")]
pub(crate) struct Restore {
    /// The directory of the backup
    backup: PathBuf,
    /// The directory of the environment: new, empty, or holding a restore that was cut short
    env: PathBuf,
}

#[derive(Serialize)]
struct RestoreJson {
    environment: PathBuf,
    commit: u64,
    time: Time,
    files: u64,
    bytes: u64,
    entries: u64,
    timeline: String,
    seconds: f64,
}

impl Restore {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let progress = Progress::new("restoring");
        let shown = |at: cairndb::backup::Progress| progress.set(at.done, Some(at.total));
        let options = RestoreOptions::default().progress(&shown);
        let report = restore(&self.backup, &self.env, &options).map_err(|error| {
            let not_empty = error.kind() == ErrorKind::InvalidInput;
            let failure = Failure::from(error);
            if not_empty {
                failure.advise("choose another path; nothing was changed")
            } else {
                failure
            }
        })?;
        let elapsed = progress.elapsed();
        drop(progress);
        output.line(format_args!(
            "restored commit {} of {} into {}: {}, {}; {} entries read, in {}",
            report.commit,
            Time(report.time),
            self.env.display(),
            several(report.files, "file"),
            size(report.bytes),
            count(report.entries),
            seconds(elapsed)
        ))?;
        output.json(&RestoreJson {
            environment: self.env,
            commit: report.commit,
            time: Time(report.time),
            files: report.files,
            bytes: report.bytes,
            entries: report.entries,
            timeline: report.timeline.to_string(),
            seconds: elapsed.as_secs_f64(),
        })?;
        Ok(Exit::Good)
    }
}
