//! `cairn find-last`: the newest point that has a key.

use std::{ffi::OsString, os::unix::ffi::OsStringExt, path::PathBuf};

use cairndb::backup::{Sought, Which};
use serde::Serialize;

use super::compare::Points;
use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    output::Output,
    progress::Progress,
    saved::EnvironmentArgs,
    text::{self, Time, several},
};

/// Find the newest point of a repository that has a key, and the one that has lost it
///
/// The points are opened where they lie, the newest first, until one has it. KEY is looked for in
/// the database `main`, in the one that --db names, or in a key-value store with --store; with
/// --sql it is a query of a SQL file, which gives a row where there is what is looked for. A point
/// that cannot be read is passed over, and said. Exit code 1 means that no point has it.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn find-last backups ada
  cairn find-last backups tea --store notes
  cairn find-last backups 'SELECT 1 FROM users WHERE id = 7' --sql app.db"
)]
pub(crate) struct FindLast {
    /// The directory of the repository
    repo: PathBuf,
    /// The key, or with --sql a query
    key: OsString,
    /// In the key-value store with this id
    #[arg(long, value_name = "ID", conflicts_with_all = ["db", "sql", "hex"])]
    store: Option<String>,
    /// In this database
    #[arg(long, value_name = "NAME", default_value = "main")]
    db: String,
    /// In this SQL file: the key is a query
    #[arg(long, value_name = "FILE", conflicts_with_all = ["hex", "db"])]
    sql: Option<String>,
    /// The key is written in hexadecimal
    #[arg(long)]
    hex: bool,
    #[command(flatten)]
    of: EnvironmentArgs,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct FindLastJson {
    repository: PathBuf,
    point: Option<u64>,
    label: Option<String>,
    commit: Option<u64>,
    time: Option<Time>,
    lost_in: Option<u64>,
    looked_into: u64,
    nowhere: Option<String>,
    unreadable: Vec<UnreadableJson>,
}

#[derive(Serialize)]
struct UnreadableJson {
    point: u64,
    problem: String,
}

impl FindLast {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let sought = self.sought()?;
        let repository = self.unlock.repo.open(&self.repo)?;
        let environment = self.of.uuid()?;
        let points = Points { repository: &repository, of: &self.of, unlock: &self.unlock };
        let is_encrypted = || {
            let found = repository.find(environment, &Which::Newest);
            found.is_ok_and(|(_, point)| point.keyring.is_some())
        };
        let how = points.how(&self.repo, is_encrypted)?;
        let progress = Progress::new("looking");
        let found = repository.find_last(environment, &sought, &how)?;
        drop(progress);
        for (point, problem) in &found.unreadable {
            output.line(format_args!("point {point} cannot be read: {problem}"))?;
        }
        let looked = several(found.looked_into, "point");
        match (&found.found, found.lost_in) {
            (None, _) => match &found.nowhere {
                None => output.line(format_args!("no point has it: {looked} looked into"))?,
                Some(why) => output.line(format_args!(
                    "no point has it: {looked} looked into, and in none of them there is anything to look at: {why}"
                ))?,
            },
            (Some((number, point)), None) => output.line(format_args!(
                "point {number} has it, the newest one: commit {} of {}",
                point.cut.commit,
                Time(point.cut.time)
            ))?,
            (Some((number, point)), Some(lost)) => output.line(format_args!(
                "point {number} has it: commit {} of {}; point {lost} has it no more ({looked} looked into)",
                point.cut.commit,
                Time(point.cut.time)
            ))?,
        }
        let exit = if found.found.is_some() { Exit::Good } else { Exit::Findings };
        let unreadable = found.unreadable.into_iter();
        let point = found.found.as_ref();
        output.json(&FindLastJson {
            repository: self.repo,
            point: point.map(|(number, _)| *number),
            label: point.and_then(|(_, point)| point.label.clone()),
            commit: point.map(|(_, point)| point.cut.commit),
            time: point.map(|(_, point)| Time(point.cut.time)),
            lost_in: found.lost_in,
            looked_into: found.looked_into,
            nowhere: found.nowhere,
            unreadable: unreadable
                .map(|(point, problem)| UnreadableJson { point, problem })
                .collect(),
        })?;
        Ok(exit)
    }

    /// What is looked for.
    fn sought(&self) -> Result<Sought, Failure> {
        let bytes = self.key.clone().into_vec();
        let Self { store, sql, db, hex, .. } = self;
        match (store, sql) {
            (Some(store), _) => Ok(Sought::KeyValue { store: store.clone(), key: bytes }),
            (_, Some(file)) => match String::from_utf8(bytes) {
                Ok(query) => Ok(Sought::Sql { file: file.clone(), query }),
                Err(_) => Err(Failure::usage("the query is no text")),
            },
            _ => {
                let key = if *hex { text::unhex(&bytes) } else { Some(bytes) };
                let key = key.ok_or_else(|| Failure::usage("the key is not hexadecimal"))?;
                Ok(Sought::Entry { database: db.clone(), key })
            }
        }
    }
}
