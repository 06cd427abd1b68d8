//! `cairn sql`: the SQL files of an environment.

mod backups;
mod check;
mod mend;
mod plain;
mod print;
mod query;
mod shell;

use std::path::PathBuf;

pub(super) use check::check_all;

use cairndb::{
    Environment, ErrorKind, Scope,
    sql::{RdbError, SqlFiles, TransferError, rusqlite, take_cause},
};
use serde::Serialize;

use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    open,
    output::Output,
    saved::EnvironmentArgs,
    text,
};

/// Run SQL on the SQL files of an environment: a statement, or a shell without one
///
/// What only reads works beside an application that has the environment open, on what was durable when
/// the command began. A file is created by the first statement that writes to it.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  cairn sql data app.db \"SELECT count(*) FROM people\"
  cairn sql data app.db \"SELECT * FROM people\" --csv
  cairn sql data app.db
  cairn sql import data app.db people.db
  cairn sql backup data app.db monday"
)]
pub(crate) struct Sql {
    #[command(subcommand)]
    command: Option<SqlCommand>,
    #[command(flatten)]
    query: query::Query,
}

#[derive(clap::Subcommand)]
enum SqlCommand {
    List(List),
    Check(check::Check),
    Backup(backups::Backup),
    Restore(backups::Restore),
    Backups(backups::Backups),
    DeleteBackup(backups::DeleteBackup),
    Import(plain::Import),
    Export(plain::Export),
    Compact(mend::Compact),
    Salvage(mend::Salvage),
}

impl Sql {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        match self.command {
            Some(SqlCommand::List(command)) => command.run(output),
            Some(SqlCommand::Check(command)) => command.run(output),
            Some(SqlCommand::Backup(command)) => command.run(output),
            Some(SqlCommand::Restore(command)) => command.run(output),
            Some(SqlCommand::Backups(command)) => command.run(output),
            Some(SqlCommand::DeleteBackup(command)) => command.run(output),
            Some(SqlCommand::Import(command)) => command.run(output),
            Some(SqlCommand::Export(command)) => command.run(output),
            Some(SqlCommand::Compact(command)) => command.run(output),
            Some(SqlCommand::Salvage(command)) => command.run(output),
            None => self.query.run(output),
        }
    }
}

/// Which SQL file of which environment.
#[derive(clap::Args)]
struct Place {
    /// The directory of the environment
    env: PathBuf,
    /// The name of the SQL file
    file: String,
    #[command(flatten)]
    unlock: KeyArgs,
}

impl Place {
    /// The environment for reading, and the file, which must be there.
    fn for_reading(&self, of: &EnvironmentArgs) -> Result<(Environment, SqlFiles), Failure> {
        let env = open::for_reading_of(&self.env, &self.unlock, of)?;
        let files = SqlFiles::of(&env);
        if !files.exists(&self.file)? {
            return Err(TransferError::NotFound { name: self.file.clone() }.into());
        }
        Ok((env, files))
    }
}

/// List the SQL files of an environment
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn sql list data")]
struct List {
    /// The directory of the environment
    env: PathBuf,
    #[command(flatten)]
    of: EnvironmentArgs,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct FileJson<'a> {
    file: &'a str,
    bytes: u64,
}

impl List {
    fn run(self, output: &mut Output) -> Outcome {
        let env = open::for_reading_of(&self.env, &self.unlock, &self.of)?;
        let files = SqlFiles::of(&env);
        for name in files.names()? {
            let bytes = files.len(&name)?;
            output.line(format_args!(
                "{}: {}",
                text::escape(name.as_bytes()),
                text::size(bytes)
            ))?;
            output.json(&FileJson { file: &name, bytes })?;
        }
        Ok(Exit::Good)
    }
}

impl From<TransferError> for Failure {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Env(error) => error.into(),
            TransferError::Io(error) => error.into(),
            TransferError::Archive(error) => error.into(),
            TransferError::Sqlite(error) => of_sqlite(&error),
            TransferError::NotFound { .. } => {
                Self::not_found(&error).advise("`cairn sql list ENV` lists the SQL files")
            }
            TransferError::NoSuchBackup { .. } => {
                Self::not_found(&error).advise("`cairn sql backups ENV FILE` lists them")
            }
            TransferError::Exists { .. } => {
                Self::exists(&error).advise("choose another path, or add --replace")
            }
            TransferError::WouldBePlain { .. } => Self::usage(&error)
                .advise("nothing was written; --in-the-clear if whoever has the file may read it"),
            TransferError::NotImportable { .. } => {
                Self::usage(&error).advise("nothing was changed; check the path")
            }
            error => Self::of_store(error.kind(), Scope::Store, &error),
        }
    }
}

impl From<RdbError> for Failure {
    fn from(error: RdbError) -> Self {
        match error {
            RdbError::Env(error) => error.into(),
            RdbError::Transfer(error) => error.into(),
            error => Self::of_store(error.kind(), error.scope(), &error),
        }
    }
}

/// What SQLite says, and the cause that it cannot tell.
fn of_sqlite(error: &rusqlite::Error) -> Failure {
    use rusqlite::ErrorCode;
    let message = match take_cause() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => ErrorKind::Corrupt,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ErrorKind::Busy,
        Some(ErrorCode::DiskFull) => ErrorKind::Full,
        Some(ErrorCode::SystemIoFailure) => ErrorKind::Io,
        _ => {
            return Failure::usage(message)
                .advise("check the statement; `cairn sql ENV FILE \".schema\"` shows the tables");
        }
    };
    Failure::of_store(kind, Scope::Store, message)
}
