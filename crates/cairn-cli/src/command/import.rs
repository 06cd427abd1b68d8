//! `cairn import`: entries from files, in commits whose report can be relied on.
//!
//! The order is everything: read a batch, commit it, and report it once it is durable. A reader of the
//! report may forget what was reported. A bad entry ends the import; what had been read before it and
//! was not committed is left out, so that nothing is there that was not reported.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use cairndb::{
    Database, DatabaseKind, DatabaseOptions, Durability, EnvResult, Environment, Multimap,
    Transaction,
};
use clap::ValueEnum;
use serde::Serialize;

use crate::{
    Outcome,
    exit::{Exit, Failure},
    format::{self, Entry, Format, Source, SourceOptions, dir::DirSource},
    keys::KeyArgs,
    open,
    output::Output,
    progress::Progress,
    text::{hex, json_text, per_second, seconds, several, size},
};

/// Import a directory of files, JSON lines, CSV, or a Berkeley DB dump
///
/// A directory: the key is the path of a file below it, the value its content. Hidden and
/// git-ignored files are left out unless --all is given; links are never followed.
///
/// JSON lines: an object of exactly {"key": "…", "value": "…"} (or key_hex, value_hex) is an
/// entry. Of any other line, the value is the line as it stands, and the key is the member that
/// --key names, or else the number of the line, as in 000000000042.
///
/// CSV: the first line names the columns. A table key,value is entries. Of any other table, the
/// value is the row as a JSON object, and the key is the column that --key names, or else the
/// number of the row.
///
/// db_dump: the text that Berkeley DB's db_dump prints, with or without -p. With duplicates=1 in its
/// header the database becomes a multimap, whose keys have sorted sets of values.
///
/// The format is told by the name or the beginning of the file. A key that is there already gets
/// the new value, so an import can be repeated.
///
/// With --json, a line {"event":"commit",…,"last_key":…} is printed for each durable commit:
/// whoever has read it may rely on these entries for ever, also if the import is killed.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  cairn import data src/                          # files
  cairn import data people.csv --key email
  cairn import data events.jsonl --db events --json
  db_dump old.db | cairn import data - --format db_dump
  cairn import data events.jsonl --skip 12000     # go on after the last reported total
  cairn import data people.csv --atomic           # all of it or nothing"
)]
pub(crate) struct Import {
    /// The directory of the environment
    env: PathBuf,
    /// A directory, a file, or - for standard input
    source: PathBuf,
    /// The database; it is created if it does not exist
    #[arg(long, value_name = "NAME", default_value = "main")]
    db: String,
    /// The format, where it is not to be found out
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The member (JSON lines) or column (CSV) that is the key
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// Read hidden and git-ignored files too (directories)
    #[arg(long)]
    all: bool,
    /// Pass over so many entries at the beginning
    #[arg(long, value_name = "N", default_value_t = 0)]
    skip: u64,
    /// At most so many entries per commit (also at most 16 MiB, or one entry)
    #[arg(long, value_name = "N", default_value_t = 4000, value_parser = clap::value_parser!(u64).range(1..))]
    batch: u64,
    /// Everything in one commit, or nothing at all; sources may be larger than memory
    #[arg(long, conflicts_with = "batch")]
    atomic: bool,
    /// When a commit returns
    #[arg(long, value_enum, default_value_t = DurabilityOption::Sync)]
    durability: DurabilityOption,
    #[command(flatten)]
    unlock: KeyArgs,
}

/// Bytes of keys and values after which a batch is committed.
const BATCH_BYTES: u64 = 16 << 20;
/// How often commits that do not sync are made durable, and reported.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DurabilityOption {
    /// When it survives power loss
    Sync,
    /// When the system has it; synced, and reported, every second
    WriteNosync,
    /// At once; synced, and reported, every second
    Nosync,
}

impl From<DurabilityOption> for Durability {
    fn from(option: DurabilityOption) -> Self {
        match option {
            DurabilityOption::Sync => Self::Sync,
            DurabilityOption::WriteNosync => Self::WriteNoSync,
            DurabilityOption::Nosync => Self::NoSync,
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum ImportJson<'a> {
    Commit {
        /// The newest commit of these entries.
        commit: u64,
        /// Entries that became durable since the last such line.
        entries: u64,
        /// Entries of the source up to here: what `--skip` takes.
        total: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        last_key: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        last_key_hex: Option<String>,
    },
    Done {
        entries: u64,
        total: u64,
        commits: u64,
        bytes: u64,
        seconds: f64,
    },
}

impl Import {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let progress = Progress::new("importing");
        if self.source == Path::new("-") {
            self.unlock.leave_stdin_alone()?;
        }
        let env = open::for_writing(&self.env, &self.unlock, output)?;
        refuse_own_files(&self.source, &self.env)?;
        let options = SourceOptions {
            format: self.format,
            key: self.key.clone(),
            all: self.all,
            except: &self.env,
        };
        let mut source = format::open(&self.source, options)?;
        let mut importer = Importer {
            target: Target::open(&env, &self.db, source.is_multimap())?,
            durability: self.durability.into(),
            env: &env,
            batch_entries: self.batch,
            total: 0,
            done: Counts::default(),
            waiting: None,
            synced: Instant::now(),
        };
        let total = match source.bytes_total() {
            None if self.source.is_dir() && progress.is_visible() => self.measure(),
            total => total,
        };
        let mut shown = |source: &dyn Source| progress.set(source.bytes_read(), total);
        let outcome = importer.pass_over(&mut *source, self.skip, &mut shown).and_then(|()| {
            match self.atomic {
                true => importer.run_at_once(&mut *source, &mut shown),
                false => importer.run(&mut *source, &mut shown, output),
            }
        });
        // What was committed is reported also if the next entry is bad.
        let reported = importer.make_durable(output);
        let Importer { total, done, .. } = importer;
        outcome.and(reported).map_err(|failure| match total {
            0 => failure,
            _ => failure.at(format_args!("{} imported, then", several(done.entries, "entry"))),
        })?;
        let (snapshot, database) = open::database(&env, &self.db)?;
        let now = snapshot.len(&database)?;
        drop(snapshot);
        env.close().map_err(|error| {
            let entries = several(done.entries, "entry");
            Failure::from(error).at(format_args!("{entries} imported, then"))
        })?;
        let elapsed = progress.elapsed();
        drop(progress);
        if done.entries == 0 {
            let stdin = self.source == Path::new("-");
            let source = if stdin { Path::new("standard input") } else { &self.source };
            output.note(format_args!("{} has nothing to import", source.display()));
        }
        output.line(format_args!(
            "imported {} ({}) in {}, in {} ({}/s); database {} has {}",
            several(done.entries, "entry"),
            size(done.bytes),
            several(done.commits, "commit"),
            seconds(elapsed),
            size(per_second(done.bytes, elapsed)),
            self.db,
            several(now, "entry"),
        ))?;
        output.event(&ImportJson::Done {
            entries: done.entries,
            total,
            commits: done.commits,
            bytes: done.bytes,
            seconds: elapsed.as_secs_f64(),
        })?;
        Ok(Exit::Good)
    }

    /// Bytes of a directory, for somebody who waits.
    fn measure(&self) -> Option<u64> {
        let mut files = DirSource::new(&self.source, self.all, Some(&self.env));
        let mut bytes = 0;
        while let Some(file) = files.find().ok()? {
            bytes += file.len;
        }
        Some(bytes)
    }
}

/// An import of files that change with every commit would be of no use, and might have no end.
fn refuse_own_files(source: &Path, env: &Path) -> Result<(), Failure> {
    match (fs::canonicalize(source), fs::canonicalize(env)) {
        (Ok(source), Ok(env)) if source.starts_with(&env) => Err(Failure::usage(format_args!(
            "{} is part of the environment itself",
            source.display()
        ))
        .advise("to copy an environment, use `cairn backup` or `cairn export`")),
        _ => Ok(()), // what is wrong with a path is said by who opens it
    }
}

#[derive(Clone, Copy, Default)]
struct Counts {
    entries: u64,
    commits: u64,
    bytes: u64,
}

struct Importer<'a> {
    env: &'a Environment,
    target: Target,
    durability: Durability,
    batch_entries: u64,
    /// Entries of the source that were passed over or committed.
    total: u64,
    done: Counts,
    /// What is committed and not yet reported.
    waiting: Option<Waiting>,
    synced: Instant,
}

struct Waiting {
    commit: u64,
    entries: u64,
    last_key: Vec<u8>,
}

impl Importer<'_> {
    fn pass_over(
        &mut self,
        source: &mut dyn Source,
        skip: u64,
        shown: &mut dyn FnMut(&dyn Source),
    ) -> Result<(), Failure> {
        while self.total < skip && source.skip()? {
            self.total += 1;
            shown(source);
        }
        Ok(())
    }

    fn run_at_once(
        &mut self,
        source: &mut dyn Source,
        shown: &mut dyn FnMut(&dyn Source),
    ) -> Result<(), Failure> {
        let Target::Map(database) = &self.target else {
            return Err(Failure::usage("with --atomic each key has one value"));
        };
        let mut txn = self.env.begin_exclusive()?;
        let mut all = Counts { commits: 1, ..Counts::default() };
        let mut last_key = Vec::new();
        while let Some(entry) = source.next()? {
            let put = txn.put(database, &entry.key, &entry.value);
            put.map_err(|error| Failure::from(error).at(source.place()))?;
            all.entries += 1;
            all.bytes += entry.len();
            last_key = entry.key;
            shown(source);
        }
        if all.entries > 0 {
            let commit = txn.commit_with(self.durability)?.commit;
            self.committed(commit, all, last_key);
        }
        Ok(())
    }

    fn run(
        &mut self,
        source: &mut dyn Source,
        shown: &mut dyn FnMut(&dyn Source),
        output: &mut Output,
    ) -> Result<(), Failure> {
        let mut left_over = None;
        loop {
            let mut txn = self.env.begin_write()?;
            let mut batch = Counts { commits: 1, ..Counts::default() };
            let mut last_key = Vec::new();
            while batch.entries < self.batch_entries
                && let Some(entry) =
                    left_over.take().map_or_else(|| source.next(), |e| Ok(Some(e)))?
            {
                if batch.entries > 0 && batch.bytes + entry.len() > BATCH_BYTES {
                    left_over = Some(entry); // it begins the next batch
                    break;
                }
                let put = self.target.put(&mut txn, &entry);
                put.map_err(|error| Failure::from(error).at(source.place()))?;
                batch.entries += 1;
                batch.bytes += entry.len();
                last_key = entry.key;
                shown(source);
            }
            if batch.entries == 0 {
                return Ok(());
            }
            let commit = txn.commit_with(self.durability)?.commit;
            self.committed(commit, batch, last_key);
            if self.durability == Durability::Sync || self.synced.elapsed() >= SYNC_INTERVAL {
                self.make_durable(output)?;
            }
        }
    }

    fn committed(&mut self, commit: u64, batch: Counts, last_key: Vec<u8>) {
        let entries = batch.entries + self.waiting.take().map_or(0, |waiting| waiting.entries);
        self.waiting = Some(Waiting { commit, entries, last_key });
        self.done.entries += batch.entries;
        self.done.commits += batch.commits;
        self.done.bytes += batch.bytes;
        self.total += batch.entries;
    }

    /// Makes what is committed durable, and only then reports it.
    fn make_durable(&mut self, output: &mut Output) -> Result<(), Failure> {
        self.synced = Instant::now();
        let Some(Waiting { commit, entries, last_key }) = self.waiting.take() else {
            return Ok(());
        };
        self.env.sync()?;
        let text = json_text(&last_key);
        let event = ImportJson::Commit {
            commit,
            entries,
            total: self.total,
            last_key: text,
            last_key_hex: text.is_none().then(|| hex(&last_key)),
        };
        output.event(&event).map_err(Failure::of_an_event)
    }
}

/// Where entries go: into a database of its own kind, or of the kind that the source asks for.
enum Target {
    Map(Database),
    Multimap(Multimap),
}

impl Target {
    fn open(env: &Environment, name: &str, multimap: bool) -> EnvResult<Self> {
        let found = env.find_database(name)?.map(|found| found.kind());
        if multimap || found == Some(DatabaseKind::Multimap) {
            return env.multimap(name).map(Self::Multimap);
        }
        env.database(name, DatabaseOptions::default()).map(Self::Map)
    }

    fn put(&self, txn: &mut Transaction, entry: &Entry) -> EnvResult<()> {
        let Entry { key, value } = entry;
        match self {
            Self::Map(database) => txn.put(database, key, value),
            Self::Multimap(multimap) => multimap.put(txn, key, value),
        }
    }
}

impl Entry {
    fn len(&self) -> u64 {
        (self.key.len() + self.value.len()) as u64
    }
}
