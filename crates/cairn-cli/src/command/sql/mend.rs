//! `cairn sql compact`, `salvage`: a file is written anew, or what can be read of a damaged one is brought into a store.

use cairndb::sql::{RdbStore, SqlFiles};
use serde::Serialize;

use super::Place;
use crate::{Outcome, exit::Exit, open, output::Output, text};

#[derive(Serialize)]
struct CompactJson<'a> {
    file: &'a str,
    before: u64,
    after: u64,
}

/// Write a SQL file anew, without what it does not use
///
/// What was written takes the place of the file in one commit; whoever reads it goes on.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn sql compact data app.db")]
pub(super) struct Compact {
    #[command(flatten)]
    place: Place,
}

impl Compact {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let Place { env, file, unlock } = &self.place;
        let env = open::for_writing(env, unlock, output)?;
        let report = SqlFiles::of(&env).compact(file)?;
        env.close()?;
        let (before, after) = (report.before, report.after);
        output.line(format_args!("{file}: {}, was {}", text::size(after), text::size(before)))?;
        output.json(&CompactJson { file, before, after })?;
        Ok(Exit::Good)
    }
}

#[derive(Serialize)]
struct TableJson<'a> {
    table: &'a str,
    rows: u64,
    complete: bool,
    gaps: &'a [(i64, i64)],
}

#[derive(Serialize)]
struct SalvageJson<'a> {
    file: &'a str,
    damaged: &'a str,
    left_out: &'a [String],
    complete: bool,
}

/// Bring what can be read of a damaged SQL file into a relational store
///
/// It comes in one commit. A store that is rebuilt leaves such a file, `STORE.damaged-1`. Exit code 1 means that
/// not everything could be read.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn sql salvage data app.db app.db.damaged-1")]
pub(super) struct Salvage {
    #[command(flatten)]
    place: Place,
    /// The name of the damaged SQL file
    damaged: String,
}

impl Salvage {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let Place { env, file, unlock } = &self.place;
        let env = open::for_writing(env, unlock, output)?;
        let store = RdbStore::open(&env, RdbStore::recorded_config(&env, file)?)?;
        let report = store.salvage(&self.damaged)?;
        store.close();
        drop(store);
        env.close()?;
        for table in &report.tables {
            let name = text::escape(table.name.as_bytes());
            output.line(format_args!("{name}: {} rows", table.rows))?;
            for (from, to) in &table.gaps {
                output.line(format_args!("{name}: rowids {from} to {to} could not be read"))?;
            }
            if !table.is_complete && table.gaps.is_empty() {
                output.line(format_args!("{name}: not all of it could be read"))?;
            }
            let (rows, complete, gaps) = (table.rows, table.is_complete, &table.gaps[..]);
            output.json(&TableJson { table: &table.name, rows, complete, gaps })?;
        }
        for name in &report.left_out {
            output.line(format_args!("{}: left out", text::escape(name.as_bytes())))?;
        }
        let complete = report.is_complete();
        let (damaged, left_out) = (&self.damaged, &report.left_out[..]);
        output.json(&SalvageJson { file, damaged, left_out, complete })?;
        Ok(if complete { Exit::Good } else { Exit::Findings })
    }
}
