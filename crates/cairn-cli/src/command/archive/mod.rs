//! `cairn archive`: databases of an environment as one file: made, looked at, verified, restored, compared.

mod create;
mod diff;
mod restore;
mod show;
mod verify;

use std::{ops::ControlFlow, path::Path};

use cairndb::{
    KeySource,
    archive::{ArchiveFile, ArchiveKeys, ArchivedDatabase},
};
use serde::Serialize;

use crate::{
    Outcome,
    exit::Failure,
    keys::KeyArgs,
    output::Output,
    progress::Progress,
    text::{escape, several},
};

/// Keep databases in one file: checked, compressed, encrypted like their environment
///
/// An archive holds databases of an environment at one commit, with their indexes. It is read back
/// before it has its name; a restore verifies all of it, and takes effect in one commit or not at
/// all. For everything in an environment at once, with its history, there is `cairn backup`.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn archive create data monday.cairn
  cairn archive show monday.cairn
  cairn archive verify monday.cairn
  cairn archive diff monday.cairn data
  cairn archive restore monday.cairn data"
)]
pub(crate) struct Archive {
    #[command(subcommand)]
    command: ArchiveCommand,
}

#[derive(clap::Subcommand)]
enum ArchiveCommand {
    Create(create::Create),
    Show(show::Show),
    Verify(verify::Verify),
    Restore(restore::Restore),
    Diff(diff::Diff),
}

impl Archive {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        match self.command {
            ArchiveCommand::Create(command) => command.run(output),
            ArchiveCommand::Show(command) => command.run(output),
            ArchiveCommand::Verify(command) => command.run(output),
            ArchiveCommand::Restore(command) => command.run(output),
            ArchiveCommand::Diff(command) => command.run(output),
        }
    }
}

/// A database of an archive, for programs.
#[derive(Serialize)]
struct DatabaseJson<'a> {
    name: &'a str,
    kind: String,
    entries: u64,
    index_of: Option<&'a str>,
}

impl<'a> DatabaseJson<'a> {
    fn all(databases: &'a [ArchivedDatabase]) -> Vec<Self> {
        let database = |database: &'a ArchivedDatabase| Self {
            name: &database.shape.name,
            kind: database.shape.options.kind.to_string(),
            entries: database.entries,
            index_of: database.shape.index.as_ref().map(|index| &*index.primary),
        };
        databases.iter().map(database).collect()
    }
}

/// A line for each database.
fn list(output: &mut Output, databases: &[ArchivedDatabase]) -> Result<(), Failure> {
    for ArchivedDatabase { shape, entries, .. } in databases {
        let name = escape(shape.name.as_bytes());
        let of = match &shape.index {
            Some(index) => format!(" of {}", escape(index.primary.as_bytes())),
            None => String::new(),
        };
        let (kind, entries) = (shape.options.kind, several(*entries, "entry"));
        output.line(format_args!("  {name}: {kind}{of}, {entries}"))?;
    }
    Ok(())
}

/// The key of an archive: what the options say; else, if it is encrypted and somebody is there, what they type.
fn key_of(path: &Path, unlock: &KeyArgs) -> Result<(ArchiveFile, Option<KeySource>), Failure> {
    let file = ArchiveFile::at(path)?;
    let is_encrypted = || file.key_epoch().is_ok_and(|epoch| epoch.is_some());
    let key = unlock.of(path, is_encrypted)?;
    Ok((file, key))
}

fn keys(key: Option<KeySource>) -> ArchiveKeys {
    key.map_or_else(ArchiveKeys::none, ArchiveKeys::from)
}

/// Shows how far it has come.
fn shown(
    progress: &Progress,
) -> impl Fn(cairndb::archive::Progress) -> ControlFlow<()> + Send + Sync + '_ {
    |at| {
        progress.set(at.bytes, at.bytes_total);
        ControlFlow::Continue(())
    }
}
