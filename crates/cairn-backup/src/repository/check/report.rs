//! How closely a repository is looked at, and what was found.

use std::fmt;

use cairn_env::Options;
use cairn_log::Uuid;

use super::Subset;
use crate::{Progress, progress::Report, repository::names::ObjectName};

/// How closely a repository is looked at. Each level does what those before it do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "the levels of the format page")]
pub enum CheckLevel {
    /// Points can be read, name each other, and all objects that they need are there, as long as they have to be.
    Present,
    /// The bytes of each object have the hash that they had when they were stored. That takes no key, not even of an
    /// encrypted repository.
    #[default]
    Stored,
    /// Each object decompresses to what it was made of, and the parts of a file are that file.
    Content,
    /// The files are log files: all records, seals, and each journal file goes on from the one before; and the trees
    /// consist of the nodes of which their tree digest is, unless the environment is encrypted.
    Structure,
    /// Each point opens as an environment, and all of its trees and values can be read. That takes the key of an
    /// encrypted environment.
    Open,
}

impl CheckLevel {
    /// As proofs have it.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Present => 1,
            Self::Stored => 2,
            Self::Content => 3,
            Self::Structure => 4,
            Self::Open => 5,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        let all = [Self::Present, Self::Stored, Self::Content, Self::Structure, Self::Open];
        all.into_iter().find(|level| level.code() == code)
    }
}

/// How a repository is checked.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct CheckOptions<'a> {
    /// How closely.
    pub level: CheckLevel,
    /// Which of the objects are looked at (default: all).
    pub subset: Option<Subset>,
    /// Only backups of this environment.
    pub environment: Option<Uuid>,
    /// With which options points are opened; among them the key of an encrypted environment.
    pub options: Options,
    /// Whether it is recorded in the repository which points were found to be right, with all that they need, and how
    /// closely they were looked at: see [`ListedPoint::state`](crate::ListedPoint::state).
    pub record: bool,
    /// Called from time to time.
    pub progress: Report<'a>,
}

impl<'a> CheckOptions<'a> {
    /// Sets [`CheckOptions::level`](CheckOptions#structfield.level).
    #[must_use]
    pub fn level(mut self, level: CheckLevel) -> Self {
        self.level = level;
        self
    }

    /// Sets [`CheckOptions::subset`](CheckOptions#structfield.subset).
    #[must_use]
    pub fn subset(mut self, subset: Option<Subset>) -> Self {
        self.subset = subset;
        self
    }

    /// Sets [`CheckOptions::environment`](CheckOptions#structfield.environment).
    #[must_use]
    pub fn environment(mut self, environment: Option<Uuid>) -> Self {
        self.environment = environment;
        self
    }

    /// Sets [`CheckOptions::options`](CheckOptions#structfield.options).
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Sets [`CheckOptions::record`](CheckOptions#structfield.record).
    #[must_use]
    pub fn record(mut self, record: bool) -> Self {
        self.record = record;
        self
    }

    /// Reports progress.
    #[must_use]
    pub fn progress(mut self, progress: &'a (dyn Fn(Progress) + Send + Sync)) -> Self {
        self.progress = Some(progress);
        self
    }
}

impl fmt::Debug for CheckOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { level, subset, environment, .. } = self;
        write!(f, "CheckOptions({level:?}, subset: {subset:?}, environment: {environment:?})")
    }
}

/// Something that is wrong with a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckFinding {
    /// With which object.
    pub object: ObjectName,
    /// From which byte of it on, as far as that can be told.
    pub at: Option<u64>,
    /// What.
    pub problem: String,
    /// The points that need the object.
    pub points: Vec<u64>,
}

/// What checking a repository found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// How many points there are.
    pub points: u64,
    /// How many segments of shipped journal there are.
    pub segments: u64,
    /// How many objects they need, and the bytes of these.
    pub objects: u64,
    /// See [`objects`](Self#structfield.objects).
    pub bytes: u64,
    /// Those of them that were not looked at, since only a [subset](CheckOptions#structfield.subset) was, and their bytes.
    pub skipped_objects: u64,
    /// See [`skipped_objects`](Self#structfield.skipped_objects).
    pub skipped_bytes: u64,
    /// With [`Subset::Rotate`], the points of which all objects have been looked at by now, with their environments.
    pub completed: Vec<(Uuid, u64)>,
    /// What is wrong, all of it.
    pub findings: Vec<CheckFinding>,
    /// Objects that no point needs, and their bytes: of backups that did not come to their end. They do no harm.
    pub unused_objects: u64,
    /// See [`unused_objects`](Self#structfield.unused_objects).
    pub unused_bytes: u64,
    /// Objects in tombs, and their bytes: they are about to be deleted.
    pub going_objects: u64,
    /// See [`going_objects`](Self#structfield.going_objects).
    pub going_bytes: u64,
    /// What lies in the folders of the repository and is of somebody else.
    pub foreign: Vec<String>,
}
