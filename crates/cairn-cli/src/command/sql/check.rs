//! `cairn sql check`: SQLite's own check of a file.

use cairndb::sql::{Access, SqliteConnections};
use serde::Serialize;

use super::{Place, of_sqlite, query::check};
use crate::{Outcome, exit::Exit, output::Output};

/// Let SQLite check all of a file: its trees, its indexes, its free pages
///
/// `cairn verify` checks what lies below it: every byte of the environment.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn sql check data app.db")]
pub(super) struct Check {
    #[command(flatten)]
    place: Place,
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
        let (env, _) = self.place.for_reading()?;
        let file = &self.place.file;
        let connection = env.sqlite_connection(file, Access::ReadOnly);
        let connection = connection.map_err(|error| of_sqlite(&error))?;
        let mut statement = check(connection.prepare("PRAGMA integrity_check"))?;
        let mut rows = check(statement.query([]))?;
        let mut findings = 0;
        while let Some(row) = check(rows.next())? {
            let found: String = check(row.get(0))?;
            if found != "ok" {
                findings += 1;
                output.line(format_args!("{found}"))?;
                output.json(&FindingJson { finding: &found })?;
            }
        }
        if findings == 0 {
            output.line(format_args!("{file}: ok"))?;
        }
        output.json(&CheckJson { file, findings })?;
        Ok(if findings == 0 { Exit::Good } else { Exit::Findings })
    }
}
