//! Commit: validate, reserve a place in the journal, apply to the trees, wait for the disk.

mod exclusive;
mod parts;
mod recent;
mod record;
mod turn;

pub(crate) use exclusive::Exclusive;
pub(crate) use parts::CommitRecord;
pub(crate) use recent::{Observed, Recent};
pub(crate) use record::{Decoder, Encoder, Op, TIME, pointer, spec};
pub use record::{MAX_TRANSACTION_LEN, MAX_VALUE_LEN};

use std::{
    ops::Bound,
    sync::{Arc, atomic::Ordering},
};

use cairn_btree::{FrozenRoot, TreeId, TreeWriter, ValueRef};
use cairn_log::{Damage, FrameHeader, Lsn, Payload, RecordKind};

use crate::{
    Database, Durability, EnvError, EnvResult,
    core::{CommitState, Core},
    index::{IndexChange, Registry},
    journal::Room,
};
use recent::Verdict;

/// What a transaction wants to commit.
#[derive(Debug)]
pub(crate) struct Request {
    /// The changes, encoded.
    pub(crate) payload: Payload,
    /// The databases that are changed and that it does not create: a handle may outlive the
    /// transaction that should have created its database.
    pub(crate) changes: Vec<Database>,
    /// Whether anything is put or created. What only deletes and drops is committed at a limit of the
    /// space on disk as well.
    pub(crate) adds: bool,
    /// The databases that are dropped.
    pub(crate) drops: Vec<Database>,
    /// The indexes that were kept up, if anything was changed that can have some.
    pub(crate) indexes: Option<Arc<Registry>>,
    /// Changes of the indexes.
    pub(crate) index_changes: Vec<IndexChange>,
    /// What the transaction has read, if it has read anything.
    pub(crate) observed: Option<Observed>,
}

impl Core {
    /// Commits, and returns the commit number. The commit is visible when this returns, and durable as
    /// far as [`Core::acknowledge`] is asked to make it.
    pub(crate) fn apply(&self, mut request: Request) -> EnvResult<u64> {
        self.check_write()?;
        self.write_what_waits()?;
        self.make_memory_room()?;
        if request.adds {
            self.admit(request.payload.record_len())?;
        }
        let mut attempts = 0;
        loop {
            let _guard = self.failure.on_panic();
            let mut commit = self.lock_in_turn()?;
            self.check()?;
            if let Some(observed) = &mut request.observed {
                match commit.recent.validate(observed, commit.sequence) {
                    Verdict::Unchanged => {}
                    Verdict::Changed(conflict) => return Err(conflict),
                    Verdict::Unknown => {
                        let sequence = commit.sequence;
                        let frozen = commit.writer.freeze(sequence)?;
                        // Reading leaves may take a while, so it is done without the lock; not for
                        // ever, though.
                        attempts += 1;
                        let held = (attempts > 3).then_some(commit);
                        ask_leaves(&frozen, observed)?;
                        if held.is_none() {
                            observed.since = sequence;
                            continue;
                        }
                        commit = held.expect("just seen");
                    }
                }
            }
            let len = request.payload.record_len();
            match commit.appender.as_ref().map(|appender| self.room(appender, len)) {
                Some(Room::Here) => {}
                Some(_) | None => {
                    drop(commit);
                    self.make_journal_room(len)?;
                    continue;
                }
            }
            if let Some(known) = &request.indexes {
                let databases = request.changes.iter().chain(&request.drops);
                self.indexes.validate(known, databases, commit.sequence)?;
            }
            for database in &request.changes {
                if !commit.writer.has(database.tree)? {
                    return Err(EnvError::NoSuchDatabase { name: database.name().into() });
                }
            }
            // Nodes are read before the commit has its place. After a few attempts it goes ahead all
            // the same, so that it comes to an end however small the cache is.
            attempts += 1;
            if attempts <= 3 && !is_resident(&mut commit.writer, request.payload.bytes())? {
                let sequence = commit.sequence;
                let frozen = commit.writer.freeze(sequence)?;
                drop(commit);
                self.warm(&frozen, request.payload.bytes())?;
                continue;
            }
            let sequence = self.append_and_apply(&mut commit, &mut request.payload)?;
            self.indexes.apply(std::mem::take(&mut request.index_changes), sequence);
            // The transaction that commits is one of those who have read something.
            let own = usize::from(request.observed.is_some());
            if self.holders.observers.load(Ordering::SeqCst) > own {
                commit.recent.record(sequence, request.payload.bytes());
            } else {
                commit.recent.pass(sequence);
            }
            self.latest.store(sequence, Ordering::SeqCst);
            if !request.drops.is_empty() {
                self.schedule.has_graves.store(true, Ordering::Release);
                self.wake_worker();
            }
            return Ok(sequence);
        }
    }

    /// Loads what the changes touch, outside of the lock.
    fn warm(&self, frozen: &Arc<FrozenRoot>, payload: &[u8]) -> EnvResult<()> {
        let mut decoder = Decoder::new(payload).map_err(malformed)?;
        while let Some(op) = decoder.next().map_err(malformed)? {
            if let Some((tree, key)) = target(&op) {
                frozen.warm(tree, key)?;
            }
        }
        Ok(())
    }

    /// The journal has room and the nodes were there a moment ago: what still goes wrong from here on
    /// fails the environment.
    fn append_and_apply(&self, commit: &mut CommitState, payload: &mut Payload) -> EnvResult<u64> {
        let sequence = commit.sequence + 1;
        if sequence > FrameHeader::MAX_SEQUENCE {
            return Err(EnvError::Exhausted { what: "commit numbers" });
        }
        let time = self.world.wall().0.max(commit.time);
        payload.set(TIME, &time.to_le_bytes());
        let (lsn, _) = self.append(commit, RecordKind::TRANSACTION, sequence, payload)?;
        let decoder = Decoder::new(payload.bytes()).map_err(malformed);
        let applied = decoder.and_then(|decoder| {
            apply_ops(&mut commit.writer, decoder, lsn, sequence, &mut commit.next_tree)
        });
        if let Err(error) = applied {
            // The journal has a commit that memory has not: only recovery can put that right.
            return Err(EnvError::Poisoned { cause: self.failure.poison(error) });
        }
        commit.committed(sequence, time);
        self.bound_private(commit)?;
        Ok(sequence)
    }

    /// Gives a record its place in the journal, which has room for it; returns how many accepted bytes
    /// are not written yet, too.
    fn append(
        &self,
        commit: &mut CommitState,
        kind: RecordKind,
        sequence: u64,
        payload: &Payload,
    ) -> EnvResult<(Lsn, u64)> {
        let watermark = self.journal.watermark();
        let appender = commit.appender.as_mut().ok_or_else(|| EnvError::internal("no journal"))?;
        let lsn = appender.append(kind, sequence, watermark, payload)?;
        commit.watermark = commit.watermark.max(watermark);
        commit.journal_bytes += payload.record_len();
        commit.journaled += payload.record_len();
        let unwritten = self.journal.unwritten(lsn.offset() + payload.record_len());
        self.schedule.committed(commit.journal_bytes, unwritten);
        Ok((lsn, unwritten))
    }

    /// Freezes what the writer owns when memory gets short: frozen nodes can be written and evicted,
    /// its own cannot. Not before, since it copies every node that it changes after that.
    pub(crate) fn bound_private(&self, commit: &mut CommitState) -> EnvResult<()> {
        let sequence = commit.sequence;
        self.bound_private_of(&mut commit.writer, sequence).map(drop)
    }

    /// As [`Core::bound_private`], for any writer; returns whether it was frozen.
    pub(crate) fn bound_private_of(
        &self,
        writer: &mut TreeWriter,
        sequence: u64,
    ) -> EnvResult<bool> {
        let (private, budget) = (writer.private_bytes(), self.options.cache_bytes);
        self.space.note_private(private);
        let is_short = private > budget / 8 && private + self.forest.resident_bytes() > budget / 2;
        if is_short {
            writer.freeze(sequence)?;
        }
        Ok(is_short)
    }

    /// Returns when commit `sequence` is as durable as asked for.
    pub(crate) fn acknowledge(&self, sequence: u64, durability: Durability) -> EnvResult<()> {
        let flushed = match durability {
            // Planted: acknowledged before the sync.
            Durability::Sync => self.flush_to(sequence, !cairn_io::planted::is(1)),
            Durability::WriteNoSync => self.flush_to(sequence, false),
            Durability::NoSync | Durability::Relaxed(_) => Ok(()),
        };
        let pending = match flushed {
            Ok(()) => None,
            Err(error) if error.may_try_again() => Some(error),
            Err(error) => return Err(error),
        };
        // One that is pending has taken effect as well: whoever is told so finds it.
        self.acknowledged.fetch_max(sequence, Ordering::AcqRel);
        match pending {
            None => self.after_commit(durability),
            Some(error) => {
                Err(EnvError::CommitPending { commit: sequence, cause: Arc::new(error) })
            }
        }
    }
}

/// Looks for changes of what was observed in the leaves of the newest version.
fn ask_leaves(newest: &FrozenRoot, observed: &Observed) -> EnvResult<()> {
    for (tree, reads) in &observed.reads.trees {
        let points = reads.points.iter().map(|key| (key, Bound::Included(&key[..])));
        let intervals = reads.intervals.iter().map(|interval| (&interval.start, interval.end()));
        for (start, end) in points.chain(intervals) {
            let changed = newest.newest_change(*tree, start, end)?;
            if changed > observed.since {
                return Err(EnvError::conflict(&reads.database, start, changed));
            }
        }
    }
    Ok(())
}

/// Whether all nodes that the changes need are in memory.
fn is_resident(writer: &mut TreeWriter, payload: &[u8]) -> EnvResult<bool> {
    let mut decoder = Decoder::new(payload).map_err(malformed)?;
    while let Some(op) = decoder.next().map_err(malformed)? {
        if let Some((tree, key)) = target(&op)
            && !writer.is_resident(tree, key)?
        {
            return Ok(false);
        }
    }
    Ok(true)
}

fn target<'a>(op: &Op<'a>) -> Option<(TreeId, &'a [u8])> {
    match *op {
        Op::Create { .. } | Op::Drop { .. } | Op::Mark { .. } => None,
        Op::Put { tree, key, .. } | Op::PutLarge { tree, key, .. } | Op::Delete { tree, key } => {
            Some((tree, key))
        }
    }
}

/// Applies the changes of a transaction whose record stands at `lsn`. Commit and recovery both come
/// here, so what is replayed is what happened.
pub(crate) fn apply_ops(
    writer: &mut TreeWriter,
    mut decoder: Decoder<'_>,
    lsn: Lsn,
    sequence: u64,
    next_tree: &mut u32,
) -> EnvResult<()> {
    while let Some(op) = decoder.next().map_err(malformed)? {
        match op {
            Op::Create { tree } => {
                writer.create(tree)?;
                // Planted: the number of a database given twice.
                if cairn_io::planted::is(19) {
                    continue;
                }
                *next_tree = (*next_tree).max(tree.0.saturating_add(1));
            }
            Op::Put { tree, key, value } => {
                writer.insert(tree, key, ValueRef::Inline(value), sequence)?;
            }
            Op::PutLarge { tree, key, value, crc, offset } => {
                let pointer = pointer(lsn, offset, value.len(), crc)
                    .ok_or_else(|| EnvError::internal("a large value without a position"))?;
                writer.insert(tree, key, ValueRef::Pointer(pointer), sequence)?;
            }
            Op::Delete { tree, key } => {
                writer.remove(tree, key, sequence)?;
            }
            // Planted: dropped data that stays.
            Op::Drop { .. } if cairn_io::planted::is(18) => {}
            Op::Drop { tree } => {
                writer.bury(tree)?;
            }
            Op::Mark { .. } => {}
        }
    }
    Ok(())
}

/// The error for a transaction that was encoded here and cannot be decoded.
fn malformed(source: cairn_log::codec::DecodeError) -> EnvError {
    let damage = Damage::Malformed { what: "transaction", source };
    EnvError::internal(damage.to_string())
}
