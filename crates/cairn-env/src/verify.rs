//! Verification: the log, the trees and their agreement, as one report.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, atomic::Ordering},
};

use cairn_btree::{Problem, TreeId, check};
use cairn_log::{
    FileClass, FileNumber, LogError, LogFile, Lsn, RecordKind, Scan, Scanner, check_sealed,
    dump::show_bytes,
};

use crate::{
    Database, EnvResult, Snapshot,
    core::Core,
    sync::lock,
    utilization::{FileEnd, Utilization},
};

/// What to verify.
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub struct VerifyOptions<'a> {
    /// Whether large values are left out.
    pub skip_values: bool,
    /// Called with bytes done and bytes in all.
    pub progress: Option<&'a (dyn Fn(u64, u64) + Send + Sync)>,
}

impl fmt::Debug for VerifyOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyOptions(skip_values: {})", self.skip_values)
    }
}

impl<'a> VerifyOptions<'a> {
    /// Everything is verified.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves large values out.
    #[must_use]
    pub fn skip_values(mut self, skip: bool) -> Self {
        self.skip_values = skip;
        self
    }

    /// Reports progress.
    #[must_use]
    pub fn progress(mut self, progress: &'a (dyn Fn(u64, u64) + Send + Sync)) -> Self {
        self.progress = Some(progress);
        self
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The log file concerned, by name.
    pub file: Option<String>,
    /// Where in it.
    pub offset: Option<u64>,
    /// The database concerned, by name.
    pub database: Option<String>,
    /// The first key that may be affected, and the first one after it that is not; empty and `None`
    /// for all.
    pub keys: Option<(Vec<u8>, Option<Vec<u8>>)>,
    /// What is wrong.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(database) = &self.database {
            write!(f, "database {database:?}")?;
            if let Some((lower, upper)) = &self.keys {
                let upper = upper.as_ref().map_or("the end".into(), |key| show_bytes(key, 32));
                write!(f, ", keys from {:?} to before {upper:?}", show_bytes(lower, 32))?;
            }
            write!(f, ": ")?;
        }
        write!(f, "{}", self.problem)
    }
}

/// What verification found and counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// What is wrong, the log first; empty if all is well.
    pub findings: Vec<Finding>,
    /// Log files read.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Records checked.
    pub records: u64,
    /// Databases walked.
    pub databases: u64,
    /// Nodes of all trees.
    pub nodes: u64,
    /// Entries of all databases.
    pub entries: u64,
    /// Large values read.
    pub values: u64,
    /// The commit at which the trees were verified.
    pub commit: u64,
}

pub(crate) fn verify(core: &Arc<Core>, options: &VerifyOptions<'_>) -> EnvResult<VerifyReport> {
    let mut report = VerifyReport::default();
    let files = core.files.all();
    let ends = known_ends(core);
    let written = core.schedule.begun.load(Ordering::Acquire);
    let incarnation = core.files.identity.incarnation.load(Ordering::Acquire);
    let total: u64 = files.iter().map(|file| file.handle().len().unwrap_or(0)).sum();
    for file in &files {
        let end = ends.get(&file.header().number).copied();
        let in_use = written && file.header().incarnation == incarnation;
        verify_file(file, end, in_use, &mut report);
        if let Some(progress) = options.progress {
            progress(report.bytes, total);
        }
    }
    verify_trees(core, options, &mut report)?;
    Ok(report)
}

/// Where files end, as far as that was recorded or recovery has decided it.
fn known_ends(core: &Core) -> BTreeMap<FileNumber, FileEnd> {
    let checkpointer = lock(&core.checkpointer);
    let recorded = checkpointer.utilization.files.iter().map(|(number, file)| (*number, file.end));
    let mut ends: BTreeMap<_, _> = recorded.collect();
    ends.extend(lock(&core.commit).ended.iter().copied());
    ends
}

/// Checks every record of a file, and the digest of a finished one.
fn verify_file(file: &LogFile, end: Option<FileEnd>, in_use: bool, report: &mut VerifyReport) {
    report.files += 1;
    let len = file.handle().len().unwrap_or(0);
    report.bytes += len;
    let mut found = |offset, problem: String| {
        let (name, offset) = (Some(file.name().to_string()), Some(offset));
        let (database, keys) = (None, None);
        report.findings.push(Finding { file: name, offset, database, keys, problem });
    };
    // Not further than the file is now: what lay behind the end of a journal may have been cut since.
    // Not behind an end that was decided: another process may be writing there.
    let mut scanner = match end {
        Some(FileEnd::Cut(end)) => Scanner::new(file, end),
        _ => Scanner::new(file, len),
    };
    let mut sealed = false;
    let stop = loop {
        match scanner.next() {
            Ok(Scan::Record(record)) => {
                report.records += 1;
                sealed |= record.header.kind == RecordKind::SEAL;
            }
            Ok(Scan::End(stop)) => break stop,
            Err(error) => return found(scanner.position(), error.to_string()),
        }
    };
    // A finished file says so at its end, wherever the scan came to a stop. A checkpoint calls the file
    // in which it stands open; it counts only once that has its seal, so an older one must be finished.
    let journal = file.header().class == FileClass::Journal;
    let finished = match end {
        Some(FileEnd::Sealed(end)) => Some(end),
        Some(FileEnd::Cut(_)) => None,
        _ if sealed => Some(stop.offset),
        _ if !journal && !in_use => Some(len),
        _ if file.seal(len).is_ok_and(|seal| seal.is_some()) => Some(len),
        _ => None,
    };
    if let Some(end) = finished {
        match stop.damage {
            Some(damage) if stop.offset < end => {
                found(stop.offset, file.corrupt(stop.offset, damage).to_string());
            }
            _ => {
                if let Err(error) = check_sealed(file, end) {
                    found(end, error.to_string());
                }
            }
        }
    } else if let Some(damage) = stop.damage {
        // A file in use, or one whose end a crash decided: what lies beyond that does not count.
        let known = match end {
            Some(FileEnd::Cut(end)) => end,
            _ => scanner.known_durable().max(cairn_log::HEADER_LEN),
        };
        if stop.offset < known {
            found(stop.offset, file.corrupt(stop.offset, damage).to_string());
        }
    }
}

fn verify_trees(
    core: &Arc<Core>,
    options: &VerifyOptions<'_>,
    report: &mut VerifyReport,
) -> EnvResult<()> {
    let root = core.freeze_latest()?;
    report.commit = root.sequence();
    let snapshot = Snapshot::new(core, Arc::clone(&root));
    let (names, unreadable) = match snapshot.databases() {
        Ok(databases) => (databases, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let names: BTreeMap<TreeId, &Database> =
        names.iter().map(|database| (database.tree, database)).collect();
    let name_of = |tree: TreeId| match names.get(&tree) {
        Some(database) => database.name().to_owned(),
        None if tree.0 == 0 => "(catalogue)".into(),
        None => format!("(tree {})", tree.0),
    };
    let mut bad_values = Vec::new();
    let mut values = 0;
    // Before the walk: a checkpoint that ends during it counts nodes that had no place yet.
    let account = account(core, root.generation());
    let checked = check(&root, &mut |tree, key, pointer| {
        if !options.skip_values {
            values += 1;
            if let Err(error) = core.large_value(pointer) {
                bad_values.push((tree, key.to_vec(), error.to_string()));
            }
        }
    });
    report.values += values;
    report.databases = names.len() as u64;
    // The names of the databases are entries too, of a tree that nobody has asked for.
    report.nodes = checked.nodes;
    report.entries = checked.entries.saturating_sub(report.databases);
    report.findings.extend(unreadable.map(|problem| Finding {
        file: None,
        offset: None,
        database: Some("(names)".into()),
        keys: None,
        problem,
    }));
    for finding in &checked.findings {
        let place = finding.lsn.map(|lsn| place_of(core, lsn));
        report.findings.push(Finding {
            file: place.as_ref().map(|(file, _)| file.clone()),
            offset: place.map(|(_, offset)| offset),
            database: Some(name_of(finding.tree)),
            keys: Some((finding.lower.clone(), finding.upper.clone())),
            problem: match &finding.problem {
                Problem::Unreadable(error) => error.to_string(),
                Problem::Order => "the keys of a node are out of order".into(),
                Problem::Count { stated, found } => {
                    format!("the catalogue says {stated} entries, {found} are there")
                }
                problem => format!("{problem:?}"),
            },
        });
    }
    for (tree, key, problem) in bad_values {
        let mut end = key.clone();
        end.push(0);
        let (database, keys) = (Some(name_of(tree)), Some((key, Some(end))));
        report.findings.push(Finding { file: None, offset: None, database, keys, problem });
    }
    if report.findings.is_empty()
        && let Some(account) = account
    {
        verify_account(core, &account, &checked.reachable, report);
    }
    Ok(())
}

fn place_of(core: &Core, lsn: Lsn) -> (String, u64) {
    let name = core.files.find(lsn.file()).map(|file| file.name().to_string());
    (name.unwrap_or_else(|| format!("file {}", lsn.file())), lsn.offset())
}

/// The account of reachable bytes, if the newest checkpoint is of this very version.
fn account(core: &Core, generation: u64) -> Option<Utilization> {
    let checkpointer = lock(&core.checkpointer);
    (checkpointer.cut == Some(generation)).then(|| checkpointer.utilization.clone())
}

/// Compares the account of reachable bytes with what the walk has reached.
fn verify_account(
    core: &Core,
    account: &Utilization,
    reachable: &BTreeMap<FileNumber, u64>,
    report: &mut VerifyReport,
) {
    for (number, file) in &account.files {
        let reached = reachable.get(number).copied().unwrap_or(0);
        if u64::try_from(file.live).ok() != Some(reached) {
            report.findings.push(Finding {
                file: core.files.find(*number).map(|file| file.name().to_string()),
                offset: None,
                database: None,
                keys: None,
                problem: format!(
                    "file {number} is accounted with {} reachable bytes, {reached} are reachable",
                    file.live
                ),
            });
        }
    }
    for number in reachable.keys().filter(|number| !account.files.contains_key(*number)) {
        let error = LogError::MissingFile { file: *number };
        let problem = format!("reachable, but not accounted: {error}");
        let (file, offset, database, keys) = (None, None, None, None);
        report.findings.push(Finding { file, offset, database, keys, problem });
    }
}
