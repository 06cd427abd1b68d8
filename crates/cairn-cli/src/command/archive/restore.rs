//! `cairn archive restore`: the databases of an archive take the places of those of an environment.

use std::path::PathBuf;

use cairndb::archive::{ArchiveFile, ArchiveKeys, ImportOptions, StoreInfo, import};
use serde::Serialize;

use super::{DatabaseJson, list, shown};
use crate::{
    Outcome,
    exit::Exit,
    keys::{ArchiveKeyArgs, KeyArgs},
    open,
    output::Output,
    progress::Progress,
    text::{seconds, several},
};

/// Put the databases of an archive in the place of those of an environment, in one commit
///
/// All of the archive is verified before anything changes. Databases that it does not have stay as
/// they are. Nobody may have the environment open. `cairn clean` gives the space of what was there back
/// at once.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn archive restore monday.cairn data
  cairn archive restore monday.cairn other --other-environment"
)]
pub(super) struct Restore {
    /// The file
    archive: PathBuf,
    /// The directory of the environment
    env: PathBuf,
    /// Restore although the archive is from another environment
    #[arg(long)]
    other_environment: bool,
    /// Restore an encrypted archive although the environment is not encrypted
    #[arg(long)]
    in_the_clear: bool,
    #[command(flatten)]
    unlock: KeyArgs,
    #[command(flatten)]
    archive_key: ArchiveKeyArgs,
}

#[derive(Serialize)]
struct RestoreJson<'a> {
    archive: PathBuf,
    uuid: String,
    commit: u64,
    archived_commit: u64,
    databases: Vec<DatabaseJson<'a>>,
    entries: u64,
    digest: String,
    seconds: f64,
}

impl Restore {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let archive = ArchiveFile::at(&self.archive)?;
        // A wrong path is said before recovery changes anything.
        archive.key_epoch()?;
        let env = open::for_writing(&self.env, &self.unlock, output)?;
        let progress = Progress::new("restoring");
        let shown = shown(&progress);
        let key = self.archive_key.key()?;
        let mut options = ImportOptions::default()
            .keys(key.map_or_else(ArchiveKeys::none, ArchiveKeys::from))
            .other_store(self.other_environment)
            .progress(Some(&shown));
        if self.in_the_clear {
            options = options.in_the_clear();
        }
        let report = import(&env, &archive, &StoreInfo::databases(), &options)?;
        env.close()?;
        let elapsed = progress.elapsed();
        let header = &report.archive.header;
        output.line(format_args!(
            "restored commit {} of {} as commit {} of {}: {}, in {}",
            header.commit,
            self.archive.display(),
            report.commit,
            self.env.display(),
            several(report.archive.totals.entries(), "entry"),
            seconds(elapsed)
        ))?;
        list(output, &header.databases)?;
        output.json(&RestoreJson {
            archive: self.archive,
            uuid: report.archive.archive.to_string(),
            commit: report.commit,
            archived_commit: header.commit,
            databases: DatabaseJson::all(&header.databases),
            entries: report.archive.totals.entries(),
            digest: report.archive.totals.digest.to_string(),
            seconds: elapsed.as_secs_f64(),
        })?;
        Ok(Exit::Good)
    }
}
