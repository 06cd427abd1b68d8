//! Verification: the log, the trees and their agreement, as one report.

mod directory;
mod indexes;
mod log;
mod trees;

pub(crate) use trees::Names;

use std::{fmt, path::Path, sync::Arc};

use cairn_btree::TreeDigest;
use cairn_log::dump::show_bytes;

pub(crate) use self::log::is_for_recovery;
use crate::{EnvError, EnvResult, ErrorKind, environment::Open};

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
    /// for all of the database.
    pub keys: Option<(Vec<u8>, Option<Vec<u8>>)>,
    /// What is wrong.
    pub problem: String,
    /// How far that reaches.
    pub reach: Reach,
}

/// What somebody who works with the environment notices of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// The keys that it names cannot be read, or not all of them. All others can.
    Keys,
    /// Nothing yet: what is damaged on the disk is whole in memory. It is gone when it leaves memory, at
    /// the latest when the environment is closed.
    Memory,
    /// Nothing yet, but the next open refuses, or goes back to an older checkpoint.
    NextOpen,
    /// Nothing: neither the trees as they are now nor recovery need it.
    Nothing,
    /// That cannot be told: what leads there is damaged too, or nobody has looked.
    Unknown,
}

impl Reach {
    /// All of them, for documents.
    pub const ALL: [Self; 5] =
        [Self::Keys, Self::Memory, Self::NextOpen, Self::Nothing, Self::Unknown];

    /// One word, for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Memory => "memory",
            Self::NextOpen => "next_open",
            Self::Nothing => "nothing",
            Self::Unknown => "unknown",
        }
    }

    /// The same for people; empty where the finding says it itself.
    const fn words(self) -> &'static str {
        match self {
            Self::Keys => "",
            Self::Memory => {
                " (it is still whole in memory: back up before this environment is closed)"
            }
            Self::NextOpen => " (all can be read now, the next open will stumble: back up before)",
            Self::Nothing => " (nothing that is in use is affected)",
            Self::Unknown => " (what that affects is not known)",
        }
    }
}

impl Finding {
    /// Something about a file.
    pub(crate) fn of_file(
        file: impl Into<String>,
        offset: Option<u64>,
        problem: String,
        reach: Reach,
    ) -> Self {
        let (database, keys) = (None, None);
        Self { file: Some(file.into()), offset, database, keys, problem, reach }
    }
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
        write!(f, "{}{}", self.problem, self.reach.words())
    }
}

/// What verification found and counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Everything that is wrong: the directories, the log, the trees, and their agreement. Empty if all
    /// is well. A damaged spot that takes several things away is there once for each of them.
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
    /// Which nodes the trees of the newest checkpoint consist of, as the walk has come to them. `None` if that
    /// cannot be told: there is no checkpoint, commits were added to it that are not in one yet (unless the
    /// environment is open for reading), or not all nodes can be read.
    pub tree_digest: Option<TreeDigest>,
    /// With what kind of error the disk did not give what was to be read, if it did not: that is among the
    /// findings, and tells nothing about what stands there.
    pub unread: Option<ErrorKind>,
}

impl VerifyReport {
    /// Takes note of an error that is going to be a finding.
    fn note(&mut self, error: &EnvError) {
        self.note_kind(error.kind());
    }

    fn note_kind(&mut self, kind: ErrorKind) {
        if matches!(kind, ErrorKind::Io | ErrorKind::Full) {
            self.unread.get_or_insert(kind);
        }
    }

    /// An error unless nothing was found in what lies at `path` and has just been written; `what` says what
    /// that is. What the disk does not give is no damage.
    pub(crate) fn prove(&self, path: &Path, what: &str) -> EnvResult<()> {
        let Some(finding) = self.findings.first() else { return Ok(()) };
        let path = path.to_owned();
        Err(match self.unread {
            Some(kind) => EnvError::NotReadBack { path, why: format!("{what}: {finding}"), kind },
            None => {
                let why = format!("{what} does not verify: {finding}");
                EnvError::NeedsRepair { path, why }
            }
        })
    }
}

pub(crate) fn verify(core: &Arc<Open>, options: &VerifyOptions<'_>) -> EnvResult<VerifyReport> {
    let mut report = VerifyReport::default();
    report.findings.extend(directory::verify(core));
    let mut spots = log::verify(core, options, &mut report);
    trees::verify(core, options, &mut spots, &mut report)?;
    Ok(report)
}
