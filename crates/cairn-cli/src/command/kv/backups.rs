//! `cairn kv backup`, `restore`, `backups`, `delete-backup`: the backups of one store.

use std::{ops::ControlFlow, path::Path};

use cairndb::kv::{BackupInfo, BackupOptions, BackupPlace, DeleteStatus, KvStore};
use serde::Serialize;

use super::{super::compression::CompressionArgs, Place};
use crate::{
    Outcome,
    exit::{Exit, Failure},
    open,
    output::Output,
    progress::Progress,
    text::{self, Time, several},
};

#[derive(Serialize)]
struct BackupJson<'a> {
    backup: &'a str,
    commit: u64,
    time: Time,
    entries: u64,
    archive_bytes: u64,
    digest: String,
    encrypted: bool,
}

impl<'a> From<&'a BackupInfo> for BackupJson<'a> {
    fn from(backup: &'a BackupInfo) -> Self {
        Self {
            backup: &backup.name,
            commit: backup.commit,
            time: Time(backup.created),
            entries: backup.entries,
            archive_bytes: backup.bytes,
            digest: text::hex(&backup.digest),
            encrypted: backup.key_epoch.is_some(),
        }
    }
}

fn describe(backup: &BackupInfo) -> String {
    let encrypted = if backup.key_epoch.is_some() { ", encrypted" } else { "" };
    format!(
        "{}: commit {} of {}, {}{encrypted}, checked",
        backup.name,
        backup.commit,
        Time(backup.created),
        several(backup.entries, "entry"),
    )
}

/// Back a store up under a name, beside the environment
///
/// The archive lies in ENV.backups/STORE. It is read back before it takes its name, or the place of the
/// one that has it. An application may have the environment open meanwhile.
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_help = "Example:\n  cairn kv backup data notes BK001")]
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
        let env = open::for_reading(&self.place.env, &self.place.unlock)?;
        BackupPlace::beside(&self.place.env).attach(&env);
        let store = self.place.open(&env)?;
        let progress = Progress::new("backing up");
        let backup = store.backup_with(
            &self.name,
            BackupOptions::new().compression(self.compression.into()).progress(Some(&|at| {
                progress.set(at.bytes, at.bytes_total);
                ControlFlow::Continue(())
            })),
        )?;
        drop(progress);
        output.line(format_args!("{}", describe(&backup)))?;
        output.json(&BackupJson::from(&backup))?;
        Ok(Exit::Good)
    }
}

/// Put a backup in the place of what a store holds, in one commit
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cairn kv restore data notes BK001
  cairn kv restore data notes --latest")]
pub(super) struct Restore {
    #[command(flatten)]
    place: Place,
    /// Which one
    #[arg(required_unless_present = "latest", conflicts_with = "latest")]
    name: Option<String>,
    /// The newest one that is good
    #[arg(long)]
    latest: bool,
}

impl Restore {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let env = open::for_writing(&self.place.env, &self.place.unlock, output)?;
        BackupPlace::beside(&self.place.env).attach(&env);
        let store = self.place.open(&env)?;
        let progress = Progress::new("restoring");
        let restored = match &self.name {
            Some(name) => store.restore_with(
                name,
                BackupOptions::new().progress(Some(&|at| {
                    progress.set(at.bytes, at.bytes_total);
                    ControlFlow::Continue(())
                })),
            )?,
            None => store.restore_latest()?,
        };
        drop(progress);
        drop(store);
        env.close()?;
        output.line(format_args!("restored {}", describe(&restored)))?;
        output.json(&BackupJson::from(&restored))?;
        Ok(Exit::Good)
    }
}

/// List the backups of a store; each is read and checked
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn kv backups data notes")]
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
        let (_env, store) = backups_of(&self.place)?;
        let mut exit = Exit::Good;
        for listed in store.backups()? {
            match &listed.state {
                Ok(backup) => {
                    output.line(format_args!("{}", describe(backup)))?;
                    output.json(&BackupJson::from(backup))?;
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

/// Delete backups of a store
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn kv delete-backup data notes BK001 BK002")]
pub(super) struct DeleteBackup {
    #[command(flatten)]
    place: Place,
    /// Which ones
    #[arg(required = true)]
    names: Vec<String>,
}

#[derive(Serialize)]
struct DeletedJson<'a> {
    backup: &'a str,
    status: &'static str,
}

impl DeleteBackup {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let (_env, store) = backups_of(&self.place)?;
        let mut exit = Exit::Good;
        for (name, status) in store.delete_backup(&self.names)? {
            let status = match &status {
                DeleteStatus::Deleted => "deleted",
                DeleteStatus::NotFound => "not_found",
                DeleteStatus::Refused => "refused",
                _ => "failed",
            };
            if status != "deleted" {
                exit = Exit::Findings;
            }
            let said = status.replace('_', " ");
            output.line(format_args!("{}: {said}", text::escape(name.as_bytes())))?;
            output.json(&DeletedJson { backup: &name, status })?;
        }
        Ok(exit)
    }
}

/// A store whose backups are looked at.
fn backups_of(place: &Place) -> Result<(cairndb::Environment, KvStore), Failure> {
    let env = open::for_reading(&place.env, &place.unlock)?;
    BackupPlace::beside(Path::new(&place.env)).attach(&env);
    let store = place.open(&env)?;
    Ok((env, store))
}
