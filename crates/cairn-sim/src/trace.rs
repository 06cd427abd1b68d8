//! `Trace`: what a run did to a disk, one entry for each operation.

use std::{collections::BTreeMap, fmt, sync::Arc};

use bytes::Bytes;
use cairn_io::SyncSite;

use crate::{
    crash::Crash,
    hash::Hasher,
    image::Image,
    model::{DirId, FileId, Node, Persistence},
};

/// What was done, or noted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Op {
    /// Bytes were written to a file.
    Write {
        /// Where, in bytes from the start of the file.
        offset: u64,
        /// What.
        bytes: Bytes,
    },
    /// The length of a file was set.
    SetLen {
        /// To how many bytes.
        len: u64,
    },
    /// A file was created.
    Create,
    /// A directory was created.
    CreateDir,
    /// A file that has a name elsewhere got this one as well.
    Link,
    /// A file or directory was renamed.
    Rename {
        /// Its new path.
        to: Arc<str>,
    },
    /// A file was removed.
    Remove,
    /// A directory was removed.
    RemoveDir,
    /// A file was synced.
    SyncFile {
        /// By which barrier.
        site: SyncSite,
        /// `None` if it succeeded. Otherwise, how many of the file's pending operations reached
        /// the medium; the others never will.
        failed: Option<usize>,
    },
    /// A directory was synced.
    SyncDir {
        /// By which barrier.
        site: SyncSite,
        /// As for [`Op::SyncFile`].
        failed: Option<usize>,
    },
    /// The workload noted something: a commit was acknowledged, say.
    Mark {
        /// What kind of thing.
        label: &'static str,
        /// Which one.
        value: u64,
    },
    /// An operation of the workload began.
    Begin {
        /// Its name.
        operation: &'static str,
    },
    /// The operation that began last ended.
    End,
}

/// One entry of a [`Trace`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub(crate) op: Op,
    pub(crate) path: Arc<str>,
    pub(crate) subject: Subject,
}

/// What an entry is about, whatever its path at the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The run, not the disk.
    Run,
    File(FileId),
    Dir(DirId),
    /// The entry `name` of `dir`, which leads to `node`.
    Name {
        dir: DirId,
        name: Arc<str>,
        node: Node,
    },
}

impl Entry {
    /// What was done.
    #[must_use]
    pub fn op(&self) -> &Op {
        &self.op
    }

    /// To which file or directory, as a path below the root (which is empty itself).
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The last part of the new path of a rename.
    pub(crate) fn new_name(&self) -> Option<&str> {
        match &self.op {
            Op::Rename { to } => Some(to.rsplit_once('/').map_or(to, |(_, name)| name)),
            _ => None,
        }
    }

    fn hash_into(&self, hasher: &mut Hasher) {
        hasher.bytes(self.to_string().as_bytes());
        if let Op::Write { bytes, .. } = &self.op {
            hasher.bytes(bytes);
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "/" } else { &*self.path };
        match &self.op {
            Op::Write { offset, bytes } => write!(f, "write {path} @{offset}+{}", bytes.len()),
            Op::SetLen { len } => write!(f, "set-len {path} {len}"),
            Op::Create => write!(f, "create {path}"),
            Op::CreateDir => write!(f, "create-dir {path}"),
            Op::Rename { to } => write!(f, "rename {path} {to}"),
            Op::Link => write!(f, "link {path}"),
            Op::Remove => write!(f, "remove {path}"),
            Op::RemoveDir => write!(f, "remove-dir {path}"),
            Op::SyncFile { site, failed } | Op::SyncDir { site, failed } => {
                write!(f, "sync {path} ({site})")?;
                failed.map_or(Ok(()), |kept| write!(f, " FAILED after {kept}"))
            }
            Op::Mark { label, value } => write!(f, "mark {label} {value}"),
            Op::Begin { operation } => write!(f, "begin {operation}"),
            Op::End => write!(f, "end"),
        }
    }
}

/// What a run did to a disk, in order, from the content that it found. Clones are cheap.
///
/// It prints as one numbered line for each entry.
#[derive(Clone, Debug)]
pub struct Trace {
    start: Image,
    entries: Arc<[Arc<Entry>]>,
}

impl Trace {
    pub(crate) fn new(start: Image, entries: Arc<[Arc<Entry>]>) -> Self {
        Self { start, entries }
    }

    /// What the run found.
    #[must_use]
    pub fn start(&self) -> &Image {
        &self.start
    }

    /// What the run did.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter().map(|entry| &**entry)
    }

    /// Tells runs apart: the same for the same operations with the same bytes in the same order,
    /// from the same start.
    #[must_use]
    pub fn hash(&self) -> u128 {
        let mut hash = TraceHash::new(&self.start);
        self.entries().for_each(|entry| hash.add(entry));
        hash.finish()
    }

    /// The trace without the syncs that `removed` names: as if the disk had said `Ok` to them and
    /// done nothing. Since nobody can tell the difference before a crash, the run need not be
    /// repeated to prove that a sync is needed.
    #[must_use]
    pub fn without_syncs(&self, removed: impl Fn(SyncSite, &Entry) -> bool) -> Self {
        let stays = |entry: &&Arc<Entry>| match entry.op {
            Op::SyncFile { site, .. } | Op::SyncDir { site, .. } => !removed(site, entry),
            _ => true,
        };
        let entries = self.entries.iter().filter(stays).cloned().collect();
        Self { start: self.start.clone(), entries }
    }

    /// The places where a crash may cut the run: before the first entry and after each.
    #[must_use]
    pub fn cuts(&self) -> Cuts {
        Cuts {
            persistence: Persistence::of(&self.start).0,
            trace: self.clone(),
            position: None,
            marks: BTreeMap::new(),
            operations: Vec::new(),
        }
    }
}

/// [`Trace::hash`] of a run whose trace is not kept, made of what [`SimDisk::watch`] tells.
///
/// [`SimDisk::watch`]: crate::SimDisk::watch
#[derive(Clone, Debug)]
pub struct TraceHash(Hasher);

impl TraceHash {
    /// The hash of a run that begins with `start` and has done nothing yet.
    #[must_use]
    pub fn new(start: &Image) -> Self {
        let mut hasher = Hasher::new();
        hasher.wide(start.hash());
        Self(hasher)
    }

    /// The run has done this as well.
    pub fn add(&mut self, entry: &Entry) {
        entry.hash_into(&mut self.0);
    }

    /// The hash of what it has done so far.
    #[must_use]
    pub fn finish(&self) -> u128 {
        self.0.finish()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries().enumerate().try_for_each(|(number, entry)| writeln!(f, "#{number} {entry}"))
    }
}

/// Goes through the cuts of a [`Trace`] from first to last, keeping up with what is durable and
/// what is pending.
#[derive(Clone, Debug)]
pub struct Cuts {
    trace: Trace,
    position: Option<usize>,
    persistence: Persistence,
    marks: BTreeMap<&'static str, u64>,
    operations: Vec<&'static str>,
}

impl Cuts {
    /// The next cut, for as long as the cursor is not moved on; `None` after the last.
    pub fn next_cut(&mut self) -> Option<Cut<'_>> {
        match self.position {
            None => self.position = Some(0),
            Some(number) => {
                let entry = Arc::clone(self.trace.entries.get(number)?);
                match entry.op {
                    Op::Mark { label, value } => drop(self.marks.insert(label, value)),
                    Op::Begin { operation } => self.operations.push(operation),
                    Op::End => drop(self.operations.pop()),
                    _ => self.persistence.apply(number, entry),
                }
                self.position = Some(number + 1);
            }
        }
        Some(Cut { cuts: self })
    }
}

/// A place where a crash cuts the run.
#[derive(Clone, Copy, Debug)]
pub struct Cut<'c> {
    cuts: &'c Cuts,
}

impl<'c> Cut<'c> {
    /// How many entries of the trace have been carried out.
    #[must_use]
    pub fn position(&self) -> usize {
        self.cuts.position.unwrap_or(0)
    }

    /// The entry that has been carried out last.
    #[must_use]
    pub fn last_entry(&self) -> Option<&'c Entry> {
        let last = self.position().checked_sub(1)?;
        self.cuts.trace.entries.get(last).map(|entry| &**entry)
    }

    /// The value of the latest mark of this label.
    #[must_use]
    pub fn mark(&self, label: &str) -> Option<u64> {
        self.cuts.marks.get(label).copied()
    }

    /// The innermost operation of the workload that has begun and not ended.
    #[must_use]
    pub fn operation(&self) -> Option<&'static str> {
        self.cuts.operations.last().copied()
    }

    /// What a crash here may leave.
    #[must_use]
    pub fn crash(&self) -> Crash<'c> {
        Crash::new(&self.cuts.persistence, self.position())
    }
}
