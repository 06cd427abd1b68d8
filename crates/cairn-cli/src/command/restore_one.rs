//! `cairn restore --store`, `--sql`, `--table`, `--db`: one store, table or database of a backup, into an environment that is there.

use std::{
    ffi::OsString,
    ops::{Bound, ControlFlow},
    os::unix::ffi::OsStringExt as _,
    path::Path,
};

use cairn_io::{DirRef, RealDir};
use cairndb::{
    Environment,
    backup::{One, OneOptions, bring_one},
};
use serde::Serialize;

use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    open,
    output::Output,
    progress::Progress,
    text::{self, escape, seconds, several},
};

#[derive(clap::Args)]
pub(super) struct OneArgs {
    /// Only the key-value store with this id, into an environment that is there, in one commit
    #[arg(long, value_name = "ID", conflicts_with_all = ["sql", "db", "in_place"])]
    store: Option<String>,
    /// Only this SQL file, into an environment that is there, in one commit
    #[arg(long, value_name = "FILE", conflicts_with_all = ["db", "in_place"])]
    sql: Option<String>,
    /// With --sql: only this table, its indexes and triggers, into the SQL file there is
    #[arg(long, value_name = "TABLE", requires = "sql", conflicts_with = "name")]
    table: Option<String>,
    /// With --table: in place of the table that is there
    #[arg(long, requires = "table")]
    replace: bool,
    /// Only this database with its indexes, into an environment that is there, in one commit
    #[arg(long, value_name = "DATABASE", conflicts_with = "in_place")]
    db: Option<String>,
    /// With --db: only the keys from this one on
    #[arg(long, value_name = "KEY", requires = "db")]
    from_key: Option<OsString>,
    /// With --db: only the keys before this one
    #[arg(long, value_name = "KEY", requires = "db")]
    to_key: Option<OsString>,
    /// With --from-key and --to-key: they are hexadecimal
    #[arg(long)]
    hex: bool,
    /// With --store, --sql or --db: what it is called from then on
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
}

#[derive(Serialize)]
struct OneJson<'a> {
    environment: &'a Path,
    restored: &'a str,
    #[serde(rename = "as")]
    name: &'a str,
    commit: u64,
    entries: u64,
    seconds: f64,
}

impl OneArgs {
    /// What is wanted, if it is not all.
    pub(super) fn one(&self) -> Result<Option<One>, Failure> {
        let one = match self {
            Self { store: Some(id), .. } => One::KeyValue(id.clone()),
            Self { sql: Some(file), table: Some(table), .. } => {
                One::Table { file: file.clone(), table: table.clone() }
            }
            Self { sql: Some(file), .. } => One::Sql(file.clone()),
            Self { db: Some(database), from_key: None, to_key: None, .. } => {
                One::Database(database.clone())
            }
            Self { db: Some(database), from_key, to_key, .. } => One::Range {
                database: database.clone(),
                from: self.key(from_key)?.map_or(Bound::Unbounded, Bound::Included),
                to: self.key(to_key)?.map_or(Bound::Unbounded, Bound::Excluded),
            },
            Self { name: Some(_), .. } => {
                return Err(Failure::usage("--as goes with --store, --sql or --db"));
            }
            _ => return Ok(None),
        };
        Ok(Some(one))
    }

    fn key(&self, key: &Option<OsString>) -> Result<Option<Vec<u8>>, Failure> {
        let Some(key) = key.clone().map(OsString::into_vec) else { return Ok(None) };
        match self.hex {
            false => Ok(Some(key)),
            true => text::unhex(&key)
                .map(Some)
                .ok_or_else(|| Failure::usage("the key is not hexadecimal")),
        }
    }

    /// Brings it out of `then` into the environment at `path`.
    pub(super) fn run(
        &self,
        one: &One,
        then: &Environment,
        path: &Path,
        unlock: &KeyArgs,
        output: &mut Output,
    ) -> Outcome {
        let env = open::for_writing(path, unlock, output)?;
        let progress = Progress::new("restoring");
        let shown = |at: cairndb::archive::Progress| {
            progress.set(at.bytes, at.bytes_total);
            ControlFlow::Continue(())
        };
        // The archive that it becomes on the way lies beside the environment, and goes in the end.
        let mut beside = path.as_os_str().to_owned();
        beside.push(".restoring");
        let scratch: DirRef = match RealDir::open(Path::new(&beside)) {
            Err(error) if error.is_not_found() => RealDir::create(Path::new(&beside))?,
            opened => opened?,
        };
        let name = self.name.as_deref().unwrap_or(one.name());
        let options = OneOptions::default().name(name).scratch(&scratch).progress(Some(&shown));
        let options = options.replace(self.replace);
        let brought = bring_one(then, one, &env, &options);
        drop(scratch);
        std::fs::remove_dir(&beside).unwrap_or_default(); // whatever is in it is not ours
        let report = brought?;
        env.close()?;
        let elapsed = progress.elapsed();
        drop(progress);
        output.line(format_args!(
            "restored {} of commit {} as {} into {}: {}, in {}",
            escape(one.name().as_bytes()),
            report.commit,
            escape(name.as_bytes()),
            path.display(),
            several(report.entries, "entry"),
            seconds(elapsed)
        ))?;
        output.json(&OneJson {
            environment: path,
            restored: one.name(),
            name,
            commit: report.commit,
            entries: report.entries,
            seconds: elapsed.as_secs_f64(),
        })?;
        Ok(Exit::Good)
    }
}
