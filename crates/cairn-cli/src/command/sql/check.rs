//! `cairn sql check`: SQLite's own check of a file.

use cairndb::{
    Environment,
    sql::{Access, SqlFiles, SqliteConnections},
};
use serde::Serialize;

use super::{Place, of_sqlite, query::check};
use crate::{
    Outcome,
    exit::{Exit, Failure},
    output::Output,
    saved::EnvironmentArgs,
};

/// Let SQLite check all of a file: its trees, its indexes, its free pages
///
/// `cairn verify` checks what lies below it: every byte of the environment.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn sql check data app.db")]
pub(super) struct Check {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    of: EnvironmentArgs,
}

#[derive(Serialize)]
struct FindingJson<'a> {
    finding: &'a str,
}

#[derive(Serialize)]
struct CheckJson<'a> {
    file: &'a str,
    findings: usize,
}

impl Check {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let (env, _) = self.place.for_reading(&self.of)?;
        let file = &self.place.file;
        let mut findings = 0;
        look(&env, file, |finding| {
            findings += 1;
            output.line(format_args!("{finding}"))?;
            output.json(&FindingJson { finding })
        })?;
        if findings == 0 {
            output.line(format_args!("{file}: ok"))?;
        }
        output.json(&CheckJson { file, findings })?;
        Ok(if findings == 0 { Exit::Good } else { Exit::Findings })
    }
}

/// What SQLite finds in a file, as it finds it.
fn look(
    env: &Environment,
    file: &str,
    mut found: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let connection = env.sqlite_connection(file, Access::ReadOnly);
    let connection = connection.map_err(|error| of_sqlite(&error))?;
    let mut statement = check(connection.prepare("PRAGMA integrity_check"))?;
    let mut rows = check(statement.query([]))?;
    while let Some(row) = check(rows.next())? {
        let finding: String = check(row.get(0))?;
        if finding != "ok" {
            found(&finding)?;
        }
    }
    Ok(())
}

/// The check of all files of an environment; what is found first is the error.
pub(in crate::command) fn check_all(env: &Environment) -> Result<(), String> {
    let files = SqlFiles::of(env).names().map_err(|error| error.to_string())?;
    for file in files {
        let mut first = None;
        let looked = look(env, &file, |finding| {
            first.get_or_insert_with(|| finding.to_owned());
            Ok(())
        });
        looked.map_err(|failure| format!("{file}: {}", failure.message()))?;
        if let Some(finding) = first {
            return Err(format!("SQLite finds in {file}: {finding}"));
        }
    }
    Ok(())
}
