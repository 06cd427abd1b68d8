//! `cairn archive create`: databases go into a new file.

use std::path::PathBuf;

use cairndb::{
    DatabaseKind,
    archive::{ExportOptions, StoreInfo, export_to},
};
use serde::Serialize;

use super::{super::compression::CompressionArgs, DatabaseJson, list, shown};
use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    open,
    output::Output,
    progress::Progress,
    saved::EnvironmentArgs,
    text::{Time, seconds, several, size},
};

/// Write databases into a new archive, as they are at one commit
///
/// An application may have the environment open meanwhile. Of an encrypted environment the archive is
/// encrypted, for whoever has a key of the environment.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn archive create data monday.cairn
  cairn archive create data people.cairn --db people --level 12"
)]
pub(super) struct Create {
    /// The directory of the environment
    env: PathBuf,
    /// The file, in a directory that is there
    archive: PathBuf,
    /// A database, with its indexes; may be given several times (default: all)
    #[arg(long = "db", value_name = "DATABASE")]
    databases: Vec<String>,
    #[command(flatten)]
    compression: CompressionArgs,
    /// Take the place of an archive of this name, once the new one is verified
    #[arg(long)]
    replace: bool,
    /// Write what an encrypted environment holds in the clear: whoever has the archive can read it
    #[arg(long)]
    in_the_clear: bool,
    #[command(flatten)]
    of: EnvironmentArgs,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct CreateJson<'a> {
    archive: PathBuf,
    uuid: String,
    commit: u64,
    databases: Vec<DatabaseJson<'a>>,
    entries: u64,
    bytes: u64,
    encrypted: bool,
    digest: String,
    seconds: f64,
}

impl Create {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let env = open::for_reading_of(&self.env, &self.unlock, &self.of)?;
        let snapshot = env.snapshot()?;
        let mut names = self.databases;
        if names.is_empty() {
            let own = snapshot.databases()?;
            let own = own.into_iter().filter(|database| database.kind() != DatabaseKind::Index);
            names = own.map(|database| database.name().to_owned()).collect();
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let progress = Progress::new("archiving");
        let shown = shown(&progress);
        let mut options = ExportOptions::default()
            .compression(self.compression.into())
            .replace(self.replace)
            .progress(Some(&shown));
        if self.in_the_clear {
            options = options.in_the_clear();
        }
        if self.in_the_clear && !env.is_encrypted() {
            return Err(Failure::usage(
                "the environment is not encrypted, so nothing is kept from \
                 lying in the clear",
            ));
        }
        let store = StoreInfo::databases();
        let report = export_to(&env, &snapshot, &store, &names, &self.archive, &options)?;
        drop((snapshot, options));
        env.close()?;
        let elapsed = progress.elapsed();
        output.line(format_args!(
            "archived commit {} of {} as {}: {}, {}{}, read back and equal, in {}",
            report.header.commit,
            Time(report.header.created),
            self.archive.display(),
            several(report.totals.entries(), "entry"),
            size(report.bytes),
            if report.key_epoch.is_some() { ", encrypted" } else { "" },
            seconds(elapsed),
        ))?;
        list(output, &report.header.databases)?;
        output.json(&CreateJson {
            archive: self.archive,
            uuid: report.archive.to_string(),
            commit: report.header.commit,
            databases: DatabaseJson::all(&report.header.databases),
            entries: report.totals.entries(),
            bytes: report.bytes,
            encrypted: report.key_epoch.is_some(),
            digest: report.totals.digest.to_string(),
            seconds: elapsed.as_secs_f64(),
        })?;
        Ok(Exit::Good)
    }
}
