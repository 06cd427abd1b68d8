//! `cairn sql ENV FILE SQL`: statements, one after the other.

use std::{io::IsTerminal, path::PathBuf};

use cairndb::sql::{
    Access, SqlFiles, SqliteConnections, TransferError,
    rusqlite::{self, Batch, Connection, fallible_iterator::FallibleIterator as _},
};

use super::{of_sqlite, print::Style, shell};
use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    open,
    output::Output,
    saved::{EnvironmentArgs, no_repository},
};

#[derive(clap::Args)]
pub(super) struct Query {
    /// The directory of the environment
    #[arg(required = true)]
    env: Option<PathBuf>,
    /// The name of the SQL file
    #[arg(required = true)]
    file: Option<String>,
    /// One statement or several; `.tables` and `.schema` work as well (default: a shell)
    sql: Option<String>,
    /// Print rows as comma-separated values
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    of: EnvironmentArgs,
    #[command(flatten)]
    unlock: KeyArgs,
}

impl Query {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let style = if self.csv { Style::Csv } else { Style::Table };
        let (Some(path), Some(file)) = (&self.env, &self.file) else {
            return Err(Failure::usage("an environment and a SQL file are needed"));
        };
        let Some(sql) = &self.sql else {
            if self.of.uuid()?.is_some() {
                return Err(no_repository(path)); // a shell writes
            }
            let env = open::for_writing(path, &self.unlock, output)?;
            let connection = connect(&env, file, Access::Create)?;
            let ended = shell::run(&connection, style, output);
            drop(connection);
            env.close()?;
            return ended;
        };
        let sql = match sql.strip_prefix('.') {
            Some(command) => shell::sql_of(command).ok_or_else(|| {
                let what = format!("there is no command {sql:?} outside of the shell");
                Failure::usage(what).advise("`.tables` and `.schema` work here")
            })?,
            None => sql,
        };
        {
            let env = open::for_reading_of(path, &self.unlock, &self.of)?;
            let is_there = SqlFiles::of(&env).exists(file)?;
            let connection = match is_there {
                true => connect(&env, file, Access::ReadOnly)?,
                false => check(Connection::open_in_memory())?,
            };
            match (only_reads(&connection, sql), is_there) {
                (true, true) => return run(&connection, sql, style, output).map(|()| Exit::Good),
                (true, false) => return Err(TransferError::NotFound { name: file.clone() }.into()),
                (false, _) => {}
            }
        }
        let env = open::for_writing(path, &self.unlock, output)?;
        let connection = connect(&env, file, Access::Create)?;
        let result = run(&connection, sql, style, output);
        drop(connection);
        env.close()?;
        result.map(|()| Exit::Good)
    }
}

fn connect(env: &cairndb::Environment, file: &str, access: Access) -> Result<Connection, Failure> {
    env.sqlite_connection(file, access).map_err(|error| of_sqlite(&error))
}

/// Whether all statements can be understood by what is there already, and change nothing.
fn only_reads(connection: &Connection, sql: &str) -> bool {
    let mut batch = Batch::new(connection, sql);
    loop {
        match batch.next() {
            Ok(Some(statement)) if statement.readonly() => {}
            Ok(None) => return true,
            Ok(Some(_)) | Err(_) => return false,
        }
    }
}

/// Runs statements, and prints what they give.
pub(super) fn run(
    connection: &Connection,
    sql: &str,
    style: Style,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut batch = Batch::new(connection, sql);
    while let Some(mut statement) = batch.next().map_err(|error| of_sqlite(&error))? {
        if statement.column_count() > 0 {
            style.rows(&mut statement, output)?;
        } else {
            let changed = statement.execute([]).map_err(|error| of_sqlite(&error))?;
            let counts = ["insert", "update", "delete", "replace", "with"];
            let is_counted = statement.expanded_sql().is_some_and(|sql| {
                let first = sql.split_whitespace().next().unwrap_or_default();
                counts.iter().any(|word| first.eq_ignore_ascii_case(word))
            });
            let changed = if is_counted { changed } else { 0 };
            output.json(&serde_json::json!({ "changed": changed }))?;
        }
    }
    Ok(())
}

/// Whether somebody types.
pub(super) fn is_typed() -> bool {
    std::io::stdin().is_terminal()
}

/// What SQLite answers, or a failure.
pub(super) fn check<T>(result: rusqlite::Result<T>) -> Result<T, Failure> {
    result.map_err(|error| of_sqlite(&error))
}
