//! `cairn diff`: two points of a repository, by store, table and key.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use cairndb::{
    Environment,
    archive::Change,
    backup::{
        CompareCounts, CompareOptions, ComparedEntry, ComparedKey, ComparedStore, Repository,
        RestoreOptions, Which, compare,
    },
};
use serde::Serialize;

use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    open,
    output::Output,
    progress::Progress,
    saved::EnvironmentArgs,
    text::{escape, escape_short, hex, json_text, several},
};

/// Compare two points of a repository: stores, tables, entries and rows
///
/// Both are opened where they lie, and read side by side. For each store that differs, and each table
/// of a SQL file, it is said how many entries or rows are the same, added, removed and changed, with
/// some of them: `+` is what only the second point has, `-` what only the first has, `~` what both
/// have with different content. Exit code 1 means that they differ.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn diff backups 3 4
  cairn diff backups monday tuesday --store notes --samples 100"
)]
pub(crate) struct Diff {
    /// The directory of the repository
    repo: PathBuf,
    /// A point, by its number or its label
    one: String,
    /// Another one
    other: String,
    /// Only what has this name: a key-value store, a SQL file, or a database
    #[arg(long, value_name = "NAME")]
    store: Option<String>,
    /// How many differences to print of each store and table (0: none, only how many there are)
    #[arg(long, value_name = "N", default_value_t = 10)]
    samples: u64,
    #[command(flatten)]
    of: EnvironmentArgs,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct StoreJson<'a> {
    store: &'a str,
    sort: String,
    change: Option<&'static str>,
    #[serde(flatten)]
    counts: CountsJson,
    samples: Vec<SampleJson<'a>>,
    tables: Vec<TableJson<'a>>,
    definitions: Vec<DefinitionJson<'a>>,
}

#[derive(Serialize)]
struct TableJson<'a> {
    table: &'a str,
    change: Option<&'static str>,
    #[serde(flatten)]
    counts: CountsJson,
    samples: Vec<SampleJson<'a>>,
}

#[derive(Serialize)]
struct DefinitionJson<'a> {
    what: &'a str,
    change: &'static str,
}

#[derive(Serialize)]
struct CountsJson {
    same: u64,
    added: u64,
    removed: u64,
    changed: u64,
}

/// What differs. The key of an entry that is no text is written in hexadecimal.
#[derive(Serialize)]
struct SampleJson<'a> {
    change: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<&'a str>,
}

#[derive(Serialize)]
struct DiffJson {
    repository: PathBuf,
    points: [u64; 2],
    commits: [u64; 2],
    stores: u64,
    differing: u64,
}

/// The differences that are printed of each table of each store.
type Samples = BTreeMap<(String, String, Option<String>), Vec<ComparedEntry>>;

impl Diff {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let repository = self.unlock.repo.open(&self.repo)?;
        let (one, other) = (which(&self.one), which(&self.other));
        let opened = Points { repository: &repository, of: &self.of, unlock: &self.unlock };
        let ((first, one), (second, other)) =
            (opened.open(&self.repo, &one)?, opened.open(&self.repo, &other)?);
        let progress = Progress::new("comparing");
        let shown = |read| progress.set(read, None);
        let how = CompareOptions::default().store(self.store.as_deref()).progress(&shown);
        let mut samples = Samples::new();
        let report = compare(&one, &other, &how, &mut |entry| {
            let place = (entry.sort.to_string(), entry.store.clone(), entry.table.clone());
            let of_it = samples.entry(place).or_default();
            if (of_it.len() as u64) < self.samples {
                of_it.push(entry.clone());
            }
        })?;
        drop(progress);
        let mut differing = 0;
        for store in &report.stores {
            differing += u64::from(!store.is_same());
            show(store, &samples, output)?;
        }
        let stores = report.stores.len() as u64;
        output.line(format_args!(
            "point {first} (commit {}) and point {second} (commit {}): {}, {differing} differ",
            report.commits.0,
            report.commits.1,
            several(stores, "store"),
        ))?;
        output.json(&DiffJson {
            repository: self.repo,
            points: [first, second],
            commits: [report.commits.0, report.commits.1],
            stores,
            differing,
        })?;
        Ok(if report.is_same() { Exit::Good } else { Exit::Findings })
    }
}

/// Points of a repository that are opened where they lie.
pub(super) struct Points<'a> {
    pub(super) repository: &'a Repository,
    pub(super) of: &'a EnvironmentArgs,
    pub(super) unlock: &'a KeyArgs,
}

impl Points<'_> {
    fn open(&self, path: &Path, which: &Which) -> Result<(u64, Environment), Failure> {
        let environment = self.of.uuid()?;
        let (number, point) = self.repository.find(environment, which)?;
        let how = self.how(path, || point.keyring.is_some())?;
        let which = Which::Number(number);
        Ok((number, self.repository.open_backup(environment, &which, &how)?.0))
    }

    /// With which key points are opened.
    pub(super) fn how(
        &self,
        path: &Path,
        is_encrypted: impl FnOnce() -> bool,
    ) -> Result<RestoreOptions<'static>, Failure> {
        let key = self.unlock.of(path, is_encrypted)?;
        Ok(RestoreOptions::default().options(open::with_key(key)))
    }
}

/// The point that a number or a label means.
fn which(text: &str) -> Which {
    match text.parse() {
        Ok(number) => Which::Number(number),
        Err(_) => Which::Label(text.into()),
    }
}

fn show(store: &ComparedStore, samples: &Samples, output: &mut Output) -> Result<(), Failure> {
    let sort = store.sort.to_string();
    let of = |table: Option<&str>| {
        let place = (sort.clone(), store.name.clone(), table.map(str::to_owned));
        samples.get(&place).map_or(&[][..], Vec::as_slice)
    };
    if !store.is_same() {
        let name = escape(store.name.as_bytes());
        tell(format_args!("{sort} {name}"), store.change, &store.counts, of(None), output)?;
        for (what, change) in &store.definitions {
            output.line(format_args!("  {} {}", sign(*change), escape(what.as_bytes())))?;
        }
        for table in &store.tables {
            if table.change.is_some() || !table.counts.is_same() {
                let name = format!("{sort} {name}, table {}", escape(table.name.as_bytes()));
                let entries = of(Some(&table.name));
                tell(format_args!("{name}"), table.change, &table.counts, entries, output)?;
            }
        }
    }
    let tables = store.tables.iter().map(|table| TableJson {
        table: &table.name,
        change: table.change.map(name_of),
        counts: CountsJson::of(&table.counts),
        samples: of(Some(&table.name)).iter().map(SampleJson::of).collect(),
    });
    let definitions = store.definitions.iter();
    output.json(&StoreJson {
        store: &store.name,
        change: store.change.map(name_of),
        counts: CountsJson::of(&store.counts),
        samples: of(None).iter().map(SampleJson::of).collect(),
        tables: tables.collect(),
        definitions: definitions
            .map(|(what, change)| DefinitionJson { what, change: name_of(*change) })
            .collect(),
        sort,
    })
}

/// Prints what differs in a store, or a table.
fn tell(
    what: std::fmt::Arguments<'_>,
    change: Option<Change>,
    counts: &CompareCounts,
    samples: &[ComparedEntry],
    output: &mut Output,
) -> Result<(), Failure> {
    let change = match change {
        None => "",
        Some(Change::Added) => "only in the second; ",
        Some(Change::Removed) => "only in the first; ",
        Some(Change::Changed) => "made in another way; ",
    };
    output.line(format_args!(
        "{what}: {change}{} the same, {} added, {} removed, {} changed",
        counts.same, counts.added, counts.removed, counts.changed
    ))?;
    for sample in samples {
        let key = match &sample.key {
            ComparedKey::Entry(key) => escape_short(key, 64),
            ComparedKey::Row(row) => escape_short(row.as_bytes(), 64),
        };
        output.line(format_args!("  {} {key}", sign(sample.change)))?;
    }
    Ok(())
}

const fn sign(change: Change) -> char {
    match change {
        Change::Added => '+',
        Change::Removed => '-',
        Change::Changed => '~',
    }
}

const fn name_of(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Changed => "changed",
    }
}

impl CountsJson {
    const fn of(counts: &CompareCounts) -> Self {
        let CompareCounts { same, added, removed, changed, .. } = *counts;
        Self { same, added, removed, changed }
    }
}

impl<'a> SampleJson<'a> {
    fn of(entry: &'a ComparedEntry) -> Self {
        let change = name_of(entry.change);
        match &entry.key {
            ComparedKey::Row(row) => Self { change, key: None, key_hex: None, row: Some(row) },
            ComparedKey::Entry(bytes) => {
                let key = json_text(bytes);
                let key_hex = key.is_none().then(|| hex(bytes));
                Self { change, key, key_hex, row: None }
            }
        }
    }
}
