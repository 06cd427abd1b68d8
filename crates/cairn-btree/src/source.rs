//! `NodeSource`: the trait through which the tree reads and writes nodes by position.

use std::{fmt, path::Path, sync::PoisonError};

use cairn_log::{
    Damage, FileNumber, LogError, LogResult, Lsn, RecordKind, crc32c,
    shared::{Mutex, MutexGuard},
};

use crate::StoredNode;

/// A node's record as read: checked by its checksums, and nothing more.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "implementations build it")]
pub struct NodeRecord {
    /// The kind of the record.
    pub kind: RecordKind,
    /// Commit number of the newest change in the node.
    pub sequence: u64,
    /// The payload.
    pub body: Vec<u8>,
    /// The record itself.
    pub stored: StoredNode,
}

/// Where nodes live when they are not in memory.
pub trait NodeSource: fmt::Debug + Send + Sync {
    /// Reads and checks the record at `lsn`.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] or [`LogError::MissingFile`] for damage, [`LogError::Io`] for a disk
    /// that does not answer.
    fn read(&self, lsn: Lsn) -> LogResult<NodeRecord>;

    /// Writes a record, which is readable as soon as this returns.
    ///
    /// # Errors
    /// If the disk fails or is full; the node then stays in memory.
    fn write(&self, kind: RecordKind, sequence: u64, body: Vec<u8>) -> LogResult<StoredNode>;

    /// The record at `lsn`, of about `len` bytes, will be read soon: a place that is slow can fetch it meanwhile. A hint.
    fn expect(&self, lsn: Lsn, len: usize) {
        let _ = (lsn, len);
    }

    /// The error for damage in the record at `lsn`.
    fn damaged(&self, lsn: Lsn, damage: Damage) -> LogError;
}

/// Nodes kept in a vector, for examples and tests.
#[derive(Debug, Default)]
pub struct MemorySource {
    records: Mutex<Vec<(RecordKind, u64, Vec<u8>)>>,
}

impl MemorySource {
    /// A source without records.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many records were written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(RecordKind, u64, Vec<u8>)>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stored(lsn: Lsn, body: &[u8]) -> StoredNode {
    let len = u32::try_from(24 + body.len().next_multiple_of(8)).unwrap_or(u32::MAX);
    StoredNode { lsn, len, crc: crc32c(body) }
}

impl NodeSource for MemorySource {
    fn read(&self, lsn: Lsn) -> LogResult<NodeRecord> {
        let place = usize::try_from(lsn.offset() / 8).unwrap_or(usize::MAX);
        let records = self.lock();
        let (kind, sequence, body) =
            records.get(place).ok_or_else(|| self.damaged(lsn, Damage::Nothing))?;
        let stored = stored(lsn, body);
        Ok(NodeRecord { kind: *kind, sequence: *sequence, body: body.clone(), stored })
    }

    fn write(&self, kind: RecordKind, sequence: u64, body: Vec<u8>) -> LogResult<StoredNode> {
        let mut records = self.lock();
        let lsn = Lsn::new(FileNumber::FIRST, 8 * records.len() as u64)
            .ok_or(LogError::Exhausted { what: "positions" })?;
        let stored = stored(lsn, &body);
        records.push((kind, sequence, body));
        Ok(stored)
    }

    fn damaged(&self, lsn: Lsn, damage: Damage) -> LogError {
        LogError::corrupt(Path::new("memory"), lsn.offset(), damage)
    }
}
