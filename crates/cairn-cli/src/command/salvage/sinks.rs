//! Where what a salvage hands out goes: lines of JSON, plain SQL files.

use std::{
    cell::RefCell,
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use cairn_io::{IoError, IoOp};
use cairndb::{
    EnvError, EnvResult, Naming, SalvageReport, SalvagedEntry, Standing,
    sql::{SalvagedSqlFile, SqlSalvage},
};
use serde::Serialize;

use crate::{
    command::export::{discard, partial_of},
    exit::Failure,
    text::EntryJson,
};

/// A version of a key, in a line of the file.
#[derive(Serialize)]
struct VersionJson<'a> {
    database: &'a str,
    #[serde(flatten)]
    entry: EntryJson<'a>,
    #[serde(skip_serializing_if = "is_false")]
    deleted: bool,
    /// The commit that has put it.
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<u64>,
    /// Where that is not known: a commit by which it was so.
    #[serde(skip_serializing_if = "Option::is_none")]
    by_commit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    standing: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    naming: Option<&'static str>,
    #[serde(skip_serializing_if = "is_false")]
    substitute: bool,
}

const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Where what is handed out goes.
pub(super) struct Sinks {
    lines: Option<Lines>,
    sqlite: Option<SqlSalvage>,
    /// What the salvage was ended for.
    failed: RefCell<Option<Failure>>,
}

/// A file that has its name when it is complete.
struct Lines {
    out: BufWriter<Box<dyn Write>>,
    /// The file, and what it is called until then; none for standard output.
    file: Option<(PathBuf, PathBuf, fs::File)>,
}

impl Sinks {
    pub(super) fn new(jsonl: Option<&Path>, sqlite: Option<&Path>) -> Result<Self, Failure> {
        let lines = jsonl.map(Lines::create).transpose()?;
        let sqlite = sqlite.map(SqlSalvage::new).transpose()?;
        Ok(Self { lines, sqlite, failed: RefCell::new(None) })
    }

    pub(super) fn take(&mut self, entry: &SalvagedEntry<'_>) -> EnvResult<()> {
        let written = self.lines.as_mut().map_or(Ok(()), |lines| lines.put(entry));
        let taken = written.and_then(|()| match &mut self.sqlite {
            Some(sqlite) => sqlite.take(entry).map_err(Failure::from),
            None => Ok(()),
        });
        taken.map_err(|failure| {
            self.failed.replace(Some(failure));
            // Whatever it says: what counts is what was put there.
            EnvError::Io(IoError::new(IoOp::Write, Path::new(""), io::ErrorKind::Other))
        })
    }

    pub(super) fn end(
        self,
        report: EnvResult<SalvageReport>,
    ) -> Result<(SalvageReport, Vec<SalvagedSqlFile>), Failure> {
        let report = match (self.failed.into_inner(), report) {
            (None, Ok(report)) => report,
            (Some(failure), _) => {
                self.lines.into_iter().for_each(|lines| lines.discard());
                return Err(failure);
            }
            (None, Err(error)) => {
                self.lines.into_iter().for_each(|lines| lines.discard());
                return Err(error.into());
            }
        };
        self.lines.map_or(Ok(()), Lines::end)?;
        let sql_files = self.sqlite.map(|sqlite| sqlite.end(&report)).transpose()?;
        Ok((report, sql_files.unwrap_or_default()))
    }
}

impl Lines {
    fn create(target: &Path) -> Result<Self, Failure> {
        if target == Path::new("-") {
            return Ok(Self { out: BufWriter::new(Box::new(io::stdout())), file: None });
        }
        let partial = partial_of(target)?;
        let file = fs::OpenOptions::new().write(true).create_new(true).open(&partial);
        let file = file.map_err(|error| Failure::io("create", &partial, &error))?;
        let handle = file.try_clone().map_err(|error| Failure::io("write", &partial, &error))?;
        let out = BufWriter::with_capacity(1 << 16, Box::new(file) as Box<dyn Write>);
        Ok(Self { out, file: Some((target.to_owned(), partial, handle)) })
    }

    fn failure(&self, error: &io::Error) -> Failure {
        match &self.file {
            Some((_, partial, _)) => Failure::io("write", partial, error),
            None => Failure::output(error),
        }
    }

    fn put(&mut self, entry: &SalvagedEntry<'_>) -> Result<(), Failure> {
        let unless = |usual: bool, name| (!usual).then_some(name);
        let line = VersionJson {
            database: &entry.database.name,
            entry: EntryJson { key: entry.key, value: entry.value },
            deleted: entry.value.is_none(),
            commit: entry.is_exact.then_some(entry.commit),
            by_commit: (!entry.is_exact).then_some(entry.commit),
            standing: unless(entry.standing == Standing::Committed, entry.standing.name()),
            naming: unless(entry.database.naming == Naming::Current, entry.database.naming.name()),
            substitute: entry.is_substitute,
        };
        let written = serde_json::to_writer(&mut self.out, &line).map_err(io::Error::from);
        let written = written.and_then(|()| self.out.write_all(b"\n"));
        written.map_err(|error| self.failure(&error))
    }

    fn end(mut self) -> Result<(), Failure> {
        let flushed = self.out.flush();
        flushed.map_err(|error| self.failure(&error))?;
        let Some((target, partial, handle)) = self.file else { return Ok(()) };
        handle.sync_all().map_err(|error| Failure::io("sync", &partial, &error))?;
        if target.exists() {
            discard(&partial);
            return Err(Failure::exists(format_args!("{} exists already", target.display())));
        }
        fs::rename(&partial, &target).map_err(|error| Failure::io("create", &target, &error))
    }

    fn discard(self) {
        if let Some((_, partial, _)) = self.file {
            discard(&partial);
        }
    }
}
