//! `cairn sql backup`, `restore`, `backups`, `delete-backup`: the backups of one SQL file.

use std::ops::ControlFlow;

use cairndb::{
    Environment,
    archive::{ArchiveReport, BackupPlace, ExportOptions, ImportOptions},
    sql::{RdbStore, SqlFiles},
};
use serde::Serialize;

use super::{super::compression::CompressionArgs, Place};
use crate::{
    Outcome,
    exit::{Exit, Failure},
    open,
    output::Output,
    progress::Progress,
    saved::EnvironmentArgs,
    text::{self, Time, size},
};

#[derive(Serialize)]
struct BackupJson<'a> {
    backup: &'a str,
    commit: u64,
    time: Time,
    archive_bytes: u64,
    digest: String,
    encrypted: bool,
}

impl<'a> BackupJson<'a> {
    fn new(name: &'a str, report: &ArchiveReport) -> Self {
        Self {
            backup: name,
            commit: report.header.commit,
            time: Time(report.header.created),
            archive_bytes: report.bytes,
            digest: text::hex(&report.totals.digest.0),
            encrypted: report.key_epoch.is_some(),
        }
    }
}

fn describe(name: &str, report: &ArchiveReport) -> String {
    let encrypted = if report.key_epoch.is_some() { ", encrypted" } else { "" };
    format!(
        "{name}: commit {} of {}, {}{encrypted}, checked",
        report.header.commit,
        Time(report.header.created),
        size(report.bytes),
    )
}

/// Back a SQL file up under a name, beside the environment
///
/// The archive lies in ENV.backups/FILE-sql. It is read back before it takes its name, or the place of
/// the one that has it. An application may have the environment open meanwhile.
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_help = "Example:\n  cairn sql backup data app.db monday")]
pub(super) struct Backup {
    #[command(flatten)]
    place: Place,
    /// What it is to be called
    name: String,
    #[command(flatten)]
    compression: CompressionArgs,
}

impl Backup {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let (env, files) = self.place.for_reading(&EnvironmentArgs::default())?;
        BackupPlace::beside(&self.place.env).attach(&env);
        let progress = Progress::new("backing up");
        let report = |at: cairndb::archive::Progress| {
            progress.set(at.bytes, at.bytes_total);
            ControlFlow::Continue(())
        };
        let options =
            ExportOptions::default().compression(self.compression.into()).progress(Some(&report));
        let file = &self.place.file;
        let backup = match store(&env, file)? {
            Some(store) => store.backup_with(&self.name, &options)?,
            None => files.back_up_as(file, &self.name, &[], &options)?,
        };
        drop(progress);
        output.line(format_args!("{}", describe(&self.name, &backup)))?;
        output.json(&BackupJson::new(&self.name, &backup))?;
        Ok(Exit::Good)
    }
}

/// Put a backup in the place of what a SQL file holds, in one commit
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn sql restore data app.db monday")]
pub(super) struct Restore {
    #[command(flatten)]
    place: Place,
    /// Which one
    name: String,
}

impl Restore {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let Place { env: path, file, unlock } = &self.place;
        let env = open::for_writing(path, unlock, output)?;
        BackupPlace::beside(path).attach(&env);
        let files = SqlFiles::of(&env);
        let progress = Progress::new("restoring");
        let report = |at: cairndb::archive::Progress| {
            progress.set(at.bytes, at.bytes_total);
            ControlFlow::Continue(())
        };
        let options = ImportOptions::default().progress(Some(&report));
        let restored = match store(&env, file)? {
            Some(store) => store.restore_with(&self.name, &options)?,
            None => files.restore_named(file, &self.name, &options)?.archive,
        };
        drop((progress, files));
        env.close()?;
        output.line(format_args!("restored {}", describe(&self.name, &restored)))?;
        output.json(&BackupJson::new(&self.name, &restored))?;
        Ok(Exit::Good)
    }
}

/// The store whose file this is, if it is one's: its backups say of which level it was.
fn store(env: &Environment, file: &str) -> Result<Option<RdbStore>, Failure> {
    if !RdbStore::names(env)?.iter().any(|name| name == file) {
        return Ok(None);
    }
    let config = RdbStore::recorded_config(env, file)?.read_only(env.options().read_only);
    Ok(Some(RdbStore::open(env, config)?))
}

/// List the backups of a SQL file; each is read and checked
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn sql backups data app.db")]
pub(super) struct Backups {
    #[command(flatten)]
    place: Place,
}

#[derive(Serialize)]
struct BadJson<'a> {
    backup: &'a str,
    problem: String,
}

impl Backups {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let env = open::for_reading(&self.place.env, &self.place.unlock)?;
        BackupPlace::beside(&self.place.env).attach(&env);
        let mut exit = Exit::Good;
        for listed in SqlFiles::of(&env).backups(&self.place.file)? {
            match &listed.state {
                Ok(report) => {
                    output.line(format_args!("{}", describe(&listed.name, report)))?;
                    output.json(&BackupJson::new(&listed.name, report))?;
                }
                Err(error) => {
                    exit = Exit::Findings;
                    output.line(format_args!("{}: {error}", listed.name))?;
                    let (backup, problem) = (listed.name.as_str(), error.to_string());
                    output.json(&BadJson { backup, problem })?;
                }
            }
        }
        Ok(exit)
    }
}

/// Delete a backup of a SQL file
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn sql delete-backup data app.db monday")]
pub(super) struct DeleteBackup {
    #[command(flatten)]
    place: Place,
    /// Which one
    name: String,
}

#[derive(Serialize)]
struct DeletedJson<'a> {
    deleted: &'a str,
}

impl DeleteBackup {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let env = open::for_reading(&self.place.env, &self.place.unlock)?;
        BackupPlace::beside(&self.place.env).attach(&env);
        SqlFiles::of(&env).delete_backup(&self.place.file, &self.name)?;
        output.line(format_args!("deleted {}", self.name))?;
        output.json(&DeletedJson { deleted: &self.name })?;
        Ok(Exit::Good)
    }
}
