//! `cairn sql import`, `export`: from and to files of SQLite's own.

use std::{ops::ControlFlow, path::PathBuf};

use cairndb::sql::{PlainOptions, SqlFiles};
use serde::Serialize;

use super::Place;
use crate::{
    Outcome,
    exit::{Exit, Failure},
    open,
    output::Output,
    progress::Progress,
    saved::EnvironmentArgs,
    text,
};

#[derive(Serialize)]
struct PlainJson<'a> {
    file: &'a str,
    path: &'a PathBuf,
    bytes: u64,
}

/// Put a database of SQLite's in the place of a SQL file, in one commit
///
/// SQLite checks all of it first. What a log beside it (`-wal`) holds comes along.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn sql import data app.db people.db")]
pub(super) struct Import {
    #[command(flatten)]
    place: Place,
    /// The database of SQLite's
    path: PathBuf,
    /// Take the place of a SQL file that is there
    #[arg(long)]
    replace: bool,
}

impl Import {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let Place { env, file, unlock } = &self.place;
        let env = open::for_writing(env, unlock, output)?;
        let files = SqlFiles::of(&env);
        if !self.replace && files.exists(file)? {
            return Err(Failure::exists(format_args!("there is a SQL file {file:?} already"))
                .advise("choose another name, or add --replace"));
        }
        let progress = Progress::new("importing");
        let report = |at: cairndb::sql::TransferProgress| {
            progress.set(at.bytes, Some(at.total));
            ControlFlow::Continue(())
        };
        let options = PlainOptions::default().progress(Some(&report));
        let bytes = files.import_sqlite(file, &self.path, options)?;
        drop((progress, files));
        env.close()?;
        output.line(format_args!("imported {file}: {}, checked", text::size(bytes)))?;
        output.json(&PlainJson { file, path: &self.path, bytes })?;
        Ok(Exit::Good)
    }
}

/// Write a SQL file as of one commit to a database of SQLite's own
///
/// It is read back before it takes its name. An application may have the environment open meanwhile.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn sql export data app.db people.db")]
pub(super) struct Export {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    of: EnvironmentArgs,
    /// The file, in a directory that is there
    path: PathBuf,
    /// Take the place of a file of this name
    #[arg(long)]
    replace: bool,
    /// Write what an encrypted environment holds in the clear: whoever has the file can read it
    #[arg(long)]
    in_the_clear: bool,
}

impl Export {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let (_env, files) = self.place.for_reading(&self.of)?;
        let progress = Progress::new("exporting");
        let report = |at: cairndb::sql::TransferProgress| {
            progress.set(at.bytes, Some(at.total));
            ControlFlow::Continue(())
        };
        let mut options = PlainOptions::default().replace(self.replace).progress(Some(&report));
        options.in_the_clear = self.in_the_clear;
        let file = &self.place.file;
        let bytes = files.export_sqlite(file, &self.path, options)?;
        drop(progress);
        output.line(format_args!(
            "exported {file} to {}: {}, read back",
            self.path.display(),
            text::size(bytes)
        ))?;
        output.json(&PlainJson { file, path: &self.path, bytes })?;
        Ok(Exit::Good)
    }
}
